"""Variables whose handles go into loops, conditionals and functions: run by their values, in a session of version 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto import graph_pb2

from rnnprobe import formats
from rnnprobe.engine.original import ops
from rnnprobe.engine.original.graft import Recorders
from rnnprobe.engine.original.locate import Locator
from rnnprobe.engine.original.program import program, values
from rnnprobe.errors import BadInput, Refused
from rnnprobe.formats.inline import flat
from rnnprobe.recover.graph.frames import loops
from rnnprobe.recover.graph.loop_roles import Sorter
from rnnprobe.recover.graph.view import view
from rnnprobe.types import Checkpoint, Tensor

from ..conftest import DATA

v1 = tf.compat.v1
CASES = sorted(path.name for path in (DATA / "functions").glob("*-*"))


def ran(made, fetches, feed):
    """What a program computes."""
    graph = tf.Graph()
    with graph.as_default():
        v1.import_graph_def(v1.GraphDef.FromString(made.definition.SerializeToString()), name="")
    with v1.Session(graph=graph) as session:
        known = {operation.name for operation in graph.get_operations()}
        return session.run(fetches, {edge: value for edge, value in feed.items() if edge.partition(":")[0] in known})


@pytest.mark.parametrize("case", CASES)
def test_genuine_saved_models_give_what_keras_did_and_their_loops_can_be_recorded(case):
    checkpoint = formats.read(DATA / "functions" / case / "sm")
    data = np.load(DATA / "functions" / case / "data.npz")
    signature = checkpoint.graph.signature_def["serving_default"]
    (taken,), (given,) = signature.inputs.values(), signature.outputs.values()
    web = view(checkpoint.graph)
    locator = Locator(web, checkpoint.graph.graph_def.library.function)
    made = program(checkpoint, [given.name.partition(":")[0]], {})
    ops.check(made.definition, checkpoint.path)
    fed = values(made, checkpoint, web, locator.numbers)
    if "stateful" in case:
        # The file holds the states after the run that gave y, which started from zeros.
        fed = {name: np.zeros_like(array) if array.shape == (2, 4) else array for name, array in fed.items()}
    recorders, handed = Recorders(made), []
    for loop in loops(web, checkpoint.graph.graph_def)[0]:
        (write,) = (writes[0] for writes in Sorter(web, loop).roles().writes.values())
        spot = locator.find(write.value)
        handed += recorders.record(spot.loop, [spot])
    feed = {f"{name}:0": array for name, array in fed.items()} | {taken.name: data["x"], f"{recorders.limit}:0": 9}
    y, steps = ran(made, [given.name, [f"{edge}:0" for edge in handed]], feed)
    np.testing.assert_allclose(y, data["y"], rtol=0, atol=1e-6)
    assert [array.shape[:2] for array in steps] == [(5, 2)] * len(handed)
    if len(handed) == 1 and y.ndim == 3:
        np.testing.assert_array_equal(steps[0].swapaxes(0, 1), y)


# Graphs of TensorFlow's own making ------------------------------------------------------------------------------------

KERNEL = np.arange(6, dtype="f").reshape(3, 2)
X = np.ones((2, 3), "f")


def checkpoint(build, tmp_path) -> Checkpoint:
    """What `build(x, kernel, more)` makes of two resource variables, as a graph whose functions are laid out."""
    graph = tf.Graph()
    with graph.as_default():
        v1.enable_control_flow_v2()
        x = v1.placeholder(tf.float32, [2, 3], name="x")
        kernel = v1.get_variable("kernel", [3, 2], use_resource=True)
        count = v1.get_variable("count", [], use_resource=True)
        tf.identity(build(x, kernel, count), name="y")
    definition = graph_pb2.GraphDef.FromString(graph.as_graph_def().SerializeToString())
    stored = {"kernel": KERNEL, "count": np.float32(3)}
    tensors = {
        name: Tensor(name, array.shape, "float32", lambda rows, array=array: array) for name, array in stored.items()
    }
    return Checkpoint(tmp_path, "made", tensors, graph=flat(definition))


def computed(found: Checkpoint):
    made = program(found, ["y"], {})
    ops.check(made.definition, found.path)
    web = view(found.graph)
    fed = values(made, found, web, Locator(web).numbers)
    return ran(made, "y:0", {f"{name}:0": array for name, array in fed.items()} | {"x:0": X})


def _in_a_loop(x, kernel, count):
    return tf.while_loop(lambda k, y: k < 2, lambda k, y: (k + 1, y + x @ kernel), [0, tf.zeros([2, 2])])[1]


def _in_the_condition(x, kernel, count):
    return tf.while_loop(lambda k: k < count, lambda k: (k + 1,), [0.0])[0] * tf.ones([2, 2])


def _in_a_branch(x, kernel, count):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ kernel, lambda: tf.zeros([2, 2]) + count)


def _in_a_branch_of_a_loop(x, kernel, count):
    def body(k, y):
        return k + 1, tf.cond(k > 0, lambda: y + x @ kernel, lambda: y + count)

    return tf.while_loop(lambda k, y: k < 2, body, [0, tf.zeros([2, 2])])[1]


def _in_a_function_of_a_loop(x, kernel, count):
    inner = tf.function(lambda y: y + tf.gather(kernel, [0, 1]))
    return tf.while_loop(lambda k, y: k < 2, lambda k, y: (k + 1, inner(y)), [0, tf.zeros([2, 2])])[1]


def _in_a_loop_of_a_loop(x, kernel, count):
    def inner(y):
        return tf.while_loop(lambda k, y: k < 2, lambda k, y: (k + 1, y + x @ kernel), [0, y])[1]

    return tf.while_loop(lambda k, y: k < 2, lambda k, y: (k + 1, inner(y)), [0, tf.zeros([2, 2])])[1]


def _and_its_shape(x, kernel, count):
    return tf.function(lambda: tf.zeros(tf.raw_ops.VariableShape(input=kernel.handle)))()[:2] + x @ kernel


PRODUCT = X @ KERNEL
READ = {
    _in_a_loop: 2 * PRODUCT,
    _in_the_condition: np.full((2, 2), 3),
    _in_a_branch: PRODUCT,
    _in_a_branch_of_a_loop: PRODUCT + 3,
    _in_a_function_of_a_loop: 2 * KERNEL[:2],
    _in_a_loop_of_a_loop: 4 * PRODUCT,
    _and_its_shape: PRODUCT,
}


@pytest.mark.parametrize("build", READ, ids=lambda build: build.__name__.strip("_"))
def test_variables_are_read(build, tmp_path):
    np.testing.assert_array_equal(computed(checkpoint(build, tmp_path)), READ[build])


def test_what_is_written_after_it_was_read_is_not_written(tmp_path):
    def build(x, kernel, count):
        @tf.function
        def step(x):
            y = x @ kernel
            kernel.assign_add(tf.ones([3, 2]))
            return y

        return step(x)

    found = checkpoint(build, tmp_path)
    assert any(node.op == "AssignAddVariableOp" for node in found.graph.node)
    np.testing.assert_array_equal(computed(found), PRODUCT)


def test_what_is_read_after_it_was_written_is_not_run(tmp_path):
    def build(x, kernel, count):
        @tf.function
        def step(x):
            kernel.assign_add(tf.ones([3, 2]))
            return x @ kernel

        return step(x)

    with pytest.raises(BadInput, match="reads the variable 'kernel' after it has written it"):
        computed(checkpoint(build, tmp_path))


def test_what_a_loop_writes_is_not_run(tmp_path):
    def build(x, kernel, count):
        def body(k):
            count.assign_add(1.0)
            return (k + 1,)

        return tf.while_loop(lambda k: k < 2, body, [0])[0]

    with pytest.raises((BadInput, Refused), match="AssignAddVariableOp"):
        computed(checkpoint(build, tmp_path))


def test_a_branch_that_is_missing_is_said(tmp_path):
    found = checkpoint(_in_a_branch, tmp_path)
    (branch,) = (node for node in found.graph.node if node.op in ("If", "StatelessIf"))
    branch.attr["then_branch"].func.name = "nowhere"
    with pytest.raises(BadInput, match="has no function 'nowhere'"):
        computed(found)


def test_loops_that_run_themselves_are_not_followed(tmp_path):
    found = checkpoint(_in_a_loop, tmp_path)
    (loop,) = (node for node in found.graph.node if node.op in ("While", "StatelessWhile"))
    body = next(one for one in found.graph.library.function if one.signature.name == loop.attr["body"].func.name)
    for k in range(2):
        inner = body.node_def.add(name=f"again{k}")
        inner.CopyFrom(loop)
        inner.name = f"again{k}"
        del inner.input[:]
        inner.input.extend(argument.name for argument in body.signature.input_arg)
    with pytest.raises(BadInput, match="calls itself"):
        computed(found)


def test_variables_of_object_checkpoints_go_by_their_own_names(tmp_path):
    found = formats.read(DATA / "functions" / "tf_keras-2.21-lstm" / "sm")
    for node in found.graph.graph_def.node:
        if node.op == "SaveV2":
            node.op = "NoOp"
    web = view(found.graph)
    made = program(found, ["StatefulPartitionedCall"], {})
    fed = values(made, found, web, Locator(web).numbers)
    data = np.load(DATA / "functions" / "tf_keras-2.21-lstm" / "data.npz")
    y = ran(
        made,
        "StatefulPartitionedCall:0",
        {f"{name}:0": array for name, array in fed.items()} | {"serving_default_lstm_input:0": data["x"]},
    )
    np.testing.assert_allclose(y, data["y"], rtol=0, atol=1e-6)
    alone = replace(found, objects=None)
    with pytest.raises(BadInput, match="has no value for it"):
        values(made, alone, web, Locator(web).numbers)
