"""From runs to places in the network: which runs are one layer, and which are several that share their weights.

Runs of one cell that read the same things in the same direction are copies: the graphs of training and of evaluation,
say. Runs that read different layers, or in different directions, are layers of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnprobe.recover.graph.around import SHAPES
from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.paths import ADDS, combined, without_dropout
from rnnprobe.recover.graph.runs import Run
from rnnprobe.recover.graph.trace import Part, Tracer, in_order
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View

_NUMBER = re.compile(r"_?\d+$")


@dataclass(slots=True)
class Spot:
    """A layer's place.

    Attributes:
        owner: whose weights it has.
        backward: time runs backward through it; None where what enters does not agree about that.
        parts: what enters, with the numbers of spots for those of runs.
        depth: how many layers lie before it.
        runs: the runs that are copies of it.
        roots: the tensors outside of the network that enter.
        ids: for each part, those that look up rows of its table.
    """

    owner: int
    backward: bool | None
    parts: tuple[Part, ...]
    depth: int
    runs: list[int] = field(default_factory=list)
    roots: set[Ref] = field(default_factory=set)
    ids: list[set[Ref]] = field(default_factory=list)


def residuals(view: View, applications: Iterable[Application]) -> dict[Ref, int]:
    """The sums of a cell's input and its h: tensor → the number of the application."""
    found = {}
    for number, app in enumerate(applications):
        if app.emitted is None or len(app.inputs) != 1:
            continue
        for x in {app.inputs[0], without_dropout(view, app.inputs[0])}:
            for total, h in combined(view, x, ADDS):
                if without_dropout(view, h) == app.emitted:
                    found[total] = number
    return found


def outputs(applications: Sequence[Application], runs: Sequence[Run], sums: Mapping[Ref, int]) -> dict[Ref, Part]:
    """What every run computes: tensor → what it is to a layer that reads it."""
    found: dict[Ref, Part] = {}
    totals: dict[int, list[Ref]] = {}
    for total, number in sums.items():
        totals.setdefault(number, []).append(total)
    for number, run in enumerate(runs):
        added = not totals.keys().isdisjoint(run.steps)
        for place, step in enumerate(run.steps):
            app = applications[step]
            if app.h_out is not None and app.emitted is not None:
                index = place if len(run.steps) > 1 and not run.looped else None
                part = Part("run", number, index=index, passed_on=not added)
                found[app.h_out] = replace(part, passed_on=False)
                found[app.emitted] = part
                found.update(dict.fromkeys(totals.get(step, ()), replace(part, passed_on=True)))
    return found


def entering(tracer: Tracer, applications: Sequence[Application], run: Run) -> tuple[Part, ...]:
    """What enters a run."""
    steps = []
    for number in run.steps:
        app = applications[number]
        parts = [tracer.parts(x) for x in app.inputs]
        whole = tuple(replace(part, reversed=part.reversed ^ app.turned) for found in parts for part in found)
        steps.append(whole if all(parts) else (Part("outside", root=app.inputs),))
    if run.looped or len(steps) == 1:
        if run.looped and any(part.index is not None for part in steps[0]):
            return (Part("outside", root=applications[run.steps[0]].inputs),)
        return steps[0]
    return in_order(steps) or (Part("outside", root=applications[run.steps[0]].inputs),)


def trials(
    view: View, applications: Sequence[Application], runs: Sequence[Run], feeds: Sequence[tuple[Part, ...]]
) -> set[int]:
    """Runs of one step that are none of the network: Keras's `K.rnn` tries its step once to see what comes of it.

    Such a step is given the first of the sequence that a loop of the same cell runs through, before it is turned round,
    and nothing reads what it gives.
    """
    sequences = {(run.owner, _whole(feed)) for run, feed in zip(runs, feeds, strict=True) if run.looped}
    return {
        number
        for number, (run, feed) in enumerate(zip(runs, feeds, strict=True))
        if not run.looped
        and len(run.steps) == 1
        and all(part.index in (0, None) for part in feed)
        and (run.owner, _whole(feed)) in sequences
        and not _is_read(view, applications[run.steps[0]])
    }


def _whole(feed: Sequence[Part]) -> tuple[Part, ...]:
    """What enters, whichever step of it and whichever way round."""
    return tuple(replace(part, index=None, reversed=False) for part in feed)


def _is_read(view: View, app: Application) -> bool:
    refs = [ref for ref in (app.h_out, app.passed) if ref is not None]
    return any(view.nodes[reader].op not in SHAPES for ref in refs for reader, _ in view.consumers(ref))


def attended(tracer: Tracer, applications: Sequence[Application], runs: Sequence[Run]) -> dict[int, tuple[Part, ...]]:
    """Run → what it attends to, for those that attend to a memory."""
    found = {}
    for number, run in enumerate(runs):
        memory = applications[run.steps[0]].memory
        if memory is not None:
            found[number] = tracer.parts(memory[0])
    return found


