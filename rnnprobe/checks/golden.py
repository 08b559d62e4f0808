"""What a model does on a known input, held against the trace that was recorded when it was right.

A value is beyond the tolerance where it differs by more than `tolerance · max(1, largest |expected|)`, the largest of
that signal in the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnprobe import inputs, outputs, runs
from rnnprobe.analysis import words
from rnnprobe.analysis.comparison import Comparer, Comparison, Difference, Kind
from rnnprobe.cells.layers import signal_shapes
from rnnprobe.checks.specification import GoldenSpec, Specification
from rnnprobe.checks.verdict import Verdict
from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import locate
from rnnprobe.outputs import Trace
from rnnprobe.outputs.lazy import Stored
from rnnprobe.outputs.thin import kept, thinned
from rnnprobe.types import Array, Block, Network, Recording
from rnnprobe.types.run import lengths_of

TOLERANCE = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-9}
"""By the dtype of the trace: rounding differs between machines and releases."""

_AT_ONCE = 32  # sequences of the trace


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
    if trace.reduced_over:
        raise BadInput(
            f"holds reductions over {trace.reduced_over}, and a golden is compared step by step",
            path=folder / one.trace,
            hint="record it without --reduce; --stride and --units make a golden small",
        )
    source = _located(one.input, folder)
    for path in source.values() if isinstance(source, dict) else (source,):
        locate(path)
    vocabulary = inputs.vocabulary.read(folder / one.vocab) if one.vocab is not None else None
    job = runs.Job(
        network.checkpoint.path,
        runs.Given(source, vocabulary=vocabulary, by=one.by, select=one.select, steps=one.steps),
        layers=tuple(trace.layers),
        record=("output",) if trace.outputs else (),
        carry=one.carry,
        own_input=one.own_input,
    )
    try:
        run = runs.rebuilt(network, job, lambda lines: None)
        problem = _unlike(run, trace)
        found = None if problem else _compared(run, one, trace)
    except BadInput as exc:
        problem, found = f"it can't be run: {exc}", None
    if found is None or found.missing:
        problem = problem if found is None else found.missing[0]
        yield Verdict("golden", False, expected, problem, one.level, one.key)
        return
    yield _verdict(one, expected, trace, found)


def _located(given: str | Mapping[str, str], folder: Path) -> str | dict[str, str]:
    """The input's files; a path is relative to the folder of the specification. A single input goes by any name."""
    if isinstance(given, str):
        return str(folder / given)
    files = {name: str(folder / file) for name, file in given.items()}
    return files if len(files) > 1 else next(iter(files.values()))


def _unlike(run: runs.Run, trace: Trace) -> str:
    """Why the input, a layer or an output is not that of the trace, or empty."""
    lengths = lengths_of(run.batches).tolist()
    if lengths != [int(length) for length in trace.lengths]:
        return f"the input has {_extent(lengths)}, and the trace {_extent([int(n) for n in trace.lengths])}"
    layers = {layer.name: layer for layer in run.layers}
    for name, layer in trace.layers.items():
        if name not in layers:
            return f"{name} does not run on this input"
        shapes = signal_shapes(layers[name])
        for signal, stored in layer.signals.items():
            if signal not in shapes:
                return f"{name} has no {signal}"
            was = (*stored.shape[2:-1], layer.attributes["units"]) if signal in layer.cut else stored.shape[2:]
            if was != shapes[signal]:
                return f"{name} {signal} has {list(shapes[signal])} a step, and {list(was)} in the trace"
    missing = set(trace.outputs) - {outcome.name for outcome in run.outcomes}
    return f"the model has no output {min(missing)}" if missing else ""


def _extent(lengths: list[int]) -> str:
    return f"{words.counted(len(lengths), 'sequence')} of {words.counted(sum(lengths), 'step')}"


