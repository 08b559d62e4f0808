"""Several cells in one AttentionWrapper: `attention_wrapper/multi_rnn_cell/cell_0/…`, `cell_1/…`.

What comes out of the last goes back into the lowest, so that none of them runs ahead of the others, and they become one
layer (`rnnprobe.cells.stacked`). Until the graph is read they are a layer each, and the wrapper's weights are the
lowest one's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnprobe.cells.attention_wrapper import (
    MECHANISMS,
    MEMORY_STEPS,
    TOP_SIZE,
    attention_wrapper,
    emitting,
    mechanisms,
)
from rnnprobe.cells.layers import defaults, fit, passed_size
from rnnprobe.cells.options import OUTPUT_ATTENTION, RESIDUAL
from rnnprobe.cells.stacked import stacked, suffix
from rnnprobe.recover.wrapped import attending
from rnnprobe.types import Cell, Feed, Layer, Network, OptionValue, Tap, Tensor, Use, Value

MULTI = "multi_rnn_cell"
_MEMBER = re.compile(rf"(?P<around>.+)/{MULTI}/cell_(?P<number>\d+)/[^/]+")
_MIXING = ("attention_layer", "attention_layer_0")
_WRAPPER = re.compile(r"attention|(alignments|context)(_\d+)?")


def bottoms(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> list[Layer]:
    """The layers, the lowest of each stack in an AttentionWrapper with the wrapper's weights."""
    found = list(layers)
    for scope, members in _stacks(layers).items():
        fed = all(one.input_size == passed_size(below) for one, below in zip(members[1:], members, strict=False))
        plain = all(one.cell.framework == "tf1" and not one.cell.space and not one.cell.attend for one in members)
        if not fed or not plain:
            continue
        beside = {tensor.name for member in members for tensor in member.weights.values()}
        others = [layer.scope.rpartition("/")[0] for layer in layers if layer not in members]
        bottom = attending(members[0], scope, tensors, beside, others)
        if bottom is not None and bottom.sizes[TOP_SIZE] == passed_size(members[-1]):
            cell = replace(bottom.cell, options=(*bottom.cell.options, OUTPUT_ATTENTION), emits=members[0].cell.emits)
            found[layers.index(members[0])] = replace(bottom, cell=cell, options=defaults(cell, bottom.options))
    return found


