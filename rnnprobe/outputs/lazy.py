"""A stored array that is read when it is sliced."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from rnnprobe.inputs.found import Grid
from rnnprobe.types import Array


class Lazy:
    """A stored array that is read when it is sliced, with NumPy's own meaning of an index.

    Args:
        grid: where it lies.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Known without reading."""
        return self._grid.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Known without reading."""
        return self._grid.dtype

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > len(self.shape) or any(not isinstance(each, int | np.integer | slice) for each in keys):
            return self._grid.whole()[key]
        spans: list[slice] = []
        rest: list[slice | int] = []
        for axis, size in enumerate(self.shape):
            each = keys[axis] if axis < len(keys) else slice(None)
            if isinstance(each, slice):
                start, stop, step = each.indices(size)
                picked = range(start, stop, step)
                low, high = (min(picked[0], picked[-1]), max(picked[0], picked[-1]) + 1) if picked else (0, 0)
                spans.append(slice(low, high))
                rest.append(slice(None, None, step))
            else:
                index = range(size)[int(each)]
                spans.append(slice(index, index + 1))
                rest.append(0)
        return self._grid.read(tuple(spans))[tuple(rest)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.asarray(self._grid.whole(), dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self.dtype} {list(self.shape)}, not loaded>"


Stored: TypeAlias = Array | Lazy
"""An array of a trace, in memory or in a file: `shape`, `dtype`, slices, and `numpy.asarray` for all of it."""
