"""A trace summed up while it is computed, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import numpy as np

from rnnprobe.cells.layers import signal_shapes, signals
from rnnprobe.outputs.blocks import Tally
from rnnprobe.outputs.reductions import bounds, near
from rnnprobe.types import Array, Block, Layer, Outcome, Recording, Signal

COLUMNS = 60
"""Stretches of time in a heat map, at most."""
ROWS = 4
"""Groups of units in a heat map, at most."""


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """What a signal of a layer came to.

    Attributes:
        layer: its name.
        signal: its name.
        kind: as in `Signal.kind`.
        shape: sequences, steps of the longest, what a step has.
        space: how many axes of a step are those of a convolutional layer's extent.
        values: how many were computed: those within the lengths.
        nan: how many of these are NaN: at steps that a layer skips, or because something went wrong.
        min, max, mean: of the others; NaN where there are none.
        saturated: shares of gate values at the lower and at the upper bound of their activation, or None where it has
            no bounds or the signal is no gate.
        heat: `[groups of units, stretches of time]`, means over both, over the sequences and over all axes of a step
            but the last; NaN where nothing is.
    """

    layer: str
    signal: str
    kind: str
    shape: tuple[int, ...]
    values: int
    nan: int
    min: float
    max: float
    mean: float
    saturated: tuple[float, float] | None
    heat: Array
    space: int = 0


@dataclass(frozen=True, slots=True)
class OutcomeSummary:
    """What one of the model's outputs came to.

    Attributes:
        name: of the output.
        shape: sequences, steps of the longest where it has steps, what a step has.
        values, nan, min, max, mean: as in `SignalSummary`.
    """

    name: str
    shape: tuple[int, ...]
    values: int
    nan: int
    min: float
    max: float
    mean: float


class SummarySink:
    """Takes blocks and keeps figures of them.

    Args:
        recording: what is going to come.

    Attributes:
        tally: counts what came.
        verification: what was compared with the original, or why nothing was.
    """

    def __init__(self, recording: Recording) -> None:
        self._lengths = {layer.name: recording.lengths_of(layer.name) for layer in recording.layers}
        self._running = {
            (layer.name, signal.name): _Running(layer, signal, recording)
            for layer in recording.layers
            for signal in signals(layer)
            if signal.name in recording.signals[layer.name]
        }
        self._outcomes = {outcome.name: _RunningOutcome(outcome, recording.sequences) for outcome in recording.outcomes}
        self.tally = Tally(recording)
        self.verification = recording.verification

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        """Takes what was found when the run was compared with the original."""
        self.verification = verification

    def write(self, block: Block) -> None:
        """Adds a block to the figures."""
        self.tally.add(block)
        rows = block.batch.rows
        for layer, recorded in block.signals.items():
            for name, values in recorded.items():
                if values.size:
                    steps = np.arange(block.start, block.start + values.shape[0])
                    inside = steps[:, None] < self._lengths[layer][rows]
                    self._running[layer, name].add(steps, inside, values)
        for name, values in block.outcomes.items():
            self._outcomes[name].add(rows, values)

    @property
    def outcomes(self) -> tuple[OutcomeSummary, ...]:
        """The figures of the model's outputs so far."""
        return tuple(running.summary() for running in self._outcomes.values())

    @property
    def summaries(self) -> tuple[SignalSummary, ...]:
        """The figures so far: by layer, and by signal in the cell's order."""
        return tuple(running.summary() for running in self._running.values())


@contextmanager
def summarise(recording: Recording) -> Iterator[SummarySink]:
    """A sink whose `summaries` are whole when the body ends.

    Raises:
        RuntimeError: steps are missing or came twice.
    """
    sink = SummarySink(recording)
    yield sink
    sink.tally.check()


