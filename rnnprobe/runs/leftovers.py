"""Parts beside an output that a trace without parts is going to write: of a trace that was cut, or of the one that it
replaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rnnprobe.outputs import Destination, shards, virtual_reader
from rnnprobe.runs import ledger
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
    found, lines = ledger.found(place.target, job())
    presented = virtual_reader.folders(place.target) if found else set()
    for one in found:
        count, where = f"{one.done} of {one.total} parts of", f"are done, in {one.folder}"
        if one.done and one.own:
            then = "without it all is done anew, and they are removed when it is there"
            lines.append(f"{count} this very trace {where}: --resume goes on with them; {then}")
        elif one.done and one.folder not in presented:
            lines.append(f"{count} another trace {where}, and stay there{': ' if one.unlike else ''}{one.unlike}")
    say(lines)
    yield
    needless = {one.folder for one in found if one.own or one.folder in presented}
    if needless:
        say(ledger.remove(sorted(needless - virtual_reader.folders(place.target))))
