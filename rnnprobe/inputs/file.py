"""Where the input comes from: a file, `file.npz:key`, a pipe, or standard input."""

from __future__ import annotations

import difflib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rnnprobe.errors import BadInput
from rnnprobe.inputs.heap import Heap, Kept, Spooled

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """Bytes that can be read from any place, again and again.

    Attributes:
        path: for the messages; `standard input` for a pipe.
        size: in bytes.
        suffix: of the name, in lower case.
        key: what followed the colon in `file.npz:key`, or empty.
        opener: opens it once more.
    """

    path: str
    size: int
    suffix: str
    key: str
    opener: Callable[[], BinaryIO]

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes. Raises `BadInput` where they can't be read."""
        try:
            with self.opener() as file:
                yield file
        except OSError as exc:
            raise BadInput(f"can't be read: {exc.strerror or exc}", path=self.path) from exc

    @contextmanager
    def buffered(self) -> Iterator[BinaryIO]:
        """The bytes, for reading line by line. Raises `BadInput` where they can't be read."""
        with self.open() as file:
            yield cast(BinaryIO, io.BufferedReader(cast(Any, file), _CHUNK))

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`."""
        with self.open() as file:
            return file.read(size)

    def bad(self, message: str, hint: str = "") -> BadInput:
        """An error that names this file."""
        return BadInput(message, path=self.path, hint=hint)


def locate(source: str | Path) -> File:
    """Opens `source`: a path, `path:key`, or `-`.

    Raises:
        BadInput: there is no such file, or it can't be read.
        OutOfResources: a pipe brings more than the disk of temporary files takes.
    """
    if str(source) == "-":
        return _stream(sys.stdin.buffer, "standard input", "", "")
    path, key = split(source)
    try:
        status = path.stat()
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise BadInput("no such file", path=str(source), hint=_near(path)) from exc
    suffix = path.suffix.lower()
    if stat.S_ISDIR(status.st_mode):
        raise BadInput("is a directory; expected a file of sequences", path=path)
    if not stat.S_ISREG(status.st_mode):
        try:
            with path.open("rb") as stream:
                return _stream(stream, str(path), suffix, key)
        except OSError as exc:
            raise BadInput(f"can't be read: {exc.strerror}", path=path) from exc
    return File(str(path), status.st_size, suffix, key, lambda: path.open("rb", buffering=0))


def path_of(source: object) -> Path | None:
    """The file that `source` names, without the key in it; None for standard input, arrays and what is no file."""
    if not isinstance(source, str | Path) or str(source) == "-":
        return None
    path = split(source)[0]
    return path if path.is_file() else None


def split(source: str | Path) -> tuple[Path, str]:
    """The path and the key of `path:key`; a key may hold colons, and so may a path."""
    text = str(source)
    if os.path.lexists(text) or ":" not in text:
        return Path(text), ""
    pieces = text.split(":")
    for count in range(len(pieces) - 1, 0, -1):
        head = ":".join(pieces[:count])
        if os.path.isfile(head):
            return Path(head), ":".join(pieces[count:])
    return Path(pieces[0]), ":".join(pieces[1:])


def _near(path: Path) -> str:
    """What there is instead."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        return f"there is no directory {path.parent}"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(str(path.parent / name) for name in near)}?" if near else ""


def _stream(stream: BinaryIO, name: str, suffix: str, key: str) -> File:
    """The bytes of a pipe, kept, since nobody can seek in a pipe."""
    heap = Heap()
    pieces = []
    while chunk := stream.read(_CHUNK):
        pieces.append((heap.keep(chunk), len(chunk)))
    return spooled(name, suffix, key, pieces)


def spooled(path: str, suffix: str, key: str, pieces: Sequence[tuple[Kept, int]]) -> File:
    """A file of pieces that a heap keeps, each with its size."""
    size = sum(size for _, size in pieces)
    return File(path, size, suffix, key, lambda: cast(BinaryIO, Spooled(pieces)))
