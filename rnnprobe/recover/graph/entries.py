"""Where the user's values enter a graph as it stands: placeholders that take sequences, and whatever can be fed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.formats import dtypes
from rnnprobe.recover.graph.entrances import offered
from rnnprobe.recover.graph.loop_words import dtype, extent, sizes
from rnnprobe.recover.graph.purpose import purpose
from rnnprobe.recover.graph.targets import SOURCES, Targets, reached, targets
from rnnprobe.recover.graph.view import Node, Ref, View, attribute, view
from rnnprobe.types import Entry, Extent, GraphTensor, Network, Use

_GATHERS = {"Gather": 1, "GatherV2": 1, "ResourceGather": 1, "OneHot": 0}
_COPIES = {"Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose"}
_MOST_AXES = 5
_ANY_ID = 2**31 - 1  # where nothing tells how many there are
_NUMBERS = {"float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64"}


def entries(
    network: Network,
    *,
    layers: Sequence[str] = (),
    recurrences: Sequence[str] | None = (),
    tensors: Sequence[str] = (),
    feeds: Collection[str] = (),
) -> dict[str, Entry]:
    """The placeholders on the way to what is wanted that sequences may go into.

    Those that say something else (lengths, states, how many sequences, dropout, training) are none of them.

    Args:
        network: the whole; its checkpoint has a graph.
        layers: names of recovered layers.
        recurrences: names or patterns of recurrences without recovered layers; None for all of these.
        tensors: patterns of names of tensors.
        feeds: what is given otherwise (`fed`).

    Returns:
        By the placeholder's name, the one of which a loop reads a step at each step first.

    Raises:
        BadInput: a name that nothing in the graph has.
    """
    web = view(network.checkpoint.graph)
    wanted = targets(network, web, recurrences, tensors)
    uses = [use for name in layers for use in network.places.get(name, ())]
    given = {tensor.name for tensor in fed(network, feeds).values()}
    return {place.name: place.entry for place in places(network, wanted, uses, given)}


@dataclass(frozen=True, slots=True)
class Place:
    """A placeholder that takes sequences.

    Attributes:
        name: the node's; of a source with several outputs, the tensor's.
        ref: the tensor.
        entry: what it takes.
        optional: it has a value of its own where nothing is given.
    """

    name: str
    ref: Ref
    entry: Entry
    optional: bool


def places(network: Network, wanted: Targets, uses: Iterable[Use], given: Collection[str]) -> list[Place]:
    """The placeholders that take sequences, those first of which a step is read at each step, then those without a
    value of their own.

    Args:
        network: the whole.
        wanted: what is recorded beside layers.
        uses: passes through layers that are recorded.
        given: the tensors that are fed.
    """
    web, uses = wanted.web, list(uses)
    near = reached(network, wanted, uses)
    starts = {ref for use in uses for refs in use.starts.values() for ref in refs}
    starts |= {web.resolve(v.initial) for one in wanted.recurrences.values() for v in one.states.values()}
    read = {name for target in wanted.recurrences.values() for name in target.recurrence.inputs}
    read |= {f"{web.node(ref).name}:{ref[1]}" for use in uses for group in use.roots for ref in group}
    found = [
        place
        for ref in _open(web, near)
        if f"{web.node(ref).name}:{ref[1]}" not in given
        for place in _place(web, ref, starts)
    ]
    return sorted(found, key=lambda one: (f"{web.node(one.ref).name}:{one.ref[1]}" not in read, one.optional))


def _open(web: View, near: Collection[str] | None) -> Iterator[Ref]:
    """Placeholders, and what comes out of queues and iterators: those of `near`, or all."""
    for number, node in enumerate(web.nodes):
        if node.proto is None or node.call:
            continue
        ports = 1 if node.op.startswith("Placeholder") else 0
        if node.op.startswith(SOURCES):
            ports = len(_types(node))
        yield from ((number, port) for port in range(ports) if near is None or f"{node.name}:{port}" in near)


def _place(web: View, ref: Ref, starts: Collection[Ref]) -> Iterator[Place]:
    node = web.node(ref)
    kind, shape = _kind(web, ref), _shape(web, ref)
    if kind not in _NUMBERS:
        return
    known = np.dtype(kind)
    if purpose(web, ref, shape, known, starts):
        return
    rank = None if shape is None else len(shape)
    several = node.op.startswith(SOURCES)
    name = f"{node.name}:{ref[1]}" if several else node.name
    optional = node.op == "PlaceholderWithDefault"
    if known.kind == "f" and (rank is None or 2 <= rank <= _MOST_AXES):
        yield Place(name, ref, _floats(shape, kind), optional=optional)
    elif known.kind in "iu":
        rows = _rows(web, ref)
        if rank is None or 2 <= rank <= 3 or (rank == 1 and rows):
            yield Place(name, ref, Entry((None,), rows or _ANY_ID, True), optional=optional)


def _types(node: Node) -> list[int]:
    """The DataTypes of what a source gives."""
    for name in ("output_types", "component_types"):
        listed = attribute(node, name)
        if listed is not None:
            return list(listed.list.type)
    single = attribute(node, "Tout")
    return [single.type] if single is not None else []


def _kind(web: View, ref: Ref) -> str:
    node = web.node(ref)
    return dtypes.name(_types(node)[ref[1]]) if node.op.startswith(SOURCES) else dtype(web, ref)


def _shape(web: View, ref: Ref) -> Extent:
    node = web.node(ref)
    listed = attribute(node, "output_shapes")
    if listed is not None and ref[1] < len(listed.list.shape):
        return sizes(listed.list.shape[ref[1]])
    # Before release 1.0 an empty shape stood for one that is not known.
    return extent(web, ref) or None if _is_old(node) else extent(web, ref)


def _is_old(node: Node) -> bool:
    return node.op in ("Placeholder", "PlaceholderV2") and "_output_shapes" not in node.proto.attr


def _floats(shape: Extent, kind: str) -> Entry:
    """Behind batch and time a step; where these are folded into one, its width is open."""
    wide = kind if kind in ("float32", "float64") else "float32"
    if shape is None or len(shape) < 3:
        return Entry((None,), 0, False, wide)
    step = shape[2:]
    return Entry(step, (step[0] or 0) if len(step) == 1 else 0, False, wide)


def _rows(web: View, ref: Ref) -> int:
    """How many ids there are: the rows of the table that they choose from, or 0."""
    front, seen = [ref], {ref}
    while front:
        for consumer, slot in web.consumers(front.pop()):
            node = web.nodes[consumer]
            if _GATHERS.get(node.op) == slot:
                if node.op == "OneHot":
                    value = attribute(web.node(web.input(node, 1)), "value")
                    listed = value.tensor.int_val if value is not None else ()
                    return int(listed[0]) if listed else 0
                return _table(web, web.input(node, 0))
            if node.op in _COPIES and (consumer, 0) not in seen:
                seen.add((consumer, 0))
                front.append((consumer, 0))
    return 0


def _table(web: View, ref: Ref) -> int:
    """The rows of a table; of a resource its handle's node says them."""
    node = web.node(ref)
    declared = attribute(node, "shape") if node.op == "VarHandleOp" else None
    shape = extent(web, ref) if declared is None else sizes(declared.shape)
    return (shape[0] or 0) if shape else 0


