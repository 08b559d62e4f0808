"""From runs to places in the network: which runs are one layer, and which are several that share their weights.

Runs of one cell that read the same things in the same direction are copies: the graphs of training and of evaluation,
say. Runs that read different layers, or in different directions, are layers of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.paths import ADDS, combined, without_dropout
from rnnprobe.recover.graph.runs import Run
from rnnprobe.recover.graph.trace import Part, Tracer, in_order
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View


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
    """

    owner: int
    backward: bool | None
    parts: tuple[Part, ...]
    depth: int
    runs: list[int] = field(default_factory=list)
    roots: set[Ref] = field(default_factory=set)


def residuals(view: View, applications: Iterable[Application]) -> dict[Ref, int]:
    """The sums of a cell's input and its h: tensor → the number of the application."""
    found = {}
    for number, app in enumerate(applications):
        if app.h_out is None or len(app.inputs) != 1:
            continue
        for x in {app.inputs[0], without_dropout(view, app.inputs[0])}:
            for total, h in combined(view, x, ADDS):
                if without_dropout(view, h) == app.h_out:
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
            h = applications[step].h_out
            if h is not None:
                index = place if len(run.steps) > 1 and not run.looped else None
                part = Part("run", number, index=index, passed_on=not added)
                found[h] = part
                found.update(dict.fromkeys(totals.get(step, ()), replace(part, passed_on=True)))
    return found


def entering(tracer: Tracer, applications: Sequence[Application], run: Run) -> tuple[Part, ...]:
    """What enters a run."""
    steps = []
    for number in run.steps:
        app = applications[number]
        parts = [tracer.parts(x) for x in app.inputs]
        whole = tuple(part for found in parts for part in found)
        steps.append(whole if all(parts) else (Part("outside", root=app.inputs),))
    if run.looped or len(steps) == 1:
        if run.looped and any(part.index is not None for part in steps[0]):
            return (Part("outside", root=applications[run.steps[0]].inputs),)
        return steps[0]
    return in_order(steps) or (Part("outside", root=applications[run.steps[0]].inputs),)


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
    """What to call that which enters each spot from outside: `input` for the model's own, one name for each other."""
    groups: list[tuple[set[Ref], str]] = []
    found = []
    for spot, name in zip(spots, names, strict=True):
        own = f"input of {name}"
        if any(root[0] in inner or view.node(root).op in (LOOP_VARIABLE, "Exit") for root in spot.roots):
            found.append(own)
            continue
        shared = next((group for group in groups if group[0] & spot.roots), None)
        if shared is None:
            shared = (set(), own if groups else "input")
            if spot.roots:
                groups.append(shared)
        shared[0].update(spot.roots)
        found.append(shared[1])
    return found


def initial_names(runs: Iterable[Run], variables: Variables) -> list[str]:
    """The stored variables that runs start from."""
    return sorted({name for run in runs for ref in run.initial if (name := variables.name(ref))})