class _Figures:
    """How many, the least, the most and the mean of values that come bit by bit."""

    def __init__(self) -> None:
        self.values = self.nan = 0
        self._min, self._max, self._total = np.inf, -np.inf, 0.0

    @property
    def found(self) -> int:
        """How many are not NaN."""
        return self.values - self.nan

    def add(self, values: Array, present: Array, among: int, total: float) -> None:
        """Adds those of `values` that are `present`, and come to `total`; `among` are all that count, NaN or not."""
        found = int(present.sum())
        self.values += among
        self.nan += among - found
        if found:
            self._min = min(self._min, float(values.min(where=present, initial=np.inf)))
            self._max = max(self._max, float(values.max(where=present, initial=-np.inf)))
            self._total += total

    @property
    def min_mean_max(self) -> tuple[float, float, float]:
        """NaN where there is nothing."""
        return (self._min, self._total / self.found, self._max) if self.found else (np.nan, np.nan, np.nan)


class _RunningOutcome:
    """The figures of one of the model's outputs."""

    def __init__(self, outcome: Outcome, sequences: int) -> None:
        self._outcome = outcome
        steps = () if outcome.lengths is None else (int(outcome.lengths.max(initial=0)),)
        self._shape = (sequences, *steps, *outcome.shape)
        self._figures = _Figures()

    def add(self, rows: Array, values: Array) -> None:
        """Adds `values`, `[batch, time, …]` or `[batch, …]`."""
        inside = np.ones(values.shape, bool)
        if self._outcome.lengths is not None:
            inside[np.arange(values.shape[1]) >= self._outcome.lengths[rows, None]] = False
        present = inside & ~np.isnan(values)
        total = float(values.sum(where=present, dtype=np.float64))
        self._figures.add(values, present, int(inside.sum()), total)

    def summary(self) -> OutcomeSummary:
        least, mean, most = self._figures.min_mean_max
        return OutcomeSummary(
            self._outcome.name, self._shape, self._figures.values, self._figures.nan, least, most, mean
        )


class _Running:
    """The figures of one signal."""

    def __init__(self, layer: Layer, signal: Signal, recording: Recording) -> None:
        shape = signal_shapes(layer)[signal.name]
        steps, size = recording.steps_of(layer.name), shape[-1] if shape else 1
        self._layer, self._signal, self._space = layer.name, signal, len(layer.space)
        self._shape = (recording.sequences, steps, *shape)
        self._bounds = bounds(layer, signal)
        self._figures = _Figures()
        self._saturated = [0, 0]
        rows, columns = min(ROWS, size), max(1, min(COLUMNS, steps))
        self._units = np.arange(rows) * size // rows
        self._columns = columns
        self._sums = np.zeros((columns, rows))
        self._counts = np.zeros((columns, rows))

    def add(self, steps: Array, inside: Array, values: Array) -> None:
        """Adds `values` `[time, batch, …, size]` or `[time, batch]`; those of `inside` `[time, batch]` count."""
        places, size = prod(values.shape[2:-1]), values.shape[-1] if values.ndim > 2 else 1
        values = values.reshape(len(steps), -1, size)
        present = ~np.isnan(values) & np.repeat(inside, places, axis=1)[..., None]
        each = values.sum(axis=1, where=present, dtype=np.float64)
        self._figures.add(values, present, int(inside.sum()) * places * values.shape[2], float(each.sum()))
        if not present.any():
            return
        if self._bounds is not None:
            for bound, close in enumerate(near(values, self._bounds)):
                self._saturated[bound] += int((close & present).sum())
        bins = steps * self._columns // self._shape[1]
        firsts = np.flatnonzero(np.diff(bins, prepend=-1))
        for target, source in ((self._sums, each), (self._counts, present.sum(axis=1))):
            by_unit = np.add.reduceat(source, self._units, axis=1)
            target[bins[firsts]] += np.add.reduceat(by_unit, firsts, axis=0)

    def summary(self) -> SignalSummary:
        figures, found = self._figures, self._figures.found
        heat = np.divide(self._sums, self._counts, out=np.full_like(self._sums, np.nan), where=self._counts > 0)
        shares = (self._saturated[0] / found, self._saturated[1] / found) if self._bounds and found else None
        least, mean, most = figures.min_mean_max
        return SignalSummary(
            self._layer,
            self._signal.name,
            self._signal.kind,
            self._shape,
            figures.values,
            figures.nan,
            least,
            most,
            mean,
            shares,
            heat.T,
            self._space,
        )
