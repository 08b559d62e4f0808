"""What a graph's constants and variables are: numbers, and the names that a checkpoint stores variables under."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from math import prod
from typing import Any

import numpy as np

from rnnprobe.formats.constants import variable
from rnnprobe.formats.dtypes import MAX_RANK
from rnnprobe.recover.graph.view import Ref, View, attribute
from rnnprobe.types import Array, Checkpoint

_VARIABLES = {"Variable", "VariableV2", "VarHandleOp", "TemporaryVariable", "AutoReloadVariable"}
_CONCATS = {"Concat", "ConcatV2"}
# Save ops: slot of the names, slot of the first tensor.
_SAVES = {"SaveV2": (1, 3), "SaveSlices": (1, 3), "Save": (1, 2)}
_PARTITION = re.compile(r"/part_\d+$")
_SHARD = re.compile(r"_\d+$")
# DataType of tensorflow/core/framework/types.proto → NumPy's name and the field that holds unpacked values.
_DTYPES = {
    1: ("float32", "float_val"),
    2: ("float64", "double_val"),
    3: ("int32", "int_val"),
    9: ("int64", "int64_val"),
    10: ("bool", "bool_val"),
    19: ("float16", "half_val"),
}
_LARGEST = 1 << 24


def array(view: View, ref: Ref) -> Array | None:
    """The values of a constant of a common dtype; None for anything else, and where they do not fill their shape."""
    node = view.node(view.resolve(ref))
    if node.op == "Fill":
        node = view.node(view.input(node, 1))
    value = attribute(node, "value")
    if node.op != "Const" or value is None or value.tensor.dtype not in _DTYPES:
        return None
    tensor = value.tensor
    dtype, field = _DTYPES[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    size = prod(shape)
    if len(shape) > MAX_RANK or size > _LARGEST or not all(0 <= extent <= _LARGEST for extent in shape):
        return None
    if tensor.tensor_content:
        raw = tensor.tensor_content
        return np.frombuffer(raw, dtype).reshape(shape) if len(raw) == size * np.dtype(dtype).itemsize else None
    listed = getattr(tensor, field)
    if len(listed) <= 1:
        # One value fills the whole; none stands for zeros.
        listed = listed or [0]
    elif len(listed) != size:
        return None
    if dtype == "float16":
        values = np.array(listed, np.int64).astype(np.uint16).view(np.float16)
    else:
        values = np.array(listed, dtype)
    return values.reshape(shape) if len(values) == size else np.broadcast_to(values[0], shape)


def number(view: View, ref: Ref) -> float | None:
    """The finite value of a constant whose elements are all alike, in its shortest decimals; else None."""
    values = array(view, ref)
    if values is None or values.size == 0 or values.dtype == bool or not bool(np.all(values == values.flat[0])):
        return None
    value = float(values.flat[0])
    return shortest(value, values.dtype.name) if np.isfinite(value) else None


def shortest(value: float, dtype: str = "float32") -> float:
    """The shortest decimal that rounds to the same number of the dtype: 0.3, not 0.30000001192092896."""
    return float(str(np.dtype(dtype).type(value))) if np.isfinite(value) else value


def is_identity(view: View, ref: Ref) -> bool:
    """Whether a constant is an identity matrix."""
    values = array(view, ref)
    if values is None or values.ndim != 2 or values.shape[0] != values.shape[1]:
        return False
    return bool(np.array_equal(values, np.eye(values.shape[0])))


class Variables:
    """Which tensor of the checkpoint a variable of the graph is.

    A saver may store a variable under another name than its own, and several under one name, as slices of it: what
    stands at its inputs counts, and the variable's own name only where no saver speaks of it.

    Args:
        view: the graph.
        stored: the checkpoint's tensors.
        named: a variable's own name → its tensor, where the two differ (`own_names`).
    """

    def __init__(self, view: View, stored: Collection[str], named: Mapping[str, str] | None = None) -> None:
        self._view = view
        self._stored = stored
        self._named = named or {}
        self._keys: dict[int, str] = {}
        for node in view.nodes:
            if node.op in _SAVES:
                names_at, first = _SAVES[node.op]
                for name, source in zip(_strings(view, view.input(node, names_at)), node.inputs[first:], strict=False):
                    number, _ = view.resolve(source)
                    if view.nodes[number].op in _VARIABLES and name in stored:
                        self._keys.setdefault(number, name)

    def name(self, ref: Ref) -> str | None:
        """The stored name of the variable that a tensor is a copy of, or of which it joins the parts; else None."""
        number, _ = ref = self._view.resolve(ref)
        node = self._view.nodes[number]
        if node.op in _CONCATS:
            parts = [self._single(source) for source in self._view.inputs(node)]
            named = [part for part in parts if part is not None]
            # Slices of one stored tensor, or the shards `W_0`, `W_1` … that `names` joins under the first.
            joined = len({_SHARD.sub("", part) for part in named}) == 1 and len(named) == len(parts) - 1
            return named[0] if joined else None
        return self._single(ref)

    def _single(self, ref: Ref) -> str | None:
        node = self._view.nodes[ref[0]]
        if ref[0] in self._keys:
            return self._keys[ref[0]]
        if node.op == "Const":
            # A frozen variable, or what became of the Identity that read it.
            return next((name for name in (node.name, variable(node.name)) if name in self._stored), None)
        if node.op in _VARIABLES:
            shared = attribute(node, "shared_name")
            own = node.name if shared is None or not shared.s else shared.s.decode("utf-8", "replace")
            if own in self._named:
                return self._named[own]
            return _PARTITION.sub("", node.name) if node.name not in self._stored else node.name
        return None


def own_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Variable → its tensor, of a checkpoint of objects, whose tensors go by attributes; names of two are left out."""
    names = checkpoint.objects.names if checkpoint.objects is not None else {}
    times = Counter(names.values())
    return {own: key for key, own in names.items() if times[own] == 1}


def _strings(view: View, ref: Ref) -> list[str]:
    value: Any = attribute(view.node(ref), "value")
    return [] if value is None else [text.decode("utf-8", "replace") for text in value.tensor.string_val]


def joins(view: View, ref: Ref) -> list[Ref]:
    """The tensors that a Concat joins, in order; none for any other op."""
    node = view.node(ref)
    if node.op not in _CONCATS or len(node.inputs) < 2:
        return []
    sources = view.inputs(node)
    return sources[1:] if node.op == "Concat" else sources[:-1]


def other(view: View, consumer: int, slot: int) -> Ref:
    """The other input of an op with two of them."""
    return view.input(consumer, 1 - slot)


def named(weights: Mapping[str, Any], role: str) -> str:
    """The stored name of a layer's weight, or empty."""
    return weights[role].name if role in weights else ""
