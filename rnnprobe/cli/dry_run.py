"""`rnnprobe trace --dry-run`: what would be recorded, how long that would take, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from rnnprobe import outputs
from rnnprobe.analysis.forecast import forecast
from rnnprobe.outputs import Destination, Settings
from rnnprobe.run import Run
from rnnprobe.types import Recording


def show(
    run: Run,
    recording: Recording,
    how: Settings,
    place: Destination | None,
    *,
    initial: Mapping[str, Any] | None = None,
    carry: bool = False,
    as_json: bool = False,
) -> None:
    """Prints the forecast of a run, which is ended.

    Args:
        run: ready to run.
        recording: what it would record.
        how: the values would be stored.
        place: where they would be written, or None.
        initial, carry: as `Run.blocks` takes them.
        as_json: print JSON.

    Raises:
        CannotWrite: the place has not the room, which is said when the forecast is printed.
    """
    from rnnprobe.views import terminal

    seconds, steps = _timed(run, recording, initial, carry)
    terminal.show(forecast(recording, how.dtype, seconds, steps), command="trace", as_json=as_json)
    if place is not None:
        outputs.room(place, recording, how)


def _timed(run: Run, recording: Recording, initial: Mapping[str, Any] | None, carry: bool) -> tuple[float | None, int]:
    """The seconds that the run would take, as its beginning tells, and the steps that were run for it."""
    run.close()
    if run.probe is not None or find_spec("tensorflow") is None:
        return None, 0
    from rnnprobe.engine.pace import beginning, pace

    batches = beginning(run.network, run.batches)
    if batches is None:
        return None, 0
    found = pace(replace(run, batches=batches).blocks(recording.signals, initial=initial, carry=carry), recording)
    return found.seconds, found.steps
