"""Values as they are stored.

NumPy makes float16 of 2 GB of float32 in a second, in the order in which they are stored or not; libhdf5 is fifteen
times slower. Bit operations on blocks that fit the processor's caches were no faster than NumPy.
"""

from __future__ import annotations

from typing import Any

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
        raise _too_large(values, np.dtype(dtype), where) from exc


def assign(target: Array, key: Any, values: Array, where: str) -> None:
    """`target[key] = values`, in the dtype of `target`.

    Raises:
        CannotWrite: a finite value would become infinite.
    """
    try:
        with np.errstate(over="raise"):
            target[key] = values
    except FloatingPointError as exc:
        raise _too_large(values, target.dtype, where) from exc


def _too_large(values: Array, dtype: np.dtype[Any], where: str) -> CannotWrite:
    largest = np.nanmax(np.abs(values[np.isfinite(values)]))
    return CannotWrite(
        f"{where} reaches {largest:.6g}, and {dtype.name} ends at {np.finfo(dtype).max:.6g}",
        hint="choose a wider --dtype",
    )
