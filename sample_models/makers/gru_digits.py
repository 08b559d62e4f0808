"""A Keras 3 GRU of two layers that reads scikit-learn's handwritten digits a row of pixels at a time."""

import numpy as np

UNITS, EPOCHS, BATCH, SEED = (32, 24), 60, 32, 3
HELD_OUT, SHIPPED, EXPECTED = 397, 20, 4


def data():
    """`(train x, train y, held-out x, held-out y)`: x `[digits, 8 rows, 8 pixels]` float32 between 0 and 1."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = (digits.images / 16.0).astype(np.float32), digits.target.astype(np.int32)
    order = np.random.RandomState(SEED).permutation(len(x))
    x, y = x[order], y[order]
    return x[HELD_OUT:], y[HELD_OUT:], x[:HELD_OUT], y[:HELD_OUT]


def stepwise(keras, layer, x):
    """The layer's h at every step, `[batch, time, units]`, from a twin that returns its sequences."""
    twin = layer.__class__.from_config({**layer.get_config(), "return_sequences": True, "name": layer.name + "_twin"})
    twin.build(x.shape)
    twin.set_weights(layer.get_weights())
    return np.asarray(twin(keras.ops.convert_to_tensor(x)))


def make(folder):
    """Trains, and writes `gru_digits.keras`, held-out digits beside it, and what Keras computes for four of them."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    x, y, held_x, held_y = data()
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8)),
            keras.layers.GRU(UNITS[0], return_sequences=True, name="rows"),
            keras.layers.Dropout(0.2),
            keras.layers.GRU(UNITS[1], name="digit"),
            keras.layers.Dense(10, activation="softmax", name="class"),
        ],
        name="digits",
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, BATCH, EPOCHS, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(rate)])
    (_, trained), (_, held) = model.evaluate(x, y, verbose=0), model.evaluate(held_x, held_y, verbose=0)
    print(f"accuracy on the training digits {trained:.4f}, on {len(held_x)} held out {held:.4f}")
    model.save(f"{folder}/gru_digits.keras")
    np.save(f"{folder}/gru_digits.npy", held_x[:SHIPPED])
    shown = held_x[:EXPECTED]
    first = stepwise(keras, model.get_layer("rows"), shown)
    second = stepwise(keras, model.get_layer("digit"), first)
    output = model.predict(shown, verbose=0)
    dense = model.get_layer("class")
    assert np.allclose(np.asarray(dense(second[:, -1])), output, atol=1e-6)
    found = {"input": shown, "lengths": np.full(EXPECTED, shown.shape[1], np.int32), "output": output}
    for name, h in (("rows", first), ("digit", second)):
        found.update({"h/" + name: h, "final_h/" + name: h[:, -1]})
    np.savez(f"{folder}/gru_digits.expected.npz", **found, labels=held_y[:SHIPPED])


def rate(epoch, _):
    """The learning rate of an epoch: halved every fifteen."""
    return 3e-3 * 0.5 ** (epoch // 15)
