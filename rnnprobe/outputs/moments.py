"""Count, mean, variance, least and most of values that come bit by bit."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from rnnprobe.types import Array


class Moments:
    """Figures of many rows of values at once, in float64.

    Each bit's own mean and squares are put together with those before it, so that nothing cancels: T. F. Chan,
    G. H. Golub, R. J. LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979),
    equations 2.1.

    Args:
        shape: of what is kept.
        wanted: `mean`, `std`, `min`, `max`; the others are not computed.

    Attributes:
        count: how many values came, NaN left out.
    """

    def __init__(self, shape: tuple[int, ...], wanted: Collection[str] = ("mean", "std", "min", "max")) -> None:
        self.count = np.zeros(shape, np.int64)
        self._wanted = wanted
        self._least, self._most = np.full(shape, np.inf), np.full(shape, -np.inf)
        self._total, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, values: Array, present: Array | None, axis: int = 0, at: slice = slice(None)) -> None:
        """Adds values.

        Args:
            values: of the shape of `at`, with one axis more.
            present: which of them count, and what is NaN must not; None: all of them.
            axis: that one.
            at: which rows they are for.
        """
        if not values.size:
            return
        count = np.asarray(values.shape[axis]) if present is None else tally(present, axis)
        clean = values if present is None else np.where(present, values, values.dtype.type(0))
        with np.errstate(invalid="ignore", over="ignore"):
            if "mean" in self._wanted or "std" in self._wanted:
                total = clean.sum(axis=axis, dtype=np.float64)
            if "std" in self._wanted:
                mean = np.expand_dims(total / np.maximum(count, 1), axis)
                apart = clean.astype(np.float64)
                apart -= mean
                if present is not None:
                    apart[~present] = 0.0
                self._squares[at] += np.square(apart, out=apart).sum(axis=axis) + self._between(count, total, at)
            if "mean" in self._wanted or "std" in self._wanted:
                self._total[at] += total
        self.count[at] += count
        if "min" in self._wanted:
            low = values if present is None else np.where(present, values, values.dtype.type(np.inf))
            self._least[at] = np.minimum(self._least[at], low.min(axis=axis))
        if "max" in self._wanted:
            high = values if present is None else np.where(present, values, values.dtype.type(-np.inf))
            self._most[at] = np.maximum(self._most[at], high.max(axis=axis))

    def _between(self, count: Array, total: Array, at: slice) -> Array:
        """What the squares grow by since the means of two parts are apart: those that came, and those that come."""
        before = self.count[at]
        both = (before > 0) & (count > 0)
        apart = total / np.maximum(count, 1) - self._total[at] / np.maximum(before, 1)
        return np.where(both, np.square(apart) * before * (count / np.maximum(before + count, 1)), 0.0)

    @property
    def mean(self) -> NDArray[np.float64]:
        """NaN where nothing came."""
        return self._each(self._total)

    @property
    def variance(self) -> NDArray[np.float64]:
        """The squares divided by the count; NaN where nothing came."""
        return self._each(self._squares)

    def _each(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        nothing: NDArray[np.float64] = np.full(self.count.shape, np.nan)
        return np.divide(total, self.count, out=nothing, where=self.count > 0)

    @property
    def min(self) -> NDArray[np.float64]:
        """NaN where nothing came."""
        return np.where(self.count > 0, self._least, np.nan)

    @property
    def max(self) -> NDArray[np.float64]:
        """NaN where nothing came."""
        return np.where(self.count > 0, self._most, np.nan)


def tally(mask: Array, axis: int) -> NDArray[np.int64]:
    """How many are true along an axis."""
    # as bytes, which fit the count then: many times sooner than what has to be converted
    narrow = np.uint8 if mask.shape[axis] < 256 else np.int64
    counts: NDArray[np.int64] = mask.view(np.uint8).sum(axis=axis, dtype=narrow).astype(np.int64)
    return counts
