"""Which applications of a cell are steps of one pass over time.

An application's old h is followed back, through loops, conditionals, selections and packed states, to whatever computed
it. Where that is the new h of an application of the same cell, the two are steps of one run, in this order; where it is
the application's own, the loop is the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Ref, View

_CHOICES = {LOOP_VARIABLE, *MERGES}
_FIRST = {"Exit", "SplitV", "Slice", "StridedSlice", "Unpack", "Reshape", "Squeeze", "ExpandDims", "Cast", "Transpose"}
_FIRST |= {"Tile", "Gather", "GatherV2", "GatherNd"}  # a state for each beam, and beams in another order
GIVEN = {
    "Const",
    "Fill",
    "ZerosLike",
    "Placeholder",
    "PlaceholderWithDefault",
    "Variable",
    "VariableV2",
    "VarHandleOp",
}
"""What a first state may come from."""
_MOST = 4000


@dataclass(frozen=True, slots=True)
class Run:
    """A pass over time.

    Attributes:
        owner: the layer or candidate.
        steps: its applications (numbers), in the order of time; a single one where a loop or a fused op repeats it.
        looped: whether it repeats.
        initial: the tensors that h starts from.
        initial_c: the tensors that c starts from.
        recurrent: its states come back to it together, or are at least given from outside.
    """

    owner: int
    steps: tuple[int, ...]
    looped: bool
    initial: tuple[Ref, ...]
    recurrent: bool
    initial_c: tuple[Ref, ...] = ()


def behind(view: View, h: Ref, peers: Mapping[Ref, int]) -> tuple[set[Ref], set[int]]:
    """What a state comes from.

    Args:
        view: the graph.
        h: the state as an application reads it.
        peers: states that other applications read → their numbers; the search stops there.

    Returns:
        The tensors at which the search ended, and the numbers of the peers that it met.
    """
    ends: set[Ref] = set()
    met: set[int] = set()
    seen = {h}
    front = [h]
    while front and len(seen) < _MOST:
        at = front.pop()
        if at != h and at in peers and view.node(at).op in _CHOICES | SELECTS:
            met.add(peers[at])
            continue
        sources = _sources(view, at)
        if not sources:
            ends.add(at)
        for source in sources:
            source = view.resolve(source)
            if source not in seen:
                seen.add(source)
                front.append(source)
    return ends, met


def _sources(view: View, ref: Ref) -> Sequence[Ref]:
    """The tensors of which one is this state, in part or whole; none where something is computed."""
    node = view.node(ref)
    if node.op in _CHOICES:
        return node.inputs
    if node.op in SELECTS:
        kept = without_dropout(view, ref)
        return [kept] if kept != ref else node.inputs[1:]
    if node.op in _FIRST:
        return node.inputs[:1]
    if node.op == "Split":
        return node.inputs[1:2]
    if node.op == "Pack":
        return node.inputs
    if node.op == "Mul":
        kept = without_dropout(view, ref)
        return [kept] if kept != ref else []
    return joins(view, ref)


@dataclass(frozen=True, slots=True)
class _State:
    """One state (h or c) of every application of an owner: the tensors as they enter and as they leave."""

    entering: dict[Ref, int]
    leaving: dict[Ref, int]

    def makers(self, view: View, ref: Ref) -> tuple[set[int], set[int], list[Ref]]:
        """Who computed a state, whose state it shares, and what else it comes from."""
        ends, met = behind(view, ref, self.entering)
        made = {self.leaving[end] for end in ends if end in self.leaving}
        return made, met, sorted(end for end in ends if end not in self.leaving)


def runs(view: View, applications: Sequence[Application]) -> list[Run]:
    """Every run, in the order of their first applications."""
    hidden: dict[int, _State] = {}
    cells: dict[int, _State] = {}
    for number, app in enumerate(applications):
        for states, pair in ((hidden, (app.h_in, app.h_out)), (cells, app.c)):
            state = states.setdefault(app.owner, _State({}, {}))
            if pair is not None:
                state.entering[pair[0]] = number
                if pair[1] is not None:
                    state.leaving[pair[1]] = number
    before: dict[int, int] = {}
    looped: set[int] = set()
    parted: set[int] = set()
    starts: list[tuple[Ref, ...]] = []
    starts_c: dict[int, tuple[Ref, ...]] = {}
    joined = list(range(len(applications)))
    for number, app in enumerate(applications):
        if app.fused:
            looped.add(number)
            starts.append((app.h_in,))
            starts_c[number] = (app.c[0],) if app.c is not None else ()
            continue
        made, met, others = hidden[app.owner].makers(view, app.h_in)
        starts.append(tuple(others))
        if app.c is not None:
            made_c, _, others_c = cells[app.owner].makers(view, app.c[0])
            starts_c[number] = tuple(others_c)
            if made_c != made:
                parted.add(number)
        if number in made:
            looped.add(number)
        for maker in sorted(made - {number}):
            before.setdefault(number, maker)
        for one in (made | met) - {number}:
            _join(joined, one, number)
    groups: dict[int, list[int]] = {}
    for number in range(len(applications)):
        groups.setdefault(_root(joined, number), []).append(number)
    found = []
    depths = _depths(before, len(applications))
    for group in groups.values():
        steps = tuple(sorted(group, key=lambda number: (depths[number], number)))
        first = steps[0]
        repeats = not looped.isdisjoint(steps)
        carried = repeats or len(steps) > 1 or all(view.node(start).op in GIVEN for start in starts[first])
        found.append(
            Run(
                applications[first].owner,
                steps,
                repeats,
                starts[first],
                carried and parted.isdisjoint(steps),
                starts_c.get(first, ()),
            )
        )
    return found


def _root(joined: list[int], number: int) -> int:
    while joined[number] != number:
        joined[number] = joined[joined[number]]
        number = joined[number]
    return number


def _join(joined: list[int], one: int, other: int) -> None:
    one, other = _root(joined, one), _root(joined, other)
    joined[max(one, other)] = min(one, other)


def _depths(before: Mapping[int, int], count: int) -> list[int]:
    """How many steps lie before each; a circle of steps is cut where it is met."""
    depths = [-1] * count
    for number in range(count):
        path = [number]
        while depths[path[-1]] < 0 and path[-1] in before and before[path[-1]] not in path[-2:]:
            if len(path) > count:
                break
            path.append(before[path[-1]])
        depth = max(depths[path[-1]], 0)
        for step, at in enumerate(reversed(path)):
            if depths[at] < 0:
                depths[at] = depth + step
    return depths
