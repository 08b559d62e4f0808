"""PyTorch's `torch.nn.LSTM`, `GRU` and `RNN`: the entries of their state_dict.

Gates i, f, g, o and r, z, n, one below the other: `weight_ih_l0` `[gates · hidden, input]`, `weight_hh_l0` `[gates ·
hidden, hidden or proj]`, `bias_ih_l0` and `bias_hh_l0` `[gates · hidden]`, `weight_hr_l0` `[proj, hidden]`; `_l1` … of
the layers above, `_reverse` of the backward direction. GRUs reset after the product; z keeps the old h.
https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html, …GRU.html, …RNN.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnprobe.analysis.layouts.forms import Fitted, Form
from rnnprobe.analysis.layouts.module import Entry, Layout, Levels, Written
from rnnprobe.analysis.layouts.plain import GATES, Plain

_LSTM, _GRU = GATES["lstm"], GATES["gru"]
_ONE = {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)}
_FORMS = {
    "lstm": Form("torch.nn.LSTM", _LSTM, _LSTM, _ONE, frozenset({"projection"}), biases=frozenset(_LSTM), bare=True),
    "gru": Form("torch.nn.GRU", _GRU, _GRU, {**_ONE, "reset": ("after",)}, biases=frozenset(_GRU), bare=True),
    "rnn": Form("torch.nn.RNN", (), (), {"activation": ("tanh", "relu")}, biases=frozenset({""}), bare=True),
}
BACKWARD = "it runs backward, and {title} has no such direction alone: turn its input and its output around in time"


def _form(layer: Plain) -> Form:
    return _FORMS[layer.family]


def _amiss(layer: Plain) -> str:
    if "projection" in layer.parts and layer.output_size >= layer.units:
        return f"its projection is {layer.output_size} wide, and torch.nn.LSTM wants less than {layer.units} units"
    return ""


def _write(levels: Levels) -> Written:
    first = levels[0][0]
    plain = first.plain
    arguments: dict[str, Any] = {"input_size": plain.input_size, "hidden_size": plain.units}
    arguments |= {"num_layers": len(levels)} if len(levels) > 1 else {}
    arguments |= {"nonlinearity": plain.setting("activation")} if plain.family == "rnn" else {}
    arguments |= {} if first.bias else {"bias": False}
    arguments |= {"bidirectional": True} if len(levels[0]) > 1 else {}
    arguments |= {"proj_size": plain.output_size} if first.projection is not None else {}
    entries = tuple(entry for suffix, layer in numbered(levels) for entry in _entries(layer, suffix))
    return Written(first.form.title, arguments, entries, turned(levels))


def numbered(levels: Levels) -> Iterator[tuple[str, Fitted]]:
    """`l0`, `l0_reverse`, `l1` …, and the layer."""
    for level, layers in enumerate(levels):
        for suffix, layer in zip(("", "_reverse"), layers, strict=False):
            yield f"l{level}{suffix}", layer


def turned(levels: Levels) -> tuple[str, ...]:
    """What to say of a module that runs backward alone."""
    alone = len(levels[0]) == 1 and levels[0][0].plain.layer.direction == "backward"
    return (BACKWARD.format(title=levels[0][0].form.title),) if alone else ()


def _entries(layer: Fitted, suffix: str) -> Iterator[Entry]:
    gates, spelled = layer.form.gates, layer.form.spelled
    arrays = [("weight_ih", layer.kernel.T, "kernel"), ("weight_hh", layer.recurrent.T, "recurrent_kernel")]
    if layer.bias:
        arrays.append(("bias_ih", layer.joined(layer.bias), "bias"))
        arrays.append(("bias_hh", layer.joined(layer.second), "recurrent_bias"))
    for name, values, part in arrays:
        yield Entry(f"{name}_{suffix}", np.ascontiguousarray(values), gates, spelled, layer.origins[part])
    if layer.projection is not None:
        values = np.ascontiguousarray(layer.projection.T)
        yield Entry(f"weight_hr_{suffix}", values, (), (), layer.origins["projection"])


TORCH = Layout("torch", "PyTorch", _form, "stack", _write, _amiss)
