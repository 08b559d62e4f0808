"""What of a graph is to be recorded: layers, recurrences as a whole, and tensors by the patterns of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats.graph import definition
from rnnprobe.recover.graph.frames import Loop, Variable, loops
from rnnprobe.recover.graph.loop_roles import READS, Roles, Sorter
from rnnprobe.recover.graph.loop_words import base, dtype
from rnnprobe.recover.graph.loops import survey
from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.patterns import is_wild, label, matches, short, unmatched
from rnnprobe.recover.graph.values import array
from rnnprobe.recover.graph.view import MERGES, Ref, View
from rnnprobe.types import LoopVariable, Network, Recurrence, Use

_STATES = {"state", "loop state", "carried"}
SOURCES = ("IteratorGetNext", "QueueDequeue", "LookupTableFind")
"""What gives the next sequences: iterators, queues, and tables that make ids of words."""
_MEANT = {"weights of the attention": "alignments"}
_BARRED = {"resource", "variant", "string"}
_MOST_PEELED = 32
_NEAR = 6


@dataclass(slots=True)
class Target:
    """A recurrence of which something is recorded.

    Attributes:
        recurrence: as the survey has it.
        loop: where it is one.
        states: signal → the variable whose next value it is.
        outputs: signal → what is emitted.
        inner: signal → a tensor inside.
        lengths: the variable that holds the lengths of the sequences that the recurrence makes.
        reads: what it reads a step of at each step, and the tensor (by name) that this is a step of.
    """

    recurrence: Recurrence
    loop: Loop | None
    states: dict[str, Variable] = field(default_factory=dict)
    outputs: dict[str, Ref] = field(default_factory=dict)
    inner: dict[str, Ref] = field(default_factory=dict)
    lengths: Variable | None = None
    reads: tuple[tuple[Ref, str], ...] = ()


@dataclass(slots=True)
class Targets:
    """All that is recorded beside layers.

    Attributes:
        web: the graph.
        recurrences: by name.
        outcomes: tensors that no loop holds, by name.
        wild: those tensors that a pattern with wildcards matched: one that can't be had is left out.
        notes: what a report should say.
    """

    web: View
    recurrences: dict[str, Target]
    outcomes: dict[str, Ref]
    wild: set[Ref] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def targets(
    network: Network, web: View, recurrences: Sequence[str] | None = (), tensors: Sequence[str] = ()
) -> Targets:
    """What names and patterns mean in a network's graph.

    Args:
        network: the whole; its checkpoint has a graph.
        web: of that graph.
        recurrences: names or patterns of recurrences; None for every one that holds no recovered layer, and for what
            others carry and emit beside their layers.
        tensors: patterns of names of tensors, with or without the number of the output.

    Raises:
        BadInput: a name or a pattern that nothing matches.
    """
    if recurrences is not None and not recurrences and not tensors:
        return Targets(web, {}, {})
    known = _known(network, web)
    found = Targets(web, {}, {})
    for target in _chosen(network, known, recurrences):
        shown = [name for name in target.recurrence.layers if network.places.get(name)]
        _whole(web, target, shown, rest=recurrences is None)
        if target.states or target.outputs:
            found.recurrences[_unique(target.recurrence.name, found.recurrences, network)] = target
        elif not target.recurrence.layers:
            found.notes.append(f"{target.recurrence.name} carries no state and emits nothing: it is left out")
    if tensors:
        _by_pattern(network, web, known, tensors, found)
    return found


def readers(network: Network, web: View, layers: Sequence[str]) -> list[Target]:
    """The loops that hold some layers, with what they read of sequences at each step."""
    found = []
    for target in _known(network, web):
        if target.loop is not None and set(layers) & set(target.recurrence.layers):
            target.reads = tuple(_reads(web, Sorter(web, target.loop).roles(), target.recurrence.inputs))
            found.append(target)
    return found


def _known(network: Network, web: View) -> list[Target]:
    """Every recurrence of the graph."""
    laid = loops(web, definition(network.checkpoint.graph))[0]
    return [Target(one, laid[k] if k < len(laid) else None) for k, one in enumerate(survey(network).recurrences)]


def _chosen(network: Network, known: Sequence[Target], names: Sequence[str] | None) -> Iterator[Target]:
    if names is None:
        shown = {name for name, uses in network.places.items() if uses}
        yield from (one for one in known if one.loop is not None or not shown & set(one.recurrence.layers))
        return
    taken: list[Target] = []
    for name in names:
        matching = [one for one in known if one.recurrence.name == name or fnmatchcase(one.recurrence.name, name)]
        if not matching:
            there = ", ".join(dict.fromkeys(one.recurrence.name for one in known)) or "none"
            raise BadInput(
                f"{name!r} is no recurrence of the graph", path=network.checkpoint.path, hint=f"there are {there}"
            )
        taken += [one for one in matching if one not in taken]
    yield from taken


def _unique(name: str, taken: Collection[str], network: Network | None = None) -> str:
    others = {*taken, *(layer.name for layer in network.layers)} if network is not None else set(taken)
    found, number = name, 2
    while found in others:
        found, number = f"{name}_{number}", number + 1
    return found


# A recurrence as a whole -------------------------------------------------------------------------------------------


def _whole(web: View, target: Target, layers: Sequence[str], *, rest: bool) -> None:
    """The states of a recurrence, and what it emits; or the rest of it, beside those of layers."""
    if target.loop is None:
        ref = _named(web, target.recurrence.emitted[0].tensor.name) if target.recurrence.emitted else None
        if ref is not None:
            target.outputs["h"] = ref
        return
    roles = Sorter(web, target.loop).roles()
    variables = {v.port: v for v in target.loop.variables}
    listed = target.recurrence.variables
    carried = {v.number: v for v in listed if v.role in _STATES and v.dtype not in _BARRED}
    # What an array of the loop holds is what it emits.
    carried = {port: v for port, v in carried.items() if variables[port].changes and port not in roles.writes}
    emitted = [roles.writes[one.variable][0].value for one in target.recurrence.emitted if one.variable is not None]
    given_out = {port: k for k, ref in enumerate(emitted) for port in carried if _same(web, ref, variables[port])}
    first = next((port for port, k in given_out.items() if k == 0), None)
    if rest:
        carried = {port: v for port, v in carried.items() if not _owned(v.meaning, layers)}
    owned = {port: _owned(v.meaning, target.recurrence.layers) for port, v in carried.items()}
    emits = bool(emitted) and 0 not in given_out.values()
    names = _state_names(carried, owned, first)
    target.states = {"state_h" if emits and name == "h" else name: variables[port] for port, name in names.items()}
    for k, ref in enumerate(emitted):
        if k not in given_out.values() and dtype(web, ref) not in _BARRED:
            target.outputs["h" if k == 0 else f"emitted_{k}"] = ref
    target.lengths = next((variables[v.number] for v in listed if v.role == "lengths"), None)
    target.reads = tuple(_reads(web, roles, target.recurrence.inputs))


def _owned(meaning: str, layers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """State and layer, for a variable that a layer calls its state, or that several join in; nothing for others."""
    found = [(part.partition(" of ")[0], part.partition(" of ")[2]) for part in meaning.split(", ")]
    return tuple(found) if all(layer in layers for _, layer in found) else ()


def _state_names(
    carried: Mapping[int, LoopVariable], owned: Mapping[int, tuple[tuple[str, str], ...]], emitted: int | None
) -> dict[int, str]:
    """The number of a variable → the name of its signal: what a layer calls it; where it is emitted `h`, or `emitted`
    beside a layer's own h; else what it means or its place among the states."""
    calls = Counter(own[0][0] for own in owned.values() if len(own) == 1)
    called = "emitted" if "h" in calls else "h"
    names: dict[int, str] = {}
    for place, (number, variable) in enumerate(carried.items(), 1):
        name = _MEANT.get(variable.meaning, "state" if len(carried) == 1 else f"state_{place}")
        if len(owned[number]) == 1:
            state, layer = owned[number][0]
            name = state if calls[state] == 1 else f"{layer}.{state}"
        elif number == emitted:
            name = called
        names[number] = _unique(name, names.values())
    return names


