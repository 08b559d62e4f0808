"""Makes the goldens of `published-keras2.2.4`: classes that somebody published for Keras 2, run by Keras itself.

With Keras 2.2.4 on TensorFlow 1.15, and the files of https://github.com/titu1994 on the path: `janet.py` and
`chrono_lstm.py` of Keras-just-another-network-JANET, `ind_rnn.py` of Keras-IndRNN: `PYTHONPATH=… python
make_published.py [CASE …]`. JANET and ChronoLSTM can't say their configuration as layers (`get_config` asks for what
their cells don't have), so that a whole model is kept of their cells in an `RNN`; of the layers, the weights alone.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from chrono_lstm import ChronoLSTM, ChronoLSTMCell
from ind_rnn import IndRNN, IndRNNCell
from janet import JANET, JANETCell
from keras.layers import RNN

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "published-keras" + keras.__version__)
SEQUENCES = {"return_sequences": True, "input_shape": (5, 3)}
# Each the layers of a model, and of a layer that can't say its configuration what can: its cell.
CASES = {
    "janet": ([lambda: JANET(4, **SEQUENCES)], lambda: RNN(JANETCell(4), **SEQUENCES)),
    "janet_beta": ([lambda: RNN(JANETCell(4, beta=0.5, recurrent_activation="hard_sigmoid"), **SEQUENCES)], None),
    "chrono_lstm": ([lambda: ChronoLSTM(4, 5, **SEQUENCES)], lambda: RNN(ChronoLSTMCell(4, 5), **SEQUENCES)),
    "ind_rnn": ([lambda: IndRNN(4, **SEQUENCES)], None),
    "ind_rnn_stacked": ([lambda: RNN([IndRNNCell(4), IndRNNCell(3)], **SEQUENCES)], None),
    "ind_rnn_unclipped": ([lambda: IndRNN(4, recurrent_clip_min=None, activation="tanh", **SEQUENCES)], None),
    "ind_rnn_away_from_0": ([lambda: IndRNN(4, recurrent_clip_min=-0.7, recurrent_clip_max=1.2, **SEQUENCES)], None),
}


def make(name):
    """Builds, runs and saves a case."""
    keras.backend.clear_session()
    random = np.random.RandomState(sum(map(ord, name)))
    layers, stand_in = CASES[name]
    model = keras.Sequential([layer() for layer in layers])
    weights = [random.normal(0, 0.8, w.shape).astype("f") for w in model.get_weights()]
    model.set_weights(weights)
    x = random.normal(size=(2, 5, 3)).astype("f")
    y = model.predict(x)
    told = model
    if stand_in is not None:
        told = keras.Sequential([stand_in()])
        told.set_weights(weights)
        assert np.array_equal(told.predict(x), y)
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    if name != "janet_beta":  # nothing in its weights tells what they are
        model.save_weights(os.path.join(folder, "weights_only.h5"))
    told.save(os.path.join(folder, "model.h5"))
    np.savez(os.path.join(folder, "data.npz"), x=x, y=y)
    config = json.loads(told.to_json())
    if stand_in is not None:
        config["config"]["layers"][0]["config"]["name"] = model.layers[0].name
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump({"case": name, "version": "Keras " + keras.__version__, "config": config}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        make(case)
