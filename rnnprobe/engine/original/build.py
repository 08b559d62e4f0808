"""From a copy of the network in a graph to something that runs: pruned, checked, grafted, imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from rnnprobe.engine.original import dropout, ops
from rnnprobe.engine.original.built import Built
from rnnprobe.engine.original.copies import Copy, Entry, Unfed
from rnnprobe.engine.original.fetching import Fetching, seen
from rnnprobe.engine.original.locate import Locator, Spot
from rnnprobe.engine.original.program import Program, placeholder_names, program, values
from rnnprobe.engine.original.wanted import Wanted
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.values import number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref
from rnnprobe.types import Network, Use

_Ends: TypeAlias = dict[str, dict[str, list[Spot]]]
_ZEROS = {"Fill", "Const", "ZerosLike"}
_GIVEN = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"}
_WHILES = {"While", "StatelessWhile"}
_LOWERED = "_lower_using_switch_merge"
_NOTHING = Wanted()


def build(
    network: Network,
    copy: Copy,
    locator: Locator,
    *,
    carry: bool,
    also: Wanted = _NOTHING,
    record: Mapping[str, Collection[str]] | None = None,
) -> Built:
    """Makes a copy of the network in its graph ready to run.

    Args:
        network: whose layers they are.
        copy: which pass is taken through each.
        locator: of the graph.
        carry: the states that passes start from are to be given, where that can be.
        also: what else is recorded, and what the user feeds.
        record: layer → its signals that are wanted besides h, the states and what is emitted; None: all of all layers.

    Raises:
        BadInput: something is where it can't be fed or recorded.
        Refused: the path holds an operation that is not run.
    """
    path = network.checkpoint.path
    found = {
        name: seen(locator, use, network[name].cell, None if record is None else record.get(name, ()))
        for name, use in copy.uses.items()
    }
    hidden = [name for name, one in found.items() if not one.signals]
    if hidden:
        what = network[hidden[0]].cell.emits
        raise BadInput(f"can't be run: its graph computes {hidden[0]} where {what} can't be recorded", path=path)
    roots = {entry: [_root(locator, entry, ref, path) for ref in entry.roots] for entry in copy.entries}
    starts = _starts(network, copy, locator, carry=carry)
    given = [spot for group in roots.values() for spot in group]
    given += [spot for states in starts.values() for spot in states.values()]
    given += also.fed
    fed = placeholder_names([spot.edge for spot in given], locator.numbers)
    finals = {name: _finals(locator, use) for name, use in copy.uses.items()}
    initials = _initials(copy, locator, also)
    wanted = {_node(spot) for one in found.values() for spot in one.every}
    wanted |= {_node(spot) for group in (*also.groups, *also.readers) for spot in group.every}
    ends = [spots for states in (*finals.values(), *initials.values()) for spots in states.values()]
    wanted |= {_node(spot) for spots in ends for spot in spots}
    wanted |= {_node(spot) for spot in also.outcomes.values()}
    made = program(network.checkpoint, sorted(wanted), fed)
    for spot in {spot.edge: spot for spot in given}.values():
        made.add(fed[spot.edge], "Placeholder", dtype=spot.dtype)
        declared = _declared(locator, spot)
        if declared is not None:
            made.definition.node[-1].attr["shape"].shape.CopyFrom(declared)
    dropped = dropout.leave_out(made, wanted | set(fed.values()))
    ops.check(made.definition, path)
    loaded = values(made, network.checkpoint, locator.view, locator.numbers)
    opened: dict[Ref, str] = {
        (locator.numbers[node.name], 0): node.name
        for node in made.definition.node
        if node.op in _GIVEN and node.name not in made.variables and node.name in locator.numbers
    }
    opened |= {(locator.numbers[name], port): placeholder for (name, port), placeholder in made.sources.items()}
    fetching = Fetching(copy, found, made, fed, also)
    _lower(made, locator)
    return Built(
        _imported(made),
        fetching.signals,
        _edges(finals, fed),
        {entry: tuple(fed[spot.edge] for spot in group) for entry, group in roots.items()},
        {name: {state: fed[spot.edge] for state, spot in states.items()} for name, states in starts.items()},
        opened,
        _beginnings(copy, locator, made),
        loaded,
        fetching.limit,
        ops.is_random(made.definition),
        (dropout.NOTE,) if dropped else (),
        _edges(initials, fed),
        {name: fed.get(spot.edge, spot.edge) for name, spot in also.outcomes.items()},
        {fed[spot.edge]: value for spot, value in also.fed.items()},
        fetching.entering,
        fetching.lengths,
    )


def _node(spot: Spot) -> str:
    return spot.loop if spot.kind == "while" else spot.edge.partition(":")[0]


def _edges(spots: _Ends, fed: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Likewise, the names of their edges in the program."""
    return {name: {s: [fed.get(k.edge, k.edge) for k in own] for s, own in of.items()} for name, of in spots.items()}


def _root(locator: Locator, entry: Entry, ref: Ref, path: Any) -> Spot:
    spot = locator.find(ref)
    if spot is None or spot.kind != "graph":
        name = locator.view.node(ref).name
        raise Unfed(
            f"can't be run: {entry.source!r} comes from {name!r}, which lies inside of a loop or a function of "
            f"the graph and can't be fed",
            path=path,
        )
    return spot


