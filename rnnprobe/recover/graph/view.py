"""A TensorFlow graph as one flat web of tensors, whatever its control flow.

Both ways of writing a loop come out alike: a loop variable is a node `LoopVar` with the inputs (initial value, next
value), and what a loop leaves behind is an `Exit` of it. Version 1 frames (`Enter`, `Merge`, `Switch`, `NextIteration`,
`Exit`) are read in place; the functions of `While` and `If` are laid out where these are, those of calls were so when
the file was read (`rnnprobe.formats.inline`). A conditional is a `Merge` of its branches. Ops that hand on a value
unchanged disappear behind `resolve`.

Nothing goes by a node's name, with one exception: what lies under `gradients` is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnnprobe.formats import op_outputs
from rnnprobe.formats.graph import definition
from rnnprobe.formats.inline import CALLS, DEEPEST, MOST_NODES

Ref: TypeAlias = tuple[int, int]
"""A tensor: the number of its node, and which of its outputs."""

LOOP_VARIABLE = "LoopVar"
MISSING = "(missing)"
MERGES = frozenset({"Merge", "RefMerge"})
"""The ops that hand on whichever of their operands was computed: where branches, or the turns of a loop, meet."""

_ALIASES = {
    "Identity",
    "Enter",
    "RefEnter",
    "RefIdentity",
    "Switch",
    "RefSwitch",
    "NextIteration",
    "RefNextIteration",
    "ReadVariableOp",
    "StopGradient",
    "PreventGradient",
    "CheckNumerics",
    "Snapshot",
    "Print",
}
_NEXT = {"NextIteration", "RefNextIteration"}
_WHILES = {"While", "StatelessWhile"}
_IFS = {"If", "StatelessIf"}


@dataclass(slots=True)
class Node:
    """An op.

    Attributes:
        name: for messages alone.
        op: the op's type.
        inputs: the tensors that enter, control edges left out.
        proto: its NodeDef, or None for a node that stands for control flow.
        hidden: it belongs to the computation of gradients.
        call: the node whose function it is from; 0 for those of the graph itself.
        function: which of that node's functions: the name of its attribute (`body`, `then_branch` …).
    """

    name: str
    op: str
    inputs: list[Ref]
    proto: Any = None
    hidden: bool = False
    call: int = 0
    function: str = ""


@dataclass(slots=True)
class View:
    """The web.

    Attributes:
        nodes: every op.
        redirects: outputs of calls → the tensors that they are.
        unread: what calls functions that were not laid out: too deep, too many, missing, or not as they are called.
    """

    nodes: list[Node]
    redirects: dict[Ref, Ref]
    unread: list[str]
    _resolved: dict[Ref, Ref] = field(default_factory=dict)
    _consumers: dict[Ref, list[tuple[int, int]]] | None = None

    def node(self, ref: Ref) -> Node:
        """The node that computes a tensor."""
        return self.nodes[ref[0]]

    def resolve(self, ref: Ref) -> Ref:
        """The tensor of which this one is a copy, perhaps itself."""
        passed: list[Ref] = []
        while len(passed) <= len(self.nodes):
            known = self._resolved.get(ref)
            if known is not None:
                ref = known
                break
            source = self._source(ref)
            if source is None:
                break
            passed.append(ref)
            ref = source
        for copy in passed:
            self._resolved[copy] = ref
        return ref

    def _source(self, ref: Ref) -> Ref | None:
        if ref in self.redirects:
            return self.redirects[ref]
        node = self.nodes[ref[0]]
        if node.op in _ALIASES:
            return node.inputs[0] if node.inputs else None
        if node.op == "IdentityN":
            return node.inputs[ref[1]] if ref[1] < len(node.inputs) else None
        if node.op == "Mul" and len(node.inputs) == 2:
            # Keras's dropout where there is none.
            return next((node.inputs[1 - k] for k in (0, 1) if self._is_one(node.inputs[k])), None)
        return None

    def _is_one(self, ref: Ref) -> bool:
        """Whether a tensor is the number 1 itself."""
        node = self.nodes[ref[0]]
        value = attribute(node, "value") if node.op == "Const" else None
        if value is None or value.tensor.tensor_shape.dim:
            return False
        return bool(value.tensor.float_val[:] == [1.0] or value.tensor.double_val[:] == [1.0])

    def input(self, node: Node | int, slot: int) -> Ref:
        """What enters a node at a slot, resolved; a tensor of no known op where the graph lacks it."""
        inputs = (self.nodes[node] if isinstance(node, int) else node).inputs
        return self.resolve(inputs[slot]) if -len(inputs) <= slot < len(inputs) else (0, 0)

    def inputs(self, node: Node | int) -> list[Ref]:
        """All that enters a node, resolved."""
        return [self.resolve(ref) for ref in (self.nodes[node] if isinstance(node, int) else node).inputs]

    def consumers(self, ref: Ref) -> list[tuple[int, int]]:
        """The nodes that read a resolved tensor, copies seen through, and at which slot."""
        if self._consumers is None:
            self._consumers = {}
            for number, node in enumerate(self.nodes):
                if not node.hidden and node.op not in _ALIASES and node.op != "IdentityN":
                    for slot, source in enumerate(node.inputs):
                        self._consumers.setdefault(self.resolve(source), []).append((number, slot))
        return self._consumers.get(ref, [])

    def settle(self) -> None:
        """Turns loop variables that never change, and what is left of them, into copies of what they start as."""
        for _ in range(DEEPEST):
            self._resolved.clear()
            constant = [number for number, node in enumerate(self.nodes) if self._is_constant(number, node)]
            for number in constant:
                self.nodes[number].op = "Identity"
            if not constant:
                break
        self._resolved.clear()

    def _is_constant(self, number: int, node: Node) -> bool:
        if node.op == LOOP_VARIABLE:
            return self.resolve(node.inputs[1]) == (number, 0)
        if node.op == "Exit" and node.inputs:
            return self.node(self.resolve(node.inputs[0])).op not in (LOOP_VARIABLE, MISSING, "Exit")
        return False


def attribute(node: Node, name: str) -> Any:
    """An attribute's value as protobuf, or None where the node has none by that name."""
    if node.proto is None or name not in node.proto.attr:
        return None
    return node.proto.attr[name]


