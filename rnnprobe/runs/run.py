"""From a network and an input to blocks: what `trace` and `verify` share, in the terminal and in Python.

Either the rebuilt layers run, on the input or on what the original graph makes of what it is fed; or the original graph
itself is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from rnnprobe.analysis.select import named, select
from rnnprobe.cells.layers import chosen
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.runs.reading import Say
from rnnprobe.types import Array, Batch, Block, Entry, Layer, Network, Outcome

if TYPE_CHECKING:
    from rnnprobe.engine import Engine
    from rnnprobe.engine.original import Probe
    from rnnprobe.engine.witness import Witness

Read: TypeAlias = Callable[[Mapping[str, Entry]], tuple[Batch, ...]]
"""Reads the user's input as entries want it."""

ENGINES = ("rebuilt", "original")
"""What may run."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the user asks for.

    Attributes:
        engine: `rebuilt` or `original`; None: the original where tensors of it are named.
        layers: patterns.
        own_input: the input is that of these layers.
        outputs: the model's outputs too.
        tensors: patterns of the original graph's tensors.
        feeds: placeholder → value.
        input: whether sequences are given; what is fed may be all.
        states: the states to start from are given, or carried on.
    """

    engine: str | None = None
    layers: Sequence[str] = ()
    own_input: bool = False
    outputs: bool = False
    tensors: Sequence[str] = ()
    feeds: Mapping[str, Any] = field(default_factory=dict)
    input: bool = True
    states: bool = False


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

        cut = engine.Compilation.of(self.network, self.batches)
        return engine.Engine(self.network, record, outcomes=self.outcomes, cut=cut)

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


def prepare(whole: Network, ask: Ask, read: Read, say: Say) -> Run:
    """What the user asks for, ready to run.

    Args:
        whole: the network.
        ask: what the user asks for.
        read: reads the input.
        say: takes what the user should know before anything runs.

    Raises:
        BadInput, Refused: as `rebuilt` and `original`; an engine that there is none of.
    """
    if ask.engine not in (None, *ENGINES):
        raise BadInput(f"there is no engine {ask.engine!r}", hint=f"the engines are {', '.join(ENGINES)}")
    if ask.engine == "original" or (ask.engine is None and ask.tensors):
        return original(whole, ask, read)
    if ask.tensors:
        raise BadInput("the rebuilt layers have no tensors of the original graph", hint="record it: --engine original")
    return rebuilt(whole, ask, read, say)


def rebuilt(whole: Network, ask: Ask, read: Read, say: Say) -> Run:
    """The rebuilt layers over an input.

    Args:
        whole: the network.
        ask: what the user asks for.
        read: reads the input.
        say: takes what the user should know before anything runs.

    Raises:
        BadInput, Refused: as `rnnprobe.recover.stacks.select`, `read` and `rnnprobe.engine.extents`.
    """
    network, layers = _selected(whole, ask)
    say(stacks.unwired(whole, network))
    if ask.feeds:
        return _entered(network, layers, ask, read)
    batches = read(stacks.entries(network))
    say(_unmasked(network, batches))
    return _extended(Run(network, layers, batches, states=ask.states))


def provable(whole: Network, ask: Ask, read: Read) -> Run:
    """As `rebuilt`; layers whose input the original graph makes in its own loops run on what it makes there.

    Raises:
        BadInput, Refused: as `rebuilt`.
    """
    try:
        return rebuilt(whole, ask, read, lambda lines: None)
    except BadInput as exc:
        network, layers = _selected(whole, ask)
        if whole.checkpoint.graph is None or ask.own_input or ask.feeds or not network.places:
            raise
        try:
            return _entered(network, layers, ask, read)
        except BadInput:
            raise exc from None


def _selected(whole: Network, ask: Ask) -> tuple[Network, tuple[Layer, ...]]:
    picked = select(whole, ask.layers) if ask.layers else ()
    return stacks.select(whole, picked, own_input=ask.own_input, outputs=ask.outputs)


def _entered(network: Network, layers: Sequence[Layer], ask: Ask, read: Read) -> Run:
    """The rebuilt layers on what the original graph computes from what it is fed."""
    from rnnprobe.engine.witness import entered
    from rnnprobe.recover.graph.entries import entries

    names = [layer.name for layer in layers]
    batches = read(entries(network, layers=names, feeds=tuple(ask.feeds))) if ask.input else ()
    return taken(Run(network, tuple(layers), batches, states=ask.states), entered(network, batches, ask.feeds))


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


def original(whole: Network, ask: Ask, read: Read) -> Run:
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
    _refuse(whole, ask)
    from rnnprobe.recover.graph.entries import entries

    layers, recurrences = _recorded(whole, ask.layers)
    batches: tuple[Batch, ...] = ()
    if ask.input:
        asked = entries(whole, layers=layers, recurrences=recurrences, tensors=ask.tensors, feeds=tuple(ask.feeds))
        batches = read(asked)
    from rnnprobe.engine.original import Probe

    probe = Probe(whole, layers=layers, recurrences=recurrences, tensors=ask.tensors, batches=batches, feeds=ask.feeds)
    return Run(whole, probe.layers, probe.batches, probe.lengths, probe.outcomes, probe=probe)


def _refuse(whole: Network, ask: Ask) -> None:
    """Holds what is asked for against what the original graph can be asked.

    Raises:
        BadInput: naming it.
    """
    flags = {
        "--own-input": (ask.own_input, "the graph computes what enters its layers: --feed gives any placeholder"),
        "--initial-state or --carry": (ask.states, "--feed gives the placeholders that its states start from"),
        "output in --record": (ask.outputs, "--tensor records any tensor of it by its name"),
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
