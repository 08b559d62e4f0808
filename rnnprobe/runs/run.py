"""From a network and an input to blocks: what `trace` and `verify` share, in the terminal and in Python.

Either the rebuilt layers run, on the input or on what the original graph makes of what it is fed; or the original graph
itself is recorded.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rnnprobe.analysis.select import named, select
from rnnprobe.cells.layers import chosen
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.runs.job import Job
from rnnprobe.runs.reading import Say
from rnnprobe.types import Array, Batch, Block, Layer, Network, Outcome

if TYPE_CHECKING:
    from rnnprobe.engine import Engine
    from rnnprobe.engine.original import Probe
    from rnnprobe.engine.witness import Witness


@dataclass(frozen=True, slots=True)
class Run:
    """Layers over an input, ready to be recorded.

    Attributes:
        network: what runs.
        layers: what is recorded, all sizes known.
        batches: the input.
        lengths: layer → `[sequences]`, for layers whose steps are not those of the input.
        outcomes: the outputs that are recorded.
        initial: layer → state → `[sequences, *shape]`: what the original starts from, where that was found out.
        states: the states to start from are given, or carried on.
        witness: what the original did, where it had to run first.
        probe: the original graph, where that is recorded in place of rebuilt layers.
    """

    network: Network
    layers: tuple[Layer, ...]
    batches: tuple[Batch, ...]
    lengths: Mapping[str, Any] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    initial: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    states: bool = False
    witness: Witness | None = None
    probe: Probe | None = None

    def signals(self, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Layer → the signals that `--record` names; tensors that were asked for by name are among them.

        Raises:
            BadInput: a word that names nothing.
        """
        if not words:
            return {layer.name: () for layer in self.layers}
        found = chosen(self.layers, words)
        for layer in self.layers:
            if layer.cell.framework == "graph":
                kept = {s.name for s in layer.cell.signals if s.kind == "inner"} | set(found[layer.name])
                found[layer.name] = tuple(s.name for s in layer.cell.signals if s.name in kept)
        return found

    def engine(self, record: Mapping[str, Sequence[str]]) -> Engine:
        """What runs the rebuilt layers, cut and compiled as suits all batches."""
        from rnnprobe import engine

        compilation = engine.Compilation.of(self.network, self.batches)
        return engine.Engine(self.network, record, outcomes=self.outcomes, compilation=compilation)

    def blocks(
        self,
        record: Mapping[str, Sequence[str]],
        *,
        initial: Mapping[str, Any] | None = None,
        carry: bool = False,
        batches: Sequence[Batch] | None = None,
        ordered: bool = True,
        engine: Engine | None = None,
    ) -> Generator[Block]:
        """Runs, and yields what `record` names (`rnnprobe.engine.Engine.over`).

        Args:
            record: layer → signals.
            initial: layer → state → `[sequences, *shape]`, to start from.
            carry: each sequence starts from the states in which the one before it ended.
            batches: those of the rebuilt layers' that run, computed as all of them would be; None: all.
            ordered: one batch is through before the next begins.
            engine: of this record, where one was made before.
        """
        if self.probe is not None:
            return _picked(self.probe, record)
        states = {**self.initial, **(initial or {})}
        some = self.batches if batches is None else batches
        engine = engine if engine is not None else self.engine(record)
        return engine.over(some, initial=states, carry=carry, ordered=ordered)

    def close(self) -> None:
        """Ends the sessions of an original graph that are open; the end of their blocks does so too."""
        for one in (self.probe, self.witness):
            if one is not None:
                one.close()

    @property
    def foreign(self) -> bool:
        """Whether a stored graph is the original, and not Keras."""
        return self.network.foreign


def _picked(probe: Probe, record: Mapping[str, Sequence[str]]) -> Generator[Block]:
    """Blocks with nothing but the signals that are recorded."""
    try:
        for block in probe.blocks():
            signals = {name: {s: block.signals[name][s] for s in kept} for name, kept in record.items()}
            yield replace(block, signals=signals)
    finally:
        probe.close()


def rebuilt(whole: Network, job: Job, say: Say) -> Run:
    """The rebuilt layers over an input.

    Args:
        whole: the network.
        job: what the user asks for.
        say: takes what the user should know before anything runs.

    Raises:
        BadInput, Refused: as `rnnprobe.recover.stacks.select`, `Job.read` and `rnnprobe.engine.extents`.
    """
    network, layers = _selected(whole, job)
    if job.initial_state is None:
        say(stacks.unwired(whole, network))
    if job.feeds:
        return _entered(whole, network, layers, job, say)
    batches = job.read(whole, stacks.entries(network), say)
    say(_unmasked(network, batches))
    return _extended(Run(network, layers, batches, states=job.states))


