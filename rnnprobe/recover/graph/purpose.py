"""What a placeholder of a graph is for, where that shows: lengths, states, how many there are, switches of training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.view import Ref, View

_COMPARED = {"GreaterEqual", "Greater", "Less", "LessEqual", "Max", "Min", "ReverseSequence", "Equal"}
_BLOCKS = {"BlockLSTM", "BlockLSTMV2"}
_COPIES = {"Cast", "Reshape", "ExpandDims", "Squeeze", "Pack", "ConcatV2", "Concat", "Minimum", "Maximum", "Sub"}
_DROPOUT = {"RealDiv", "Div", "Add", "AddV2", "Sub", "Mul", "Reciprocal", "Floor", "GreaterEqual", "Merge", *SELECTS}


def purpose(
    view: View, ref: Ref, shape: Sequence[int | None] | None, dtype: np.dtype[Any], starts: Collection[Ref]
) -> str:
    """What a placeholder is for: `lengths`, `state`, `batch`, `training`, `keep`; empty where nothing shows it.

    Args:
        view: of the graph.
        ref: the placeholder.
        shape: its static shape, or None.
        dtype: its dtype.
        starts: the tensors that states start from.
    """
    rank = None if shape is None else len(shape)
    if ref in starts and shape is not None and all(size is not None for size in shape[1:]):
        return "state"
    read_by = readers(view, ref)
    if dtype.kind in "iu" and rank in (1, None) and read_by & (_COMPARED | _BLOCKS):
        return "lengths"
    if dtype.kind in "iu" and rank in (0, None) and any(_leads(view, ref[0], start) for start in starts):
        return "batch"
    if dtype.kind == "b" and rank in (0, None):
        return "training"
    if dtype.kind == "f" and rank in (0, None) and read_by and read_by <= _DROPOUT:
        return "keep"
    return ""


def readers(view: View, ref: Ref) -> set[str]:
    """The ops that read a tensor, through those that merely reshape it."""
    found: set[str] = set()
    front, seen = [ref], {ref}
    while front:
        for consumer, _ in view.consumers(front.pop()):
            node = view.nodes[consumer]
            found.add(node.op)
            if node.op in _COPIES and (consumer, 0) not in seen:
                seen.add((consumer, 0))
                front.append((consumer, 0))
    return found - _COPIES


def _leads(view: View, number: int, start: Ref) -> bool:
    """Whether what a state starts from is computed from a node."""
    front, seen = [start[0]], {start[0]}
    while front:
        at = front.pop()
        if at == number:
            return True
        for source, _ in view.inputs(at):
            if source not in seen:
                seen.add(source)
                front.append(source)
    return False
