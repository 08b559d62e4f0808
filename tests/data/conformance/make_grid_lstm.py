"""Makes goldens of cells that sweep over windows: `python make_grid_lstm.py [CASE …]`, TensorFlow 1.15, Python 3.7.

Into `tf1.15`, each case a cell with seeded random weights, saved with its graph, and what `dynamic_rnn` computes: `x`
`[2, 5, D]`, `out0`, the final states `st0` … in the cell's own order, and those after every step `step<t>_s<k>`.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf1.15")
WINDOWS = {"feature_size": 2, "frequency_skip": 2, "num_frequency_blocks": [2]}
# The width of x, and the cell. Behind the last window of the first lies a feature that nothing looks at.
CASES = {
    "grid_lstm_skip": (5, lambda: rnn.GridLSTMCell(4, True, forget_bias=0.5, cell_clip=0.2, **WINDOWS)),
    "bigrid_later": (
        4,
        lambda: rnn.BidirectionalGridLSTMCell(3, True, True, cell_clip=0.3, backward_slice_offset=1, **WINDOWS),
    ),
    "bigrid_coupled": (
        4,
        lambda: rnn.BidirectionalGridLSTMCell(3, couple_input_forget_gates=True, backward_slice_offset=-1, **WINDOWS),
    ),
}


def make(name):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    width, cell = CASES[name]
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, None, width], name="x")
        output, state = tf.nn.dynamic_rnn(cell(), x, dtype=tf.float32)
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.7, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(HERE, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {"x": random.normal(size=(2, 5, width)).astype("f")}
        for t in range(5):
            out, found = session.run([output, tf.nest.flatten(state)], {x: data["x"][:, : t + 1]})
            for k, array in enumerate(found):
                data[f"step{t}_s{k}"] = data[f"st{k}"] = array
        np.savez(os.path.join(where, "data.npz"), out0=out, **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump({"case": name, "tf": tf.__version__, "kind": "dyn", "vars": variables}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case)
