"""The functions that a cell may call, over TensorFlow: `rnnprobe.cells.namespace.Namespace` says what each does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class TensorFlow:
    """The namespace that the loop hands to a cell."""

    abs = staticmethod(tf.abs)
    clip = staticmethod(tf.clip_by_value)
    exp = staticmethod(tf.exp)
    log1p = staticmethod(tf.math.log1p)
    maximum = staticmethod(tf.maximum)
    minimum = staticmethod(tf.minimum)
    sigmoid = staticmethod(tf.sigmoid)
    tanh = staticmethod(tf.tanh)
    where = staticmethod(tf.where)

    @staticmethod
    def matmul(a: Any, b: Any) -> Any:
        # tensordot makes one large product of `[time, batch, k]`; a batched matmul would make many small ones.
        return tf.matmul(a, b) if a.shape.rank == 2 else tf.tensordot(a, b, 1)

    @staticmethod
    def split(a: Any, count: int) -> list[Any]:
        return list(tf.split(a, count, axis=-1))

    @staticmethod
    def concatenate(arrays: Sequence[Any]) -> Any:
        return tf.concat(arrays, axis=-1)
