"""The shape of the chunks of a trace in HDF5.

A trace is read a sequence at a time over all its steps, or a unit at a time over all sequences. What follows was
measured by `benchmarks/writing.py`, on arrays of 256 units:

- A chunk is of one sequence: `h[s]` takes ten times as long with 16 sequences in a chunk, since chunks are read whole.
- It is of about 64 units: `h[:, :, u]` then takes a third of the time, and `h[s]` as long as with all of the units.
- It has 128 to 256 KiB: each costs 10 to 20 µs besides its bytes, and 16 KiB take twice as long to write.

Hence a chunk is a long stretch of some 64 units of one sequence. Where memory allows short stretches alone, it has more
units; where sequences are short, several of them share a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from rnnprobe.outputs.field import Field
from rnnprobe.types import Array, Recording

_UNITS = 64
"""Of a chunk, about."""
_SMALLEST, _LARGEST = 128 << 10, 256 << 10
"""Bytes of a chunk to aim for."""
_OPEN = 128 << 20
"""Bytes of all chunks together that blocks have begun and not filled."""
_ABREAST = 4
"""Batches that run at once, as far as this memory is planned for, on whatever machine: the same trace is cut the same
way everywhere. Where 8 run at once, which is the most, twice as much may be held; to plan for 8 would halve the chunks
of many a trace everywhere, to less than `_SMALLEST`."""
_FEWEST_STEPS = 16
_SLAB = 1 << 20
"""Bytes of short sequences to collect together: the more, the fewer and longer copies."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """How an array is cut.

    Attributes:
        sequences: of a chunk.
        steps: of a chunk; 1 where the array has no steps.
        units: of a chunk, along the last axis; 1 where a step is one number.
        parts: the chunks along the last axis.
        slab: sequences that are collected together before their chunks are written, a multiple of `sequences`; 0 for
            those of a batch, where the first axis is that of sequences.
    """

    sequences: int
    steps: int
    units: int
    parts: int
    slab: int

    def shape(self, field: Field) -> tuple[int, ...]:
        """Of a chunk, as libhdf5 wants it."""
        time = () if field.lengths is None else (self.steps,)
        return (self.sequences, *time, *(*field.step[:-1], self.units)[: len(field.step)])

    def stored(self, field: Field) -> int:
        """The bytes of the chunks that hold something, whole as they are written: those of an array with steps."""
        lengths = field.lengths if field.lengths is not None else np.ones(field.shape[0], np.int64)
        starts = np.arange(0, len(lengths), self.sequences)
        longest = np.maximum.reduceat(lengths, starts) if len(starts) else lengths
        count = int(-(-longest // self.steps).sum()) * self.parts
        return count * prod(self.shape(field)) * np.dtype(field.dtype).itemsize


class Chunker:
    """Cuts the arrays of a recording.

    All chunks together that are begun and not filled have about 128 MiB at most where up to 4 batches run at once, and
    256 MiB where 8 do; more where batches are so wide that the fewest steps of a chunk need it.

    Args:
        recording: what is going to be written.
        every: its arrays.
    """

    def __init__(self, recording: Recording, every: Sequence[Field]) -> None:
        self._rows = np.concatenate([np.zeros(0, np.int64), *(batch.rows for batch in recording.batches)])
        sizes = [len(batch.rows) for batch in recording.batches]
        self._batches = np.repeat(np.arange(len(sizes)), sizes)
        self._batch = max(sizes, default=1)
        self._width = sum(one.row for one in every if one.kind)
        self._ends = sum(one.row for one in every if one.lengths is None and one.known is None)

    def chunks(self, field: Field) -> Chunks:
        """How an array is cut; it has values."""
        sequences, row = field.shape[0], field.row
        steps = 1 if field.lengths is None else field.shape[1]
        last = field.step[-1] if field.step else 1
        parts = max(1, round(last / _UNITS)) if field.lengths is not None else 1
        # What is no signal comes batch by batch, one array after the other.
        width = self._width if field.kind else self._ends if field.lengths is None else row
        fewest = max(1, min(_FEWEST_STEPS, _LARGEST // row))
        room = max(fewest, _OPEN // (width * self._batch * (_ABREAST if field.kind else 1)))
        most = min(room, max(fewest, _LARGEST * parts // row))
        stretch = ceil(steps / ceil(steps / most))
        together, slab = 1, 0
        if stretch == steps:
            together, slab = self._together(
                min(sequences, _SMALLEST * parts // (steps * row)), steps * width, steps * row
            )
        if together == 1:
            parts = max(1, min(parts, stretch * row // _SMALLEST))
        units = ceil(last / parts)
        if field.dimensions[0] != "sequence":  # what is reduced over sequences has steps there, which no batch has
            slab = slab or 1
        return Chunks(together, stretch, units, ceil(last / units), slab)

    def _together(self, wanted: int, width: int, row: int) -> tuple[int, int]:
        """How many sequences may share a chunk, and are collected together.

        Sequences that stand side by side may be in different batches. All that has begun and is not complete must fit
        into memory.

        Args:
            wanted: sequences of a chunk.
            width: the bytes that a sequence has in all arrays that are written at the same time.
            row: those that it has in this one.
        """
        while wanted > 1:
            for slab in (wanted * max(1, _SLAB // (wanted * row)), wanted):
                if self._open(slab) * slab * width <= _OPEN:
                    return wanted, slab
            wanted //= 2
        return 1, 0

    def _open(self, slab: int) -> int:
        """How many stretches of so many sequences have begun and are not complete, at most."""
        numbers = self._rows // slab
        count = int(numbers.max(initial=0)) + 1
        first, last = np.zeros(count, np.int64), np.zeros(count, np.int64)
        first[numbers[::-1]] = self._batches[::-1]
        last[numbers] = self._batches
        changes: Array = np.zeros(int(self._batches.max(initial=0)) + _ABREAST + 1, np.int64)
        np.add.at(changes, first, 1)
        np.add.at(changes, last + _ABREAST, -1)
        return int(changes.cumsum().max())
