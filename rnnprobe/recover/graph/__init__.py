"""What a graph says of a network: the options of its cells, and what feeds what (cells.md, sections 11 and 13).

Names and shapes give the layers (`names`); the graph that came with them shows how each kernel is used. What it shows
is taken with the evidence `graph`; what it does not show, or shows in a way that is not understood, is left as it was,
and a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnprobe.cells.layers import passed_size
from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.masks import Masked, holding, masked, skipping
from rnnprobe.recover.graph.owners import Owner, applications, owners, settled
from rnnprobe.recover.graph.paths import without_dropout
from rnnprobe.recover.graph.places import uses
from rnnprobe.recover.graph.runs import Run, runs
from rnnprobe.recover.graph.spots import (
    Spot,
    attended,
    downstream,
    entering,
    initial_names,
    outputs,
    outside_names,
    residuals,
    spots,
    tables,
    trials,
)
from rnnprobe.recover.graph.starts import started
from rnnprobe.recover.graph.told import joined, told
from rnnprobe.recover.graph.trace import Part, Tracer
from rnnprobe.recover.graph.unnamed import unclaimed
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View, view
from rnnprobe.recover.graph.wrapped import rewrapped
from rnnprobe.recover.stacks import MEMORY
from rnnprobe.types import Candidate, Embedding, Feed, Layer, Network, Use, Value

_INPUTS = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Const", "Fill", "ZerosLike"}
_FORWARD = re.compile(r"(?<![^/_])(fw|FW)(?![^/])")


@dataclass(slots=True)
class _Reading:
    """All that was read off a graph: owners that are layers, their applications, their runs, their places."""

    network: Network
    view: View
    variables: Variables
    owners: list[Owner]
    layers: dict[int, Layer]
    applications: list[Application]
    runs: list[Run]
    residual: set[int]
    spots: list[Spot]
    feeds: list[tuple[Part, ...]]
    memories: dict[int, tuple[Part, ...]]
    masks: dict[int, Masked]
    dropped: bool
    uses: dict[int, Use]
    untried: list[str]


def refine(network: Network) -> Network:
    """The network with what its graph says: options and wiring with the evidence `graph`.

    Candidates whose use the graph shows become layers, cells that several positions share become a layer for each. A
    graph that is not understood leaves the network as it was, with notes that say what was not.

    Args:
        network: what names and shapes gave; `network.checkpoint.graph` is a MetaGraphDef or GraphDef.
    """
    reading = _read(network)
    layers, feeds_notes = _layers(reading)
    fed = {source for layer in layers for source in layer.feed.sources}
    confirmed = {reading.layers[number].scope for number in reading.layers if reading.owners[number].layer is None}
    places = {name: _uses(reading, spot) for name, spot in zip(_names(reading), reading.spots, strict=True)}
    return replace(
        network,
        layers=_sorted(started(layers, places, reading.view)),
        embeddings=_embeddings(reading, layers, fed),
        candidates=_candidates(reading, layers),
        notes=(*network.notes, *_notes(reading, confirmed), *feeds_notes),
        places=places,
    )


def _uses(reading: _Reading, spot: Spot) -> tuple[Use, ...]:
    """The uses that the graph makes of the layer at a spot."""
    found = uses(spot.runs, reading.runs, reading.feeds, reading.memories, reading.applications, reading.uses)
    apps, every = reading.applications, reading.runs
    return tuple(
        holding(reading.view, use, [apps[number] for number in every[use.number].steps])
        if use.number in reading.masks
        else use
        for use in found
    )


def _candidates(reading: _Reading, layers: Sequence[Layer]) -> tuple[Candidate, ...]:
    """Those that no layer accounts for, and constants of a frozen graph that only its loops show to be recurrent."""
    network = reading.network
    left = tuple(candidate for candidate in network.candidates if not _within(candidate.scope, layers))
    claimed = {tensor.name for layer in layers for tensor in layer.weights.values()}
    claimed |= {name for name in network.checkpoint.tensors if any(name.startswith(f"{c.scope}/") for c in left)}
    return left + tuple(unclaimed(Reader(reading.view, reading.variables), network.checkpoint.tensors, claimed))


def _within(scope: str, layers: Iterable[Layer]) -> bool:
    """Whether a scope is a layer's, or lies inside of one."""
    return any(scope == layer.scope or scope.startswith(f"{layer.scope}/") for layer in layers)


