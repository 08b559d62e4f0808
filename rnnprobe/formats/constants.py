"""The weights of a frozen graph: its constants of floats with an axis (tensorflow/core/framework/tensor.proto).

Freezing turns each variable into a `Const` of its name; what an optimiser does afterwards may take away the Identity
that read it, or turn that Identity into a `Const` itself, so a constant goes by the name of its variable where it has
one. Set apart are those that are no weight: what a variable starts with, and constants of one value throughout, unless
they are read as a variable is or stand where an op takes its weights; zeros of this kind, from which states start, are
left out. Parts of a partitioned variable become one tensor again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.formats import dtypes, pieces, protos
from rnnprobe.types import Array, Tensor

MAX_FILLED = 1 << 24  # elements of a constant that stores fewer values than it has elements

# The field of a TensorProto that lists the values of a floating dtype.
_FLOATS = {1: "float_val", 2: "double_val", 14: "half_val", 19: "half_val"}
VARIABLES = {"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"}
_COPIES = {"Identity", "Enter", "RefEnter", "Switch", "RefSwitch", "ReadVariableOp", "Snapshot"}
_TAKERS = re.compile(
    r"MatMul|BatchMatMul\w*|BiasAdd\w*|Add|AddV2|\w*Conv\w*|Einsum|Gather\w*|ResourceGather|\w*LSTM\w*|\w*GRU\w*"
    r"|\w*While|\w*Call"
)
_CONCATS = {"Concat", "ConcatV2"}
_ZEROS = "zeros"
_COPIED = 8  # copies of copies that are looked through
_MOST_COPIES = 64  # of one constant
_PART = re.compile(r"(?P<whole>.+)/part_(?P<number>\d{1,6})")
# What reads a variable, and the names under which Grappler makes it a constant, outside of a loop and in it.
_READ = re.compile(r"/(?:read|Read(?:_\d+)?/ReadVariableOp)$")
_ENTERED = re.compile(r"ConstantFolding/(?P<node>.+)_enter")


def variable(name: str) -> str:
    """The variable that a constant of this name was: `x` for `x/read`, and for `x/part_0`."""
    name = _unread(name)
    part = _PART.fullmatch(name)
    return part["whole"] if part else name


def _unread(name: str) -> str:
    """A constant's name without what says that it is a variable as it was read."""
    entered = _ENTERED.fullmatch(name)
    name = entered["node"] if entered else name
    read = _READ.search(name)
    return name[: read.start()] if read and read.start() else name


def constants(definition: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, str], tuple[str, ...]]:
    """The constants of floats of a graph as tensors, those that are no weights and what they are, and notes.

    Args:
        definition: a GraphDef, its operations' names unique.
        path: the file, for errors.

    Raises:
        BadInput: a constant's shape does not fit the values that it stores.
    """
    nodes = {node.name: node for node in definition.node}
    uses = _uses(nodes)
    tensors: dict[str, Tensor] = {}
    kinds: dict[str, str] = {}
    for name, node in list(nodes.items()):
        stored = node.attr["value"].tensor if node.op == "Const" and "value" in node.attr else None
        if stored is None or stored.dtype not in _FLOATS or not stored.tensor_shape.dim:
            continue
        constant = _constant(name, stored, path)
        kind = _kind(constant, uses.get(name, ()))
        whole = _unread(name)
        original = nodes.setdefault(whole, node)
        if kind == _ZEROS or (original is not node and _same(original, node)):
            continue
        name = whole if original is node else name
        tensors[name] = Tensor(name, constant.shape, dtypes.name(stored.dtype), pieces.reader(constant, constant.shape))
        if kind:
            kinds[name] = kind
    _join_parts(tensors, nodes)
    if definition.library.function:
        _join_unseen(tensors)
    left = sum(node.op in VARIABLES for node in nodes.values())
    notes = (f"{left} variables of the graph have no value in the file",) if left else ()
    return tensors, {name: kind for name, kind in kinds.items() if name in tensors}, notes


