"""Makes goldens of cells around TensorFlow 1.15: `python make_cores.py sonnet|contrib|…/sketch_rnn/rnn.py [CASE …]`.

With TensorFlow 1.15 under Python 3.7: those of `sonnet-1.36` need dm-sonnet 1.36, those of `magenta-1.3.1` the file
`magenta/models/sketch_rnn/rnn.py` of the wheel of Magenta 1.3.1, whose path is given; those of `contrib-1.15` are of
TensorFlow's own contrib, with masks that are not all ones. Each case is a cell with seeded random weights under
`dynamic_rnn`, saved with its graph, and what TensorFlow computes: `x` `[2, 5, 3]`, `out0` `[2, 5, units]`, the final
states `st0` … in the cell's own order and those after every step `step<t>_s<k>`.
"""

import importlib.util
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = 4


def sonnet_cores():
    import sonnet as snt

    full = dict(use_peepholes=True, projection_size=2, hidden_clip_value=0.1, cell_clip_value=0.3, forget_bias=0.5)
    return {
        "lstm": lambda: snt.LSTM(UNITS),
        "lstm_full": lambda: snt.LSTM(UNITS, **full),
        "lstm_named": lambda: snt.LSTM(UNITS, name="my_core"),
        "lstm_layer_norm": lambda: snt.LSTM(UNITS, use_layer_norm=True, use_peepholes=True),
        "gru": lambda: snt.GRU(UNITS),
        "gru_named": lambda: snt.GRU(UNITS, name="reader"),
        "highway": lambda: snt.HighwayCore(UNITS, num_layers=3),
        "vanilla_rnn": lambda: snt.VanillaRNN(UNITS, activation=tf.nn.relu),
    }


def contrib_cells():
    from tensorflow.contrib.model_pruning.python.layers import rnn_cells

    return {
        "masked_basic_lstm": lambda: rnn_cells.MaskedBasicLSTMCell(UNITS),
        "masked_lstm": lambda: rnn_cells.MaskedLSTMCell(UNITS, use_peepholes=True),
    }


def magenta_cells(path):
    spec = importlib.util.spec_from_file_location("rnn", path)
    rnn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rnn)
    hyper = dict(hyper_num_units=3, hyper_embedding_size=2)
    return {
        "lstm": lambda: rnn.LSTMCell(UNITS),
        "lstm_fb": lambda: rnn.LSTMCell(UNITS, forget_bias=0.25),
        "layer_norm_lstm": lambda: rnn.LayerNormLSTMCell(UNITS),
        "hyper_lstm": lambda: rnn.HyperLSTMCell(UNITS, **hyper),
        "hyper_lstm_plain": lambda: rnn.HyperLSTMCell(UNITS, use_layer_norm=False, **hyper),
    }


def make(folder, name, cell):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, None, 3], name="x")
        outputs, state = tf.nn.dynamic_rnn(cell(), x, dtype=tf.float32)
        for variable in tf.global_variables():
            gain = 1.0 if "gamma" in variable.op.name else 0.0
            values = random.normal(gain, 0.5, variable.shape.as_list())
            values = values > 0 if variable.op.name.endswith("/mask") else values
            variable.load(np.asarray(values).astype("f"), session)
        where = os.path.join(HERE, folder, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {"x": random.normal(size=(2, 5, 3)).astype("f")}
        for t in range(5):
            out, states = session.run([outputs, tf.nest.flatten(state)], {x: data["x"][:, : t + 1]})
            for k, tensor in enumerate(states):
                data[f"step{t}_s{k}"] = data[f"st{k}"] = tensor
        data["out0"] = out
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump({"case": name, "tf": tf.__version__, "kind": "dyn", "vars": variables}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    what, wanted = sys.argv[1], sys.argv[2:]
    if what == "sonnet":
        place, cases = "sonnet-1.36", sonnet_cores()
    elif what == "contrib":
        place, cases = "contrib-1.15", contrib_cells()
    else:
        place, cases = "magenta-1.3.1", magenta_cells(what)
    for case in wanted or cases:
        make(place, case, cases[case])
