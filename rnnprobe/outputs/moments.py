"""Count, mean, variance, least and most of values that come bit by bit."""

from __future__ import annotations

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

    Attributes:
        count: how many values came, NaN left out.
        least, most: infinite where none came.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = np.zeros(shape, np.int64)
        self.least, self.most = np.full(shape, np.inf), np.full(shape, -np.inf)
        self._total, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, values: Array, present: Array, axis: int = 0, at: slice = slice(None)) -> None:
        """Adds values.

        Args:
            values: of the shape of `at`, with one axis more.
            present: which of them count; what is NaN must not.
            axis: that one.
            at: which rows they are for.
        """
        count = present.sum(axis=axis, dtype=np.int64)
        clean = np.where(present, values, 0.0).astype(np.float64, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            total = clean.sum(axis=axis)
            apart = np.where(present, clean - np.expand_dims(total / np.maximum(count, 1), axis), 0.0)
            self._squares[at] += np.square(apart).sum(axis=axis) + self._between(count, total, at)
            self._total[at] += total
        self.count[at] += count
        self.least[at] = np.minimum(self.least[at], np.where(present, values, np.inf).min(axis=axis, initial=np.inf))
        self.most[at] = np.maximum(self.most[at], np.where(present, values, -np.inf).max(axis=axis, initial=-np.inf))

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
        return np.where(self.count > 0, self.least, np.nan)

    @property
    def max(self) -> NDArray[np.float64]:
        """NaN where nothing came."""
        return np.where(self.count > 0, self.most, np.nan)
