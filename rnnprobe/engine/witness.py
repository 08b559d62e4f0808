"""The original: what the rebuilt graph is compared with.

Where a TensorFlow 1 graph came with the weights, that is run (`rnnprobe.engine.original`).

A Keras model is run by Keras itself. Where the whole of it is made of Keras's own classes (`Network.original`), it is
called as its configuration calls it, and Keras propagates masks and states by itself. Where it is not, each recurrent
layer's genuine counterpart runs on what enters it (`rnnprobe.engine.counterparts`). Either way sequences run at exactly
their own length, and every state and gate is heard from the genuine cell (`rnnprobe.engine.ear`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.engine.builtin import Runner, invoke, outputs, plainly
from rnnprobe.engine.counterparts import Counterparts
from rnnprobe.engine.genuine import Group, Initial, Recurrent
from rnnprobe.engine.original import Entered, OriginalGraph, entering
from rnnprobe.engine.original.copies import Unfed
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Block, KerasCall, Layer, Network

_GRAPH = "the operations of the original graph"


@dataclass(frozen=True, slots=True)
class Witness:
    """A run of the original.

    Attributes:
        blocks: one for each batch, laid out as those of `rnnprobe.engine.trace`.
        notes: what a report has to say of how it was run.
        name: what was run, in the plural.
        entered: where what enters the layers is made in the graph: the network and the batches that are to be held
            against it, in place of the caller's own.
        told_lengths: the original was told how long the sequences are, and was given them padded.
        close: ends the run, if it has not ended; the end of `blocks` does so too.
    """

    blocks: Iterable[Block]
    notes: tuple[str, ...]
    name: str
    entered: Entered | None = None
    told_lengths: bool = False
    close: Callable[[], None] = lambda: None


def call(
    network: Network,
    batches: Sequence[Batch],
    feeds: Mapping[str, Any] | None = None,
    record: Mapping[str, Collection[str]] | None = None,
) -> Witness:
    """The original of a network, ready to run over batches.

    Args:
        network: layers that run from what the user gives (`rnnprobe.recover.stacks.select`).
        batches: the input.
        feeds: what placeholders of an original graph are fed; what enters the layers is then taken from there.
        record: layer → its signals that are wanted besides the states and what is emitted; None: all of all layers.

    Raises:
        BadInput: there is none, or it can't be run on these sequences.
        Refused: its graph would have to run an operation that is not on the list.
    """
    if network.foreign:
        if not feeds:
            try:
                graph = OriginalGraph(network, batches, record=record)
                told = graph.told_lengths
                return Witness(graph.blocks(), graph.notes, _GRAPH, told_lengths=told, close=graph.close)
            except Unfed as exc:
                unfed = exc
        try:
            return entered(network, batches, feeds, record)
        except BadInput as exc:
            if feeds:
                raise
            raise unfed from exc
    blocks = (_wanted(block, network, record) for block in witness(network, batches))
    return Witness(blocks, notes(network), "genuine Keras layers")


def entered(
    network: Network,
    batches: Sequence[Batch],
    feeds: Mapping[str, Any] | None = None,
    record: Mapping[str, Collection[str]] | None = None,
) -> Witness:
    """The original graph, run on what is fed, and what enters the layers taken from there (`entering`)."""
    found = entering(network, batches, feeds=feeds, record=record)
    return Witness(found.blocks, found.notes, _GRAPH, found)


def _wanted(block: Block, network: Network, record: Mapping[str, Collection[str]] | None) -> Block:
    """Of what is heard, which is all that a genuine cell computes, no more than is wanted."""
    if record is None:
        return block
    signals = {}
    for name, of in block.signals.items():
        cell = network[name].cell
        kept = {*cell.states, cell.emits, *record.get(name, ())}
        signals[name] = {signal: array for signal, array in of.items() if signal in kept}
    return replace(block, signals=signals)


def witness(network: Network, batches: Sequence[Batch], initial: Initial | None = None) -> Iterator[Block]:
    """Runs every batch through genuine Keras layers.

    Args:
        network: layers that run from what the user gives (`rnnprobe.recover.stacks.select`).
        batches: the input, as `rnnprobe.engine.trace` takes it.
        initial: the states to start from; the model's own, or zeros, where it says nothing.

    Yields:
        One block for each batch, laid out as those of `rnnprobe.engine.trace`: every signal of every layer, and the
        model's outputs where they are asked for and the original gives them.

    Raises:
        BadInput: a layer that is none of Keras's, or something that Keras does not take.
    """
    run = Original(network) if whole(network) else Counterparts(network)
    for batch in batches:
        yield _block(network, batch, run, initial or {})


def whole(network: Network) -> bool:
    """Whether the original model itself runs, and not its layers one by one."""
    return (
        bool(network.original)
        and not any(layer.feed.evidence == "flag" for layer in network.layers)
        and (_complete(network))
    )


def notes(network: Network) -> tuple[str, ...]:
    """What a report has to say of how the original was run."""
    found = []
    if not network.original:
        found.append(
            "the original model can't be built of Keras's own classes alone: each recurrent layer was run by itself, "
            "on what enters it"
        )
    elif not whole(network):
        found.append("the layers were run one by one, on what enters them, not as parts of the original model")
    assumed = {name for layer in network.layers for name, one in layer.options.items() if one.evidence == "assumed"}
    if network.checkpoint.config is None:
        what = ", ".join(sorted(assumed - {"residual"})) or "every option"
        found.append(f"no configuration came with the weights: {what} and masks are assumed alike on both sides")
    cudnn = [layer.name for layer in network.layers if layer.cell.name.startswith("keras_cudnn")]
    if cudnn:
        found.append(
            f"{', '.join(cudnn)}: CuDNNLSTM and CuDNNGRU run on GPUs alone; LSTM and GRU (reset after) with tanh and "
            f"sigmoid stand in for them"
        )
    return tuple(found)


class Original:
    """The calls of the original model, as far as the network's layers and outputs need them."""

    def __init__(self, network: Network) -> None:
        self._results = network.results
        self._calls = needed(network)
        self._dtype = stacks.compute_dtype(network.layers)
        self._made: dict[int, Runner | Recurrent] = {}
        for call in self._calls:
            layer = call.layer
            if id(layer) not in self._made:
                made = Recurrent(layer, network, self._dtype) if layer.layers else Runner(layer, self._dtype)
                self._made[id(layer)] = made

    def __call__(self, group: Group) -> None:
        """Runs a group, and leaves in it what was heard and what came out."""
        known = {name: [tf.constant(array)] for name, array in group.inputs.items()}
        for call in self._calls:
            inputs = [known[name][number] for name, number in call.inputs]
            states = [known[name][number] for name, number in call.initial]
            made = self._made[id(call.layer)]
            if isinstance(made, Recurrent):
                known[call.name] = made(inputs[0], states, group.initial)
                group.heard.update(made.heard)
                continue
            made.output_shapes([tuple(one.shape) for one in inputs])
            with plainly(call.layer.class_name):
                known[call.name] = outputs(invoke(call.layer, made.made, inputs))
        group.outcomes.update({name: known[call][k].numpy() for name, (call, k) in self._results.items()})


