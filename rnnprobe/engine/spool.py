"""What one pass leaves for the next, off the heap when it is large."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from types import TracebackType

import numpy as np

from rnnprobe.types import Array

_IN_MEMORY = 32 << 20
"""Bytes above which a spool moves to a temporary file."""


class Spool:
    """Rows `[time, batch, size]` written and read by stretches of time, in any order.

    Args:
        batch: rows side by side.
        size: elements of a row.
        dtype: of the elements.
    """

    def __init__(self, batch: int, size: int, dtype: str) -> None:
        self._shape = (batch, size)
        self._dtype = np.dtype(dtype)
        self._stride = batch * size * self._dtype.itemsize
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by __exit__)

    def write(self, start: int, rows: Array) -> None:
        """Keeps `rows` `[time, batch, size]` as those from step `start` on."""
        self._file.seek(start * self._stride)
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())

    def read(self, start: int, stop: int) -> Array:
        """The rows from step `start` to before `stop`."""
        self._file.seek(start * self._stride)
        stored = self._file.read((stop - start) * self._stride)
        return np.frombuffer(stored, self._dtype).reshape(stop - start, *self._shape)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
