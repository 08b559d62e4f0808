"""Makes goldens of grids whose weights are tied, or whose first dimension has no recurrence.

`python make_grid_rnn.py [CASE …]`, with TensorFlow 1.15 under Python 3.7, into `tf1.15`. Each case is a class of
`contrib.grid_rnn` with seeded random weights, saved with its graph, and what `dynamic_rnn` computes: `x` `[2, 5, 3]`,
`out0`, the final states `st0` … in the cell's own order, and those after every step `step<t>_s<k>`.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.contrib import grid_rnn

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tf1.15")
UNITS = 4
CASES = {
    "grid2basicrnncell": (grid_rnn.Grid2BasicRNNCell, tf.nn.relu, {}),
    "grid2basiclstmcell": (grid_rnn.Grid2BasicLSTMCell, tf.nn.tanh, {"forget_bias": 0.5}),
    "grid2lstmcell": (grid_rnn.Grid2LSTMCell, tf.nn.relu, {"use_peepholes": True}),
    "grid3lstmcell": (grid_rnn.Grid3LSTMCell, tf.nn.sigmoid, {"forget_bias": 0.5}),
    "grid2grucell": (grid_rnn.Grid2GRUCell, tf.nn.relu, {}),
}
CASES = {
    f"{name}_{kind}": lambda made=made, given=given: made(UNITS, **given)
    for name, (made, fn, options) in CASES.items()
    for kind, given in (("tied", {"tied": True, **options}), ("non_recurrent", {"non_recurrent_fn": fn, **options}))
}
# Arranged as a Grid2LSTMCell is.
CASES["gridrnncell"] = lambda: grid_rnn.GridRNNCell(UNITS, 2, input_dims=0, output_dims=0, priority_dims=0)


def make(name):
    """Builds, runs and saves a case."""
    random = np.random.RandomState(sum(map(ord, name)))
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, None, 3], name="x")
        # A dimension without a recurrence asks the scope for an initializer, and fails where it has none.
        with tf.variable_scope(tf.get_variable_scope(), initializer=tf.zeros_initializer()):
            (output,), state = tf.nn.dynamic_rnn(CASES[name](), x, dtype=tf.float32)
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.7, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(HERE, name)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data = {"x": random.normal(size=(2, 5, 3)).astype("f")}
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
