"""Values as they are stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from rnnprobe.errors import CannotWrite
from rnnprobe.types import Array


def cast(values: Array, dtype: DTypeLike, where: str) -> Array:
    """`values` in the dtype to store, contiguous; the same array where nothing has to change.

    Raises:
        CannotWrite: a finite value would become infinite.
    """
    try:
        with np.errstate(over="raise"):
            return np.ascontiguousarray(values, dtype)
    except FloatingPointError as exc:
        largest = np.nanmax(np.abs(values[np.isfinite(values)]))
        raise CannotWrite(
            f"{where.strip('/')} reaches {largest:.6g}, and {np.dtype(dtype).name} ends at {np.finfo(dtype).max:.6g}",
            hint="choose a wider --dtype",
        ) from exc
