"""The activations by the name that TensorFlow and Keras give them.

`hard_sigmoid` changed its meaning: up to Keras 2 and tf_keras it is clip(0.2·a + 0.5, 0, 1), in Keras 3
clip(a/6 + 0.5, 0, 1), here `hard_sigmoid_keras3` (cells.md, section 9.4; `activations.py` of each release).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnprobe.types import OptionValue, Xp


def _elu(xp: Xp, a: Any) -> Any:
    return xp.where(a > 0, a, xp.exp(xp.minimum(a, 0.0)) - 1.0)


ACTIVATIONS: dict[str, Callable[[Xp, Any], Any]] = {
    "tanh": lambda xp, a: xp.tanh(a),
    "sigmoid": lambda xp, a: xp.sigmoid(a),
    "linear": lambda xp, a: a,
    "relu": lambda xp, a: xp.maximum(a, 0.0),
    "relu6": lambda xp, a: xp.clip(a, 0.0, 6.0),
    "hard_sigmoid": lambda xp, a: xp.clip(0.2 * a + 0.5, 0.0, 1.0),
    "hard_sigmoid_keras3": lambda xp, a: xp.clip(a / 6.0 + 0.5, 0.0, 1.0),
    "softsign": lambda xp, a: a / (1.0 + xp.abs(a)),
    "softplus": lambda xp, a: xp.maximum(a, 0.0) + xp.log1p(xp.exp(-xp.abs(a))),
    "elu": _elu,
    "selu": lambda xp, a: 1.0507009873554805 * xp.where(a > 0, a, 1.6732632423543772 * _elu(xp, a)),
    "exponential": lambda xp, a: xp.exp(a),
    "swish": lambda xp, a: a * xp.sigmoid(a),
}
"""Name → function of a namespace and an array, elementwise."""


RANGES: dict[str, tuple[float, float]] = {
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "relu6": (0.0, 6.0),
    "hard_sigmoid": (0.0, 1.0),
    "hard_sigmoid_keras3": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
}
"""The bounds of the activations that have two."""


def activate(xp: Xp, name: OptionValue, a: Any) -> Any:
    """The activation called `name`, applied to `a`."""
    return ACTIVATIONS[str(name)](xp, a)
