"""Which layers become one module of the target: the directions of a pair, the layers of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from rnnprobe.analysis.layouts.forms import Fitted
from rnnprobe.types import Feed, Layer, Network

Level = tuple[Fitted, ...]


def grouped(network: Network, layers: Sequence[Fitted], holds: str) -> list[list[Level]]:
    """The modules, each a list of levels, bottom first; each layer in one of them.

    Args:
        network: how the layers feed each other.
        layers: those wanted, each after those that feed it.
        holds: `layer`, `pair` or `stack`, as in `Layout.holds`.
    """
    feeds = _feeds(network)
    levels = [(layer,) for layer in layers] if holds == "layer" else list(_pairs(layers, feeds))
    modules: list[list[Level]] = []
    for level in levels:
        below = next((module for module in modules if _rests_on(level, module[-1], feeds)), None)
        if holds == "stack" and below is not None:
            below.append(level)
        else:
            modules.append([level])
    return modules


def named(modules: Sequence[Sequence[Level]]) -> list[str]:
    """A name for each module: of one layer its own; of several what their names have in common, if no other has it."""
    names: list[str] = []
    every = [[layer.plain.layer.name for level in module for layer in level] for module in modules]
    singles = {of_module[0] for of_module in every}
    for of_module in every:
        common = "/".join(_common([name.split("/") for name in of_module]))
        names.append(common if common and common not in {*names, *(singles - {of_module[0]})} else of_module[0])
    return names


def _common(names: Sequence[Sequence[str]]) -> list[str]:
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))]


def _feeds(network: Network) -> list[tuple[str, Feed]]:
    """Every sequence that something of the network reads, and who reads it."""
    found = [(layer.name, layer.feed) for layer in network.layers]
    found += [(one.name, feed) for one in network.transforms for feed in one.feeds]
    found += list(network.outputs.items())
    return [(name, feed) for name, feed in found if not feed.final]


def _pairs(layers: Sequence[Fitted], feeds: Sequence[tuple[str, Feed]]) -> Iterator[Level]:
    """Forward and backward layers that read the same and that nobody reads one without the other; the rest alone."""
    taken: set[str] = set()
    for layer in layers:
        own = layer.plain.layer
        if own.name in taken:
            continue
        twins = [other for other in layers if other is not layer and _twins(layer, other, feeds)]
        if len(twins) == 1:
            taken.add(twins[0].plain.layer.name)
            yield (layer, twins[0]) if own.direction == "forward" else (twins[0], layer)
        else:
            yield (layer,)


def _twins(layer: Fitted, other: Fitted, feeds: Sequence[tuple[str, Feed]]) -> bool:
    one, two = layer.plain.layer, other.plain.layer
    return (
        one.direction != two.direction
        and _alike(layer, other)
        and layer.plain.input_size == other.plain.input_size
        and (one.feed.sources, one.feed.merge, one.feed.final, one.feed.turned)
        == (two.feed.sources, two.feed.merge, two.feed.final, two.feed.turned)
        and (_known(one) or _differ_once(one.name, two.name))
        and all((one.name in feed.sources) == (two.name in feed.sources) for _, feed in feeds)
    )


def _known(layer: Layer) -> bool:
    return layer.feed.evidence in ("config", "graph", "flag")


def _differ_once(one: str, two: str) -> bool:
    """Whether two names differ in one component, as those of two directions do."""
    parts, others = one.split("/"), two.split("/")
    return len(parts) == len(others) and sum(a != b for a, b in zip(parts, others, strict=True)) == 1


def _alike(layer: Fitted, other: Fitted) -> bool:
    return _character(layer) == _character(other)


def _character(layer: Fitted) -> tuple[Any, ...]:
    """What all layers of a module have in common."""
    plain = layer.plain
    settings = tuple(plain.setting(name) for name in layer.form.options if name != "forget_bias")
    held = tuple(part in plain.parts for part in ("peephole", "projection"))
    return layer.form.title, plain.units, plain.output_size, plain.dtype, bool(layer.bias), settings, held


def _rests_on(level: Level, below: Level, feeds: Sequence[tuple[str, Feed]]) -> bool:
    """Whether a level reads what the one below passes on, all of it and nothing else, and nothing else reads that."""
    if len(level) != len(below) or not _alike(level[0], below[0]):
        return False
    names = tuple(layer.plain.layer.name for layer in below)
    above = {layer.plain.layer.name for layer in level}
    return (
        all(
            one.plain.layer.feed.sources == names
            and one.plain.layer.feed.merge == "concat"
            and not (one.plain.layer.feed.final or one.plain.layer.feed.turned)
            and one.plain.layer.direction == other.plain.layer.direction
            for one, other in zip(level, below, strict=True)
        )
        and not any(layer.plain.layer.options["residual"].value for layer in below)
        and all(layer.plain.layer.cell.emits == "h" for layer in below)
        and all(reader in above for reader, feed in feeds if set(names) & set(feed.sources))
    )
