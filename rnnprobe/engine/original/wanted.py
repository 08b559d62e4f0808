"""What is recorded of a graph beside recovered layers: recurrences that nothing rebuilds, and single tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rnnprobe.engine.original import ops
from rnnprobe.engine.original.locate import Locator, Spot
from rnnprobe.engine.original.program import placeholder_names, program
from rnnprobe.errors import BadInput, Refused
from rnnprobe.recover.graph.patterns import label
from rnnprobe.recover.graph.targets import Target, Targets
from rnnprobe.recover.graph.view import Ref
from rnnprobe.types import Checkpoint

Kind: TypeAlias = Literal["state", "output", "inner"]


@dataclass(slots=True)
class Group:
    """What is recorded of a recurrence.

    Attributes:
        name: of the layer that it becomes.
        target: the recurrence.
        spots: signal → where it is.
        kinds: signal → what it is.
        initial: state → where what it starts from is.
        entering: where what its loop reads of sequences at each step is.
        lengths: where it is said how many steps it has made of each sequence, if anywhere.
        whole: one op computes all steps; its tensors hold them all.
    """

    name: str
    target: Target
    spots: dict[str, Spot] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    initial: dict[str, Spot] = field(default_factory=dict)
    entering: Sequence[Spot] = ()
    lengths: Spot | None = None
    whole: bool = False

    @property
    def every(self) -> list[Spot]:
        """Where everything is that is recorded at each step."""
        return [*self.spots.values(), *self.entering, *([self.lengths] if self.lengths is not None else [])]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(name for name, kind in self.kinds.items() if kind == "state")

    @property
    def backward(self) -> bool:
        """Whether time runs backward through it."""
        return self.target.recurrence.direction == "backward"


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of it.

    Attributes:
        groups: one for each recurrence.
        outcomes: tensors that no loop holds.
        fed: the tensors that the user feeds, and what with.
        wild: those outcomes that a pattern with wildcards matched.
        readers: of loops that hold layers, what they read at each step; never shown.
        notes: what a report should say.
    """

    groups: tuple[Group, ...] = ()
    outcomes: Mapping[str, Spot] = field(default_factory=dict)
    fed: Mapping[Spot, Any] = field(default_factory=dict)
    wild: frozenset[str] = frozenset()
    readers: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()


def wanted(found: Targets, locator: Locator, path: Path, fed: Mapping[Spot, Any], *, named: bool) -> Wanted:
    """Where everything is that is wanted.

    Args:
        found: what is wanted, of the locator's view.
        locator: of the graph.
        path: of the checkpoint.
        fed: the tensors that the user feeds, and what with.
        named: recurrences were asked for by name, so that none is left out.

    Raises:
        BadInput: something can't be had, by name.
    """
    groups: list[Group] = []
    notes = list(found.notes)
    for name, target in found.recurrences.items():
        group = _group(name, target, locator, path, found.wild)
        lost = [signal for signal in (*target.states, *target.outputs) if signal not in group.spots]
        if lost and not group.spots:
            what = f"{name} lies inside of {target.recurrence.inside or 'a function'}, where nothing can be recorded"
            if named or target.inner:
                raise BadInput(what, path=path)
            notes.append(f"{what}: it is left out")
            continue
        if lost:
            notes.append(f"{', '.join(lost)} of {name} can't be recorded where it is computed")
        groups.append(group)
    outcomes: dict[str, Spot] = {}
    for tensor, ref in found.outcomes.items():
        spot = locator.find(ref)
        if spot is not None and spot.kind == "graph":
            outcomes[tensor] = spot
        elif ref not in found.wild:
            raise _hidden(tensor, path)
    less = len(found.outcomes) - len(outcomes)
    if less:
        notes.append(f"left out of what the patterns match: {less} tensors that can't be recorded where they are")
    wild = frozenset(tensor for tensor in outcomes if found.outcomes[tensor] in found.wild)
    return Wanted(tuple(groups), outcomes, fed, wild, notes=tuple(notes))


