"""What the runs of a batch's sequences gave, put together: every signal at the time of the input that was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from rnnprobe.engine.original.given import Chunk
from rnnprobe.types import Array, Batch, Block

Shape: TypeAlias = tuple[int, ...]
_Placed: TypeAlias = list[tuple[Array, int, Array]]
"""Rows, the first step, and `[time, rows, …]`."""


@dataclass(slots=True)
class Found:
    """What a run of the graph gave.

    Attributes:
        signals: layer → signal → `[step, rows, …]` as the layer runs, or `[step, …]` where it is one for all rows.
        finals: layer → state → what its loop leaves.
        initials: layer → state → what it starts from.
        outcomes: tensors that no loop holds.
        entering: layer → what enters it at each step, `[step, rows, …]`, side by side.
        lengths: layer → how many steps its loop has made by now, `[step, rows]`, where it counts them.
    """

    signals: dict[str, dict[str, Array]]
    finals: dict[str, dict[str, Array]]
    initials: dict[str, dict[str, Array]] = field(default_factory=dict)
    outcomes: dict[str, Array] = field(default_factory=dict)
    entering: dict[str, list[Array]] = field(default_factory=dict)
    lengths: dict[str, Array] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Everything that runs along steps."""
        return list(dict.fromkeys((*self.signals, *self.entering)))

    def along(self, name: str) -> list[Array]:
        """All that was recorded of a layer at each step, always in the same order."""
        counted = [self.lengths[name]] if name in self.lengths else []
        return [*self.signals.get(name, {}).values(), *self.entering.get(name, ()), *counted]

    def steps(self, name: str) -> int:
        """How many steps a layer was seen to make."""
        return max(map(len, self.along(name)), default=0)


