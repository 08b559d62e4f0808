"""A graph whose loops hide in functions, laid out flat: what calls of functions do stands where they were called.

TensorFlow 2 puts a model into functions that call each other; a `While` in one of them is out of reach for what looks
at the graph alone. Here each `PartitionedCall` and `StatefulPartitionedCall` is replaced by the nodes of its function
(tensorflow/core/framework/function.proto), named `CALL/NODE`, and the call itself by an `IdentityN` of the results, or
a `NoOp` where there are none, so that every edge and signature that names the call still holds. Loops and conditionals
keep their functions; calls inside of these are laid out there.

A call that can't be laid out is left as it is: its function is missing, takes another number of arguments, calls
itself, or refers to what it does not have; or there are too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rnnprobe.formats import op_outputs

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
MOST_NODES = 250_000  # that are put in
MOST_EDGES = 1_000_000  # likewise
MOST_BYTES = 1 << 28  # likewise
DEEPEST = 32  # calls in each other
_FLOW = {"Enter", "RefEnter", "Switch", "RefSwitch"}
_BESIDE = "_output_shapes"


def flat(definition: Any) -> Any:
    """A GraphDef without calls of functions, as far as they can be laid out; the same object where there are none.

    Args:
        definition: a GraphDef; it is left as it is.
    """
    if not any(node.op in CALLS for nodes in _bodies(definition) for node in nodes):
        return definition
    made = type(definition)()
    made.versions.CopyFrom(definition.versions)
    layout = _Layout({function.signature.name: function for function in definition.library.function})
    layout.graph(definition.node, made.node)
    reached = layout.reached(made.node)
    made.library.gradient.MergeFrom(definition.library.gradient)
    for function in definition.library.function:
        new = made.library.function.add()
        new.CopyFrom(function)
        if function.signature.name in reached:
            del new.node_def[:]
            layout.body(function, new.node_def)
    return made


def _bodies(definition: Any) -> Iterator[Iterable[Any]]:
    yield definition.node
    for function in definition.library.function:
        yield function.node_def


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the nodes of a function are put.

    Attributes:
        into: the nodes of a graph or of another function.
        taken: the names of what is there → the number after the last that was added to it.
        in_graph: edges count outputs, and don't name them.
        framed: version 1 control flow is there: what has no inputs must be tied to what it stands beside.
    """

    into: Any
    taken: dict[str, int]
    in_graph: bool
    framed: bool = False

    def name(self, wanted: str) -> str:
        """A name that is free, and is not from now on."""
        name, number = wanted, self.taken.get(wanted, 0)
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        if name != wanted:
            self.taken[wanted] = number
        self.taken[name] = 0
        return name

    def edge(self, node: str, label: str, number: int, offset: int) -> str:
        """An edge that a function writes `node:label:number`."""
        if not self.in_graph:
            return f"{node}:{label}:{number}"
        number += offset
        return f"{node}:{number}" if number else node


@dataclass(frozen=True, slots=True)
class _Frame:
    """A function that is being laid out.

    Attributes:
        nodes: its own nodes by their own names.
        names: what these are called where they are put.
        given: argument → the edge that takes its place.
        bound: what its attributes are.
        waits: control edges for what has no inputs.
        first: control edges for what takes an argument.
    """

    nodes: Mapping[str, Any]
    names: Mapping[str, str]
    given: Mapping[str, str]
    bound: Mapping[str, Any]
    waits: tuple[str, ...]
    first: tuple[str, ...]


