"""Whole models against Keras itself, each sequence run by Keras alone and at its own length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe import engine
from rnnprobe.cells import KERAS_GRU_RESET_AFTER, KERAS_LSTM
from rnnprobe.cells.conv_lstm import KERAS_CONV_LSTM_1D, KERAS_CONV_LSTM_2D
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.engine import passes
from rnnprobe.types import Cell, Checkpoint, Embedding, Feed, KerasLayer, Layer, Mask, Network, Transform, Value

from ..cells.made import network, tensor
from .networks import batch, outcomes, run

keras = pytest.importorskip("keras")
CLOSE = {"rtol": 0, "atol": 5e-6}


def layer(name: str, cell: Cell, weights: list[np.ndarray], options: dict | None = None, **changes) -> Layer:
    """A layer with the weights of a genuine one."""
    roles = ("kernel", "recurrent_kernel", "bias")
    tensors = {role: tensor(f"{name}/{role}", array) for role, array in zip(roles, weights, strict=True)}
    known = {key: Value(value, "config") for key, value in (options or {}).items()}
    return Layer(name, name, cell, tensors, fit(cell, tensors), defaults(cell, known), **changes)


def keras_layer(class_name: str, genuine=None, inner: tuple[KerasLayer, ...] = (), **config) -> KerasLayer:
    arrays = () if genuine is None else genuine.get_weights()
    tensors = tuple(tensor(f"{class_name}/{k}", array) for k, array in enumerate(arrays))
    return KerasLayer(class_name, config, tensors, inner=inner)


def scramble(model) -> None:
    """Weights in which nothing is zero."""
    random = np.random.default_rng(4)
    model.set_weights([random.normal(0.1, 0.4, array.shape).astype("f") for array in model.get_weights()])


def test_masked_ids_through_both_directions_and_attention():
    """Embedding with `mask_zero`, Bidirectional, Dense, a GRU, attention of its steps over those before, a mean."""
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(9, 3, mask_zero=True)
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))
    dense, gru = keras.layers.Dense(4, "tanh"), keras.layers.GRU(4, return_sequences=True)
    below = dense(both(embedding(ids)))
    top = gru(below)
    attended = keras.layers.Attention()([top, below])
    pooled = keras.layers.GlobalAveragePooling1D()(attended)
    model = keras.Model(ids, [top, attended, pooled])
    scramble(model)

    mask, held = Mask("embedding", 0), Mask("embedding", 0, "zeros")
    net = Network(
        Checkpoint("made", "made", {}),
        (
            layer("fw", KERAS_LSTM, both.forward_layer.get_weights(), feed=Feed(("embedding",), mask=held)),
            layer(
                "bw",
                KERAS_LSTM,
                both.backward_layer.get_weights(),
                feed=Feed(("embedding",), mask=held),
                direction="backward",
            ),
            layer("gru", KERAS_GRU_RESET_AFTER, gru.get_weights(), feed=Feed(("dense",), mask=mask)),
        ),
        (Embedding("embedding", tensor("table", embedding.get_weights()[0]), "config", "ids"),),
        transforms=(
            Transform(
                "dense", keras_layer("Dense", dense, units=4, activation="tanh"), (Feed(("fw", "bw"), mask=mask),), True
            ),
            Transform(
                "attention", keras_layer("Attention"), (Feed(("gru",), mask=mask), Feed(("dense",), mask=mask)), False
            ),
            Transform("mean", keras_layer("GlobalAveragePooling1D"), (Feed(("attention",), mask=mask),), False),
        ),
        outputs={"top": Feed(("gru",)), "attended": Feed(("attention",)), "mean": Feed(("mean",))},
        shapes={"ids": (None,)},
    )
    x, lengths = np.array([[3, 0, 5, 6, 0, 1], [1, 2, 8, 0, 0, 0], [0, 4, 0, 7, 7, 0]]), [6, 3, 5]
    (found,) = outcomes(net, batch(x, lengths))
    for k, length in enumerate(lengths):
        expected = [np.asarray(a) for a in model(x[k : k + 1, :length])]
        for name, array in zip(("top", "attended"), expected, strict=False):
            np.testing.assert_allclose(found[name][k, :length], array[0], err_msg=name, **CLOSE)
            assert np.isnan(found[name][k, length:]).all()
        np.testing.assert_allclose(found["mean"][k], expected[2][0], **CLOSE)


@pytest.mark.parametrize("most", [4096, 2])
def test_frames_through_convolutional_layers(monkeypatch, most):
    """Two ConvLSTM2D of other strides and padding, a pooling of each frame between them, the last frame's mean."""
    monkeypatch.setattr(passes, "_MOST_STEPS", most)
    frames = keras.Input((None, 9, 8, 2))
    below = keras.layers.ConvLSTM2D(3, (3, 2), strides=(2, 1), padding="same", return_sequences=True)
    pool = keras.layers.TimeDistributed(keras.layers.MaxPooling2D((2, 2)))
    above = keras.layers.ConvLSTM2D(2, 2, return_sequences=True, go_backwards=True)
    sequence = above(pool(below(frames)))
    last = keras.layers.GlobalAveragePooling2D()(keras.layers.ConvLSTM2D(2, 1)(sequence))
    model = keras.Model(frames, [sequence, last])
    scramble(model)
    final = model.layers[-2]

    options = {"recurrent_activation": "sigmoid"}
    net = Network(
        Checkpoint("made", "made", {}),
        (
            layer("below", KERAS_CONV_LSTM_2D, below.get_weights(), options | {"strides": (2, 1), "padding": "same"}),
            layer(
                "above",
                KERAS_CONV_LSTM_2D,
                above.get_weights(),
                options | {"padding": "valid"},
                feed=Feed(("pool",)),
                direction="backward",
            ),
            # Keras gives it the steps of a layer that goes backwards from the last to the first.
            layer(
                "final",
                KERAS_CONV_LSTM_2D,
                final.get_weights(),
                options | {"padding": "valid"},
                feed=Feed(("above",)),
                direction="backward",
            ),
        ),
        transforms=(
            Transform(
                "pool",
                keras_layer("TimeDistributed", inner=(keras_layer("MaxPooling2D", pool_size=[2, 2]),)),
                (Feed(("below",)),),
                True,
            ),
            Transform("mean", keras_layer("GlobalAveragePooling2D"), (Feed(("final",), final="h"),), False),
        ),
        outputs={"sequence": Feed(("above",), turned=True), "mean": Feed(("mean",))},
        shapes={"input": (None, 9, 8, 2)},
    )
    x, lengths = np.random.default_rng(1).normal(size=(2, 5, 9, 8, 2)).astype("f"), [5, 3]
    known = engine.extents(net, [batch(x, lengths)])
    assert [one.space for one in known.network.layers] == [(5, 8), (1, 3), (1, 3)]
    assert known.outcomes[0].shape == (1, 3, 2)
    (found,) = outcomes(net, batch(x, lengths))
    for k, length in enumerate(lengths):
        sequence, mean = [np.asarray(a) for a in model(x[k : k + 1, :length])]
        np.testing.assert_allclose(found["sequence"][k, :length], sequence[0], **CLOSE)
        np.testing.assert_allclose(found["mean"][k], mean[0], **CLOSE)


