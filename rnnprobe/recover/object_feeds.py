"""What feeds the layers that objects alone tell of: as their paths say, and where the widths agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rnnprobe.recover.object_cells import Finder
from rnnprobe.types import Embedding, Feed, Layer

_STACKED = re.compile(r"(?P<stack>.+)/cell/cells/(?P<number>\d+)|(?P<multi>.+)/cell-(?P<position>\d+)(?:/cell)?")
_LISTED = re.compile(r"(?P<stack>(?:.+/)?[^/]+)/(?P<number>\d+)")
_SIDE = re.compile(r"/(?:forward|backward)(?:/\d+)?$")
_TABLE = re.compile(r"embed", re.IGNORECASE)


def tables(finder: Finder) -> list[Embedding]:
    """What is called an embedding."""
    return [
        Embedding(name.removesuffix("/embeddings") or name, tensor, "assumed")
        for name, tensor in finder.tensors.items()
        if len(tensor.shape) == 2 and _TABLE.search(name) and name not in finder.claimed
    ]


def wired(layers: tuple[Layer, ...], known: Sequence[Embedding]) -> tuple[Layer, ...]:
    """The layers with their feeds: cells of a stack in a chain, lists likewise where the widths agree.

    What stands first reads a table, where just one is as wide as what it takes.
    """
    several = len({_SIDE.sub("", layer.name) for layer in layers}) > 1
    return tuple(replace(layer, feed=_behind(layer, layers) or _first(layer, known, several)) for layer in layers)


def _behind(layer: Layer, layers: Iterable[Layer]) -> Feed | None:
    """The feed of a layer that stands behind another in a stack or a list; None for one that stands first."""
    stacked = _STACKED.fullmatch(layer.scope)
    if stacked:
        number = int(stacked["number"] or stacked["position"])
        at = stacked.start("number") if stacked["number"] else stacked.start("position")
        end = layer.scope[at:].partition("/")
        if number:
            scope = f"{layer.scope[:at]}{number - 1}{end[1]}{end[2]}"
            below = [other for other in layers if other.scope == scope]
            return _from(layer, below, Feed(evidence="weights"))
    listed = None if stacked else _LISTED.fullmatch(_SIDE.sub("", layer.name))
    if listed and int(listed["number"]):
        before = f"{listed['stack']}/{int(listed['number']) - 1}"
        below = [other for other in layers if _SIDE.sub("", other.name) == before]
        return _from(layer, below, Feed())
    return None


def _first(layer: Layer, known: Iterable[Embedding], several: bool) -> Feed:
    """The feed of a layer that stands first: a table or an input, which the directions of a pair share."""
    stage = _SIDE.sub("", layer.name)
    fitting = [table.name for table in known if table.table.shape[1] == layer.input_size]
    # Both directions read one input, as their names say; that of another pair is another.
    feed = Feed((f"input of {stage}" if several else "input",), evidence="weights") if stage != layer.name else Feed()
    return replace(feed, sources=(fitting[0],)) if len(fitting) == 1 else feed


def _from(layer: Layer, below: Sequence[Layer], feed: Feed) -> Feed:
    """Fed by these layers, where their widths add up to what the layer takes; else by something else."""
    if below and sum(other.output_size for other in below) == layer.input_size:
        return replace(feed, sources=tuple(other.name for other in below))
    return Feed((f"input of {layer.name}",))
