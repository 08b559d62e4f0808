"""What an original graph asks for beside the sequences: lengths, states, how many there are, switches of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnprobe.engine.original.build import Built
from rnnprobe.engine.original.copies import Copy
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.types import Array, Network

_COMPARED = {"GreaterEqual", "Greater", "Less", "LessEqual", "Max", "Min", "ReverseSequence", "Equal"}
_BLOCKS = {"BlockLSTM", "BlockLSTMV2"}
_COPIES = {"Cast", "Reshape", "ExpandDims", "Squeeze", "Pack", "ConcatV2", "Concat", "Minimum", "Maximum", "Sub"}
_DROPOUT = {"RealDiv", "Div", "Add", "AddV2", "Sub", "Mul", "Reciprocal", "Floor", "GreaterEqual", "Merge", *SELECTS}
_WORDS = {
    "lengths": "the lengths",
    "state": "zeros",
    "batch": "the number of sequences",
    "training": "False",
    "keep": "1",
}


class Placeholders:
    """The graph's own placeholders that are on the path, and what each is for.

    Raises:
        BadInput: nothing shows what one is for.
    """

    def __init__(self, network: Network, copy: Copy, built: Built, view: View) -> None:
        starts = {ref for use in copy.uses.values() for refs in use.starts.values() for ref in refs}
        self._built = built
        self._meant: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        for ref, name in built.open.items():
            node = view.node(ref)
            shape, dtype = built.shape(name), np.dtype(built.dtype(name))
            meant = purpose(view, ref, shape, dtype, starts)
            if node.op == "PlaceholderWithDefault" and meant != "lengths":
                continue
            if not meant:
                extent = "" if shape is None else f" {list(shape)}"
                raise BadInput(
                    f"can't be verified: its graph asks for {node.name!r} ({dtype.name}{extent}), and nothing shows "
                    f"what that is",
                    path=network.checkpoint.path,
                )
            self._meant[name], self._labels[name] = meant, node.name

    @property
    def takes_lengths(self) -> bool:
        """Whether the graph is told the lengths."""
        return "lengths" in self._meant.values()

    @property
    def notes(self) -> list[str]:
        """What each was given, in words."""
        return [f"{self._labels[name]} was given {_WORDS[meant]}" for name, meant in self._meant.items()]

    def feed(self, lengths: Array, size: int) -> dict[str, Any]:
        """What to feed for `size` sequences of these lengths."""
        values = {"lengths": lengths, "batch": size, "training": False, "keep": 1.0}
        found = {}
        for name, meant in self._meant.items():
            dtype = self._built.dtype(name)
            if meant == "state":
                shape = self._built.shape(name) or ()
                extent = [size if place == 0 else known or 0 for place, known in enumerate(shape)]
                found[f"{name}:0"] = np.zeros(extent, dtype)
            else:
                found[f"{name}:0"] = np.asarray(values[meant], dtype)
        return found


def purpose(view: View, ref: Ref, shape: Sequence[int | None] | None, dtype: Any, starts: set[Ref]) -> str:
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
    readers = _readers(view, ref)
    if dtype.kind in "iu" and rank in (1, None) and readers & (_COMPARED | _BLOCKS):
        return "lengths"
    if dtype.kind in "iu" and rank in (0, None) and any(_leads(view, ref[0], start) for start in starts):
        return "batch"
    if dtype.kind == "b" and rank in (0, None):
        return "training"
    if dtype.kind == "f" and rank in (0, None) and readers and readers <= _DROPOUT:
        return "keep"
    return ""


def _readers(view: View, ref: Ref) -> set[str]:
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