@dataclass(frozen=True, slots=True)
class _Constant:
    """A TensorProto of floats, checked: a `pieces.Piece`."""

    stored: Any
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop`."""
        each = prod(self.shape[1:])
        shape = (stop - start, *self.shape[1:])
        if self.stored.tensor_content:
            at = start * each * self.dtype.itemsize
            return np.frombuffer(self.stored.tensor_content, self.dtype, prod(shape), at).reshape(shape)
        values = self.listed
        rows = values[start * each : stop * each]
        # The last value stands for all that are left out.
        fill = np.full(prod(shape) - len(rows), values[-1] if len(values) else 0, self.dtype)
        return np.concatenate([rows, fill]).reshape(shape)

    @property
    def listed(self) -> Array:
        """The values stored one by one."""
        field = _FLOATS[self.stored.dtype]
        if field == "half_val":
            # The bits of a half, as an int32 each.
            return np.array(self.stored.half_val, np.int64).astype(np.uint16).view(self.dtype)
        return np.array(getattr(self.stored, field), self.dtype)

    @property
    def uniform(self) -> bool:
        """Whether one value stands for all of them."""
        return not self.stored.tensor_content and len(getattr(self.stored, _FLOATS[self.stored.dtype])) < 2


def _constant(name: str, stored: Any, path: Path) -> _Constant:
    """A checked constant. Raises `BadInput`."""
    shape = protos.shape(stored.tensor_shape, f"the constant {name}", path)
    dtype = dtypes.fixed(stored.dtype)
    if dtype is None or len(shape) > dtypes.MAX_RANK or dtypes.overflows(stored.dtype, shape):
        raise BadInput(f"the constant {name} claims the shape {shape}, which nothing can hold", path=path)
    count, listed = prod(shape), len(getattr(stored, _FLOATS[stored.dtype]))
    content = len(stored.tensor_content)
    if content and content != count * dtype.itemsize:
        raise BadInput(
            f"the constant {name} of shape {shape} stores {content} bytes where it takes {count * dtype.itemsize}",
            path=path,
        )
    if not content and (listed > count or (listed < count and count > MAX_FILLED)):
        raise BadInput(f"the constant {name} stores {listed} values for its shape {shape}", path=path)
    return _Constant(stored, shape, dtype)


def _kind(constant: _Constant, uses: Iterable[str]) -> str:
    """What a constant is that is no weight, or empty."""
    uses = set(uses)
    if any(use.startswith("Assign") for use in uses):
        return "initial value"
    if "read" in uses or any(_TAKERS.fullmatch(use) for use in uses):
        return ""
    if not constant.uniform:
        return ""
    return "constant" if constant.listed.any() else _ZEROS


def _same(one: Any, other: Any) -> bool:
    """Whether two constants hold the same: a variable and what became of the Identity that read it."""
    return bool(one.op == other.op == "Const" and one.attr["value"].tensor == other.attr["value"].tensor)


def _uses(nodes: Mapping[str, Any]) -> dict[str, set[str]]:
    """Constant → the ops that read it, copies seen through; `read` where a variable's own Identity does."""
    readers: dict[str, list[Any]] = {}
    for node in nodes.values():
        for edge in node.input:
            readers.setdefault(_source(edge), []).append(node)
    found: dict[str, set[str]] = {}
    for name in (name for name, node in nodes.items() if node.op == "Const" and name in readers):
        uses, seen, front = set(), {name}, [name]
        while front and len(seen) < _MOST_COPIES:
            for reader in readers.get(front.pop(), ()):
                if reader.op not in _COPIES:
                    uses.add(reader.op)
                elif reader.name not in seen:
                    seen.add(reader.name)
                    front.append(reader.name)
                    if reader.name.startswith(name) and _READ.fullmatch(reader.name[len(name) :]):
                        uses.add("read")
        found[name] = uses
    return found


def _source(edge: str) -> str:
    """The node that an edge names; nothing for a control edge."""
    return "" if edge.startswith("^") else edge.partition(":")[0]


# Partitioned variables -----------------------------------------------------------------------------------------------


def _join_parts(tensors: dict[str, Tensor], nodes: Mapping[str, Any]) -> None:
    """Puts the whole of a partitioned variable in the place of its parts, where the graph joins them."""
    for concat in (node for node in nodes.values() if node.op in _CONCATS):
        sources = [_unread(_origin(edge, nodes)) for edge in concat.input if not edge.startswith("^")] or [""]
        axis, names = (sources[0], sources[1:]) if concat.op == "Concat" else (sources[-1], sources[:-1])
        whole = variable(names[0]) if names else ""
        if (
            not names
            or names != [f"{whole}/part_{k}" for k in range(len(names))]
            or any(name not in tensors for name in names)
        ):
            continue
        joined = _joined(whole, [tensors[name] for name in names], _integer(nodes.get(axis)))
        folded = tensors.get(whole)
        if joined is None or (folded is not None and not _equal(folded, joined)):
            continue
        for name in names:
            del tensors[name]
        tensors.setdefault(whole, joined)


def _join_unseen(tensors: dict[str, Tensor]) -> None:
    """Joins the parts that a function joins, which is not looked into: along the first axis, as partitioners do."""
    parts: dict[str, list[str]] = {}
    for name in tensors:
        if _PART.fullmatch(name):
            parts.setdefault(variable(name), []).append(name)
    for whole, names in parts.items():
        names = [f"{whole}/part_{k}" for k in range(len(names))]
        if whole not in tensors and len(names) > 1 and all(name in tensors for name in names):
            joined = _joined(whole, [tensors[name] for name in names], 0)
            if joined is not None:
                for name in names:
                    del tensors[name]
                tensors[whole] = joined


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one.load(), other.load()))


def _origin(edge: str, nodes: Mapping[str, Any]) -> str:
    """The name of the node whose output an edge is, copies seen through."""
    name = _source(edge)
    for _ in range(_COPIED):
        node = nodes.get(name)
        if node is None or node.op not in _COPIES or not node.input:
            break
        name = _source(node.input[0])
    return name


def _integer(node: Any) -> int | None:
    """The value of an integer constant without axes."""
    if node is None or node.op != "Const":
        return None
    stored = node.attr["value"].tensor
    if stored.dtype != 3 or stored.tensor_shape.dim:
        return None
    if stored.tensor_content:
        return int.from_bytes(stored.tensor_content[:4], "little", signed=True)
    return stored.int_val[0] if stored.int_val else 0


def _joined(name: str, parts: list[Tensor], axis: int | None) -> Tensor | None:
    """The tensor that parts side by side along an axis are, or None where they don't fit."""
    rank = len(parts[0].shape)
    if axis is None or not -rank <= axis < rank or len({part.dtype for part in parts}) > 1:
        return None
    axis %= rank
    others = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    if len(others) > 1 or any(len(part.shape) != rank for part in parts):
        return None
    at, placed = 0, []
    for part in parts:
        extents = tuple((at if k == axis else 0, size) for k, size in enumerate(part.shape))
        placed.append((extents, _Rows(part.load)))
        at += part.shape[axis]
    shape = tuple(at if k == axis else size for k, size in enumerate(parts[0].shape))
    joined = pieces.Joined(shape, np.dtype(parts[0].dtype), tuple(placed))
    return Tensor(name, shape, parts[0].dtype, pieces.reader(joined, shape))


@dataclass(frozen=True, slots=True)
class _Rows:
    """A tensor as a `pieces.Piece`."""

    read: Callable[[slice], Array]

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop`."""
        return self.read(slice(start, stop))