def _read(network: Network) -> _Reading:
    web = view(network.checkpoint.graph)
    variables = Variables(web, network.checkpoint.tensors)
    reader = Reader(web, variables)
    owned = owners(network, reader)
    apps = applications(reader, owned)
    every = runs(web, apps)
    layers = {
        number: layer
        for number, owner in enumerate(owned)
        if (layer := settled(number, owner, apps, every)) is not None
    }
    layers |= {app.owner: rewrapped(layers[app.owner], app) for app in apps if app.cell is not None}
    numbered = told(reader, network.checkpoint.tensors, owned, layers, apps)
    layers |= numbered.layers
    apps, every = joined(numbered, apps, every)
    sums = residuals(web, apps)
    kept = [number for number, run in enumerate(every) if run.owner in layers and run.recurrent]
    tracer, feeds = _traced(web, variables, apps, [every[number] for number in kept], sums)
    idle = trials(web, apps, [every[number] for number in kept], feeds)
    if idle:
        kept = [number for k, number in enumerate(kept) if k not in idle]
        tracer, feeds = _traced(web, variables, apps, [every[number] for number in kept], sums)
    found = [every[number] for number in kept]
    entries = [apps[run.steps[0]].inputs for run in found]
    return _Reading(
        network=network,
        view=web,
        variables=variables,
        owners=owned,
        layers=layers,
        applications=apps,
        runs=found,
        residual=set(sums.values()),
        spots=spots(found, feeds, entries),
        feeds=feeds,
        memories=attended(tracer, apps, found),
        masks={k: mask for k, run in enumerate(found) if (mask := masked(tracer, apps, run)) is not None},
        dropped=bool(tracer.dropped),
        uses={k: numbered.uses[number] for k, number in enumerate(kept) if number in numbered.uses},
        untried=numbered.untried,
    )


def _traced(
    web: View, variables: Variables, apps: Sequence[Application], found: Sequence[Run], sums: Mapping[Ref, int]
) -> tuple[Tracer, list[tuple[Part, ...]]]:
    """What enters each run, and the tracer that found it."""
    tracer = Tracer(web, variables, outputs(apps, found, sums))
    return tracer, [entering(tracer, apps, run) for run in found]


# Layers --------------------------------------------------------------------------------------------------------------


def _layers(reading: _Reading) -> tuple[list[Layer], list[str]]:
    """The layers, those of an owner together, and notes on what was not understood."""
    notes: list[str] = []
    names = _names(reading)
    inner = downstream(reading.view, reading.applications)
    outside = outside_names(reading.spots, names, reading.view, inner)
    looked_up, _ = tables(reading.spots, names)
    named = {root: outside[k] for k, spot in enumerate(reading.spots) for root in spot.roots}
    for k, spot in enumerate(reading.spots):
        named |= {one: table for ids, table in zip(spot.ids, looked_up[k], strict=True) for one in ids}
    found: list[Layer] = []
    for number, layer in reading.layers.items():
        own = [k for k, spot in enumerate(reading.spots) if spot.owner == number]
        if not own:
            used = any(app.owner == number for app in reading.applications)
            way = "does not carry its states on as the cell does" if used else "does not show how it is used"
            if layer.scope in reading.untried:
                way = "shows its use in no form that is known, and is too large to look for it by numbers"
            notes.append(f"{layer.name}: the graph {way}; it is left as it was")
            found.append(layer)
        for k in own:
            placed = _placed(reading, k, names, outside[k], looked_up[k], notes)
            masks = [reading.masks[run] for run in reading.spots[k].runs if run in reading.masks]
            found.append(skipping(placed, reading.spots[k].backward, masks, named, notes))
    # The graph may have shown that a layer's cell is another.
    read = {id(reading.owners[number].layer) for number in reading.layers}
    found += [layer for layer in reading.network.layers if id(layer) not in read]
    # An assumed feed may name a layer that has become several.
    present = {layer.name for layer in found}
    first = {layer.name: names[k] for k, layer in _first_spots(reading).items()}
    return [
        replace(layer, feed=replace(layer.feed, sources=tuple(_present(s, present, first) for s in layer.feed.sources)))
        for layer in found
    ], notes


