"""Tensors that a cell stores by number (`group0/kernel`, `group1/kernel` …) as one, with an axis more in front."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnnprobe.cells import CELLS
from rnnprobe.cells.ntm import ADDRESSES, READS
from rnnprobe.types import Array, Tensor

_LEAVES = {leaf for cell in CELLS for weight in cell.weights for leaf in weight.names if "#" in leaf}
_LEAVES |= {READS, ADDRESSES}
_NUMBERED = {leaf: re.compile(rf"(.*/){re.escape(leaf).replace(re.escape('#'), '([0-9]+)')}") for leaf in _LEAVES}


def stack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with those of each numbered name of a cell's table as one, under that name.

    Numbers that do not run from 0, and shapes that differ, are left as they are: they fit no cell.
    """
    found: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        for leaf, pattern in _NUMBERED.items():
            place = pattern.fullmatch(name)
            if place:
                found.setdefault(place[1] + leaf, {})[int(place[2])] = tensor
    stacked = dict(tensors)
    for name, parts in found.items():
        ordered = [parts[k] for k in sorted(parts)]
        if sorted(parts) == list(range(len(parts))) and len({(part.shape, part.dtype) for part in ordered}) == 1:
            for part in ordered:
                del stacked[part.name]
            stacked[name] = joined(name, ordered)
    return stacked


def joined(name: str, parts: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as one, with an axis more in front."""

    def read(rows: slice) -> Array:
        chosen = [part.load() for part in parts[rows]]
        return np.stack(chosen) if chosen else np.empty((0, *parts[0].shape), parts[0].dtype)

    problem = next((part.problem for part in parts if part.problem), "")
    shape = (len(parts), *parts[0].shape)
    return Tensor(name, shape, parts[0].dtype, read, problem, tuple(part.name for part in parts))
