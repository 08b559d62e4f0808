"""Parts of other traces beside an output: of one that was cut, or of the one that it replaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rnnprobe.errors import BadInput, CannotWrite
from rnnprobe.outputs import Destination, shards, virtual_reader
from rnnprobe.runs import ledger
from rnnprobe.runs.ledger import Ledger
from rnnprobe.runs.reading import Say


@contextmanager
def outlived(place: Destination, job: Callable[[], Mapping[str, str] | None], say: Say) -> Iterator[None]:
    """Says which parts are there; and removes, once the body has written the output, those that it makes needless: the
    parts that the file in its place presented, and those of the very same trace. Others stay.

    Args:
        place: of the output.
        job: tells what decides what comes out (`rnnprobe.runs.provenance.identity`); None where no parts can be of it.
        say: takes what the user should know.
    """
    if not shards.folder(place.target).is_dir():
        yield
        return
    listed, lines = _found(place.target, job())
    presented = virtual_reader.folders(place.target) if listed else set()
    for one in listed:
        count, where = f"{one.done} of {one.total} parts of", f"are done, in {one.folder}"
        if one.done and one.own:
            then = "without it all is done anew, and they are removed when it is there"
            lines.append(f"{count} this very trace {where}: --resume goes on with them; {then}")
        elif one.done and one.folder not in presented:
            lines.append(f"{count} another trace {where}, and stay there{': ' if one.unlike else ''}{one.unlike}")
    say(lines)
    yield
    needless = {one.folder for one in listed if one.own or one.folder in presented}
    if needless:
        say(_remove(sorted(needless - virtual_reader.folders(place.target))))


def remove_others(own: Ledger) -> list[str]:
    """Removes the parts of other jobs for the same output, which has been replaced; not those that a process works on.

    Returns:
        What can't be removed, and why.
    """
    return _remove(folder for folder in ledger.jobs(own.folder.parent) if folder != own.folder)


@dataclass(frozen=True, slots=True)
class _Found:
    """The parts of a job beside an output.

    Attributes:
        folder: of the job.
        done: how many are finished.
        total: how many there are.
        own: whether the job is the one that was asked for.
        unlike: where it is another one, what differs.
    """

    folder: Path
    done: int
    total: int
    own: bool
    unlike: str


def _found(target: Path, job: Mapping[str, str] | None) -> tuple[list[_Found], list[str]]:
    """The parts beside an output, where they are this release's; and what can't be read."""
    base, listed, lines = shards.folder(target), [], []
    for folder in ledger.jobs(base):
        try:
            text = ledger.noted(folder) or {}
            parts, done = ledger.parts_of(folder, text)
        except BadInput as exc:
            lines.append(str(exc))
            continue
        own = job is not None and folder == ledger.folder_of(base, job)
        unlike = "" if own or job is None else ledger.unlike(text.get("job", {}), job)
        listed.append(_Found(folder, len(done), len(parts), own, unlike))
    return listed, lines


def _remove(folders: Iterable[Path]) -> list[str]:
    """Removes the parts of jobs, not those that a process works on; what can't be removed, and why."""
    lines: list[str] = []
    for folder in folders:
        try:
            with ledger.locked(folder, folder):
                lines += ledger.clear(folder)
        except (BadInput, CannotWrite) as exc:
            lines.append(f"the parts in {folder} are kept: {exc.message}")
    return lines