def _compared(run: runs.Run, one: GoldenSpec, trace: Trace) -> Comparison:
    """The run beside the trace, stretch by stretch."""
    layers = {layer.name: layer for layer in run.layers}
    record = {name: tuple(layer.signals) for name, layer in trace.layers.items()}
    allowed: dict[tuple[Kind, str, str], float] = {
        ("signal", name, signal): _allowed(one, signal, stored)
        for name, layer in trace.layers.items()
        for signal, stored in layer.signals.items()
    }
    allowed |= {("output", name, ""): _allowed(one, "output", stored) for name, stored in trace.outputs.items()}
    comparer = Comparer([layers[name] for name in trace.layers], 0.0, allowed)
    recording = Recording(run.layers, record, run.batches, lengths=run.lengths, outcomes=run.outcomes, kept=kept(trace))
    for block in run.blocks(record, carry=one.carry):
        outcomes = {name: values for name, values in block.outcomes.items() if name in trace.outputs}
        ours = thinned(replace(block, final={}, initial={}, outcomes=outcomes), recording)
        comparer.add(ours, _stored(ours, trace))
    return comparer.comparison


def _allowed(one: GoldenSpec, signal: str, stored: Stored) -> float:
    """The difference that is allowed: the tolerance, of the largest finite value where that is over 1."""
    default = one.tolerance if one.tolerance is not None else TOLERANCE.get(str(stored.dtype), 1e-4)
    largest = 1.0
    for start in range(0, stored.shape[0], _AT_ONCE):
        values = np.abs(stored[start : start + _AT_ONCE])
        largest = max(largest, float(values[np.isfinite(values)].max(initial=0.0)))
    return one.tolerances.get(signal, default) * largest


def _stored(block: Block, trace: Trace) -> Block:
    """What the trace holds of the signals, steps and outcomes of a block that is thinned like it."""
    rows = block.batch.rows

    def steps(layer: str, signal: str, ours: Array) -> Array:
        held = trace.layers[layer].signals[signal][rows, block.start : block.start + len(ours)]
        return np.moveaxis(np.asarray(held), 1, 0)

    def outcome(name: str, ours: Array) -> Array:
        held = np.asarray(trace.outputs[name][rows])
        return held[:, : ours.shape[1]] if name in trace.output_lengths else held

    signals = {
        layer: {signal: steps(layer, signal, ours) for signal, ours in recorded.items()}
        for layer, recorded in block.signals.items()
    }
    outcomes = {name: outcome(name, ours) for name, ours in block.outcomes.items()}
    return Block(block.batch, block.start, signals, outcomes=outcomes)


def _place(first: Difference, trace: Trace) -> tuple[int, ...]:
    """A place within a step, with the unit's own number."""
    layer = trace.layers.get(first.layer)
    if layer is None or first.name not in layer.cut:
        return first.place
    return (*first.place[:-1], int(layer.numbers(first.name, 0)[first.place[-1]]))


def _verdict(one: GoldenSpec, expected: str, trace: Trace, found: Comparison) -> Verdict:
    """The first step, layer, signal and unit that are beyond the tolerance."""
    beyond = [each for each in found.differences if each.beyond]
    if not beyond:
        text = f"{words.count(found.compared)} values like it"
        return Verdict("golden", True, expected, text, one.level, one.key)
    order = list(dict.fromkeys(each.layer for each in found.differences))
    first = min(beyond, key=lambda each: (each.along, order.index(each.layer), each.stage))
    sequence, step = first.first or (0, None)
    at = [f"sequence {sequence} ({trace.names[sequence]})"]
    at += [] if step is None else [f"step {step * trace.stride}"]
    at += [f"unit {','.join(map(str, _place(first, trace)))}"] if first.place else []
    largest = found.worst or first
    what = (
        f"first at {', '.join(at)}: {words.precise(first.values[0])} in place of {words.precise(first.values[1])}; "
        f"{words.counted(len(beyond), 'signal')} of {len(found.differences)} beyond {words.number(first.allowed)}, "
        f"up to {words.number(largest.largest)} in {largest.layer} {largest.signal}"
    )
    return Verdict("golden", False, expected, what, one.level, one.key, first.layer, what=first.signal)