class _Layout:
    """Lays out calls, up to a number of nodes.

    Args:
        functions: by name.
    """

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._nodes = MOST_NODES
        self._edges = MOST_EDGES
        self._bytes = MOST_BYTES
        self._sound: dict[str, bool] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def graph(self, nodes: Iterable[Any], into: Any) -> None:
        """Puts the nodes of a graph, and what they call, into another."""
        nodes = list(nodes)
        framed = any(node.op in _FLOW for node in nodes)
        self._put_all(
            nodes, _Place(into, dict.fromkeys((node.name for node in nodes), 0), in_graph=True, framed=framed), ()
        )

    def body(self, function: Any, into: Any) -> None:
        """Puts the nodes of a function, and what they call, into a copy of it."""
        names = [node.name for node in function.node_def] + [arg.name for arg in function.signature.input_arg]
        place = _Place(into, dict.fromkeys(names, 0), in_graph=False)
        self._put_all(list(function.node_def), place, (function.signature.name,))

    def _put_all(self, nodes: Iterable[Any], place: _Place, within: tuple[str, ...]) -> None:
        for node in nodes:
            copy = place.into.add()
            copy.CopyFrom(node)
            if node.op in CALLS:
                self._lay_out(copy, place, (), within)

    def reached(self, nodes: Iterable[Any]) -> set[str]:
        """The functions that loops and conditionals keep: of nodes, and of the functions that these name in turn."""
        found: set[str] = set()
        seen: set[str] = set()
        front = list(nodes)
        while front:
            node = front.pop()
            for name in _named(node):
                if node.op not in CALLS:
                    found.add(name)
                if name in self._functions and name not in seen:
                    seen.add(name)
                    front += self._functions[name].node_def
        return found

    # One call --------------------------------------------------------------------------------------------------------

    def _lay_out(self, call: Any, place: _Place, waits: tuple[str, ...], within: tuple[str, ...]) -> None:
        """Puts a call's function where the call is, which hands on the results from now on; or leaves it as it is."""
        function = self._functions.get(call.attr["f"].func.name) if "f" in call.attr else None
        if function is None or not self._fits(call, function, within):
            return
        self._nodes -= len(function.node_def) + 2
        edges, size = self._size(call, function)
        self._edges -= edges
        self._bytes -= size
        frame = self._frame(call, function, place, waits)
        for node in function.node_def:
            copy = place.into.add()
            copy.CopyFrom(node)
            copy.name = frame.names[node.name]
            self._rewire(copy, node, frame, place)
            _bind(copy, frame.bound)
            if node.op in CALLS:
                self._lay_out(copy, place, frame.waits, (*within, function.signature.name))
        results = [self._edge(function.ret[arg.name], frame, place) for arg in function.signature.output_arg]
        done = [f"^{frame.names[name]}" for name in function.control_ret.values()]
        _hand_on(call, results, done, [_type(arg, frame.bound) for arg in function.signature.output_arg])

    def _frame(self, call: Any, function: Any, place: _Place, waits: tuple[str, ...]) -> _Frame:
        data = [edge for edge in call.input if not edge.startswith("^")]
        names = {node.name: place.name(f"{call.name}/{node.name}") for node in function.node_def}
        first = self._joined([edge for edge in call.input if edge.startswith("^")], call, place)
        arguments = function.signature.input_arg
        bound = call.attr["f"].func.attr
        if place.framed and data:
            # A node without inputs is in no frame and in no branch, unless it waits for what is.
            pivot = place.into.add(name=place.name(f"{call.name}/given"), op="Identity", input=[data[0], *first])
            pivot.attr["T"].type = _type(arguments[0], bound)
            waits = (f"^{pivot.name}",)
        return _Frame(
            nodes={node.name: node for node in function.node_def},
            names=names,
            given=dict(zip((arg.name for arg in arguments), data, strict=True)),
            bound=bound,
            waits=waits if (place.framed and data) or not first else first,
            first=first,
        )

    def _joined(self, controls: list[str], call: Any, place: _Place) -> tuple[str, ...]:
        """One control edge that stands for several."""
        if len(controls) < 2:
            return tuple(controls)
        joined = place.into.add(name=place.name(f"{call.name}/waits"), op="NoOp", input=controls)
        return (f"^{joined.name}",)

    def _rewire(self, copy: Any, node: Any, frame: _Frame, place: _Place) -> None:
        edges = [self._edge(edge, frame, place) for edge in node.input]
        data = [edge for edge in edges if not edge.startswith("^")]
        more: tuple[str, ...] = ()
        if not edges:
            more = frame.waits
        elif any(edge.partition(":")[0] in frame.given for edge in node.input):
            more = frame.first
        controls = [edge for edge in edges if edge.startswith("^")]
        del copy.input[:]
        copy.input.extend([*data, *dict.fromkeys([*controls, *more])])

    def _edge(self, edge: str, frame: _Frame, place: _Place) -> str:
        """An edge of a function, where its nodes are put."""
        source, label, number = _parts(edge)
        if edge.startswith("^"):
            given = frame.given.get(source)
            return f"^{frame.names[source]}" if given is None else f"^{given.partition(':')[0]}"
        if source in frame.given:
            return frame.given[source]
        offset = op_outputs.place(frame.nodes[source], label)
        assert offset is not None
        return place.edge(frame.names[source], label, number, offset)

    # What can be laid out --------------------------------------------------------------------------------------------

    def _fits(self, call: Any, function: Any, within: tuple[str, ...]) -> bool:
        signature = function.signature
        data = sum(not edge.startswith("^") for edge in call.input)
        if signature.name in within or len(within) >= DEEPEST or len(function.node_def) > self._nodes:
            return False
        edges, size = self._size(call, function)
        if edges > self._edges or size > self._bytes:
            return False
        if data != len(signature.input_arg) or not _follows(call):
            return False
        bound = call.attr["f"].func.attr
        if not all(_type(arg, bound) for arg in (*signature.input_arg, *signature.output_arg)):
            return False
        if not all(name in bound for node in function.node_def for name in _open(node)):
            return False
        known = self._sound.get(signature.name)
        if known is None:
            known = self._sound[signature.name] = _is_sound(function)
        return known

    def _size(self, call: Any, function: Any) -> tuple[int, int]:
        """The edges of a call where it is laid out, and the bytes that it takes there, its longer names included."""
        name = function.signature.name
        if name not in self._sizes:
            edges = sum(1 + len(node.input) for node in function.node_def)
            edges += len(function.signature.output_arg) + len(function.control_ret)
            self._sizes[name] = edges, function.ByteSize()
        edges, size = self._sizes[name]
        longest = max((len(edge) for edge in call.input), default=0)
        return edges, size + edges * (len(call.name) + longest)


