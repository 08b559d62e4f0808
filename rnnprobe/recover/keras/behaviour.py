"""What a Keras layer does with time and with masks."""

from __future__ import annotations

import re

from rnnprobe.recover.keras.arguments import renamed
from rnnprobe.recover.keras.config import Era
from rnnprobe.types import KerasLayer

# What has a time axis wherever it stands.
_TIMED = frozenset({"Masking", "TimeDistributed"})
# What looks at nothing but the features of a step, or the same number of other inputs.
_WITHIN_STEP = frozenset(
    {
        "Activation", "Add", "Average", "Dense", "ELU", "Identity", "LeakyReLU", "Maximum", "Minimum", "Multiply",
        "ReLU", "Subtract", "ThresholdedReLU",
    }
)  # fmt: skip
_ALONG_AXIS = frozenset(
    {
        "BatchNormalization", "Concatenate", "LayerNormalization", "Normalization", "RMSNormalization", "Softmax",
        "UnitNormalization",
    }
)  # fmt: skip
# Softmax is not among them: its mask is of the shape of its input, which no mask of steps is.
_TAKES_MASK = frozenset({"Attention", "AdditiveAttention", "GlobalAveragePooling1D", "MultiHeadAttention"})

# What hands masks on in every release, as Keras 1.2.2, 2.2.4, 3.15, tf.keras 1.15 and tf_keras 2.21 do it. Before Keras
# 3, a layer that does not refuses them, or ends them (tf.keras).
_HANDS_ON = frozenset(
    {
        "Activation", "ActivityRegularization", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "Average",
        "BatchNormalization", "Concatenate", "Dense", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "Identity",
        "LayerNormalization", "LeakyReLU", "Masking", "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "PReLU",
        "ReLU", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract", "ThresholdedReLU",
        "TimeDistributed", "UnitNormalization",
    }
)  # fmt: skip
_HANDS_ON_3 = _HANDS_ON | {"GroupNormalization", "Normalization", "Rescaling"}


def stepwise(layer: KerasLayer, rank: int | None) -> bool:
    """Whether each step of a layer's output depends on that step of its inputs alone; False where that is not sure.

    Args:
        layer: with inputs `[batch, time, …]`.
        rank: of its (first) input, the batch's axis counted.
    """
    name, config = layer.class_name, layer.config
    if name in _TIMED or (name == "Activation" and config.get("activation") == "linear" and rank is None):
        return True
    if rank is None or rank < (2 if name == "Embedding" else 3):  # there may be no axis of time
        return False
    if name == "Model":
        shaping = ("Embedding", "EinsumDense", "TimeDistributed")
        return all(stepwise(call.layer, rank) and call.layer.class_name not in shaping for call in layer.calls)
    if name in _ALONG_AXIS:
        return _beside_time(config.get("axis", -1), rank)
    if name == "PReLU":
        shared = config.get("shared_axes")
        return 1 in (shared if isinstance(shared, list) else [shared])
    if name == "Rescaling":
        return not isinstance(config.get("scale"), list) and not isinstance(config.get("offset"), list)
    if name == "EinsumDense":
        return _einsum(str(config.get("equation")), str(config.get("bias_axes")))
    return name in _WITHIN_STEP or name == "Embedding"


def _beside_time(axis: object, rank: int) -> bool:
    """Whether none of these axes is the batch's or that of time."""
    axes = axis if isinstance(axis, list | tuple) else [axis]
    return axis is None or all(type(one) is int and one % rank not in (0, 1) for one in axes)


def _einsum(equation: str, bias: str) -> bool:
    """Whether an equation, `abc,cd->abd`, leaves the second axis as it is."""
    match = re.fullmatch(r"(\w)(\w)\w*,(\w*)->(\w)(\w)\w*", equation)
    return match is not None and match[1] + match[2] == match[4] + match[5] and match[2] not in match[3] + bias


def masked(layer: KerasLayer) -> bool:
    """Whether a layer's result depends on the mask of its input."""
    if layer.class_name == "Model":
        return any(masked(call.layer) for call in layer.calls)
    return layer.class_name in _TAKES_MASK


def supports_masking(class_name: str, meaning: Era) -> bool:
    """Whether a release's class hands the mask of its input on to what follows."""
    name = renamed(class_name)
    if name == "ReLU" and meaning.words.endswith("2.2.4-tf"):  # a slip of the pen in those releases
        return False
    return name in (_HANDS_ON if meaning.major < 3 else _HANDS_ON_3)