def _same(web: View, emitted: Ref, variable: Variable) -> bool:
    """Whether what is emitted is what a state becomes, but for steps past a sequence's end."""
    own = _peeled(web, web.resolve(variable.following)) - {variable.ref}
    return any(array(web, ref) is None for ref in own & _peeled(web, emitted))


def _peeled(web: View, ref: Ref) -> set[Ref]:
    """A tensor, and what selects and conditionals choose it from."""
    seen: set[Ref] = set()
    front = [web.resolve(ref)]
    while front and len(seen) < _MOST_PEELED:
        at = front.pop()
        if at in seen:
            continue
        seen.add(at)
        node = web.node(at)
        if node.op in SELECTS:
            front += web.inputs(node)[1:3]
        elif node.op in MERGES:
            front += web.inputs(node)
    return seen


def _reads(web: View, roles: Roles, inputs: Sequence[str]) -> Iterator[tuple[Ref, str]]:
    """The step that is read of each sequence, where it is clear which it is a step of."""
    reads = [k for k in roles.reads if dtype(web, (k, 0)) not in _BARRED | {"bool"}]
    if len(reads) == len(inputs):
        yield from (((k, 0), name) for k, name in zip(reads, inputs, strict=True) if base(web.nodes[k]) in READS)


def _named(web: View, name: str) -> Ref | None:
    node, _, port = name.rpartition(":")
    return next(((k, int(port)) for k, one in enumerate(web.nodes) if one.name == node and one.proto is not None), None)


