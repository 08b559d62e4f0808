"""A file that never fails, for libhdf5 to write to.

When a write fails under libhdf5, on a full disk say, its caches can no longer be flushed, and closing the file usually
ends the process with a segmentation fault. Behind a shield libhdf5 never sees a failure: the first one is kept in
`error`, and from then on the bytes go to memory, so that whatever libhdf5 reads back is what it wrote. All that is then
left to do is to close the file, and what closing writes is no more than its caches held.

It must be used from a thread other than the main one: signal handlers run in the main thread, and a `KeyboardInterrupt`
in the midst of a write would be a failure, too.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_STRETCH = 32 << 20
"""Bytes after which the system is asked to begin to bring them to the disk."""


class Shield:
    """What `h5py.File` wants of a Python file object.

    Args:
        descriptor: an empty file, open for reading and writing; it stays open.

    Attributes:
        error: the first failure, or None.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._size = 0
        self._on_its_way = 0
        self._lost: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def fail(self, error: OSError) -> None:
        """Keeps the first failure; nothing is written to the file from here on."""
        if self.error is None:
            self.error = error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to `offset`, from the start, here or the end."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def write(self, data: memoryview) -> int:
        """Takes all of `data`, whatever the disk says."""
        data = memoryview(data)
        start, stop = self._position, self._position + len(data)
        done = 0
        try:
            while self.error is None and done < len(data):
                done += os.pwrite(self._descriptor, data[done:], start + done)
        except OSError as error:
            self.fail(error)
        if done < len(data):
            self._lost.append((start + done, bytes(data[done:])))
        self._position = stop
        self._size = max(self._size, stop)
        if self._size - self._on_its_way >= _STRETCH:
            self._send()
        return len(data)

    def _send(self) -> None:
        """Lets the system begin to write what it holds back, while more is computed: `fsync` then waits for little.

        What is dirty is not dropped by this advice, but sent off.
        """
        if sys.platform == "linux":
            with suppress(OSError):  # advice; whether the bytes arrive, `fsync` says
                os.posix_fadvise(
                    self._descriptor, self._on_its_way, self._size - self._on_its_way, os.POSIX_FADV_DONTNEED
                )
        self._on_its_way = self._size

    def read(self, size: int) -> bytes:
        """The next `size` bytes; what was never written is 0."""
        data = bytearray(size)
        self.readinto(memoryview(data))
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:
        """Fills `buffer` with what was written here, lost or not."""
        buffer = memoryview(buffer)
        start, stop = self._position, self._position + len(buffer)
        found = b""
        try:
            found = os.pread(self._descriptor, len(buffer), start)
        except OSError as error:
            self.fail(error)
        buffer[: len(found)] = found
        buffer[len(found) :] = bytes(len(buffer) - len(found))
        for offset, data in self._lost:
            low, high = max(offset, start), min(offset + len(data), stop)
            if low < high:
                buffer[low - start : high - start] = data[low - offset : high - offset]
        self._position = stop
        return len(buffer)

    def truncate(self, size: int) -> int:
        """Cuts or extends the file."""
        try:
            if self.error is None:
                os.ftruncate(self._descriptor, size)
        except OSError as error:
            self.fail(error)
        self._size = size
        return size

    def flush(self) -> None:
        """Nothing is held back."""
