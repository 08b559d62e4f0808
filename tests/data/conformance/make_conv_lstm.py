"""Makes goldens of Keras's convolutional layers beside it: `python make_conv_lstm.py RELEASE`.

RELEASE is `keras3.15` (Keras 3.15) or `tf_keras-2.21` (tf_keras 2.21). Each case is a model of such layers, with seeded
random weights: `x` is its input, `y` what Keras computes, `w0` … its weights.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np

RELEASE = sys.argv[1]
KERAS = importlib.import_module("keras" if RELEASE.startswith("keras") else "tf_keras")
L = KERAS.layers
CASES = {
    # Strides, and everything that is not Keras's default.
    "convlstm1d": (
        (5, 9, 2),
        [
            L.ConvLSTM1D(
                3,
                4,
                strides=2,
                activation="relu6",
                recurrent_activation="hard_sigmoid",
                use_bias=False,
                return_sequences=True,
            )
        ],
    ),
    "convlstm3d": (
        (4, 4, 5, 3, 2),
        [L.ConvLSTM3D(3, (3, 2, 1), padding="same", return_sequences=True, go_backwards=True)],
    ),
    # A stack, the second of which looks further.
    "convlstm2d_stack": (
        (4, 8, 7, 2),
        [
            L.ConvLSTM2D(3, (3, 2), strides=(2, 1), padding="same", return_sequences=True),
            L.ConvLSTM2D(2, 2, dilation_rate=(1, 2), return_sequences=True),
        ],
    ),
    "convlstm2d_first": (
        (4, 2, 6, 5),
        [L.ConvLSTM2D(3, (3, 2), data_format="channels_first", return_sequences=True)],
    ),
}


def main() -> None:
    for name, (shape, layers) in CASES.items():
        random = np.random.default_rng(sum(map(ord, name)))
        model = KERAS.Sequential([KERAS.Input(shape), *layers])
        weights = [random.normal(0, 0.5, w.shape).astype("f") for w in model.get_weights()]
        model.set_weights(weights)
        x = random.normal(size=(2, *shape)).astype("f")
        folder = Path(__file__).parent / RELEASE / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / "model.h5")
        model.save(folder / "m.keras")
        model.save_weights(folder / "w.weights.h5")
        if RELEASE.startswith("tf_keras"):
            model.save_weights(folder / "tfw", save_format="tf")
        case = {"case": name, "version": KERAS.__version__, "config": json.loads(model.to_json())}
        (folder / "case.json").write_text(json.dumps(case))
        y = model.predict(x, verbose=0)
        np.savez(folder / "data.npz", x=x, y=y, **{f"w{k}": w for k, w in enumerate(weights)})
        print(name, x.shape, y.shape)


if __name__ == "__main__":
    main()
