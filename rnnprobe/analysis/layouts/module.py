"""What another framework has for one layer, for the two directions of one, or for a stack of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rnnprobe.analysis.layouts.forms import Fitted, Form
from rnnprobe.analysis.layouts.plain import Plain
from rnnprobe.types import Array

Levels: TypeAlias = Sequence[Sequence[Fitted]]
"""Layers one above the other; each level a layer, or the forward and the backward one of a pair."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of a module.

    Attributes:
        name: the target's own.
        values: as the target wants them.
        gates: rnnprobe's letters, in the target's order; empty where there are none.
        spelled: the target's own letters.
        origin: what it was made of.
    """

    name: str
    values: Array
    gates: tuple[str, ...]
    spelled: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a layout makes of some levels: the arrays, and the arguments with which the target is made."""

    title: str
    arguments: Mapping[str, Any]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """Layers as another framework has them.

    Attributes:
        name: of the layer; of several, what their names have in common, or the first one's.
        layers: their names.
        written: the arrays and arguments.
        notes: what the weights leave out.
    """

    name: str
    layers: tuple[str, ...]
    written: Written
    notes: tuple[str, ...]

    @property
    def call(self) -> str:
        """How the target is made: `torch.nn.LSTM(input_size=65, hidden_size=128)`."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.written.arguments.items())
        return f"{self.written.title}({arguments})"


@dataclass(frozen=True, slots=True)
class Layout:
    """A framework's way of storing recurrent layers.

    Attributes:
        name: as `--layout` takes it.
        title: in words.
        form: what the framework has for such a layer; whether the layer fits it is for `forms.reason` to say.
        holds: one `layer`, the two directions of one (`pair`), or a `stack` of either.
        write: the arrays of some levels, all of one form and size.
        amiss: `amiss(plain)`: why a layer that fits the form can't be written, or nothing.
    """

    name: str
    title: str
    form: Callable[[Plain], Form]
    holds: Literal["layer", "pair", "stack"]
    write: Callable[[Levels], Written]
    amiss: Callable[[Plain], str] = lambda layer: ""
