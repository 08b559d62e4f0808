"""What enters rebuilt layers in the original run, where the graph makes it: in their own loop, or of what is fed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnprobe.engine.original.joining import Extents, Joining
from rnnprobe.engine.original.opening import Record
from rnnprobe.engine.original.probe import Probe
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.view import view
from rnnprobe.types import Array, Batch, Block, Feed, Layer, Network
from rnnprobe.types.run import in_order


@dataclass(frozen=True, slots=True)
class Entered:
    """Rebuilt layers with their true input.

    Attributes:
        network: reads what was recorded.
        batches: what was recorded.
        initial: layer → state → `[sequences, …]`: what the graph starts from, where that was seen.
        blocks: what the graph computed; one for each batch.
        notes: what a report has to say of it.
    """

    network: Network
    batches: tuple[Batch, ...]
    initial: Mapping[str, Mapping[str, Array]]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def entering(
    network: Network,
    batches: Sequence[Batch] = (),
    *,
    feeds: Mapping[str, Any] | None = None,
    record: Record | None = None,
) -> Entered:
    """Runs the original graph, and takes what enters the layers that read from outside.

    Args:
        network: layers that run from what the user gives (`rnnprobe.recover.stacks.select`).
        batches: sequences for the placeholders of the graph.
        feeds: what is fed otherwise.
        record: layer → its signals that are wanted besides the states and what is emitted; None: all of all layers.

    Raises:
        BadInput: the graph can't be run so, or what enters a layer can't be recorded.
        Refused: it would have to run an operation that is not on the list.
    """
    names = {layer.name for layer in network.layers}
    fronts = [layer for layer in network.layers if not set(layer.feed.sources) <= names]
    for layer in network.layers:
        if layer.context is not None and not set(layer.context.sources) <= names:
            raise BadInput(
                f"what {layer.name} attends to is made in the graph, and is not taken from there",
                path=network.checkpoint.path,
                hint="`rnnprobe trace --engine original` records the graph's own loops",
            )
    ordered = [layer.name for layer in network.layers]
    batches = _at_placeholders(network, batches)
    probe = Probe(network, layers=ordered, batches=batches, feeds=feeds, loose=True, record=record)
    try:
        joined = [probe.join(number) for number in range(len(probe.batches))]
        inputs = {layer.name: "input" if len(fronts) == 1 else f"input of {layer.name}" for layer in fronts}
        made = [
            _batch([_one(old, name, one, network) for name in inputs], list(inputs.values()))
            for old, one in zip(probe.batches, joined, strict=True)
        ]
        blocks = tuple(replace(one.block(Extents()), batch=new) for one, new in zip(joined, made, strict=True))
    finally:
        probe.close()
    alone = replace(
        network,
        layers=tuple(_reading(layer, names, inputs) for layer in network.layers),
        embeddings=(),
        transforms=(),
        outputs={},
        results={},
        shapes={},
    )
    return Entered(alone, tuple(made), _initial(made, joined), blocks, (*probe.notes, *_notes(fronts)))


def _at_placeholders(network: Network, batches: Sequence[Batch]) -> tuple[Batch, ...]:
    """The batches, inputs beside the main one by the names of the placeholders that the graph takes them at."""
    if not any(batch.beside for batch in batches):
        return tuple(batches)
    web = view(network.checkpoint.graph)
    ids = {embedding.name: embedding.ids for embedding in network.embeddings}
    layers = {layer.name for layer in network.layers}
    names = {}
    for layer in network.layers:
        outside = [ids.get(source, source) for source in layer.feed.sources if source not in layers]
        for use in network.places.get(layer.name, ())[:1]:
            for source, roots in zip(outside, use.roots, strict=False):
                if len(roots) == 1 and web.node(roots[0]).op.startswith("Placeholder"):
                    names[source] = web.node(roots[0]).name
    return tuple(
        replace(batch, beside={names.get(name, name): one for name, one in batch.beside.items()}) for batch in batches
    )


def _reading(layer: Layer, names: set[str], inputs: Mapping[str, str]) -> Layer:
    initial = {state: feed for state, feed in layer.initial.items() if set(feed.sources) <= names}
    feed = Feed((inputs[layer.name],), evidence="graph") if layer.name in inputs else layer.feed
    return replace(layer, feed=feed, initial=initial)


def _one(old: Batch, name: str, joined: Joining, network: Network) -> Batch:
    """What entered one layer, as sequences.

    Raises:
        BadInput: it is not all there, or of another width than the layer takes.
    """
    entered = joined.entered(name)
    width = network[name].input_size
    if entered is None or entered.ndim != 3 or entered.shape[2] != width:
        found = "can't be recorded" if entered is None else f"has the shape {list(entered.shape)}"
        raise BadInput(
            f"what enters {name} in its graph {found}, and {width} features are expected", path=network.checkpoint.path
        )
    values = np.nan_to_num(entered.swapaxes(0, 1), nan=0.0)
    return replace(
        old,
        lengths=joined.lengths[name],
        steps=int(joined.lengths[name].max(initial=0)),
        shape=values.shape[2:],
        load=lambda start, stop: values[:, start:stop].copy(),
        dtype=str(values.dtype),
        vocabulary=None,
        beside={},
    )


def _batch(parts: Sequence[Batch], names: Sequence[str]) -> Batch:
    return replace(parts[0], beside=dict(zip(names[1:], parts[1:], strict=True)))


def _initial(batches: Sequence[Batch], joined: Sequence[Joining]) -> dict[str, dict[str, Array]]:
    """Of all sequences, what states start from; those that start from zeros left out."""
    found: dict[str, dict[str, Array]] = {}
    begins = [one.begins() for one in joined]
    for layer, states in (begins[0] if begins else {}).items():
        for state in states:
            parts = [begin.get(layer, {}).get(state) for begin in begins]
            known = [part for part in parts if part is not None]
            if len(known) == len(parts) and any(np.any(part) for part in known):
                found.setdefault(layer, {})[state] = in_order(batches, known)
    return found


def _notes(fronts: Sequence[Layer]) -> Iterator[str]:
    for layer in fronts:
        yield f"what enters {layer.name} is computed in the graph, and was taken from there"
