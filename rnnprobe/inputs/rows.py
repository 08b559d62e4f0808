"""Sequences that lie one behind the other, or each in an array of its own → the steps of any of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import prod
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.inputs.found import Ragged
from rnnprobe.inputs.heap import Heap, Kept
from rnnprobe.types import Array

Fetch: TypeAlias = Callable[[int, int], Array]
"""`fetch(start, stop)` returns `[stop - start, *shape]`."""

_BLOCK = 1 << 20  # bytes
_SPAN = 1 << 20  # bytes that are fetched in one go, whatever of them is wanted


class Rows:
    """Arrays `[n, *shape]` one behind the other, of which a heap keeps the values.

    Args:
        heap: what keeps them.

    Attributes:
        shape: of a row; that of what came first.
        dtype: that of all of them, promoted.
    """

    def __init__(self, heap: Heap) -> None:
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._heap = heap
        self._blocks: list[tuple[Kept, np.dtype[Any]]] = []
        self._starts = [0]
        self._waiting: list[Array] = []
        self._bytes = 0
        self._count = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    def add(self, array: Array) -> None:
        """Takes rows, which must not change afterwards; memory holds at most a block of what small arrays bring.

        Raises:
            OutOfResources: the disk of temporary files takes no more.
        """
        if not self._count:
            self.shape, self.dtype = array.shape[1:], array.dtype
        self.dtype = np.promote_types(self.dtype, array.dtype)
        self._waiting.append(array)
        self._bytes += array.nbytes
        self._count += len(array)
        if self._bytes >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        with self._lock:  # threads may be the first to read
            if not self._waiting:
                return
            block = np.ascontiguousarray(np.concatenate(self._waiting))
            self._blocks.append((self._heap.keep(block.data), block.dtype))
            self._starts.append(self._starts[-1] + len(block))
            self._waiting, self._bytes = [], 0

    def read(self, start: int, stop: int) -> Array:
        """The rows `[stop - start, *shape]` in one dtype, whether all were added or more are to come."""
        self._flush()
        pieces = []
        number = bisect_right(self._starts, start) - 1
        while start < stop:
            kept, dtype = self._blocks[number]
            first, after = self._starts[number], min(stop, self._starts[number + 1])
            row = prod(self.shape) * dtype.itemsize
            stored = np.frombuffer(kept((start - first) * row, (after - first) * row), dtype)
            pieces.append(stored.reshape(after - start, *self.shape).astype(self.dtype, copy=False))
            start, number = after, number + 1
        if not pieces:
            return np.empty((0, *self.shape), self.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def joined(fetch: Fetch, shape: tuple[int, ...], dtype: np.dtype[Any], lengths: NDArray[np.int64]) -> Ragged:
    """Ragged sequences that lie one behind the other.

    Args:
        fetch: reads any stretch of all their steps.
        shape: of a step.
        dtype: of what is read.
        lengths: of the sequences.
    """
    ends = np.cumsum(lengths)
    row = max(1, prod(shape) * dtype.itemsize)

    def read(rows: NDArray[np.int64], start: int, stop: int) -> Array:
        out = np.zeros((len(rows), stop - start, *shape), dtype)
        begins = ends[rows] - lengths[rows] + start
        counts = np.clip(lengths[rows] - start, 0, stop - start)
        live = np.flatnonzero(counts)
        if not len(live):
            return out
        first, last = int(begins[live].min()), int((begins + counts)[live].max())
        if (last - first) * row > max(_SPAN, 2 * row * int(counts.sum())):
            for index in live.tolist():
                begin, count = int(begins[index]), int(counts[index])
                out[index, :count] = fetch(begin, begin + count)
            return out
        found = fetch(first, last)
        steps = np.arange(stop - start)
        valid = steps < counts[:, None]
        out[valid] = found[(begins[:, None] - first + steps)[valid]]
        return out

    return Ragged(lengths, shape, dtype, read)


def apart(
    lengths: Sequence[int], shape: tuple[int, ...], dtype: np.dtype[Any], one: Callable[[int, int, int], Array]
) -> Ragged:
    """Ragged sequences each of which is an array of its own.

    Args:
        lengths: of the sequences.
        shape: of a step.
        dtype: of what is read.
        one: `one(sequence, start, stop)` returns `[stop - start, *shape]`, within its length.
    """
    sizes = np.array(lengths, np.int64)

    def read(rows: NDArray[np.int64], start: int, stop: int) -> Array:
        out = np.zeros((len(rows), stop - start, *shape), dtype)
        for index, row in enumerate(rows.tolist()):
            end = min(stop, int(sizes[row]))
            if end > start:
                out[index, : end - start] = one(row, start, end)
        return out

    return Ragged(sizes, shape, dtype, read)
