"""The classes of Keras 3 that may be made, by a literal table, and the functions that activation words mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import tensorflow as tf

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.engine.namespace import TensorFlow
from rnnprobe.errors import BadInput


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

_CONV = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
_DEPTHWISE = (*_CONV[1:], "depth_multiplier")
_POOL = ("pool_size", "strides", "padding", "data_format")
_GLOBAL_POOL = ("data_format", "keepdims")
_CELL = ("units", "activation", "use_bias")
_GATED = (*_CELL, "recurrent_activation")
_RUN = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
_CONV_LSTM = (*_CONV, "recurrent_activation", *_RUN)

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "Embedding": ("input_dim", "output_dim", "mask_zero"),
    "Masking": ("mask_value",),
    "Identity": (),
    "Dense": ("units", "activation", "use_bias"),
    "EinsumDense": ("equation", "output_shape", "activation", "bias_axes"),
    "Activation": ("activation",),
    "Softmax": ("axis",),
    "LeakyReLU": ("negative_slope",),
    "PReLU": ("shared_axes",),
    "ELU": ("alpha",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "ThresholdedReLU": ("theta",),
    **{f"Conv{n}D": (*_CONV, "groups") for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": (*_CONV, "output_padding") for n in (1, 2, 3)},
    **{f"SeparableConv{n}D": (*_CONV, "depth_multiplier") for n in (1, 2)},
    **{f"DepthwiseConv{n}D": _DEPTHWISE for n in (1, 2)},
    **{f"{kind}Pooling{n}D": _POOL for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _GLOBAL_POOL for kind in ("Max", "Average") for n in (1, 2, 3)},
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "LayerNormalization": ("axis", "epsilon", "center", "scale"),
    "GroupNormalization": ("groups", "axis", "epsilon", "center", "scale"),
    "UnitNormalization": ("axis",),
    "RMSNormalization": ("axis", "epsilon"),
    "Normalization": ("axis", "mean", "variance", "invert"),
    "Rescaling": ("scale", "offset"),
    "Flatten": ("data_format",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
    "RepeatVector": ("n",),
    "Cropping1D": ("cropping",),
    "Cropping2D": ("cropping", "data_format"),
    "Cropping3D": ("cropping", "data_format"),
    "UpSampling1D": ("size",),
    "UpSampling2D": ("size", "data_format", "interpolation"),
    "UpSampling3D": ("size", "data_format"),
    "ZeroPadding1D": ("padding", "data_format"),
    "ZeroPadding2D": ("padding", "data_format"),
    "ZeroPadding3D": ("padding", "data_format"),
    "Concatenate": ("axis",),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), ()),
    "Dot": ("axes", "normalize"),
    "Attention": ("use_scale", "score_mode"),
    "AdditiveAttention": ("use_scale",),
    "MultiHeadAttention": ("num_heads", "key_dim", "value_dim", "use_bias", "output_shape", "attention_axes"),
    "TimeDistributed": (),
    "Model": (),
    "SimpleRNNCell": _CELL,
    "LSTMCell": _GATED,
    "GRUCell": (*_GATED, "reset_after"),
    "StackedRNNCells": (),
    "SimpleRNN": (*_CELL, *_RUN),
    "LSTM": (*_GATED, *_RUN),
    "GRU": (*_GATED, "reset_after", *_RUN),
    "RNN": _RUN,
    "Bidirectional": ("merge_mode",),
    **{f"ConvLSTM{n}D": _CONV_LSTM for n in (1, 2, 3)},
}
"""The classes of `keras.layers` that may be made, and the arguments that each takes of `KerasLayer.config`."""

NOTHING = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
    }
)
"""Classes that do nothing at inference: `Identity` takes their place."""

_FUNCTIONS = frozenset(
    {
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_shrink",
        "hard_silu",
        "hard_tanh",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "soft_shrink",
        "softmax",
        "softplus",
        "softsign",
        "sparsemax",
        "squareplus",
        "tanh",
        "tanh_shrink",
        "threshold",
    }
)
_RENAMED = {"swish": "silu", "hard_swish": "hard_silu", "hard_sigmoid_keras3": "hard_sigmoid"}


def _ours(name: str) -> Callable[[Any], Any]:
    return lambda x: ACTIVATIONS[name](TensorFlow, x)


def activation(name: object) -> Callable[[Any], Any]:
    """The function of this name: Keras's own, or that of `rnnprobe.cells.activations` where Keras 3 means another.

    Raises:
        BadInput: there is none; the message lists them.
    """
    word = "linear" if name is None else name
    # Up to Keras 2 hard_sigmoid had another slope (cells.md, section 9.4); here the word means that one.
    if isinstance(word, str) and word != "hard_sigmoid":
        own = _RENAMED.get(word, word)
        if own in _FUNCTIONS or word in _RENAMED:
            function = getattr(keras.activations, own, None)
            if function is not None:
                return function  # type: ignore[no-any-return]
    if isinstance(word, str) and word in ACTIVATIONS:
        return _ours(word)
    known = ", ".join(sorted({*_FUNCTIONS, *_RENAMED, *ACTIVATIONS}))
    raise BadInput(f"no activation is called {name!r}; expected one of {known}")


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
