"""The stored weights of a layer that does not recur, in the order and the shape in which Keras 3's class takes them.

Files tell them by name (`kernel`, Keras 1's `W`), by attribute, or by number, which is the class's own order
(https://github.com/keras-team/keras, `legacy_h5_format.py`, `_convert_weights` of Keras 2's `saving.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.arguments import KINDS
from rnnprobe.recover.keras.config import Era
from rnnprobe.recover.keras.store import Flat, Nested, Place
from rnnprobe.types import Array, Tensor

_NAMES = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "embeddings": ("embeddings", "W"),
    "moving_mean": ("moving_mean", "running_mean"),
    "moving_variance": ("moving_variance", "running_std"),  # Keras 1 called the variance so
    "alpha": ("alpha", "alphas"),
    "depthwise_kernel": ("depthwise_kernel", "kernel"),
    "mean": ("mean", "adapt_mean"),
    "variance": ("variance", "adapt_variance"),
}
_COUNTERS = frozenset({"count", "2"})
# Each part of a MultiHeadAttention, as the releases name it.
_ATTENTION = (
    ("query", "query_dense", "_query_dense"),
    ("key", "key_dense", "_key_dense"),
    ("value", "value_dense", "_value_dense"),
    ("attention_output", "output_dense", "_output_dense"),
)
_RANKS = {"embeddings": 2, "bias": 1, "gamma": 1, "beta": 1, "moving_mean": 1, "moving_variance": 1}


def variables(
    weights: Flat | Nested,
    class_name: str,
    arguments: Mapping[str, Any],
    place: Place,
    meaning: Era,
    alias: str = "",
) -> tuple[Tensor, ...] | str:
    """The weights of a layer of a class of `KINDS`; or why there are none.

    Args:
        weights: where they are stored.
        class_name: Keras 3's.
        arguments: of that class.
        place: the layer's.
        meaning: the release that wrote them.
        alias: the name of the layer that a wrapper at this place wraps.

    Raises:
        BadInput: the stored tensors are not those of such a layer.
    """
    if class_name == "MultiHeadAttention":
        return _attention(weights, arguments, place)
    wanted = [role for role, unless in KINDS[class_name].weights if _has(class_name, role, unless, arguments)]
    if not wanted:
        return ()
    held = weights.variables(place, (), alias)
    if not held:
        return "has no weights in the file"
    found = _in_order(class_name, wanted, held, place)
    found = _laid_out(weights, class_name, arguments, found, meaning)
    _agree(class_name, arguments, dict(zip(wanted, found, strict=True)), place)
    return tuple(found)


def _has(class_name: str, role: str, unless: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a layer with these arguments has a weight."""
    if not unless:
        return True
    if class_name == "Normalization":
        return arguments.get("mean") is None
    if role == "concat_score_weight":
        return arguments.get("score_mode") == "concat"
    if unless == "bias_axes":
        return arguments.get("bias_axes") is not None
    return bool(arguments.get(unless, class_name != "Attention"))


def _in_order(class_name: str, wanted: Sequence[str], held: Mapping[str, Tensor], place: Place) -> list[Tensor]:
    numbered = all(leaf.isdecimal() for leaf in held)
    left = dict(held)
    found = []
    for k, role in enumerate(wanted):
        names = (str(k),) if numbered else (role, *_NAMES.get(role, ()))
        leaf = next((name for name in names if name in left), None)
        if leaf is not None:
            found.append(left.pop(leaf))
    left = {leaf: tensor for leaf, tensor in left.items() if class_name != "Normalization" or leaf not in _COUNTERS}
    if left or len(found) != len(wanted):
        stored = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in held.values())
        raise BadInput(
            f"the configuration says that layer {str(place)!r} is a {class_name} with {', '.join(wanted)}; "
            f"stored for it are {stored}"
        )
    return found


