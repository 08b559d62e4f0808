"""The order of work: layers of one direction that can run block by block together make a pass, a transform a stage."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import groupby
from math import prod
from typing import TypeAlias

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.types import Direction, Feed, Layer, Network, Transform

_BLOCK_BYTES = 8 << 20
"""More is no longer in the processor's cache when it is filled and passed on; less is called for too often."""
_MOST_STEPS = 4096

Node: TypeAlias = Layer | Transform


@dataclass(frozen=True, slots=True)
class Pass:
    """Layers that run together over the same steps, and whose outputs later stages read.

    Attributes:
        direction: of all of them.
        layers: in an order in which each comes after those that feed it.
        reads: what is not of this pass.
        kept: those of its layers that later stages read step by step.
    """

    direction: Direction
    layers: tuple[Layer, ...]
    reads: frozenset[str]
    kept: frozenset[str]


Stage: TypeAlias = Pass | Transform


def ordered(network: Network) -> tuple[Node, ...]:
    """The layers and transforms of a network, each after what it needs."""
    nodes = _nodes(network)
    needs = {name: dict.fromkeys(s for s in _sources(node) if s in nodes) for name, node in nodes.items()}
    return tuple(nodes[name] for name in TopologicalSorter(needs).static_order())


def plan(network: Network, wanted: Collection[str], outputs: Collection[Feed] = ()) -> tuple[tuple[Stage, ...], ...]:
    """The stages that lead to the wanted layers and outputs: those that wait for the same, in order.

    A layer joins the pass of what feeds it when both run in one direction over the same steps. Where the direction
    changes, where a transform stands between, or where a layer starts from the state in which another one ends or
    attends to what it passes on, the whole of the sequence has to be there first, and a later pass begins.
    """
    nodes = {node.name: node for node in _needed(network, wanted, outputs)}
    level: dict[str, int] = {}
    clock = {embedding.name: embedding.ids for embedding in network.embeddings}
    for node in nodes.values():
        clock[node.name] = _clock(node, clock)
        level[node.name] = max(
            (level[s] + _waits(node, nodes[s], clock) for s in _sources(node) if s in nodes), default=0
        )
    groups: dict[tuple[int, bool, str], list[Node]] = {}
    for name, node in _nodes(network).items():
        if name in nodes:
            backward = isinstance(node, Layer) and node.direction == "backward"
            place = name if isinstance(node, Transform) else f"over {clock[name]}"
            groups.setdefault((level[name], backward, place), []).append(node)
    # Sorting keeps the order in which the groups were met.
    keys = sorted(groups, key=lambda key: key[:2])
    stages = {key: _stage(groups[key], nodes, outputs) for key in keys}
    return tuple(tuple(stages[key] for key in together) for _, together in groupby(keys, lambda key: key[0]))


def _stage(members: Sequence[Node], nodes: Mapping[str, Node], outputs: Collection[Feed]) -> Stage:
    if isinstance(members[0], Transform):
        return members[0]
    layers = tuple(node for node in members if isinstance(node, Layer))
    names = {layer.name for layer in layers}
    reads = {source for layer in layers for source in layer.feed.sources} - names
    later = [feed for name in nodes.keys() - names for feed in nodes[name].feeds]
    kept = {source for feed in (*later, *outputs) if not feed.final for source in feed.sources}
    return Pass(layers[0].direction, layers, frozenset(reads), frozenset(names & kept))


def _sources(node: Node) -> Iterator[str]:
    """The names that a layer or a transform reads, those of its masks among them."""
    for feed in node.feeds:
        yield from feed.sources
        if feed.mask is not None:
            yield feed.mask.source


def _nodes(network: Network) -> dict[str, Node]:
    nodes: tuple[Node, ...] = (*network.transforms, *network.layers)
    return {node.name: node for node in nodes}


def _needed(network: Network, wanted: Collection[str], outputs: Collection[Feed]) -> list[Node]:
    """What is needed for the wanted layers and outputs, each after what it needs itself."""
    names = {*wanted, *(source for feed in outputs for source in feed.sources)}
    needed: list[Node] = []
    for node in reversed(ordered(network)):
        if node.name in names:
            names.update(_sources(node))
            needed.append(node)
    return needed[::-1]


def _clock(node: Node, clock: Mapping[str, str]) -> str:
    """Whose steps a node runs over: those of an input, or of a transform that gives steps of its own."""
    if isinstance(node, Transform) and not node.stepwise:
        return node.name
    source = node.feeds[0].sources[0]
    return clock.get(source, source)


def _waits(node: Node, below: Node, clock: Mapping[str, str]) -> bool:
    """Whether `below` has to be through before `node` can begin."""
    if isinstance(node, Transform) or isinstance(below, Transform):
        return True
    whole = any(below.name in feed.sources for feed in node.feeds[1:])
    return whole or node.direction != below.direction or clock[node.name] != clock[below.name]


def block_steps(work: Pass, record: Mapping[str, Sequence[str]], batch: int, itemsize: int, longest: int) -> int:
    """How many steps make a block of bounded size, so that `longest` of them fall into blocks of one size.

    Counted are the recorded signals and, as the largest thing between, the gates' share of the input.
    """
    width = 0
    for layer in work.layers:
        shapes = signal_shapes(layer)
        width += sum(prod(shapes[name]) for name in record.get(layer.name, ()))
        width += prod(layer.space) * (layer.input_size + max(1, len(layer.cell.gates)) * layer.units)
    most = steps_of(width, batch, itemsize)
    return -(-longest // -(-longest // most)) if longest else most


def steps_of(width: int, batch: int, itemsize: int) -> int:
    """How many steps of `width` elements for each sequence make a block of bounded size."""
    return max(1, min(_MOST_STEPS, _BLOCK_BYTES // max(1, width * batch * itemsize)))
