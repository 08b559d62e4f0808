"""Steps that are collected until they fill chunks, which are then written whole.

libhdf5's own way from a block to a chunk selects, copies and looks up its cache row by row, and takes twice as long as
the copy into a chunk's order that is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from rnnprobe.outputs.casting import assign
from rnnprobe.outputs.chunking import Chunks
from rnnprobe.outputs.field import Field
from rnnprobe.outputs.pieces import Piece
from rnnprobe.types import Array, Batch

Write: TypeAlias = Callable[[tuple[int, ...], Array], None]
"""`write(offset, chunk)`: a whole chunk, contiguous, filled past the array's end; `offset` is its first element."""


@dataclass(slots=True)
class _Slab:
    """A stretch of steps of several sequences.

    Attributes:
        values: `[parts, sequences, steps, …, units]`.
        missing: how many steps, of all sequences together, have not come.
    """

    values: Array
    missing: int


class Slabs:
    """An array that is written chunk by chunk.

    What is held is what batches have begun and not filled: `rnnprobe.outputs.chunking` plans it.

    Args:
        field: the array.
        chunks: how it is cut.
        batches: in which its sequences come.
        write: takes the chunks.
    """

    def __init__(self, field: Field, chunks: Chunks, batches: Sequence[Batch], write: Write) -> None:
        self._field, self._chunks, self._write = field, chunks, write
        self._sequences = sequences = np.arange(field.shape[0])
        self._lengths = np.ones(len(sequences), np.int64) if field.lengths is None else field.lengths
        self._batches = batches
        if chunks.slab:
            self._numbers, self._places = sequences // chunks.slab, sequences % chunks.slab
        else:
            self._numbers, self._places = np.empty_like(sequences), np.empty_like(sequences)
            for number, batch in enumerate(batches):
                self._numbers[batch.rows] = number
                self._places[batch.rows] = np.arange(len(batch.rows))
        inner = field.step
        self._inner = (*inner[:-1], chunks.units)
        self._scalar = not inner
        self._open: dict[tuple[int, int], _Slab] = {}
        self._spare: list[Array] = []

    def put(self, piece: Piece) -> None:
        """Takes a piece, filled past the lengths, and writes the chunks that it completes.

        Raises:
            CannotWrite: a value is too large for the array's dtype.
        """
        values = piece.values if self._field.lengths is not None else piece.values[:, None]
        values = values[..., None] if self._scalar else values
        if not values.size:
            return
        where = "/".join(piece.key)
        numbers, places = self._numbers[piece.rows], self._places[piece.rows]
        stops = np.minimum(self._lengths[piece.rows], piece.start + values.shape[1])
        cuts = (np.flatnonzero(np.diff(numbers)) + 1).tolist()
        for first, after in pairwise((0, *cuts, len(numbers))):
            part = slice(first, after)
            self._put(int(numbers[first]), places[part], stops[part], piece.start, values[part], where)

    def finish(self) -> None:
        """Writes what is not complete."""
        while self._open:
            self._close(next(iter(self._open)))

    def _put(self, number: int, places: Array, stops: Array, start: int, values: Array, where: str) -> None:
        """Takes the steps `start …` of sequences of one slab, those of each up to its stop."""
        size, units = self._chunks.steps, self._chunks.units
        longest = int(stops.max())
        for stretch in range(start // size, -(-longest // size)):
            begin = stretch * size
            low, high = max(start, begin), min(longest, begin + size)
            count = int((np.minimum(stops, high) - low).clip(0).sum())
            if not count:
                continue
            slab = self._open.get((number, stretch)) or self._new(number, stretch)
            steps = values[:, low - start : high - start]
            for part, own in enumerate(slab.values):
                piece = steps[..., part * units : (part + 1) * units]
                assign(own[..., : piece.shape[-1]], (_run(places), slice(low - begin, high - begin)), piece, where)
            slab.missing -= count
            if slab.missing <= 0:
                self._close((number, stretch))

    def _new(self, number: int, stretch: int) -> _Slab:
        """A slab of which nothing has come."""
        valid = (self._lengths[self._members(number)] - stretch * self._chunks.steps).clip(0, self._chunks.steps)
        size = self._chunks.slab or len(valid)
        fits = [spare for spare in self._spare if spare.shape[1] == size]
        if fits:
            values = fits[0]
            self._spare = [spare for spare in self._spare if spare is not values]
        else:
            values = np.empty((self._chunks.parts, size, self._chunks.steps, *self._inner), self._field.dtype)
        missing = int(valid.sum())
        if not fits or missing < size * self._chunks.steps:
            values.fill(self._field.fill)
        slab = self._open[number, stretch] = _Slab(values, missing)
        return slab

    def _members(self, number: int) -> Array:
        """The sequences of a slab."""
        slab = self._chunks.slab
        return self._sequences[number * slab : (number + 1) * slab] if slab else self._batches[number].rows

    def _close(self, key: tuple[int, int]) -> None:
        """Writes the chunks of a slab that hold more than padding."""
        number, stretch = key
        slab, members = self._open.pop(key), self._members(number)
        reached = self._lengths[members] > stretch * self._chunks.steps
        together = self._chunks.sequences
        time = () if self._field.lengths is None else (stretch * self._chunks.steps,)
        behind = (0,) * (len(self._inner) - 1)
        for place in range(0, len(members), together):
            if reached[place : place + together].any():
                for part in range(self._chunks.parts):
                    last = () if self._scalar else (part * self._chunks.units,)
                    offset = (int(members[place]), *time, *behind, *last)
                    self._write(offset, slab.values[part, place : place + together])
        self._spare = [*self._spare[-1:], slab.values]


def _run(places: Array) -> slice | Array:
    """Ascending places as NumPy takes them soonest."""
    return slice(places[0], places[-1] + 1) if places[-1] - places[0] + 1 == len(places) else places
