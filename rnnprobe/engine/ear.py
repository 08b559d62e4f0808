"""What genuine Keras cells compute inside, heard while Keras itself runs them.

A cell calls its activations in an order that its source fixes (Keras 3, `lstm.py`, `gru.py`, `simple_rnn.py`,
`conv_lstm.py`): an LSTM applies the recurrent activation to i, f and o, and the activation to g and then to c; a GRU
the recurrent activation to z and r, and the activation to n. What goes into such a call is the gate before its
activation, what comes out is the gate; states are what the cell is given and what it returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnprobe.cells.slices import slices
from rnnprobe.engine.builtin import cells_of, outputs
from rnnprobe.types import Array, Layer

_LSTM = {"recurrent_activation": ("i", "f", "o"), "activation": ("g", "")}
_GATES: dict[str, Mapping[str, tuple[str, ...]]] = {
    "LSTMCell": _LSTM,
    "ConvLSTMCell": _LSTM,
    "GRUCell": {"recurrent_activation": ("z", "r"), "activation": ("n",)},
    "SimpleRNNCell": {"activation": ("h",)},
}
"""Keras class → activation → the gates that it is applied to, in the order of the calls; a nameless one is none."""

_STATES = {"LSTMCell": ("h", "c"), "ConvLSTMCell": ("h", "c"), "GRUCell": ("h",), "SimpleRNNCell": ("h",)}


@dataclass(frozen=True, slots=True)
class Heard:
    """A cell's run over a group of sequences of one length, in the order in which it read the steps.

    Attributes:
        signals: signal → `[time, batch, *shape]`; states are held at skipped steps, other signals NaN there.
        initial: state → `[batch, *shape]` before the first step.
        final: state → `[batch, *shape]` after the last.
    """

    signals: Mapping[str, Array]
    initial: Mapping[str, Array]
    final: Mapping[str, Array]


class _CellEar:
    """Listens to one cell.

    Attributes:
        units: the axis of the units.
        steps: for each call, the states before it, and every signal.
    """

    def __init__(self, cell: Any) -> None:
        kind = type(cell).__name__
        self.units = units_axis(cell)
        self.steps: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._states = _STATES[kind]
        self._calls: dict[str, list[tuple[Any, Any]]] = {word: [] for word in _GATES[kind]}
        self._gates = _GATES[kind]
        for word, calls in self._calls.items():
            setattr(cell, word, _heard(getattr(cell, word), calls))
        self._call = cell.call
        cell.call = self

    def __call__(self, inputs: Any, states: Any, **options: Any) -> Any:
        for calls in self._calls.values():
            calls.clear()
        output, after = self._call(inputs, states, **options)
        signals = {}
        for word, names in self._gates.items():
            for name, (before, behind) in zip(names, self._calls[word], strict=True):
                if name:
                    signals.update({f"{name}_pre": before, name: behind})
        signals.update(zip(self._states, outputs(after), strict=True))
        self.steps.append((dict(zip(self._states, outputs(states), strict=True)), signals))
        return output, after


def _heard(function: Callable[[Any], Any], calls: list[tuple[Any, Any]]) -> Callable[[Any], Any]:
    def listening(x: Any) -> Any:
        result = function(x)
        calls.append((x, result))
        return result

    return listening


class Ear:
    """Listens to a recurrent Keras layer that runs one way, once it is built.

    Args:
        made: the layer; its own `call`, and that of its cells, are wrapped.

    Attributes:
        heard: of its last call, what each of its cells computed; empty before.
    """

    def __init__(self, made: Any) -> None:
        self.heard: list[Heard] = []
        self._made = made
        self._call = made.call
        self._signature = inspect.signature(made.call)
        self._cells = [_CellEar(cell) for cell in cells_of(made)]
        made.call = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = self._signature.bind(*arguments, **options).arguments
        for cell in self._cells:
            cell.steps.clear()
        result = self._call(*arguments, **options)
        mask = given.get("mask")
        valid = None if mask is None else np.asarray(mask).astype(bool).reshape(np.shape(mask)[:2]).T
        if valid is not None and self._made.go_backwards:
            valid = valid[::-1]
        count = given["sequences"].shape[1]
        # Keras calls a cell once ahead of the loop, to learn what it returns.
        self.heard = [_collected(cell.steps[-count:], valid, cell.units) for cell in self._cells]
        return result


def units_axis(cell: Any) -> int:
    """Where the units are in a cell's states: last, or in front of the axes of space."""
    return 1 if getattr(cell, "data_format", "") == "channels_first" else -1


def _collected(steps: Sequence[tuple[dict[str, Any], dict[str, Any]]], valid: Array | None, units: int) -> Heard:
    """The steps of a run as arrays.

    Args:
        steps: of each, the states before it and what was computed.
        valid: `[time, batch]`; where False, Keras discards what the cell returned and keeps the states.
        units: the axis of the units in a step.
    """
    initial = {name: np.moveaxis(state.numpy(), units, -1) for name, state in steps[0][0].items()}
    signals = {
        name: np.stack([np.moveaxis(step[name].numpy(), units, -1) for _, step in steps]) for name in steps[0][1]
    }
    final = dict(initial)
    for name, array in signals.items():
        if name not in initial:
            if valid is not None:
                array[~valid] = np.nan
            continue
        for t in range(len(array)):
            if valid is not None:
                array[t][~valid[t]] = final[name][~valid[t]]
            final[name] = array[t]
    return Heard(signals, initial, final)


_ORDER = {"LSTM": "ifgo", "GRU": "zrn"}
_ROLES = ("kernel", "recurrent_kernel", "bias")


def arrange(layer: Layer) -> list[Array]:
    """A layer's weights as the Keras cell sets them: kernel, recurrent kernel, bias, gates i f c o or z r h.

    What today's Keras stores is taken as it lies. Keras 1's arrays of single gates are put side by side, and cuDNN's
    blocks turned (`rnnprobe.cells.slices`); its two biases are added up for an LSTM, and stay two rows for a GRU.
    """
    parts = {part for weight in layer.cell.weights for part in weight.parts}
    if {weight.role for weight in layer.cell.weights} <= {*_ROLES} and not any(part.cudnn for part in parts):
        return [np.asarray(layer.weights[role].load()) for role in _ROLES if role in layer.weights]
    family = next(name for name in _ORDER if any(name in known for known in layer.cell.classes))
    blocks: dict[str, dict[str, Array]] = {}
    for block in slices(layer):
        blocks.setdefault(block.part, {})[block.gate] = block.load()
    found = {part: np.concatenate([gates[gate] for gate in _ORDER[family]], axis=-1) for part, gates in blocks.items()}
    if "recurrent_bias" in found:
        second = found.pop("recurrent_bias")
        found["bias"] = found["bias"] + second if family == "LSTM" else np.stack([found["bias"], second])
    return [found[role] for role in _ROLES if role in found]
