"""A text that is written as a file: a specification, the findings of a check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnprobe.outputs import atomic


def check(path: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Refuses a file that can't be written, before any work.

    Raises:
        BadInput: the file exists, without `force`.
        CannotWrite: the place can't be written, or is one of `sources`.
    """
    atomic.check(path, atomic.resolve(path), force=force, sources=sources)


def write(path: Path, text: str, *, force: bool) -> None:
    """Writes a file, in UTF-8, that appears whole or not at all.

    Args:
        path: where `check` found nothing wrong.
        text: all of it.
        force: whether a file that is there is replaced.

    Raises:
        CannotWrite: the file can't be written; what was there before is as it was.
    """
    with (
        atomic.staged(path, atomic.resolve(path), force=force) as descriptor,
        atomic.written(path),
        open(descriptor, "wb", closefd=False) as file,
    ):
        file.write(text.encode())
