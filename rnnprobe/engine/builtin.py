"""Keras's own built-in layers, made from plain data.

A class is looked up by a word of `rnnprobe.recover.keras.kinds.KINDS` and by nothing else, and it takes the arguments
that stand there, all of them numbers, words and lists. What a file says therefore chooses among known constructors; it
names no class, no module and no function of its own, and no name of it becomes one of Keras's.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.engine.keras_classes import ThresholdedReLU, activation, keras
from rnnprobe.errors import BadInput, OutOfResources
from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.types import Array, KerasLayer, Tensor

_ACTIVATIONS = ("activation", "recurrent_activation")


class Nested(keras.layers.Layer):  # type: ignore[misc]
    """A model in a model: its calls one after the other.

    Attributes:
        members: built layers by the `id` of their `KerasLayer`; a shared one is there once.
    """

    def __init__(self, layer: KerasLayer, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.supports_masking = True
        self.source = layer
        made = {id(call.layer): (call.layer, build(call.layer, dtype)) for call in layer.calls}
        self.members = [member for _, member in made.values()]
        self._by_id = {key: member for key, (_, member) in made.items()}
        self.sources = [source for source, _ in made.values()]

    def build(self, input_shape: Any) -> None:
        self.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        given = inputs if isinstance(inputs, list | tuple) else [inputs]
        known: dict[str, Any] = dict(zip(self.source.inputs, ([one] for one in given), strict=True))
        for call in self.source.calls:
            found = [known[name][number] for name, number in call.inputs]
            initial = [known[name][number] for name, number in call.initial]
            known[call.name] = outputs(invoke(call.layer, self._by_id[id(call.layer)], found, initial))
        results = [known[name][number] for name, number in self.source.results]
        return results[0] if len(results) == 1 else results

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """What the layers in it made of the masks; Keras has set it on the results already."""
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        several = isinstance(input_shape, list) or (input_shape and isinstance(input_shape[0], list | tuple))
        shapes = list(input_shape) if several else [input_shape]
        results = self.call([keras.KerasTensor(tuple(shape), self.compute_dtype) for shape in shapes])
        found = [tuple(result.shape) for result in outputs(results)]
        return found[0] if len(found) == 1 else found


def build(layer: KerasLayer, dtype: str) -> Any:
    """A genuine Keras layer, without its weights, which are set once it is built (`load`).

    Args:
        layer: what to make.
        dtype: `float32` or `float64`, of its weights and of what it computes.

    Raises:
        BadInput: a class or an argument that is not on the list, or a value that Keras does not take.
    """
    _admit(layer)
    name = layer.class_name
    if name == "Model":
        return Nested(layer, dtype)
    made: Any = ThresholdedReLU if name == "ThresholdedReLU" else getattr(keras.layers, name, None)
    if made is None:
        raise BadInput(f"Keras {keras.__version__} has no {name}", hint="a newer Keras has it")
    arguments = _arguments(layer, made)
    try:
        return _construct(layer, name, made, arguments, dtype)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, ZeroDivisionError) as exc:
        raise BadInput(f"Keras makes no {name} of {dict(layer.config)}: {_first_line(exc)}") from exc


def _admit(layer: KerasLayer) -> None:
    """The one check of names at this door, whoever made the layer: no other word reaches Keras.

    Raises:
        BadInput: its class, or one of its arguments, is not in `KINDS`.
    """
    name = layer.class_name
    if name not in KINDS:
        raise BadInput(f"{name!r} is none of the Keras layers that are rebuilt; expected one of {', '.join(KINDS)}")
    allowed = [argument.name for argument in KINDS[name].arguments]
    for key in layer.config:
        if key not in allowed:
            taken = ", ".join(allowed) or "none"
            raise BadInput(f"{name} is given {key!r}; of its arguments these are taken: {taken}")


def _arguments(layer: KerasLayer, made: Any) -> dict[str, Any]:
    """The arguments for the constructor; activations not among those of recurrent layers (`_activate`)."""
    name = layer.class_name
    arguments = {key: _plain(name, key, value) for key, value in layer.config.items()}
    if KINDS[name].recurrent:
        arguments = {key: value for key, value in arguments.items() if key not in _ACTIVATIONS}
    elif "activation" in arguments:
        arguments["activation"] = activation(arguments["activation"])
    taken = inspect.signature(made.__init__).parameters
    # Keras's own default is in a file of the user's that has nothing to do with the model.
    if "data_format" in taken and arguments.get("data_format") is None:
        arguments["data_format"] = "channels_last"
    # The values come from the file; drawing random ones first would be slow for nothing.
    arguments.update({key: "zeros" for key in taken if key.endswith("_initializer")})
    if "use_cudnn" in taken:
        arguments["use_cudnn"] = False
    return arguments


def _construct(layer: KerasLayer, name: str, made: Any, arguments: dict[str, Any], dtype: str) -> Any:
    if name == "Bidirectional":
        return _bidirectional(layer, arguments, dtype)
    inner = [build(one, dtype) for one in layer.inner]
    if name == "StackedRNNCells":
        return made(inner, dtype=dtype)
    if name == "RNN":
        cell = inner[0] if len(inner) == 1 else keras.layers.StackedRNNCells(inner, dtype=dtype)
        return made(cell, **arguments, dtype=dtype)
    if name == "TimeDistributed":
        return made(inner[0], dtype=dtype)
    return _activate(layer, made(**arguments, dtype=dtype))


def _bidirectional(layer: KerasLayer, arguments: dict[str, Any], dtype: str) -> Any:
    """Both directions; where the backward one is not given, it is the forward one turned round.

    Keras copies the forward layer through its configuration, which can't hold functions, so that the activations are
    set afterwards.
    """
    forward = layer.inner[0]
    turned = {**forward.config, "go_backwards": not forward.config.get("go_backwards", False)}
    backward = layer.inner[1] if len(layer.inner) > 1 else replace(forward, config=turned)
    ways = [build(_inactive(one), dtype) for one in (forward, backward)]
    made = keras.layers.Bidirectional(ways[0], backward_layer=ways[1], **arguments, dtype=dtype)
    _reactivate(forward, made.forward_layer)
    _reactivate(backward, made.backward_layer)
    return made


def _inactive(layer: KerasLayer) -> KerasLayer:
    """A recurrent layer, and the cells in it, with the activations that Keras gives them by itself."""
    config = {key: value for key, value in layer.config.items() if key not in _ACTIVATIONS}
    return replace(layer, config=config, inner=tuple(_inactive(one) for one in layer.inner))


def _reactivate(layer: KerasLayer, made: Any) -> None:
    """Sets the activations of a recurrent layer and of the cells in it."""
    _activate(layer, made)
    for source, cell in zip(_cells(layer), cells_of(made), strict=False):
        _activate(source, cell)


def _cells(layer: KerasLayer) -> Iterator[KerasLayer]:
    for one in layer.inner:
        yield from _cells(one) if one.class_name == "StackedRNNCells" else (one,)


def cells_of(made: Any) -> list[Any]:
    """The cells of a recurrent layer that runs one way, in order."""
    return list(getattr(made.cell, "cells", [made.cell]))


def _activate(layer: KerasLayer, made: Any) -> Any:
    """`made`, the activations of its cell set to the functions that the words in `layer` mean."""
    if KINDS[layer.class_name].recurrent:
        cell = getattr(made, "cell", made)
        for key in _ACTIVATIONS:
            if key in layer.config:
                setattr(cell, key, activation(layer.config[key]))
    return made


def _plain(name: str, key: str, value: Any) -> Any:
    """The value, numbers and words alone; lists as tuples, which every Keras layer takes.

    Raises:
        BadInput: it is anything else.
    """
    if isinstance(value, list | tuple):
        return tuple(_plain(name, key, one) for one in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise BadInput(f"{name} is given {key} = {value!r}; expected numbers, words and lists of them")


def load(layer: KerasLayer, made: Any) -> None:
    """Sets the weights of a built layer, and of those in it, to the stored ones.

    Raises:
        BadInput: other weights than Keras asks for; the bytes are damaged.
    """
    if isinstance(made, Nested):
        for source, member in zip(made.sources, made.members, strict=True):
            load(source, member)
        return
    if layer.inner and not layer.weights:
        for source, member in zip(layer.inner, inside(made), strict=True):
            load(source, member)
        return
    set_weights(layer.class_name, made, [_values(tensor) for tensor in layer.weights])


def inside(made: Any) -> list[Any]:
    """The layers that a wrapper wraps, in the order of `KerasLayer.inner`."""
    for name in ("forward_layer", "cells", "cell", "layer"):
        if hasattr(made, name):
            found = getattr(made, name)
            if name == "forward_layer":
                return [found, made.backward_layer]
            return list(found) if name == "cells" else [found]
    return []


def _values(tensor: Tensor) -> Array:
    values: Array = np.asarray(tensor.load())
    return values


def set_weights(name: str, made: Any, arrays: Sequence[Array]) -> None:
    """Gives a built layer its weights; axes of one element may be more or fewer (Keras 1's convolutions).

    Raises:
        BadInput: their number or a shape is not what Keras asks for.
    """
    wanted = [tuple(weight.shape) for weight in made.weights]
    if name == "Normalization":  # behind mean and variance some releases have how many samples it saw
        arrays = [*arrays[:2], *(np.zeros(shape) for shape in wanted[2:])]
    found = [array.shape for array in arrays]
    if len(found) != len(wanted) or any(_bare(a) != _bare(b) for a, b in zip(found, wanted, strict=True)):
        raise BadInput(
            f"{name} has weights of other shapes than Keras asks for; expected "
            f"{[list(shape) for shape in wanted]}, found {[list(shape) for shape in found]}"
        )
    made.set_weights([array.reshape(shape) for array, shape in zip(arrays, wanted, strict=True)])
    if name == "Normalization":
        made.finalize_state()


def _bare(shape: Sequence[int]) -> list[int]:
    return [extent for extent in shape if extent != 1]


def invoke(layer: KerasLayer, made: Any, inputs: Sequence[Any], initial: Sequence[Any] = ()) -> Any:
    """Calls a Keras layer for inference with as many inputs as its class takes, the way it takes them."""
    options: dict[str, Any] = {"initial_state": list(initial)} if initial else {}
    if layer.class_name == "MultiHeadAttention":
        return made(*inputs, training=False)
    return made(inputs[0] if len(inputs) == 1 else list(inputs), training=False, **options)


def outputs(result: Any) -> list[Any]:
    """What a layer returned, as a list of tensors."""
    return list(keras.tree.flatten(result))


@contextmanager
def plainly(name: str) -> Iterator[None]:
    """Runs Keras code: its errors become ours, and it does not say that a mask ends here.

    Raises:
        BadInput: Keras does not take the shapes or values.
        OutOfResources: what it asks for does not fit the memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Layer '.*was passed an input with a mask")
            yield
    except tf.errors.ResourceExhaustedError as exc:
        raise OutOfResources(f"Keras's {name} asks for more memory than there is: {_first_line(exc)}") from exc
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as exc:
        raise BadInput(f"Keras's {name} can't run on this: {_first_line(exc)}") from exc


def _first_line(exc: Exception) -> str:
    # Keras paints its messages for a terminal and puts a line about itself above them.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(exc))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Exception encountered")), type(exc).__name__)


class Runner:
    """A layer of Keras's own, made at the first use, with its weights, for inference.

    Args:
        layer: what to run.
        dtype: `float32` or `float64`.

    Attributes:
        made: the Keras layer.

    Raises:
        BadInput: as `build`.
    """

    def __init__(self, layer: KerasLayer, dtype: str) -> None:
        self._layer = layer
        self._dtype = dtype
        self.made = build(layer, dtype)
        self._ready = False

    def __call__(self, inputs: Sequence[Any], mask: Any = None) -> list[Any]:
        """Its outputs for these inputs.

        Args:
            inputs: tensors or arrays `[batch, …]`, in order. Eager ones, or those of a `tf.function`; there, call
                `output_shapes` once before.
            mask: `[batch, time]` bool, the steps that count, for the first input; or a list, one or None for each.
                A class that takes no mask does not see it.

        Raises:
            BadInput: Keras does not take these shapes, or asks for other weights.
        """
        tensors = [tf.convert_to_tensor(one) for one in inputs]
        if not self._ready:
            self.output_shapes([tuple(one.shape) for one in tensors])
        masks = mask if isinstance(mask, list | tuple) else [mask]
        if takes_mask(self.made):
            tensors = [tf.identity(one) for one in tensors]
            for tensor, one in zip(tensors, masks, strict=False):
                if one is not None:
                    tensor._keras_mask = tf.cast(one, tf.bool)
        with plainly(self._layer.class_name):
            return outputs(invoke(self._layer, self.made, tensors))

    def output_shapes(self, inputs: Sequence[tuple[int | None, ...]]) -> list[tuple[int | None, ...]]:
        """The shapes of its outputs for inputs of these shapes, all with the axis of the batch.

        Raises:
            BadInput: Keras does not take these shapes, or asks for other weights.
        """
        with plainly(self._layer.class_name), tf.init_scope():
            given = [keras.KerasTensor(tuple(shape), self._dtype) for shape in inputs]
            results = outputs(invoke(self._layer, self.made, given))
        if not self._ready:
            with tf.init_scope():
                load(self._layer, self.made)
            self._ready = True
        shapes = [tuple(result.shape) for result in results]
        sized = None not in {size for shape in inputs for size in shape[1:]}
        if sized and None in {size for shape in shapes for size in shape[1:]}:
            # EinsumDense gives an open axis out as open, whatever it is given.
            with plainly(self._layer.class_name), tf.init_scope():
                zeros = [tf.zeros((1, *shape[1:]), self._dtype) for shape in inputs]
                found = outputs(invoke(self._layer, self.made, zeros))
            shapes = [(shape[0], *one.shape[1:]) for shape, one in zip(shapes, found, strict=True)]
        return shapes


def takes_mask(made: Any) -> bool:
    """Whether a layer looks at the mask of its input."""
    if isinstance(made, Nested):
        return any(takes_mask(member) for member in made.members)
    return any(word.endswith("mask") for word in inspect.signature(made.call).parameters)
