"""What the units of the character LSTM follow: correlations with what the characters of held-out source are.

Plain NumPy from the stored weights: a measurement by other means than those that it is to be compared with.
"""
# ruff: noqa: B905  `zip` has no `strict` in Python 3.7

import json
import os

import numpy as np

from makers import source_text

TOP = 3
LAYER = "rnn/multi_rnn_cell/cell_{}/basic_lstm_cell"


def sigmoid(x):
    """The logistic function."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def replay(weights, ids):
    """h and c of every layer at every step: `[(h [time, units], c [time, units]), …]`, float32, from zero states.

    `weights` is the embedding and, for each layer, its kernel `[input + units, 4 · units]` (columns i, j, f, o) and its
    bias.
    """
    embedding, layers = weights
    x, found = embedding[ids], []
    for kernel, bias in layers:
        units = len(bias) // 4
        inputs = x @ kernel[:-units] + bias
        h, c = np.zeros((2, len(ids), units), np.float32)
        last_h, last_c = np.zeros((2, units), np.float32)
        for t, z in enumerate(inputs):
            i, j, f, o = np.split(z + last_h @ kernel[-units:], 4)
            last_c = c[t] = sigmoid(f + 1) * last_c + sigmoid(i) * np.tanh(j)
            last_h = h[t] = sigmoid(o) * np.tanh(last_c)
        found.append((h, c))
        x = h
    return found


def load(folder):
    """The weights of the latest checkpoint in `folder`, as `replay` takes them."""
    import tensorflow

    reader = tensorflow.train.load_checkpoint(folder)
    scopes = [LAYER.format(layer) for layer in range(2)]
    layers = [[reader.get_tensor(scope + leaf) for leaf in ("/kernel", "/bias")] for scope in scopes]
    return reader.get_tensor("embedding"), layers


def correlations(values, targets):
    """Pearson's r of each column of `values` `[time, units]` with each of `targets` `[time, k]`: `[units, k]`."""
    values, targets = values - values.mean(0, dtype=np.float64), targets - targets.mean(0)
    scale = np.outer(np.linalg.norm(values, axis=0), np.linalg.norm(targets, axis=0))
    return values.T @ targets / np.where(scale == 0, np.inf, scale)


def table(texts, weights, vocabulary):
    """`{(layer, signal): [units, features]}` over all of `texts`, each read from zero states."""
    targets, values = [], {}
    for name in sorted(texts):
        features = source_text.features(texts[name])
        targets.append(np.array([features[feature] for feature in source_text.FEATURES]).T)
        ids = np.array([vocabulary[char] for char in texts[name]])
        for layer, pair in enumerate(replay(weights, ids)):
            for signal, value in zip("hc", pair):
                values.setdefault((layer, signal), []).append(value)
    targets = np.concatenate(targets)
    return {key: correlations(np.concatenate(value), targets) for key, value in values.items()}


def write(folder):
    """Writes `units.json`: for each feature the units that follow it best, on held-out files and on the example."""
    with open(os.path.join(folder, "vocab.json")) as file:
        vocabulary = json.load(file)
    with open(os.path.join(folder, "example.py")) as file:
        example = {"example.py": file.read()}
    weights = load(folder)
    held_out = table(source_text.split()[1], weights, vocabulary)
    on_example = table(example, weights, vocabulary)
    found = {}
    for column, feature in enumerate(source_text.FEATURES):
        every = [
            {"layer": LAYER.format(layer), "signal": signal, "unit": unit, "r": round(float(value), 3),
             "r_example": round(float(on_example[layer, signal][unit, column]), 3)}
            for (layer, signal), units in held_out.items()
            for unit, value in enumerate(units[:, column])
        ]  # fmt: skip
        found[feature] = sorted(every, key=lambda row: -abs(row["r"]))[:TOP]
    with open(os.path.join(folder, "units.json"), "w") as file:
        json.dump({"held_out": list(source_text.HELD_OUT), "follows": found}, file, indent=1)
        file.write("\n")
    for feature, rows in found.items():
        print(feature, *("{layer} {signal}[{unit}] {r:+.2f} ({r_example:+.2f})".format(**row) for row in rows))
