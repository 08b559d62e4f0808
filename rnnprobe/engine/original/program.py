"""The part of an original graph that is run: what leads to the wanted tensors, and nothing else.

What is fed becomes a placeholder, and so does every variable: the values come from the checkpoint, so that nothing is
restored, initialised or assigned.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import graph_pb2, node_def_pb2

from rnnprobe.engine.original import ops
from rnnprobe.engine.original.handles import Handle, by_value
from rnnprobe.engine.original.writes import WRITERS, check_writes
from rnnprobe.errors import BadInput
from rnnprobe.formats.graph import definition
from rnnprobe.recover.graph.values import Variables, own_names
from rnnprobe.recover.graph.view import View
from rnnprobe.types import Array, Checkpoint

_VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}
_REFERENCES = re.compile(r"^Ref(?=Enter$|Exit$|Switch$|Merge$|Identity$|NextIteration$|Select$)")
_SAVES = {"SaveV2", "SaveSlices"}
_TABLES = "LookupTableFind"  # what makes ids of words; the ids are given in its place
_SOURCES = ("IteratorGetNext", "QueueDequeue", _TABLES)  # what gives the next sequences


@dataclass(slots=True)
class Program:
    """A graph to run.

    Attributes:
        definition: the GraphDef.
        prefix: what no name in it begins with.
        variables: placeholder → the variable that it stands for.
        path: of the checkpoint, for messages.
        sources: what came out of queues and iterators, node and output → the placeholder that takes its place.
    """

    definition: Any
    prefix: str
    path: Path
    variables: dict[str, Any] = field(default_factory=dict)
    sources: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(self, name: str, op: str, inputs: Collection[str] = (), **attributes: Any) -> str:
        """Adds a node and returns its name; types are given as DataTypes, anything else as a field of AttrValue."""
        node = self.definition.node.add(name=name, op=op)
        node.input.extend(inputs)
        for key, value in attributes.items():
            set_attribute(node.attr[key], value)
        return name

    def rewired(self, edge: str, fed: Mapping[str, str], known: Mapping[str, Any]) -> str:
        """The edge, or the placeholder that takes its place; empty where nothing is left to wait for."""
        name, _, number = edge.lstrip("^").partition(":")
        port = int(number or 0)
        source = name in known and known[name].op.startswith(_SOURCES)
        if edge.startswith("^"):
            written = name in known and known[name].op in WRITERS
            silent = source and not known[name].op.startswith(_TABLES)
            return "" if silent or written or f"{name}:0" in fed else edge
        if f"{name}:{port}" in fed or not source:
            return fed.get(f"{name}:{port}", edge)
        if (name, port) not in self.sources:
            self.sources[name, port] = f"{self.prefix}/source_{len(self.sources)}"
            self.add(self.sources[name, port], "Placeholder", dtype=ops.outputs(known[name], self.path)[port][2])
        return self.sources[name, port]


def set_attribute(attribute: Any, value: Any) -> None:
    """Sets an AttrValue: a bool, bytes, a dict of one of its fields, or a DataType."""
    if isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, bytes):
        attribute.s = value
    elif isinstance(value, dict):
        for name, inner in value.items():
            setattr(attribute, name, inner)
    else:
        attribute.type = value


def program(checkpoint: Checkpoint, wanted: Collection[str], fed: Mapping[str, str]) -> Program:
    """The nodes that lead to `wanted`.

    Args:
        checkpoint: with its graph.
        wanted: names of nodes.
        fed: edge (`node:0`) → the name of the placeholder that takes its place; these have no shape.

    Raises:
        BadInput: the graph lacks a node, or reads its variables in a way that is not known.
    """
    parsed = definition(checkpoint.graph)
    known = {node.name: node for node in parsed.node}
    made = graph_pb2.GraphDef()
    made.versions.CopyFrom(parsed.versions)
    found = Program(made, _prefix(known), checkpoint.path)
    waiting, seen = list(wanted), set(wanted)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise BadInput(f"can't be run: its graph has no node {name!r}", path=checkpoint.path)
        node = made.node.add()
        node.CopyFrom(known[name])
        _plain(node)
        if node.op in _VARIABLES:
            continue
        edges = [edge for edge in (found.rewired(edge, fed, known) for edge in node.input) if edge]
        del node.input[:]
        node.input.extend(edges)
        for edge in edges:
            source = edge.lstrip("^").partition(":")[0]
            if source not in seen and source not in fed.values() and not source.startswith(found.prefix):
                seen.add(source)
                waiting.append(source)
    library = {function.signature.name: function for function in parsed.library.function}
    for function in ops.functions(library, made.node).values():
        copy = made.library.function.add()
        copy.CopyFrom(function)
        for inner in copy.node_def:
            _plain(inner)
    check_writes(known, seen, checkpoint.path)
    _variables(found)
    return found


def _prefix(names: Collection[str]) -> str:
    prefix = "rnnprobe"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def placeholder_names(edges: Collection[str], names: Collection[str]) -> dict[str, str]:
    """A placeholder's name for each edge that is fed."""
    prefix = _prefix(names)
    return {edge: f"{prefix}/fed_{number}" for number, edge in enumerate(dict.fromkeys(edges))}


