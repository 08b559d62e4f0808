"""What is kept of an input until it is run: in memory while it is little, else in a temporary file without a name."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from threading import Lock
from typing import Any, TypeAlias

from rnnprobe.errors import OutOfResources

IN_MEMORY = 64 << 20
"""Bytes that one heap keeps in memory."""

Kept: TypeAlias = Callable[[int, int], bytes | memoryview]
"""`kept(start, stop)` returns those bytes of what was kept. Threads may call it side by side."""


class Heap:
    """Takes bytes and gives them back; the file is gone when nobody holds the heap or what it keeps."""

    def __init__(self) -> None:
        self._used = 0
        self._file: _File | None = None
        self._lock = Lock()

    def keep(self, data: bytes | bytearray | memoryview) -> Kept:
        """Keeps a copy of `data`.

        Raises:
            OutOfResources: the disk of temporary files takes no more.
        """
        view = memoryview(data)
        if not view.nbytes:
            return lambda start, stop: b""
        view = view.cast("B")
        with self._lock:
            if self._used + view.nbytes <= IN_MEMORY:
                self._used += view.nbytes
                held = memoryview(bytes(view))
                return lambda start, stop: held[start:stop]
            if self._file is None:
                self._file = _File()
            file, offset = self._file, self._file.add(view)
        return lambda start, stop: file.read(offset + start, stop - start)


class _File:
    """A temporary file without a name."""

    def __init__(self) -> None:
        try:
            with tempfile.TemporaryFile(prefix="rnnprobe-") as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as exc:
            raise _full(exc) from exc
        weakref.finalize(self, os.close, self._descriptor)
        self._end = 0

    def add(self, view: memoryview) -> int:
        """Where it begins in the file."""
        start = self._end
        try:
            while view:
                count = os.pwrite(self._descriptor, view, self._end)
                self._end += count
                view = view[count:]
        except OSError as exc:
            raise _full(exc) from exc
        return start

    def read(self, start: int, size: int) -> bytes:
        """These bytes; `pread` moves no position that threads would share."""
        pieces = []
        while size > 0:
            piece = os.pread(self._descriptor, size, start)
            if not piece:
                raise OSError("a temporary file has become shorter")
            pieces.append(piece)
            start, size = start + len(piece), size - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _full(exc: OSError) -> OutOfResources:
    return OutOfResources(
        f"the input is kept in a temporary file, and {tempfile.gettempdir()} takes no more: {exc.strerror or exc}",
        hint="TMPDIR names another directory",
    )


class Spooled(io.RawIOBase):
    """Pieces that a heap keeps, one behind the other, as a file.

    Args:
        pieces: each with its size.
    """

    def __init__(self, pieces: Sequence[tuple[Kept, int]]) -> None:
        self._pieces = pieces
        self._starts = [0, *accumulate(size for _, size in pieces)]
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As files do."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise OSError("a position before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer from one piece."""
        view = memoryview(buffer).cast("B")
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._pieces) or not len(view):
            return 0
        kept, size = self._pieces[number]
        start = self._at - self._starts[number]
        stop = min(size, start + len(view))
        view[: stop - start] = kept(start, stop)
        self._at += stop - start
        return stop - start