def needed(network: Network) -> tuple[KerasCall, ...]:
    """The calls of the original that the network's layers, and its outputs, are computed by, in order."""
    names = {layer.name for layer in network.layers}
    wanted = {call for call, _ in network.results.values()}
    kept: list[KerasCall] = []
    for call in reversed(network.original):
        if call.name in wanted or names & set(call.layer.layers):
            kept.append(call)
            wanted.update(name for name, _ in (*call.inputs, *call.initial))
    return tuple(reversed(kept))


def _complete(network: Network) -> bool:
    """Whether everything that the calls need is in the network or among its inputs."""
    calls = needed(network)
    names = {layer.name for layer in network.layers}
    heard = {name for call in calls for name in call.layer.layers}
    read = {name for call in calls for name, _ in (*call.inputs, *call.initial)} - {call.name for call in calls}
    return heard == names and read <= set(stacks.outside(network))


def _block(network: Network, batch: Batch, run: Original | Counterparts, initial: Initial) -> Block:
    """A batch, its sequences grouped by their lengths."""
    groups = list(_groups(network, batch, initial))
    for group in groups:
        run(group)
    signals: dict[str, dict[str, Array]] = {}
    begin: dict[str, dict[str, Array]] = {}
    end: dict[str, dict[str, Array]] = {}
    for layer in network.layers:
        signals[layer.name], begin[layer.name], end[layer.name] = _joined(layer, batch, groups)
    names = dict.fromkeys(name for group in groups for name in group.outcomes)
    return Block(batch, 0, signals, begin, end, {name: _outcome(name, batch, groups) for name in names})


