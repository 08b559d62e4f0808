"""Makes goldens of tf.keras layers and cells in graphs of TensorFlow 1: `python make_keras_in_graph.py [CASE …]`.

What TensorFlow 1.15, 1.12 and 1.4 each make is listed in `KNOWN`. A case is a placeholder `x` and Keras layers called
on it, or a Keras cell in `dynamic_rnn`, with seeded random weights; saved by a `tf.train.Saver` with its graph, without
any configuration. Beside it lie `x` `[2, 5, 3]` (of `ids`: `[2, 5]`), what TensorFlow computes, `out0`, and, of single
layers, the final states `st0` … in TensorFlow 1's order, c before h. Those that need more than that to be compared, and
those of which nothing but the graph tells the masks, lie in `tests/data/graph`.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

K = tf.keras.layers
RELEASE = ".".join(tf.__version__.split(".")[:2])
HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = {"conformance": HERE, "graph": os.path.join(HERE, os.pardir, "graph")}
STEPS, UNITS = 5, 4


def layer(made, **options):
    """A single layer, with its final states."""

    def build(x):
        h, *states = made(UNITS, return_sequences=True, return_state=True, **options)(x)
        return h, states[::-1]

    return build


def cell(made, **options):
    """A cell in TensorFlow's own loop."""

    def build(x):
        h, states = tf.nn.dynamic_rnn(made(UNITS, **options), x, dtype=tf.float32)
        return h, states[::-1] if isinstance(states, (list, tuple)) else [states]

    return build


def chain(*makers):
    """Layers one after the other."""

    def build(x):
        for maker in makers:
            x = maker()(x)
        return x, []

    return build


def whole(made, *arguments, **options):
    """What makes a layer that gives every step."""
    return lambda: made(*arguments, return_sequences=True, **options)


def both_ways(**options):
    """What makes a bidirectional LSTM."""
    return lambda: K.Bidirectional(K.LSTM(UNITS, return_sequences=True, **options))


def masking():
    return K.Masking(0.0)


KNOWN = {}
if RELEASE == "1.15":
    from tensorflow.python.keras.layers import recurrent_v2

    KNOWN = {
        "conformance/keras_lstm": layer(K.LSTM),
        "conformance/keras_lstm_v2": layer(recurrent_v2.LSTM),
        "conformance/keras_gru_v2": layer(recurrent_v2.GRU),
        "conformance/keras_gru_after": layer(K.GRU, reset_after=True, recurrent_activation="sigmoid"),
        "conformance/keras_rnn_relu": layer(K.SimpleRNN, activation="relu"),
        "conformance/keras_cell_lstm": cell(K.LSTMCell),
        "conformance/keras_cell_gru": cell(K.GRUCell),
        "conformance/keras_two": chain(whole(K.LSTM, UNITS), whole(K.GRU, 3)),
        "conformance/keras_masked": chain(masking, whole(K.LSTM, UNITS), whole(K.GRU, 3)),
        "graph/keras_masked_both": chain(masking, both_ways()),
        "graph/keras_masked_back": chain(masking, whole(K.LSTM, UNITS, go_backwards=True)),
        "graph/keras_masked_otherwise": chain(lambda: K.Masking(-1.0), whole(K.LSTM, UNITS)),
        "graph/keras_ids": chain(lambda: K.Embedding(7, 3, mask_zero=True), whole(K.LSTM, UNITS), whole(K.GRU, 3)),
    }
elif RELEASE == "1.12":
    KNOWN = {
        "conformance/keras_lstm_relu": layer(K.LSTM, activation="relu", recurrent_activation="sigmoid"),
        "conformance/keras_lstm_nobias": layer(K.LSTM, use_bias=False, implementation=2),
        "conformance/keras_cell_rnn": cell(K.SimpleRNNCell),
        "graph/keras_masked_unrolled": chain(masking, whole(K.LSTM, UNITS, unroll=True)),
        "graph/keras_both": chain(both_ways(), whole(K.GRU, 3)),
    }
elif RELEASE == "1.4":
    # Whose layers make the input's share of each product for all steps at once, before the loop.
    KNOWN = {
        "conformance/keras_lstm": layer(K.LSTM),
        "conformance/keras_gru_whole": layer(K.GRU, implementation=2),
        "conformance/keras_two": chain(whole(K.GRU, UNITS), whole(K.SimpleRNN, 3)),
        "graph/keras_both": chain(both_ways(recurrent_activation="sigmoid"), whole(K.GRU, 3)),
    }


def given(name, random):
    """What enters, some of its steps skipped where the case has masks."""
    if "ids" in name:
        return np.array([[3, 0, 2, 5, 0], [0, 1, 6, 0, 4]], "i")
    x = random.normal(size=(2, STEPS, 3)).astype("f")
    if "masked" in name:
        x[0, 3:] = x[1, :2] = x[1, 3] = 0
    return x


def kind(case):
    """What runs the steps: Keras's own loop, once for each layer and direction; TensorFlow's; or none."""
    if "cell" in case:
        return "dyn"
    if "unrolled" in case:
        return "pyloop"
    return "keras" if case not in LOOPS else f"keras{LOOPS[case]}"


LOOPS = {"keras_two": 2, "keras_masked": 2, "keras_ids": 2, "keras_masked_both": 2, "keras_both": 3}


def make(name):
    """Builds, runs and saves a case."""
    folder, case = name.split("/")
    random = np.random.RandomState(sum(map(ord, name)))
    with tf.Graph().as_default(), tf.Session() as session:
        data = {"x": given(name, random)}
        steps = STEPS if "unrolled" in name else None
        x = tf.placeholder(data["x"].dtype, [None, steps, *data["x"].shape[2:]], name="x")
        output, states = KNOWN[name](x)
        for variable in tf.global_variables():
            variable.load(random.normal(0, 0.7, variable.shape.as_list()).astype("f"), session)
        where = os.path.join(FOLDERS[folder], "tf" + RELEASE, case)
        os.makedirs(where, exist_ok=True)
        tf.train.Saver().save(session, os.path.join(where, "model.ckpt"), write_state=False)
        data["out0"], found = session.run([output, states], {x: data["x"]})
        data.update({f"st{k}": state for k, state in enumerate(found)})
        np.savez(os.path.join(where, "data.npz"), **data)
        variables = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        with open(os.path.join(where, "case.json"), "w") as file:
            json.dump({"case": case, "tf": tf.__version__, "kind": kind(case), "vars": variables}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or KNOWN:
        make(case)
