"""How the layers of a TensorFlow checkpoint feed each other, as far as their scopes tell (cells.md, sections 6 and 7).

`multi_rnn_cell/cell_1` is fed by `cell_0` of the same stack; `stack_bidirectional_rnn/cell_1` by both directions of
`cell_0`; `fw` and `bw` read the same input. Where the widths do not agree with that, something else stands between, and
the layer's input is left to the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rnnprobe.cells.layers import passed_size
from rnnprobe.types import Embedding, Feed, Layer, Network

_STACKS = {"multi_rnn_cell", "MultiRNNCell", "stack_bidirectional_rnn", "StackRNN"}
_POSITION = re.compile(r"(?:cell_|Cell|Layer)(\d+)")
_DIRECTION = re.compile(r"(?:BiRNN_)?(fw|bw)", re.IGNORECASE)
# Wrappers that compute something from variables of their own before the cell inside them sees it.
_IN_FRONT = re.compile(r"attention_cell_wrapper|AttentionCellWrapper|attention_wrapper|input_projection_wrapper")
_EMBEDDING = re.compile(r"embed|lookup", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a scope stands: in which stack, at which position, in which direction, and who its siblings are."""

    stack: str
    position: int
    direction: str
    bidirectional_stack: bool


def wire(network: Network) -> Network:
    """The network with directions and feeds as the scopes tell, and an embedding in front where one is named so."""
    places = {layer.name: _place(layer.scope) for layer in network.layers}
    layers = tuple(
        replace(
            layer,
            direction="backward" if places[layer.name].direction == "bw" else "forward",
            feed=_feed(layer, network.layers, places),
        )
        for layer in network.layers
    )
    return _embed(replace(network, layers=layers))


def _place(scope: str) -> _Place:
    components = scope.split("/")
    stack, position, direction, bidirectional = [], 0, "", False
    for before, component in zip(["", *components[:-1]], components, strict=True):
        found = _POSITION.fullmatch(component)
        turned = _DIRECTION.fullmatch(component)
        if found and before in _STACKS:
            position = int(found[1])
            bidirectional = before in ("stack_bidirectional_rnn", "StackRNN")
        elif turned:
            direction = turned[1].lower()
            stack.append(component)
        else:
            stack.append(component)
    # The last component is the cell's own name, which may differ between the positions of a stack.
    return _Place("/".join(stack[:-1]), position, direction, bidirectional)


def forward_first(scope: str) -> str:
    """The scope with its direction spelled so that forward sorts before backward."""
    return "/".join({"fw": "0", "bw": "1"}.get(_turn(part), part) for part in scope.split("/"))


def _turn(component: str) -> str:
    found = _DIRECTION.fullmatch(component)
    return found[1].lower() if found else ""


def _feed(layer: Layer, layers: tuple[Layer, ...], places: Mapping[str, _Place]) -> Feed:
    place = places[layer.name]
    # The last component is the cell's own, or that of a wrapper which is rebuilt with it.
    wrapper = next((part for part in layer.scope.split("/")[:-1] if _IN_FRONT.fullmatch(part)), None)
    if wrapper is not None:
        return Feed((wrapper,), evidence="weights")
    if place.position == 0:
        turned = {"fw": "bw", "bw": "fw"}.get(place.direction)
        twins = [p for p in places.values() if p.direction == turned and p.position == 0 and _siblings(p, place)]
        return Feed(evidence="weights") if turned and twins else Feed()
    below = [
        other
        for other in layers
        if places[other.name].position == place.position - 1 and _same_stack(places[other.name], place)
    ]
    below.sort(key=lambda other: places[other.name].direction == "bw")
    if below and sum(passed_size(other) for other in below) == layer.input_size:
        return Feed(tuple(other.name for other in below), evidence="weights")
    return Feed((f"input of {layer.name}",))


def _same_stack(below: _Place, above: _Place) -> bool:
    return _siblings(below, above) if above.bidirectional_stack else below.stack == above.stack


def _siblings(one: _Place, other: _Place) -> bool:
    """Whether two scopes are the same but for the direction."""
    plain = [
        tuple("" if _DIRECTION.fullmatch(part) else part for part in place.stack.split("/")) for place in (one, other)
    ]
    return plain[0] == plain[1]


def _embed(network: Network) -> Network:
    """An embedding in front, assumed where exactly one table of the right width is called so."""
    fronts = [layer for layer in network.layers if layer.feed.sources == ("input",)]
    used = {tensor.name for layer in network.layers for tensor in layer.weights.values()}
    tables = [
        tensor
        for tensor in network.checkpoint.weights.values()
        if len(tensor.shape) == 2 and tensor.name not in used and _EMBEDDING.search(tensor.name)
    ]
    fed: dict[str, str] = {}
    for layer in fronts:
        fitting = [table for table in tables if table.shape[1] == layer.input_size]
        if len(fitting) == 1:
            fed[layer.name] = fitting[0].name
    embeddings = tuple(Embedding(table.name, table, "assumed") for table in tables if table.name in fed.values())
    layers = tuple(
        replace(layer, feed=replace(layer.feed, sources=(fed[layer.name],))) if layer.name in fed else layer
        for layer in network.layers
    )
    return replace(network, layers=layers, embeddings=embeddings)
