"""Makes `branches` of two releases: `Masking` in front of one LSTM, beside another LSTM that reads the same input bare.

python make_branches.py keras3.15       (Keras 3.15)
python make_branches.py tf_keras-2.21   (tf_keras 2.21)
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np


def main(release: str) -> None:
    keras = importlib.import_module("keras" if release.startswith("keras") else "tf_keras")
    keras.utils.set_random_seed(5)
    inputs = keras.Input((6, 3))
    masked = keras.layers.Masking(name="skip")(inputs)
    ends = [keras.layers.LSTM(3, name="bare")(inputs), keras.layers.LSTM(4, name="masked")(masked)]
    model = keras.Model(inputs, keras.layers.Concatenate(name="both")(ends))
    random = np.random.default_rng(5)
    model.set_weights([random.normal(0, 0.5, w.shape).astype("f") for w in model.get_weights()])
    x = random.normal(size=(3, 6, 3)).astype("f")
    x[0, 2:4], x[1, 0], x[1, 4:] = 0, 0, 0  # in the middle, at the start, and to the end
    folder = Path(__file__).parent / release / "branches"
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "m.keras")
    case = {"case": "branches", "version": keras.__version__, "config": json.loads(model.to_json())}
    (folder / "case.json").write_text(json.dumps(case))
    np.savez(folder / "data.npz", x=x, y=np.asarray(model.predict(x, verbose=0)))


if __name__ == "__main__":
    main(sys.argv[1])
