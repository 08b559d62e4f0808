"""A trace in parts: each is kept when it is done, and what was cut goes on with those that are not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TypeAlias

from rnnprobe import outputs
from rnnprobe.analysis.verification import Verified
from rnnprobe.outputs import Destination, Settings, atomic, disk, hdf5, join, virtual
from rnnprobe.runs import ledger as ledgers
from rnnprobe.runs import leftovers, parts
from rnnprobe.runs.ledger import Done, Ledger
from rnnprobe.runs.parts import Part
from rnnprobe.runs.prepared import Ready
from rnnprobe.runs.proof import combined
from rnnprobe.runs.reading import Say
from rnnprobe.types import Recording

Work: TypeAlias = Callable[[Ready, Ledger, Callable[[int], None]], Generator[tuple[Part, Done]]]
"""Traces the parts of a ledger that are not done, and yields each with what is to be known of it."""


def in_turn(ready: Ready, ledger: Ledger, advance: Callable[[int], None]) -> Generator[tuple[Part, Done]]:
    """Traces part after part, in this process."""
    for part in ledger.todo:
        path = ledger.path(part)
        verified = parts.trace(ready, part, path, advance)
        yield part, Done.of(path, verified)


def trace(
    ready: Ready,
    place: Destination,
    job: Mapping[str, str],
    *,
    work: Work = in_turn,
    at_least: int = 1,
    merge: bool = True,
    advance: Callable[[int], None] = lambda done: None,
    say: Say = lambda lines: None,
) -> Verified:
    """Writes a trace by way of its parts.

    Args:
        ready: the whole, which `parts.refuse` has let pass.
        place: of the output.
        job: what decides what comes out (`rnnprobe.runs.provenance.identity`).
        work: traces the parts.
        at_least: parts to cut it into, where that was not done before and there is enough of it.
        merge: whether the parts are copied into one file and removed; else they stay, and the output presents them.
        advance: takes what is done of `Recording.work`.
        say: takes what the user should know.

    Returns:
        What was compared with the original.

    Raises:
        BadInput: there are parts of another job; or whatever `rnnprobe.runs.ledger.opened` raises.
        CannotWrite: no room, or a device that fails; what was there before is as it was, and so are the parts done.
    """
    recording, settings = ready.recording, outputs.settings(ready.job.dtype, ready.job.compress, place)
    with ledgers.opened(place.target, job, _cutting(ready, at_least), force=place.force) as ledger:
        done = [part for part in ledger.parts if part.number in ledger.done]
        if done:
            say([f"{len(done)} of {len(ledger.parts)} parts were done before, in {ledger.folder.parent}"])
            advance(sum(recording.work(part.of(recording)) for part in done))
        disk.require_room(place.path, place.target, _size(ready, ledger, merge) or 0)
        with _kept(ledger, say):
            _worked(work, ready, ledger, advance)
            verified = combined([ledger.done[part.number].verification for part in ledger.parts])
            _finish(place, replace(recording, verification=verified), settings, ledger, merge)
        say([*(ledger.remove() if merge else ()), *leftovers.remove_others(ledger)])
    return verified


def _worked(work: Work, ready: Ready, ledger: Ledger, advance: Callable[[int], None]) -> None:
    """Traces what is not done, and notes it."""
    with closing(work(ready, ledger, advance)) as found:
        for part, known in found:
            ledger.finish(part, known)


@contextmanager
def _kept(ledger: Ledger, say: Say) -> Iterator[None]:
    """Where the body is cut, by whatever: says what is there, and how to go on."""
    try:
        yield
    except BaseException:
        where = f"kept in {ledger.folder.parent}: the same command"
        if not ledger.todo:
            say([f"all {len(ledger.parts)} parts are done, and are {where} makes the output of them"])
        elif ledger.done:
            say([f"{len(ledger.done)} of {len(ledger.parts)} parts are done, and are {where} goes on"])
        raise


def size_of(
    ready: Ready, place: Destination, job: Mapping[str, str], *, at_least: int = 1, merge: bool = True
) -> int | None:
    """The bytes that `trace` is going to write; what compression leaves of them is not known. Nothing is written.

    Args:
        ready, place, job, at_least, merge: as `trace` takes them.

    Raises:
        BadInput: as `rnnprobe.runs.ledger.planned` does.
    """
    return _size(ready, ledgers.planned(place.target, job, _cutting(ready, at_least), force=place.force), merge)


def _cutting(ready: Ready, at_least: int) -> Callable[[], Sequence[Part]]:
    """What cuts a run into parts."""
    return lambda: parts.cut(ready.recording, ready.run.network, ready.job.dtype, at_least)


def _size(ready: Ready, ledger: Ledger, merge: bool) -> int | None:
    """The bytes of the parts to come, and of all of them again where they are copied; None where compressed."""
    recording, dtype = ready.recording, ready.job.dtype
    if ready.job.compress is not None:
        return None
    coming = sum(hdf5.size(parts.recording_of(recording, part), dtype) for part in ledger.todo)
    return coming + (hdf5.size(recording, dtype) if merge and len(ledger.parts) > 1 else 0)


def _finish(place: Destination, recording: Recording, settings: Settings, ledger: Ledger, merge: bool) -> None:
    """Makes the output of the parts."""
    shards = ledger.shards(recording)
    if not merge:
        virtual.write(place, recording, settings, shards)
    elif len(shards) == 1:  # the trace of the only part is that of the whole
        atomic.publish(shards[0].path, place.path, place.target, force=place.force)
    else:
        join.join(place, recording, settings, shards)
