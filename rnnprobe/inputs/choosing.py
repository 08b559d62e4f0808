"""Which sequences, which of their steps, and how long they are: `--select`, `--steps` and `--lengths`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs import npy
from rnnprobe.inputs.collection import whole_numbers
from rnnprobe.inputs.file import locate
from rnnprobe.inputs.found import Found, Request
from rnnprobe.inputs.names import finder

_SHOWN = 12


def rows(select: str | int | Sequence[int | str] | None, names: Sequence[str]) -> NDArray[np.int64]:
    """The numbers of the sequences to run, in the order given, each once.

    Args:
        select: `3`, `0:10`, `1,5,7`, names, `file` for every `file/…`, or a list of these. A name counts before a
            number.
        names: of all sequences.

    Raises:
        BadInput: there is no such sequence; the error lists those that are there.
    """
    if select is None:
        return np.arange(len(names), dtype=np.int64)
    find = finder(names)
    if isinstance(select, int | np.integer):
        pieces: list[int | str] = [int(select)]
    elif isinstance(select, str):
        pieces = [select] if find(select) is not None else [piece.strip() for piece in select.split(",")]
    else:
        pieces = list(select)
    chosen: dict[int, None] = {}
    for piece in pieces:
        chosen.update(dict.fromkeys(_piece(piece, find, names)))
    if not chosen:
        raise BadInput(f"--select {select!r} names no sequence; {_there(names)}")
    return np.array(list(chosen), np.int64)


def _piece(piece: int | str, find: Callable[[str], int | None], names: Sequence[str]) -> Sequence[int]:
    text, count = str(piece), len(names)
    row = find(piece) if isinstance(piece, str) else None
    if row is not None:
        return range(row, row + 1)
    if re.fullmatch(r"\d{1,18}", text) and int(text) < count:
        return range(int(text), int(text) + 1)
    bounds = re.fullmatch(r"(\d{0,18}):(\d{0,18})", text)
    if bounds:
        first = int(bounds[1] or 0)
        last = min(int(bounds[2] or count), count)
        if first < last:
            return range(first, last)
    of_file = [row for row, name in enumerate(names) if name.startswith(f"{text}/")]
    if of_file:
        return of_file
    hint = "3, 0:10, 1,5,7, names, or a file's name for all that it holds"
    raise BadInput(f"--select {text!r} names no sequence; {_there(names)}", hint=hint)


def _there(names: Sequence[str]) -> str:
    count = len(names)
    listed = ", ".join(names[:_SHOWN]) + (", …" if count > _SHOWN else "")
    return f"there {'is' if count == 1 else 'are'} {count}: {listed}"


def steps(text: str | slice | None, longest: int) -> tuple[int, int]:
    """The first step and the one behind the last, from `A:B`, `A:`, `:B`.

    Raises:
        BadInput: it is no such range, or no sequence has a step in it.
    """
    if text is None:
        return 0, longest
    if isinstance(text, slice):
        if text.step not in (None, 1):
            raise BadInput(f"--steps takes a range of steps that follow each other; found a step of {text.step}")
        text = f"{'' if text.start is None else text.start}:{'' if text.stop is None else text.stop}"
    bounds = re.fullmatch(r"\s*(\d{0,18}):(\d{0,18})\s*", text)
    if not bounds:
        raise BadInput(f"--steps {text!r} is no range; expected A:B, A: or :B, counted from 0, B left out")
    first, last = int(bounds[1] or 0), min(int(bounds[2] or longest), longest)
    if first >= last:
        raise BadInput(f"--steps {text} holds no step of the input; the longest sequence has {longest}")
    return first, last


def lengths(given: object) -> NDArray[np.int64] | None:
    """The lengths of the sequences, `[sequences]`.

    Args:
        given: numbers; or a text of numbers (`5,3,7`); or a file: `.npy`, or a text of numbers.

    Raises:
        BadInput: they are not whole numbers.
    """
    if given is None:
        return None
    if isinstance(given, str) and re.fullmatch(r"[\s,\d]*\d[\s,\d]*", given):
        return _numbers(given)
    if not isinstance(given, str | Path):
        return whole_numbers(np.asarray(given), "lengths")
    file = locate(given)
    if npy.NPY.matches(file.head(8)) or file.suffix == ".npy":
        found: Found = npy.read(file, Request(say=lambda line: None))
        return whole_numbers(found.data.whole(), f"the lengths in {file.path}")  # type: ignore[union-attr]
    if file.size > 1 << 28:
        raise file.bad("is too large for a list of lengths")
    text = file.head(file.size).decode("utf-8", "replace")
    if not re.fullmatch(r"[\s,\d]*\d[\s,\d]*", text):
        raise file.bad("holds no list of lengths; expected whole numbers, parted by commas, blanks or line breaks")
    return _numbers(text)


def _numbers(text: str) -> NDArray[np.int64]:
    words = re.findall(r"\d+", text)
    if any(len(word) > 18 for word in words):
        raise BadInput("lengths hold a number of more than 18 digits")
    return np.array([int(word) for word in words], np.int64)
