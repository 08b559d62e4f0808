"""Where a cell's input comes from: back through arrays, loops, transpositions, splits, reversals and dropout.

The search ends at the h of a run, at a table that ids look up, or at something outside of the recurrent network: a
placeholder, or an op that computes what enters. On its way it counts how often the order of time was reversed, and
notes which single step was taken out of a sequence, if any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.values import Variables, array, is_identity, joins, number
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, MISSING, Node, Ref, View, attribute

_VERSION = re.compile(r"V\d$")
# Slots of operands, by op without its version.
_PASSED = {
    **dict.fromkeys(("Transpose", "Reshape", "ExpandDims", "Squeeze", "Cast", "EnsureShape", "Slice", "Reverse"), 0),
    **dict.fromkeys(("ReverseSequence", "StridedSlice", "SplitV", "Unpack"), 0),
    "Split": 1,
}
_FLIPS = {"Reverse", "ReverseSequence"}
_PORTS = {"Split", "SplitV", "Unpack"}
_READS = {"TensorArrayRead": (2, 1), "TensorListGetItem": (0, 1)}  # the array, the index
_GATHERS = {
    "TensorArrayGather": 2,
    "TensorArrayPack": 1,
    "TensorArrayConcat": 1,
    "TensorListStack": 0,
    "TensorListConcat": 0,
    "TensorListGather": 0,
}
_WHOLES = {"TensorArrayScatter": 2, "TensorArrayUnpack": 1, "TensorArraySplit": 1, "TensorListFromTensor": 0}
_WRITES = {"TensorArrayWrite": (2, 3), "TensorListSetItem": (2, 0)}  # the value, the array before it
_LOOKUPS = {"Gather", "ResourceGather"}
_CHOICES = {LOOP_VARIABLE, *MERGES, *SELECTS}
_CONSTANTS = {"Const", "Fill", "ZerosLike", MISSING}
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Part:
    """Something that enters a layer.

    Attributes:
        kind: `run` (the h of one), `table` (rows of a stored matrix, by ids), `outside` (anything else).
        source: the run's number, or the table's stored name.
        root: the tensors outside of the network that it comes from: values, or ids.
        reversed: the order of time was reversed on the way.
        index: the step taken out of the sequence, or None for the sequence as it runs.
        passed_on: for a run, this is what it passes on, rather than an h to which a residual is yet to be added.
    """

    kind: Literal["run", "table", "outside"]
    source: int | str = ""
    root: tuple[Ref, ...] = ()
    reversed: bool = False
    index: int | None = None
    passed_on: bool = True

    @property
    def origin(self) -> tuple[str, int | str, bool]:
        """What it is, whatever step of it and whichever way round; where values or ids come from does not count."""
        return self.kind, self.source, self.passed_on


@dataclass(frozen=True, slots=True)
class _Hop:
    """One op further back: the tensor there, and what the op did to time."""

    ref: Ref
    flips: bool = False
    index: int | None = None


class Tracer:
    """Traces inputs. `outputs` maps the tensors that runs compute to the `Part` that each is."""

    def __init__(self, view: View, variables: Variables, outputs: Mapping[Ref, Part]) -> None:
        self.view = view
        self.variables = variables
        self.outputs = outputs
        self.dropped: set[Ref] = set()
        self._known: dict[Ref, tuple[Part, ...]] = {}
        self._ends: dict[Ref, tuple[Part, ...]] = {}
        self._open: set[Ref] = set()

    def parts(self, ref: Ref, depth: int = 0) -> tuple[Part, ...]:
        """What a tensor is made of, side by side; nothing where it is constant."""
        ref = self.view.resolve(ref)
        if ref in self._open:
            return ()
        if ref not in self._known:
            self._open.add(ref)
            self._known[ref] = self._walk(ref, depth)
            self._open.discard(ref)
        return self._known[ref]

    def _walk(self, start: Ref, depth: int) -> tuple[Part, ...]:
        """Follows ops of one operand as far as they go, then takes what stands there."""
        ref, flipped, index, table = start, False, None, ""
        for _ in range(len(self.view.nodes)):
            if ref in self.outputs and not table:
                break
            name = "" if table else self._table(ref)
            hop = _Hop(self.view.input(ref[0], 1)) if name else self._hop(ref)
            if hop is None:
                break
            table = table or name
            flipped ^= hop.flips
            index = hop.index if index is None else index
            ref = self.view.resolve(hop.ref)
        if ref not in self._ends:
            self._ends[ref] = self._end(ref, depth)
        found = self._ends[ref]
        if not found and not depth:
            # A sequence that is constant as a whole is what the model is given, as a placeholder is.
            found = (Part("outside", root=(ref,)),)
        if table:
            roots = tuple(root for part in found for root in part.root) or (ref,)
            turned = len(found) == 1 and found[0].reversed
            found = (Part("table", table, roots, turned, found[0].index if len(found) == 1 else None),)
        return tuple(
            replace(part, reversed=part.reversed ^ flipped, index=part.index if index is None else index)
            for part in found
        )

    def _table(self, ref: Ref) -> str:
        """The stored matrix of which a tensor is rows, by ids; or empty."""
        node = self.view.node(ref)
        looks = _VERSION.sub("", node.op) in _LOOKUPS and len(node.inputs) > 1
        return (self.variables.name(self.view.input(node, 0)) or "") if looks else ""

    def _hop(self, ref: Ref) -> _Hop | None:
        node = self.view.node(ref)
        op = _VERSION.sub("", node.op)
        kept = without_dropout(self.view, ref)
        if kept != ref:
            self.dropped.add(ref)
            return _Hop(kept)
        if op in _PASSED and len(node.inputs) > _PASSED[op]:
            flips = op in _FLIPS or (op == "StridedSlice" and _backwards(self.view, node))
            taken = ref[1] if _parted(node, op) else _taken(self.view, node) if op == "StridedSlice" else None
            return _Hop(node.inputs[_PASSED[op]], flips, taken)
        if op == "OneHot" and node.inputs:
            return _Hop(node.inputs[0])
        if op == "Mul" and (whole := _unmasked(self.view, node)) is not None:
            return _Hop(whole)
        if op in _LOOKUPS and len(node.inputs) > 1 and is_identity(self.view, node.inputs[0]):
            return _Hop(node.inputs[1])
        stored = self._stored(node, op)
        if len(stored) != 1:
            return None
        place = number(self.view, self.view.input(node, _READS[op][1])) if op in _READS else None
        return _Hop(stored[0], index=None if place is None else int(place))

    def _stored(self, node: Node, op: str) -> list[Ref]:
        """What the array holds that a node reads: one tensor for the whole, or one for each write; else nothing."""
        slot = _READS[op][0] if op in _READS else _GATHERS.get(op)
        if slot is None or len(node.inputs) <= slot:
            return []
        ref = self.view.input(node, slot)
        items: list[Ref] = []
        for _ in range(len(self.view.nodes)):
            node = self.view.node(ref)
            op = _VERSION.sub("", node.op)
            if op in _WHOLES and len(node.inputs) > _WHOLES[op]:
                return [self.view.input(node, _WHOLES[op])]
            if op in _WRITES and len(node.inputs) > max(_WRITES[op]):
                value, before = _WRITES[op]
                items.append(self.view.input(node, value))
                ref = self.view.input(node, before)
                if self.view.node(ref).op == LOOP_VARIABLE:
                    break
            elif op == "Exit":
                ref = self.view.input(node, 0)
            elif op == LOOP_VARIABLE:
                ref = self.view.input(node, 1)
            else:
                break
        return items[::-1]

    def _end(self, ref: Ref, depth: int) -> tuple[Part, ...]:
        """What stands where no single operand leads on."""
        if ref in self.outputs:
            return (self.outputs[ref],)
        node = self.view.node(ref)
        op = _VERSION.sub("", node.op)
        outside = (Part("outside", root=(ref,)),)
        if op in _CONSTANTS:
            return ()
        if depth >= _DEEPEST:
            return outside
        joined = joins(self.view, ref)
        steps = node.inputs if op == "Pack" else joined or self._stored(node, op)
        if node.op in _CHOICES:
            sources = node.inputs[1:] if node.op in SELECTS else node.inputs
            found = [parts for parts in (self.parts(source, depth + 1) for source in sources) if parts]
            return _same(found, outside) if found else ()
        if not steps:
            return outside
        found = [self.parts(source, depth + 1) for source in steps]
        if joined and len({tuple(part.origin for part in parts) for parts in found}) > 1:
            return tuple(part for parts in found for part in parts) if all(found) else outside
        return in_order(found) or outside


def _same(found: Sequence[tuple[Part, ...]], outside: tuple[Part, ...]) -> tuple[Part, ...]:
    """What several branches agree on."""
    first = found[0]
    for parts in found[1:]:
        if [(part.origin, part.reversed) for part in parts] != [(part.origin, part.reversed) for part in first]:
            return outside
        if any(part.kind == "outside" and part.root != other.root for part, other in zip(parts, first, strict=True)):
            return outside
    return tuple(
        part if all(parts[k].index == part.index for parts in found) else replace(part, index=None)
        for k, part in enumerate(first)
    )


def in_order(steps: Sequence[tuple[Part, ...]]) -> tuple[Part, ...]:
    """What the steps of a sequence are together; nothing where they are no sequence of one thing.

    The steps that they take out of a sequence tell which way round it runs; where each step comes from a tensor of its
    own, the order in which these were made does.
    """
    if not steps or any(len(parts) != len(steps[0]) for parts in steps):
        return ()
    found = []
    for column in zip(*steps, strict=True):
        first = column[0]
        if any((part.origin, part.reversed) != (first.origin, first.reversed) for part in column):
            return ()
        roots = tuple(dict.fromkeys(root for part in column for root in part.root))
        places: list[int] = [part.index for part in column if part.index is not None]
        if not places and len(roots) == len(column):
            places = [root[0] for root in roots]
        turned = _direction(places, len(column))
        if turned is None:
            return ()
        found.append(replace(first, root=tuple(sorted(roots)), reversed=first.reversed ^ turned, index=None))
    return tuple(found)


def _direction(places: Sequence[int], count: int) -> bool | None:
    """Whether places run backwards; None where they are in no order, or one place is taken again and again."""
    if not places or count == 1:
        return False
    ahead = [later - earlier for earlier, later in pairwise(places)]
    if len(places) != count or not (all(step > 0 for step in ahead) or all(step < 0 for step in ahead)):
        return None
    return ahead[0] < 0


def _backwards(view: View, node: Node) -> bool:
    """Whether a StridedSlice runs backwards: `x[:, ::-1]`."""
    strides = array(view, node.inputs[3]) if len(node.inputs) > 3 else None
    return strides is not None and bool((strides < 0).any())


def _unmasked(view: View, node: Node) -> Ref | None:
    """Of x times whether any feature of it is not 0, which is x again: x."""
    if len(node.inputs) != 2:
        return None
    x, at = view.inputs(node)
    for op in ("Cast", "Any"):
        if view.node(at).op != op:
            return None
        at = view.input(at[0], 0)
    told = view.node(at)
    same = told.op == "NotEqual" and view.input(told, 0) == x and number(view, view.input(told, 1)) == 0.0
    return x if same else None


def _parted(node: Node, op: str) -> bool:
    """Whether a node gives the pieces of what enters it: more than the one that is the whole."""
    count = attribute(node, "num_split")
    return op in _PORTS and (op == "Unpack" or count is None or count.i != 1)


def _taken(view: View, node: Node) -> int | None:
    """The single step that a StridedSlice takes."""
    mask = attribute(node, "shrink_axis_mask")
    begin = array(view, node.inputs[1]) if len(node.inputs) > 1 else None
    if mask is None or not mask.i or begin is None or begin.ndim != 1 or begin.dtype.kind != "i":
        return None
    taken = [int(place) for k, place in enumerate(begin) if mask.i >> k & 1]
    return taken[-1] if taken else None
