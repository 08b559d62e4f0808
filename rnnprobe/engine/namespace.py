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
    erf = staticmethod(tf.math.erf)
    log = staticmethod(tf.math.log)
    log1p = staticmethod(tf.math.log1p)
    maximum = staticmethod(tf.maximum)
    minimum = staticmethod(tf.minimum)
    mod = staticmethod(tf.math.floormod)
    reshape = staticmethod(tf.reshape)
    sqrt = staticmethod(tf.sqrt)
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

    @staticmethod
    def moveaxis(a: Any, source: int, destination: int) -> Any:
        order = list(range(a.shape.rank))
        moved = order.pop(source)
        order.insert(destination % a.shape.rank, moved)
        return tf.transpose(a, order)

    @staticmethod
    def sum(a: Any) -> Any:
        return tf.reduce_sum(a, axis=-1, keepdims=True)

    @staticmethod
    def cumsum(a: Any) -> Any:
        return tf.cumsum(a, axis=-1)

    @staticmethod
    def max(a: Any) -> Any:
        return tf.reduce_max(a, axis=-1, keepdims=True)

    @staticmethod
    def convolve(a: Any, kernel: Any, strides: Sequence[int], padding: str, dilation: Sequence[int]) -> Any:
        # TensorFlow takes one axis in front of those of space: time and batch are made one of, and parted again.
        inner = kernel.shape.rank - 1
        front, step = tf.shape(a)[:-inner], tf.shape(a)[-inner:]
        flat = tf.reshape(a, tf.concat([[-1], step], axis=0))
        flat.set_shape([None, *a.shape[-inner:]])
        found = tf.nn.convolution(flat, kernel, strides=strides, padding=padding.upper(), dilations=dilation)
        whole = tf.reshape(found, tf.concat([front, tf.shape(found)[1:]], axis=0))
        whole.set_shape([*a.shape[:-inner], *found.shape[1:]])
        return whole