def test_the_data_format_in_which_channels_come_first():
    """What a layer hands on, starts from and ends in is as Keras has it; what is recorded has the channels last."""
    options = {"recurrent_activation": "sigmoid", "padding": "same", "data_format": "channels_first"}
    random = np.random.default_rng(2)

    def weights(features: int) -> list[np.ndarray]:
        return [random.normal(0, 0.4, shape).astype("f") for shape in ((2, features, 12), (2, 3, 12), (12,))]

    one, two = weights(2), weights(3)
    first = layer("first", KERAS_CONV_LSTM_1D, one, options)
    states = {name: Feed(("first",), final=name) for name in "hc"}
    second = layer("second", KERAS_CONV_LSTM_1D, two, options, feed=Feed(("first",)), initial=states)
    net = replace(network(first, second), shapes={"input": (None, 2, 5)}, outputs={"h": Feed(("second",), final="h")})
    x = random.normal(size=(2, 4, 2, 5)).astype("f")
    plain = options | {"data_format": "channels_last"}
    swapped = [
        replace(one, options=defaults(one.cell, {k: Value(v, "config") for k, v in plain.items()}))
        for one in net.layers
    ]
    last = replace(net, layers=tuple(swapped))
    ((expected, initial, _),) = run(last, batch(np.moveaxis(x, 2, 3)))
    ((joined, begun, _),) = run(net, batch(x))
    for name in ("first", "second"):
        np.testing.assert_allclose(joined[name]["h"], expected[name]["h"], **CLOSE)
        np.testing.assert_allclose(begun[name]["c"], initial[name]["c"], **CLOSE)
    (found,) = outcomes(net, batch(x))
    np.testing.assert_allclose(found["h"], expected["second"]["h"][-1].swapaxes(1, 2), **CLOSE)
