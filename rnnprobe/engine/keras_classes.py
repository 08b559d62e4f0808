"""Keras 3 over TensorFlow, the functions that activation words mean, and the class that Keras 3 has no longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import tensorflow as tf

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.engine.namespace import TensorFlow
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.checks import MORE


def import_keras() -> Any:
    """Keras 3 over TensorFlow, whatever the environment says of its backend.

    Raises:
        BadInput: there is none, it is Keras 2, or it was imported before with another backend.
    """
    # Tells Keras before it reads the user's keras.json, which could name another backend.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    hint = "`pip install 'keras>=3'`"
    try:
        found = import_module("keras")
    except ImportError as exc:
        raise BadInput(f"Keras can't be imported: {exc}", hint=hint) from exc
    if int(found.__version__.split(".")[0]) < 3:
        raise BadInput(f"Keras {found.__version__} is installed; what stands between layers needs Keras 3", hint=hint)
    if found.config.backend() != "tensorflow":
        raise BadInput(f"Keras was imported with the backend {found.config.backend()}; expected tensorflow")
    return found


keras: Any = import_keras()

# Up to Keras 2 hard_sigmoid had another slope (cells.md, section 9.4); here the word means that one.
_OURS = ("hard_sigmoid", "gelu_approximate")
_RENAMED = {"swish": "silu", "hard_sigmoid_keras3": "hard_sigmoid"}


def activation(name: object) -> Callable[[Any], Any]:
    """The function of this name: Keras's own, or that of `rnnprobe.cells.activations` where Keras 3 means another.

    Raises:
        BadInput: there is none; the message lists them.
    """
    word = "linear" if name is None else name
    known = {*ACTIVATIONS, *MORE}
    if isinstance(word, str) and word in known:
        own: Callable[[Any], Any] | None = getattr(keras.activations, _RENAMED.get(word, word), None)
        if own is not None and word not in _OURS:
            return own
        if word in ACTIVATIONS:
            return lambda x: ACTIVATIONS[word](TensorFlow, x)
    raise BadInput(f"no activation is called {name!r}; expected one of {', '.join(sorted(known))}")


class ThresholdedReLU(keras.layers.Layer):  # type: ignore[misc]
    """x where x > theta, else 0: Keras 2's layer of this name, which Keras 3 has no longer."""

    def __init__(self, theta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.theta = float(theta)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs * tf.cast(inputs > self.theta, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
