"""Whether all numbers are whole, so that they may be ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnnprobe.inputs.found import Grid, Ragged
from rnnprobe.types import Array

_SCAN = 1 << 20  # numbers that are looked at in one go
_SCANNED = 1 << 10  # sequences that are looked at in one go


def all_whole(grid: Grid) -> bool:
    """Whether every float of an array of rank 1 or 2 is a whole number; ends at the first that is none."""
    width = grid.shape[-1]
    lines = grid.shape[0] if len(grid.shape) == 2 else 1
    across = max(1, min(width, _SCAN))
    down = max(1, _SCAN // across)
    for top in range(0, lines, down):
        for left in range(0, width, across):
            columns = slice(left, min(left + across, width))
            rows = (slice(top, min(top + down, lines)),) if len(grid.shape) == 2 else ()
            if not _whole(grid.read((*rows, columns))):
                return False
    return grid.shape != (0,)


def _whole(block: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.trunc(block) == block) and np.all(np.isfinite(block)))


def first_fraction(data: Ragged) -> tuple[int, int, float] | None:
    """Sequence, step and value of the first number that is not whole."""
    for first in range(0, len(data.lengths), _SCANNED):
        rows = np.arange(first, min(first + _SCANNED, len(data.lengths)))
        if len(rows) > 1 and _whole_rows(data, rows):
            continue
        for row in rows.tolist():
            found = _fraction_of(data, row)
            if found is not None:
                return row, *found
    return None


def _fraction_of(data: Ragged, row: int) -> tuple[int, float] | None:
    """Step and value of the first number of a sequence that is not whole."""
    length = int(data.lengths[row])
    for start in range(0, length, _SCAN):
        block = data.read(np.array([row]), start, min(start + _SCAN, length))[0]
        if not _whole(block):
            step = next(index for index, value in enumerate(block) if not _whole(np.asarray(value)))
            return start + step, float(block[step])
    return None


def _whole_rows(data: Ragged, rows: NDArray[np.int64]) -> bool:
    """Whether every number of these sequences is whole."""
    longest, stretch = int(data.lengths[rows].max()), _SCAN // len(rows)
    return all(_whole(data.read(rows, start, min(start + stretch, longest))) for start in range(0, longest, stretch))
