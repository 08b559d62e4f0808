"""What lies around a place of a graph: what leads there and what follows, as far as one step of a cell goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnprobe.recover.graph.numbers import Numbers, Pool
from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.view import LOOP_VARIABLE, MERGES, Ref, attribute

READS = {"TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"}
ENDS = {LOOP_VARIABLE, "Exit", *READS}
SHAPES = {"Shape", "ZerosLike", "OnesLike"}
"""What reads nothing of a tensor but its shape."""
_MOVES = {"Split", "SplitV", "Slice", "StridedSlice", "Unpack", "Reshape", "Squeeze", "ExpandDims", "Transpose"}
_MOVES |= {"Cast", "Concat", "ConcatV2", "Gather", "GatherV2", "Tile", *SELECTS, *MERGES}
_ATTRIBUTES = {"forget_bias": 1.0, "cell_clip": 3.0}  # of block ops, and what they are where the graph is silent


@dataclass(slots=True)
class Around:
    """What lies around a place where a kernel is used.

    Attributes:
        behind: tensors that lead there, the nearest first.
        reached: the nodes that follow.
        pool: all of these tensors by their values.
        ops: the kinds of these nodes.
        constants: the numbers among them.
    """

    behind: list[Ref]
    reached: set[int]
    pool: Pool
    ops: set[str] = field(default_factory=set)
    constants: list[float] = field(default_factory=list)


def around(known: Numbers, place: int, reach: int) -> Around:
    """What lies around a place, up to this many nodes each way."""
    following = ahead(known, place, reach)
    before = behind(known, [place, *following], reach)
    refs = {ref for node in following for ref in known.outputs(node)} | set(before)
    pool = Pool(known, sorted(refs, key=lambda ref: known.rank[ref[0]]))
    found = Around(before, set(following), pool)
    for at in {*following, *(ref[0] for ref in before)}:
        node = known.view.nodes[at]
        found.ops.add(node.op)
        if "Block" in node.op:
            for name, default in _ATTRIBUTES.items():
                value = attribute(node, name)
                found.constants.append(default if value is None else float(str(np.float32(value.f))))
        for source in known.before[at]:
            constant = None if known.dynamic[source[0]] else known.constant(source)
            if constant is not None and constant not in found.constants:
                found.constants.append(constant)
    return found


def ahead(known: Numbers, place: int, reach: int) -> list[int]:
    """The nodes that follow, the nearest first, as far as one step of a loop goes."""
    front, seen = [place], {place}
    for at in front:
        if len(front) >= reach:
            break
        for after in known.after[at]:
            if after not in seen and known.view.nodes[after].op not in ENDS | SHAPES:
                seen.add(after)
                front.append(after)
    return front


def behind(known: Numbers, nodes: Sequence[int], reach: int) -> list[Ref]:
    """The tensors that lead to nodes, the nearest first, back to what a loop carries or is given."""
    seen = {(node, 0) for node in nodes}
    front: list[Ref] = []
    waiting = [source for node in nodes for source in known.before[node]]
    for ref in waiting:
        if len(front) >= reach:
            break
        if ref in seen or not known.dynamic[ref[0]]:
            continue
        seen.add(ref)
        front.append(ref)
        if known.view.node(ref).op not in ENDS:
            waiting += known.before[ref[0]]
    return front


def between(known: Numbers, first: set[int], last: Sequence[Ref]) -> set[int]:
    """The nodes that lead from what enters a step, which is left out, to what leaves it."""
    found: set[int] = set()
    front = [ref[0] for ref in last]
    seen = set(front)
    while front:
        at = front.pop()
        if at in first:
            continue
        found.add(at)
        for source, _ in known.before[at]:
            if source not in seen and known.dynamic[source] and known.view.nodes[source].op not in ENDS:
                seen.add(source)
                front.append(source)
    return found


def comes_from(known: Numbers, ref: Ref, ops: set[str]) -> bool:
    """Whether a tensor is what one of these ops gives, moved about at most."""
    front, seen = [ref], {ref}
    while front and len(seen) < 60:
        at = front.pop()
        node = known.view.node(at)
        if node.op in ops:
            return True
        if node.op in _MOVES:
            for source in known.before[at[0]]:
                if source not in seen and known.dynamic[source[0]]:
                    seen.add(source)
                    front.append(source)
    return False


def sources(known: Numbers, old: Ref) -> set[Ref]:
    """The tensors that a state is made of by moving them about, here or at the step before."""
    front, seen = [old], {old}
    while front and len(seen) < 400:
        at = front.pop()
        node = known.view.node(at)
        kept = without_dropout(known.view, at)
        if kept != at or node.op in _MOVES or node.op == LOOP_VARIABLE:
            for source in [kept] if kept != at else known.before[at[0]]:
                if source not in seen:
                    seen.add(source)
                    front.append(source)
    return seen


def reaches(known: Numbers, ref: Ref, places: set[int]) -> bool:
    """Whether a tensor enters one of these nodes, moved about at most."""
    front, seen = [ref], {ref[0]}
    while front and len(seen) < 100:
        at = front.pop()
        for after, _ in known.view.consumers(at):
            if after in places:
                return True
            if after not in seen and known.view.nodes[after].op in _MOVES:
                seen.add(after)
                front += known.outputs(after)
    return False
