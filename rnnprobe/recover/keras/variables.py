"""The stored weights of a layer that does not recur, in the order and the shape in which Keras 3's class takes them.

Files tell them by name (`kernel`, Keras 1's `W`), by attribute, or by number, which is the class's own order
(https://github.com/keras-team/keras, `legacy_h5_format.py`, `_convert_weights` of Keras 2's `saving.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.config import Era
from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.recover.keras.rules import Weight
from rnnprobe.recover.keras.store import Flat, Nested, Place
from rnnprobe.types import Array, Tensor


def variables(
    weights: Flat | Nested, class_name: str, arguments: Mapping[str, Any], place: Place, meaning: Era, alias: str = ""
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
    kind = KINDS[class_name]
    wanted = [weight for weight in kind.weights if weight.held(arguments)]
    found: list[Tensor] = []
    for names in kind.parts if wanted else ():
        held = weights.variables(place, names, alias)
        if not held:
            return "has no weights in the file" + (f" for its {names[0]}" if names else "")
        part = _in_order(class_name, wanted, held, place)
        part = _laid_out(weights, class_name, arguments, part, meaning)
        _agree(class_name, arguments, zip(wanted, part, strict=True), place)
        found += part
    return tuple(found)


def _in_order(class_name: str, wanted: Sequence[Weight], held: Mapping[str, Tensor], place: Place) -> list[Tensor]:
    numbered = all(leaf.isdecimal() for leaf in held)
    left = dict(held)
    found = []
    for k, weight in enumerate(wanted):
        names = (str(k),) if numbered else (weight.role, *weight.older)
        leaf = next((name for name in names if name in left), None)
        if leaf is not None:
            found.append(left.pop(leaf))
    if left.keys() - KINDS[class_name].unread or len(found) != len(wanted):
        stored = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in held.values())
        raise BadInput(
            f"the configuration says that layer {str(place)!r} is a {class_name} with "
            f"{', '.join(weight.role for weight in wanted)}; stored for it are {stored}"
        )
    return found


def _laid_out(
    weights: Flat | Nested, class_name: str, arguments: Mapping[str, Any], found: list[Tensor], meaning: Era
) -> list[Tensor]:
    """The weights as Keras 3 has them: Keras 1 ordered the axes of kernels otherwise, and Theano turns them round."""
    first = arguments.get("data_format") == "channels_first"
    spatial = KINDS[class_name].axes
    if not spatial:
        return found
    if meaning.major == 1 and class_name == "Conv1D" and len(found[0].shape) == 4:
        found[0] = _conv1d_1(found[0], arguments)
        first = False
    # What has other ranks than a kernel is a bias, or told as a contradiction.
    kernels = sum(len(one.shape) == spatial + 2 for one in found)
    if meaning.major == 1 and first:
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


def _agree(class_name: str, arguments: Mapping[str, Any], found: Iterable[tuple[Weight, Tensor]], place: Place) -> None:
    """Holds the shapes against the arguments, as far as these tell them.

    Raises:
        BadInput: they contradict each other.
    """
    for weight, tensor in found:
        expected = tensor.shape if weight.shape is None else weight.shape(arguments)
        fits = len(expected) == len(tensor.shape) and all(
            size is None or size == stored for size, stored in zip(expected, tensor.shape, strict=True)
        )
        if not fits:
            words = ", ".join("any" if size is None else str(size) for size in expected)
            raise BadInput(
                f"the configuration gives layer {str(place)!r} ({class_name}) a {weight.role} of [{words}], "
                f"the stored one is {list(tensor.shape)}"
            )
