"""A network as its graph refines it: its layers, named and in order, its tables, and what to say of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from rnnprobe.recover.graph.cell import Reader
from rnnprobe.recover.graph.findings import Findings, read
from rnnprobe.recover.graph.masks import holding, skipping
from rnnprobe.recover.graph.places import uses
from rnnprobe.recover.graph.placing import placed
from rnnprobe.recover.graph.spots import Spot, downstream, initial_names, outside_names, tables
from rnnprobe.recover.graph.starts import started
from rnnprobe.recover.graph.unnamed import unclaimed
from rnnprobe.types import Candidate, Embedding, Layer, Network, Use

_FORWARD = re.compile(r"(?<![^/_])(fw|FW)(?![^/])")


def refine(network: Network) -> Network:
    """The network with what its graph says: options and wiring with the evidence `graph`.

    Candidates whose use the graph shows become layers, cells that several positions share become a layer for each. A
    graph that is not understood leaves the network as it was, with notes that say what was not.

    Args:
        network: what names and shapes gave; `network.checkpoint.graph` is a MetaGraphDef or GraphDef.
    """
    findings = read(network)
    names = _names(findings)
    looked_up, ids = tables(findings.spots, names)
    layers, layer_notes = _layers(findings, names, looked_up)
    fed = {source for layer in layers for source in layer.feed.sources}
    confirmed = {findings.layers[number].scope for number in findings.layers if findings.owners[number].layer is None}
    places = {name: _uses(findings, spot) for name, spot in zip(names, findings.spots, strict=True)}
    return replace(
        network,
        layers=_sorted(started(layers, places, findings.view)),
        embeddings=_embeddings(findings, layers, fed, looked_up, ids),
        candidates=_candidates(findings, layers),
        notes=(*network.notes, *_notes(findings, confirmed), *layer_notes),
        places=places,
    )


def _uses(findings: Findings, spot: Spot) -> tuple[Use, ...]:
    """The uses that the graph makes of the layer at a spot."""
    found = uses(spot.runs, findings.runs, findings.feeds, findings.memories, findings.applications, findings.uses)
    apps, every = findings.applications, findings.runs
    return tuple(
        holding(findings.view, use, [apps[number] for number in every[use.number].steps])
        if use.number in findings.masks
        else use
        for use in found
    )


def _candidates(findings: Findings, layers: Sequence[Layer]) -> tuple[Candidate, ...]:
    """Those that no layer accounts for, and constants of a frozen graph that only its loops show to be recurrent."""
    network = findings.network
    left = tuple(candidate for candidate in network.candidates if not _within(candidate.scope, layers))
    claimed = {tensor.name for layer in layers for tensor in layer.weights.values()}
    claimed |= {name for name in network.checkpoint.tensors if any(name.startswith(f"{c.scope}/") for c in left)}
    return left + tuple(unclaimed(Reader(findings.view, findings.variables), network.checkpoint.tensors, claimed))


def _within(scope: str, layers: Iterable[Layer]) -> bool:
    """Whether a scope is a layer's, or lies inside of one."""
    return any(scope == layer.scope or scope.startswith(f"{layer.scope}/") for layer in layers)


# Layers --------------------------------------------------------------------------------------------------------------


def _layers(
    findings: Findings, names: Sequence[str], looked_up: Sequence[Sequence[str]]
) -> tuple[list[Layer], list[str]]:
    """The layers, those of an owner together, and notes on what was not understood.

    Args:
        findings: what the graph shows.
        names: what to call the layer at each spot.
        looked_up: for each part of each spot, what to call the table that it looks up, or an empty name.
    """
    notes: list[str] = []
    inner = downstream(findings.view, findings.applications)
    outside = outside_names(findings.spots, names, findings.view, inner)
    named = {root: outside[k] for k, spot in enumerate(findings.spots) for root in spot.roots}
    for k, spot in enumerate(findings.spots):
        named |= {one: table for ids, table in zip(spot.ids, looked_up[k], strict=True) for one in ids}
    found: list[Layer] = []
    for number, layer in findings.layers.items():
        own = [k for k, spot in enumerate(findings.spots) if spot.owner == number]
        if not own:
            used = any(app.owner == number for app in findings.applications)
            way = "does not carry its states on as the cell does" if used else "does not show how it is used"
            if layer.scope in findings.untried:
                way = "shows its use in no form that is known, and is too large to look for it by numbers"
            notes.append(f"{layer.name}: the graph {way}; it is left as it was")
            found.append(layer)
        for k in own:
            here, unclear = placed(findings, k, names=names, outside=outside[k], looked_up=looked_up[k])
            masks = [findings.masks[run] for run in findings.spots[k].runs if run in findings.masks]
            here, unmasked = skipping(here, findings.spots[k].backward, masks, named)
            notes += [*unclear, *unmasked]
            found.append(here)
    # The graph may have shown that a layer's cell is another.
    read = {id(findings.owners[number].layer) for number in findings.layers}
    found += [layer for layer in findings.network.layers if id(layer) not in read]
    # An assumed feed may name a layer that has become several.
    present = {layer.name for layer in found}
    first = {layer.name: names[k] for k, layer in _first_spots(findings).items()}
    return [
        replace(layer, feed=replace(layer.feed, sources=tuple(_present(s, present, first) for s in layer.feed.sources)))
        for layer in found
    ], notes


