"""From a copy of the network in a graph to something that runs: pruned, checked, grafted, imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from rnnprobe.engine.original import dropout, ops
from rnnprobe.engine.original.copies import Copy, Entry, Unfed
from rnnprobe.engine.original.graft import Recorders
from rnnprobe.engine.original.locate import Locator, Spot
from rnnprobe.engine.original.program import Program, placeholder_names, program, values
from rnnprobe.engine.original.wanted import ENTERING, Wanted
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.values import number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref
from rnnprobe.types import Array, Network, Tap, Use

_ZEROS = {"Fill", "Const", "ZerosLike"}
_GIVEN = {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"}


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is recorded of a signal.

    Attributes:
        edges: the tensor `[step, batch, …]`, or one `[batch, …]` for each step.
        tap: which columns of it.
    """

    edges: tuple[str, ...]
    whole: bool
    tap: Tap


@dataclass(slots=True)
class Built:
    """An original graph, ready for a session.

    Attributes:
        graph: imported.
        signals: layer → signal → what is fetched; `(x0)`, `(x1)` … are what enters, side by side.
        finals: layer → state → the tensor that its loop leaves.
        entries: entry → the placeholders' names.
        starts: layer → state → the placeholder that gives the state to start from.
        open: what else the graph asks for: its own placeholders that are on the path, and what came out of queues and
            iterators; each with the placeholder that takes it.
        begin: the tensors that states start from, of those that are in it.
        variables: placeholder → value.
        limit: the placeholder for the number of steps that there is room for; empty where nothing is grafted.
        random: random numbers are drawn in it.
        notes: what a report has to say of it.
        initials: layer → state → the tensor that it starts from, where that is one.
        outcomes: tensors that no loop holds.
        given: placeholder → what the user feeds it.
    """

    graph: Any
    signals: dict[str, dict[str, Fetch]]
    finals: dict[str, dict[str, str]]
    entries: dict[Entry, tuple[str, ...]]
    starts: dict[str, dict[str, str]]
    open: dict[Ref, str]
    begin: list[str]
    variables: dict[str, Array]
    limit: str
    random: bool
    notes: tuple[str, ...] = ()
    initials: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    def shape(self, edge: str) -> tuple[int | None, ...] | None:
        """The static shape of a tensor; None where even its rank is open."""
        shape = self.graph.get_tensor_by_name(edge if ":" in edge else f"{edge}:0").shape
        return None if shape.rank is None else tuple(shape.as_list())

    def beginnings(self) -> list[tuple[int | None, ...] | None]:
        """The static shapes of the tensors that states start from."""
        return [self.shape(edge) for edge in self.begin]

    def dtype(self, edge: str) -> Any:
        """The NumPy dtype of a tensor."""
        return self.graph.get_tensor_by_name(edge if ":" in edge else f"{edge}:0").dtype.as_numpy_dtype


def build(network: Network, copy: Copy, locator: Locator, *, carry: bool, also: Wanted | None = None) -> Built:
    """Makes a copy of the network in its graph ready to run.

    Args:
        network: whose layers they are.
        copy: which pass is taken through each.
        locator: of the graph.
        carry: the states that passes start from are to be given, where that can be.
        also: what else is recorded, and what the user feeds; what states start from is recorded then too.

    Raises:
        BadInput: something is where it can't be fed or recorded.
        Refused: the path holds an operation that is not run.
    """
    path = network.checkpoint.path
    spots = {name: _spots(locator, use) for name, use in copy.uses.items()}
    hidden = [name for name, found in spots.items() if "h" not in found]
    if hidden:
        raise BadInput(f"can't be run: its graph computes {hidden[0]} where h can't be recorded", path=path)
    roots = {entry: [_root(locator, entry, ref, path) for ref in entry.roots] for entry in copy.entries}
    starts = _starts(network, copy, locator, carry=carry)
    given = [spot for found in roots.values() for spot in found]
    given += [spot for states in starts.values() for spot in states.values()]
    given += list(also.fed) if also else []
    fed = placeholder_names([spot.edge for spot in given], locator.numbers)
    finals = {name: _finals(locator, use) for name, use in copy.uses.items()}
    wanted = {_node(spot) for found in spots.values() for steps in found.values() for spot in steps}
    wanted |= {_node(spot) for states in finals.values() for spot in states.values()}
    initials = _initials(copy, locator, also) if also else {}
    if also:
        wanted |= {_node(spot) for group in (*also.groups, *also.readers) for spot in group.spots.values()}
        wanted |= {_node(spot) for spot in also.outcomes.values()}
        wanted |= {_node(spot) for states in initials.values() for spot in states.values()}
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
    signals, limit = _fetches(copy, spots, made, fed, also or Wanted())
    return Built(
        _imported(made),
        signals,
        {name: {state: fed.get(s.edge, s.edge) for state, s in found.items()} for name, found in finals.items()},
        {entry: tuple(fed[spot.edge] for spot in found) for entry, found in roots.items()},
        {name: {state: fed[spot.edge] for state, spot in states.items()} for name, states in starts.items()},
        opened,
        _beginnings(copy, locator, made),
        loaded,
        limit,
        ops.is_random(made.definition),
        (dropout.NOTE,) if dropped else (),
        {name: {state: fed.get(s.edge, s.edge) for state, s in of.items()} for name, of in initials.items()},
        {name: fed.get(spot.edge, spot.edge) for name, spot in (also.outcomes if also else {}).items()},
        {fed[spot.edge]: value for spot, value in (also.fed if also else {}).items()},
    )


