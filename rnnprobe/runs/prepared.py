"""What is ready to run, made of what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from rnnprobe import formats, recover
from rnnprobe.analysis.verification import Verified
from rnnprobe.inputs import states
from rnnprobe.outputs import Sink
from rnnprobe.runs.job import Job
from rnnprobe.runs.proof import Compared
from rnnprobe.runs.reading import Say
from rnnprobe.runs.run import Run, original, provable, rebuilt
from rnnprobe.types import Array, Batch, Block, Network, Recording

if TYPE_CHECKING:
    from rnnprobe.engine import Engine


@dataclass(frozen=True)
class Ready:
    """A job that is ready to run.

    Attributes:
        job: what was asked for.
        run: what runs.
        recording: what is going to be recorded.
        initial: layer → state → `[sequences, *shape]`: the states given.

    What was compiled for it stays with it, for the parts to come.
    """

    job: Job
    run: Run
    recording: Recording
    initial: Mapping[str, Mapping[str, Array]] | None = None

    @cached_property
    def engine(self) -> Engine | None:
        """What runs the rebuilt layers; None where the original graph is recorded."""
        return self.run.engine(self.recording.signals) if self.run.probe is None else None

    def blocks(self, batches: Sequence[Batch] | None = None, *, ordered: bool = True) -> Generator[Block]:
        """Runs, and yields what is recorded (`Run.blocks`).

        Args:
            batches: those that run; None: all.
            ordered: one batch is through before the next begins.
        """
        return self.run.blocks(
            self.recording.signals,
            initial=self.initial,
            carry=self.job.carry,
            batches=batches,
            ordered=ordered,
            engine=self.engine,
        )

    def record(
        self,
        sink: Sink,
        advance: Callable[[int], None] = lambda done: None,
        batches: Sequence[Batch] | None = None,
    ) -> Verified:
        """Runs, and hands every block to `sink`, and what was found when it was compared with the original.

        Args:
            sink: takes the blocks.
            advance: takes what is done of `Recording.work`.
            batches: those that run; None: all.

        Returns:
            What was compared (`Recording.verification`).

        Raises:
            BadInput, Refused: comparing was asked for, and can't be done; or what the engine and the sink raise.
        """
        with ExitStack() as held:  # an exception leaves when nothing runs any more
            held.callback(self.run.close)
            compared = Compared(self.run, self.job.verify, self.recording.signals, batches)
            held.callback(compared.close)
            blocks = held.enter_context(closing(self.blocks(batches, ordered=compared.running)))
            for block in held.enter_context(closing(compared.over(blocks))):
                sink.write(block)
                advance(block.work)
        sink.verified(compared.verification)
        return compared.verification


def opened(job: Job) -> Network:
    """The network of a job's model.

    Raises:
        BadInput, Refused: as `rnnprobe.formats.read` and `rnnprobe.recover.network`.
    """
    return recover.network(formats.read(job.model), job.overrides)


def ready(job: Job, whole: Network, say: Say, attributes: Mapping[str, str] | None = None) -> Ready:
    """A job, ready to run.

    Args:
        job: what is asked for.
        whole: the network of its model (`opened`).
        say: takes what the user should know before anything runs.
        attributes: where the trace comes from (`Recording.attributes`).

    Raises:
        BadInput, Refused: as `rnnprobe.runs.run.rebuilt` or `original`; a word of `record` that names nothing; states
            that don't fit.
    """
    with ExitStack() as held:
        run = (original if job.of_graph else rebuilt)(whole, job, say)
        held.callback(run.close)
        found = _ready(job, run, say, attributes)
        held.pop_all()
    return found


def _ready(job: Job, run: Run, say: Say, attributes: Mapping[str, str] | None) -> Ready:
    """A job whose run is prepared."""
    signals = run.signals(job.words)
    origin = dict(attributes or {}) | ({} if run.probe is None else {"engine": "original"})
    kept, lines = job.less.of(run.layers, signals)
    say(lines)
    recording = Recording(run.layers, signals, run.batches, origin, {}, run.lengths, run.outcomes, kept)
    initial = None
    if job.initial_state is not None:
        sequences = recording.sequences
        initial = states.read(job.initial_state, run.network.layers, sequences, say=lambda line: say([line]))
    return Ready(job, run, recording, initial)


def comparable(job: Job, whole: Network, say: Say) -> Run:
    """The rebuilt layers of a job, ready to be held against the original (`rnnprobe.runs.proof.prove`), with the
    model's outputs where all of it runs.

    Args:
        job: what is asked for.
        whole: the network of its model.
        say: takes what the user should know of the input.

    Raises:
        BadInput, Refused: as `rnnprobe.runs.run.provable`.
    """
    outputs = bool(whole.outputs) and not job.layers and not job.own_input
    return provable(whole, replace(job, record=("output",) if outputs else ()), say)
