"""Makes goldens of wrapped cells in `tf1.15`: `python make_wrapped.py [CASE …]`, with TensorFlow 1.15 under Python 3.7.

Each case is a cell with seeded random weights, saved with its graph, and what TensorFlow computes: `x` `[2, 5, 3]`,
`out0` … and the final states `st0` … in the cell's own order, and those after every step `step<t>_s<k>`. What
`dynamic_rnn` can run is of the kind `dyn`; an NTMCell, whose states are not of the shapes that it declares, is stepped.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn
from tensorflow.contrib.rnn.python.ops.gru_ops import GRUBlockCell
from tensorflow.contrib.rnn.python.ops.rnn_cell import NTMCell

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf1.15")
GRU, LSTM = rnn.GRUCell, rnn.BasicLSTMCell
CASES = {
    "ntm_heads": lambda: NTMCell(GRU(4), 7, 3, 2, 2, shift_range=2, output_dim=2, clip_value=0.5),
    "inproj_relu": lambda: rnn.InputProjectionWrapper(GRU(4), 6, activation=tf.nn.relu),
    "outproj_tanh": lambda: rnn.OutputProjectionWrapper(GRU(4), 6, activation=tf.nn.tanh),
    "highway_outproj": lambda: rnn.HighwayWrapper(rnn.OutputProjectionWrapper(LSTM(4), 3)),
    "resid_highway": lambda: rnn.ResidualWrapper(rnn.HighwayWrapper(GRU(3))),
    "attn_gru": lambda: rnn.AttentionCellWrapper(GRU(4), 4, attn_size=5, attn_vec_size=2, input_size=6),
    "multi_ugrnn": lambda: rnn.MultiRNNCell([rnn.UGRNNCell(4), rnn.IntersectionRNNCell(4), GRUBlockCell(4)]),
}


def stepped(cell, x):
    state, outputs, states = cell.zero_state(2, tf.float32), [], []
    with tf.variable_scope("rnn", reuse=tf.AUTO_REUSE):
        for step in tf.unstack(x, 5, axis=1):
            output, state = cell(step, state)
            outputs.append(output)
            states.append([tensor for tensor in tf.nest.flatten(state) if tf.is_tensor(tensor)])
    return outputs, states


def make(name):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    by_hand = name.startswith("ntm")
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, 5 if by_hand else None, 3], name="x")
        if by_hand:
            outputs, states = stepped(CASES[name](), x)
        else:
            output, state = tf.nn.dynamic_rnn(CASES[name](), x, dtype=tf.float32)
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.7, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(HERE, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {"x": random.normal(size=(2, 5, 3)).astype("f")}
        for t in range(5):
            if by_hand:
                found = session.run(states[t], {x: data["x"]})
            else:
                out, found = session.run([output, tf.nest.flatten(state)], {x: data["x"][:, : t + 1]})
            for k, array in enumerate(found):
                data[f"step{t}_s{k}"] = data[f"st{k}"] = array
        shown = session.run(outputs, {x: data["x"]}) if by_hand else [out]
        data.update({f"out{k}": array for k, array in enumerate(shown)})
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        kind = "ntm" if by_hand else "dyn"
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump({"case": name, "tf": tf.__version__, "kind": kind, "vars": variables}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case)
