"""A run cut into parts: windows of its batches that hold all sequences of a range, each traced to a file of its own.

Whatever decides how a value comes about (sizes, lengths, how the engine cuts and compiles) is decided from the whole
run; a part says no more than which of the batches run. So the parts together are the whole, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnnprobe import outputs
from rnnprobe.analysis.verification import Verified
from rnnprobe.cells.layers import products
from rnnprobe.errors import BadInput
from rnnprobe.outputs import Sink, fields
from rnnprobe.runs.prepared import Ready
from rnnprobe.types import Batch, Block, Network, Recording

BYTES = 1 << 30
"""Bytes of values in a part, at most where it holds more than one window: what is lost when a run is cut is a part, and
a part of this size is written in seconds and read again in one."""
PRODUCTS = 1e11
"""Multiplications in a part, likewise: a minute of work, where little is recorded of a large network."""


@dataclass(frozen=True, slots=True)
class Part:
    """Batches that follow each other, and hold a range of sequences.

    Attributes:
        number: of the part.
        batches: the first batch, and the one behind the last.
        rows: the first sequence, and the one behind the last.
    """

    number: int
    batches: tuple[int, int]
    rows: tuple[int, int]

    def of(self, recording: Recording) -> tuple[Batch, ...]:
        """Its batches, numbered as in the whole."""
        return recording.batches[slice(*self.batches)]


def cut(recording: Recording, network: Network, dtype: str, at_least: int = 1) -> tuple[Part, ...]:
    """The parts of a run, each as large as `BYTES` and `PRODUCTS` allow.

    Args:
        recording: the whole.
        network: what runs.
        dtype: of the values stored.
        at_least: about so many parts, where there are as many windows.
    """
    windows = list(_windows(recording.batches))
    costs = _costs(recording, network, dtype)
    limit = min(1.0, sum(costs) / at_least)
    groups: list[list[Part]] = []
    held = 0.0
    for window in windows:
        cost = sum(costs[slice(*window.batches)])
        if not groups or held + cost > limit:
            groups.append([])
            held = 0.0
        groups[-1].append(window)
        held += cost
    return tuple(
        Part(number, (group[0].batches[0], group[-1].batches[1]), (group[0].rows[0], group[-1].rows[1]))
        for number, group in enumerate(groups)
    )


def _windows(batches: Sequence[Batch]) -> Iterator[Part]:
    """The smallest parts: wherever all sequences up to some number are in the batches up to there."""
    number = begin = start = seen = stop = 0
    for index, batch in enumerate(batches):
        seen, stop = seen + len(batch.rows), max(stop, int(batch.rows[-1]) + 1)
        if seen == stop:
            yield Part(number, (begin, index + 1), (start, stop))
            number, begin, start = number + 1, index + 1, stop


def _costs(recording: Recording, network: Network, dtype: str) -> list[float]:
    """What each batch takes of a part, 1 being all of it."""
    timed = [
        one for group in fields.groups(recording, dtype) for one in group.fields if one.lengths is not None and one.row
    ]
    each = products(network.layers)
    costs = []
    for batch in recording.batches:
        size = sum(int(one.lengths[batch.rows].sum()) * one.row for one in timed if one.lengths is not None)
        costs.append(max(size / BYTES, batch.steps * len(batch.rows) * each / PRODUCTS))
    return costs


def recording_of(whole: Recording, part: Part) -> Recording:
    """What a part is going to hold: its sequences alone, numbered from 0."""
    first, stop = part.rows
    return replace(
        whole,
        batches=tuple(_moved(batch, first) for batch in part.of(whole)),
        lengths={name: lengths[first:stop] for name, lengths in whole.lengths.items()},
        outcomes=tuple(
            one if one.lengths is None else replace(one, lengths=one.lengths[first:stop]) for one in whole.outcomes
        ),
    )


def _moved(batch: Batch, first: int) -> Batch:
    beside = {name: _moved(one, first) for name, one in batch.beside.items()}
    return replace(batch, rows=batch.rows - first, beside=beside)


def trace(ready: Ready, part: Part, path: Path, advance: Callable[[int], None] = lambda done: None) -> Verified:
    """Runs a part, and writes it as a trace of its own.

    Args:
        ready: the whole.
        part: what runs.
        path: of the trace, which is replaced where it is there.
        advance: takes what is done of `Recording.work`.

    Returns:
        What was compared with the original.

    Raises:
        whatever `rnnprobe.outputs.open` and `Ready.record` raise.
    """
    recording, job = recording_of(ready.recording, part), ready.job
    with outputs.open(path, recording, dtype=job.dtype, compress=job.compress, force=True) as sink:
        return ready.record(_Moved(sink, recording, part.rows[0]), advance, part.of(ready.recording))


class _Moved:
    """A sink whose sequences are numbered from those of a part on.

    Args:
        sink: takes the blocks.
        recording: of the part.
        first: its first sequence.
    """

    def __init__(self, sink: Sink, recording: Recording, first: int) -> None:
        self._sink = sink
        self._first = first
        self._batches = {batch.first: batch for batch in recording.batches}

    def write(self, block: Block) -> None:
        self._sink.write(replace(block, batch=self._batches[block.batch.first - self._first]))

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        self._sink.verified(verification)


def refuse(ready: Ready, flag: str) -> None:
    """Holds a run against what can be cut into parts.

    Args:
        ready: the run.
        flag: that asks for parts.

    Raises:
        BadInput: what it holds that can't.
    """
    path = ready.job.model
    if ready.job.carry:
        raise BadInput(
            f"{flag} does not go with --carry: each sequence waits for the one before it",
            path=path,
            hint="leave one of them out",
        )
    if ready.run.probe is not None or ready.run.witness is not None:
        raise BadInput(
            f"{flag} goes with the rebuilt layers on sequences of their own, and the original graph runs here",
            path=path,
            hint="leave --engine original, --tensor and --feed out",
        )
    kept = ready.recording.kept
    if kept.reduced and kept.over == "sequences":
        raise BadInput(
            f"{flag} does not go with --over sequences: each figure is made of all sequences, a part has a few",
            path=path,
            hint=f"--over time has figures for each sequence; or leave {flag} out",
        )
