"""What is in a block of weights, in float64, read in stretches of rows so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.slices import GateSlice
from rnnprobe.errors import BadInput
from rnnprobe.types import Tensor

BINS = 10
"""Of the histograms."""

_STRETCH = 1 << 22
"""Elements of a tensor that are held at a time."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a block; NaN where the block holds one, except as the fields say.

    Attributes:
        norm: Frobenius (Euclidean of a vector).
        radius: the largest absolute eigenvalue of a square recurrent block; None of any other.
        min, mean, max, std: of the elements; std is that of the population.
        zeros: the share of exact zeros, of all elements.
        counts: how many of the finite elements lie in each bin; empty if there are none.
        edges: of the bins, one more than `counts`.
        nonfinite: how many elements are NaN or infinite.
        first: where the first of these lies in the stored tensor (row and column; of a vector, element); None if there
            is none.
    """

    norm: float
    radius: float | None
    min: float
    mean: float
    max: float
    std: float
    zeros: float
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    nonfinite: int
    first: tuple[int, ...] | None


def figures(
    blocks: Iterable[GateSlice], path: Path | None = None, *, radius: bool = True
) -> Iterator[tuple[GateSlice, Figures]]:
    """The figures of each block; a stretch of stored rows is read once for all blocks that lie in it.

    Args:
        blocks: the blocks.
        path: of the file, for messages.
        radius: whether the spectral radius is wanted, which takes the longest by far.

    Raises:
        BadInput: values can't be read, or are no real numbers.
    """
    for _, together in groupby(blocks, key=lambda block: (block.tensor.name, block.stretch.start, block.stretch.stop)):
        tallies = [_Tally(block, radius) for block in together]
        stretches = _Stretches(tallies[0].block, path)
        for start, rows in stretches:
            for tally in tallies:
                tally.meet(start, tally.cut(rows))
        for _, rows in stretches:
            for tally in tallies:
                tally.spread(tally.cut(rows))
        yield from ((tally.block, tally.figures()) for tally in tallies)


@dataclass(slots=True)
class _Tally:
    """What has been seen of a block: `meet` every stretch of its rows, then `spread` each of them again."""

    block: GateSlice
    radius: bool
    size: int = 0
    total: float = 0.0
    squares: float = 0.0
    deviations: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0
    nonfinite: int = 0
    first: tuple[int, ...] | None = None
    # Of the finite elements alone, for the histogram.
    finite_min: float = math.inf
    finite_max: float = -math.inf
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    kept: list[NDArray[np.float64]] = field(default_factory=list)

    def cut(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The block's share of a stretch of stored rows."""
        return self.block.cut(rows)

    def meet(self, start: int, values: NDArray[np.float64]) -> None:
        """Takes sums and extremes."""
        if not values.size:
            return
        finite = np.isfinite(values)
        self.size += values.size
        with np.errstate(over="ignore", invalid="ignore"):
            self.total += float(values.sum())
            self.squares += float(np.square(values).sum())
        self.zeros += int(np.count_nonzero(values == 0))
        self.min = float(np.minimum(self.min, values.min()))
        self.max = float(np.maximum(self.max, values.max()))
        if not finite.all():
            if self.first is None:
                self.first = self._place(start, np.argwhere(~finite)[0])
            self.nonfinite += int(np.count_nonzero(~finite))
            values = values[finite]
        if values.size:
            self.finite_min, self.finite_max = (
                min(self.finite_min, float(values.min())),
                max(self.finite_max, float(values.max())),
            )

    def spread(self, values: NDArray[np.float64]) -> None:
        """Takes what needs the mean and the extremes: deviations, histogram, and the whole of a recurrent square."""
        if self.is_recurrent:
            self.kept.append(values)
        with np.errstate(invalid="ignore", over="ignore"):
            self.deviations += float(np.square(values - self.mean).sum())
        if self.finite_min < self.finite_max:
            finite = values[np.isfinite(values)] if self.nonfinite else values.ravel()
            # The distance of two finite numbers need not be finite; that of their halves is.
            scale = 1.0 if math.isfinite(self.finite_max - self.finite_min) else 0.5
            low, high = self.finite_min * scale, self.finite_max * scale
            place = (finite * scale - low) / (high - low) * BINS
            self.counts += np.bincount(np.minimum(place.astype(np.int64), BINS - 1), minlength=BINS)

    @property
    def mean(self) -> float:
        return self.total / self.size if self.size else math.nan

    @property
    def is_recurrent(self) -> bool:
        shape = self.block.shape
        return self.radius and self.block.part == "recurrent_kernel" and len(shape) == 2 and shape[0] == shape[1]

    def figures(self) -> Figures:
        counts, edges = self._histogram()
        return Figures(
            norm=math.sqrt(self.squares),
            radius=self._radius() if self.is_recurrent else None,
            min=self.min if self.size else math.nan,
            mean=self.mean,
            max=self.max if self.size else math.nan,
            std=math.sqrt(self.deviations / self.size) if self.size else math.nan,
            zeros=self.zeros / self.size if self.size else math.nan,
            counts=counts,
            edges=edges,
            nonfinite=self.nonfinite,
            first=self.first,
        )

    def _histogram(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Counts and edges; a single bin where all elements are one number."""
        low, high = self.finite_min, self.finite_max
        if low < high:
            edges = tuple(low * (1 - k / BINS) + high * (k / BINS) for k in range(BINS + 1))
            return tuple(int(count) for count in self.counts), edges
        return ((self.size - self.nonfinite,), (low, high)) if low == high else ((), ())

    def _radius(self) -> float:
        if self.nonfinite:
            return math.nan
        square = np.concatenate(self.kept)
        if self.block.cudnn:
            square = square.reshape(self.block.shape[::-1]).T
        from threadpoolctl import threadpool_limits

        # On several threads BLAS takes up to ten times as long for blocks of this size when the machine is busy.
        with threadpool_limits(1, user_api="blas"):
            return float(np.abs(np.linalg.eigvals(square)).max(initial=0.0))

    def _place(self, start: int, found: NDArray[np.int64]) -> tuple[int, ...]:
        at = [int(number) for number in found]
        at[0] += start
        if len(at) > 1:
            at[-1] += self.block.columns.start or 0
        if len(at) > 2:
            at[-2] += self.block.rows.start
        return tuple(at)


class _Stretches:
    """The stored rows in which blocks lie, each with its number, at most `_STRETCH` elements at a time, as float64.

    They can be gone through twice; where there is one alone, it is read once.
    """

    def __init__(self, block: GateSlice, path: Path | None) -> None:
        self._tensor, rows, self._path = block.tensor, block.stretch, path
        step = max(_STRETCH // max(math.prod(self._tensor.shape[1:]), 1), 1)
        # A tensor that is one number has no rows; it counts as one.
        self._starts = range(rows.start, rows.stop, step) if self._tensor.shape else range(1)
        self._stop = self._starts.stop
        self._held: NDArray[np.float64] | None = None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for start in self._starts:
            rows = self._held
            if rows is None:
                rows = _real(self._tensor, slice(start, min(start + self._starts.step, self._stop)), self._path)
            if len(self._starts) == 1:
                self._held = rows
            yield start, rows


def _real(tensor: Tensor, rows: slice, path: Path | None) -> NDArray[np.float64]:
    values = tensor.load(rows) if tensor.shape else tensor.load().reshape(1)
    try:
        return values.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError) as exc:
        raise BadInput(
            f"{tensor.name} holds {tensor.dtype} values, expected real numbers",
            path=path,
            hint="--layer and --part choose the others; `rnnprobe shapes` needs no values",
        ) from exc
