"""Every registered format: a genuine file that it alone claims, taken by the commands up to the door of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput
from rnnprobe.formats import FORMATS, read
from rnnprobe.recover import stacks

from ..conftest import DATA


def _paths() -> Iterator[Path]:
    """Files, folders and prefixes below `tests/data`, in an order that does not change."""
    for path in sorted(DATA.rglob("*")):
        yield path.with_suffix("") if path.suffix == ".index" else path


@cache
def _claimed() -> dict[str, list[Path]]:
    """The name of each format → the paths that it alone says are stored so."""
    found: dict[str, list[Path]] = {form.name: [] for form in FORMATS}
    for path in _paths():
        claims = [form.name for form in FORMATS if form.matches(path)]
        if len(claims) == 1:
            found[claims[0]].append(path)
    return found


def test_names_are_unique():
    assert len({form.name for form in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_genuine_file_of_every_format(form, run, tmp_path):
    """It lists its tensors; what is recurrent in it is ready to be traced, or one line says why not."""
    paths = _claimed()[form.name]
    assert paths, f"no file in {DATA} is a {form.name} alone"
    path = paths[0]
    checkpoint = read(path)
    assert checkpoint.tensors
    done = run("inspect", path)
    assert done.status == 0, done.err
    assert str(path.name) in done.out or checkpoint.path.name in done.out
    x, why = _input(path)
    np.save(tmp_path / "x.npy", x)
    done = run("trace", path, "--input", tmp_path / "x.npy", "--dry-run")
    assert done.status == (2 if why else 0), done.err
    assert why in done.err


def _input(path: Path) -> tuple[Any, str]:
    """Zeros that the model in front takes; and why it takes nothing, or an empty string."""
    try:
        (entry,) = stacks.entries(stacks.select(rnnprobe.open(path))[0]).values()
    except BadInput as exc:
        return np.zeros((2, 3, 1), "f"), exc.message
    step = tuple(size or 8 for size in entry.shape)
    return np.zeros((2, 3), "int64") if entry.embedded else np.zeros((2, 3, *step), "f"), ""
