"""Blocks of the rebuilt graph held against those of the original, while they come.

A value is beyond the tolerance where it differs from the expected one by more than `tolerance · max(1, largest
|expected|)`, the largest of that signal in its batch; or by more than was given for that signal. A value that one side
has and the other has not (NaN) is beyond any tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

import numpy as np

from rnnprobe.errors import RnnprobeError
from rnnprobe.types import Array, Block, Layer

Kind: TypeAlias = Literal["signal", "final", "output"]

_STAGES = {"pre": 0, "gate": 1, "inner": 1, "state": 2, "output": 2}
"""What comes first within a step: values before an activation, gates, then states."""


@dataclass(slots=True)
class Difference:
    """How far one signal of one layer is from the expected one.

    Attributes:
        kind: `signal`; `final`, a state in the end; `output`, an output of the model.
        layer: whose signal; the name of an output of the model.
        name: of the signal or state; empty for an output.
        backward: the layer runs from the last step to the first.
        stage: when within a step it is computed, `_STAGES`.
        compared: values that were held against each other.
        beyond: how many differ by more than the tolerance.
        largest: the largest difference; infinite where one side has no value.
        allowed: the difference that the tolerance allowed there.
        where: sequence, step (None where there are no steps) and place within the step, of the largest.
        first: sequence and step at which a value is first beyond the tolerance, in the order in which the layer runs.
        place: the place within that step; empty where nothing is beyond.
        values: ours and the expected one there.
    """

    kind: Kind
    layer: str
    name: str
    backward: bool = False
    stage: int = 1
    compared: int = 0
    beyond: int = 0
    largest: float = 0.0
    allowed: float = 0.0
    where: tuple[int, int | None, tuple[int, ...]] | None = None
    first: tuple[int, int | None] | None = None
    place: tuple[int, ...] = ()
    values: tuple[float, float] = (0.0, 0.0)

    @property
    def signal(self) -> str:
        """In the words of the reports: `h`, `final h`, `output`."""
        return {"signal": self.name, "final": f"final {self.name}", "output": "output"}[self.kind]

    @property
    def along(self) -> float:
        """The step at which it is first beyond, counted as the layer runs; infinite where there is none."""
        step = self.first[1] if self.first is not None else None
        return inf if step is None else -step if self.backward else step

    def add(self, ours: Array, expected: Array, start: int, rows: Array, allowed: float) -> None:
        """Compares a stretch.

        Args:
            ours: of a signal `[time, batch, …]`, else `[batch, …]`.
            expected: likewise.
            start: the step of the first row.
            rows: `[batch]`, the numbers of the sequences.
            allowed: the difference that the tolerance allows.
        """
        steps = self.kind == "signal"
        if not steps:
            ours, expected = ours[None], expected[None]
        held = ~(np.isnan(ours) & np.isnan(expected))
        with np.errstate(invalid="ignore"):
            apart = np.abs(np.subtract(ours, expected, dtype=np.float64))
        # Of equal infinities and of a value on one side alone the difference is no number.
        apart = np.where(ours == expected, 0.0, np.where(np.isnan(apart), np.inf, apart))
        apart[~held] = 0.0
        self.compared += int(held.sum())
        if not apart.size:
            return
        place = np.unravel_index(int(apart.argmax()), apart.shape)
        largest = float(apart[place])
        if self.where is None or largest > self.largest:
            time = int(place[0]) + start if steps else None
            self.where = (int(rows[place[1]]), time, tuple(int(k) for k in place[2:]))
            self.largest, self.allowed = largest, allowed
        far = apart > allowed
        if far.any():
            self.beyond += int(far.sum())
            self._note(np.asarray(far), ours, expected, start, rows)

    def _note(self, far: Array, ours: Array, expected: Array, start: int, numbers: Array) -> None:
        """Keeps the first of the values `[time, batch, …]` that are beyond the tolerance."""
        rows = np.flatnonzero(far.any(axis=tuple(range(1, far.ndim))))
        row = int(rows[-1] if self.backward else rows[0])
        column, *place = (int(k) for k in np.argwhere(far[row])[0])
        step = row + start if self.kind == "signal" else None
        if self.first is None or self._sooner(step, self.first[1]):
            at = (row, column, *place)
            self.first, self.place = (int(numbers[column]), step), tuple(place)
            self.values = (float(ours[at]), float(expected[at]))

    def _sooner(self, step: int | None, other: int | None) -> bool:
        if step is None or other is None:
            return False
        return step > other if self.backward else step < other


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, compared.

    Attributes:
        differences: one for each signal of each layer, then one for each output.
        tolerance: the relative one (see above).
        missing: what one side alone has, in words.
        failure: why the original could not be run to its end; or empty.
    """

    differences: tuple[Difference, ...]
    tolerance: float
    missing: tuple[str, ...] = ()
    failure: str = ""

    @property
    def agrees(self) -> bool:
        """Whether something was compared, to the end, and nothing is beyond the tolerance."""
        return self.compared > 0 and not self.failure and not any(one.beyond for one in self.differences)

    @property
    def compared(self) -> int:
        """Values held against each other."""
        return sum(one.compared for one in self.differences)

    @property
    def worst(self) -> Difference | None:
        """The one that is furthest beyond what is allowed; None where nothing was compared."""
        return max(
            (one for one in self.differences if one.compared),
            key=lambda one: one.largest / one.allowed if one.allowed else one.largest,
            default=None,
        )


