"""Makes the goldens of TensorFlow Addons in `tfa-0.20.0` and `tfa-keras-0.20.0`: `python make_addons.py [CASE …]`.

With tensorflow-addons 0.20 on TensorFlow 2.12. Each case is a cell with seeded random weights in `keras.layers.RNN`,
saved as `tf.train.Checkpoint(net=layer)`, and what Addons computes: `x` `[2, 5, 3]`, `out0` `[2, 5, units]`, the final
states `st0` … in the cell's own order and those after every step `step<t>_s<k>`.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
from keras.saving import saving_lib

HERE = Path(__file__).parent / f"tfa-{tfa.__version__}"
MODELS = Path(__file__).parent / f"tfa-keras-{tfa.__version__}"
SEQUENCES = {"return_sequences": True}
CELLS = {
    "peephole_lstm": lambda: tfa.rnn.PeepholeLSTMCell(4),
    "layer_norm_lstm": lambda: tfa.rnn.LayerNormLSTMCell(4),
    "nas": lambda: tfa.rnn.NASCell(4),
    "nas_full": lambda: tfa.rnn.NASCell(4, projection=2, use_bias=True),
    "layer_norm_simple_rnn": lambda: tfa.rnn.LayerNormSimpleRNNCell(4),
    "esn": lambda: tfa.rnn.ESNCell(4),
    "esn_leaky": lambda: tfa.rnn.ESNCell(4, leaky=0.3),
}


def rnn(cell, **options):
    """An `RNN` that returns its sequence."""
    return tf.keras.layers.RNN(cell, **SEQUENCES, **options)


LAYERS = {
    "peephole_lstm": lambda: [rnn(tfa.rnn.PeepholeLSTMCell(4, recurrent_activation="hard_sigmoid"))],
    "layer_norm_lstm": lambda: [rnn(tfa.rnn.LayerNormLSTMCell(4, norm_epsilon=0.1, use_bias=False))],
    "nas": lambda: [rnn(tfa.rnn.NASCell(4)), rnn(tfa.rnn.NASCell(4, projection=2, use_bias=True))],
    "esn": lambda: [tfa.layers.ESN(4, leaky=0.3, **SEQUENCES), rnn(tfa.rnn.ESNCell(3, activation="relu"))],
    "layer_norm_simple_rnn": lambda: [rnn(tfa.rnn.LayerNormSimpleRNNCell(4, layernorm_epsilon=0.2))],
    "stacked": lambda: [rnn([tfa.rnn.LayerNormLSTMCell(4), tfa.rnn.PeepholeLSTMCell(4), tfa.rnn.LayerNormLSTMCell(4)])],
    "bidirectional": lambda: [tf.keras.layers.Bidirectional(rnn(tfa.rnn.PeepholeLSTMCell(4)))],
}


def make_model(name: str) -> None:
    """Builds, runs and saves a Keras model."""
    tf.keras.backend.clear_session()
    random = np.random.default_rng(sum(map(ord, name)))
    model = tf.keras.Sequential([tf.keras.Input((5, 3), name="x"), *LAYERS[name]()])
    for variable in model.variables:
        variable.assign(random.normal(1.0 if "gamma" in variable.name else 0.0, 0.5, variable.shape))
    x = random.normal(size=(2, 5, 3)).astype("f")
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    model.save(str(folder / "model.h5"))
    model.save_weights(str(folder / "weights_only.h5"))
    saving_lib.save_model(model, str(folder / "m.keras"))
    tf.keras.models.save_model(model, str(folder / "sm"), save_traces=False)
    np.savez(folder / "data.npz", x=x, y=model(x).numpy())
    case = {"case": name, "version": f"Addons {tfa.__version__}", "config": json.loads(model.to_json())}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


class Subclassed(tf.keras.Model):
    """Layers in a model with code of its own, whose configurations alone are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = rnn(tfa.rnn.PeepholeLSTMCell(4, recurrent_activation="hard_sigmoid"))
        self.echo = tfa.layers.ESN(3, leaky=0.3, **SEQUENCES)
        self.normed = rnn(tfa.rnn.LayerNormLSTMCell(3, norm_epsilon=0.1), go_backwards=True)

    def call(self, x):
        return self.normed(self.echo(self.reader(x)))


def make_subclassed() -> None:
    """Builds, runs and saves it, with what enters each layer and what comes out."""
    tf.keras.backend.clear_session()
    random, model = np.random.default_rng(11), Subclassed()
    x = random.normal(size=(2, 5, 3)).astype("f")
    model(x)
    for variable in model.variables:
        variable.assign(random.normal(1.0 if "gamma" in variable.name else 0.0, 0.5, variable.shape))
    data = {"x": x, "reader": model.reader(x).numpy()}
    data["echo"] = model.echo(data["reader"]).numpy()
    data["normed"] = model.normed(data["echo"]).numpy()[:, ::-1]
    folder = MODELS / "subclassed"
    tf.keras.models.save_model(model, str(folder / "sm"), save_traces=False)
    np.savez(folder / "data.npz", **data)


def make(name: str) -> None:
    """Builds, runs and saves a case."""
    random = np.random.default_rng(sum(map(ord, name)))
    layer = tf.keras.layers.RNN(CELLS[name](), return_sequences=True, return_state=True)
    x = random.normal(size=(2, 5, 3)).astype("f")
    layer(x)
    for variable in layer.variables:
        variable.assign(random.normal(1.0 if "gamma" in variable.name else 0.0, 0.5, variable.shape))
    data = {"x": x}
    for t in range(5):
        out, *states = layer(x[:, : t + 1])
        data |= {f"{at}_s{k}" if at else f"st{k}": a.numpy() for at in (f"step{t}", "") for k, a in enumerate(states)}
    data["out0"] = out.numpy()
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    tf.train.Checkpoint(net=layer).write(str(folder / "model.ckpt"))
    np.savez(folder / "data.npz", **data)
    variables = {variable.name: variable.shape.as_list() for variable in layer.variables}
    case = {"case": name, "addons": tfa.__version__, "tf": tf.__version__, "kind": "dyn", "vars": variables}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


if __name__ == "__main__":
    for case in sys.argv[1:] or CELLS:
        make(case)
    for case in sys.argv[1:] or LAYERS:
        make_model(case)
    make_subclassed()
