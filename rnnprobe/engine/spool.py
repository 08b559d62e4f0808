"""What one stage leaves for the next, off the heap when it is large."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile

import numpy as np
from numpy.typing import NDArray

from rnnprobe.engine.values import Value
from rnnprobe.types import Array

_IN_MEMORY = 32 << 20
"""Bytes above which a spool moves to a temporary file."""


class Spool(Value):
    """Rows `[time, batch, *shape]` written and read by stretches of time, in any order.

    Args:
        lengths: `[batch]`, the valid steps.
        dtype: of the elements.

    Attributes:
        shape: of a step of one sequence; that of what is written first.
    """

    def __init__(self, lengths: NDArray[np.int64], dtype: str) -> None:
        super().__init__(lengths)
        self._dtype = np.dtype(dtype)
        self._stride = 0
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by `close`)

    def write(self, start: int, rows: Array) -> None:
        """Keeps `rows` `[time, batch, *shape]` as those from step `start` on."""
        self.shape = rows.shape[2:]
        self._stride = int(np.prod(rows.shape[1:])) * self._dtype.itemsize
        self._file.seek(start * self._stride)
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())

    def read(self, start: int, stop: int) -> Array:
        """The rows from step `start` to before `stop`."""
        self._file.seek(start * self._stride)
        stored = self._file.read((stop - start) * self._stride)
        return np.frombuffer(stored, self._dtype).reshape(stop - start, len(self.lengths), *self.shape)

    def close(self) -> None:
        """Removes the file."""
        self._file.close()
