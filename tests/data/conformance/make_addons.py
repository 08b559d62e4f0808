"""Makes the goldens of TensorFlow Addons in `tfa-0.20.0`: `python make_addons.py [CASE …]`.

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

HERE = Path(__file__).parent / f"tfa-{tfa.__version__}"
CELLS = {
    "peephole_lstm": lambda: tfa.rnn.PeepholeLSTMCell(4),
    "layer_norm_lstm": lambda: tfa.rnn.LayerNormLSTMCell(4),
    "nas": lambda: tfa.rnn.NASCell(4),
    "nas_full": lambda: tfa.rnn.NASCell(4, projection=2, use_bias=True),
    "layer_norm_simple_rnn": lambda: tfa.rnn.LayerNormSimpleRNNCell(4),
    "esn": lambda: tfa.rnn.ESNCell(4),
    "esn_leaky": lambda: tfa.rnn.ESNCell(4, leaky=0.3),
}


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
