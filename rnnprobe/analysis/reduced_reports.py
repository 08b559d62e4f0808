"""Reductions that were recorded in place of signals: over time a table of units, over sequences profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.analysis.trace_statistics import check_place
from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import reductions
from rnnprobe.outputs.lazy import Lazy, Stored
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Array, Column, Report

_SHOWN = ("mean", "max", "min", "std", "low", "high", reductions.COUNT)
"""What is drawn of a signal over sequences: the first that was recorded."""
_COLUMNS = (
    Column("signal", "signal"),
    Column("unit", "unit", right=True),
    Column("count", "values", words.count, right=True),
    Column("min", "min", words.number, right=True),
    Column("mean", "mean", words.number, right=True),
    Column("max", "max", words.number, right=True),
    Column("std", "std", words.number, right=True),
    Column("low", "at lower bound", words.share, right=True),
    Column("high", "at upper bound", words.share, right=True),
    Column("histogram", "histogram", words.sparkline, right=True),
)


def as_layer(layer: LayerTrace) -> LayerTrace:
    """A layer's reductions over sequences as if they were signals (`h mean` …) of a single sequence."""
    signals = {
        f"{name} {part}": Lazy(Grid((1, *array.shape), array.dtype, partial(_alone, array)))
        for name, parts in layer.reduced.items()
        for part, array in parts.items()
        if part in _SHOWN
    }
    longest = np.full(1, layer.lengths.max(initial=0), np.int64)
    cut = frozenset(name for name in signals if name.rpartition(" ")[0] in layer.cut)
    return LayerTrace(layer.name, layer.attributes, signals, {}, {}, longest, layer.own_time, layer.units, cut)


def _alone(array: Stored, slices: tuple[slice, ...]) -> Array:
    """A block of `[time, …]` that is to be `[1, time, …]`."""
    return np.asarray(array[slices[1:]])[None][slices[0]]


def shown(layer: LayerTrace, signal: str) -> str:
    """What is drawn of a signal of `as_layer`: `h mean`."""
    parts = layer.reduced.get(signal, {})
    return next((f"{signal} {part}" for part in _SHOWN if part in parts), signal)


def width(layer: LayerTrace, signal: str) -> int:
    """How many units were reduced of a signal over time: 1 where a step is one number."""
    shape = layer.reduced[signal][reductions.COUNT].shape
    return shape[-1] if len(shape) > 1 else 1


def over_time(
    trace: Trace,
    layer: LayerTrace,
    signal: str,
    sequence: int,
    chosen: Sequence[int],
    count: int,
    at: tuple[int, ...] = (),
) -> Report:
    """A row for each unit of a sequence.

    Args:
        trace: reduced over time.
        layer: of it.
        signal: which one.
        sequence: its number.
        chosen: the places of the units; none: the `count` that vary most.
        count: see there.
        at: of a step with more axes than one, the place.

    Raises:
        BadInput: there is no such place; or none was given where there are several, whose figures can't be put
            together.
    """
    space = layer.reduced[signal][reductions.COUNT].shape[1:-1]
    check_place(trace, layer, space, at)
    if space and not at:
        extent = " × ".join(map(str, space))
        raise BadInput(
            f"{signal} of {layer.name} was reduced at each of {extent} places",
            path=trace.path,
            hint="name one: --at " + ",".join("0" for _ in space),
        )
    parts = {name: _units(name, array, sequence, at) for name, array in layer.reduced[signal].items()}
    edges = parts.pop(reductions.EDGES, None)
    size = width(layer, signal)
    numbers = layer.numbers(signal, size)
    order = tuple(chosen) or _liveliest(parts, count)
    rows = tuple(
        {
            "layer": layer.name,
            "signal": signal,
            "sequence": sequence,
            "unit": int(numbers[unit]),
            "at": list(at) if at else None,
            **{name: values[unit].tolist() for name, values in parts.items()},
            "edges": None if edges is None else edges.tolist(),
        }
        for unit in order
    )
    columns = tuple(column for column in _COLUMNS if column.key in ("signal", "unit") or column.key in parts)
    left = size - len(order)
    notes = [] if chosen or not left else [f"{words.counted(left, 'more unit')}: --units A:B, --unit N, --top K"]
    if edges is not None:
        notes.append(f"histogram: {len(edges) - 1} bins between {edges[0]:g} and {edges[-1]:g}")
    return Report("reduced", f"{layer.name}: {signal} over time, sequence {sequence}", columns, rows, tuple(notes))


def _units(name: str, array: Stored, sequence: int, at: tuple[int, ...]) -> Array:
    """`[unit]`, of a histogram `[unit, bin]`."""
    if name == reductions.EDGES:
        return np.asarray(array)
    values: Array = np.asarray(array[(sequence, *at)])
    units = values.ndim - (name == reductions.HISTOGRAM)
    return values if units else values[None]


def _liveliest(parts: Mapping[str, Array], count: int) -> tuple[int, ...]:
    """The units with the largest of what says most of how they vary."""
    lively: Any = next(
        (np.abs(parts[name]) for name in ("std", "mean", "high", "max", "low") if name in parts), parts["count"]
    )
    order = np.argsort(-np.nan_to_num(np.asarray(lively, np.float64), nan=-1.0), kind="stable")
    return tuple(int(unit) for unit in order[:count])
