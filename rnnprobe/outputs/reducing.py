"""Signals reduced while they are computed: what `rnnprobe.outputs.reductions` lists, in memory as large as the result.

Over time, the figures of a batch are complete once its last step came, and are let go then; over sequences those of a
layer are once the last batch is through. How the run was cut into blocks changes nothing but the rounding of float64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rnnprobe.cells.layers import signals
from rnnprobe.outputs import reductions
from rnnprobe.outputs.moments import Moments, tally
from rnnprobe.outputs.reductions import Part
from rnnprobe.types import Array, Batch, Block, Layer, Recording

_Key: TypeAlias = tuple[str, int | None]
_STRETCH = 1 << 18
"""Values that are reduced at a time."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """Rows of an array that are complete.

    Attributes:
        layer, signal, part: whose, and one of `rnnprobe.outputs.reductions.PARTS`.
        rows: the numbers of the sequences, or of the steps kept, ascending.
        values: `[rows, …]`.
    """

    layer: str
    signal: str
    part: str
    rows: Array
    values: Array


class Reducer:
    """Takes blocks, in any order of batches and of time, and gives what is complete.

    Args:
        recording: what is going to come. Its layers' blocks are `rnnprobe.outputs.thin.thinned` already.
    """

    def __init__(self, recording: Recording) -> None:
        self._over_time = recording.kept.over == "time"
        self._lengths = {
            layer.name: recording.kept.steps(recording.lengths_of(layer.name)) for layer in recording.layers
        }
        self._left: Counter[_Key] = Counter()
        for layer in recording.layers:
            for batch in recording.batches:
                steps = int(self._lengths[layer.name][batch.rows].max(initial=0))
                self._left[self._key(layer.name, batch)] += steps
        self._parts = {layer.name: _parts(recording, layer) for layer in recording.layers}
        self._running: dict[_Key, dict[str, _Running]] = {}

    def add(self, block: Block) -> Iterator[Reduced]:
        """Adds a block, and gives what is complete now."""
        for layer, recorded in block.signals.items():
            steps = max((len(values) for values in recorded.values()), default=0)
            if not steps:
                continue
            key = self._key(layer, block.batch)
            rows = block.batch.rows if self._over_time else np.arange(self._lengths[layer].max(initial=0))
            if key not in self._running:
                self._running[key] = {
                    name: _Running(*self._parts[layer][name], (len(rows), *values.shape[2:]))
                    for name, values in recorded.items()
                    if self._parts[layer][name][0]
                }
            inside = np.arange(block.start, block.start + steps)[:, None] < self._lengths[layer][block.batch.rows]
            at = slice(None) if self._over_time else slice(block.start, block.start + steps)
            for name, running in self._running[key].items():
                running.add(recorded[name], inside, 0 if self._over_time else 1, at)
            self._left[key] -= steps
            if not self._left[key]:
                for name, running in self._running.pop(key).items():
                    for part, found in running.found():
                        yield Reduced(layer, name, part, rows, found)

    def _key(self, layer: str, batch: Batch) -> _Key:
        """Whose figures are complete together."""
        return layer, batch.first if self._over_time else None


def _parts(recording: Recording, layer: Layer) -> dict[str, tuple[tuple[Part, ...], tuple[float, float] | None]]:
    """Signal → its arrays, and its bounds where it is a gate that has some."""
    return {
        signal.name: (
            reductions.parts(layer, signal, recording.kept.reduced),
            reductions.bounds(layer, signal),
        )
        for signal in signals(layer)
    }


class _Running:
    """The reductions of one signal so far.

    Args:
        parts: which ones.
        limits: as `rnnprobe.outputs.reductions.bounds`.
        shape: of what a figure is for.
    """

    def __init__(self, parts: tuple[Part, ...], limits: tuple[float, float] | None, shape: tuple[int, ...]) -> None:
        self._parts = parts
        self._limits = limits
        names = {part.name for part in parts}
        self._moments = Moments(shape, names)
        self._near = {end: np.zeros(shape, np.int64) for end in ("low", "high") if end in names}
        self._edges = next((part.edges[1:-1] for part in parts if len(part.edges)), np.zeros(0))
        self._reached = np.zeros((len(self._edges), *shape), np.int64)

    def add(self, values: Array, inside: Array, axis: int, at: slice) -> None:
        """Adds `values` `[time, batch, …]` along one of these axes; those of `inside` `[time, batch]` count."""
        # a stretch at a time, so that what is made of it stays in the processor's cache
        stretch = max(1, _STRETCH * len(values) // max(1, values.size))
        for start in range(0, len(values), stretch):
            part = slice(start, min(start + stretch, len(values)))
            rows = at if axis == 0 else slice(at.start + part.start, at.start + part.stop)
            self._add(values[part], inside[part], axis, rows)

    def _add(self, values: Array, inside: Array, axis: int, at: slice) -> None:
        present = ~np.isnan(values)
        if not inside.all():
            present &= inside.reshape(*inside.shape, *(1,) * (values.ndim - 2))
        every = bool(present.all())
        self._moments.add(values, None if every else present, axis, at)
        if self._near and self._limits is not None:
            for total, close in zip(self._near.values(), reductions.near(values, self._limits), strict=True):
                total[at] += tally(close if every else close & present, axis)
        for edge, reached in zip(self._edges, self._reached, strict=True):
            above = values >= _least(edge, values.dtype)
            reached[at] += tally(above if every else above & present, axis)

    def found(self) -> Iterator[tuple[str, Array]]:
        """The arrays by name."""
        moments = self._moments
        for part in self._parts:
            match part.name:
                case reductions.COUNT:
                    yield part.name, moments.count
                case "mean":
                    yield part.name, moments.mean
                case "std":
                    yield part.name, np.sqrt(moments.variance)
                case "min":
                    yield part.name, moments.min
                case "max":
                    yield part.name, moments.max
                case "low" | "high":
                    yield part.name, _share(self._near[part.name], moments.count)
                case reductions.HISTOGRAM:
                    ends = (moments.count[None], self._reached, np.zeros_like(moments.count)[None])
                    yield part.name, np.moveaxis(-np.diff(np.concatenate(ends), axis=0), 0, -1)


def _least(edge: float, dtype: np.dtype[Any]) -> Any:
    """The least value of a dtype that is not below an edge: comparing with that converts nothing."""
    found = dtype.type(edge)
    return found if float(found) >= edge else np.nextafter(found, dtype.type(np.inf))


def _share(part: Array, count: Array) -> Array:
    shares: Array = np.divide(part, count, out=np.full(count.shape, np.nan), where=count > 0)
    return shares
