"""What a recorded trace says about its units, read a stretch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnprobe.analysis.select import named
from rnnprobe.errors import BadInput
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Array

_STRETCH = 1 << 20
"""Values that are held at a time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A signal of a layer over some steps of one sequence.

    Attributes:
        layer: its name.
        signal: its name.
        sequence: its number.
        start, stop: the steps.
        edges: `[columns + 1]`: the steps at which the columns of `bins` begin, and `stop`.
        bins: `[units, columns]`, means over the steps of each column; NaN where there is nothing.
        low, high, mean, variance: `[units]`, over all steps; NaN is left out.
    """

    layer: str
    signal: str
    sequence: int
    start: int
    stop: int
    edges: NDArray[np.int64]
    bins: Array
    low: Array
    high: Array
    mean: Array
    variance: Array

    @property
    def binned(self) -> bool:
        """Whether a column holds more than one step."""
        return bool(self.bins.shape[1] < self.stop - self.start)


def profile(trace: Trace, layer: LayerTrace, signal: str, sequence: int, span: range, columns: int) -> Profile:
    """One pass over the steps `span` of a sequence, in bounded memory.

    Args:
        columns: how many stretches of time to average over, at most.

    Raises:
        BadInput: the layer has no such signal, or the file is damaged.
    """
    if signal not in layer.signals:
        raise BadInput(
            f"{layer.name} has no signal {signal!r}",
            path=trace.path,
            hint=f"recorded are: {', '.join(layer.signals) or 'none'}",
        )
    array = layer.signals[signal]
    units = array.shape[2]
    width = max(1, min(columns, len(span)))
    edges = span.start + np.arange(width + 1) * len(span) // width
    sums, counts = np.zeros((width, units)), np.zeros((width, units))
    squares, low, high = np.zeros(units), np.full(units, np.inf), np.full(units, -np.inf)
    shift: Array | None = None
    stretch = max(1, _STRETCH // max(1, units))
    for start in range(span.start, span.stop, stretch):
        stop = min(start + stretch, span.stop)
        values = np.asarray(array[sequence, start:stop], np.float64)
        present = ~np.isnan(values)
        low = np.minimum(low, values.min(axis=0, where=present, initial=np.inf))
        high = np.maximum(high, values.max(axis=0, where=present, initial=-np.inf))
        if shift is None:  # variances about a value of the unit's own, so that nothing cancels
            shift = np.where(np.isnan(values[0]), 0.0, values[0])
        squares += np.square(values - shift).sum(axis=0, where=present)
        values = np.where(present, values, 0.0)
        places = np.searchsorted(edges, np.arange(start, stop), side="right") - 1
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        sums[places[firsts]] += np.add.reduceat(values, firsts, axis=0)
        counts[places[firsts]] += np.add.reduceat(present, firsts, axis=0, dtype=np.int64)
    shift = np.zeros(units) if shift is None else shift
    total = counts.sum(axis=0)
    mean = _ratio(sums.sum(axis=0), total)
    return Profile(
        layer.name,
        signal,
        sequence,
        span.start,
        span.stop,
        edges,
        _ratio(sums, counts).T,
        np.where(total > 0, low, np.nan),
        np.where(total > 0, high, np.nan),
        mean,
        np.maximum(_ratio(squares, total) - np.square(mean - shift), 0.0),
    )


def _ratio(a: Array, b: Array) -> Array:
    result: Array = np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
    return result


def liveliest(found: Profile, count: int) -> tuple[int, ...]:
    """The units whose values vary most over the steps, the first of them most."""
    order = np.argsort(-np.nan_to_num(found.variance, nan=-1.0), kind="stable")
    return tuple(int(unit) for unit in order[:count])


def scale(layer: LayerTrace, signal: str, low: float, high: float) -> tuple[float, float]:
    """Between which values a signal is drawn: 0 and 1 for a gate that stays within, else as far below 0 as above."""
    gates = layer.attributes.get("gate_order")
    if isinstance(gates, list) and signal in gates and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    reach = max(abs(low), abs(high))
    return (-reach, reach) if np.isfinite(reach) and reach > 0 else (-1.0, 1.0)


def layers(trace: Trace, patterns: Sequence[str]) -> tuple[LayerTrace, ...]:
    """The layers of a trace that patterns name (`rnnprobe.analysis.select.named`), in its order."""
    wanted = named(list(trace.layers), patterns, trace.path)
    return tuple(layer for name, layer in trace.layers.items() if name in wanted)
