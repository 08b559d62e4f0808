"""What a graph says of its tensors, and how what it computes is put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rnnprobe.formats import dtypes
from rnnprobe.recover.graph.values import Variables, array, number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Node, Ref, View, attribute
from rnnprobe.types import Extent, GraphTensor

_VERSION = re.compile(r"V\d$")
_REFERENCE = 100  # a reference to a variable has its dtype, and this added
# Where an op's output is no `T`: the attribute that says its dtype, or the dtype itself (types.proto).
_DTYPES: Mapping[str, str | int] = {
    **dict.fromkeys(("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"), 10),
    **dict.fromkeys(("LogicalAnd", "LogicalOr", "LogicalNot", "All", "Any", "LoopCond", "IsFinite"), 10),
    **dict.fromkeys(("TensorArrayWrite", "TensorArrayScatter", "TensorArraySplit", "TensorArrayUnpack"), 1),
    **dict.fromkeys(("TensorListReserve", "TensorListSetItem", "TensorListFromTensor", "TensorListPushBack"), 21),
    **dict.fromkeys(("EmptyTensorList", "VarHandleOp", "TensorListResize"), 21),
    **dict.fromkeys(("TensorArraySize", "TensorListLength", "Rank"), 3),
    **dict.fromkeys(("Shape", "Size", "ShapeN"), "out_type"),
    **dict.fromkeys(("Gather", "ResourceGather", "GatherNd"), "Tparams"),
    **dict.fromkeys(("TensorListGetItem", "TensorListStack", "TensorListGather"), "element_dtype"),
    **dict.fromkeys(("ArgMax", "ArgMin"), "output_type"),
    "Cast": "DstT",
    "VarHandleOp": 20,
}
_ATTRIBUTES = ("T", "dtype", "output_type", "out_type", "Tidx")
_SIGNS = {"Less": "<", "LessEqual": "≤", "Greater": ">", "GreaterEqual": "≥", "Equal": "=", "NotEqual": "≠"}
_JOINED = {"LogicalAnd": "and", "LogicalOr": "or", "Add": "+", "AddV2": "+", "Sub": "-", "Mul": "·", "FloorDiv": "//"}
_CALLED = {"Minimum": "min", "Maximum": "max", "All": "all", "Any": "any", "Max": "max", "Min": "min"}
_LENGTHS = {"TensorArraySize", "TensorListLength"}
_DEEPEST = 8


def base(node: Node) -> str:
    """The op without its version."""
    return _VERSION.sub("", node.op)


def dtype(view: View, ref: Ref) -> str:
    """What a tensor's dtype is called; empty where nothing says it."""
    ref = _stored(view, ref)
    node = view.node(ref)
    rule = _DTYPES.get(base(node))
    if isinstance(rule, int):
        return dtypes.name(rule)
    if base(node) == "TensorArray":
        return dtypes.name(1 if ref[1] else 20)
    listed = attribute(node, "Tout")
    if listed is not None and ref[1] < len(listed.list.type):
        return dtypes.name(listed.list.type[ref[1]])
    for name in (rule,) if rule else _ATTRIBUTES:
        value = attribute(node, name)
        if value is not None and value.type:
            return dtypes.name(value.type % _REFERENCE)
        if value is not None and ref[1] < len(value.list.type):
            return dtypes.name(value.list.type[ref[1]])
    return ""


def extent(view: View, ref: Ref) -> Extent:
    """A tensor's shape as the graph says it."""
    ref = _stored(view, ref)
    said = _extent(view, ref)
    return _extent(view, view.resolve(ref)) if said is None else said


def _stored(view: View, ref: Ref) -> Ref:
    """A tensor of the file: for a variable of a functional loop, or what it leaves, what it starts with."""
    for _ in range(_DEEPEST):
        node = view.node(ref)
        if node.proto is not None or not node.inputs:
            break
        ref = node.inputs[0]
    return ref


def _extent(view: View, ref: Ref) -> Extent:
    node = view.node(ref)
    listed = attribute(node, "_output_shapes")
    if listed is not None and ref[1] < len(listed.list.shape):
        return sizes(listed.list.shape[ref[1]])
    if node.op.startswith("Placeholder") or node.op in ("VariableV2", "Variable"):
        value = attribute(node, "shape")
        return None if value is None else sizes(value.shape)
    value = attribute(node, "value") if node.op == "Const" else None
    return None if value is None else sizes(value.tensor.tensor_shape)