def _stacks(layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    """The wrapper's scope → the cells in it, the lowest first, where none is missing."""
    found: dict[str, dict[int, Layer]] = {}
    twice = set()
    for layer in layers:
        member = _MEMBER.fullmatch(layer.scope)
        if member:
            numbered = found.setdefault(member["around"], {})
            twice |= {member["around"]} if int(member["number"]) in numbered else set()
            numbered[int(member["number"])] = layer
    return {
        scope: [numbered[k] for k in range(len(numbered))]
        for scope, numbered in found.items()
        if scope not in twice and sorted(numbered) == list(range(len(numbered)))
    }


def joined(network: Network) -> Network:
    """The network with a layer for each stack in an AttentionWrapper, and for each of its cells where it is no such."""
    for scope, members in _stacks([layer for layer in network.layers if _MEMBER.fullmatch(layer.scope)]).items():
        if TOP_SIZE in members[0].sizes:
            network = _joined(network, scope, members)
    open_ = [layer for layer in network.layers if TOP_SIZE in layer.sizes]
    for layer in open_:
        network = _parted(network, layer, "its stack is not read to the end")
    for layer in network.layers:
        doubt = _doubt(layer, shown=network.checkpoint.graph is not None)
        if doubt:
            network = _parted(network, layer, doubt)
        elif "alignments_1" in {signal.name for signal in layer.cell.signals} and _is_assumed(layer):
            note = (
                f"{layer.name}: that its mechanisms have the order of their memory layers, and one memory, is assumed"
            )
            network = replace(network, notes=(*network.notes, note))
    return network


def _is_assumed(layer: Layer) -> bool:
    """Whether names alone say that it attends to something."""
    attends = any(role.startswith("memory_layer") for role in layer.weights)
    return attends and layer.context is not None and layer.context.evidence == "assumed"


def _doubt(layer: Layer, *, shown: bool) -> str:
    """Why a layer is not in the AttentionWrapper that names make of its weights, or nothing.

    Args:
        layer: any layer.
        shown: a graph came along, and was read.
    """
    if not _is_assumed(layer):
        return ""
    kinds = mechanisms(layer.weights)
    if shown:
        return "the graph shows something else" if len(kinds) > 1 or kinds[0].dynamic else ""
    if len(set(kinds)) > 1:
        return "which of its mechanisms comes first is in the graph alone"
    bare = not any(role in layer.weights for role in _MIXING) and kinds[0] is MECHANISMS[-1]
    if len(kinds) > 1 and bare and not any(role.startswith("attention_g") for role in layer.weights):
        return "how many mechanisms it has is in the graph alone"
    return ""


def _joined(network: Network, scope: str, members: Sequence[Layer]) -> Network:
    """The members of a stack as one layer of the wrapper's name."""
    problem = _problem(network, members)
    made = None if problem else _made(scope, members)
    if made is None:
        return _parted(network, members[0], problem or "its cells do not fit each other")
    names = {member.name for member in members}
    layers = [made if layer is members[0] else layer for layer in network.layers if layer not in members[1:]]
    top = members[-1].name
    kept = {name: uses for name, uses in network.places.items() if name not in names}
    uses = _uses(network, members)
    return replace(
        network,
        layers=tuple(layer if layer is made else _rewired(layer, top, made.name) for layer in layers),
        places={**kept, made.name: uses} if uses else kept,
    )


def _rewired(layer: Layer, old: str, new: str) -> Layer:
    """A layer that reads the last of the stack by its new name."""

    def turned(feed: Feed) -> Feed:
        return replace(feed, sources=tuple(new if source == old else source for source in feed.sources))

    initial = {state: turned(feed) for state, feed in layer.initial.items()}
    context = None if layer.context is None else turned(layer.context)
    return replace(layer, feed=turned(layer.feed), initial=initial, context=context)


def _problem(network: Network, members: Sequence[Layer]) -> str:
    """Why the cells can't be one layer, or nothing."""
    if any(member.settings.get(RESIDUAL.name) for member in members):
        return "what a cell in it is given is added to what it emits"
    shared: dict[str, set[OptionValue]] = {}
    for member in members:
        for name, value in member.settings.items():
            shared.setdefault(name, set()).add(value)
    differing = [name for name, values in shared.items() if len(values) > 1]
    if differing:
        return f"{differing[0]} is not the same in all of its cells"
    if network.checkpoint.graph is not None:
        context = members[0].context
        chained = all(one.feed.sources == (below.name,) for one, below in zip(members[1:], members, strict=False))
        if not chained or context is None or context.evidence != "graph":
            return "the graph does not give each cell in it what the one below emits"
    return ""


def _made(scope: str, members: Sequence[Layer]) -> Layer | None:
    """The stack in its wrapper, or None where the weights don't fit."""
    bottom = members[0]
    inner = bottom.cell.wraps
    assert inner is not None
    own = {weight.role for weight in inner.weights}
    cells = [inner, *(member.cell for member in members[1:])]
    weights = [{role: tensor for role, tensor in bottom.weights.items() if role in own}]
    weights += [dict(member.weights) for member in members[1:]]
    whole = cells[0] if len(cells) == 1 else stacked(cells, ["projection" in of for of in weights])
    held = {f"{role}{suffix(k, len(cells))}": t for k, of in enumerate(weights) for role, t in of.items()}
    held |= {role: tensor for role, tensor in bottom.weights.items() if role not in own}
    cell = _wrapped(whole, held)
    passes = bottom.settings[OUTPUT_ATTENTION.name] is not False
    cell = cell if passes else emitting(cell, attention=False)
    sizes = fit(cell, held)
    if sizes is None:
        return None
    known: dict[str, Value] = {name: value for one in members for name, value in one.options.items()}
    initial = {
        f"{state}{suffix(k, len(cells))}": feed for k, one in enumerate(members) for state, feed in one.initial.items()
    }
    return replace(
        bottom,
        name=scope if bottom.name == bottom.scope else bottom.name,
        scope=scope,
        cell=cell,
        weights=held,
        sizes={**sizes, MEMORY_STEPS: 0},
        options=defaults(cell, known),
        feed=bottom.feed if bottom.feed.evidence == "graph" else Feed(),
        initial=initial,
    )


def _wrapped(cell: Cell, weights: Mapping[str, Tensor]) -> Cell:
    """A cell in the wrapper that these weights are of."""
    return attention_wrapper(*mechanisms(weights), mixed=any(role in weights for role in _MIXING))(cell)


def _parted(network: Network, bottom: Layer, why: str) -> Network:
    """The lowest cell as a layer by itself, whose input is the wrapper's beside the attention."""
    inner = bottom.cell.wraps
    assert inner is not None
    weights = {weight.role: bottom.weights[weight.role] for weight in inner.weights if weight.role in bottom.weights}
    sizes = fit(inner, weights)
    assert sizes is not None
    alone = replace(
        bottom,
        cell=inner,
        weights=weights,
        sizes=sizes,
        options={name: value for name, value in bottom.options.items() if name in defaults(inner)},
        feed=Feed((f"input of {bottom.name}",), evidence=bottom.feed.evidence),
        context=None,
    )
    note = f"{bottom.name}: the AttentionWrapper around it is not rebuilt: {why}; what enters it is [x, attention]"
    return replace(
        network,
        layers=tuple(alone if layer is bottom else layer for layer in network.layers),
        places={name: uses for name, uses in network.places.items() if name != bottom.name},
        notes=(*network.notes, note),
    )


def _uses(network: Network, members: Sequence[Layer]) -> tuple[Use, ...]:
    """The passes that a graph makes through the stack: through each cell the one that feeds that through the next."""
    found = []
    for top in network.places.get(members[-1].name, ()):
        chain = [top]
        for member in reversed(members[:-1]):
            below = [use for use in network.places.get(member.name, ()) if use.number in chain[0].below]
            if len(below) != 1 or len(below[0].signals) != len(top.signals):
                break
            chain.insert(0, below[0])
        if len(chain) == len(members):
            found.append(_use(chain))
    return tuple(found)


def _use(chain: Sequence[Use]) -> Use:
    """A pass through the cells as one through the stack; what reads it knows it by the last one's number."""
    bottom, top = chain[0], chain[-1]
    marks = [suffix(k, len(chain)) for k in range(len(chain))]
    marked = list(zip(marks, chain, strict=True))
    signals: list[dict[str, Tap]] = [{} for _ in top.signals]
    for mark, use in marked:
        for all_, own in zip(signals, use.signals, strict=True):
            all_ |= {name if _WRAPPER.fullmatch(name) else f"{name}{mark}": tap for name, tap in own.items()}
    return replace(
        bottom,
        number=top.number,
        signals=tuple(signals),
        carried={f"{state}{mark}": ref for mark, use in marked for state, ref in use.carried.items()},
        starts={f"{state}{mark}": refs for mark, use in marked for state, refs in use.starts.items()},
        looped=top.looped,
    )