def _present(source: str, present: set[str], first: dict[str, str]) -> str:
    return source if source in present else first.get(source, source)


def _first_spots(reading: _Reading) -> dict[int, Layer]:
    found: dict[int, Layer] = {}
    seen = set()
    for k, spot in enumerate(reading.spots):
        if spot.owner not in seen:
            seen.add(spot.owner)
            found[k] = reading.layers[spot.owner]
    return found


def _names(reading: _Reading) -> list[str]:
    """A name for each spot: the layer's own, with direction and position where its weights serve several."""
    names = [reading.layers[spot.owner].name for spot in reading.spots]
    taken = {layer.name for layer in reading.network.layers}
    for number, layer in reading.layers.items():
        own = [k for k, spot in enumerate(reading.spots) if spot.owner == number]
        if len(own) < 2:
            continue
        turned = {reading.spots[k].backward for k in own} == {True, False}
        for backward in (False, True, None):
            here = [k for k in own if reading.spots[k].backward is backward]
            here.sort(key=lambda k: reading.spots[k].depth)
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


def _placed(
    reading: _Reading, k: int, names: Sequence[str], outside: str, looked_up: Sequence[str], notes: list[str]
) -> Layer:
    """The layer at a spot, which reads what is `outside`, or rows of the tables that are called `looked_up`."""
    spot = reading.spots[k]
    layer = replace(reading.layers[spot.owner], name=names[k])
    layer = replace(layer, options=_options(reading, layer, spot, notes))
    if layer.context is not None:
        layer = replace(layer, context=_context(reading, spot, layer.context, layer.sizes["memory_size"], names))
    if spot.backward is None:
        notes.append(f"{layer.name}: its inputs run in different directions; the direction is left as it was")
        return layer
    sources = [_source(reading, part, names, table) for part, table in zip(spot.parts, looked_up, strict=True)]
    widths = [width for _, width in sources]
    if sources and sum(widths) == layer.input_size and all(widths):
        feed = Feed(tuple(name for name, _ in sources), evidence="graph")
    elif _behind_unread(reading, layer):
        feed = layer.feed
    else:
        if any(part.kind != "outside" for part in spot.parts):
            outside = f"input of {layer.name}"
            seen = ", ".join(
                name or _computed(reading, part) for (name, _), part in zip(sources, spot.parts, strict=True)
            )
            notes.append(
                f"{layer.name}: what enters it is more than layers and embeddings, and is left to the user ({seen})"
            )
        elif any(not _is_input(reading, part) for part in spot.parts):
            seen = ", ".join(_computed(reading, part) for part in spot.parts)
            notes.append(f"{layer.name}: what enters it is computed by other parts of the graph ({seen})")
        feed = Feed((outside,), evidence="graph")
    return replace(layer, direction="backward" if spot.backward else "forward", feed=feed)


def _context(reading: _Reading, spot: Spot, assumed: Feed, size: int, names: Sequence[str]) -> Feed:
    """What the layer at a spot attends to: what layers pass on, or something that the user gives."""
    parts = next((reading.memories[run] for run in spot.runs if run in reading.memories), ())
    if not parts:
        return assumed
    place = {run: k for k, other in enumerate(reading.spots) for run in other.runs}
    found = []
    for part in parts:
        if part.kind == "run":
            at = place[int(part.source)]
            turned = reading.spots[at].backward is not part.reversed
            found.append(("", 0) if turned else _source(reading, replace(part, source=at), names, ""))
    if len(found) == len(parts) and all(name for name, _ in found) and sum(width for _, width in found) == size:
        return Feed(tuple(name for name, _ in found), evidence="graph")
    several = len({run.owner for k, run in enumerate(reading.runs) if k in reading.memories}) > 1
    return Feed((f"{MEMORY} of {names[reading.spots.index(spot)]}" if several else MEMORY,), evidence="graph")


