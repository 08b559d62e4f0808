"""What a reader takes and what it returns, before a network gives the numbers a meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput, Refused
from rnnprobe.inputs.file import File
from rnnprobe.inputs.heap import Heap
from rnnprobe.types import Array

if TYPE_CHECKING:
    from rnnprobe.inputs.vocabulary import Vocabulary

Say: TypeAlias = Callable[[str], None]
Place: TypeAlias = Callable[[int, int, tuple[int, ...]], str]
"""`place(sequence, step, position)`: where a value lies, in the words of its file; the position within a step is empty
where a step is one number."""


def within(position: tuple[int, ...]) -> str:
    """Where in a step a value lies, for the end of a place."""
    return f", feature {position[0]}" if len(position) == 1 else f" at {list(position)}" if position else ""


@dataclass(frozen=True, slots=True)
class Grid:
    """One array, none of it loaded.

    Attributes:
        shape: any rank.
        dtype: as stored; `check` says whether numbers can be read from it.
        read: `read(slices)`, a slice with a step of 1 for each axis, returns that block and reads little else.
        name: how an error calls it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[tuple[slice, ...]], Array]
    name: str = "the array"

    @property
    def words(self) -> str:
        """Dtype and shape, as an error prints them."""
        return f"{self.dtype} {list(self.shape)}"

    @property
    def nbytes(self) -> int:
        """The bytes of the values."""
        return prod(self.shape) * self.dtype.itemsize

    def whole(self) -> Array:
        """All of it."""
        return self.read(tuple(slice(0, size) for size in self.shape))

    def check(self, path: object = None) -> Grid:
        """Itself, if it holds plain numbers.

        Raises:
            Refused: Python objects, which only pickle could read.
            BadInput: text, dates, complex numbers, structures.
        """
        place = path if path is None else str(path)
        if self.dtype.hasobject and not self.dtype.metadata:  # h5py notes there what texts and lists are stored as
            raise Refused(
                f"{self.name} holds Python objects, which could only be read by running what the file says",
                path=place,
                hint="save one plain array for each sequence: np.savez(FILE, *sequences)",
            )
        if self.dtype.kind not in "biuf":
            raise BadInput(
                f"{self.name} is {self.words}; expected integers or floats",
                path=place,
                hint="bfloat16 and other types that NumPy lacks: save them as float32"
                if self.dtype.kind == "V"
                else "",
            )
        return self


def memory(array: Array, name: str = "the array") -> Grid:
    """A grid over an array in memory."""
    return Grid(array.shape, array.dtype, lambda slices: array[slices], name)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Sequences of lengths of their own.

    Attributes:
        lengths: `[sequences]`, int64.
        shape: of a step; `()` where it is one number.
        dtype: integers or floats.
        read: `read(sequences, start, stop)`, of the numbers of some, returns `[len(sequences), stop - start, *shape]`,
            past a length 0.
    """

    lengths: NDArray[np.int64]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[NDArray[np.int64], int, int], Array]

    @property
    def words(self) -> str:
        """Dtype and shape, as an error prints them."""
        axes = ", ".join(["time", *map(str, self.shape)])
        return f"{len(self.lengths)} sequence{'s' * (len(self.lengths) != 1)} of {self.dtype} [{axes}]"


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader found.

    Attributes:
        data: the numbers.
        names: one for each sequence, or None: they are counted.
        lengths: those that the file gives.
        written: the numbers were decimals in a text, so that 3 may be an id or a float.
        text: they are ids that a vocabulary gave to a text.
        place: where a value lies, or None: sequence, step and position are all there is to say.
        across: of a table, the other reading of it, where there is one: each row is a sequence, each cell a step.
    """

    data: Grid | Ragged
    names: Sequence[str] | None = None
    lengths: NDArray[np.int64] | None = None
    written: bool = False
    text: bool = False
    place: Place | None = None
    across: Found | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the user said about a file, and what is sought in it.

    Attributes:
        vocabulary: for text.
        by: one of `rnnprobe.inputs.text.BY`.
        unknown: the id for what the vocabulary lacks, or None: an error.
        say: takes a line for the user.
        name: of the network's input, under which an array may be stored; or empty.
        axes: of a step of floats: 1 where it is a row of features, 0 where it is one number.
        ids: whether ids mean something to the network.
        fixed: the network takes sequences of one length there; lengths that are given for several inputs alike don't
            count for it.
        heap: what keeps the values of files that can't be read in place.
    """

    say: Say
    vocabulary: Vocabulary | None = None
    by: str = "char"
    unknown: int | None = None
    name: str = ""
    axes: int = 1
    ids: bool = True
    fixed: bool = False
    heap: Heap = field(default_factory=Heap)

    @property
    def names(self) -> tuple[str, ...]:
        """The input's name, and its last component."""
        return tuple(dict.fromkeys(name for name in (self.name, self.name.rpartition("/")[2]) if name))


@dataclass(frozen=True, slots=True)
class Reader:
    """A way of storing sequences.

    Attributes:
        name: what `--input-format` takes.
        suffixes: of its files.
        matches: `matches(head)`: do the first bytes of a file look like it? Asked where a suffix does not tell.
        read: `read(file, request)`. Raises `BadInput`, `Refused` or `OutOfResources`, naming file and place.
        several: `several(file, requests)`: what the file holds for each of several inputs, by their names; None where
            its files hold one input alone. Raises likewise.
    """

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[[File, Request], Found]
    several: Callable[[File, Mapping[str, Request]], dict[str, Found]] | None = None


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequences that fit a network, before they are chosen and batched.

    Attributes:
        lengths: `[sequences]`, int64, each at least 1.
        shape: of a step of floats, or None: ids.
        dtype: of what the batches load: int64 for ids, else a float.
        read: `read(sequences, start, stop)`, of the numbers of some, returns their steps
            `[len(sequences), stop - start, *shape]` in the stored dtype, ids without a shape; past a length, anything.
        place: where a value lies.
        named: the names are the user's own; else they count the sequences.
    """

    names: Sequence[str]
    lengths: NDArray[np.int64]
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any]
    read: Callable[[NDArray[np.int64], int, int], Array]
    place: Place
    named: bool = False
