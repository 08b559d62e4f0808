"""Many files as one input: globs, in the order in which people count, and what each file's sequences are called."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from rnnprobe.errors import BadInput
from rnnprobe.formats.natural import natural
from rnnprobe.inputs.file import split
from rnnprobe.inputs.found import Found, Say

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in one of the sources of an input.

    Attributes:
        found: the numbers.
        path: the file, for the errors, or None.
        label: what its sequences are called by; empty where it is the only source.
    """

    found: Found
    path: str | None
    label: str = ""


def expand(source: object) -> tuple[str, ...] | None:
    """The files of a source that stands for several: a glob, with a key behind it where each is read at that key
    (`runs/*.h5:/x`), or a list of paths and globs. None for any other source.

    Raises:
        BadInput: a glob that matches no file, a directory, or a file that is given twice.
    """
    if isinstance(source, str | Path):
        return _matches(str(source))
    if not listed(source):
        return None
    every = [file for one in source for file in _matches(str(one)) or (str(one),)]
    for file, count in Counter(every).items():
        if count > 1:
            raise BadInput("is given twice as input", path=file)
    return tuple(every)


def listed(source: object) -> TypeGuard[Sequence[str | Path]]:
    """Whether these are paths and globs, in a list."""
    return isinstance(source, list | tuple) and bool(source) and all(isinstance(one, str | Path) for one in source)


def _matches(source: str) -> tuple[str, ...] | None:
    """The files that a glob matches, or None where it is none."""
    path = split(source)[0]
    if path.is_dir():
        raise BadInput("is a directory; expected a file of sequences", path=path, hint=_inside(path))
    if os.path.lexists(path) or not glob.has_magic(source):
        return None
    pieces = source.split(":")
    for count in range(len(pieces), 0, -1):
        found = glob.glob(":".join(pieces[:count]), recursive=True)
        files = sorted((file for file in found if not os.path.isdir(file)), key=natural)
        if files:
            return tuple(":".join([file, *pieces[count:]]) for file in files)
        if found:
            raise BadInput("matches directories alone; expected files of sequences", path=source)
    raise BadInput("matches no file", path=source)


def _inside(folder: Path) -> str:
    """The glob of most files of a directory."""
    with os.scandir(folder) as entries:
        suffixes = Counter(Path(entry.name).suffix for entry in entries if entry.is_file())
    suffix = suffixes.most_common(1)[0][0] if suffixes else ""
    return f"'{folder / f'*{suffix}'}' takes all such files in it"


def labels(files: Sequence[str]) -> list[str]:
    """What to call each of several files: its name without the suffix, or as much more as tells them apart."""
    places = [split(file) for file in files]
    common = os.path.commonpath([path.parent.absolute() for path, _ in places])
    below = [os.path.relpath(path.absolute(), common) for path, _ in places]
    keys = [f":{key}" if key else "" for _, key in places]
    forms = [
        [path.stem for path, _ in places],
        [path.name for path, _ in places],
        [os.path.splitext(path)[0] for path in below],
        below,
    ]
    for form in forms:
        for tails in ([""] * len(files), keys):
            found = [name + tail for name, tail in zip(form, tails, strict=True)]
            if len(set(found)) == len(found):
                return found
    return list(files)


class Chorus:
    """What is said of many files, once where it is the same of several.

    Args:
        say: takes a line for the user.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lines: dict[str, tuple[str, list[str]]] = {}

    def of(self, source: str) -> Callable[[str], None]:
        """What takes a line about one file."""
        path = str(split(source)[0])

        def say(line: str) -> None:
            kind = re.sub(r"\d+", "#", line.replace(path, ""))
            self._lines.setdefault(kind, (line, []))[1].append(path)

        return say

    def end(self) -> None:
        """Says it all."""
        for line, paths in self._lines.values():
            others = [path for path in dict.fromkeys(paths) if path != paths[0]]
            first = line if paths[0] in line else f"{paths[0]}: {line}"
            more = f"; likewise in {', '.join(others[:_SHOWN])}{', …' * (len(others) > _SHOWN)}" if others else ""
            self._say(first + more)
        self._lines.clear()


@contextmanager
def chorus(say: Say) -> Iterator[Chorus]:
    """Says in the end, and before an error, what was said of the files."""
    voices = Chorus(say)
    try:
        yield voices
    finally:
        voices.end()
