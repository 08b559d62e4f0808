"""Files of several formats and releases often hold the same network: what is the same is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

import rnnprobe
from rnnprobe.outputs import Trace
from rnnprobe.types import Cell, Network, Tensor

SILENT = {"checkpoint", "candidates", "notes", "evidence", "scope"}
"""Fields that say where a network comes from, or how it is known, and not what it computes."""


class Once:
    """`rnnprobe.trace`, but of a network, input and options that were there before the trace that was made then."""

    def __init__(self) -> None:
        self._known: dict[str, Trace] = {}

    def __call__(self, network: Network, x: Any, **options: Any) -> Trace:
        key = digest(network, x, options)
        if key not in self._known:
            self._known[key] = rnnprobe.trace(network, x, **options)
        return self._known[key]


def digest(*what: Any) -> str:
    """Of everything that is computed with: cells, options, wiring, names, every weight's bytes, and the input."""
    whole = hashlib.sha256()
    _add(whole, what)
    return whole.hexdigest()


def _add(whole: Any, what: Any) -> None:
    """Each part with its kind and its length in front, so that no two things are written alike."""
    if isinstance(what, Tensor):
        what = what.load()
    if isinstance(what, np.ndarray):
        assert what.dtype != object
        whole.update(f"array {what.dtype.str} {what.shape}:".encode())
        whole.update(np.ascontiguousarray(what).tobytes())
    elif isinstance(what, Cell):
        _add(whole, what.name)
    elif is_dataclass(what):
        named = {one.name: getattr(what, one.name) for one in fields(what) if one.name not in SILENT}
        _add(whole, {"of": type(what).__name__, **named})
    elif isinstance(what, Mapping):
        whole.update(f"mapping {len(what)}:".encode())
        for key, value in what.items():
            _add(whole, key)
            _add(whole, value)
    elif isinstance(what, tuple | list):
        whole.update(f"row {len(what)}:".encode())
        for one in what:
            _add(whole, one)
    else:
        assert what is None or isinstance(what, str | int | float | bool), type(what)
        text = f"{type(what).__name__} {what!r}"
        whole.update(f"{len(text)} {text}:".encode())
