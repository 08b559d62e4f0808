"""What an output is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from rnnprobe.errors import BadInput
from rnnprobe.outputs.compression import Compression
from rnnprobe.types import Block, Recording


class Sink(Protocol):
    """What takes the blocks of a recording, in the order in which the engine yields them."""

    def write(self, block: Block) -> None:
        """Takes a block; its arrays must not change afterwards.

        Raises:
            CannotWrite: there is no room for it, or the device failed.
        """

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        """Takes what was found when the run was compared with the original, in place of `Recording.verification`.

        At most once, after the last block.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """How values are stored.

    Attributes:
        dtype: `float16`, `float32` or `float64`, of every signal and state.
        compress: how their steps are compressed, or None.
    """

    dtype: str = "float32"
    compress: Compression | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A way of storing a trace.

    Attributes:
        name: in words, for messages.
        suffixes: of the files, in lower case with the dot; no two outputs share one.
        open: `open(descriptor, directory, recording, settings)`: a context manager that yields the sink. It writes to
            the file descriptor, an empty temporary file that its caller owns, and to unnamed files in `directory`, and
            has written everything when it exits without an exception.
            Raises `CannotWrite`, without a path, when the file takes no more.
        size: `size(recording, dtype)`: the bytes that are on the disk at once, at most, where nothing is compressed.
        compressions: the names of those that it can have.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[int, Path, Recording, Settings], AbstractContextManager[Sink]]
    size: Callable[[Recording, str], int]
    compressions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an output goes, found writable.

    Attributes:
        path: as the user wrote it.
        target: what `path` points to: symbolic links are followed, so that they survive.
        output: by the suffix.
        force: whether a file that is there may be replaced.
    """

    path: Path
    target: Path
    output: Output
    force: bool


class Suffixed(Protocol):
    """A way of storing something, chosen by the file's suffix."""

    @property
    def name(self) -> str:
        """In words."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """In lower case with the dot; no two ways share one."""


Way = TypeVar("Way", bound=Suffixed)


def by_suffix(path: Path, ways: Sequence[Way]) -> Way:
    """The way that a file's suffix means.

    Raises:
        BadInput: it means none of them; the hint lists the valid ones.
    """
    for way in ways:
        if path.suffix.lower() in way.suffixes:
            return way
    found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
    valid = "; ".join(f"{', '.join(way.suffixes)}: {way.name}" for way in ways)
    raise BadInput(f"has {found}, which names no output", path=path, hint=f"valid suffixes: {valid}")
