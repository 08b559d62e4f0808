"""A graph evaluated in NumPy on random values: what every loop's body and every unrolled step computes, once.

Nothing is loaded and nothing is run: variables, placeholders and the states of loops are random arrays of their shapes,
alike for equal names, so that a tensor can be told by its value. All loops stand at their first step; what a loop
leaves behind, and what an unknown op computes where the graph says its shape, are random arrays of their own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np

from rnnprobe.recover.graph.budget import Budget
from rnnprobe.recover.graph.conditionals import switched
from rnnprobe.recover.graph.kernels import kernel
from rnnprobe.recover.graph.paths import without_dropout
from rnnprobe.recover.graph.values import Variables, array, shortest
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, MISSING, Node, Ref, View, attribute
from rnnprobe.types import Array

Seen: TypeAlias = "Array | Items | None"
"""The value of a tensor: an array, an array of tensors, or unknown."""

MOST_ELEMENTS = 50_000_000
LOOKUPS = {"Gather", "ResourceGather"}
_PER_OP = 20_000
_PER_NUMBER = 3
_PER_DRAW = 20
_VERSION = re.compile(r"V\d$")
_PLACEHOLDERS = {"Placeholder", "PlaceholderV2"}
_RANDOM = {"RandomUniform", "RandomStandardNormal", "TruncatedNormal", "StatelessRandomUniform"}
_FLOATS = {1, 2, 14, 19}  # DataType: float32, float64, bfloat16, half
_INTEGERS = {3, 4, 5, 6, 9}
_BOOL = 10
_VARIANCE = "moving_variance"
_LONG = 100  # lengths that are given: no sequence ends before the steps that are written out
_SHORT = 64  # constants up to this size are read in their shortest decimals
# Slots of operands, by op without its version.
_FILLS = {"TensorArrayScatter": 2, "TensorArrayUnpack": 1, "TensorArraySplit": 1, "TensorListFromTensor": 0}
_READS = {"TensorArrayRead": (2, 1), "TensorListGetItem": (0, 1)}  # the array, the index
_WRITES = {"TensorArrayWrite": 2, "TensorListSetItem": 2, "TensorListPushBack": 1}
_STACKS = {"TensorArrayGather": 2, "TensorArrayPack": 1, "TensorListStack": 0, "TensorListGather": 0}
_EMPTY = {"TensorArray", "TensorListReserve", "EmptyTensorList"}
_SIZES = {"TensorArraySize", "TensorListLength"}


@dataclass(frozen=True, slots=True)
class Items:
    """An array of tensors: `[time, *element]`, or None where nothing was written yet."""

    stacked: Array | None


def random(name: str, shape: Sequence[int], scale: float) -> Array | None:
    """Random numbers that a name always gives; None where they would be too many."""
    if prod(shape) > MOST_ELEMENTS:
        return None
    return np.asarray(np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(shape)) * scale)


class Evaluator:
    """The values of a graph's tensors, computed as they are asked for.

    Args:
        view: the graph.
        variables: the names that its variables are stored under.
        shapes: stored name → shape.
        scale: of the values that enter and of the states.
        weights: of the variables.
        positive: what enters and the states are positive: a power of what is negative is no number.
        free: how many there are of what the graph leaves open: sequences, steps.
        moved: zeros of more than one axis that states may start from are random instead.
        budget: the work that may be done.
        still: the nodes whose zeros are none that a state starts from, and stay.
    """

    def __init__(
        self,
        view: View,
        variables: Variables,
        shapes: Mapping[str, tuple[int, ...]],
        scale: float = 1.0,
        weights: float = 0.5,
        positive: bool = False,
        free: int = 2,
        moved: bool = True,
        budget: Budget | None = None,
        still: Collection[int] = (),
    ) -> None:
        self.view = view
        self._variables = variables
        self._shapes = shapes
        self._scale = scale
        self._weights = weights
        self._positive = positive
        self._free = free
        self._moved = moved
        self._still = still
        self._budget = Budget() if budget is None else budget
        self._drawn: dict[str, Array | None] = {}
        self._known: dict[Ref, Seen] = {}
        self._decided: dict[int, tuple[Ref, int] | None] = {}
        self._merges = {target[0]: number for (number, _), target in view.redirects.items()}

    def array(self, ref: Ref) -> Array | None:
        """The value of a tensor, or None where it is unknown or no array."""
        found = self.value(ref)
        return found if isinstance(found, np.ndarray) else None

    def weight(self, name: str) -> Array | None:
        """The random values of a stored tensor."""
        if name not in self._drawn:
            self._budget.take(_PER_DRAW * prod(self._shapes[name]))
            drawn = random(name, self._shapes[name], self._weights)
            # A variance is none below zero.
            self._drawn[name] = np.abs(drawn) if drawn is not None and name.endswith(_VARIANCE) else drawn
        return self._drawn[name]

    def value(self, ref: Ref) -> Seen:
        """The value of a tensor."""
        waiting = [self.view.resolve(ref)]
        opened: set[tuple[Ref, ...]] = set()
        while waiting:
            at = waiting[-1]
            if at in self._known:
                waiting.pop()
                continue
            needs = [source for source in self._needs(at) if source not in self._known]
            if needs and (at, *needs) not in opened:
                opened.add((at, *needs))
                waiting += needs
                continue
            waiting.pop()
            self._compute(at)
        return self._known[self.view.resolve(ref)]

    def _needs(self, ref: Ref) -> list[Ref]:
        """The tensors without which a value can't be said."""
        node = self.view.node(ref)
        if self._leaf(ref) is not None:
            return []
        kept = without_dropout(self.view, ref)
        if kept != ref:
            return [kept]
        if node.op == LOOP_VARIABLE:
            return [self.view.input(node, 0)]
        if node.op == "Exit":
            variable = self.view.input(node, 0)
            of = self.view.node(variable)
            written = of.op == LOOP_VARIABLE and isinstance(self._known.get(variable), Items)
            return [variable, *([self.view.input(of, 1)] if written else [])]
        if node.op in MERGES:
            predicate = self._predicate(ref)
            return self.view.inputs(node) + ([predicate[0]] if predicate is not None else [])
        if _VERSION.sub("", node.op) in LOOKUPS and self._leaf(self.view.input(node, 0)) is not None:
            return self.view.inputs(node)[1:]
        return self.view.inputs(node)

    def _leaf(self, ref: Ref) -> str | None:
        """The stored name of what a tensor is."""
        if self.view.node(ref).op == "Const":
            value = attribute(self.view.node(ref), "value")
            if value is None or not value.tensor.tensor_shape.dim or value.tensor.dtype not in _FLOATS:
                return None
        name = self._variables.name(ref)
        return name if name in self._shapes else None

    def _compute(self, ref: Ref) -> None:
        node = self.view.node(ref)
        name = self._leaf(ref)
        if name is not None:
            self._known[ref] = self.weight(name)
            return
        kept = without_dropout(self.view, ref)
        if kept != ref:
            self._known[ref] = self._known.get(kept)
            return
        op = _VERSION.sub("", node.op)
        special = _SPECIAL.get(op)
        if special is not None:
            self._known[ref] = special(self, ref, node, op)
        elif op in _RANDOM:
            self._known[ref] = self._fresh(ref, _shape_of(self._input(node, 0)))
        else:
            self._general(ref, node)

    def _input(self, node: Node, slot: int) -> Seen:
        return self._known.get(self.view.input(node, slot))

    def _general(self, ref: Ref, node: Node) -> None:
        """Computes all outputs of an op from its inputs."""
        run = kernel(node.op)
        values = [self._known.get(source) for source in self.view.inputs(node)]
        outputs: Any = None
        known = [value for value in values if isinstance(value, np.ndarray)]
        self._budget.take(_PER_OP + _PER_NUMBER * sum(value.size for value in known))
        if run is not None and len(known) == len(values) and sum(value.size for value in known) <= MOST_ELEMENTS:
            try:
                with np.errstate(all="ignore"):
                    outputs = run(node, known)
            except (ValueError, IndexError, TypeError, ZeroDivisionError):
                # Shapes that do not go together: `free` is not what this graph wants. The value stays unknown.
                outputs = None
        if isinstance(outputs, list):
            for port, value in enumerate(outputs):
                self._known[ref[0], port] = np.asarray(value)
            self._known.setdefault(ref, None)
        elif outputs is not None:
            self._known[ref] = self._start(ref, node, np.asarray(outputs))
        else:
            self._known[ref] = self._declared(ref, node)

    def _start(self, ref: Ref, node: Node, value: Array) -> Array:
        """Zeros that a state may start from are as good as any other numbers, and tell more."""
        zeros = node.op in ("Fill", "ZerosLike", "Const") and value.ndim > 1 and value.dtype.kind == "f"
        if zeros and self._moved and ref[0] not in self._still and not value.any():
            fresh = self._fresh(ref, value.shape)
            return value if fresh is None else fresh
        return value

    def _fresh(self, ref: Ref, shape: Sequence[int] | None) -> Array | None:
        found = None if shape is None else random(f"{ref[0]}:{ref[1]}", shape, self._scale)
        return np.abs(found) if self._positive and found is not None else found

    def _declared(self, ref: Ref, node: Node) -> Seen:
        """Random values of the shape that the graph says a tensor has."""
        shape = self._shape(ref, node)
        if shape is None:
            return None
        value = attribute(node, "dtype") or attribute(node, "T") or attribute(node, "out_type")
        kind = value.type if value is not None else 1
        if kind in _INTEGERS:
            return np.full(shape, _LONG if shape else self._free, np.int64)
        if kind == _BOOL:
            return np.zeros(shape, bool)
        if kind not in _FLOATS:
            return None
        return self._fresh(ref, shape) if shape else np.float64(1.0) * np.ones(())

    def _shape(self, ref: Ref, node: Node) -> tuple[int, ...] | None:
        listed = attribute(node, "_output_shapes")
        shapes = list(listed.list.shape) if listed is not None else []
        shape = shapes[ref[1]] if ref[1] < len(shapes) else None
        own = attribute(node, "shape")
        if (shape is None or shape.unknown_rank) and own is not None and (own.shape.dim or not own.shape.unknown_rank):
            shape = own.shape if node.op in _PLACEHOLDERS else shape
        if shape is None or shape.unknown_rank:
            return None
        return tuple(dim.size if dim.size >= 0 else self._free for dim in shape.dim)

    # What is no function of its inputs ---------------------------------------------------------------------------

    def _constant(self, ref: Ref, node: Node, op: str) -> Seen:
        values = array(self.view, ref)
        if values is None:
            return None
        if values.dtype.kind == "f":
            if values.size <= _SHORT:
                flat = [shortest(float(v), values.dtype.name) for v in values.ravel()]
                values = np.array(flat, np.float64).reshape(values.shape)
            return self._start(ref, node, values.astype(np.float64))
        return values if values.dtype == bool else values.astype(np.int64)

    def _default(self, ref: Ref, node: Node, op: str) -> Seen:
        return self._input(node, 0)

    def _outside(self, ref: Ref, node: Node, op: str) -> Seen:
        return self._declared(ref, node)

    def _variable(self, ref: Ref, node: Node, op: str) -> Seen:
        return self._start_of(ref, self._declared(ref, node))

    def _loop_variable(self, ref: Ref, node: Node, op: str) -> Seen:
        return self._start_of(ref, self._input(node, 0), node)

    def _start_of(self, ref: Ref, start: Seen, node: Node | None = None) -> Seen:
        if isinstance(start, np.ndarray) and start.ndim and start.dtype.kind == "f":
            return self._fresh(ref, start.shape)
        return self._declared(ref, node) if start is None and node is not None else start

    def _exit(self, ref: Ref, node: Node, op: str) -> Seen:
        variable = self.view.input(node, 0)
        found = self._known.get(variable)
        if isinstance(found, Items) and self.view.node(variable).op == LOOP_VARIABLE:
            written = self._known.get(self.view.input(self.view.node(variable), 1))
            if isinstance(written, Items) and written.stacked is not None:
                return Items(self._fresh(ref, written.stacked.shape))
            return found
        return self._start_of(ref, found)

    def _fill(self, ref: Ref, node: Node, op: str) -> Seen:
        value = self._input(node, _FILLS[op])
        return Items(value) if isinstance(value, np.ndarray) and value.ndim else Items(None)

    def _read(self, ref: Ref, node: Node, op: str) -> Seen:
        slot, place = _READS[op]
        items, index = self._input(node, slot), self._input(node, place)
        if not isinstance(items, Items) or items.stacked is None:
            return self._declared(ref, node)
        at = int(index) if isinstance(index, np.ndarray) and index.ndim == 0 else 0
        return np.asarray(items.stacked[min(max(at, 0), len(items.stacked) - 1)]) if len(items.stacked) else None

    def _write(self, ref: Ref, node: Node, op: str) -> Seen:
        value = self._input(node, _WRITES[op])
        return Items(np.stack([value] * self._free)) if isinstance(value, np.ndarray) else Items(None)

    def _stack(self, ref: Ref, node: Node, op: str) -> Seen:
        items = self._input(node, _STACKS[op])
        return items.stacked if isinstance(items, Items) and items.stacked is not None else self._declared(ref, node)

    def _empty(self, ref: Ref, node: Node, op: str) -> Seen:
        return Items(None)

    def _size(self, ref: Ref, node: Node, op: str) -> Seen:
        return np.asarray(np.int64(self._free))

    def _lookup(self, ref: Ref, node: Node, op: str) -> Seen:
        """Rows of a table: random ones, so that no table has to be made."""
        ids, table = self._input(node, 1), self._leaf(self.view.input(node, 0))
        if table is not None and isinstance(ids, np.ndarray):
            return self._fresh(ref, (*ids.shape, *self._shapes[table][1:]))
        self._general(ref, node)
        return self._known.get(ref)

    def _merge(self, ref: Ref, node: Node, op: str) -> Seen:
        """The branch of a conditional that is taken; either where they agree."""
        if ref[1]:
            return None
        branches = [self._known.get(source) for source in self.view.inputs(node)]
        taken = self._predicate(ref)
        chosen = self._known.get(taken[0]) if taken is not None else None
        if taken is not None and isinstance(chosen, np.ndarray) and chosen.ndim == 0:
            return branches[taken[1] if bool(chosen) else 1 - taken[1]]
        return next((branch for branch in branches if branch is not None), None)

    def _predicate(self, ref: Ref) -> tuple[Ref, int] | None:
        """What decides a conditional, and which of its branches stands for true."""
        caller = self._merges.get(ref[0])
        if caller is not None:
            return self.view.input(caller, 0), 0
        if ref[0] not in self._decided:
            self._decided[ref[0]] = switched(self.view, self.view.node(ref))
        return self._decided[ref[0]]


def _shape_of(value: Seen) -> tuple[int, ...] | None:
    return tuple(int(size) for size in value) if isinstance(value, np.ndarray) and value.ndim == 1 else None


_SPECIAL: Mapping[str, Callable[[Evaluator, Ref, Node, str], Seen]] = {
    "Const": Evaluator._constant,
    "PlaceholderWithDefault": Evaluator._default,
    **dict.fromkeys(("Placeholder", MISSING), Evaluator._outside),
    **dict.fromkeys(("Variable", "VarHandleOp", "TemporaryVariable", "AutoReloadVariable"), Evaluator._variable),
    LOOP_VARIABLE: Evaluator._loop_variable,
    "Exit": Evaluator._exit,
    **dict.fromkeys(_FILLS, Evaluator._fill),
    **dict.fromkeys(_READS, Evaluator._read),
    **dict.fromkeys(_WRITES, Evaluator._write),
    **dict.fromkeys(_STACKS, Evaluator._stack),
    **dict.fromkeys(_EMPTY, Evaluator._empty),
    **dict.fromkeys(_SIZES, Evaluator._size),
    **dict.fromkeys(LOOKUPS, Evaluator._lookup),
    **dict.fromkeys(MERGES, Evaluator._merge),
}