def provable(whole: Network, job: Job, say: Say) -> Run:
    """As `rebuilt`; layers whose input the original graph makes in its own loops run on what it makes there.

    Raises:
        BadInput, Refused: as `rebuilt`.
    """
    try:
        return rebuilt(whole, job, say)
    except BadInput as exc:
        network, layers = _selected(whole, job)
        if whole.checkpoint.graph is None or job.own_input or job.feeds or not network.places:
            raise
        try:
            return _entered(whole, network, layers, job, say)
        except BadInput:
            raise exc from None


def _selected(whole: Network, job: Job) -> tuple[Network, tuple[Layer, ...]]:
    picked = select(whole, job.layers) if job.layers else ()
    return stacks.select(whole, picked, own_input=job.own_input, outputs=job.outputs)


def _entered(whole: Network, network: Network, layers: Sequence[Layer], job: Job, say: Say) -> Run:
    """The rebuilt layers on what the original graph computes from what it is fed."""
    from rnnprobe.engine.witness import entered
    from rnnprobe.recover.graph.entries import entries

    names = [layer.name for layer in layers]
    batches: tuple[Batch, ...] = ()
    if job.source.given:
        batches = job.read(whole, entries(network, layers=names, feeds=tuple(job.feeds)), say)
    return taken(Run(network, tuple(layers), batches, states=job.states), entered(network, batches, job.feeds))


def taken(run: Run, witness: Witness) -> Run:
    """A run on what the original made of its input, where it did."""
    if witness.entered is None:
        return replace(run, witness=witness)
    made = witness.entered
    return _extended(replace(run, network=made.network, batches=made.batches, initial=made.initial, witness=witness))


def _extended(run: Run) -> Run:
    """With all that the input decides: extents in space, lengths, outputs."""
    if stacks.plain(run.network):
        return replace(run, layers=tuple(run.network[layer.name] for layer in run.layers))
    from rnnprobe import engine

    found = engine.extents(run.network, run.batches)
    return replace(
        run,
        network=found.network,
        layers=tuple(found.network[layer.name] for layer in run.layers),
        lengths=found.lengths,
        outcomes=found.outcomes,
    )


def original(whole: Network, job: Job, say: Say) -> Run:
    """The original graph over an input: recovered layers, other recurrences, and tensors by name.

    Raises:
        BadInput: there is no graph, nothing in it that could be recorded, or it can't be run on the input.
        Refused: it would have to run an operation that is not on the list.
    """
    if whole.checkpoint.graph is None:
        raise BadInput(
            "came without a graph, so there is no original to record",
            path=whole.checkpoint.path,
            hint="leave --engine original and --tensor out: the rebuilt layers are traced then",
        )
    _refuse(whole, job)
    from rnnprobe.recover.graph.entries import entries

    layers, recurrences = _recorded(whole, job.layers)
    batches: tuple[Batch, ...] = ()
    if job.source.given:
        asked = entries(whole, layers=layers, recurrences=recurrences, tensors=job.tensors, feeds=tuple(job.feeds))
        batches = job.read(whole, asked, say)
    from rnnprobe.engine.original import Probe

    probe = Probe(whole, layers=layers, recurrences=recurrences, tensors=job.tensors, batches=batches, feeds=job.feeds)
    return Run(whole, probe.layers, probe.batches, probe.lengths, probe.outcomes, probe=probe)


def _refuse(whole: Network, job: Job) -> None:
    """Holds what is asked for against what the original graph can be asked.

    Raises:
        BadInput: naming it.
    """
    flags = {
        "--own-input": (job.own_input, "the graph computes what enters its layers: --feed gives any placeholder"),
        "--initial-state or --carry": (job.states, "--feed gives the placeholders that its states start from"),
        "output in --record": (job.outputs, "--tensor records any tensor of it by its name"),
    }
    for flag, (given, way) in flags.items():
        if given:
            raise BadInput(
                f"{flag} goes with the rebuilt layers, and the original graph is recorded here",
                path=whole.checkpoint.path,
                hint=way,
            )


def _recorded(whole: Network, patterns: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The recovered layers and the recurrences of a graph that patterns name.

    Without a pattern, all layers that the graph runs, and None: whatever recurrences can be recorded beside them.
    """
    layers = [layer.name for layer in whole.layers if whole.places.get(layer.name)]
    if not patterns:
        return layers, None
    from rnnprobe.recover.graph.loops import survey

    recurrences = [one.name for one in survey(whole).recurrences]
    meant = named([*layers, *recurrences], patterns, whole.checkpoint.path)
    return [name for name in layers if name in meant], [name for name in recurrences if name in meant]


def _unmasked(network: Network, batches: tuple[Batch, ...]) -> list[str]:
    """What is not skipped, since a mask speaks of ids and floats were given."""
    tables = {embedding.name for embedding in network.embeddings}
    masked = [layer for layer in network.layers if layer.feed.mask is not None and layer.feed.mask.source in tables]
    if not masked or batches[0].shape is None:
        return []
    names = ", ".join(layer.name for layer in masked)
    return [f"in the model {names} skips padded ids; floats tell no ids, and nothing is skipped: --lengths says where"]