def _behind_unread(reading: _Reading, layer: Layer) -> bool:
    """Whether names say that cells feed a layer whose use is not read off the graph, so that it can't deny it."""
    read = {reading.layers[spot.owner].name for spot in reading.spots}
    unread = {other.name for other in reading.network.layers} - read
    return layer.feed.evidence == "weights" and unread.issuperset(layer.feed.sources)


def _source(reading: _Reading, part: Part, names: Sequence[str], table: str) -> tuple[str, int]:
    """The name and the width of what enters, or an empty name and 0 where it can't be named."""
    if part.kind == "run" and part.passed_on:
        return names[int(part.source)], passed_size(reading.layers[reading.spots[int(part.source)].owner])
    if part.kind == "table":
        tensor = reading.network.checkpoint.tensors.get(str(part.source))
        if tensor is not None and len(tensor.shape) == 2:
            return table, tensor.shape[1]
    return "", 0


def _is_input(reading: _Reading, part: Part) -> bool:
    """Whether something from outside is what the model itself is given."""
    ops = {reading.view.node(root).op for root in part.root}
    return all(op in _INPUTS or op.startswith(("QueueDequeue", "IteratorGetNext")) for op in ops)


def _computed(reading: _Reading, part: Part) -> str:
    """In words, what computes something from outside."""
    node = reading.view.node(part.root[0]) if part.root else None
    if node is None or node.op == LOOP_VARIABLE:
        return "what a loop carries"
    return f"{node.op} {node.name}"


def _options(reading: _Reading, layer: Layer, spot: Spot, notes: list[str]) -> dict[str, Value]:
    """The layer's options with what the graph says of them."""
    uses = [number for k in spot.runs for number in reading.runs[k].steps]
    problems = sorted({reading.applications[number].problem for number in uses} - {""})
    if problems:
        notes.append(f"{layer.name}: {'; '.join(problems)}: its options are not taken from the graph")
        return dict(layer.options)
    # Where the uses differ, those without dropout come last, and the last is taken.
    uses.sort(key=lambda number: _plain(reading, reading.applications[number]))
    read = [{**reading.applications[k].options, "residual": k in reading.residual} for k in uses]
    options = dict(layer.options)
    for name, value in layer.options.items():
        values = [found[name] for found in read if name in found]
        if not values:
            continue
        if any(other != values[-1] for other in values):
            notes.append(f"{layer.name}: {name} differs between its uses in the graph; {values[-1]} is taken")
        if value.evidence != "cell":
            options[name] = Value(values[-1], "graph")
        elif values[-1] != value.value:
            notes.append(f"{layer.name}: the graph has {values[-1]} as {name}, the cell {value.value}")
    return options


def _plain(reading: _Reading, app: Application) -> bool:
    """Whether no dropout is applied to what enters."""
    return all(without_dropout(reading.view, x) == reading.view.resolve(x) for x in app.inputs)


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


def _embeddings(reading: _Reading, layers: Sequence[Layer], fed: set[str]) -> tuple[Embedding, ...]:
    """The tables that feed a layer, those that the graph shows there with that evidence."""
    network = reading.network
    called, ids = tables(reading.spots, _names(reading))
    stored = {
        name: network.checkpoint.tensors[str(part.source)]
        for spot, own in zip(reading.spots, called, strict=True)
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


def _notes(reading: _Reading, confirmed: Iterable[str]) -> list[str]:
    notes = [f"the graph shows that {scope} is a recurrent cell" for scope in sorted(confirmed)]
    for number, layer in reading.layers.items():
        kinds = sorted({app.kind for app in reading.applications if app.owner == number and app.kind})
        notes += [f"{layer.name}: the graph computes it with the op {kind}" for kind in kinds]
        starts = initial_names((run for run in reading.runs if run.owner == number), reading.variables)
        notes += [f"{layer.name}: its h starts from the stored {name}" for name in starts]
    if reading.dropped:
        notes.append("the graph applies dropout; it is left out, as at inference")
    if reading.view.unread:
        notes.append(f"{len(reading.view.unread)} functions of the graph were not read, {reading.view.unread[0]} first")
    return notes
