"""`rnnprobe trace --dry-run`: what would be recorded, how long that would take, and whether there is room for it."""

from __future__ import annotations

from importlib.util import find_spec

from rnnprobe.analysis.forecast import forecast
from rnnprobe.errors import CannotWrite
from rnnprobe.outputs import Destination, Settings, disk
from rnnprobe.runs import Ready


def show(ready: Ready, how: Settings, place: Destination | None, stored: int | None, *, as_json: bool = False) -> None:
    """Prints the forecast of a run, which is ended.

    Args:
        ready: ready to run.
        how: the values would be stored.
        place: where they would be written, or None.
        stored: the bytes that would be written there, or None where that is not known.
        as_json: print JSON.

    Raises:
        CannotWrite: the place has not the room, which is said when the forecast is printed.
    """
    from rnnprobe.views import terminal

    ready.run.close()
    seconds, steps = _timed(ready)
    lacking: CannotWrite | None = None
    writing: float | None = None
    if place is not None and stored is not None:
        try:
            disk.require_room(place.path, place.target, stored)
            writing = disk.writing_time(place.path, place.target, stored)
        except CannotWrite as exc:  # said below the forecast
            lacking = exc
    reports = forecast(ready.recording, how.dtype, seconds=seconds, measured=steps, stored=stored, writing=writing)
    terminal.show(reports, command="trace", as_json=as_json)
    if lacking is not None:
        raise lacking


def _timed(ready: Ready) -> tuple[float | None, int]:
    """The seconds that the run would take, as its beginning tells, and the steps that were run for it."""
    run = ready.run
    if run.probe is not None or find_spec("tensorflow") is None:
        return None, 0
    from rnnprobe.engine.pace import beginning, pace

    batches = beginning(run.network, run.batches)
    if batches is None:
        return None, 0
    found = pace(ready.blocks(batches, ordered=False), ready.recording)
    return found.seconds, found.steps
