"""An array of a trace, and a group of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.outputs import layout
from rnnprobe.outputs.layout import AttributeValue
from rnnprobe.types import Array, Recording

Key: TypeAlias = tuple[str, str]
"""An array of a trace: its group and its name there."""


@dataclass(frozen=True, slots=True)
class Field:
    """An array of a trace.

    Attributes:
        name: below its group.
        dimensions: a name for each axis.
        shape: the sizes.
        dtype: NumPy's name, or `string`.
        kind: of a signal, as in `Signal.kind`; empty for the others.
        lengths: `[sequence]`, where the second axis is time, how many steps of it are stored: past them the array
            holds NaN, or `layout.NO_ID`; else None.
        known: its values, where nothing has to be computed for them.
        signal: whose values these are, at every step; of what is stored in their place, whose and what (`h mean`);
            empty for the others.
        tensor: of an original graph, the tensor that the signal is; or empty.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""
    lengths: NDArray[np.int64] | None = field(default=None, compare=False)
    known: Array | tuple[str, ...] | None = field(default=None, compare=False)
    signal: str = ""
    tensor: str = ""

    @property
    def step(self) -> tuple[int, ...]:
        """The shape of one step of one sequence, or of a sequence where there are no steps."""
        return self.shape[1 if self.lengths is None else 2 :]

    @property
    def row(self) -> int:
        """The bytes of that."""
        return prod(self.step) * np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of its values; 0 for strings."""
        return 0 if self.dtype == "string" else prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def value_bytes(self) -> int:
        """The bytes of its values, padding left out."""
        return self.nbytes if self.lengths is None else int(self.lengths.sum()) * self.row

    @property
    def fill(self) -> float | int:
        """What stands where there is nothing."""
        if np.dtype(self.dtype).kind == "f":
            return np.nan
        return layout.NO_ID if self.lengths is not None else 0


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a trace.

    Attributes:
        path: from the root.
        fields: its arrays.
        attributes: as `layout` says.
        own_time: its `time` is not that of the input.
    """

    path: str
    fields: tuple[Field, ...]
    attributes: Mapping[str, AttributeValue]
    own_time: bool = False


def lengths_field(name: str, lengths: NDArray[np.int64]) -> Field:
    """Lengths, under this name."""
    return Field(name, ("sequence",), lengths.shape, "int64", known=lengths)


def timeless(recording: Recording) -> bool:
    """Whether nothing in the trace has steps."""
    return bool(recording.kept.reduced) and recording.kept.over == "time"


def kept_times(recording: Recording, name: str = "time", steps: int | None = None) -> tuple[Field, ...]:
    """The numbers of the steps that are kept, where they are not all.

    Args:
        recording: what is recorded.
        name: of the axis.
        steps: how many there were; None: those of the input, by the numbers that they have there.
    """
    if recording.kept.stride == 1 or timeless(recording):
        return ()
    first = int(recording.attributes.get(layout.FIRST_STEP, 0)) if steps is None else 0
    numbers = first + np.arange(0, recording.steps if steps is None else steps, recording.kept.stride)
    return (Field(name, (name,), numbers.shape, "int64", known=numbers),)
