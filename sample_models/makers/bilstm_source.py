"""A bidirectional Keras 2 LSTM that says of each character of Python source: code, string or comment.

Keras 2.2.4 on TensorFlow 1.15 made the sample, so that its gates are hard sigmoids: the default up to Keras 2.2.
"""

import json
import os

import numpy as np

from makers import source_text

EMBEDDED, UNITS, LONGEST = 16, 40, 160
EPOCHS, BATCH, WINDOWS, SEED = 5, 64, 24000, 5
SHIPPED, EXPECTED_STEPS, EXPECTED = 12, 48, 3
CLASSES = ("code", "string", "comment")
PAD = "<pad>"


def windows(text):
    """Runs of whole lines of at most `LONGEST` characters: `(characters, their classes)` of each."""
    kinds = source_text.features(text)
    kind = np.array(kinds["string"]) + 2 * np.array(kinds["comment"])
    start = at = 0
    for line in source_text.lines(text):
        if at + len(line) - start > LONGEST:
            if 0 < at - start <= LONGEST:
                yield text[start:at], kind[start:at].astype(np.int32)
            start = at
        at += len(line)


def data(texts, vocabulary, limit=None):
    """`(ids [windows, LONGEST], classes [windows, LONGEST, 1])`; where the id is 0 there is only padding."""
    found = [window for name in sorted(texts) for window in windows(texts[name])]
    np.random.RandomState(SEED).shuffle(found)
    found = found[:limit]
    ids, classes = np.zeros((2, len(found), LONGEST), np.int32)
    for row, (text, kind) in enumerate(found):
        ids[row, : len(text)] = [vocabulary[char] for char in text]
        classes[row, : len(text)] = kind
    return ids, classes[..., None]


def build(keras, vocabulary):
    """The model, uncompiled."""
    layers = keras.layers
    return keras.models.Sequential(
        [
            layers.Embedding(vocabulary, EMBEDDED, mask_zero=True, name="characters"),
            layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, name="reader"), name="both"),
            layers.TimeDistributed(layers.Dense(len(CLASSES), activation="softmax"), name="kind"),
        ]
    )


def states(keras, wrapper, embedded, backward):
    """h and c after each step of one direction, `[time, units]`, each from a run of the genuine layer.

    A layer returns c only at its end, hence a run for each step: over the steps up to it, or from the end down to it.
    """
    cell = wrapper.backward_layer if backward else wrapper.forward_layer
    config = cell.get_config()
    config.update(name="stepwise_" + cell.name, return_sequences=False, return_state=True)
    layer = keras.layers.LSTM.from_config(config)
    entry = keras.layers.Input((None, embedded.shape[1]))
    model = keras.models.Model(entry, layer(entry)[1:])
    layer.set_weights(cell.get_weights())
    steps = range(len(embedded))
    runs = [model.predict(embedded[None, t:] if backward else embedded[None, : t + 1]) for t in steps]
    return np.stack([run[0][0] for run in runs]), np.stack([run[1][0] for run in runs])


def expected(keras, model, ids):
    """What Keras computes for a few short sequences: a dictionary for `np.savez`, NaN past a sequence's length."""
    table, wrapper = model.layers[0].get_weights()[0], model.layers[1]
    lengths = (ids != 0).sum(1)
    found = {"ids": ids, "lengths": lengths.astype(np.int32), "input": table[ids], "output": model.predict(ids)}
    inner = keras.models.Model(model.inputs, wrapper.output).predict(ids)
    for backward, name in enumerate(("forward", "backward")):
        h, c = np.full((2, *ids.shape, UNITS), np.nan, np.float32)
        for row, length in enumerate(lengths):
            h[row, :length], c[row, :length] = states(keras, wrapper, table[ids[row, :length]], bool(backward))
            part = inner[row, :length, backward * UNITS : (backward + 1) * UNITS]
            assert np.allclose(h[row, :length], part, atol=1e-6), "the stepwise run is not the layer's own"
        last = [0] * len(ids) if backward else lengths - 1
        found.update({"h/both/" + name: h, "c/both/" + name: c})
        found.update(
            {"final_h/both/" + name: h[range(len(ids)), last], "final_c/both/" + name: c[range(len(ids)), last]}
        )
    return found


def make(folder):
    """Trains, and writes `bilstm_source.h5`, its vocabulary, held-out input, and what Keras computes for some of it."""
    import keras
    import tensorflow as tf

    np.random.seed(SEED)
    tf.compat.v1.set_random_seed(SEED)
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    keras.backend.set_session(tf.compat.v1.Session(config=config))
    training, held_out = source_text.split()
    tokens = [PAD, *sorted(set("".join(training.values())))]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    ids, classes = data(training, vocabulary, WINDOWS)
    held_ids, held_classes = data(held_out, vocabulary)
    model = build(keras, len(tokens))
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    for epoch in range(EPOCHS):
        keras.backend.set_value(model.optimizer.lr, 4e-3 * 0.5**epoch)
        model.fit(ids, classes, BATCH, verbose=2)
        found, valid = model.predict(held_ids, 256).argmax(-1), held_ids != 0
        right = (found == held_classes[..., 0])[valid]
        print(f"held-out accuracy {right.mean():.4f} of {right.size} characters", flush=True)
        for number, name in enumerate(CLASSES):
            part = (held_classes[..., 0] == number)[valid]
            print(f"  {name}: {right[part].mean():.4f} of {part.sum()}", flush=True)
    model.save(os.path.join(folder, "bilstm_source.h5"), include_optimizer=False)
    with open(os.path.join(folder, "bilstm_source.vocab.json"), "w") as file:
        json.dump(vocabulary, file, indent=0)
        file.write("\n")
    np.save(os.path.join(folder, "bilstm_source.npy"), held_ids[:SHIPPED])
    short = held_ids[:SHIPPED][:EXPECTED, :EXPECTED_STEPS].copy()
    for row in range(EXPECTED):
        short[row, EXPECTED_STEPS - 11 * row :] = 0
    np.savez(os.path.join(folder, "bilstm_source.expected.npz"), **expected(keras, model, short))
