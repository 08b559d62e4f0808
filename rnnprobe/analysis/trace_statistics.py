"""What a recorded trace says about its units, read a stretch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.analysis.select import named
from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs.lazy import Lazy, Stored
from rnnprobe.outputs.moments import Moments
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Array

OUTPUT = "output"
"""What `as_layer` calls the signal."""
_STRETCH = 1 << 20
"""Values that are held at a time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A signal of a layer over some steps of one sequence.

    Attributes:
        layer: its name.
        signal: its name.
        sequence: its number.
        start, stop: the steps, by the numbers that they have in the input.
        edges: `[columns + 1]`: the steps at which the columns of `bins` begin, and `stop`.
        bins: `[units, columns]`, means over the steps of each column; NaN where there is nothing.
        min, max, mean, variance: `[units]`, over all steps; NaN is left out.
        space: the axes of a step but the last, where there are more: a convolutional layer's extent in space.
        at: the place in them whose values these are; nothing: the means over all places.
        stride: every so many of the steps were recorded.
        numbers: `[units]`: the numbers of the units, where not all were recorded; else empty.
    """

    layer: str
    signal: str
    sequence: int
    start: int
    stop: int
    edges: NDArray[np.int64]
    bins: Array
    min: Array
    max: Array
    mean: Array
    variance: Array
    space: tuple[int, ...] = ()
    at: tuple[int, ...] = ()
    stride: int = 1
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def steps(self) -> range:
        """The numbers of the steps that were recorded."""
        return range(self.start, self.stop, self.stride)

    @property
    def binned(self) -> bool:
        """Whether a column holds more than one step."""
        return bool(self.bins.shape[1] < len(self.steps))

    def number(self, unit: int) -> int:
        """The number of the unit at a place of those recorded."""
        return int(self.numbers[unit]) if self.numbers.size else unit


def profile(
    trace: Trace, layer: LayerTrace, signal: str, sequence: int, span: range, columns: int, at: tuple[int, ...] = ()
) -> Profile:
    """One pass over the steps `span` of a sequence, in bounded memory.

    Args:
        span: counting the steps that were recorded.
        columns: how many stretches of time to average over, at most.
        at: of a signal whose steps have more axes than one, the place whose values are meant; without, the means over
            all places.

    Raises:
        BadInput: the layer has no such signal, or no such place, or the file is damaged.
    """
    if signal not in layer.signals:
        raise BadInput(
            f"{layer.name} has no signal {signal!r}",
            path=trace.path,
            hint=f"recorded are: {', '.join(layer.signals) or 'none'}",
        )
    array = layer.signals[signal]
    space, units = array.shape[2:-1], width(array)
    check_place(trace, layer, space, at)
    stretches = max(1, min(columns, len(span)))
    tally = _Tally(units, span.start + np.arange(stretches + 1) * len(span) // stretches)
    stretch = max(1, _STRETCH // max(1, units if at else prod(array.shape[2:])))
    for start in range(span.start, span.stop, stretch):
        key: tuple[Any, ...] = (sequence, slice(start, min(start + stretch, span.stop)), *at)
        steps = min(start + stretch, span.stop) - start
        values = np.asarray(array[key], np.float64).reshape(steps, 1 if at else prod(space), units)
        tally.add(start, values[:, 0] if values.shape[1] == 1 else values.mean(axis=1))
    found = tally.profile(layer.name, signal, sequence)
    there = steps_of(trace, layer, sequence)
    stop = min(there.start + span.stop * there.step, there.stop)
    return replace(
        found,
        start=there.start + span.start * there.step,
        stop=stop,
        edges=np.minimum(found.edges * there.step + there.start, stop),
        space=space,
        at=at,
        stride=there.step,
        numbers=layer.units if layer.units is not None and signal in layer.cut else found.numbers,
    )


def check_place(trace: Trace, layer: LayerTrace, space: tuple[int, ...], at: tuple[int, ...]) -> None:
    """Refuses a place that is not within a step; nothing means all of it."""
    if at and (len(at) != len(space) or any(not 0 <= place < size for place, size in zip(at, space, strict=True))):
        extent = " × ".join(map(str, space))
        raise BadInput(
            f"{layer.name} has no place {','.join(map(str, at))}",
            path=trace.path,
            hint=f"its steps extend over {extent}" if space else "its steps do not extend in space",
        )


def width(array: Stored) -> int:
    """How many units an array of steps has: its last axis; 1 where a step is one number."""
    return array.shape[-1] if len(array.shape) > 2 else 1


def as_layer(trace: Trace, output: str) -> LayerTrace:
    """One of the model's outputs as if it were the only signal, `output`, of a layer of that name.

    One without steps becomes one of a single step. Its steps are those of the input where their numbers are.
    """
    values, lengths = trace.outputs[output], trace.output_lengths.get(output)
    if lengths is None:
        grid = Grid((values.shape[0], 1, *values.shape[1:]), values.dtype, partial(_at_once, values))
        return LayerTrace(output, {}, {OUTPUT: Lazy(grid)}, {}, {}, np.ones(values.shape[0], np.int64), True)
    shared = values.shape[1] == trace.steps and np.array_equal(lengths, trace.lengths)
    return LayerTrace(output, {}, {OUTPUT: values}, {}, {}, lengths, not shared)


def _at_once(values: Stored, slices: tuple[slice, ...]) -> Array:
    """A block of values without steps, `[sequence, …]`, that are to have a single one."""
    return np.asarray(values[(slices[0], *slices[2:])])[:, None][:, slices[1]]


def steps_of(trace: Trace, layer: LayerTrace, sequence: int) -> range:
    """The numbers of the steps of a layer that were recorded, in what they are steps of."""
    first = 0 if layer.own_time else trace.first_step
    return range(first, first + int(layer.lengths[sequence]), trace.stride)


class _Tally:
    """What has been seen of a signal.

    Args:
        units: how many.
        edges: as in `Profile`.
    """

    def __init__(self, units: int, edges: NDArray[np.int64]) -> None:
        self._edges = edges
        self._sums, self._counts = np.zeros((len(edges) - 1, units)), np.zeros((len(edges) - 1, units))
        self._moments = Moments((units,))

    def add(self, start: int, values: NDArray[np.float64]) -> None:
        """Adds the steps from `start` on, `[time, units]`."""
        present = ~np.isnan(values)
        self._moments.add(values, present)
        places = np.searchsorted(self._edges, np.arange(start, start + len(values)), side="right") - 1
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        with np.errstate(invalid="ignore"):
            self._sums[places[firsts]] += np.add.reduceat(np.where(present, values, 0.0), firsts, axis=0)
        self._counts[places[firsts]] += np.add.reduceat(present, firsts, axis=0, dtype=np.int64)

    def profile(self, layer: str, signal: str, sequence: int) -> Profile:
        return Profile(
            layer,
            signal,
            sequence,
            int(self._edges[0]),
            int(self._edges[-1]),
            self._edges,
            _ratio(self._sums, self._counts).T,
            self._moments.min,
            self._moments.max,
            self._moments.mean,
            self._moments.variance,
        )


def _ratio(a: Array, b: Array) -> Array:
    result: Array = np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
    return result


def liveliest(found: Profile, count: int) -> tuple[int, ...]:
    """The places of the units whose values vary most over the steps, the first of them most; over one step, the
    largest ones."""
    single = len(found.steps) == 1
    order = np.argsort(-np.nan_to_num(np.abs(found.mean) if single else found.variance, nan=-1.0), kind="stable")
    return tuple(int(unit) for unit in order[:count])


def scale(values: Array, *, gate: bool) -> tuple[float, float]:
    """Between which numbers values are drawn: 0 and 1 for a gate that stays within, else as far below 0 as above.

    Args:
        values: what is drawn; NaN and the infinities don't count.
        gate: whether it is a gate.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    if gate and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    reach = max(-low, high) or 1.0
    return -reach, reach


