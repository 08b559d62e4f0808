"""cuDNN's canonical parameters, in the order in which `CudnnRNNCanonicalToParams` takes them: all matrices, then all
biases, each time layer by layer, the forward direction before the backward one.

LSTM   i, f, c, o: W_i … `[hidden, input]`, R_i … `[hidden, hidden or proj]`, P `[proj, hidden]`; b_W_i …, b_R_i …
GRU    r, i, h: reset, update (which keeps the old h), new; resets after the product
RNN    one matrix each; tanh or relu

`params` is the flat buffer: NVIDIA says of its layout only that it may change. For one LSTM or GRU layer of one
direction, without a projection, it is written as Keras builds it for the op `CudnnRNN`: matrices and biases one after
another (`canonical_to_params`, keras/layers/rnn/gru_lstm_utils.py of tf_keras). For more than that nothing vouches.
The order of matrices: NVIDIA, cudnnGetRNNWeightParams, `linLayerID`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnnprobe.analysis.layouts.forms import Fitted, Form
from rnnprobe.analysis.layouts.module import Entry, Layout, Levels, Written
from rnnprobe.analysis.layouts.plain import GATES, Plain
from rnnprobe.analysis.layouts.torch import numbered, turned

_LSTM, _GRU = GATES["lstm"], GATES["gru"]
_ONE = {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)}
_FORMS = {
    "lstm": Form("CudnnRNN", _LSTM, ("i", "f", "c", "o"), _ONE, frozenset({"projection"}), biases=frozenset(_LSTM)),
    "gru": Form("CudnnRNN", _GRU, ("r", "i", "h"), {**_ONE, "reset": ("after",)}, biases=frozenset(_GRU)),
    "rnn": Form("CudnnRNN", (), (), {"activation": ("tanh", "relu")}, biases=frozenset({""})),
}
_OPAQUE = (
    "cuDNN's flat buffer is not written: nothing vouches for its layout beyond one LSTM or GRU layer of one direction"
)


def _form(layer: Plain) -> Form:
    return _FORMS[layer.family]


def _write(levels: Levels) -> Written:
    plain = levels[0][0].plain
    mode = plain.family if plain.family != "rnn" else f"rnn_{plain.setting('activation')}"
    arguments: dict[str, Any] = {
        "rnn_mode": mode,
        "num_layers": len(levels),
        "num_units": plain.units,
        "input_size": plain.input_size,
        "direction": "bidirectional" if len(levels[0]) > 1 else "unidirectional",
    }
    arguments |= {"num_proj": plain.output_size} if "projection" in plain.parts else {}
    layers = tuple(numbered(levels))
    matrices = [entry for suffix, layer in layers for entry in _matrices(layer, suffix)]
    entries = (*matrices, *(entry for suffix, layer in layers for entry in _biases(layer, suffix)))
    notes = turned(levels)
    if len(layers) > 1 or plain.family == "rnn" or "projection" in plain.parts:
        return Written("CudnnRNN", arguments, entries, (*notes, _OPAQUE))
    flat = np.concatenate([entry.values.reshape(-1) for entry in entries])
    return Written(
        "CudnnRNN", arguments, (*entries, Entry("params", flat, (), (), "the above, one after another")), notes
    )


def _matrices(layer: Fitted, suffix: str) -> Iterator[Entry]:
    for name, part in (("W", "kernel"), ("R", "recurrent_kernel")):
        for gate, letter in _named(layer):
            values = np.ascontiguousarray(layer.plain.parts[part][gate].T)
            yield _entry(f"{name}{letter}_{suffix}", values, gate, letter, layer.origin(part, (gate,)))
    if layer.projection is not None:
        yield _entry(f"P_{suffix}", np.ascontiguousarray(layer.projection.T), "", "", layer.origins["projection"])


def _biases(layer: Fitted, suffix: str) -> Iterator[Entry]:
    for name, part, blocks in (("b_W", "bias", layer.bias), ("b_R", "recurrent_bias", layer.second)):
        for gate, letter in _named(layer):
            yield _entry(f"{name}{letter}_{suffix}", blocks[gate], gate, letter, layer.origins[part])


def _entry(name: str, values: Any, gate: str, letter: str, origin: str) -> Entry:
    return Entry(name, values, (gate,) if gate else (), (letter.strip("_"),) if letter else (), origin)


def _named(layer: Fitted) -> list[tuple[str, str]]:
    """Gate and the end of its name: `i`, `_i`."""
    form = layer.form
    return [(gate, f"_{letter}") for gate, letter in zip(form.gates, form.spelled, strict=True)] or [("", "")]


CUDNN = Layout("cudnn", "cuDNN", _form, "stack", _write)