def _starts(network: Network, copy: Copy, locator: Locator, *, carry: bool) -> dict[str, dict[str, Spot]]:
    """Layer → state → the tensor it starts from, where that is one of its own that zeros or the user fill."""
    found: dict[str, dict[str, Spot]] = {}
    if not carry:
        return found
    view = locator.view
    for layer in network.layers:
        use = copy.uses[layer.name]
        for state in layer.cell.states:
            refs = use.starts.get(state, ())
            spot = locator.find(refs[0]) if len(refs) == 1 else None
            node = view.node(refs[0]) if refs else None
            given = node is not None and (node.op in _GIVEN or (node.op in _ZEROS and _is_zero(locator, refs[0])))
            taken = any(other.edge == spot.edge for o in found.values() for other in o.values()) if spot else True
            if not given or spot is None or spot.kind != "graph" or taken:
                raise BadInput(
                    f"can't be run: the graph runs {copy.steps} steps at a time, and what {state} of {layer.name} "
                    f"starts from can't be given",
                    path=network.checkpoint.path,
                    hint=f"give sequences of up to {copy.steps} steps",
                )
            found.setdefault(layer.name, {})[state] = spot
    return found


def _initials(copy: Copy, locator: Locator, also: Wanted) -> _Ends:
    """Layer → state → what it starts from, where each piece of it is one tensor outside of loops."""
    found = {group.name: {state: [spot] for state, spot in group.initial.items()} for group in also.groups}
    for name, use in copy.uses.items():
        found[name] = {}
        for state, tap in use.carried.items():
            starts = use.starts.get(state, ())
            # Of several that are stacked, what the first step reads is no more than moved.
            spots = [
                _initial(locator, use, piece.ref, (piece.ref,) if tap.beside and not use.looped else starts)
                for piece in tap.pieces
            ]
            known = [spot for spot in spots if spot is not None and spot.kind == "graph"]
            if len(known) == len(spots):
                found[name][state] = known
    return found


def _initial(locator: Locator, use: Use, ref: Ref, starts: tuple[Ref, ...]) -> Spot | None:
    """Where a tensor that the first step reads is before it."""
    node = locator.view.node(ref)
    if use.looped and node.op == LOOP_VARIABLE:
        starts = (locator.view.input(node, 0),)
    return locator.find(starts[0]) if len(starts) == 1 else None


def _is_zero(locator: Locator, ref: Ref) -> bool:
    return locator.view.node(ref).op == "ZerosLike" or number(locator.view, ref) == 0.0


def _beginnings(copy: Copy, locator: Locator, made: Program) -> list[str]:
    """The tensors of the program that states start from."""
    names = {node.name for node in made.definition.node}
    refs = [ref for use in copy.uses.values() for starts in use.starts.values() for ref in starts]
    spots = [locator.find(ref) for ref in refs]
    return [spot.edge for spot in spots if spot and spot.kind == "graph" and _node(spot) in names]


def _finals(locator: Locator, use: Use) -> dict[str, list[Spot]]:
    """State → what the loop leaves of it, each of what is stacked."""
    found = {}
    for state, tap in use.carried.items():
        refs = [piece.ref for piece in tap.pieces]
        if use.looped and not use.fused and all(locator.view.node(ref).op == LOOP_VARIABLE for ref in refs):
            spots = [locator.left(ref) for ref in refs]
            known = [spot for spot in spots if spot is not None and spot.kind == "graph"]
            if len(known) == len(spots):
                found[state] = known
    return found


def _declared(locator: Locator, spot: Spot) -> Any:
    """The shape that a placeholder of the graph declares, or that was noted beside what computes a tensor; or None."""
    name, _, port = spot.edge.partition(":")
    node = locator.view.nodes[locator.numbers[name]].proto
    # Before TensorFlow 1.0 an empty shape stood for one that is not known.
    shape = node.attr["shape"].shape if node.op in _GIVEN and "shape" in node.attr else None
    if shape is None and "_output_shapes" in node.attr:
        noted = node.attr["_output_shapes"].list.shape
        shape = noted[int(port or 0)] if int(port or 0) < len(noted) else None
    return shape if shape is not None and (shape.dim or shape.unknown_rank) else None


def _lower(made: Program, locator: Locator) -> None:
    """Has functional loops run as their own graph says: as the loops of version 1 that TensorFlow makes of them.

    Without this it calls a function for each step, which takes nearly twice the time.
    """
    for node in made.definition.node:
        if node.op in _WHILES and node.name in locator.numbers:
            own = locator.view.nodes[locator.numbers[node.name]].proto
            if _LOWERED in own.attr:
                node.attr[_LOWERED].CopyFrom(own.attr[_LOWERED])


def _imported(made: Program) -> Any:
    """The program as a graph of TensorFlow.

    Raises:
        BadInput: this TensorFlow does not take it.
    """
    definition = tf.compat.v1.GraphDef.FromString(made.definition.SerializeToString())
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as exc:
        line = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise BadInput(
            f"can't be run: TensorFlow {tf.__version__} does not take its graph: {line}", path=made.path
        ) from exc
    return graph
