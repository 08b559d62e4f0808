"""What the rebuilt graph computes, held against what the original does: pure functions over two streams of blocks.

A value is beyond the tolerance where it differs from the expected one by more than `tolerance · max(1, largest
|expected|)`, the largest of that signal in its batch. A value that one side has and the other has not (NaN) is beyond
any tolerance.

Reports and the keys of their rows, in JSON as here:

    signals       layer, signal (`final h` for the state in the end; `output` for an output of the model, whose name
                  stands in layer), agrees, compared (how many values), beyond (how many of them), largest (difference;
                  infinite where one side has no value), allowed (where it is largest), sequence, step and unit (where
                  it is largest; unit is a list where the layer has axes in space), first_sequence and first_step (where
                  it is first beyond the tolerance, as the layer runs)
    verification  as `Recording.verification`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Block, Column, Layer, Network, Report

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
"""By the floats that both sides compute with."""

GRAPH_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Likewise, beside a graph of TensorFlow 1: it multiplies the input and h with one kernel at once, and is rounded
otherwise at every step; large states make more of that over a long sequence."""

Verified: TypeAlias = dict[str, str | float | int]


def refuse_foreign(network: Network) -> None:
    """Holds a network against what can be run as it stands.

    Raises:
        BadInput: naming the layers that are none of Keras's, and that no stored graph is seen to run.
    """
    strange = [
        f"{layer.name} is a {layer.cell.title}"
        for layer in network.layers
        if layer.cell.framework != "keras" and not network.places.get(layer.name)
    ]
    if strange:
        raise BadInput(
            f"can't be verified: no graph that runs these layers came with the weights, and without one only Keras "
            f"models can; {words.few(strange)}",
            path=network.checkpoint.path,
            hint="`rnnprobe trace` runs the rebuilt layers",
        )


@dataclass(slots=True)
class Difference:
    """How far one signal of one layer is from the expected one.

    Attributes:
        layer: whose signal; the name of an output of the model.
        signal: its name, `final h`, or `output`.
        backward: the layer runs from the last step to the first.
        compared: values that were held against each other.
        beyond: how many differ by more than the tolerance.
        largest: the largest difference; infinite where one side has no value.
        allowed: the difference that the tolerance allowed there.
        where: sequence, step (None where there are no steps) and place within the step, of the largest.
        first: sequence and step at which a value is first beyond the tolerance, in the order in which the layer runs.
    """

    layer: str
    signal: str
    backward: bool = False
    compared: int = 0
    beyond: int = 0
    largest: float = 0.0
    allowed: float = 0.0
    where: tuple[int, int | None, tuple[int, ...]] | None = None
    first: tuple[int, int | None] | None = None

    def add(self, ours: Array, expected: Array, start: int, sequence: int, allowed: float, *, steps: bool) -> None:
        """Compares a stretch.

        Args:
            ours: `[time, batch, …]`, or `[batch, …]` where there are no steps.
            expected: likewise.
            start: the step of the first row.
            sequence: the number of the first sequence.
            allowed: the difference that the tolerance allows.
            steps: whether the first axis is time.
        """
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
            self.where = (sequence + int(place[1]), time, tuple(int(k) for k in place[2:]))
            self.largest, self.allowed = largest, allowed
        far = apart > allowed
        if far.any():
            self.beyond += int(far.sum())
            self._note(np.asarray(far.reshape(*far.shape[:2], -1).any(axis=-1)), start, sequence, steps)

    def _note(self, far: Array, start: int, sequence: int, steps: bool) -> None:
        """Keeps the first of the steps `[time, batch]` that are beyond the tolerance."""
        rows = np.flatnonzero(far.any(axis=1))
        row = int(rows[-1] if self.backward else rows[0])
        found = (sequence + int(np.flatnonzero(far[row])[0]), row + start if steps else None)
        if self.first is None or self._sooner(found[1], self.first[1]):
            self.first = found

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
    """

    differences: tuple[Difference, ...]
    tolerance: float
    missing: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether something was compared and nothing is beyond the tolerance."""
        return self.compared > 0 and not any(one.beyond for one in self.differences)

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


def compare(ours: Iterable[Block], expected: Iterable[Block], layers: Sequence[Layer], tolerance: float) -> Comparison:
    """Holds the blocks of the rebuilt graph against those of the original.

    Args:
        ours: as `rnnprobe.engine.trace` yields them.
        expected: one block for each batch, in the same order of batches (`rnnprobe.engine.witness.witness`).
        layers: those that are compared.
        tolerance: relative (see above).
    """
    found: dict[tuple[str, str], Difference] = {}
    missing: dict[str, None] = {}
    backward = {layer.name for layer in layers if layer.direction == "backward"}
    pairs = _paired(ours, expected)
    for block, whole in pairs:
        for layer, signal, mine, other, start, scale in _parts(block, whole, missing):
            key = (layer, signal)
            if key not in found:
                found[key] = Difference(layer, signal, layer in backward)
            steps = not signal.startswith(("final ", "output"))
            found[key].add(mine, other, start, block.batch.start, tolerance * max(1.0, scale), steps=steps)
    order = {layer.name: number for number, layer in enumerate(layers)}
    kept = [one for one in found.values() if one.layer in order or one.signal == "output"]
    kept.sort(key=lambda one: (order.get(one.layer, len(order)), one.signal.startswith("final ")))
    return Comparison(tuple(kept), tolerance, tuple(missing))


def _paired(ours: Iterable[Block], expected: Iterable[Block]) -> Iterator[tuple[Block, Block]]:
    """Each block with the original's of its batch."""
    others = iter(expected)
    whole: Block | None = None
    for block in ours:
        while whole is None or whole.batch.start != block.batch.start:
            whole = next(others)
        yield block, whole