def view(graph: Any) -> View:
    """Lays out a GraphDef, or the one in a MetaGraphDef."""
    parsed = definition(graph)
    builder = _Builder({function.signature.name: function for function in parsed.library.function})
    builder.graph(parsed.node)
    return builder.view()


def view_of(parsed: Any, proto: Any, function: str) -> tuple[View, list[Ref]]:
    """A function by itself, and its results: that which an attribute of a node names.

    Its argument number k is the first output of node k + 1.

    Args:
        parsed: the GraphDef.
        proto: the node.
        function: the attribute: `cond`, `body` …
    """
    builder = _Builder({function.signature.name: function for function in parsed.library.function})
    data = [edge for edge in proto.input if not edge.startswith("^")]
    builder.nodes += [Node(f"argument {k}", "Placeholder", []) for k in range(len(data))]
    builder.nodes.append(Node(proto.name, proto.op, [(k + 1, 0) for k in range(len(data))], proto))
    results = builder.function(len(data) + 1, function, builder.nodes[-1].inputs, 0)
    return builder.view(), results


class _Builder:
    """Collects nodes, and then what the functions that they call hold."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.functions = functions
        # The first node stands for whatever an edge names and the graph lacks.
        self.nodes = [Node("", MISSING, [])]
        self.redirects: dict[Ref, Ref] = {}
        self.unread: list[str] = []
        self._calls: list[tuple[int, int]] = []

    def graph(self, definitions: Iterable[Any]) -> None:
        """The graph itself, where an edge is `node` or `node:2`."""
        numbers = self._add(definitions, "", 0)
        first = len(self.nodes) - len(numbers)
        for node in self.nodes[first:]:
            for edge in node.proto.input:
                if not edge.startswith("^"):
                    name, _, port = edge.partition(":")
                    node.inputs.append((numbers.get(name, 0), _port(port)))
        for number in range(first, len(self.nodes)):
            node = self.nodes[number]
            if node.op in MERGES and any(self.nodes[source].op in _NEXT for source, _ in node.inputs):
                node.op = LOOP_VARIABLE
                node.inputs = sorted(node.inputs[:2], key=lambda ref: self.nodes[ref[0]].op in _NEXT)
                node.inputs += node.inputs[-1:] if len(node.inputs) < 2 else []

    def _add(self, definitions: Iterable[Any], prefix: str, depth: int) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for proto in definitions:
            name = prefix + proto.name
            hidden = "gradients" in name and any(part.startswith("gradients") for part in name.split("/"))
            numbers[proto.name] = len(self.nodes)
            if not hidden and (proto.op in _WHILES or proto.op in _IFS or proto.op in CALLS):
                self._calls.append((len(self.nodes), depth))
            self.nodes.append(Node(name, proto.op, [], proto, hidden))
        return numbers

    def view(self) -> View:
        """What was collected, with the functions of loops and conditionals where these are."""
        self._lay_out()
        web = View(self.nodes, self.redirects, self.unread)
        web.settle()
        return web

    def _lay_out(self) -> None:
        while self._calls:
            number, depth = self._calls.pop()
            node = self.nodes[number]
            if node.op in CALLS or depth >= DEEPEST or len(self.nodes) > MOST_NODES:
                self.unread.append(node.name)
            elif node.op in _WHILES:
                self._while(number, depth + 1)
            else:
                self._if(number, depth + 1)

    def _while(self, number: int, depth: int) -> None:
        node = self.nodes[number]
        first = len(self.nodes)
        for source in node.inputs:
            self.nodes.append(Node(node.name, LOOP_VARIABLE, [source, source], call=number, function="body"))
        variables = [(first + k, 0) for k in range(len(node.inputs))]
        results = self.function(number, "body", variables, depth)
        for port, (variable, following) in enumerate(zip(variables, results, strict=False)):
            self.nodes[variable[0]].inputs[1] = following
            self.redirects[number, port] = self._append(Node(node.name, "Exit", [variable]))

    def _if(self, number: int, depth: int) -> None:
        node = self.nodes[number]
        branches = [self.function(number, name, node.inputs[1:], depth) for name in ("then_branch", "else_branch")]
        for port, refs in enumerate(zip(*branches, strict=False)):
            self.redirects[number, port] = self._append(Node(node.name, "Merge", list(refs)))

    def _append(self, node: Node) -> Ref:
        self.nodes.append(node)
        return len(self.nodes) - 1, 0

    def function(self, caller: int, name: str, arguments: list[Ref], depth: int) -> list[Ref]:
        """Lays out the function that an attribute of a node names, and returns its results."""
        call = self.nodes[caller]
        value = attribute(call, name)
        function = self.functions.get(value.func.name) if value is not None else None
        if function is None:
            self.unread.append(call.name)
            return []
        given: dict[str, Ref] = dict(zip((arg.name for arg in function.signature.input_arg), arguments, strict=False))
        numbers = self._add(function.node_def, f"{call.name}/", depth)
        for number in numbers.values():
            self.nodes[number].call, self.nodes[number].function = caller, name

        def refer(edge: str) -> Ref:
            source, _, output = edge.partition(":")
            if not output and source in given:
                return given[source]
            number = numbers.get(source, 0)
            label, _, port = output.partition(":")
            first = op_outputs.place(self.nodes[number].proto, label) if number else 0
            return (number if first is not None else 0), (first or 0) + _port(port)

        for number in numbers.values():
            node = self.nodes[number]
            node.inputs += [refer(edge) for edge in node.proto.input if not edge.startswith("^")]
        return [refer(function.ret.get(arg.name, "")) for arg in function.signature.output_arg]


def _port(text: str) -> int:
    """The number of an output, as an edge names it; 0 where it names none, or one that no op has."""
    return int(text) if text.isdecimal() and len(text) < 6 else 0
