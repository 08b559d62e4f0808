"""c and every gate of each kind of layer, against the genuine cell, stepped by hand with its activations overheard.

Every activation that a Keras cell applies is handed a value before it and returns one after it: those are the gates'
`i_pre` and `i`, `f_pre` and `f` … in the order in which the cell's code computes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import rnnprobe

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves

RELEASES = {"keras": keras, "tf_keras": tf_keras}
STEPS, BATCH, UNITS = 5, 2, 3
IN_ORDER = {"LSTM": ("i", "f", "o"), "GRU": ("z", "r"), "ConvLSTM2D": ("i", "f", "o"), "SimpleRNN": ()}
"""The gates in the order in which the genuine cell computes those that go through its recurrent activation."""
CANDIDATE = {"LSTM": "g", "GRU": "n", "ConvLSTM2D": "g", "SimpleRNN": "h"}
"""What goes through its activation first."""

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "softsign", "use_bias": False}),
    ("LSTM", {}),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    ("LSTM", {"activation": "elu", "recurrent_activation": "softsign", "use_bias": False}),
    ("GRU", {"reset_after": True}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"reset_after": True, "recurrent_activation": "hard_sigmoid", "activation": "relu"}),
    ("GRU", {"reset_after": False, "recurrent_activation": "hard_sigmoid"}),
    ("GRU", {"reset_after": True, "use_bias": False}),
    ("ConvLSTM2D", {}),
    ("ConvLSTM2D", {"recurrent_activation": "hard_sigmoid", "padding": "same", "strides": 2}),
    ("ConvLSTM2D", {"recurrent_activation": "sigmoid", "use_bias": False, "dilation_rate": 2}),
]


def overhear(function: Callable[[Any], Any], heard: list[tuple[Any, Any]]) -> Callable[[Any], Any]:
    def listening(value: Any) -> Any:
        result = function(value)
        heard.append((np.array(value), np.array(result)))
        return result

    return listening


def stepped(layer: Any, kind: str, x: Any) -> dict[str, Any]:
    """Every signal of a layer, `[batch, time, …]`, by stepping its own cell."""
    cell, through, first = layer.cell, [], []  # type: ignore[var-annotated]
    cell.activation = overhear(cell.activation, first)
    if hasattr(cell, "recurrent_activation"):
        cell.recurrent_activation = overhear(cell.recurrent_activation, through)
    if kind == "ConvLSTM2D":
        space = layer.compute_output_shape((None, *x.shape[1:]))[-3:-1]
        zeros = np.zeros((BATCH, *space, UNITS), "f")
    else:
        zeros = np.zeros((BATCH, UNITS), "f")
    states = [zeros] if kind in ("SimpleRNN", "GRU") else [zeros, zeros]
    steps: list[dict[str, Any]] = []
    for t in range(STEPS):
        through.clear()
        first.clear()
        out, states = cell(tf.constant(x[:, t]), [tf.convert_to_tensor(state) for state in states])
        states = list(states) if isinstance(states, list | tuple) else [states]
        at = {"h": np.array(out)}
        np.testing.assert_array_equal(np.array(states[0]), at["h"])
        if len(states) > 1:
            at["c"] = np.array(states[1])
            np.testing.assert_array_equal(first[1][0], at["c"], "the second thing that is activated is c")
        assert len(through) == len(IN_ORDER[kind])
        for gate, (before, after) in zip((*IN_ORDER[kind], CANDIDATE[kind]), [*through, first[0]]):
            at[f"{gate}_pre"], at[gate] = before, after
        steps.append(at)
    return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda value: value if isinstance(value, str) else str(value))
@pytest.mark.parametrize("release", RELEASES)
def test_every_signal_is_that_of_the_genuine_cell(release: str, kind: str, options: dict[str, Any], tmp_path: Path):
    api = RELEASES[release]
    random = np.random.default_rng(3)
    convolutional = kind == "ConvLSTM2D"
    arguments = (UNITS, 2 if options.get("dilation_rate") else 3) if convolutional else (UNITS,)
    layer = getattr(api.layers, kind)(*arguments, return_sequences=True, name="layer", **options)
    shape = (STEPS, 6, 5, 2) if convolutional else (STEPS, 4)
    inputs = api.Input(shape)
    model = api.Model(inputs, layer(inputs))
    # Wide enough for a hard sigmoid to reach both of its corners.
    model.set_weights([random.normal(0, 0.9, w.shape).astype("f") for w in model.get_weights()])
    x = random.normal(0, 1.5, size=(BATCH, *shape)).astype("f")
    model.save(tmp_path / "model.keras")
    whole = np.array(model(x))
    genuine = stepped(layer, kind, x)
    np.testing.assert_allclose(genuine["h"], whole, rtol=0, atol=1e-6)
    if options.get("recurrent_activation") == "hard_sigmoid":
        gate = genuine[IN_ORDER[kind][0]]
        assert (gate == 0).any()
        assert (gate == 1).any()
        assert ((gate > 0) & (gate < 1)).any()
    recorded = rnnprobe.trace(tmp_path / "model.keras", x, record="all").layers["layer"].signals
    assert recorded.keys() == genuine.keys(), "what a cell records, the genuine one has to be heard to compute"
    for name, expected in genuine.items():
        got = np.asarray(recorded[name])
        assert got.shape == expected.shape, name
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=name)
