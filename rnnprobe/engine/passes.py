"""The order of work: layers of one direction that can run block by block together make a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.cells.layers import signal_sizes
from rnnprobe.types import Direction, Layer

_BLOCK_BYTES = 16 << 20
_MOST_STEPS = 4096


@dataclass(frozen=True, slots=True)
class Pass:
    """Layers that run together, and whose outputs later passes read.

    Attributes:
        direction: of all of them.
        layers: in an order in which each comes after those that feed it.
        reads: layers of earlier passes.
        kept: those of its layers that later passes read.
    """

    direction: Direction
    layers: tuple[Layer, ...]
    reads: frozenset[str]
    kept: frozenset[str]


def plan(layers: Sequence[Layer]) -> tuple[Pass, ...]:
    """The passes over `layers`, in order.

    A layer joins the pass of what feeds it when both run in one direction; where the direction changes, or both
    directions meet, the whole of the sequence has to be there first, and a later pass begins.
    """
    level: dict[str, int] = {}
    direction = {layer.name: layer.direction for layer in layers}
    for layer in layers:
        below = [source for source in layer.feed.sources if source in level]
        level[layer.name] = max((level[s] + (direction[s] != layer.direction) for s in below), default=0)
    keys = sorted(
        {(level[layer.name], layer.direction) for layer in layers}, key=lambda key: (key[0], key[1] != "forward")
    )
    grouped = {key: tuple(la for la in layers if (level[la.name], la.direction) == key) for key in keys}
    passes = []
    for key, members in grouped.items():
        names = {layer.name for layer in members}
        reads = {source for layer in members for source in layer.feed.sources if source in level} - names
        later = {s for layer in layers if layer.name not in names for s in layer.feed.sources}
        passes.append(Pass(key[1], members, frozenset(reads), frozenset(names & later)))
    return tuple(passes)


def block_steps(work: Pass, record: Mapping[str, Sequence[str]], batch: int, itemsize: int) -> int:
    """How many steps make a block of bounded size.

    Counted are the recorded signals and, as the largest thing between, the gates' share of the input.
    """
    width = 0
    for layer in work.layers:
        sizes = signal_sizes(layer)
        width += sum(sizes[name] for name in record.get(layer.name, ()))
        width += layer.input_size + max(1, len(layer.cell.gates)) * layer.units
    return max(1, min(_MOST_STEPS, _BLOCK_BYTES // max(1, width * batch * itemsize)))