def _groups(network: Network, batch: Batch, initial: Initial) -> Iterator[Group]:
    """The sequences of a batch that have steps, those of equal lengths together."""
    given = {name: batch.beside.get(name, batch) for name in stacks.outside(network)}
    lengths = np.stack([one.lengths for one in given.values()], axis=1)
    for key in np.unique(lengths, axis=0):
        if not key.all():
            continue
        rows = np.flatnonzero((lengths == key).all(axis=1))
        inputs = {}
        for (name, one), steps in zip(given.items(), key, strict=True):
            inputs[name] = _as_taken(one.load(0, int(steps))[rows], one, network, name)
        numbers = batch.rows[rows]
        own = {layer: {state: array[numbers] for state, array in states.items()} for layer, states in initial.items()}
        yield Group(rows, inputs, own)


def _as_taken(steps: Array, batch: Batch, network: Network, name: str) -> Array:
    """Floats in the dtype of the network; ids as they are, or one-hot where no embedding stands in front."""
    dtype = stacks.compute_dtype(network.layers)
    if batch.shape is not None:
        return steps.astype(dtype)
    entry = stacks.entries(network)[name]
    if entry.embedded:
        return steps
    one_hot = np.zeros((*steps.shape, entry.vocabulary), dtype)
    np.put_along_axis(one_hot, steps[..., None], 1.0, axis=-1)
    return one_hot


def _joined(
    layer: Layer, batch: Batch, groups: Sequence[Group]
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """A layer's signals `[time, batch, *shape]` at the time of its input, and its first and last states."""
    count, turn = len(batch.names), slice(None, None, -1 if layer.direction == "backward" else 1)
    heard = [(group.rows, group.heard[layer.name]) for group in groups]
    if not heard:
        shapes = {name: shape for name, shape in signal_shapes(layer).items() if name in layer.cell.states}
        zeros = {name: np.zeros((count, *shape), "float32") for name, shape in shapes.items()}
        return {}, zeros, dict(zeros)
    declared = [signal.name for signal in layer.cell.signals if signal.name in heard[0][1].signals]
    steps = max(len(one.signals[declared[0]]) for _, one in heard)
    signals, begin, end = {}, {}, {}
    for name in declared:
        first = heard[0][1].signals[name]
        signals[name] = np.full((steps, count, *first.shape[2:]), np.nan, first.dtype)
        for rows, one in heard:
            signals[name][: len(one.signals[name]), rows] = one.signals[name][turn]
    for name in heard[0][1].initial:
        begin[name] = np.zeros((count, *heard[0][1].initial[name].shape[1:]), heard[0][1].initial[name].dtype)
        end[name] = begin[name].copy()
        for rows, one in heard:
            begin[name][rows], end[name][rows] = one.initial[name], one.final[name]
    return signals, begin, end


def _outcome(name: str, batch: Batch, groups: Sequence[Group]) -> Array:
    """An output of the model, `[batch, …]`; NaN past the length of a shorter one."""
    found = [(group.rows, group.outcomes[name]) for group in groups]
    extent = np.max([array.shape[1:] for _, array in found], axis=0).astype(int)
    joined = np.full((len(batch.names), *extent), np.nan, found[0][1].dtype)
    for rows, array in found:
        place: Any = (rows, *(slice(size) for size in array.shape[1:]))
        joined[place] = array
    return joined