def _present(source: str, present: set[str], first: dict[str, str]) -> str:
    return source if source in present else first.get(source, source)


def _first_spots(findings: Findings) -> dict[int, Layer]:
    found: dict[int, Layer] = {}
    seen = set()
    for k, spot in enumerate(findings.spots):
        if spot.owner not in seen:
            seen.add(spot.owner)
            found[k] = findings.layers[spot.owner]
    return found


def _names(findings: Findings) -> list[str]:
    """A name for each spot: the layer's own, with direction and position where its weights serve several."""
    names = [findings.layers[spot.owner].name for spot in findings.spots]
    taken = {layer.name for layer in findings.network.layers}
    for number, layer in findings.layers.items():
        own = [k for k, spot in enumerate(findings.spots) if spot.owner == number]
        if len(own) < 2:
            continue
        turned = {findings.spots[k].backward for k in own} == {True, False}
        for backward in (False, True, None):
            here = [k for k in own if findings.spots[k].backward is backward]
            here.sort(key=lambda k: findings.spots[k].depth)
            base = _turned(layer.name, backward) if turned else layer.name
            for place, k in enumerate(here):
                name = base if turned and len(here) == 1 else f"{base}#{place}"
                while name in taken and name != layer.name:
                    name += "'"
                names[k] = name
                taken.add(name)
    return names


def _turned(name: str, backward: bool | None) -> str:
    """A layer's name for one direction: `fw` in it is turned round, or the direction is added."""
    if _FORWARD.search(name):
        return _FORWARD.sub(lambda found: "bw" if found[0] == "fw" else "BW", name, count=1) if backward else name
    return f"{name}/{'bw' if backward else 'fw'}"


# Network -------------------------------------------------------------------------------------------------------------


def _sorted(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The layers in an order in which each can be computed, otherwise as they were."""
    waiting = list(layers)
    names = {layer.name for layer in waiting}
    found: list[Layer] = []
    done: set[str] = set()
    while waiting:
        ready = next((layer for layer in waiting if names & set(_read_by(layer)) <= done), waiting[0])
        found.append(ready)
        done.add(ready.name)
        waiting.remove(ready)
    return tuple(found)


def _read_by(layer: Layer) -> tuple[str, ...]:
    """All that a layer reads or starts from."""
    return tuple(source for feed in layer.feeds for source in feed.sources)


def _embeddings(
    findings: Findings,
    layers: Sequence[Layer],
    fed: set[str],
    looked_up: Sequence[Sequence[str]],
    ids: Mapping[str, str],
) -> tuple[Embedding, ...]:
    """The tables that feed a layer, those that the graph shows there with that evidence.

    Args:
        findings: what the graph shows.
        layers: all of them.
        fed: the names of all that feeds one.
        looked_up: for each part of each spot, what to call the table that it looks up, or an empty name.
        ids: table → the first one that is read by the same ids.
    """
    network = findings.network
    stored = {
        name: network.checkpoint.tensors[str(part.source)]
        for spot, own in zip(findings.spots, looked_up, strict=True)
        for part, name in zip(spot.parts, own, strict=True)
        if name and str(part.source) in network.checkpoint.tensors
    }
    shown = {s for layer in layers if layer.feed.evidence == "graph" for s in layer.feed.sources} & stored.keys()
    kept = [embedding for embedding in network.embeddings if embedding.name in fed - shown]
    return (*kept, *(Embedding(name, stored[name], "graph", _source_of(name, ids, shown)) for name in sorted(shown)))


def _source_of(table: str, ids: Mapping[str, str], shown: Collection[str]) -> str:
    """The input that gives a table its ids, where it is called otherwise than the table."""
    first = next((name for name in ids if ids[name] == ids[table] and name in shown), table)
    return "" if first == table else first


def _notes(findings: Findings, confirmed: Iterable[str]) -> list[str]:
    notes = [f"the graph shows that {scope} is a recurrent cell" for scope in sorted(confirmed)]
    for number, layer in findings.layers.items():
        kinds = sorted({app.kind for app in findings.applications if app.owner == number and app.kind})
        notes += [f"{layer.name}: the graph computes it with the op {kind}" for kind in kinds]
        starts = initial_names((run for run in findings.runs if run.owner == number), findings.variables)
        notes += [f"{layer.name}: its h starts from the stored {name}" for name in starts]
    if findings.dropped:
        notes.append("the graph applies dropout; it is left out, as at inference")
    if findings.view.unread:
        notes.append(
            f"{len(findings.view.unread)} functions of the graph were not read, {findings.view.unread[0]} first"
        )
    return notes