def _group(name: str, target: Target, locator: Locator, path: Path, wild: Collection[Ref]) -> Group:
    group = Group(name, target, whole=target.loop is None)
    loop = target.loop
    if loop is not None:
        for signal, variable in target.states.items():
            spot = locator.following(loop, variable)
            if spot is not None:
                group.spots[signal], group.kinds[signal] = spot, "state"
                begin = locator.initial(loop, variable)
                if begin is not None:
                    group.initial[signal] = begin
    refs = [(signal, ref, "output") for signal, ref in target.outputs.items()]
    refs += [(signal, ref, "inner") for signal, ref in target.inner.items()]
    for signal, ref, kind in refs:
        spot = locator.find(ref)
        if spot is not None:
            group.spots[signal], group.kinds[signal] = spot, "output" if kind == "output" else "inner"
        elif kind == "inner" and ref not in wild:
            raise _hidden(label(locator.view, ref), path)
    if group.spots:
        group.entering = _read(target, locator)
    if loop is not None and target.lengths is not None:
        group.lengths = locator.following(loop, target.lengths)
    return group


def _read(target: Target, locator: Locator) -> list[Spot]:
    """What a loop reads of sequences at each step."""
    spots = [locator.find(ref) for ref, _ in target.reads]
    return [spot for spot in spots if spot is not None and spot.kind != "graph"]


def reading(found: Sequence[Target], locator: Locator) -> tuple[Group, ...]:
    """Groups of nothing but what loops read."""
    groups = [Group(f"({one.recurrence.name})", one, entering=_read(one, locator)) for one in found]
    return tuple(group for group in groups if group.entering)


def recorded(made: Wanted, record: Mapping[str, Collection[str]] | None) -> Wanted:
    """Of what recurrences compute besides states and outputs, only what `record` (layer → signals; None: all) names."""
    if record is None:
        return made
    groups = []
    for group in made.groups:
        kept = {n: kind for n, kind in group.kinds.items() if kind != "inner" or n in record.get(group.name, ())}
        groups.append(replace(group, kinds=kept, spots={name: group.spots[name] for name in kept}))
    return replace(made, groups=tuple(groups))


def runnable(made: Wanted, checkpoint: Checkpoint, numbers: Collection[str], *, named: bool, alone: bool) -> Wanted:
    """Without what was not asked for by name and needs an operation that is not run; a note names it.

    Args:
        made: what is wanted.
        checkpoint: with its graph.
        numbers: the names of its nodes.
        named: recurrences were asked for by name.
        alone: nothing else is recorded; if nothing is left, all of it stays, to be refused.
    """
    fed = placeholder_names([spot.edge for spot in made.fed], numbers)
    refused: dict[str, str] = {}
    for group in () if named else made.groups:
        refused[group.name] = _refusal(checkpoint, group.every, fed)
    groups = tuple(group for group in made.groups if not refused.get(group.name))
    outcomes = dict(made.outcomes)
    if made.wild and _refusal(checkpoint, [outcomes[name] for name in made.wild], fed):
        for name in sorted(made.wild):
            refused[name] = _refusal(checkpoint, [outcomes[name]], fed)
            if refused[name]:
                del outcomes[name]
    if alone and not groups and not outcomes:
        return made
    notes = (f"{name} is left out: {refusal}" for name, refusal in refused.items() if refusal)
    return replace(made, groups=groups, outcomes=outcomes, notes=(*made.notes, *notes))


def _refusal(checkpoint: Checkpoint, spots: Iterable[Spot], fed: Mapping[str, str]) -> str:
    """Why what leads to some tensors is not run; empty where it is."""
    nodes = {spot.loop if spot.kind == "while" else spot.edge.partition(":")[0] for spot in spots}
    try:
        ops.check(program(checkpoint, sorted(nodes), fed).definition, checkpoint.path)
    except (BadInput, Refused) as exc:
        return exc.message
    return ""


def _hidden(tensor: str, path: Path) -> BadInput:
    return BadInput(
        f"{tensor!r} can't be recorded: it is computed in a loop within a loop, in a branch of a conditional whose "
        f"outcome is not handed on, or in a function that is called there",
        path=path,
        hint=f"`rnnprobe inspect {path} --loops -v` lists the tensors of each loop",
    )


def initial_refs(locator: Locator, groups: Sequence[Group]) -> frozenset[tuple[int, int]]:
    """The tensors that the states of recurrences start from."""
    view = locator.view
    return frozenset(view.resolve(v.initial) for group in groups for v in group.target.states.values())
