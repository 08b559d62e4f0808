"""What a model does on a known input, held against the trace that was recorded when it was right.

A value is beyond the tolerance where it differs by more than `tolerance · max(1, largest |expected|)`, the largest of
that signal in the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe import inputs, outputs
from rnnprobe import run as runs
from rnnprobe.analysis import words
from rnnprobe.analysis.comparison import Difference
from rnnprobe.checks.specification import GoldenSpec, Specification
from rnnprobe.checks.verdict import Verdict
from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import locate
from rnnprobe.outputs import LayerTrace, Trace
from rnnprobe.outputs.lazy import Stored
from rnnprobe.types import Array, Batch, Block, Entry, Layer, Network

TOLERANCE = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-9}
"""By the dtype of the trace: rounding differs between machines and releases."""

_ORDER = ("pre", "gate", "inner", "state", "output")
"""What comes first within a step."""


def goldens(network: Network, spec: Specification) -> Iterator[Verdict]:
    """Runs every golden of a specification.

    Raises:
        BadInput: a file of it can't be read, or there is no TensorFlow.
    """
    import rnnprobe.engine  # noqa: F401 (what is missing is said before anything is read)

    folder = spec.path.parent if spec.path is not None else Path()
    for one in spec.goldens:
        yield from _golden(network, one, outputs.load(folder / one.trace), folder)


def _golden(network: Network, one: GoldenSpec, trace: Trace, folder: Path) -> Iterator[Verdict]:
    expected = f"what {one.trace} holds of {one.name}"
    lost = [name for name in trace.layers if name not in {layer.name for layer in network.layers}]
    if lost:
        yield Verdict("golden", False, expected, "no such layer", one.level, one.key, lost[0])
        return
    source: Any = _located(one.input, folder)
    for path in source.values() if isinstance(source, dict) else (source,):
        locate(path)
    vocabulary = inputs.vocabulary.read(folder / one.vocab) if one.vocab is not None else None

    def read(entries: Mapping[str, Entry]) -> tuple[Batch, ...]:
        given = next(iter(source.values())) if isinstance(source, dict) and len(entries) == 1 else source
        return inputs.read(
            given,
            entries,
            say=lambda line: None,
            vocabulary=vocabulary,
            by=one.by,
            select=one.select,
            steps=one.steps,
            batch_size=1 if one.carry else inputs.BATCH_SIZE,
        )

    wanted = runs.Wanted(tuple(trace.layers), one.own_input, bool(trace.outputs))
    try:
        run = runs.rebuilt(network, wanted, read, lambda lines: None)
        found = _differences(run, one, trace)
    except BadInput as exc:
        yield Verdict("golden", False, expected, f"it can't be run: {exc}", one.level, one.key)
        return
    yield _verdict(one, expected, found)


def _located(given: str | Mapping[str, str], folder: Path) -> str | dict[str, str]:
    """The input's files; a path is relative to the folder of the specification."""
    if isinstance(given, str):
        return str(folder / given)
    return {name: str(folder / file) for name, file in given.items()}


@dataclass(slots=True)
class _Apart:
    """How far a signal is from the trace.

    Attributes:
        order: of its layer in the network.
        allowed: the difference that the tolerance allows.
        place: the unit, or place in space, at which it is first beyond; with what was found and expected there.
    """

    difference: Difference
    order: int
    allowed: float
    place: tuple[int, ...] = ()
    values: tuple[float, float] = (0.0, 0.0)

    def add(self, ours: Array, expected: Array, start: int, sequence: int) -> None:
        """Compares a stretch, `[time, batch, …]`, or without time `[batch, …]`."""
        before = self.difference.first
        self.difference.add(ours, expected, start, sequence, self.allowed)
        first = self.difference.first
        if first is None or first == before:
            return
        at = (first[0] - sequence,) if first[1] is None else (first[1] - start, first[0] - sequence)
        mine, other = np.asarray(ours[at]), np.asarray(expected[at])
        with np.errstate(invalid="ignore"):
            far = ~(np.abs(np.subtract(mine, other, dtype=np.float64)) <= self.allowed)
        far &= ~((mine == other) | (np.isnan(mine) & np.isnan(other)))
        self.place = tuple(int(k) for k in np.argwhere(far)[0])
        self.values = (float(mine[self.place]), float(other[self.place]))

    @property
    def when(self) -> tuple[int, int, int]:
        """What comes first: the step as the layer runs, the layer, the stage within a step."""
        step = (self.difference.first or (0, 0))[1]
        return (
            1 << 62 if step is None else -step if self.difference.backward else step,
            self.order,
            self.difference.stage,
        )


@dataclass(slots=True)
class _Found:
    """What a run came to.

    Attributes:
        apart: a record for each signal of each layer, and for each output.
        problem: why the run and the trace can't be compared, or empty.
    """

    names: tuple[str, ...]
    apart: list[_Apart] = field(default_factory=list)
    problem: str = ""


