"""The activations by the name that TensorFlow and Keras give them.

`hard_sigmoid` changed its meaning: up to Keras 2 and tf_keras it is clip(0.2·a + 0.5, 0, 1), in Keras 3
clip(a/6 + 0.5, 0, 1), here `hard_sigmoid_keras3` (cells.md, section 9.4; `activations.py` of each release). Where Keras
lets a number be chosen, a name stands for its default; `gelu_approximate` is `gelu` with `approximate=True`. Not here:
`glu`, which halves the units, `sparsemax`, and `threshold`, which has no default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnprobe.types import OptionValue, Xp


def _elu(xp: Xp, a: Any) -> Any:
    return xp.where(a > 0, a, xp.exp(xp.minimum(a, 0.0)) - 1.0)


def _softplus(xp: Xp, a: Any) -> Any:
    return xp.maximum(a, 0.0) + xp.log1p(xp.exp(-xp.abs(a)))


def _hard_sigmoid_keras3(xp: Xp, a: Any) -> Any:
    return xp.clip(a / 6.0 + 0.5, 0.0, 1.0)


def _softmax(xp: Xp, a: Any) -> Any:
    raised = xp.exp(a - xp.max(a))
    return raised / xp.sum(raised)


def _log_softmax(xp: Xp, a: Any) -> Any:
    a = a - xp.max(a)
    return a - xp.log(xp.sum(xp.exp(a)))


ACTIVATIONS: dict[str, Callable[[Xp, Any], Any]] = {
    "tanh": lambda xp, a: xp.tanh(a),
    "sigmoid": lambda xp, a: xp.sigmoid(a),
    "linear": lambda xp, a: a,
    "relu": lambda xp, a: xp.maximum(a, 0.0),
    "relu6": lambda xp, a: xp.clip(a, 0.0, 6.0),
    "hard_sigmoid": lambda xp, a: xp.clip(0.2 * a + 0.5, 0.0, 1.0),
    "hard_sigmoid_keras3": _hard_sigmoid_keras3,
    "softsign": lambda xp, a: a / (1.0 + xp.abs(a)),
    "softplus": _softplus,
    "elu": _elu,
    "selu": lambda xp, a: 1.0507009873554805 * xp.where(a > 0, a, 1.6732632423543772 * _elu(xp, a)),
    "exponential": lambda xp, a: xp.exp(a),
    "swish": lambda xp, a: a * xp.sigmoid(a),
    "gelu": lambda xp, a: 0.5 * a * (1.0 + xp.erf(a * 0.7071067811865476)),
    "gelu_approximate": lambda xp, a: 0.5 * a * (1.0 + xp.tanh(0.7978845608028654 * (a + 0.044715 * a * a * a))),
    "mish": lambda xp, a: a * xp.tanh(_softplus(xp, a)),
    "leaky_relu": lambda xp, a: xp.maximum(a, 0.0) + 0.2 * xp.minimum(a, 0.0),
    "celu": _elu,
    "log_sigmoid": lambda xp, a: -_softplus(xp, -a),
    "hard_silu": lambda xp, a: a * _hard_sigmoid_keras3(xp, a),
    "hard_tanh": lambda xp, a: xp.clip(a, -1.0, 1.0),
    "hard_shrink": lambda xp, a: xp.where(xp.abs(a) > 0.5, a, 0.0),
    "soft_shrink": lambda xp, a: a - xp.clip(a, -0.5, 0.5),
    "tanh_shrink": lambda xp, a: a - xp.tanh(a),
    "squareplus": lambda xp, a: 0.5 * (a + xp.sqrt(a * a + 4.0)),
    "sparse_plus": lambda xp, a: xp.where(a < 1.0, 0.25 * xp.maximum(a + 1.0, 0.0) * xp.maximum(a + 1.0, 0.0), a),
    "sparse_sigmoid": lambda xp, a: xp.clip(0.5 * (a + 1.0), 0.0, 1.0),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}
"""Name → function of a namespace and an array; elementwise, but for those of `ALONG_UNITS`."""

ALONG_UNITS = frozenset({"softmax", "log_softmax"})
"""The activations that look at all units of a step together."""


RANGES: dict[str, tuple[float, float]] = {
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "relu6": (0.0, 6.0),
    "hard_sigmoid": (0.0, 1.0),
    "hard_sigmoid_keras3": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "sparse_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
}
"""The bounds of the activations that have two."""


def activate(xp: Xp, name: OptionValue, a: Any) -> Any:
    """The activation called `name`, applied to `a`."""
    return ACTIVATIONS[str(name)](xp, a)