def is_gate(layer: LayerTrace, signal: str) -> bool:
    """Whether a signal is one of the cell's gates."""
    gates = layer.attributes.get("gate_order")
    return isinstance(gates, list) and signal in gates


def signal_of(layer: LayerTrace) -> str:
    """The signal that is shown where none is named: h, or the first that was recorded."""
    return "h" if "h" in layer.signals else next(iter(layer.signals), "h")


def layers(trace: Trace, patterns: Sequence[str]) -> tuple[LayerTrace, ...]:
    """The layers of a trace that patterns name (`rnnprobe.analysis.select.named`), in its order."""
    wanted = named(list(trace.layers), patterns, trace.path)
    return tuple(layer for name, layer in trace.layers.items() if name in wanted)


def outputs(trace: Trace, patterns: Sequence[str]) -> tuple[LayerTrace, ...]:
    """The model's outputs that patterns name, in its order, each as `as_layer` makes it.

    Raises:
        BadInput: there are none, or a pattern names none; the hint lists those there are.
    """
    if not trace.outputs:
        raise BadInput(
            "holds none of the model's outputs", path=trace.path, hint="`rnnprobe trace --record output` records them"
        )
    wanted = named(list(trace.outputs), patterns, trace.path, "output")
    return tuple(as_layer(trace, name) for name in trace.outputs if name in wanted)