def _attention(weights: Flat | Nested, arguments: Mapping[str, Any], place: Place) -> tuple[Tensor, ...] | str:
    """The weights of the four projections of a MultiHeadAttention."""
    wanted = ["kernel", "bias"] if arguments.get("use_bias", True) else ["kernel"]
    found: list[Tensor] = []
    for names in _ATTENTION:
        held = weights.variables(place, names)
        if not held:
            return f"has no weights in the file for its {names[0]}"
        found += _in_order("MultiHeadAttention", wanted, held, place)
    return tuple(found)


def _laid_out(
    weights: Flat | Nested, class_name: str, arguments: Mapping[str, Any], found: list[Tensor], meaning: Era
) -> list[Tensor]:
    """The weights as Keras 3 has them: Keras 1 ordered the axes of kernels otherwise, and Theano turns them round."""
    first = arguments.get("data_format") == "channels_first"
    spatial = len(found[0].shape) - 2
    kernels = 2 if class_name.startswith("SeparableConv") else 1
    if "Conv" not in class_name:
        return found
    if meaning.major == 1 and class_name == "Conv1D" and len(found[0].shape) == 4:
        found[0] = _conv1d_1(found[0], arguments)
        spatial = 1
    elif meaning.major == 1 and first:
        axes = (*range(2, 2 + spatial), 1, 0)
        found[:kernels] = [
            _derived(one, lambda a: a.transpose(axes), _permuted(one.shape, axes)) for one in found[:kernels]
        ]
    if isinstance(weights, Flat) and weights.flips(found[0], meaning):
        back = (slice(None, None, -1),) * spatial
        found[:kernels] = [_derived(one, lambda a: a[back], one.shape) for one in found[:kernels]]
    return found


def _conv1d_1(kernel: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """A kernel of Keras 1's Convolution1D: `[length, 1, in, out]` or, up to 1.0, `[out, in, length, 1]`."""
    shape = kernel.shape
    size = arguments.get("kernel_size")
    if shape[:2] == (size, 1) and shape[3] == arguments.get("filters"):
        return _derived(kernel, lambda a: a[:, 0], (shape[0], *shape[2:]))
    return _derived(kernel, lambda a: a[..., 0].transpose(2, 1, 0), _permuted(shape, (2, 1, 0)))


def _permuted(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)


def _derived(tensor: Tensor, change: Callable[[Array], Array], shape: tuple[int, ...]) -> Tensor:
    """A tensor whose values are those of another, laid out anew."""
    return replace(tensor, shape=shape, read=lambda rows: np.ascontiguousarray(change(tensor.load())[rows]))


def _agree(class_name: str, arguments: Mapping[str, Any], found: Mapping[str, Tensor], place: Place) -> None:
    """Holds the shapes against the arguments, as far as these tell them.

    Raises:
        BadInput: they contradict each other.
    """
    for role, tensor in found.items():
        expected = _expected(class_name, role, arguments)
        if expected is None:
            continue
        fits = len(expected) == len(tensor.shape) and all(
            size is None or size == stored for size, stored in zip(expected, tensor.shape, strict=True)
        )
        if not fits:
            words = ", ".join("any" if size is None else str(size) for size in expected)
            raise BadInput(
                f"the configuration gives layer {str(place)!r} ({class_name}) a {role} of [{words}], "
                f"the stored one is {list(tensor.shape)}"
            )


def _expected(class_name: str, role: str, arguments: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """The shape of a weight, None where the arguments leave it open."""
    units = arguments.get("units", arguments.get("filters"))
    if class_name == "Embedding":
        return (arguments.get("input_dim"), arguments.get("output_dim"))
    if class_name == "Dense":
        return (None, units) if role == "kernel" else (units,)
    if "Conv" in class_name and not class_name.endswith("Transpose"):
        spatial = int(class_name[-2])
        size = arguments.get("kernel_size")
        sizes = tuple(size) if isinstance(size, list) else (size,) * spatial
        if role in ("kernel", "depthwise_kernel"):
            return (*sizes, None, units if role == "kernel" else arguments.get("depth_multiplier"))
        if role == "pointwise_kernel":
            return (*(1,) * spatial, None, units)
        return (units,)
    return (None,) * _RANKS[role] if role in _RANKS and class_name == "BatchNormalization" else None
