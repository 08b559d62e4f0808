"""In which order a graph wants the axes of its input, told by what a change to one sequence leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rnnprobe.engine.original.given import Chunk
from rnnprobe.engine.original.joining import Found
from rnnprobe.types import Array


def separate(run: Callable[[Chunk], Found], chunk: Chunk, found: Found, size: int) -> bool:
    """Whether sequences lie along the rows: a change to the first of them changes its row, and no other one.

    Args:
        run: runs a chunk in the arrangement in question.
        chunk: at least two sequences; of one, nothing is told.
        found: what it gave.
        size: the rows that it is run for.
    """
    if len(chunk.rows) < 2:
        return False
    changed = replace(chunk, values={name: _changed(values) for name, values in chunk.values.items()})
    again = run(changed)
    moved = np.zeros(size, bool)
    for name in found.names:
        for array, other in zip(found.along(name), again.along(name), strict=True):
            if array.shape != other.shape:
                return False
            if array.ndim > 1 and array.shape[1] == size:
                apart = ~np.isclose(array, other, 0, 0, equal_nan=True)
                moved |= apart.any(axis=(0, *range(2, apart.ndim)))
    return bool(moved[0] and not moved[1:].any())


def _changed(values: Array) -> Array:
    """Other values for the first sequence: floats moved, ids exchanged for neighbours."""
    found = values.copy()
    found[0] = np.where(values[0] > 0, values[0] - 1, values[0] + 1) if values.dtype.kind in "iu" else values[0] + 1
    return found