# Tensors by pattern ------------------------------------------------------------------------------------------------


def _by_pattern(network: Network, web: View, known: Sequence[Target], patterns: Sequence[str], found: Targets) -> None:
    homes: dict[int, Target] = {k: one for one in known if one.loop is not None for k in one.loop.members}
    groups: dict[str, str] = {one.recurrence.name: name for name, one in found.recurrences.items()}
    barred: list[str] = []
    for pattern in patterns:
        matching = list(matches(web, pattern))
        if not matching:
            raise unmatched(network, web, pattern)
        wanted = [ref for ref in matching if dtype(web, ref) not in _BARRED]
        if not wanted:
            listed = ", ".join(f"{label(web, ref)} ({dtype(web, ref)})" for ref in matching[:_NEAR])
            raise BadInput(f"holds no numbers, and can't be recorded: {listed}", path=network.checkpoint.path)
        barred += [label(web, ref) for ref in matching if ref not in wanted]
        if is_wild(pattern):
            found.wild.update(wanted)
        for ref in wanted:
            home = homes.get(ref[0])
            if home is None:
                found.outcomes.setdefault(label(web, ref), ref)
                continue
            name = groups.setdefault(home.recurrence.name, _unique(home.recurrence.name, found.recurrences, network))
            target = found.recurrences.setdefault(name, Target(home.recurrence, home.loop))
            if ref not in target.inner.values():
                signal = short(web, ref, home.recurrence.name)
                target.inner[_unique(signal, {*target.states, *target.outputs, *target.inner})] = ref
    if barred:
        found.notes.append(f"left out, since they hold no numbers: {', '.join(barred[:_NEAR])}")


# What leads to them ------------------------------------------------------------------------------------------------


def reached(network: Network, found: Targets, uses: Iterable[Use]) -> set[str]:
    """The tensors of the graph itself, `node:output`, of which targets, and passes through layers, are computed.

    What gives the next sequences is where it ends.
    """
    known = {node.name: node for node in definition(network.checkpoint.graph).node}
    front = [name for name in set(_starts(found, uses)) if name in known]
    return _upstream(known, front)


def lengths_of(network: Network, inputs: Mapping[str, Ref], web: View) -> dict[str, str]:
    """Tensor of which some loop's lengths are computed → the input that it reads, where that is one.

    An empty name → the only input that no loop's lengths belong to: other lengths are its own.

    Args:
        network: the whole.
        inputs: by name, tensors of the graph itself.
        web: the graph.
    """
    known = {node.name: node for node in definition(network.checkpoint.graph).node}
    found: dict[str, str] = {}
    for one in survey(network).recurrences:
        above, told = (
            _upstream(known, [name for tensor in tensors if (name := tensor.rpartition(":")[0]) in known])
            for tensors in (one.inputs, one.lengths)
        )
        read = [name for name, ref in inputs.items() if label(web, ref) in above]
        if len(read) == 1:
            found.update(dict.fromkeys(told, read[0]))
    rest = set(inputs) - set(found.values())
    return found | {"": rest.pop()} if len(rest) == 1 else found


def _upstream(known: Mapping[str, Any], front: list[str]) -> set[str]:
    """The tensors of which some nodes are computed, and their own."""
    seen, read = set(front), {f"{name}:0" for name in front}
    while front:
        node = known[front.pop()]
        if node.op.startswith(SOURCES):
            continue
        for edge in node.input:
            source, _, port = edge.lstrip("^").partition(":")
            read.add(f"{source}:{port or 0}")
            if source in known and source not in seen:
                seen.add(source)
                front.append(source)
    return read


def _starts(found: Targets, uses: Iterable[Use]) -> Iterator[str]:
    web = found.web
    for target in found.recurrences.values():
        loop = target.loop
        if loop is not None:
            yield from (top(web, loop.key if isinstance(loop.key, int) else v.ref[0]) for v in loop.variables)
        yield from (top(web, ref[0]) for refs in (target.outputs, target.inner) for ref in refs.values())
    yield from (top(web, ref[0]) for ref in found.outcomes.values())
    for use in uses:
        yield from (top(web, one.ref[0]) for step in use.signals for tap in step.values() for one in tap.pieces)


def top(web: View, number: int) -> str:
    """The node of the graph itself that a node is in."""
    while web.nodes[number].call:
        number = web.nodes[number].call
    return web.nodes[number].name
