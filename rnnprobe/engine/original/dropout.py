"""Dropout in an original graph, left out as it is at inference (cells.md, section 11).

`tf.nn.dropout` multiplies x, scaled, with a mask that is drawn at random:

    up to TensorFlow 1.13    x / keep · floor(keep + u)
    up to 2.4                x · (1 / (1 - rate)) · cast(u >= rate)
    after that               select(u >= rate, x · (1 / (1 - rate)), 0), or x / (1 - rate) where rate is a tensor

with u uniform in [0, 1). What is exactly this, with one keep or rate in both its places, becomes a copy of x. Any other
use of random numbers stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import isclose
from typing import Any, TypeAlias

from tensorflow.python.framework import tensor_util

from rnnprobe.engine.original.program import Program

NOTE = "the graph applies dropout; it is left out, as at inference"

_Edge: TypeAlias = tuple[str, str]
"""A tensor: its node, and which output, as the edge says it."""

_ADDS = {"Add", "AddV2"}
_DIVIDES = {"Div", "RealDiv"}
_SELECTS = {"Select", "SelectV2"}
_COPIES = {"Identity", "Enter", "Switch", "StopGradient", "Snapshot"}
_UNIFORM = {"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"}
_FLOATS = {1, 2, 14, 19}  # DataTypes: float32, float64, bfloat16, float16
_DEEPEST = 64


def leave_out(made: Program, wanted: Collection[str]) -> int:
    """Turns every dropout of a program into a copy of its input, and drops what only led to the masks.

    In the functions of loops the masks are still drawn, and nothing reads them.

    Args:
        made: is changed.
        wanted: names of the nodes that are fetched or fed; they stay, and all that leads to them.

    Returns:
        How many there were.
    """
    found = _replace(made.definition.node)
    if found:
        _prune(made.definition.node, wanted)
        left = {node.name for node in made.definition.node}
        made.variables = {name: node for name, node in made.variables.items() if name in left}
        made.sources = {source: name for source, name in made.sources.items() if name in left}
    return found + sum(_replace(function.node_def) for function in made.definition.library.function)


def _replace(nodes: Any) -> int:
    """Turns the dropouts among nodes into copies."""
    reader = _Reader(nodes)
    kept = {node.name: edge for node in nodes if (edge := reader.dropped(node)) is not None}
    for node in nodes:
        if node.name in kept:
            dtype = node.attr["T"].type
            waits = [edge for edge in node.input if edge.startswith("^")]
            node.ClearField("input")
            node.attr.clear()
            node.op = "Identity"
            node.attr["T"].type = dtype
            node.input.extend([kept[node.name], *waits])
    return len(kept)


class _Reader:
    """Reads patterns off the nodes of a graph, or of a function."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self._nodes: Mapping[str, Any] = {node.name: node for node in nodes}

    def dropped(self, node: Any) -> str | None:
        """The edge that a node applies dropout to; None where it is no dropout."""
        inputs = _data(node)
        if node.op == "Mul" and len(inputs) == 2:
            for mask, scaled in (inputs, inputs[::-1]):
                for of, scales in self._masks(mask):
                    kept = self._unscaled(scaled, of, scales)
                    if kept is not None:
                        return kept
        if node.op in _SELECTS and len(inputs) == 3 and self._number(inputs[2]) == 0.0:
            rate = self._rate(inputs[0])
            return None if rate is None else self._unscaled(inputs[1], rate, "rate")
        return None

    def _masks(self, edge: str) -> Iterator[tuple[str, str]]:
        """What a mask of zeros and ones is drawn with: an edge, and whether it is a `keep` or a `rate`."""
        node = self._node(edge)
        if node is None:
            return
        inputs = _data(node)
        if node.op == "Cast":
            rate = self._rate(inputs[0])
            if rate is not None:
                yield rate, "rate"
        total = self._node(inputs[0]) if node.op == "Floor" else None
        if total is not None and total.op in _ADDS:
            one, other = _data(total)
            yield from ((keep, "keep") for keep, drawn in ((one, other), (other, one)) if self._is_uniform(drawn))

    def _rate(self, edge: str) -> str | None:
        """The rate in u >= rate."""
        node = self._node(edge)
        if node is None or node.op != "GreaterEqual":
            return None
        drawn, rate = _data(node)
        return rate if self._is_uniform(drawn) else None

    def _is_uniform(self, edge: str) -> bool:
        """Whether a tensor is drawn uniformly from [0, 1): perhaps times 1, and plus 0."""
        node = self._node(edge)
        if node is None:
            return False
        inputs = _data(node)
        neutral = 0.0 if node.op in _ADDS else 1.0 if node.op == "Mul" else None
        if neutral is not None and len(inputs) == 2:
            pairs = (inputs, inputs[::-1])
            return any(self._number(other) == neutral and self._is_uniform(drawn) for drawn, other in pairs)
        return node.op in _UNIFORM

    def _unscaled(self, edge: str, of: str, meaning: str) -> str | None:
        """x, where a tensor is x scaled by what its mask is drawn with; else None."""
        node = self._node(edge)
        inputs = _data(node) if node is not None else []
        if node is None or len(inputs) != 2:
            return None
        if node.op in _DIVIDES:
            keeps = self._is_same(inputs[1], of) if meaning == "keep" else self._is_rest(inputs[1], of)
            return inputs[0] if keeps else None
        if node.op == "Mul" and meaning == "rate":
            return next((x for x, by in (inputs, inputs[::-1]) if self._is_scale(by, of)), None)
        return None

    def _is_same(self, one: str, other: str) -> bool:
        """Whether two edges are copies of one tensor, or one number."""
        value = self._number(one)
        return self._source(one) == self._source(other) or (value is not None and value == self._number(other))

    def _is_rest(self, edge: str, rate: str) -> bool:
        """Whether a tensor is 1 - rate."""
        one, other = self._number(edge), self._number(rate)
        if one is not None and other is not None:
            return isclose(one, 1.0 - other, rel_tol=1e-5)
        node = self._node(edge)
        if node is None or node.op != "Sub":
            return False
        whole, part = _data(node)
        return self._number(whole) == 1.0 and self._is_same(part, rate)

    def _is_scale(self, edge: str, rate: str) -> bool:
        """Whether a tensor is 1 / (1 - rate)."""
        one, other = self._number(edge), self._number(rate)
        if one is not None and other is not None:
            return isclose(one * (1.0 - other), 1.0, rel_tol=1e-5)
        node = self._node(edge)
        if node is None or node.op not in _DIVIDES:
            return False
        whole, rest = _data(node)
        return self._number(whole) == 1.0 and self._is_rest(rest, rate)

    def _number(self, edge: str) -> float | None:
        """The value of a constant scalar, or of what is computed of such; else None."""
        node = self._node(edge)
        if node is None:
            return None
        if node.op == "Const":
            value = tensor_util.MakeNdarray(node.attr["value"].tensor) if _is_scalar(node) else None
            return None if value is None else float(value)
        inputs = _data(node)
        if node.op == "Sub" or node.op in _DIVIDES:
            one, other = (self._number(source) for source in inputs)
            if one is None or other is None or (node.op != "Sub" and other == 0.0):
                return None
            return one - other if node.op == "Sub" else one / other
        return None

    def _node(self, edge: str) -> Any:
        """The node that computes a tensor, copies seen through; None where that is outside of the nodes."""
        return self._nodes.get(self._source(edge)[0])

    def _source(self, edge: str) -> _Edge:
        """The tensor of which this one is a copy, perhaps itself."""
        name, _, output = edge.partition(":")
        for _ in range(_DEEPEST):
            node = self._nodes.get(name)
            if node is None or node.op not in _COPIES or not node.input:
                break
            name, _, output = node.input[0].partition(":")
        return name, output if output not in ("", "output:0") else "0"


def _data(node: Any) -> list[str]:
    return [edge for edge in node.input if not edge.startswith("^")]


def _is_scalar(node: Any) -> bool:
    """Whether a constant is a number by itself; NumPy does not know the values of every other."""
    tensor = node.attr["value"].tensor
    return not tensor.tensor_shape.dim and not tensor.string_val and tensor.dtype in _FLOATS


# Pruning -------------------------------------------------------------------------------------------------------------


def _prune(nodes: Any, wanted: Iterable[str]) -> None:
    """Drops the nodes that do not lead to `wanted`."""
    known = {node.name: node for node in nodes}
    kept = {name for name in wanted if name in known}
    waiting = list(kept)
    while waiting:
        for edge in known[waiting.pop()].input:
            name = edge.lstrip("^").partition(":")[0]
            if name in known and name not in kept:
                kept.add(name)
                waiting.append(name)
    for place in reversed(range(len(nodes))):
        if nodes[place].name not in kept:
            del nodes[place]
