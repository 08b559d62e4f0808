"""A run made up of a recording and the blocks that an engine would yield for it; and a process that traces it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnprobe import outputs
from rnnprobe.analysis.verification import Verified
from rnnprobe.outputs import Sink
from rnnprobe.runs import Given, Job, Ready, Run
from rnnprobe.types import Batch, Checkpoint, Network, Recording

from ..outputs.parted import scattered
from ..outputs.recordings import blocks, layer, recording, whole

ROOT = Path(__file__).parents[2]
VERIFIED: Verified = {"status": "not verified", "reason": "made up"}


class Made(Ready):
    """A run that computes nothing.

    Args:
        what: the recording.
        pause: called before each block.
        job: what is asked for.
    """

    def __new__(cls, *args: Any, **options: Any) -> Made:
        return object.__new__(cls)

    def __init__(self, what: Recording, pause: Callable[[], None] = lambda: None, **job: Any) -> None:
        network = Network(Checkpoint(Path("m"), "made up", {}), what.layers)
        super().__init__(Job(Path("m"), Given(None), **job), Run(network, what.layers, what.batches), what)
        object.__setattr__(self, "made", (whole(what), pause))

    def record(
        self, sink: Sink, advance: Callable[[int], None] = lambda done: None, batches: Sequence[Batch] | None = None
    ) -> Verified:
        arrays, pause = self.made
        own = {batch.first for batch in (batches if batches is not None else self.recording.batches)}
        for block in blocks(self.recording, arrays, 30):
            if block.batch.first in own:
                pause()
                sink.write(block)
                advance(block.work)
        sink.verified(VERIFIED)
        return VERIFIED


def sequences(*, units: int = 20) -> Recording:
    """Some of them, in batches out of order."""
    layers = [layer("a", units=units), layer("b", "gru", 5, "backward")]
    return scattered(recording(layers, [[60, 11], [90, 33], [5, 70], [64, 1], [0, 80], [77]]))


def plain(path: Path, what: Recording, **how: Any) -> Path:
    """The trace of a run that was never cut."""
    with outputs.open(path, replace(what, verification=VERIFIED), **how) as sink:
        Made(what).record(sink)
    return path


_PROCESS = """
import signal, sys, time
from pathlib import Path
from rnnprobe import outputs
from rnnprobe.errors import RnnprobeError
from rnnprobe.outputs import disk
from rnnprobe.runs import parts, resume
from tests.runs.made import Made, sequences

def terminate(number, frame):
    raise SystemExit(128 + number)

path, pause, limit = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
parts.BYTES = 40_000
if limit:
    import resource
    disk.require_room = lambda *ignored: None  # the disk fills up while it is written
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
signal.signal(signal.SIGTERM, terminate)
print("ready", flush=True)
try:
    made = Made(sequences(), lambda: time.sleep(pause))
    said = lambda lines: print(*lines, sep="\\n", flush=True)
    resume.trace(made, outputs.check(path, force=True), {"job": "made up"}, say=said)
except RnnprobeError as error:
    print(error)
    sys.exit(error.status)
"""


def process(path: Path, pause: float = 0.0, limit: int = 0) -> subprocess.Popen[str]:
    """A process that writes the trace of `sequences` by way of its parts; it says `ready` first."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(path), str(pause), str(limit)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
