"""The functions that a cell may call, and their NumPy form.

The equations are written once over such a namespace; `rnnprobe.engine.namespace` holds the TensorFlow form. Every
function is elementwise unless its line says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rnnprobe.types import Array


class Namespace(Protocol):
    """What `Cell.project` and `Cell.step` are given as `xp`."""

    def matmul(self, a: Any, b: Any) -> Any:
        """`[..., k] × [k, m] → [..., m]`."""

    def split(self, a: Any, count: int) -> Sequence[Any]:
        """`count` equal blocks along the last axis."""

    def concatenate(self, arrays: Sequence[Any]) -> Any:
        """Along the last axis."""

    def convolve(self, a: Any, kernel: Any, strides: Sequence[int], padding: str, dilation: Sequence[int]) -> Any:
        """`[..., *space, k] ∗ [*extents, k, m] → [..., *space', m]`, kernels not turned.

        `padding` is `valid` or `same`; `same` puts an odd zero at the end, as TensorFlow does. Strides and dilation
        are numbers for each axis of space; one of them is 1 throughout.
        """

    def moveaxis(self, a: Any, source: int, destination: int) -> Any:
        """With one axis in another place, the others in their order."""

    def reshape(self, a: Any, shape: Sequence[int]) -> Any:
        """The same numbers in another shape; one of its extents may be -1, for what is left."""

    def sum(self, a: Any) -> Any:
        """Along the last axis, which stays, of length 1."""

    def max(self, a: Any) -> Any:
        """Along the last axis, which stays, of length 1."""

    def cumsum(self, a: Any) -> Any:
        """The running sum along the last axis."""

    def mod(self, a: Any, b: Any) -> Any:
        """The remainder with the sign of `b`."""

    def sigmoid(self, a: Any) -> Any: ...
    def tanh(self, a: Any) -> Any: ...
    def exp(self, a: Any) -> Any: ...
    def log(self, a: Any) -> Any: ...
    def log1p(self, a: Any) -> Any: ...
    def sqrt(self, a: Any) -> Any: ...
    def erf(self, a: Any) -> Any: ...
    def abs(self, a: Any) -> Any: ...
    def clip(self, a: Any, low: float, high: float) -> Any: ...
    def maximum(self, a: Any, b: Any) -> Any: ...
    def minimum(self, a: Any, b: Any) -> Any: ...
    def where(self, condition: Any, a: Any, b: Any) -> Any: ...


class NumPy:
    """The namespace over NumPy: the reference that tests compare the engine with."""

    abs = staticmethod(np.abs)
    clip = staticmethod(np.clip)
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    log1p = staticmethod(np.log1p)
    matmul = staticmethod(np.matmul)
    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    mod = staticmethod(np.mod)
    moveaxis = staticmethod(np.moveaxis)
    reshape = staticmethod(np.reshape)
    sqrt = staticmethod(np.sqrt)
    tanh = staticmethod(np.tanh)
    where = staticmethod(np.where)

    @staticmethod
    def split(a: Array, count: int) -> list[Array]:
        return np.split(a, count, axis=-1)

    @staticmethod
    def concatenate(arrays: Sequence[Array]) -> Array:
        return np.concatenate(arrays, axis=-1)

    @staticmethod
    def sum(a: Array) -> Array:
        total: Array = np.sum(a, axis=-1, keepdims=True)
        return total

    @staticmethod
    def cumsum(a: Array) -> Array:
        running: Array = np.cumsum(a, axis=-1)
        return running

    @staticmethod
    def max(a: Array) -> Array:
        most: Array = np.max(a, axis=-1, keepdims=True)
        return most

    @staticmethod
    def erf(a: Array) -> Array:
        value: Array = np.vectorize(math.erf, otypes=[a.dtype])(a)
        return value

    @staticmethod
    def convolve(a: Array, kernel: Array, strides: Sequence[int], padding: str, dilation: Sequence[int]) -> Array:
        """A window of `a` for each place of space', multiplied with the kernel."""
        axes = kernel.ndim - 2
        places = tuple(range(a.ndim - axes - 1, a.ndim - 1))
        reach = [(size - 1) * d + 1 for size, d in zip(kernel.shape, dilation, strict=False)]
        if padding == "same":
            widths = [(0, 0)] * a.ndim
            for axis, length, stride in zip(places, reach, strides, strict=True):
                zeros = max((-(-a.shape[axis] // stride) - 1) * stride + length - a.shape[axis], 0)
                widths[axis] = (zeros // 2, zeros - zeros // 2)
            a = np.pad(a, widths)
        windows = np.lib.stride_tricks.sliding_window_view(a, reach, axis=places)
        steps = [slice(None)] * windows.ndim
        for axis, stride, dilated in zip(range(axes), strides, dilation, strict=True):
            steps[places[axis]] = slice(None, None, stride)
            steps[windows.ndim - axes + axis] = slice(None, None, dilated)
        windows = windows[tuple(steps)]  # [..., *space', k, *extents]
        return np.tensordot(windows, np.moveaxis(kernel, -2, 0), axes=axes + 1)

    @staticmethod
    def sigmoid(a: Array) -> Array:
        """1 / (1 + exp(-a)), written over tanh so that no exp overflows."""
        return 0.5 * (np.tanh(0.5 * a) + 1.0)
