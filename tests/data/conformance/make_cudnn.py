"""Makes `tf_keras-2.21/cudnn*`: weights as Keras's CuDNN layers store them, and what Keras computes from them.

cuDNN itself needs a GPU. Keras loads CuDNN weights into the plain layers, converting them; the plain layer computes y.
Run with tf_keras 2.21: `TF_USE_LEGACY_KERAS=1 python make_cudnn.py`.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

keras = tf.compat.v1.keras
BATCH, STEPS, FEATURES, UNITS = 2, 5, 3, 4
PAIRS = {
    "cudnnlstm": (keras.layers.CuDNNLSTM, keras.layers.LSTM, {}),
    "cudnngru": (keras.layers.CuDNNGRU, keras.layers.GRU, {"reset_after": True}),
}

for name, (fast, plain, options) in PAIRS.items():
    keras.backend.clear_session()
    folder = Path(__file__).parent / "tf_keras-2.21" / name
    folder.mkdir(parents=True, exist_ok=True)
    shape = {"return_sequences": True, "input_shape": (STEPS, FEATURES)}
    model = keras.Sequential([fast(UNITS, **shape)])
    random = np.random.RandomState(sum(map(ord, name)))
    weights = [(0.5 * random.randn(*w.shape)).astype("f") for w in model.get_weights()]
    model.set_weights(weights)
    model.save(folder / "model.h5")
    model.save_weights(folder / "weights_only.h5")
    x = random.randn(BATCH, STEPS, FEATURES).astype("f")
    converted = keras.Sequential([plain(UNITS, recurrent_activation="sigmoid", **options, **shape)])
    converted.load_weights(folder / "weights_only.h5")
    y = converted.predict(x)
    np.savez(folder / "data.npz", x=x, y=y, **{f"w{k}": w for k, w in enumerate(weights)})
    case = {"case": name, "version": "tf_keras 2.21", "config": json.loads(model.to_json())}
    (folder / "case.json").write_text(json.dumps(case, indent=1))
