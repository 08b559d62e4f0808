"""What is recorded of a graph beside recovered layers: recurrences that nothing rebuilds, and single tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

LENGTHS = "(lengths)"
"""The signal that holds how many steps a recurrence has made of each sequence; never shown."""
ENTERING = "(x"
"""What the names of signals begin with that are what enters a step; never shown."""

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
        whole: one op computes all steps; its tensors hold them all.
    """

    name: str
    target: Target
    spots: dict[str, Spot] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    initial: dict[str, Spot] = field(default_factory=dict)
    whole: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(name for name, kind in self.kinds.items() if kind == "state")

    @property
    def backward(self) -> bool:
        """Whether time runs backward through it."""
        return self.target.recurrence.direction == "backward"


@dataclass(slots=True)
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

    groups: list[Group] = field(default_factory=list)
    outcomes: dict[str, Spot] = field(default_factory=dict)
    fed: dict[Spot, Any] = field(default_factory=dict)
    wild: set[str] = field(default_factory=set)
    readers: Sequence[Group] = ()
    notes: list[str] = field(default_factory=list)


def wanted(found: Targets, locator: Locator, path: Path, *, named: bool) -> Wanted:
    """Where everything is that is wanted.

    Args:
        found: what is wanted, of the locator's view.
        locator: of the graph.
        path: of the checkpoint.
        named: recurrences were asked for by name, so that none is left out.

    Raises:
        BadInput: something can't be had, by name.
    """
    made = Wanted(notes=list(found.notes))
    for name, target in found.recurrences.items():
        group = _group(name, target, locator, path, found.wild)
        lost = [signal for signal in (*target.states, *target.outputs) if signal not in group.spots]
        if lost and not group.spots:
            what = f"{name} lies inside of {target.recurrence.inside or 'a function'}, where nothing can be recorded"
            if named or target.inner:
                raise BadInput(what, path=path)
            made.notes.append(f"{what}: it is left out")
            continue
        if lost:
            made.notes.append(f"{', '.join(lost)} of {name} can't be recorded where it is computed")
        made.groups.append(group)
    for tensor, ref in found.outcomes.items():
        spot = locator.find(ref)
        if spot is not None and spot.kind == "graph":
            made.outcomes[tensor] = spot
            if ref in found.wild:
                made.wild.add(tensor)
        elif ref not in found.wild:
            raise _hidden(tensor, path)
    less = len(found.outcomes) - len(made.outcomes)
    if less:
        made.notes.append(f"left out of what the patterns match: {less} tensors that can't be recorded where they are")
    return made


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
        group.spots.update(_read(target, locator))
    if loop is not None and target.lengths is not None:
        spot = locator.following(loop, target.lengths)
        if spot is not None:
            group.spots[LENGTHS] = spot
    return group


def _read(target: Target, locator: Locator) -> dict[str, Spot]:
    """What a loop reads of sequences at each step."""
    spots = {f"{ENTERING}{number})": locator.find(ref) for number, (ref, _) in enumerate(target.reads)}
    return {name: spot for name, spot in spots.items() if spot is not None and spot.kind != "graph"}


def reading(found: Sequence[Target], locator: Locator) -> list[Group]:
    """Groups of nothing but what loops read."""
    groups = [Group(f"({one.recurrence.name})", one, _read(one, locator)) for one in found]
    return [group for group in groups if group.spots]


def runnable(made: Wanted, checkpoint: Checkpoint, numbers: Collection[str], *, named: bool) -> None:
    """Leaves out what was not asked for by name and needs an operation that is not run; a note names it.

    Args:
        made: is changed.
        checkpoint: with its graph.
        numbers: the names of its nodes.
        named: recurrences were asked for by name.
    """
    fed = placeholder_names([spot.edge for spot in made.fed], numbers)
    for group in () if named else list(made.groups):
        refusal = _refusal(checkpoint, group.spots.values(), fed)
        if refusal:
            made.groups.remove(group)
            made.notes.append(f"{group.name} is left out: {refusal}")
    if not made.wild or not _refusal(checkpoint, [made.outcomes[name] for name in made.wild], fed):
        return
    for name in sorted(made.wild):
        refusal = _refusal(checkpoint, [made.outcomes[name]], fed)
        if refusal:
            del made.outcomes[name]
            made.notes.append(f"{name} is left out: {refusal}")


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


def visible(signals: Mapping[str, Any]) -> list[str]:
    """The signals that are shown."""
    return [name for name in signals if not name.startswith("(")]