def sizes(shape: Any) -> Extent:
    """A TensorShapeProto as a tuple."""
    return None if shape.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)


def tensor(view: View, ref: Ref) -> GraphTensor:
    """A tensor by name."""
    node = view.node(ref)
    return GraphTensor(f"{node.name}:{ref[1]}", node.op, dtype(view, ref), extent(view, ref))


def start(view: View, variables: Variables, ref: Ref) -> str:
    """What a loop variable starts from, in words."""
    ref = view.resolve(ref)
    node = view.node(ref)
    stored = variables.name(ref)
    if stored:
        return f"stored {stored}"
    values = array(view, ref)
    if node.op in ("Const", "Fill") and values is not None and values.size:
        if bool((values == values.flat[0]).all()):
            only = values.flat[0].item()
            word = str(only).lower() if isinstance(only, bool) else f"{only:g}"
            return word if node.op == "Const" and values.ndim == 0 else f"{'zeros' if only == 0 else f'all {word}'}"
        return f"the constant {node.name}"
    if node.op == "ZerosLike":
        return "zeros"
    if base(node) in ("TensorArray", "TensorListReserve", "EmptyTensorList"):
        return "empty array"
    if node.op.startswith("Placeholder"):
        return f"fed {node.name}"
    if base(node) in ("TensorArrayWrite", "TensorListSetItem"):
        return "array, written to before"
    if node.op == LOOP_VARIABLE:
        return f"what a loop carries, {node.name}"
    return f"what a loop leaves, {node.name}" if node.op == "Exit" else f"{base(node)} {node.name}"


class Speller:
    """Spells out what an expression computes, in terms of the loop's variables.

    Args:
        view: the graph, or the part of it that holds the condition.
        names: tensors that have a name of their own.
    """

    def __init__(self, view: View, names: Mapping[Ref, str]) -> None:
        self._view = view
        self._names = names

    def spell(self, ref: Ref, depth: int = 0) -> str:
        """`time < T and not all(finished)`; `T` is an extent of something in the graph."""
        view = self._view
        ref = view.resolve(ref)
        node = view.node(ref)
        sources = view.inputs(node)
        if ref in self._names:
            return self._names[ref]
        value = number(view, ref)
        if value is not None:
            return f"{value:g}"
        if self._is_extent(node):
            return "T"
        if depth < _DEEPEST:
            if node.op in _SIGNS and len(sources) == 2:
                return f"{self.spell(sources[0], depth + 1)} {_SIGNS[node.op]} {self.spell(sources[1], depth + 1)}"
            if node.op in _JOINED and len(sources) == 2:
                sign = _JOINED[node.op]
                if sign == "and":
                    return self._both(sources, depth)
                return f"{self.spell(sources[0], depth + 1)} {sign} {self.spell(sources[1], depth + 1)}"
            if node.op == "LogicalNot" and sources:
                return f"not {self.spell(sources[0], depth + 1)}"
            if node.op in _CALLED and sources:
                given = sources if node.op in ("Minimum", "Maximum") else sources[:1]
                return f"{_CALLED[node.op]}({', '.join(self.spell(source, depth + 1) for source in given)})"
            if node.op == "Cast" and sources:
                return self.spell(sources[0], depth + 1)
        truth = array(view, ref)
        if truth is not None and truth.dtype == bool and truth.size == 1:
            return str(bool(truth)).lower()
        return node.name or node.op

    def _both(self, sources: list[Ref], depth: int) -> str:
        """What always holds is left out of an `and`."""
        parts = dict.fromkeys(self.spell(source, depth + 1) for source in sources)
        return " and ".join(part for part in parts if part != "true") or "true"

    def _is_extent(self, node: Node) -> bool:
        """Whether a tensor is the extent of something: an element of a shape, or an array's length."""
        if base(node) in _LENGTHS:
            return True
        return node.op in ("StridedSlice", "GatherV2", "Gather") and self._view.node(self._view.input(node, 0)).op in (
            "Shape",
            "Const",
        )