@dataclass(slots=True)
class Extents:
    """How wide what is recorded is.

    Attributes:
        signals: layer → signal → the shape of a step.
        outcomes: outcome → its shape, without the batch.
    """

    signals: dict[str, dict[str, Shape]] = field(default_factory=dict)
    outcomes: dict[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Track:
    """Something that runs along steps in the graph.

    Attributes:
        name: of the layer that it is, or becomes.
        backward: time runs backward through it.
        states: the signals that go on to the next step.
        bound: its steps are known to be those of the input.
    """

    name: str
    backward: bool
    states: tuple[str, ...]
    bound: bool


class Joining:
    """The chunks of a batch.

    Args:
        tracks: what is recorded.
        batch: whose chunks these are.
    """

    def __init__(self, tracks: Sequence[Track], batch: Batch) -> None:
        self._tracks, self._batch = tracks, batch
        self._signals: dict[str, dict[str, _Placed]] = {track.name: {} for track in tracks}
        self._entering: dict[str, list[_Placed]] = {track.name: [] for track in tracks}
        self._begin: dict[str, dict[str, _Placed]] = {track.name: {} for track in tracks}
        self._end: dict[str, dict[str, _Placed]] = {track.name: {} for track in tracks}
        self._outcomes: dict[str, _Placed] = {}
        count = len(batch.names)
        self.lengths = {track.name: np.zeros(count, np.int64) for track in tracks}
        self.own: set[str] = set()
        """The tracks whose steps are not those of the input."""

    def add(
        self, chunk: Chunk, found: Found, size: int, *, held: bool, told: Mapping[str, Array] | None = None
    ) -> None:
        """Takes what a run gave.

        Args:
            chunk: what was run.
            found: what it gave.
            size: the rows that it was run for.
            held: past a sequence's length the graph holds its states.
            told: the lengths of those tracks whose loops are told lengths of their own.
        """
        for track in self._tracks:
            self._track(track, chunk, found, size, held, (told or {}).get(track.name))
        for name, array in found.outcomes.items():
            self._outcomes.setdefault(name, []).append((chunk.rows, 0, _rows(array[None], size, chunk)))

    def _track(
        self, track: Track, chunk: Chunk, found: Found, size: int, held: bool, told: Array | None = None
    ) -> None:
        signals = found.signals[track.name]
        steps = found.steps(track.name)
        if not found.along(track.name):
            return
        if told is not None:
            lengths, last = told, np.minimum(told, steps)
            if not np.array_equal(told, chunk.lengths):
                self.own.add(track.name)
        elif track.bound or steps in (chunk.steps, int(chunk.lengths.max())):
            lengths, last = chunk.lengths, np.minimum(chunk.lengths, steps)
        else:
            self.own.add(track.name)
            lengths, last = _own(found.lengths.get(track.name), steps, size, chunk), np.full(len(chunk.rows), steps)
        self.lengths[track.name][chunk.rows] = chunk.start + lengths
        places = range(len(chunk.rows))
        parts = found.entering.get(track.name, ())
        self._entering[track.name] += [[] for _ in parts[len(self._entering[track.name]) :]]
        for part, placed in zip(parts, self._entering[track.name], strict=True):
            timed = in_time(_rows(part, size, chunk), lengths, track.backward)
            placed.append((chunk.rows, chunk.start, timed))
        for name in signals:
            array = _rows(signals[name], size, chunk)
            timed = in_time(array, lengths, track.backward)
            self._signals[track.name].setdefault(name, []).append((chunk.rows, chunk.start, timed))
            if name not in track.states:
                continue
            begin = found.initials.get(track.name, {}).get(name)
            begin = None if begin is None else _beginning(begin, signals[name], size, chunk)
            if begin is not None and not chunk.start:
                self._begin[track.name].setdefault(name, []).append((chunk.rows, 0, begin))
            left = found.finals.get(track.name, {}).get(name)
            if left is None or not (held or bool(np.all(chunk.lengths == chunk.steps))):
                left = np.stack([array[last[k] - 1, k] for k in places]) if steps else None
            left = begin[0] if left is None and begin is not None else left
            if left is not None:
                self._end[track.name].setdefault(name, []).append((chunk.rows, 0, left[None, : len(chunk.rows)]))

    def begins(self) -> dict[str, dict[str, Array]]:
        """Layer → state → `[batch, …]` before the first step, where that was seen."""
        return {
            name: {state: self._whole(placed, 1, 0.0)[0] for state, placed in of.items()}
            for name, of in self._begin.items()
        }

    def ends(self) -> dict[str, dict[str, Array]]:
        """Layer → state → `[batch, …]` as it is by now."""
        return {
            name: {state: self._whole(placed, 1, 0.0)[0] for state, placed in of.items()}
            for name, of in self._end.items()
        }

    def block(self, extents: Extents) -> Block:
        """The batch as one block.

        Args:
            extents: where something is wider than any in this batch.
        """
        signals = {}
        for track in self._tracks:
            own = track.name in self.own
            steps = int(self.lengths[track.name].max(initial=0)) if own else self._batch.steps
            wide = extents.signals.get(track.name, {})
            placed = self._signals[track.name]
            signals[track.name] = {n: self._whole(placed[n], steps, np.nan, wide.get(n)) for n in placed}
            if not placed:  # not one of its sequences has a step
                empty = (steps, len(self._batch.names))
                signals[track.name] = {n: np.full((*empty, *shape), np.nan, np.float32) for n, shape in wide.items()}
        wide = extents.outcomes
        outcomes = {n: self._whole(placed, 1, np.nan, wide.get(n))[0] for n, placed in self._outcomes.items()}
        return Block(self._batch, 0, signals, self.begins(), self.ends(), outcomes)

    def widen(self, extents: Extents) -> None:
        """Makes room for what is widest."""
        for name, of in self._signals.items():
            if of:
                _widen(extents.signals.setdefault(name, {}), of)
        _widen(extents.outcomes, self._outcomes)

    def entered(self, name: str) -> Array | None:
        """What entered a layer at each step, `[time, batch, features]`, NaN past a length; None where it is unseen."""
        parts = self._entering[name]
        steps = int(self.lengths[name].max(initial=0))
        if not parts or any(array.ndim != 3 for placed in parts for _, _, array in placed):
            return None
        return np.concatenate([self._whole(placed, steps, np.nan) for placed in parts], axis=-1)

    def _whole(self, placed: _Placed, steps: int, empty: float, wide: tuple[int, ...] | None = None) -> Array:
        """`[steps, batch, …]`, as wide as the widest."""
        shapes = [array.shape[2:] for _, _, array in placed] + ([wide] if wide is not None else [])
        extent = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
        whole = np.full((steps, len(self._batch.names), *extent), empty, placed[0][2].dtype)
        for rows, start, array in placed:
            stop = min(start + len(array), steps)
            for k, row in enumerate(rows):
                place = (slice(start, stop), row, *(slice(size) for size in array.shape[2:]))
                whole[place] = array[: stop - start, k]
        return whole


def _widen(known: dict[str, Shape], of: Mapping[str, _Placed]) -> None:
    for name, placed in of.items():
        shapes = [array.shape[2:] for _, _, array in placed]
        known[name] = tuple(max(sizes) for sizes in zip(known.get(name, shapes[0]), *shapes, strict=True))


def _rows(array: Array, size: int, chunk: Chunk) -> Array:
    """`[step, rows, …]`: of what is one for all rows, the same for each."""
    if array.ndim > 1 and array.shape[1] == size:
        return array[:, : len(chunk.rows)]
    return np.repeat(array[:, None], len(chunk.rows), axis=1)


def _beginning(begin: Array, signal: Array, size: int, chunk: Chunk) -> Array | None:
    """`[1, rows, …]` of what a state starts from, of the shape of a step of it; None where it is of another."""
    try:
        return _rows(np.broadcast_to(begin, signal.shape[1:])[None], size, chunk)
    except ValueError:
        return None


def _own(counted: Array | None, steps: int, size: int, chunk: Chunk) -> Array:
    """How many steps were made of each sequence: what the loop itself counts, or all."""
    if counted is None or not len(counted):
        return np.full(len(chunk.rows), steps, np.int64)
    last = _rows(counted, size, chunk)[-1].astype(np.int64)
    if last.ndim != 1:  # of a search along several beams
        last = last.reshape(len(chunk.rows), -1).max(axis=1)
    return np.where((last > 0) & (last <= steps), last, steps)


def in_time(array: Array, lengths: Array, backward: bool) -> Array:
    """Steps as a layer runs → steps at the time of the input that was read; NaN past a length."""
    timed = np.full(array.shape, np.nan, array.dtype if array.dtype.kind == "f" else np.float64)
    for row, length in enumerate(lengths):
        steps = array[:length, row]
        timed[: len(steps), row] = steps[::-1] if backward else steps
    return timed
