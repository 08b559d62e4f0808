"""Makes `tf1.15/cudnn_*`: what the cuDNN layers of TensorFlow 1's contrib save: `python make_cudnn_canonical.py`.

The layers themselves need a GPU to be saved. What they save are canonical tensors, which `CudnnCompatible*` cells read:
such cells, in the layers' scopes, make them here and compute `out0` and the final states `st0` …; beside them lies a
flat `opaque_kernel`, as the layers leave one. That all names are those that a Saver of the layer itself would write is
asserted. TensorFlow 1.15; no graph is kept, which would be that of other cells.

`tf1.15/cudnn_*opaque`: what a Saver saves that is given the layer's own variable alone: a flat buffer, here laid out of
such cells' weights as `rnnprobe/recover/opaque.py` says and cites, with the graph of the genuine cuDNN layer, which can
be built, though not run, without a GPU. What cuDNN itself computes of it has not been seen.
"""

import json
import os
import shutil
import sys

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


def built(name):
    """The cuDNN layer itself, in the default graph."""
    words = name.split("_")
    layer = {"lstm": "CudnnLSTM", "gru": "CudnnGRU", "tanh": "CudnnRNNTanh", "relu": "CudnnRNNRelu"}
    cudnn = getattr(cudnn_rnn, next(layer[word] for word in words if word in layer))
    made = cudnn(LEVELS, UNITS, direction="bidirectional" if "bidirectional" in words else "unidirectional")
    made(tf.placeholder(tf.float32, [5, 2, 3]))
    return made


def genuine(name):
    """The names that a Saver of the cuDNN layer itself writes."""
    with tf.Graph().as_default() as graph:
        built(name)
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


OPAQUE = {
    "cudnn_lstm_opaque": "cudnn_lstm",
    "cudnn_lstm_bidirectional_opaque": "cudnn_lstm_bidirectional",
    "cudnn_gru_bidirectional_opaque": "cudnn_gru_bidirectional",
    "cudnn_rnn_relu_opaque": "cudnn_rnn_relu",
}


def shares(random, total):
    """Two biases whose sum is one."""
    one = random.normal(size=total.shape).astype("f")
    return one, total - one


def laid_out(random, cells, name):
    """The buffer: every cell's matrices, gate by gate, then every cell's biases; a cell is leaf → array."""
    matrices, biases = [], []
    for cell in cells:
        if "gru" in name:
            gates, bias = cell["gates/kernel"], cell["gates/bias"]
            width = len(gates) - UNITS
            inputs = [*np.split(gates[:width], 2, 1), cell["candidate/input_projection/kernel"]]
            hidden = [*np.split(gates[width:], 2, 1), cell["candidate/hidden_projection/kernel"]]
            beside, after = shares(random, bias)
            sides = [beside, cell["candidate/input_projection/bias"], after, cell["candidate/hidden_projection/bias"]]
        else:
            count = cell["kernel"].shape[1] // UNITS
            order = [0, 2, 1, 3] if count == 4 else [0]  # i g f o as TensorFlow has them → i f g o
            width = len(cell["kernel"]) - UNITS
            inputs, hidden, sums = (
                [np.split(array, count, -1)[k] for k in order]
                for array in (cell["kernel"][:width], cell["kernel"][width:], cell["bias"])
            )
            sides = shares(random, np.concatenate(sums))
        matrices += [block.T.ravel() for block in inputs + hidden]
        biases += sides
    return np.concatenate(matrices + biases)


def make_opaque(name):
    """The buffer of the weights of a case, and what that case computes."""
    random = np.random.RandomState(sum(map(ord, name)))
    made = os.path.join(HERE, OPAQUE[name])
    stored = tf.train.load_checkpoint(os.path.join(made, "model.ckpt"))
    cells = {}
    for variable in sorted(genuine(OPAQUE[name]) - {stored for stored in genuine(OPAQUE[name]) if "opaque" in stored}):
        scope, _, leaf = next(variable.partition(f"/{cell}/") for cell in SCOPES if f"/{cell}/" in variable)
        cells.setdefault(scope, {})[leaf] = stored.get_tensor(variable)
    # `fw` stands after `bw` in the alphabet.
    order = sorted(cells, key=lambda scope: scope.replace("/bw", "/gw"))
    buffer = laid_out(random, [cells[scope] for scope in order], name)
    where = os.path.join(HERE, name)
    os.makedirs(where, exist_ok=True)
    path = os.path.join(where, "model.ckpt")
    with tf.Graph().as_default():
        variable = built(OPAQUE[name]).kernel
        tf.train.Saver([variable]).export_meta_graph(f"{path}.meta")
    # No session takes that graph, for whose ops there are no kernels without a GPU.
    with tf.Graph().as_default(), tf.Session() as session:
        alike = tf.get_variable(variable.op.name, buffer.shape)
        alike.load(buffer, session)
        tf.train.Saver().save(session, path, write_state=False, write_meta_graph=False)
    with open(os.path.join(made, "case.json")) as file:
        case = json.load(file)
    case.update(case=name, vars={variable.op.name: list(buffer.shape)})
    with open(os.path.join(where, "case.json"), "w") as file:
        json.dump(case, file, indent=1)
        file.write("\n")
    shutil.copy(os.path.join(made, "data.npz"), os.path.join(where, "data.npz"))


SCOPES = ("cudnn_compatible_lstm_cell", "cudnn_compatible_gru_cell", "basic_rnn_cell")


if __name__ == "__main__":
    for case in sys.argv[1:] or (*CASES, *OPAQUE):
        (make if case in CASES else make_opaque)(case)
