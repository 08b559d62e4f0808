"""Keras's `LSTM`, `GRU` and `SimpleRNN`, as Keras 2 and 3 store them.

Names, order and shapes are those of the registered cells. An activation goes by its name in
`rnnprobe.cells.activations`.
"""

from __future__ import annotations

from typing import Any

from rnnprobe.analysis.layouts.forms import Form, form_of
from rnnprobe.analysis.layouts.module import Layout, Levels, Written
from rnnprobe.analysis.layouts.plain import Plain
from rnnprobe.analysis.layouts.stored import pack
from rnnprobe.cells.gru import KERAS_GRU, KERAS_GRU_RESET_AFTER
from rnnprobe.cells.lstm import KERAS_LSTM
from rnnprobe.cells.rnn import KERAS_SIMPLE_RNN
from rnnprobe.types import Cell

_MEANT = {
    "hard_sigmoid": "hard_sigmoid is clip(0.2·a + 0.5, 0, 1), that of Keras 1 and 2; Keras 3 has another by this name",
    "hard_sigmoid_keras3": "hard_sigmoid_keras3 is clip(a/6 + 0.5, 0, 1), the hard_sigmoid of Keras 3",
    "gelu_approximate": "gelu_approximate is gelu with approximate=True",
}


def _cell(layer: Plain) -> tuple[Cell, str]:
    if layer.family == "lstm":
        return KERAS_LSTM, "keras.layers.LSTM"
    if layer.family == "rnn":
        return KERAS_SIMPLE_RNN, "keras.layers.SimpleRNN"
    biased = "bias" in layer.parts or "recurrent_bias" in layer.parts
    return (KERAS_GRU_RESET_AFTER if biased and layer.setting("reset") == "after" else KERAS_GRU), "keras.layers.GRU"


def _form(layer: Plain) -> Form:
    return form_of(*_cell(layer))


def _write(levels: Levels) -> Written:
    ((layer,),) = levels
    cell, title = _cell(layer.plain)
    plain = layer.plain
    arguments: dict[str, Any] = {"units": plain.units, "activation": plain.setting("activation")}
    if plain.family != "rnn":
        arguments["recurrent_activation"] = plain.setting("recurrent_activation")
    if plain.family == "gru":
        arguments["reset_after"] = plain.setting("reset") == "after"
    arguments |= {} if layer.bias else {"use_bias": False}
    arguments |= {"go_backwards": True} if plain.layer.direction == "backward" else {}
    notes = tuple(dict.fromkeys(_MEANT[value] for value in arguments.values() if str(value) in _MEANT))
    return Written(title, arguments, pack(cell, layer), notes)


KERAS = Layout("keras", "Keras", _form, "layer", _write)
