"""All that a trace asks for, and what is ready to run, made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnprobe import formats, recover
from rnnprobe.analysis.keeping import Less
from rnnprobe.analysis.select import recorded
from rnnprobe.analysis.verification import Verified
from rnnprobe.cells.layers import wide
from rnnprobe.inputs import AT_LEAST, AT_LEAST_WIDE, states
from rnnprobe.inputs.file import path_of
from rnnprobe.outputs import Sink
from rnnprobe.recover import Overrides
from rnnprobe.runs.proof import Compared
from rnnprobe.runs.reading import Say, Source
from rnnprobe.runs.run import Ask, Run, prepare, provable
from rnnprobe.types import Array, Batch, Entry, Network, Recording

if TYPE_CHECKING:
    from rnnprobe.engine import Engine


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trace asks for, as data: it can be pickled where its source can.

    Attributes:
        model: the checkpoint.
        source: the sequences.
        overrides: what the user says of the model, over what its file says.
        layers: names or patterns; none: the only stack there is.
        record: signals by name, or words; `output` for the model's own outputs.
        initial_state: what `rnnprobe.inputs.states.read` takes, or None.
        carry: each sequence starts from the states in which the one before it ended.
        own_input: the input is that of the layers chosen.
        engine: `rebuilt` or `original`; None: the original where tensors of it are named.
        tensors: patterns of the original graph's tensors.
        feeds: placeholder of the original graph → value.
        verify: whether the original runs beside it; None: where a stored graph is there and cheap to run.
        dtype, compress: of the values in the file (`rnnprobe.outputs.settings`).
        less: what is kept of what is recorded.
    """

    model: Path
    source: Source
    overrides: Overrides = field(default_factory=Overrides)
    layers: Sequence[str] = ()
    record: str | Sequence[str] = ("states", "gates")
    initial_state: Any = None
    carry: bool = False
    own_input: bool = False
    engine: str | None = None
    tensors: Sequence[str] = ()
    feeds: Mapping[str, Any] = field(default_factory=dict)
    verify: bool | None = None
    dtype: str = "float32"
    compress: str | None = None
    less: Less = field(default_factory=Less)

    def check(self, *, stored: bool = True) -> None:
        """Refuses, before anything is read, what can't be kept (`Less.check`).

        Args:
            stored: whether there is something to store it in.
        """
        self.less.check(stored=stored, outputs=recorded(self.record)[1])

    @property
    def ask(self) -> Ask:
        """What runs and is recorded."""
        return Ask(
            self.engine,
            self.layers,
            self.own_input,
            recorded(self.record)[1],
            self.tensors,
            self.feeds,
            self.source.given,
            self.carry or self.initial_state is not None,
        )

    @property
    def of_graph(self) -> bool:
        """Whether the original graph is recorded, and not the rebuilt layers."""
        return self.engine == "original" or (self.engine is None and bool(self.tensors))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read beside the checkpoint's own."""
        states = (self.initial_state,) if self.initial_state is not None else ()
        config = (self.overrides.config,) if self.overrides.config is not None else ()
        paths = map(path_of, (*self.source.read_from, *states, *config))
        return tuple(path for path in paths if path is not None)

    def reader(self, whole: Network, say: Say) -> Callable[[Mapping[str, Entry]], tuple[Batch, ...]]:
        """What reads the input as entries want it; sequences that hand their states on run one by one."""
        size, at_least = 1 if self.carry else None, AT_LEAST_WIDE if wide(whole.layers) else AT_LEAST
        return lambda entries: self.source.read(entries, say=say, batch_size=size, at_least=at_least)


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

    def record(
        self,
        sink: Sink,
        advance: Callable[[int], None] = lambda steps: None,
        batches: Sequence[Batch] | None = None,
    ) -> Verified:
        """Runs, and hands every block to `sink`, and what was found when it was compared with the original.

        Args:
            sink: takes the blocks.
            advance: takes the number of steps done, those of each layer counted.
            batches: those that run; None: all.

        Returns:
            What was compared (`Recording.verification`).

        Raises:
            BadInput, Refused: comparing was asked for, and can't be done; or what the engine and the sink raise.
        """
        signals = self.recording.signals
        with ExitStack() as held:  # an exception leaves when nothing runs any more
            held.callback(self.run.close)
            compared = Compared(self.run, self.job.verify, signals, batches)
            held.callback(compared.close)
            blocks = self.run.blocks(
                signals,
                initial=self.initial,
                carry=self.job.carry,
                batches=batches,
                ordered=compared.running,
                engine=self.engine,
            )
            held.enter_context(closing(blocks))
            for block in held.enter_context(closing(compared.over(blocks))):
                sink.write(block)
                advance(sum(len(next(iter(of.values()), ())) for of in block.signals.values()))
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
        BadInput, Refused: as `rnnprobe.runs.run.prepare`; a word of `record` that names nothing; states that don't fit.
    """
    with ExitStack() as held:
        run = prepare(whole, job.ask, job.reader(whole, say), say if job.initial_state is None else _silent)
        held.callback(run.close)
        found = _ready(job, run, say, attributes)
        held.pop_all()
    return found


def _ready(job: Job, run: Run, say: Say, attributes: Mapping[str, str] | None) -> Ready:
    """A job whose run is prepared."""
    signals = run.signals(recorded(job.record)[0])
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
    return provable(whole, replace(job.ask, outputs=outputs), job.reader(whole, say))


def _silent(lines: Sequence[str]) -> None:
    """Says nothing."""
