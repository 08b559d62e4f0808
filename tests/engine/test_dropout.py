"""Dropout left out of original graphs: as each release writes it, and nothing that merely looks like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto import graph_pb2

from rnnprobe import formats
from rnnprobe.engine.original import dropout, ops
from rnnprobe.engine.original.program import Program, program

from ..conftest import DATA

v1 = tf.compat.v1
RANDOM = np.random.default_rng(3)
CASES = sorted((DATA / "graph").glob("tf*/drop_half"))


def made(graph: tf.Graph) -> Program:
    definition = graph_pb2.GraphDef.FromString(graph.as_graph_def().SerializeToString())
    return Program(definition, "rnnprobe", Path("x"))


def run(program: Program, x: np.ndarray) -> np.ndarray:
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(v1.GraphDef.FromString(program.definition.SerializeToString()), name="")
    with v1.Session(graph=graph) as session:
        return session.run("y:0", {"x:0": x})


def uniform(x: tf.Tensor) -> tf.Tensor:
    return tf.random.uniform(tf.shape(x), dtype=x.dtype)


def keep_of_old(x: tf.Tensor, keep: tf.Tensor | float) -> tf.Tensor:
    """Up to TensorFlow 1.13."""
    return tf.math.divide(x, keep) * tf.floor(keep + uniform(x))


def rate_of_1_15(x: tf.Tensor, rate: tf.Tensor | float) -> tf.Tensor:
    return x * (1 / (1 - rate)) * tf.cast(uniform(x) >= rate, x.dtype)


def scalar(value: float) -> tf.Tensor:
    return v1.placeholder_with_default(np.float32(value), [], name="rate")


DROPOUTS = {
    "keep": lambda x: keep_of_old(x, 0.5),
    "keep, a tensor": lambda x: keep_of_old(x, scalar(0.5)),
    "keep of a rate": lambda x: keep_of_old(x, 1 - scalar(0.3)),
    "rate": lambda x: rate_of_1_15(x, 0.3),
    "rate, a tensor": lambda x: rate_of_1_15(x, scalar(0.3)),
    "today's": lambda x: v1.nn.dropout(x, rate=0.3),
    "today's, a tensor": lambda x: v1.nn.dropout(x, rate=scalar(0.3)),
    "stateless": lambda x: tf.nn.experimental.stateless_dropout(x, 0.3, seed=[1, 2]),
    "one mask for all rows": lambda x: v1.nn.dropout(x, rate=0.3, noise_shape=[1, 3]),
    "twice": lambda x: v1.nn.dropout(v1.nn.dropout(x, rate=0.3), rate=0.4),
    "in a loop": lambda x: tf.while_loop(lambda k, a: k < 3, lambda k, a: (k + 1, v1.nn.dropout(a, rate=0.3)), (0, x))[
        1
    ],
    "a mask from outside of the loop": lambda x: masked_loop(x),
    "uniform by hand": lambda x: tf.math.divide(x, 0.5) * tf.floor(0.5 + (0.0 + 1.0 * uniform(x))),
}


def looped(x: tf.Tensor, step: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    return tf.while_loop(lambda k, a: k < 3, lambda k, a: (k + 1, step(a)), (0, x))[1]


def masked_loop(x: tf.Tensor) -> tf.Tensor:
    """As a variational dropout: one draw for all steps."""
    drawn = uniform(x)
    return looped(x, lambda a: tf.math.divide(a, 0.5) * tf.floor(0.5 + drawn))


@pytest.mark.parametrize("flow", ["v1", "v2"])
@pytest.mark.parametrize("name", DROPOUTS)
def test_every_form_becomes_a_copy_of_its_input(name, flow):
    control_flow(flow)
    x = RANDOM.normal(size=(4, 3)).astype("f")
    with tf.Graph().as_default() as graph:
        tf.identity(DROPOUTS[name](v1.placeholder(tf.float32, [None, 3], name="x")), name="y")
    found = made(graph)
    assert ops.is_random(found.definition)
    if flow == "v2" and "outside" in name:
        # In a function, what was drawn outside of it is an argument like any other.
        assert dropout.leave_out(found, {"x", "y"}) == 0
        return
    assert dropout.leave_out(found, {"x", "y"}) == (2 if name == "twice" else 1)
    assert np.array_equal(run(found, x), x)
    if not found.definition.library.function:
        assert not ops.is_random(found.definition)
        assert "rate" not in {node.name for node in found.definition.node}


def control_flow(version: str) -> None:
    if version == "v1":
        v1.disable_control_flow_v2()
    else:
        v1.enable_control_flow_v2()


@pytest.fixture(autouse=True)
def _restored():
    yield
    v1.enable_control_flow_v2()


OTHERS = {
    "noise": lambda x: x + uniform(x),
    "a product with noise": lambda x: x * uniform(x),
    "another scale": lambda x: tf.math.divide(x, 0.5) * tf.floor(0.7 + uniform(x)),
    "no scale": lambda x: x * tf.floor(0.5 + uniform(x)),
    "a scale of another rate": lambda x: x * (1 / (1 - 0.2)) * tf.cast(uniform(x) >= 0.3, x.dtype),
    "of another tensor": lambda x: tf.math.divide(x, scalar(0.5)) * tf.floor(scalar(0.5) + uniform(x)),
    "normal numbers": lambda x: tf.math.divide(x, 0.5) * tf.floor(0.5 + tf.random.normal(tf.shape(x))),
    "numbers up to 2": lambda x: tf.math.divide(x, 0.5) * tf.floor(0.5 + 2.0 * uniform(x)),
    "numbers from 0.1": lambda x: rate_of_shifted(x),
    "something else than zeros": lambda x: tf.where(uniform(x) >= 0.5, x * 2.0, tf.ones_like(x)),
    "noise where kept": lambda x: tf.where(uniform(x) >= 0.5, uniform(x), x),
}


def rate_of_shifted(x: tf.Tensor) -> tf.Tensor:
    return x * (1 / (1 - 0.3)) * tf.cast(uniform(x) + 0.1 >= 0.3, x.dtype)


@pytest.mark.parametrize("name", OTHERS)
def test_other_random_numbers_stay(name):
    with tf.Graph().as_default() as graph:
        tf.identity(OTHERS[name](v1.placeholder(tf.float32, [None, 3], name="x")), name="y")
    found = made(graph)
    before = found.definition.SerializeToString()
    assert dropout.leave_out(found, {"x", "y"}) == 0
    assert found.definition.SerializeToString() == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_genuine_graphs_of_each_era(case):
    """`DropoutWrapper(input_keep_prob=0.5, output_keep_prob=0.5)` in a `dynamic_rnn`."""
    checkpoint = formats.read(case / "model.ckpt")
    names = {node.name for node in checkpoint.graph.graph_def.node}
    out = next(name for name in ("rnn/transpose_1", "rnn/transpose", "RNN/transpose") if name in names)
    found = program(checkpoint, [out], {})
    assert ops.is_random(found.definition)
    assert dropout.leave_out(found, {out}) == 2
    if not found.definition.library.function:
        assert not ops.is_random(found.definition)


def test_what_only_led_to_the_masks_is_asked_for_no_more():
    """A variable that holds the rate is no part of what is left."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        tf.identity(keep_of_old(x, v1.placeholder(tf.float32, [], name="keep")), name="y")
    found = made(graph)
    found.variables["keep"] = found.variables["x"] = None
    found.sources["queue", 0] = "keep"
    dropout.leave_out(found, {"x", "y"})
    assert set(found.variables) == {"x"}
    assert not found.sources
