"""Makes the frozen graphs beside it with TensorFlow 2.21: python make.py

Each is a small network with seeded weights, unrolled by `dynamic_rnn` or step by step, frozen, and in part optimised:
`NAME.pb` or `NAME.pbtxt`, and in `NAME.npz` its input `x` `[2, 5, 3]`, what the graph computes (`h` at each step, the
final states), and the weights as `var:<name>`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.grappler import tf_optimizer
from tf_keras.src.layers.rnn import legacy_cells as cells

HERE = Path(__file__).parent
v1 = tf.compat.v1
X = np.random.default_rng(3).standard_normal((2, 5, 3)).astype(np.float32)


def lstm() -> Any:
    return cells.LSTMCell(4, forget_bias=0.25, use_peepholes=True, cell_clip=0.5, num_proj=3)


def basic_lstm() -> Any:
    return cells.BasicLSTMCell(4, forget_bias=0.25)


def gru() -> Any:
    return cells.GRUCell(4, activation=tf.nn.relu)


def two() -> Any:
    return cells.MultiRNNCell([cells.BasicLSTMCell(4, forget_bias=0.5), cells.GRUCell(3)])


def both(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Forward and backward, told apart by scopes alone."""
    outputs, states = v1.nn.bidirectional_dynamic_rnn(basic_lstm(), basic_lstm(), x, dtype=tf.float32)
    return tf.concat(outputs, 2), states


def dynamic(cell: Callable[[], Any]) -> Callable[[tf.Tensor], tuple[tf.Tensor, Any]]:
    return lambda x: v1.nn.dynamic_rnn(cell(), x, dtype=tf.float32)


def unrolled(cell: Callable[[], Any]) -> Callable[[tf.Tensor], tuple[tf.Tensor, Any]]:
    def build(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        outputs, states = v1.nn.static_rnn(cell(), tf.unstack(x, axis=1), dtype=tf.float32)
        return tf.stack(outputs, 1), states

    return build


def make(
    name: str,
    build: Callable[[tf.Tensor], tuple[tf.Tensor, Any]],
    *,
    functional: bool = False,
    resources: bool = False,
    partitions: int = 0,
    optimised: bool = False,
    renamed: bool = False,
    batch: int | None = None,
) -> None:
    """Builds, fills, runs, freezes and stores one graph."""
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    (v1.enable_resource_variables if resources else v1.disable_resource_variables)()
    random = np.random.default_rng(7)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [batch, 5, 3], name="x")
        partitioner = v1.fixed_size_partitioner(partitions) if partitions else None
        with v1.variable_scope("", partitioner=partitioner):
            h, states = build(x)
        outputs = [tf.identity(h, "h")]
        outputs += [tf.identity(s, f"final_{k}") for k, s in enumerate(tf.nest.flatten(states))]
        variables = v1.global_variables()
        session.run([v.initializer for v in variables])
        for variable in variables:
            variable.load(random.standard_normal(variable.shape).astype(np.float32) * 0.5, session)
        values = session.run([outputs, variables], {x: X})
        definition = v1.graph_util.convert_variables_to_constants(
            session, session.graph_def, [tensor.op.name for tensor in outputs]
        )
    if optimised:
        definition = fold(definition, [tensor.op.name for tensor in outputs])
    if renamed:
        rename(definition)
    check(definition, [f"{tensor.op.name}:0" for tensor in outputs], values[0])
    v1.train.write_graph(definition, str(HERE), name, as_text=name.endswith("txt"))
    names = ["h", *(f"final_{k}" for k in range(len(outputs) - 1))]
    stored = dict(zip(names, values[0], strict=True))
    stored |= {f"var:{v.op.name.replace('/', '|')}": a for v, a in zip(variables, values[1], strict=True)}
    np.savez_compressed(HERE / f"{name.partition('.')[0]}.npz", x=X, **stored)


def fold(definition: Any, outputs: list[str]) -> Any:
    """What Grappler makes of a graph: constants folded, identities removed."""
    meta = meta_graph_pb2.MetaGraphDef()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    meta.CopyFrom(v1.train.export_meta_graph(graph=graph))
    for output in outputs:
        meta.collection_def["train_op"].node_list.value.append(output)
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.extend(["constfold", "dependency", "pruning", "constfold"])
    rewrite.min_graph_nodes = -1
    rewrite.meta_optimizer_iterations = 2
    return tf_optimizer.OptimizeGraph(config, meta)


def rename(definition: Any) -> None:
    """Takes the meaning out of every name but those of the input and the outputs."""
    kept = {"x", "h", *(f"final_{k}" for k in range(8))}
    numbers = {node.name: f"n{k}" for k, node in enumerate(definition.node) if node.name not in kept}
    for node in definition.node:
        node.name = numbers.get(node.name, node.name)
        for k, edge in enumerate(node.input):
            control = "^" if edge.startswith("^") else ""
            name, colon, port = edge.removeprefix("^").partition(":")
            node.input[k] = f"{control}{numbers.get(name, name)}{colon}{port}"
        if "_class" in node.attr:
            del node.attr["_class"]


def check(definition: Any, fetches: list[str], expected: list[np.ndarray]) -> None:
    """Holds the graph that is stored against the one that was built."""
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(definition, name="")
        for got, wanted in zip(session.run(fetches, {"x:0": X}), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    v1.disable_eager_execution()
    make("lstm_v1.pb", dynamic(lstm))
    make("lstm_v2.pb", dynamic(lstm), functional=True, resources=True)
    make("gru_v1.pbtxt", dynamic(gru))
    make("gru_v2.pb", dynamic(gru), functional=True, resources=True)
    make("two_resources.pb", dynamic(two), resources=True)
    make("both.pb", both)
    make("partitioned.pb", dynamic(basic_lstm), partitions=2)
    make("partitioned_v2.pb", dynamic(basic_lstm), partitions=2, functional=True, resources=True)
    make("partitioned_folded.pb", dynamic(basic_lstm), partitions=2, optimised=True)
    make("two_folded.pb", unrolled(two), optimised=True, batch=2)
    make("lstm_folded.pb", dynamic(lstm), optimised=True)
    make("two_unnamed.pb", unrolled(two), optimised=True, renamed=True, batch=2)
    make("lstm_unnamed.pb", dynamic(lstm), optimised=True, renamed=True)
    make("gru_unnamed.pb", dynamic(gru), functional=True, resources=True, optimised=True, renamed=True)
