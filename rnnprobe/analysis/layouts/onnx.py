"""The inputs of ONNX's operators `LSTM`, `GRU` and `RNN`: W, R, B and P, the directions along their first axis.

Gates i, o, f, c and z, r, h, one below the other: W `[directions, gates · hidden, input]`, R `[directions, gates ·
hidden, hidden]`, B `[directions, 2 · gates · hidden]` (that of W, that of R), P `[directions, 3 · hidden]` (i, o, f;
that of o looks at the new c). Activations go by ONNX's names, with the numbers of those that take any.
https://onnx.ai/onnx/operators/onnx__LSTM.html, …GRU.html, …RNN.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rnnprobe.analysis.layouts.forms import Fitted, Form
from rnnprobe.analysis.layouts.module import Entry, Layout, Levels, Written
from rnnprobe.analysis.layouts.plain import Family, Plain
from rnnprobe.types import Array

_ACTIVATIONS: Mapping[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "relu": ("Relu", None, None),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
    "linear": ("Affine", 1.0, 0.0),
    "elu": ("Elu", 1.0, None),
    "celu": ("Elu", 1.0, None),
    "leaky_relu": ("LeakyRelu", 0.2, None),
    "hard_sigmoid": ("HardSigmoid", 0.2, 0.5),
    "hard_sigmoid_keras3": ("HardSigmoid", 1.0 / 6.0, 0.5),
    "sparse_sigmoid": ("HardSigmoid", 0.5, 0.5),
}
"""Name → ONNX's, its alpha, its beta."""

_ANY = tuple(_ACTIVATIONS)
_BOTH = {"activation": _ANY, "recurrent_activation": _ANY}
_FORMS: Mapping[Family, Form] = {
    "lstm": Form(
        "ONNX LSTM",
        ("i", "o", "f", "g"),
        ("i", "o", "f", "c"),
        _BOTH,
        frozenset({"peephole"}),
        frozenset("iofg"),
        bare=True,
    ),
    "gru": Form(
        "ONNX GRU",
        ("z", "r", "n"),
        ("z", "r", "h"),
        {**_BOTH, "reset": ("before", "after")},
        biases=frozenset("zrn"),
        bare=True,
    ),
    "rnn": Form("ONNX RNN", (), (), {"activation": _ANY}, biases=frozenset({""}), bare=True),
}
_USES: Mapping[Family, tuple[str, ...]] = {
    "lstm": ("recurrent_activation", "activation", "activation"),
    "gru": ("recurrent_activation", "activation"),
    "rnn": ("activation",),
}
"""The option that each of the operator's activations is."""


def _form(layer: Plain) -> Form:
    return _FORMS[layer.family]


def _write(levels: Levels) -> Written:
    (pair,) = levels
    first = pair[0]
    plain = first.plain
    direction = "bidirectional" if len(pair) > 1 else "reverse" if plain.layer.direction == "backward" else "forward"
    used = [_ACTIVATIONS[layer.plain.setting(option)] for layer in pair for option in _USES[plain.family]]
    arguments: dict[str, Any] = {
        "direction": direction,
        "hidden_size": plain.units,
        "activations": [name for name, _, _ in used],
    }
    for k, numbers in enumerate(("activation_alpha", "activation_beta"), 1):
        taken = [activation[k] for activation in used if activation[k] is not None]
        arguments |= {numbers: taken} if taken else {}
    if plain.family == "gru":
        arguments["linear_before_reset"] = int(plain.setting("reset") == "after")
    return Written(first.form.title, arguments, tuple(_entries(pair)))


def _entries(pair: Sequence[Fitted]) -> Iterator[Entry]:
    first = pair[0]
    gates, spelled, origins = first.form.gates, first.form.spelled, first.origins

    def both(part: Callable[[Fitted], Array]) -> Array:
        return np.stack([part(layer) for layer in pair])

    yield Entry("W", both(lambda layer: layer.kernel.T), gates, spelled, origins["kernel"])
    yield Entry("R", both(lambda layer: layer.recurrent.T), gates, spelled, origins["recurrent_kernel"])
    if first.bias:
        origin = f"{origins['bias']}; {origins['recurrent_bias']}"
        yield Entry("B", both(_bias), gates, spelled, origin)
    if any("peephole" in layer.plain.parts for layer in pair):
        letters = tuple(gate for gate in gates if gate != "g")
        yield Entry("P", both(_peephole), letters, letters, origins["peephole"])


def _bias(layer: Fitted) -> Array:
    return np.concatenate([layer.joined(layer.bias), layer.joined(layer.second)])


def _peephole(layer: Fitted) -> Array:
    held = layer.plain.parts["peephole"]
    zeros = np.zeros(layer.plain.units, layer.plain.dtype)
    return np.concatenate([held.get(gate, zeros) for gate in ("i", "o", "f")])


ONNX = Layout("onnx", "ONNX", _form, "pair", _write)