def _plain(node: Any) -> None:
    """Leaves out where a node should run and what was noted beside it, and takes values in place of references."""
    node.device = ""
    for name in [name for name in node.attr if name.startswith("_")]:
        del node.attr[name]
    node.op = _REFERENCES.sub("", node.op)


def _variables(found: Program) -> None:
    """Turns variables into placeholders, and what reads their handles into copies."""
    handles: dict[str, Handle] = {}
    for node in found.definition.node:
        if node.op in _VARIABLES:
            original = node_def_pb2.NodeDef()
            original.CopyFrom(node)
            found.variables[node.name] = original
            dtype, shape = node.attr["dtype"].type, node.attr["shape"].shape
            if node.op == "VarHandleOp":
                handles[node.name] = Handle(dtype, shape.SerializeToString())
            node.Clear()
            node.name, node.op = original.name, "Placeholder"
            node.attr["dtype"].type = dtype
            node.attr["shape"].shape.CopyFrom(original.attr["shape"].shape)
    by_value(found.definition, handles, found.path)


# Values --------------------------------------------------------------------------------------------------------------


def values(found: Program, checkpoint: Checkpoint, view: View, numbers: Mapping[str, int]) -> dict[str, Array]:
    """Placeholder → what the checkpoint holds of its variable.

    Args:
        found: the program.
        checkpoint: the values.
        view: of the graph.
        numbers: node → its number there.

    Raises:
        BadInput: the checkpoint has no value for a variable, or one of another shape.
    """
    names = Variables(view, checkpoint.tensors, own_names(checkpoint))
    specs = _slices(view)
    loaded = {}
    for name, variable in found.variables.items():
        stored = names.name((numbers[name], 0))
        tensor = checkpoint.tensors.get(stored or "")
        if tensor is None:
            raise BadInput(
                f"can't be run: its graph reads the variable {name!r}, and the file has no value for it",
                path=checkpoint.path,
            )
        shape = tuple(dim.size for dim in variable.attr["shape"].shape.dim)
        array = tensor.load()
        spec = specs.get(numbers[name], "")
        if spec and array.shape != shape:
            array = array[tuple(_slice(part) for part in spec.split(" ")[-1].split(":"))]
        if shape and array.shape != shape:
            raise BadInput(
                f"can't be run: the variable {name!r} has the shape {list(shape)} in its graph, and "
                f"{list(array.shape)} in the file",
                path=checkpoint.path,
            )
        loaded[name] = array
    return loaded


def _slices(view: View) -> dict[int, str]:
    """Variable → which part of what is stored it is, as its saver says: `7 16 0,4:0,16`."""
    found: dict[int, str] = {}
    for node in view.nodes:
        if node.proto is not None and node.op in _SAVES and len(node.inputs) > 3:
            texts = view.node(view.input(node, 2)).proto
            specs = (
                [] if texts is None else [t.decode("utf-8", "replace") for t in texts.attr["value"].tensor.string_val]
            )
            for spec, source in zip(specs, node.inputs[3:], strict=False):
                if spec:
                    found.setdefault(view.resolve(source)[0], spec)
    return found


def _slice(part: str) -> slice:
    start, _, length = part.partition(",")
    return slice(None) if part == "-" else slice(int(start), int(start) + int(length))