# What can be fed ---------------------------------------------------------------------------------------------------


def fed(network: Network, names: Iterable[str]) -> dict[str, GraphTensor]:
    """What the names of feeds mean: a placeholder, or an argument of a SavedModel's signature.

    Args:
        network: the whole; its checkpoint has a graph.
        names: `placeholder`, `placeholder:0`, `signature/argument`, or `argument` where one signature alone has it.

    Raises:
        BadInput: a name that means nothing; it lists the placeholders.
    """
    names = list(names)
    if not names:
        return {}
    web = view(network.checkpoint.graph)
    known = {f"{web.node(ref).name}:{ref[1]}": _tensor(web, ref) for ref in _open(web, None)}
    arguments = _arguments(network)
    found = {}
    for name in names:
        tensor = known.get(name if name.rpartition(":")[2].isdecimal() else f"{name}:0") or arguments.get(name)
        if tensor is None:
            listed = [f"{label}: {described(one)}" for label, one in known.items()]
            listed += [f"{label}: {described(one)}" for label, one in arguments.items() if "/" in label]
            raise BadInput(
                f"the graph has no placeholder {name!r}",
                path=network.checkpoint.path,
                hint="it has\n" + "\n".join(listed) if listed else "it has none at all",
            )
        found[name] = tensor
    return found


def described(tensor: GraphTensor) -> str:
    """`float32 [any, 5, 3]`."""
    if tensor.shape is None:
        return tensor.dtype
    return f"{tensor.dtype} [{', '.join('any' if size is None else str(size) for size in tensor.shape)}]"


def _tensor(web: View, ref: Ref) -> GraphTensor:
    return GraphTensor(f"{web.node(ref).name}:{ref[1]}", web.node(ref).op, _kind(web, ref), _shape(web, ref))


def _arguments(network: Network) -> Mapping[str, GraphTensor]:
    """The arguments of signatures, by `signature/argument` and, where that is clear, by `argument`."""
    found: dict[str, GraphTensor] = {}
    bare: dict[str, set[str]] = {}
    for signature in offered(network.checkpoint.graph):
        for key, tensor in signature.inputs:
            found[f"{signature.name}/{key}"] = tensor
            bare.setdefault(key, set()).add(tensor.name)
    for key, tensors in bare.items():
        if len(tensors) == 1:
            found[key] = next(one for label, one in found.items() if label.endswith(f"/{key}"))
    return found
