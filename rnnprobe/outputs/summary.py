"""A trace summed up while it is computed, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rnnprobe.cells.activations import RANGES
from rnnprobe.cells.layers import signal_sizes, signals
from rnnprobe.outputs.blocks import Tally
from rnnprobe.types import Array, Block, Layer, Recording, Signal

COLUMNS = 60
"""Stretches of time in a heat map, at most."""
ROWS = 4
"""Groups of units in a heat map, at most."""
MARGIN = 0.05
"""A gate counts as saturated within this share of its activation's larger bound from either of them: a sigmoid below
0.05 and above 0.95, a tanh below -0.95 and above 0.95."""


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """What a signal of a layer came to.

    Attributes:
        layer: its name.
        signal: its name.
        kind: as in `Signal.kind`.
        shape: sequences, steps of the longest, size.
        values: how many were computed: those within the lengths.
        nan: how many of these are NaN: at steps that a layer skips, or because something went wrong.
        min, max, mean: of the others; NaN where there are none.
        saturated: shares of gate values at the lower and at the upper bound of their activation, or None where it has
            no bounds or the signal is no gate.
        heat: `[groups of units, stretches of time]`, means over both and over the sequences; NaN where nothing is.
    """

    layer: str
    signal: str
    kind: str
    shape: tuple[int, int, int]
    values: int
    nan: int
    min: float
    max: float
    mean: float
    saturated: tuple[float, float] | None
    heat: Array


class SummarySink:
    """Takes blocks and keeps figures of them.

    Args:
        recording: what is going to come.
    """

    def __init__(self, recording: Recording) -> None:
        self._running = {
            (layer.name, signal.name): _Running(layer, signal, recording)
            for layer in recording.layers
            for signal in signals(layer)
            if signal.name in recording.signals[layer.name]
        }
        self.tally = Tally(recording)

    def write(self, block: Block) -> None:
        """Adds a block to the figures."""
        self.tally.add(block)
        for layer, recorded in block.signals.items():
            for name, values in recorded.items():
                if values.size:
                    steps = np.arange(block.start, block.start + values.shape[0])
                    inside = steps[:, None] < block.batch.lengths[None, :]
                    self._running[layer, name].add(steps, inside, values)

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


class _Running:
    """The figures of one signal."""

    def __init__(self, layer: Layer, signal: Signal, recording: Recording) -> None:
        size = signal_sizes(layer)[signal.name]
        self._layer, self._signal = layer.name, signal
        self._shape = (recording.sequences, recording.steps, size)
        self._bounds = _bounds(layer, signal)
        self._values = self._nan = 0
        self._min, self._max, self._total = np.inf, -np.inf, 0.0
        self._saturated = [0, 0]
        rows, columns = min(ROWS, size), max(1, min(COLUMNS, recording.steps))
        self._units = np.arange(rows) * size // rows
        self._columns = columns
        self._sums = np.zeros((columns, rows))
        self._counts = np.zeros((columns, rows))

    def add(self, steps: Array, inside: Array, values: Array) -> None:
        """Adds `values` `[time, batch, size]`, of which those of `inside` `[time, batch]` count."""
        present = ~np.isnan(values) & inside[..., None]
        found = int(present.sum())
        self._values += int(inside.sum()) * values.shape[2]
        self._nan += int(inside.sum()) * values.shape[2] - found
        if not found:
            return
        self._min = min(self._min, float(values.min(where=present, initial=np.inf)))
        self._max = max(self._max, float(values.max(where=present, initial=-np.inf)))
        each = values.sum(axis=1, where=present, dtype=np.float64)
        self._total += float(each.sum())
        if self._bounds is not None:
            bottom, top = self._bounds
            margin = MARGIN * max(abs(bottom), abs(top))
            self._saturated[0] += int(((values < bottom + margin) & present).sum())
            self._saturated[1] += int(((values > top - margin) & present).sum())
        bins = steps * self._columns // self._shape[1]
        firsts = np.flatnonzero(np.diff(bins, prepend=-1))
        for target, source in ((self._sums, each), (self._counts, present.sum(axis=1))):
            by_unit = np.add.reduceat(source, self._units, axis=1)
            target[bins[firsts]] += np.add.reduceat(by_unit, firsts, axis=0)

    def summary(self) -> SignalSummary:
        found = self._values - self._nan
        heat = np.divide(self._sums, self._counts, out=np.full_like(self._sums, np.nan), where=self._counts > 0)
        shares = (self._saturated[0] / found, self._saturated[1] / found) if self._bounds and found else None
        return SignalSummary(
            self._layer,
            self._signal.name,
            self._signal.kind,
            self._shape,
            self._values,
            self._nan,
            self._min if found else np.nan,
            self._max if found else np.nan,
            self._total / found if found else np.nan,
            shares,
            heat.T,
        )


def _bounds(layer: Layer, signal: Signal) -> tuple[float, float] | None:
    """The bounds of the activation that a gate went through."""
    return RANGES.get(str(layer.settings.get(signal.activation, "")))
