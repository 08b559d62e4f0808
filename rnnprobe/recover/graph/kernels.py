"""What the ops of a graph compute, in NumPy: the numbers of `evaluate`.

An entry takes the node and the values that enter, and returns its outputs, or its only output. Floats are float64
whatever the graph says, integers int64: two ways to one number shall agree to more digits than float32 has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.namespace import NumPy
from rnnprobe.recover.graph.view import Node, attribute

Kernel: TypeAlias = Callable[[Node, Sequence[Any]], Any]

_VERSION = re.compile(r"V\d$")
_INTEGERS = {3, 4, 5, 6, 9, 17, 22, 23}  # DataType: int32, uint8, int16, int8, int64, uint16, uint32, uint64
_BOOL = 10


def kernel(op: str) -> Kernel | None:
    """What an op computes, or None where it is not known."""
    return KERNELS.get(op) or KERNELS.get(_VERSION.sub("", op))


def _flag(node: Node, *names: str) -> bool:
    """Whether one of these attributes is set."""
    return any((value := attribute(node, name)) is not None and value.b for name in names)


def _number(node: Node, name: str, default: int) -> int:
    value = attribute(node, name)
    return default if value is None else int(value.i)


def _real(node: Node, name: str, default: float) -> float:
    """A float attribute, in the shortest decimals that a float32 needs."""
    value = attribute(node, name)
    return default if value is None else float(str(np.float32(value.f)))


def _axes(value: Any) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.ravel(value))


def _reduce(function: Callable[..., Any]) -> Kernel:
    def run(node: Node, v: Sequence[Any]) -> Any:
        return function(v[0], axis=_axes(v[1]), keepdims=_flag(node, "keep_dims", "keepdims"))

    return run


def _unary(function: Callable[[Any], Any]) -> Kernel:
    return lambda node, v: function(v[0])


def _activation(name: str) -> Kernel:
    return lambda node, v: ACTIVATIONS[name](NumPy, v[0])


def _binary(function: Callable[[Any, Any], Any]) -> Kernel:
    return lambda node, v: function(v[0], v[1])


def _divide(node: Node, v: Sequence[Any]) -> Any:
    return v[0] // v[1] if _is_whole(v[0]) and _is_whole(v[1]) else v[0] / v[1]


def _is_whole(a: Any) -> bool:
    return bool(np.asarray(a).dtype.kind in "iu")


def _cast(node: Node, v: Sequence[Any]) -> Any:
    kind = attribute(node, "DstT").type
    return np.asarray(v[0]).astype(np.int64 if kind in _INTEGERS else bool if kind == _BOOL else np.float64)


def _matmul(node: Node, v: Sequence[Any]) -> Any:
    a = np.swapaxes(v[0], -1, -2) if _flag(node, "transpose_a", "adj_x") else v[0]
    b = np.swapaxes(v[1], -1, -2) if _flag(node, "transpose_b", "adj_y") else v[1]
    return np.matmul(a, b)


def _select(node: Node, v: Sequence[Any]) -> Any:
    where = np.asarray(v[0])
    if node.op == "Select" and where.ndim == 1 and np.ndim(v[1]) > 1:
        where = where.reshape(-1, *(1,) * (np.ndim(v[1]) - 1))
    return np.where(where, v[1], v[2])


def _reshape(node: Node, v: Sequence[Any]) -> Any:
    return np.reshape(v[0], _axes(v[1]))


def _squeeze(node: Node, v: Sequence[Any]) -> Any:
    value = attribute(node, "squeeze_dims") or attribute(node, "axis")
    axes = tuple(value.list.i) if value is not None else ()
    return np.squeeze(v[0], axis=axes or None)


def _split(node: Node, v: Sequence[Any]) -> Any:
    return np.split(v[1], _number(node, "num_split", 1), axis=int(v[0]))


def _split_v(node: Node, v: Sequence[Any]) -> Any:
    sizes, axis = list(_axes(v[1])), int(v[2])
    if -1 in sizes:
        sizes[sizes.index(-1)] = v[0].shape[axis] - sum(size for size in sizes if size >= 0)
    return np.split(v[0], np.cumsum(sizes)[:-1], axis=axis)


def _pack(node: Node, v: Sequence[Any]) -> Any:
    return np.stack(v, axis=_number(node, "axis", 0))


def _unpack(node: Node, v: Sequence[Any]) -> Any:
    return list(np.moveaxis(v[0], _number(node, "axis", 0), 0))


def _slice(node: Node, v: Sequence[Any]) -> Any:
    starts, sizes = _axes(v[1]), _axes(v[2])
    return v[0][tuple(slice(s, None if n < 0 else s + n) for s, n in zip(starts, sizes, strict=True))]


def _strided_slice(node: Node, v: Sequence[Any]) -> Any:
    masks = {name: _number(node, f"{name}_mask", 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    index: list[Any] = []
    for k, (begin, end, stride) in enumerate(zip(_axes(v[1]), _axes(v[2]), _axes(v[3]), strict=True)):
        if masks["ellipsis"] >> k & 1:
            index.append(Ellipsis)
        elif masks["new_axis"] >> k & 1:
            index.append(None)
        elif masks["shrink_axis"] >> k & 1:
            index.append(begin)
        else:
            first = None if masks["begin"] >> k & 1 else begin
            index.append(slice(first, None if masks["end"] >> k & 1 else end, stride))
    return v[0][tuple(index)]


def _gather(node: Node, v: Sequence[Any]) -> Any:
    return np.take(v[0], v[1].astype(np.int64), axis=int(v[2]) if len(v) > 2 else 0, mode="clip")


def _concat(node: Node, v: Sequence[Any]) -> Any:
    axis, parts = (v[0], v[1:]) if node.op == "Concat" else (v[-1], v[:-1])
    return np.concatenate(parts, axis=int(axis))


def _one_hot(node: Node, v: Sequence[Any]) -> Any:
    axis = _number(node, "axis", -1)
    hot = np.asarray(v[0])[..., None] == np.arange(int(v[1]))
    return np.moveaxis(np.where(hot, v[2], v[3]), -1, axis)


def _reverse(node: Node, v: Sequence[Any]) -> Any:
    axes = np.flatnonzero(v[1]) if np.asarray(v[1]).dtype == bool else v[1]
    return np.flip(v[0], axis=_axes(axes))


def _reverse_sequence(node: Node, v: Sequence[Any]) -> Any:
    # Along the batch the lengths may differ; the values of the whole are random anyway, their shape is what counts.
    return np.flip(v[0], axis=_number(node, "seq_dim", 0))


def _convolve(node: Node, v: Sequence[Any]) -> Any:
    axes = v[1].ndim - 2
    layout = attribute(node, "data_format")
    first = layout is not None and layout.s.startswith(b"NC")
    places = slice(2, 2 + axes) if first else slice(1, 1 + axes)
    strides, dilations = attribute(node, "strides"), attribute(node, "dilations")
    steps = tuple(strides.list.i)[places]
    spread = tuple(dilations.list.i)[places] if dilations is not None and dilations.list.i else (1,) * axes
    a = np.moveaxis(v[0], 1, -1) if first else v[0]
    found = NumPy.convolve(a, v[1], steps, attribute(node, "padding").s.decode().lower(), spread)
    return np.moveaxis(found, -1, 1) if first else found


def _space_to_batch(node: Node, v: Sequence[Any]) -> Any:
    """`[batch, *space, …]`: the places of each phase of a block as a batch, phase after phase."""
    sizes, zeros = _axes(v[1]), [(int(a), int(b)) for a, b in v[2]]
    count = len(sizes)
    a = np.pad(v[0], [(0, 0), *zeros, *[(0, 0)] * (v[0].ndim - 1 - count)])
    extent = [n // size for n, size in zip(a.shape[1:], sizes, strict=False)]
    parted = [part for pair in zip(extent, sizes, strict=True) for part in pair]
    a = a.reshape(a.shape[0], *parted, *a.shape[1 + count :])
    phases = range(2, 2 + 2 * count, 2)
    a = a.transpose(*phases, 0, *(k - 1 for k in phases), *range(1 + 2 * count, a.ndim))
    return a.reshape(-1, *extent, *a.shape[1 + 2 * count :])


def _batch_to_space(node: Node, v: Sequence[Any]) -> Any:
    """The inverse of `_space_to_batch`, with what was put around it cut off."""
    sizes, count = _axes(v[1]), len(v[1])
    a = v[0].reshape(*sizes, -1, *v[0].shape[1:])
    pairs = [axis for k in range(count) for axis in (count + 1 + k, k)]
    a = a.transpose(count, *pairs, *range(1 + 2 * count, a.ndim))
    extent = [n * size for n, size in zip(v[0].shape[1:], sizes, strict=False)]
    a = a.reshape(a.shape[0], *extent, *a.shape[1 + 2 * count :])
    return a[(slice(None), *(slice(int(low), n - int(high)) for n, (low, high) in zip(extent, v[2], strict=True)))]


def _lstm_block_cell(node: Node, v: Sequence[Any]) -> Any:
    """x, c, h, kernel, three peepholes, bias → i, c', f, o, g, φ(c'), h'."""
    x, c, h, w, p_i, p_f, p_o, b = v[:8]
    i, g, f, o = np.split(np.matmul(np.concatenate([x, h], -1), w) + b, 4, axis=-1)
    peephole = _flag(node, "use_peephole")
    if peephole:
        i, f = i + p_i * c, f + p_f * c
    i, f, g = NumPy.sigmoid(i), NumPy.sigmoid(f + _real(node, "forget_bias", 1.0)), np.tanh(g)
    fresh = f * c + i * g
    bound = _real(node, "cell_clip", 3.0)
    if bound > 0:
        fresh = np.clip(fresh, -bound, bound)
    o = NumPy.sigmoid(o + p_o * fresh if peephole else o)
    out = np.tanh(fresh)
    return [i, fresh, f, o, g, out, o * out]