def _differences(run: runs.Run, one: GoldenSpec, trace: Trace) -> _Found:
    found = _Found(trace.names, problem=_unlike(run, trace))
    if found.problem:
        return found
    layers = {layer.name: layer for layer in run.layers}
    record = {name: tuple(layer.signals) for name, layer in trace.layers.items()}
    signals = {
        (name, signal): _apart(layers[name], number, signal, stored, one)
        for number, (name, layer) in enumerate(trace.layers.items())
        for signal, stored in layer.signals.items()
    }
    results = {
        name: _Apart(Difference("output", name, ""), len(layers), _allowed(one, "output", stored))
        for name, stored in trace.outputs.items()
    }
    for block in run.blocks(record, carry=one.carry):
        _compare(block, trace, signals, results)
    found.apart = [*signals.values(), *results.values()]
    return found


def _unlike(run: runs.Run, trace: Trace) -> str:
    """Why the input or a layer is not that of the trace, or empty."""
    lengths = [int(length) for batch in run.batches for length in batch.lengths]
    if lengths != [int(length) for length in trace.lengths]:
        return f"the input has {_extent(lengths)}, and the trace {_extent([int(n) for n in trace.lengths])}"
    layers = {layer.name: layer for layer in run.layers}
    for name, layer in trace.layers.items():
        if name not in layers:
            return f"{name} does not run on this input"
        there = run.signals(["all"])[name]
        lost = [signal for signal in layer.signals if signal not in there]
        if lost:
            return f"{name} has no {lost[0]}"
    missing = set(trace.outputs) - {outcome.name for outcome in run.outcomes}
    return f"the model has no output {min(missing)}" if missing else ""


def _extent(lengths: list[int]) -> str:
    return f"{words.counted(len(lengths), 'sequence')} of {words.counted(sum(lengths), 'step')}"


def _apart(layer: Layer, number: int, signal: str, stored: Stored, one: GoldenSpec) -> _Apart:
    kind = next(each.kind for each in layer.cell.signals if each.name == signal)
    difference = Difference("signal", layer.name, signal, layer.direction == "backward", _ORDER.index(kind))
    return _Apart(difference, number, _allowed(one, signal, stored))


def _allowed(one: GoldenSpec, signal: str, stored: Stored) -> float:
    """The difference that is allowed: the tolerance, of the largest finite value where that is over 1."""
    default = one.tolerance if one.tolerance is not None else TOLERANCE.get(str(stored.dtype), 1e-4)
    largest = 1.0
    for start in range(0, stored.shape[0], inputs.BATCH_SIZE):
        values = np.abs(stored[start : start + inputs.BATCH_SIZE])
        largest = max(largest, float(values[np.isfinite(values)].max(initial=0.0)))
    return one.tolerances.get(signal, default) * largest


def _compare(
    block: Block, trace: Trace, signals: Mapping[tuple[str, str], _Apart], results: Mapping[str, _Apart]
) -> None:
    first = block.batch.start
    rows = slice(first, first + len(block.batch.names))
    for layer, recorded in block.signals.items():
        for signal, ours in recorded.items():
            expected = _stretch(trace.layers[layer], signal, rows, block.start, len(ours))
            if expected.shape != ours.shape:
                shapes = f"{list(ours.shape[2:])} a step, and {list(expected.shape[2:])} in the trace"
                raise BadInput(f"{layer} {signal} has {shapes}")
            signals[layer, signal].add(ours, expected, block.start, first)
    for name, ours in block.outcomes.items():
        if name in results:
            expected = trace.outputs[name][rows]
            steps = slice(0, ours.shape[1]) if name in trace.output_lengths else slice(None)
            expected = expected[:, steps] if ours.ndim > 1 else expected
            if expected.shape != ours.shape:
                raise BadInput(f"output {name} is {list(ours.shape)}, and {list(expected.shape)} in the trace")
            results[name].add(ours, expected, 0, first)


def _stretch(layer: LayerTrace, signal: str, rows: slice, start: int, steps: int) -> Array:
    """What the trace holds of some steps, `[time, batch, …]`; a batch may be padded further than the trace."""
    held: Array = np.moveaxis(np.asarray(layer.signals[signal][rows, start : start + steps]), 1, 0)
    if len(held) == steps:
        return held
    gap = np.full((steps - len(held), *held.shape[1:]), np.nan, held.dtype)
    return np.concatenate([held, gap])


def _verdict(one: GoldenSpec, expected: str, found: _Found) -> Verdict:
    """The first step, layer, signal and unit that are beyond the tolerance."""
    if found.problem:
        return Verdict("golden", False, expected, found.problem, one.level, one.key)
    beyond = [each for each in found.apart if each.difference.beyond]
    if not beyond:
        compared = sum(each.difference.compared for each in found.apart)
        return Verdict("golden", True, expected, f"{words.count(compared)} values like it", one.level, one.key)
    each = min(beyond, key=lambda one: one.when)
    difference = each.difference
    sequence, step = difference.first or (0, None)
    at = [f"sequence {sequence} ({found.names[sequence]})"]
    at += [] if step is None else [f"step {step}"]
    at += [f"unit {','.join(map(str, each.place))}"] if each.place else []
    largest = max(beyond, key=lambda one: one.difference.largest / one.allowed if one.allowed else np.inf).difference
    what = (
        f"first at {', '.join(at)}: {words.precise(each.values[0])} in place of {words.precise(each.values[1])}; "
        f"{words.counted(len(beyond), 'signal')} of {len(found.apart)} beyond {words.number(each.allowed)}, "
        f"up to {words.number(largest.largest)} in {largest.layer} {largest.signal}"
    )
    return Verdict("golden", False, expected, what, one.level, one.key, difference.layer, what=difference.signal)
