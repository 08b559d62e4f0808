"""Makes `tf1.15/cudnn_*`: what the cuDNN layers of TensorFlow 1's contrib save: `python make_cudnn_canonical.py`.

The layers themselves need a GPU to be saved. What they save are canonical tensors, which `CudnnCompatible*` cells read:
such cells, in the layers' scopes, make them here and compute `out0` and the final states `st0` …; beside them lies a
flat `opaque_kernel`, as the layers leave one. That all names are those that a Saver of the layer itself would write is
asserted. TensorFlow 1.15; no graph is kept, which would be that of other cells.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import cudnn_rnn
from tensorflow.contrib import rnn as contrib_rnn
from tensorflow.python.framework import tensor_util

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf1.15")
UNITS, LEVELS = 4, 2


def one_way(cell):
    """A stack of layers that run forward."""
    return lambda x: tf.nn.dynamic_rnn(
        tf.nn.rnn_cell.MultiRNNCell([cell() for _ in range(LEVELS)]), x, dtype=tf.float32
    )


def both_ways(cell):
    """A stack of which each layer reads both directions of the one below."""

    def build(x):
        cells = [[cell() for _ in range(LEVELS)] for _ in range(2)]
        outputs, *states = contrib_rnn.stack_bidirectional_dynamic_rnn(*cells, x, dtype=tf.float32)
        return outputs, states

    return build


LSTM = lambda: cudnn_rnn.CudnnCompatibleLSTMCell(UNITS)  # noqa: E731
GRU = lambda: cudnn_rnn.CudnnCompatibleGRUCell(UNITS)  # noqa: E731
CASES = {
    "cudnn_lstm": ("multi", "cudnn_lstm", one_way(LSTM)),
    "cudnn_lstm_bidirectional": ("stackbidyn", "cudnn_lstm", both_ways(LSTM)),
    "cudnn_gru": ("multi", "cudnn_gru", one_way(GRU)),
    "cudnn_gru_bidirectional": ("stackbidyn", "cudnn_gru", both_ways(GRU)),
    "cudnn_rnn_tanh": ("multi", "cudnn_rnn_tanh", one_way(lambda: tf.nn.rnn_cell.BasicRNNCell(UNITS))),
    "cudnn_rnn_relu": (
        "multi",
        "cudnn_rnn_relu",
        one_way(lambda: tf.nn.rnn_cell.BasicRNNCell(UNITS, activation=tf.nn.relu)),
    ),
}


def genuine(name):
    """The names that a Saver of the cuDNN layer itself writes."""
    words = name.split("_")
    layer = {"lstm": "CudnnLSTM", "gru": "CudnnGRU", "tanh": "CudnnRNNTanh", "relu": "CudnnRNNRelu"}
    with tf.Graph().as_default() as graph:
        cudnn = getattr(cudnn_rnn, next(layer[word] for word in words if word in layer))
        cudnn(LEVELS, UNITS, direction=words[-1] if "bidirectional" in words else "unidirectional")(
            tf.placeholder(tf.float32, [5, 2, 3])
        )
        tf.train.Saver()
        written = graph.get_operation_by_name("save/SaveV2/tensor_names").get_attr("value")
        return {stored.decode() for stored in tensor_util.MakeNdarray(written)}


def make(name):
    """Builds, runs and saves a case."""
    kind, scope, build = CASES[name]
    random = np.random.RandomState(sum(map(ord, name)))
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, 5, 3], name="x")
        with tf.variable_scope(scope):
            outputs, state = build(x)
            size = sum(variable.shape.num_elements() for variable in tf.global_variables())
            tf.get_variable("opaque_kernel", [size])
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.5, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(HERE, name)
        os.makedirs(where, exist_ok=True)
        path = os.path.join(where, "model.ckpt")
        tf.train.Saver().save(session, path, write_state=False, write_meta_graph=False)
        data = {"x": random.normal(size=(2, 5, 3)).astype("f")}
        data["out0"], states = session.run([outputs, tf.nest.flatten(state)], {x: data["x"]})
        data.update({f"st{k}": tensor for k, tensor in enumerate(states)})
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        assert set(variables) == genuine(name)
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump({"case": name, "tf": tf.__version__, "kind": kind, "vars": variables}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    for case in CASES:
        make(case)