def spots(runs: Sequence[Run], feeds: Sequence[tuple[Part, ...]], entries: Sequence[tuple[Ref, ...]]) -> list[Spot]:
    """Every place, those that feed others first.

    Args:
        runs: the runs.
        feeds: what enters each.
        entries: the tensors that enter the first step of each.
    """
    feeds = list(feeds)
    places: dict[int, int] = {}
    found: list[Spot] = []
    keys: dict[tuple[object, ...], int] = {}
    waiting = list(range(len(runs)))
    while waiting:
        ready = [k for k in waiting if all(part.source in places for part in feeds[k] if part.kind == "run")]
        if not ready:
            # A circle: what enters one of them is left to the user.
            ready = waiting[:1]
            feeds[ready[0]] = (Part("outside", root=entries[ready[0]]),)
        for k in ready:
            spot = _spot(runs[k], feeds[k], places, found)
            key = (spot.owner, spot.backward, *(part.origin for part in spot.parts))
            number = keys.setdefault(key, len(found))
            if number == len(found):
                found.append(spot)
            found[number].runs.append(k)
            found[number].roots.update(root for part in feeds[k] if part.kind == "outside" for root in part.root)
            found[number].ids = found[number].ids or [set() for _ in feeds[k]]
            for ids, part in zip(found[number].ids, feeds[k], strict=True):
                ids.update(part.root if part.kind == "table" else ())
            places[k] = number
        waiting = [k for k in waiting if k not in places]
    return found


def _spot(run: Run, feed: tuple[Part, ...], places: Mapping[int, int], found: Sequence[Spot]) -> Spot:
    parts = []
    turns: set[bool | None] = set()
    depth = 0
    for part in feed:
        if part.kind == "run":
            below = found[places[int(part.source)]]
            parts.append(replace(part, source=places[int(part.source)]))
            turns.add(None if below.backward is None else below.backward ^ part.reversed)
            depth = max(depth, below.depth + 1)
        else:
            parts.append(part)
            turns.add(part.reversed)
    return Spot(run.owner, turns.pop() if len(turns) == 1 else None, tuple(parts), depth)


def downstream(view: View, applications: Iterable[Application]) -> set[int]:
    """The nodes that what a cell computes goes into."""
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(view.nodes):
        if not node.hidden:
            for source, _ in view.inputs(node):
                readers.setdefault(source, []).append(number)
    front = [app.node for app in applications]
    seen = set(front)
    while front:
        for reader in readers.get(front.pop(), ()):
            if reader not in seen:
                seen.add(reader)
                front.append(reader)
    return seen


def outside_names(spots: Sequence[Spot], names: Sequence[str], view: View, inner: set[int]) -> list[str]:
    """What to call that which enters each spot from outside: `input` for the model's own, one name for each other.

    Where there are several, those that the graph has a placeholder for go by its name.
    """
    groups: list[tuple[set[Ref], str]] = []
    found = [""] * len(spots)
    for k in _order(spots):
        spot, own = spots[k], f"input of {names[k]}"
        if any(root[0] in inner or view.node(root).op in (LOOP_VARIABLE, "Exit") for root in spot.roots):
            found[k] = own
        elif spot.roots:
            found[k] = _shared(groups, spot.roots, own if groups else "input")
        else:
            found[k] = own if groups else "input"
    if len(groups) > 1:
        given = [_placeholder(view, roots) for roots, _ in groups]
        called = {name: own for (_, name), own in zip(groups, given, strict=True) if own and given.count(own) == 1}
        found = [called.get(name, name) for name in found]
    return found


def _order(spots: Sequence[Spot]) -> list[int]:
    """The spots as the layers stand in the network, whatever the order in which the graph holds them."""
    return sorted(range(len(spots)), key=lambda k: (spots[k].owner, k))


def _placeholder(view: View, roots: Iterable[Ref]) -> str:
    """The name of the one placeholder that roots are, or that of several without their numbers; or empty."""
    nodes = [view.node(root) for root in roots]
    names = {node.name if len(nodes) == 1 else _NUMBER.sub("", node.name) for node in nodes}
    given = all(node.op.startswith("Placeholder") for node in nodes)
    return names.pop() if given and len(names) == 1 else ""


def tables(spots: Sequence[Spot], names: Sequence[str]) -> tuple[list[list[str]], dict[str, str]]:
    """What to call the tables that spots read rows of, and the inputs that give the ids.

    Returns:
        For each part of each spot, its table as it is stored, with the spot's name where the same table is read by
        other ids before, or an empty name for what is no table; and table → the first one that is read by the same ids.
    """
    known: dict[str, list[tuple[set[Ref], str]]] = {}
    inputs: list[tuple[set[Ref], str]] = []
    sources: dict[str, str] = {}
    found: list[list[str]] = [[] for _ in spots]
    for k in _order(spots):
        for part, ids in zip(spots[k].parts, spots[k].ids, strict=True):
            called = ""
            if part.kind == "table":
                groups = known.setdefault(str(part.source), [])
                called = _shared(groups, ids, f"{part.source} of {names[k]}" if groups else str(part.source))
                sources[called] = _shared(inputs, ids, called)
            found[k].append(called)
    return found, sources


def _shared(groups: list[tuple[set[Ref], str]], refs: set[Ref], name: str) -> str:
    """The name of the group that has one of these tensors; else a new one of this name."""
    group = next((group for group in groups if group[0] & refs), None)
    if group is None:
        group = (set(), name)
        groups.append(group)
    group[0].update(refs)
    return group[1]


def initial_names(runs: Iterable[Run], variables: Variables) -> list[str]:
    """The stored variables that runs start from."""
    return sorted({name for run in runs for ref in run.initial if (name := variables.name(ref))})