def _parts(block: Block, whole: Block, missing: dict[str, None]) -> Iterator[tuple[str, str, Array, Array, int, float]]:
    """Layer, signal, ours, expected, the first step, and the largest |expected|, of what both sides have."""
    for layer, signals in block.signals.items():
        for name, mine in signals.items():
            other = whole.signals.get(layer, {}).get(name)
            if other is None:
                missing[f"{layer} {name} was not compared: the original does not show it"] = None
                continue
            stop = block.start + len(mine)
            # Where the original has no such step, ours must have no value.
            gap = np.full((max(0, stop - max(len(other), block.start)), *mine.shape[1:]), np.nan, mine.dtype)
            yield layer, name, mine, np.concatenate([other[block.start : stop], gap]), block.start, _size(other)
    for layer, states in block.final.items():
        for name, mine in states.items():
            other = whole.final.get(layer, {}).get(name)
            if other is None:
                missing[f"{layer} final {name} was not compared: the original does not show it"] = None
            else:
                yield layer, f"final {name}", mine, other, 0, _size(other)
    for name, mine in block.outcomes.items():
        other = whole.outcomes.get(name)
        if other is None or other.shape != mine.shape:
            shape = "nothing" if other is None else list(other.shape)
            missing[f"output {name} was not compared: {list(mine.shape)} here, {shape} from the original"] = None
        else:
            yield name, "output", mine, other, 0, _size(other)


def _size(expected: Array) -> float:
    """The largest of the finite values."""
    values = np.abs(expected[np.isfinite(expected)])
    return float(values.max(initial=0.0))


def verification(comparison: Comparison, notes: Sequence[str] = (), original: str = "genuine Keras layers") -> Verified:
    """What a trace says of it, as `Recording.verification`: `status`, `reason`, `tolerance`, `largest`, `compared`.

    Args:
        comparison: what was found.
        notes: on how the original was run.
        original: what that was, in the plural.
    """
    worst = comparison.worst
    if worst is None:
        return {"status": "not verified", "reason": "; ".join(["nothing was compared", *comparison.missing])}
    agrees = comparison.agrees
    reason = (
        f"compared with {original} on the same weights and input"
        if agrees
        else f"{original} on the same weights and input compute something else: {first_beyond(comparison)}"
    )
    return {
        "status": "verified" if agrees else "differs",
        "reason": "; ".join([reason, *notes, *comparison.missing]),
        "tolerance": comparison.tolerance,
        "largest": worst.largest,
        "largest_layer": worst.layer,
        "largest_signal": worst.signal,
        "compared": comparison.compared,
    }


def first_beyond(comparison: Comparison) -> str:
    """The first layer that is beyond the tolerance, in words: its signal, sequence and step."""
    far = [one for one in comparison.differences if one.beyond]
    if not far:
        return ""
    one = far[0]
    firsts = [other for other in far if other.layer == one.layer and other.first and other.first[1] is not None]
    if firsts:
        # A gate that is wrong comes before what it does to the states, in one and the same step.
        order = {id(other): _stage(other) for other in firsts}
        backward = one.backward
        one = min(firsts, key=lambda o: (_along(o, backward), order[id(o)]))
    return f"{one.layer} {one.signal} first at {_place(one)}; up to {words.number(one.largest)} apart"


def _place(one: Difference) -> str:
    """Where a signal is first beyond the tolerance: `sequence 3, step 1`."""
    sequence, step = one.first if one.first is not None else (0, None)
    return f"sequence {sequence}" + (f", step {step}" if step is not None else "")


def _along(one: Difference, backward: bool) -> int:
    step = one.first[1] if one.first is not None and one.first[1] is not None else 0
    return -step if backward else step


def _stage(one: Difference) -> int:
    """What comes first within a step: values before an activation, gates, then states."""
    if one.signal.endswith("_pre"):
        return 0
    return 2 if one.signal in ("h", "c") else 1


_COLUMNS = (
    Column("layer", "layer"),
    Column("signal", "signal"),
    Column("agrees", "agrees", lambda value: "yes" if value else "NO"),
    Column("compared", "values", words.count, right=True),
    Column("largest", "largest difference", words.number, right=True),
    Column("allowed", "allowed", words.number, right=True),
    Column("sequence", "sequence", right=True),
    Column("step", "step", right=True),
    Column("unit", "unit", lambda value: ",".join(map(str, value)) if isinstance(value, list) else str(value), True),
)


def report(comparison: Comparison, verified: Mapping[str, str | float | int]) -> tuple[Report, ...]:
    """A row for each signal of each layer, and what it comes to."""
    notes = [
        f"a value may differ by {words.number(comparison.tolerance)} · max(1, the largest expected of its signal)",
        *comparison.missing,
        *(f"{one.layer} {one.signal} is first beyond at {_place(one)}" for one in comparison.differences if one.first),
    ]
    rows = tuple(_row(one) for one in comparison.differences)
    what = Report(
        "verification", "", (Column("status", "status"), Column("reason", "reason")), (dict(verified),), upright=True
    )
    return Report("signals", "The rebuilt graph and the original", _COLUMNS, rows, tuple(notes)), what


def _row(one: Difference) -> dict[str, object]:
    sequence, step, place = one.where or (None, None, ())
    return {
        "layer": one.layer,
        "signal": one.signal,
        "agrees": not one.beyond,
        "compared": one.compared,
        "beyond": one.beyond,
        "largest": one.largest,
        "allowed": one.allowed,
        "sequence": sequence,
        "step": step,
        "unit": place[0] if len(place) == 1 else list(place) if place else None,
        "first_sequence": one.first[0] if one.first else None,
        "first_step": one.first[1] if one.first else None,
    }
