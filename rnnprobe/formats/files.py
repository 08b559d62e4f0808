"""Reading files that come from somebody else: regular files alone, at checked places, failures as `BadInput`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rnnprobe.errors import BadInput

CHUNK = 1 << 20  # bytes read at a time where a whole range is only looked at


def beside(path: Path, suffix: str) -> Path:
    """`path` with `suffix` added to its name; `Path.with_suffix` would replace what follows a dot in it."""
    return Path(f"{path}{suffix}")


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file that can be looked at."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return False


def status(path: Path) -> os.stat_result:
    """What the file system says of a regular file.

    Raises:
        BadInput: there is none, or it can't be looked at.
    """
    try:
        found = path.stat()
    except OSError as exc:
        raise BadInput(f"can't be read: {exc.strerror}", path=path) from exc
    if not stat.S_ISREG(found.st_mode):
        raise BadInput("is not a regular file", path=path)
    return found


def length(path: Path) -> int:
    """The bytes of a regular file. Raises `BadInput`."""
    return status(path).st_size


def fingerprint(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written again: its inode, time of writing and length. Raises `BadInput`."""
    found = status(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


def chunks(path: Path, offset: int, size: int) -> Iterator[bytes]:
    """The bytes `offset … offset + size` in pieces of at most `CHUNK`.

    Raises:
        BadInput: the file is shorter by now, or can't be read.
    """
    status(path)
    try:
        with path.open("rb") as file:
            file.seek(offset)
            left = size
            while left:
                chunk = file.read(min(left, CHUNK))
                if not chunk:
                    raise BadInput(f"ends at byte {offset + size - left}, {left} bytes early", path=path)
                left -= len(chunk)
                yield chunk
    except OSError as exc:
        raise BadInput(f"can't be read: {exc.strerror}", path=path) from exc


def read(path: Path, offset: int, size: int) -> bytes:
    """The bytes `offset … offset + size`, which must have been checked against the file's length. Raises `BadInput`."""
    return b"".join(chunks(path, offset, size))


def crc32c(data: bytes, crc: int = 0) -> int:
    """The CRC32C of `data`, going on from `crc`."""
    import google_crc32c

    extended: int = google_crc32c.extend(crc, data)
    return extended


def mask(crc: int) -> int:
    """A CRC as LevelDB and TensorFlow store it, so that the CRC of bytes that hold CRCs stays sound."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