def _block_lstm(node: Node, v: Sequence[Any]) -> Any:
    """The outputs of `LSTMBlockCell` for all steps of x `[time, batch, features]`; past its length all is computed."""
    _, x, c, h, *weights = v[:9]
    steps = []
    for at in x:
        outputs = _lstm_block_cell(node, [at, c, h, *weights])
        c, h = outputs[1], outputs[6]
        steps.append(outputs)
    return [np.stack(column) for column in zip(*steps, strict=True)]


def _gru_block_cell(node: Node, v: Sequence[Any]) -> Any:
    """x, h, the gates' kernel, the candidate's, their biases → r, z, n, h'."""
    x, h, w_gates, w, b_gates, b = v[:6]
    r, z = np.split(NumPy.sigmoid(np.matmul(np.concatenate([x, h], -1), w_gates) + b_gates), 2, axis=-1)
    n = np.tanh(np.matmul(np.concatenate([x, r * h], -1), w) + b)
    return [r, z, n, z * h + (1.0 - z) * n]


KERNELS: Mapping[str, Kernel] = {
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _divide,
    "RealDiv": _binary(np.true_divide),
    "FloorDiv": _binary(np.floor_divide),
    "FloorMod": _binary(np.mod),
    "Mod": _binary(np.fmod),
    "Pow": _binary(np.power),
    "Maximum": _binary(np.maximum),
    "Minimum": _binary(np.minimum),
    "SquaredDifference": _binary(lambda a, b: (a - b) * (a - b)),
    "BiasAdd": _binary(np.add),
    "BiasAddV1": _binary(np.add),
    "AddN": lambda node, v: sum(v[1:], v[0]),
    "Less": _binary(np.less),
    "LessEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterEqual": _binary(np.greater_equal),
    "Equal": _binary(np.equal),
    "NotEqual": _binary(np.not_equal),
    "LogicalAnd": _binary(np.logical_and),
    "LogicalOr": _binary(np.logical_or),
    "LogicalNot": _unary(np.logical_not),
    "Select": _select,
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Sign": _unary(np.sign),
    "Exp": _unary(np.exp),
    "Log": _unary(np.log),
    "Log1p": _unary(np.log1p),
    "Sqrt": _unary(np.sqrt),
    "Rsqrt": _unary(lambda a: 1.0 / np.sqrt(a)),
    "Square": _unary(np.square),
    "Reciprocal": _unary(lambda a: 1.0 / a),
    "Inv": _unary(lambda a: 1.0 / a),
    "Sin": _unary(np.sin),
    "Cos": _unary(np.cos),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Round": _unary(np.round),
    "Erf": _unary(NumPy.erf),
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "Relu": _activation("relu"),
    "Relu6": _activation("relu6"),
    "Elu": _activation("elu"),
    "Selu": _activation("selu"),
    "Softplus": _activation("softplus"),
    "Softsign": _activation("softsign"),
    "Softmax": _activation("softmax"),
    "LogSoftmax": _activation("log_softmax"),
    "LeakyRelu": lambda node, v: np.where(v[0] > 0, v[0], _real(node, "alpha", 0.2) * v[0]),
    "ClipByValue": lambda node, v: np.clip(v[0], v[1], v[2]),
    "Sum": _reduce(np.sum),
    "Mean": _reduce(np.mean),
    "Max": _reduce(np.max),
    "Min": _reduce(np.min),
    "Prod": _reduce(np.prod),
    "All": _reduce(np.all),
    "Any": _reduce(np.any),
    "Cumsum": lambda node, v: np.cumsum(v[0], axis=int(v[1])),
    "Cast": _cast,
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "Shape": lambda node, v: np.array(np.shape(v[0]), np.int64),
    "Size": lambda node, v: np.int64(np.size(v[0])),
    "Rank": lambda node, v: np.int64(np.ndim(v[0])),
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "ExpandDims": lambda node, v: np.expand_dims(v[0], int(v[1])),
    "Transpose": lambda node, v: np.transpose(v[0], _axes(v[1])),
    "Tile": lambda node, v: np.tile(v[0], _axes(v[1])),
    "BroadcastTo": lambda node, v: np.broadcast_to(v[0], _axes(v[1])),
    "EnsureShape": _unary(lambda a: a),
    "Fill": lambda node, v: np.full(_axes(v[0]), v[1]),
    "ZerosLike": _unary(np.zeros_like),
    "OnesLike": _unary(np.ones_like),
    "Pack": _pack,
    "Unpack": _unpack,
    "Concat": _concat,
    "Split": _split,
    "SplitV": _split_v,
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    "Gather": _gather,
    "ResourceGather": _gather,
    "Range": lambda node, v: np.arange(v[0], v[1], v[2]),
    "Reverse": _reverse,
    "ReverseSequence": _reverse_sequence,
    "OneHot": _one_hot,
    "Pad": lambda node, v: np.pad(v[0], [(int(a), int(b)) for a, b in v[1]]),
    "Conv1D": _convolve,
    "Conv2D": _convolve,
    "Conv3D": _convolve,
    "SpaceToBatchND": _space_to_batch,
    "BatchToSpaceND": _batch_to_space,
    "LSTMBlockCell": _lstm_block_cell,
    "BlockLSTM": _block_lstm,
    "GRUBlockCell": _gru_block_cell,
}
"""An op without its version → what it computes."""
