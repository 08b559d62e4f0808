"""The functions that a cell may call, and their NumPy form.

The equations are written once over such a namespace; `rnnprobe.engine.namespace` holds the TensorFlow form. Every
function is elementwise unless its line says otherwise.
"""

from __future__ import annotations

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

    def sigmoid(self, a: Any) -> Any: ...
    def tanh(self, a: Any) -> Any: ...
    def exp(self, a: Any) -> Any: ...
    def log1p(self, a: Any) -> Any: ...
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
    log1p = staticmethod(np.log1p)
    matmul = staticmethod(np.matmul)
    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    tanh = staticmethod(np.tanh)
    where = staticmethod(np.where)

    @staticmethod
    def split(a: Array, count: int) -> list[Array]:
        return np.split(a, count, axis=-1)

    @staticmethod
    def concatenate(arrays: Sequence[Array]) -> Array:
        return np.concatenate(arrays, axis=-1)

    @staticmethod
    def sigmoid(a: Array) -> Array:
        """1 / (1 + exp(-a)), written over tanh so that no exp overflows."""
        return 0.5 * (np.tanh(0.5 * a) + 1.0)
