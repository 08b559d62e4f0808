"""What a model must hold, as data. `read` makes it of a file, `draft` of another model; `text` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from rnnprobe.checks.positions import Key, Spot
from rnnprobe.checks.values import Bound
from rnnprobe.types import Evidence

Level: TypeAlias = Literal["error", "warning"]
Attitude: TypeAlias = Literal["error", "warning", "ignore"]
SizeName: TypeAlias = Literal["input_size", "units", "output_size"]
Setting: TypeAlias = float | bool | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """A whole number between two bounds; None is no bound."""

    min: int | None = None
    max: int | None = None

    def holds(self, found: int) -> bool:
        """Whether a number is within the bounds."""
        return (self.min is None or found >= self.min) and (self.max is None or found <= self.max)

    def __str__(self) -> str:
        if self.min == self.max:
            return f"{self.min:,}"
        bounds = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{word} {number:,}" for word, number in bounds if number is not None)


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """What an option must be; None is whatever it is.

    Attributes:
        value: `none` for what is off, numbers for the axes of space.
        evidence: where the value may come from.
    """

    value: Setting | None = None
    evidence: tuple[Evidence, ...] | None = None


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """What is said of a recurrent layer, or of all that a pattern names. None is nothing said.

    Attributes:
        key: its place in the document, for messages.
        name: of the layer; empty for a pattern.
        match: the pattern, a glob; empty for a name.
        count: how many layers it may be.
        sizes: `input_size`, `units`, `output_size` → a formula (`rnnprobe.checks.sizes`).
        shapes: role of a stored tensor → a formula for each axis.
        weights: the roles that there are, and no others.
    """

    key: Key
    name: str = ""
    match: str = ""
    level: Level = "error"
    count: Amount = Amount(min=1)
    cell: str | None = None
    sizes: Mapping[SizeName, str] = field(default_factory=dict)
    direction: str | None = None
    dtype: str | None = None
    gates: tuple[str, ...] | None = None
    fed_by: tuple[str, ...] | None = None
    parameters: Amount | None = None
    bytes: Amount | None = None
    weights: tuple[str, ...] | None = None
    shapes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, OptionSpec] = field(default_factory=dict)
    finite: bool = False
    values: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What is said of a tensor that is of no recurrent layer, or of all that a pattern names; as `LayerSpec`."""

    key: Key
    name: str = ""
    match: str = ""
    level: Level = "error"
    count: Amount = Amount(min=1)
    shape: tuple[str, ...] | None = None
    dtype: str | None = None
    finite: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """What is said of the file as a whole; None is nothing said.

    Attributes:
        complete: every tensor's values are there to be read.
        unlisted_layers: what to say of recurrent layers that no `LayerSpec` speaks of.
        unlisted_tensors: likewise of tensors of no recurrent layer.
    """

    level: Level = "error"
    parameters: Amount | None = None
    bytes: Amount | None = None
    layers: Amount | None = None
    complete: bool = False
    unlisted_layers: Attitude = "ignore"
    unlisted_tensors: Attitude = "ignore"


@dataclass(frozen=True, slots=True)
class GoldenSpec:
    """What the model must do on a known input.

    Attributes:
        input: a file, or input of the model → file; `-` is not allowed.
        trace: what was recorded when the model was right.
        vocab, by, select, steps, own_input, carry: as the options of `rnnprobe trace`.
        tolerance: relative to the largest expected value of a signal where that is over 1; None for the default.
        tolerances: signal → its own.
    """

    key: Key
    name: str
    input: str | Mapping[str, str]
    trace: str
    level: Level = "error"
    vocab: str | None = None
    by: str = "char"
    select: str | None = None
    steps: str | None = None
    own_input: bool = False
    carry: bool = False
    tolerance: float | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Specification:
    """What a model must hold.

    Attributes:
        path: of the file; None where it was made of a model.
        sizes: symbol → its number, or "?" where a formula settles it.
        spots: where its keys stand in the file.
    """

    path: Path | None
    sizes: Mapping[str, int | str]
    checkpoint: CheckpointSpec
    layers: tuple[LayerSpec, ...]
    tensors: tuple[TensorSpec, ...]
    goldens: tuple[GoldenSpec, ...] = ()
    spots: Mapping[Key, Spot] = field(default_factory=dict)