def _named(node: Any) -> Iterator[str]:
    """The functions that a node's attributes name."""
    for value in node.attr.values():
        if value.WhichOneof("value") == "func":
            yield value.func.name
        elif value.WhichOneof("value") == "list":
            yield from (one.name for one in value.list.func)


def _open(node: Any) -> Iterator[str]:
    """The attributes of its function that a node's own attributes stand for."""
    for value in node.attr.values():
        if value.WhichOneof("value") == "placeholder":
            yield value.placeholder


def _bind(node: Any, bound: Mapping[str, Any]) -> None:
    for value in node.attr.values():
        if value.WhichOneof("value") == "placeholder":
            value.CopyFrom(bound[value.placeholder])


def _type(arg: Any, bound: Mapping[str, Any]) -> int:
    """The DataType of an argument; 0 where that is not said, or where it stands for several tensors."""
    if arg.number_attr or arg.type_list_attr:
        return 0
    if arg.type_attr:
        return int(bound[arg.type_attr].type) if arg.type_attr in bound else 0
    return int(arg.type)


def _parts(edge: str) -> tuple[str, str, int]:
    """`node:label:2` of a function; -1 for a number that is none."""
    source, _, rest = edge.removeprefix("^").partition(":")
    label, _, number = rest.partition(":")
    if not number:
        return source, label, 0
    return source, label, int(number) if number.isdecimal() and len(number) < 6 else -1


def _follows(node: Any) -> bool:
    """Whether control edges come last, as they have to."""
    controls = [edge.startswith("^") for edge in node.input]
    return controls == sorted(controls)


def _is_sound(function: Any) -> bool:
    """Whether all that a function refers to is in it, and each output is told by its name."""
    arguments = {arg.name for arg in function.signature.input_arg}
    nodes = {node.name: node for node in function.node_def}
    if len(nodes) + len(arguments) != len(function.node_def) + len(function.signature.input_arg):
        return False
    if arguments & nodes.keys() or not all(nodes) or not all(_follows(node) for node in function.node_def):
        return False
    labels: dict[str, str] = {}

    def known(edge: str) -> bool:
        source, label, number = _parts(edge)
        if edge.startswith("^"):
            return source in nodes or source in arguments
        if source in arguments:
            return label in ("", "0") and number == 0
        if source not in nodes or not label or number < 0:
            return False
        if op_outputs.several(nodes[source].op):
            return op_outputs.place(nodes[source], label) is not None
        # Of an op that is on no list, a second name would be at a place that nothing tells.
        return labels.setdefault(source, label) == label

    edges = [edge for node in function.node_def for edge in node.input]
    results = [function.ret.get(arg.name, "") for arg in function.signature.output_arg]
    return all(known(edge) for edge in (*edges, *results)) and all(
        name in nodes for name in function.control_ret.values()
    )


def _hand_on(call: Any, results: list[str], done: list[str], types: list[int]) -> None:
    """Turns a call into what hands on results."""
    beside = [call.attr[_BESIDE].SerializeToString()] if _BESIDE in call.attr else []
    call.op = "IdentityN" if results else "NoOp"
    call.attr.clear()
    for stored in beside:
        call.attr[_BESIDE].ParseFromString(stored)
    if results:
        call.attr["T"].list.type.extend(types)
    del call.input[:]
    call.input.extend([*results, *dict.fromkeys(done)])
