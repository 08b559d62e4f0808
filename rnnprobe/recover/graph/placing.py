"""The layer at a spot: what enters it, what it attends to, and its options, as far as the graph shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnprobe.cells.layers import passed_size
from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.findings import Findings
from rnnprobe.recover.graph.paths import without_dropout
from rnnprobe.recover.graph.spots import Spot
from rnnprobe.recover.graph.trace import Part
from rnnprobe.recover.graph.view import LOOP_VARIABLE
from rnnprobe.recover.stacks import MEMORY
from rnnprobe.types import Feed, Layer, Value

_INPUTS = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Const", "Fill", "ZerosLike"}


def placed(
    findings: Findings, k: int, *, names: Sequence[str], outside: str, looked_up: Sequence[str]
) -> tuple[Layer, list[str]]:
    """The layer at a spot, and notes on what was not understood of it.

    Args:
        findings: what the graph shows.
        k: the number of the spot.
        names: what to call the layer at each spot.
        outside: what to call that which enters from outside.
        looked_up: for each part that enters, what to call the table whose rows it is, or an empty name.
    """
    spot = findings.spots[k]
    layer = replace(findings.layers[spot.owner], name=names[k])
    options, notes = _options(findings, layer, spot)
    layer = replace(layer, options=options)
    if layer.context is not None:
        layer = replace(layer, context=_context(findings, spot, layer.context, layer.sizes["memory_size"], names))
    if spot.backward is None:
        notes.append(f"{layer.name}: its inputs run in different directions; the direction is left as it was")
        return layer, notes
    sources = [_source(findings, part, names, table) for part, table in zip(spot.parts, looked_up, strict=True)]
    widths = [width for _, width in sources]
    if sources and sum(widths) == layer.input_size and all(widths):
        feed = Feed(tuple(name for name, _ in sources), evidence="graph")
    elif _behind_unread(findings, layer):
        feed = layer.feed
    else:
        if any(part.kind != "outside" for part in spot.parts):
            outside = f"input of {layer.name}"
            seen = ", ".join(
                name or _computed(findings, part) for (name, _), part in zip(sources, spot.parts, strict=True)
            )
            notes.append(
                f"{layer.name}: what enters it is more than layers and embeddings, and is left to the user ({seen})"
            )
        elif any(not _is_input(findings, part) for part in spot.parts):
            seen = ", ".join(_computed(findings, part) for part in spot.parts)
            notes.append(f"{layer.name}: what enters it is computed by other parts of the graph ({seen})")
        feed = Feed((outside,), evidence="graph")
    return replace(layer, direction="backward" if spot.backward else "forward", feed=feed), notes


def _context(findings: Findings, spot: Spot, assumed: Feed, size: int, names: Sequence[str]) -> Feed:
    """What the layer at a spot attends to: what layers pass on, or something that the user gives."""
    parts = next((findings.memories[run] for run in spot.runs if run in findings.memories), ())
    if not parts:
        return assumed
    place = {run: k for k, other in enumerate(findings.spots) for run in other.runs}
    found = []
    for part in parts:
        if part.kind == "run":
            at = place[int(part.source)]
            turned = findings.spots[at].backward is not part.reversed
            found.append(("", 0) if turned else _source(findings, replace(part, source=at), names, ""))
    if len(found) == len(parts) and all(name for name, _ in found) and sum(width for _, width in found) == size:
        return Feed(tuple(name for name, _ in found), evidence="graph")
    several = len({run.owner for k, run in enumerate(findings.runs) if k in findings.memories}) > 1
    return Feed((f"{MEMORY} of {names[findings.spots.index(spot)]}" if several else MEMORY,), evidence="graph")


def _behind_unread(findings: Findings, layer: Layer) -> bool:
    """Whether names say that cells feed a layer whose use is not read off the graph, so that it can't deny it."""
    read = {findings.layers[spot.owner].name for spot in findings.spots}
    unread = {other.name for other in findings.network.layers} - read
    return layer.feed.evidence == "weights" and unread.issuperset(layer.feed.sources)


def _source(findings: Findings, part: Part, names: Sequence[str], table: str) -> tuple[str, int]:
    """The name and the width of what enters, or an empty name and 0 where it can't be named."""
    if part.kind == "run" and part.passed_on:
        return names[int(part.source)], passed_size(findings.layers[findings.spots[int(part.source)].owner])
    if part.kind == "table":
        tensor = findings.network.checkpoint.tensors.get(str(part.source))
        if tensor is not None and len(tensor.shape) == 2:
            return table, tensor.shape[1]
    return "", 0


def _is_input(findings: Findings, part: Part) -> bool:
    """Whether something from outside is what the model itself is given."""
    ops = {findings.view.node(root).op for root in part.root}
    return all(op in _INPUTS or op.startswith(("QueueDequeue", "IteratorGetNext")) for op in ops)


def _computed(findings: Findings, part: Part) -> str:
    """In words, what computes something from outside."""
    node = findings.view.node(part.root[0]) if part.root else None
    if node is None or node.op == LOOP_VARIABLE:
        return "what a loop carries"
    return f"{node.op} {node.name}"


def _options(findings: Findings, layer: Layer, spot: Spot) -> tuple[dict[str, Value], list[str]]:
    """The layer's options with what the graph says of them, and notes on where it contradicts itself or the cell."""
    uses = [number for k in spot.runs for number in findings.runs[k].steps]
    problems = sorted({findings.applications[number].problem for number in uses} - {""})
    if problems:
        return dict(layer.options), [f"{layer.name}: {'; '.join(problems)}: its options are not taken from the graph"]
    # Where the uses differ, those without dropout come last, and the last is taken.
    uses.sort(key=lambda number: _plain(findings, findings.applications[number]))
    read = [{**findings.applications[k].options, "residual": k in findings.residual} for k in uses]
    options, notes = dict(layer.options), []
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
    return options, notes


def _plain(findings: Findings, app: Application) -> bool:
    """Whether no dropout is applied to what enters."""
    return all(without_dropout(findings.view, x) == findings.view.resolve(x) for x in app.inputs)
