"""What the placeholders of an original graph are fed: `--feed NAME=FILE`.

An array (`.npy`, or `file.npz:key`) as it is; a number, `true` or `false` as such; any other file as its bytes, for a
placeholder that takes them (a recording in front of `DecodeWav`, say).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rnnprobe.errors import BadInput, OutOfResources, RnnprobeError
from rnnprobe.inputs import npy, npz
from rnnprobe.inputs.file import File, locate
from rnnprobe.inputs.found import Request
from rnnprobe.types import Array

Fed: TypeAlias = Array | bytes
"""The value of a placeholder."""

_WORDS = {"true": True, "false": False}
_LARGEST = 1 << 30
"""Bytes of one file."""


def read(given: Sequence[str]) -> dict[str, Fed]:
    """Placeholder → its value.

    Args:
        given: `NAME=FILE` or `NAME=NUMBER`, each.

    Raises:
        BadInput: no name, a name twice, no such file and no number, or a file that can't be read as what it is.
        OutOfResources: a file that is too large to be fed at once.
    """
    found: dict[str, Fed] = {}
    before: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name or not value:
            raise BadInput(f"--feed {one}: expected NAME=FILE, or NAME=NUMBER", hint="--feed wav_data=recording.wav")
        if name in found:
            raise BadInput(f"--feed gives {name!r} twice: {before[name]} and {value}", hint="leave one of them out")
        before[name] = value
        found[name] = _value(name, value)
    return found


def _value(name: str, text: str) -> Fed:
    number = _number(text)
    if number is not None and not Path(text).exists():
        return np.asarray(number)
    file = locate(text)
    try:
        return _content(file)
    except RnnprobeError as exc:
        if exc.path is None:
            raise type(exc)(f"--feed {name}: {exc.message}", path=file.path, hint=exc.hint) from exc
        raise


def _number(text: str) -> bool | int | float | None:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _content(file: File) -> Fed:
    head = file.head(8)
    if npy.NPY.matches(head):
        return npy.read(file, Request(lambda line: None)).data.whole()  # type: ignore[union-attr]
    if npz.NPZ.matches(head) and file.suffix == ".npz":
        arrays = npz.arrays(file)
        if file.key not in arrays and (file.key or len(arrays) != 1):
            raise file.bad(
                f"holds {len(arrays)} arrays; one is fed", hint=f"FILE:KEY chooses one of {', '.join(arrays)}"
            )
        return next(iter(arrays.values())).whole() if not file.key else arrays[file.key].whole()
    if file.key:
        raise file.bad(f"holds no arrays by name; found the key {file.key!r}")
    if file.size > _LARGEST:
        raise OutOfResources(f"{file.size:,} bytes are more than can be fed at once", path=file.path)
    return file.head(file.size)