class Comparer:
    """Holds blocks of the rebuilt graph against those of the original as they come, in memory that does not grow.

    Args:
        layers: those that are compared.
        tolerance: relative (see above).
        allowed: of what, kind, layer and name as in `Difference`, the difference allowed is another.
    """

    def __init__(
        self, layers: Sequence[Layer], tolerance: float, allowed: Mapping[tuple[Kind, str, str], float] | None = None
    ) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._skipping = {layer.name for layer in layers if layer.feed.mask is not None}
        self._tolerance = tolerance
        self._allowed = allowed or {}
        self._found: dict[tuple[Kind, str, str], Difference] = {}
        self._missing: dict[str, None] = {}
        self._failure = ""

    def add(self, block: Block, whole: Block) -> None:
        """Compares a block with the original's of the same batch, which begins no later."""
        for layer, signals in block.signals.items():
            for name, mine in signals.items():
                self._signal(layer, name, mine, whole.signals.get(layer, {}).get(name), block, whole.start)
        for layer, states in block.final.items():
            for name, mine in states.items():
                self._single("final", layer, name, mine, whole.final.get(layer, {}).get(name), block)
        for name, mine in block.outcomes.items():
            self._single("output", name, "", mine, whole.outcomes.get(name), block)

    def over(self, ours: Iterable[Block], expected: Iterable[Block], *, forgiving: bool = False) -> Iterator[Block]:
        """Hands the blocks of the rebuilt graph on, each of them compared.

        Args:
            ours: as `rnnprobe.engine.trace` yields them.
            expected: one block for each batch, in the same order of batches (`rnnprobe.engine.witness.call`).
            forgiving: where the original fails, hand the rest on all the same; the comparison then says why.

        Raises:
            RnnprobeError: the original fails, unless `forgiving`.
            RuntimeError: the original gives nothing of a batch.
        """
        others = iter(expected)
        whole: Block | None = None
        for block in ours:
            if not self._failure:
                try:
                    whole = _of_batch(block, whole, others)
                    self.add(block, whole)
                except RnnprobeError as error:
                    if not forgiving:
                        raise
                    whole, self._failure = None, str(error)
            yield block

    @property
    def comparison(self) -> Comparison:
        """What came of it so far."""
        order = {name: number for number, name in enumerate(self._layers)}
        kept = [one for one in self._found.values() if one.layer in order or one.kind == "output"]
        kept.sort(key=lambda one: (one.kind == "output", order.get(one.layer, 0), one.kind == "final"))
        return Comparison(tuple(kept), self._tolerance, tuple(self._missing), self._failure)

    def _signal(self, layer: str, name: str, mine: Array, other: Array | None, block: Block, start: int) -> None:
        if other is None or other.shape[1:] != mine.shape[1:]:
            self._miss(f"{layer} {name}", mine.shape[1:], None if other is None else other.shape[1:])
            return
        held = other[block.start - start :][: len(mine)]
        if len(held) < len(mine):
            # Where the original has no such step, ours must have no value.
            gap = np.full((len(mine) - len(held), *mine.shape[1:]), np.nan)
            held = np.concatenate([held, gap])
        if layer in self._skipping and name not in self._layers[layer].cell.states:
            # What is skipped here is computed by a graph, and thrown away.
            held = np.where(np.isnan(mine), np.array(np.nan, held.dtype), held)
        self._add("signal", layer, name, mine, held, block, other)

    def _single(self, kind: Kind, layer: str, name: str, mine: Array, other: Array | None, block: Block) -> None:
        if other is None or other.shape != mine.shape:
            what = f"output {layer}" if kind == "output" else f"{layer} final {name}"
            self._miss(what, mine.shape, None if other is None else other.shape)
            return
        self._add(kind, layer, name, mine, other, block, other)

    def _miss(self, what: str, mine: tuple[int, ...], other: tuple[int, ...] | None) -> None:
        shapes = "" if other is None else f"{list(mine)} here, {list(other)} from the original"
        self._missing[f"{what} was not compared: {shapes or 'the original does not show it'}"] = None

    def _add(self, kind: Kind, layer: str, name: str, mine: Array, other: Array, block: Block, whole: Array) -> None:
        key = (kind, layer, name)
        if key not in self._found:
            self._found[key] = Difference(kind, layer, name, self._is_backward(layer), self._stage(layer, name))
        allowed = self._allowed.get(key)
        if allowed is None:
            allowed = self._tolerance * max(1.0, _size(whole))
        self._found[key].add(mine, other, block.start, block.batch.rows, allowed)

    def _is_backward(self, layer: str) -> bool:
        return layer in self._layers and self._layers[layer].direction == "backward"

    def _stage(self, layer: str, name: str) -> int:
        signals = self._layers[layer].cell.signals if layer in self._layers else ()
        return next((_STAGES[signal.kind] for signal in signals if signal.name == name), 1)


def _of_batch(block: Block, whole: Block | None, others: Iterator[Block]) -> Block:
    """The original's block of the batch of a block: the one at hand, or one that comes."""
    while whole is None or whole.batch.first != block.batch.first:
        whole = next(others, None)
        if whole is None:
            raise RuntimeError(f"the original gave nothing of the batch at {block.batch.first}")
    return whole


def compare(ours: Iterable[Block], expected: Iterable[Block], layers: Sequence[Layer], tolerance: float) -> Comparison:
    """Holds all blocks of the rebuilt graph against those of the original; see `Comparer`."""
    comparer = Comparer(layers, tolerance)
    for _ in comparer.over(ours, expected):
        pass
    return comparer.comparison


def _size(expected: Array) -> float:
    """The largest of the finite values."""
    values = np.abs(expected[np.isfinite(expected)])
    return float(values.max(initial=0.0))
