"""Variables by their values: what hands on a variable's handle hands on its value, and what reads it gets that.

A handle goes through copies, into loops and conditionals, and into the functions that these run; there it is an
argument. Each such function is copied with the argument, and the result that hands it on, of the variable's own dtype
and shape. Reading is all that is followed: nothing is ever assigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import types_pb2

from rnnprobe.engine.original import ops
from rnnprobe.errors import BadInput

_RESOURCE = types_pb2.DT_RESOURCE
_COPIES = {"Enter", "Exit", "Identity", "NextIteration", "Switch", "Merge"}
_OUTPUTS = {"Switch": (("output_false", 0), ("output_true", 0))}
_WHILES = {"While", "StatelessWhile"}
_BRANCHES = {"If": ("then_branch", "else_branch"), "StatelessIf": ("then_branch", "else_branch")}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_HAND_ON = _COPIES | _WHILES | _BRANCHES.keys() | _CALLS | {"IdentityN"}
_DEEPEST = 32
# What reads a handle → what reads a value: the op, its output, and its attributes (theirs: the reader's).
_READERS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "ReadVariableOp": ("Identity", "value", {"T": "dtype"}),
    "ResourceGather": ("Gather", "output", {"Tparams": "dtype", "Tindices": "Tindices"}),
    "ResourceGatherNd": ("GatherNd", "output", {"Tparams": "dtype", "Tindices": "Tindices"}),
    "VariableShape": ("Shape", "output", {"out_type": "out_type"}),
}


@dataclass(frozen=True, slots=True)
class Handle:
    """A variable: its DataType and its TensorShapeProto, serialised."""

    dtype: int
    shape: bytes


def by_value(definition: Any, handles: Mapping[str, Handle], path: Path) -> None:
    """Turns what reads variables' handles into what reads values, in place.

    Args:
        definition: a GraphDef.
        handles: node → the variable whose value it is from now on.
        path: for messages.

    Raises:
        BadInput: a handle goes into something else than what reads it.
    """
    if handles:
        nodes = _Nodes(definition.node, {f"{name}:0": handle for name, handle in handles.items()}, in_graph=True)
        _Follower(definition.library, path).follow(nodes)
        called = ops.functions({one.signature.name: one for one in definition.library.function}, definition.node)
        left = [function for function in definition.library.function if function.signature.name in called]
        library = type(definition.library)(function=left)
        definition.library.CopyFrom(library)


class _Nodes:
    """The nodes of a graph or of a function, and which tensors there stand for variables.

    Args:
        nodes: the NodeDefs.
        known: tensor → the variable.
        in_graph: edges count outputs, and don't name them.
    """

    def __init__(self, nodes: Iterable[Any], known: dict[str, Handle], *, in_graph: bool) -> None:
        self.nodes = list(nodes)
        self.known = known
        self._in_graph = in_graph
        self._shares = 2 if in_graph else 3  # of an edge that is written out

    def tensor(self, edge: str) -> str:
        """An edge as `known` has it."""
        if ":" not in edge:
            return f"{edge}:0" if self._in_graph else edge
        return edge if edge.count(":") + 1 == self._shares else f"{edge}:0"

    def entering(self, node: Any) -> dict[int, Handle]:
        """The inputs of a node that are variables."""
        data = [edge for edge in node.input if not edge.startswith("^")]
        found = ((place, self.known.get(self.tensor(edge))) for place, edge in enumerate(data))
        return {place: handle for place, handle in found if handle is not None}

    def leave(self, node: Any, handles: Mapping[int, Handle]) -> bool:
        """Says that outputs of a node are variables; whether that is news."""
        new = False
        for place, handle in handles.items():
            if self._in_graph:
                name = f"{node.name}:{place}"
            else:
                label, number = _OUTPUTS[node.op][place] if node.op in _OUTPUTS else ("output", place)
                name = f"{node.name}:{label}:{number}"
            new |= name not in self.known
            self.known[name] = handle
        return new


class _Follower:
    """Follows handles from node to node.

    Args:
        library: the functions; copies are added to it.
        path: for messages.
    """

    def __init__(self, library: Any, path: Path) -> None:
        self._library = library
        self._functions = {function.signature.name: function for function in library.function}
        self._made: dict[tuple[str, tuple[tuple[int, Handle], ...]], tuple[str, dict[int, Handle]]] = {}
        self._originals: dict[str, str] = {}
        self._making: set[tuple[str, tuple[tuple[int, Handle], ...]]] = set()
        self._path = path

    def follow(self, nodes: _Nodes, depth: int = 0) -> dict[str, str]:
        """Follows the handles through some nodes; returns the readers' outputs that have another name now."""
        news = True
        while news:
            news = False
            for node in nodes.nodes:
                handles = nodes.entering(node)
                if handles and node.op in _HAND_ON:
                    news |= nodes.leave(node, self._passed(node, handles, depth))
        renamed: dict[str, str] = {}
        for node in nodes.nodes:
            handles = nodes.entering(node)
            if handles and node.op not in _HAND_ON:
                renamed.update(self._read(node, handles))
        return renamed

    def _passed(self, node: Any, handles: Mapping[int, Handle], depth: int) -> dict[int, Handle]:
        """What a node hands on of the variables that enter it; its types are set accordingly."""
        if node.op in _COPIES:
            handle = next(iter(handles.values()))
            node.attr["T"].type = handle.dtype
            return dict.fromkeys(range(2 if node.op == "Switch" else 1), handle)
        if node.op == "IdentityN":
            _type(node, "T", handles)
            return dict(handles)
        return self._called(node, handles, depth)

    def _read(self, node: Any, handles: Mapping[int, Handle]) -> dict[str, str]:
        """Turns what reads a handle into what reads a value."""
        if node.op not in _READERS or list(handles) != [0] or node.attr["batch_dims"].i:
            raise BadInput(
                f"can't be run: its graph hands a variable to {node.op} ({node.name!r}); reading one is all that "
                f"is followed",
                path=self._path,
            )
        op, output, attributes = _READERS[node.op]
        types = {name: node.attr[source].type for name, source in attributes.items()}
        types |= {name: handles[0].dtype for name, source in attributes.items() if source == "dtype"}
        if op == "Shape":
            types["T"] = handles[0].dtype
        node.op = op
        node.attr.clear()
        for name, kind in types.items():
            if kind:
                node.attr[name].type = kind
        return {f"{node.name}:{output}": f"{node.name}:output"}

    # Functions -------------------------------------------------------------------------------------------------------

    def _called(self, node: Any, handles: Mapping[int, Handle], depth: int) -> dict[int, Handle]:
        """Gives the functions of a node the variables in place of their handles."""
        if node.op in _WHILES:
            _, left = self._function(node, "body", handles, depth)
            self._function(node, "cond", handles, depth)
            if left != dict(handles):
                raise BadInput(
                    f"can't be run: the loop {node.name!r} of its graph exchanges a variable for another",
                    path=self._path,
                )
            _type(node, "T", handles)
            _shapes(node, left)
            return left
        branches = _BRANCHES.get(node.op, ("f",))
        skipped = 1 if node.op in _BRANCHES else 0  # what tells which branch is taken
        inner = {place - skipped: handle for place, handle in handles.items()}
        results = [self._function(node, name, inner, depth)[1] for name in branches]
        if any(result != results[0] for result in results):
            raise BadInput(
                f"can't be run: the branches of {node.name!r} in its graph hand on different variables",
                path=self._path,
            )
        _type(node, "Tin", inner)
        _type(node, "Tout", results[0])
        _shapes(node, results[0])
        return results[0]

    def _function(
        self, node: Any, attribute: str, handles: Mapping[int, Handle], depth: int
    ) -> tuple[str, dict[int, Handle]]:
        """A copy of a function of a node that takes values, named in it; and which of its results are variables."""
        name = node.attr[attribute].func.name
        # A loop that was seen before: what enters it since is one variable more.
        name = self._originals.get(name, name)
        key = (name, tuple(sorted(handles.items(), key=lambda item: item[0])))
        if key not in self._made:
            if key in self._making:
                raise BadInput(f"can't be run: the function {name!r} of its graph calls itself", path=self._path)
            self._making.add(key)
            self._made[key] = self._copied(name, handles, depth)
        node.attr[attribute].func.name = self._made[key][0]
        return self._made[key]

    def _copied(self, name: str, handles: Mapping[int, Handle], depth: int) -> tuple[str, dict[int, Handle]]:
        function = self._functions.get(name)
        if function is None or depth >= _DEEPEST:
            what = "calls functions in each other too deeply" if function is not None else f"has no function {name!r}"
            raise BadInput(f"can't be run: its graph {what}", path=self._path)
        made = self._library.function.add()
        made.CopyFrom(function)
        made.arg_attr.clear()
        made.signature.name = self._free(name)
        self._originals[made.signature.name] = name
        self._functions[made.signature.name] = made
        arguments = made.signature.input_arg
        known = {arguments[place].name: handle for place, handle in handles.items() if place < len(arguments)}
        for argument in arguments:
            if argument.name in known:
                argument.type = known[argument.name].dtype
                argument.ClearField("handle_data")
        nodes = _Nodes(made.node_def, known, in_graph=False)
        renamed = self.follow(nodes, depth + 1)
        _rename(made, renamed)
        left: dict[int, Handle] = {}
        for place, result in enumerate(made.signature.output_arg):
            handle = nodes.known.get(nodes.tensor(made.ret.get(result.name, "")))
            if handle is not None and result.type == _RESOURCE:
                left[place] = handle
                result.type = handle.dtype
        return made.signature.name, left

    def _free(self, name: str) -> str:
        number = len(self._originals)
        while f"{name}_by_value_{number}" in self._functions:
            number += 1
        return f"{name}_by_value_{number}"


def _rename(function: Any, renamed: Mapping[str, str]) -> None:
    """Says `node:output:0` where what is now a copy was `node:value:0`."""

    def edge(old: str) -> str:
        head, _, number = old.rpartition(":")
        return f"{renamed[head]}:{number}" if head in renamed else renamed.get(old, old)

    for node in function.node_def:
        edges = [edge(old) for old in node.input]
        del node.input[:]
        node.input.extend(edges)
    for name in list(function.ret):
        function.ret[name] = edge(function.ret[name])


def _type(node: Any, attribute: str, handles: Mapping[int, Handle]) -> None:
    types = node.attr[attribute].list.type
    for place, handle in handles.items():
        if place < len(types):
            types[place] = handle.dtype


def _shapes(node: Any, handles: Mapping[int, Handle]) -> None:
    shapes = node.attr["output_shapes"].list.shape if "output_shapes" in node.attr else ()
    for place, handle in handles.items():
        if place < len(shapes):
            shapes[place].ParseFromString(handle.shape)