def _node(spot: Spot) -> str:
    return spot.loop if spot.kind == "while" else spot.edge.partition(":")[0]


def _spots(locator: Locator, use: Use) -> dict[str, list[Spot]]:
    """Signal → where it is, for each step; those that can't be had are left out."""
    found: dict[str, list[Spot]] = {}
    for name, taps in _taps(use).items():
        spots = [locator.find(tap.ref) for tap in taps]
        known = [spot for spot in spots if spot is not None]
        if len(known) == len(use.inputs):
            found[name] = known
    # What a loop repeats is recorded in it, beside h; a tensor from outside of it is there once.
    place = {(spot.kind, spot.loop) for spot in found.get("h", ())}
    return {name: spots for name, spots in found.items() if {(spot.kind, spot.loop) for spot in spots} <= place}


def _taps(use: Use) -> dict[str, list[Tap]]:
    names = dict.fromkeys(name for step in use.signals for name in step)
    taps = {name: [step[name] for step in use.signals if name in step] for name in names}
    for place in range(min(len(inputs) for inputs in use.inputs)):
        taps[f"{ENTERING}{place})"] = [Tap(inputs[place]) for inputs in use.inputs]
    return taps


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


def _initials(copy: Copy, locator: Locator, also: Wanted) -> dict[str, dict[str, Spot]]:
    """Layer → state → what it starts from, where that is one tensor outside of loops."""
    found = {group.name: dict(group.initial) for group in also.groups}
    for name, use in copy.uses.items():
        found[name] = {}
        for state, ref in use.carried.items():
            node, refs = locator.view.node(ref), use.starts.get(state, ())
            if use.looped and node.op == LOOP_VARIABLE:
                refs = (locator.view.input(node, 0),)
            spot = locator.find(refs[0]) if len(refs) == 1 else None
            if spot is not None and spot.kind == "graph":
                found[name][state] = spot
    return found


def _is_zero(locator: Locator, ref: Ref) -> bool:
    return locator.view.node(ref).op == "ZerosLike" or number(locator.view, ref) == 0.0


def _beginnings(copy: Copy, locator: Locator, made: Program) -> list[str]:
    """The tensors of the program that states start from."""
    names = {node.name for node in made.definition.node}
    refs = [ref for use in copy.uses.values() for starts in use.starts.values() for ref in starts]
    spots = [locator.find(ref) for ref in refs]
    return [spot.edge for spot in spots if spot and spot.kind == "graph" and _node(spot) in names]


def _finals(locator: Locator, use: Use) -> dict[str, Spot]:
    """State → what the loop leaves of it."""
    found = {}
    for state, ref in use.carried.items():
        if use.looped and not use.fused and locator.view.node(ref).op == LOOP_VARIABLE:
            spot = locator.left(ref)
            if spot is not None and spot.kind == "graph":
                found[state] = spot
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


def _fetches(
    copy: Copy, spots: Mapping[str, Mapping[str, list[Spot]]], made: Program, fed: Mapping[str, str], also: Wanted
) -> tuple[dict[str, dict[str, Fetch]], str]:
    """What to fetch for each signal; recorders are grafted where it is inside of a loop."""
    inside: dict[tuple[str, str], dict[Spot, None]] = {}
    every = [spot for found in spots.values() for steps in found.values() for spot in steps]
    for spot in (*every, *(spot for group in (*also.groups, *also.readers) for spot in group.spots.values())):
        if spot.kind != "graph":
            inside.setdefault((spot.kind, spot.loop), {})[spot] = None
    recorded: dict[Spot, str] = {}
    limit = ""
    if inside:
        recorders = Recorders(made)
        limit = recorders.limit
        for (_, loop), kept in inside.items():
            recorded.update(zip(kept, recorders.record(loop, list(kept)), strict=True))
    fetches: dict[str, dict[str, Fetch]] = {}
    for name, use in copy.uses.items():
        taps = _taps(use)
        fetches[name] = {}
        for signal, steps in spots[name].items():
            edges = tuple(recorded.get(spot, fed.get(spot.edge, spot.edge)) for spot in steps)
            fetches[name][signal] = Fetch(
                edges, use.fused or bool(use.looped and steps[0] in recorded), taps[signal][0]
            )
    for group in (*also.groups, *also.readers):
        fetches[group.name] = {
            signal: Fetch((recorded.get(spot, fed.get(spot.edge, spot.edge)),), True, Tap((0, 0)))
            for signal, spot in group.spots.items()
            # A tensor from outside of the loop is there once.
            if spot in recorded or group.whole
        }
    return fetches, limit


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
