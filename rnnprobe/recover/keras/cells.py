"""A recurrent layer of Keras from its configuration and tensors: cell, sizes, and options with their evidence."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from rnnprobe.cells.activations import ALONG_UNITS
from rnnprobe.cells.layers import defaults, space_axes
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.config import Era, activation, mapped
from rnnprobe.recover.keras.others import Other
from rnnprobe.recover.keras.store import CellWeights, family, fitting, matches
from rnnprobe.types import Candidate, Cell, Direction, Evidence, Feed, Layer, OptionValue, Value

_UNITS = ("units", "output_dim", "filters", "nb_filter")
# Options of convolutions → their keys since Keras 2, and in Keras 1.
_SPATIAL = {
    "strides": ("strides", "subsample"),
    "padding": ("padding", "border_mode"),
    "dilation_rate": ("dilation_rate",),
    "data_format": ("data_format", "dim_ordering"),
}
_FORMATS = {"tf": "channels_last"}
CUDNN = {"activation": "tanh", "recurrent_activation": "sigmoid"}
"""The activations of the CuDNN layers, which have no others."""


def layer(
    name: str,
    class_name: str,
    config: Mapping[str, Any],
    held: CellWeights,
    meaning: Era,
    direction: Direction,
    feed: Feed,
    other: Other | None = None,
) -> Layer | Candidate:
    """The layer, or why it can't be rebuilt. `other`: what it is, where it is none of Keras's own.

    Raises:
        BadInput: the configuration and the shapes contradict each other.
    """
    if config.get("dim_ordering") == "th" and family(class_name).startswith("ConvLSTM"):
        # Theano turned kernels before it moved them over the input; TensorFlow, which read such files too, did not.
        reason = "its kernels are in Theano's order (dim_ordering th), and nothing tells which way round they are meant"
        return Candidate(held.scope, ("keras1_conv_lstm_2d",), f"layer {name!r} can't be rebuilt: {reason}")
    found = matches(held, class_name) if other is None else fitting(other.cell, held)
    shapes = ", ".join(f"{leaf} {list(tensor.shape)}" for leaf, tensor in held.tensors.items())
    if not found:
        raise BadInput(f"the configuration says that layer {name!r} is a {class_name}, whose shapes {shapes} are not")
    cell, weights, sizes = found[0]
    _agree(name, config, sizes, shapes)
    known, problem = (
        _options(cell, class_name, config, held, meaning) if other is None else other.options(config, meaning)
    )
    if not problem and cell.space is not None:
        spatial, problem = _spatial(cell, config, known)
        known |= spatial
    if problem:
        return Candidate(held.scope, (cell.name,), f"layer {name!r} can't be rebuilt: {problem}")
    known["residual"] = Value(False, "config")
    return Layer(name, held.scope, cell, weights, sizes, defaults(cell, known), direction, feed)


def _agree(name: str, config: Mapping[str, Any], sizes: Mapping[str, int], shapes: str) -> None:
    """Holds what the configuration says of sizes against the shapes."""
    units = next((config[key] for key in _UNITS if key in config), None)
    if isinstance(units, int | float) and units != sizes["units"]:
        raise BadInput(
            f"the configuration gives layer {name!r} {units} units, its weights ({shapes}) are of {sizes['units']}"
        )
    extent = tuple(size for key, size in sizes.items() if key.startswith("kernel_"))
    told = config.get("kernel_size") or [config[key] for key in ("nb_row", "nb_col") if key in config]
    if extent and told and _numbers(told, len(extent)) != extent:
        raise BadInput(
            f"the configuration gives layer {name!r} a kernel_size of {told}, "
            f"its weights ({shapes}) have {list(extent)}"
        )
    declared = _input_size(config, len(extent))
    if declared is not None and declared != sizes["input_size"]:
        raise BadInput(
            f"the configuration feeds layer {name!r} {declared} features, "
            f"its weights ({shapes}) take {sizes['input_size']}"
        )


def _input_size(config: Mapping[str, Any], axes: int) -> int | None:
    shape = mapped(config.get("build_config")).get("input_shape")
    place = axes + 1 if _first(config) else 1
    size = shape[-place] if isinstance(shape, list) and len(shape) >= place else config.get("input_dim")
    return size if type(size) is int else None


def _first(config: Mapping[str, Any]) -> bool:
    """Whether the channels of a convolutional layer stand before the axes of space."""
    return config.get("data_format") == "channels_first"


def _numbers(value: Any, axes: int) -> tuple[int, ...] | None:
    """A number for each axis of space, where the configuration has such a thing."""
    numbers = value if isinstance(value, list | tuple) else [value] * axes
    good = len(numbers) == axes and all(type(number) is int and number > 0 for number in numbers)
    return tuple(numbers) if good else None


def _spatial(cell: Cell, config: Mapping[str, Any], known: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
    """The options of a convolutional layer's place in space, and what stands against rebuilding it."""
    found: dict[str, Value] = {}
    for option in cell.options:
        key = next((key for key in _SPATIAL.get(option.name, ()) if config.get(key) is not None), "")
        if not key:
            continue
        stored = config[key]
        value: OptionValue = None
        if option.choices:
            word = _FORMATS.get(stored, stored) if isinstance(stored, str) else None
            value = word if word in option.choices else None
        else:
            value = _numbers(stored, space_axes(cell))
        if value is None:
            expected = ", ".join(option.choices) if option.choices else f"{space_axes(cell)} positive numbers"
            return {}, f"its {key} is {stored!r}, expected {expected}"
        found[option.name] = Value(value, "config")
    if _first(config):
        together = [known[o].value for o in ("activation", "recurrent_activation") if known[o].value in ALONG_UNITS]
        if together:
            return {}, f"its activation is {together[0]}, which Keras takes along the last axis of space, not the units"
    return found, ""


def _options(
    cell: Cell, class_name: str, config: Mapping[str, Any], held: CellWeights, meaning: Era
) -> tuple[dict[str, Value], str]:
    """What is known of the options, and what stands against rebuilding the layer."""
    known: dict[str, Value] = {}
    cudnn = class_name.startswith("CuDNN")
    given = {"activation": "activation", "recurrent_activation": "recurrent_activation"}
    if "inner_activation" in config:  # Keras 1
        given["recurrent_activation"] = "inner_activation"
    for option in cell.options:
        key = given.get(option.name, "")
        if not key:
            continue
        evidence: Evidence
        if cudnn:
            name, evidence = CUDNN[option.name], "cell"
        elif key in config:
            name, problem = activation(config[key], meaning)
            evidence = "config"
            if problem:
                return {}, problem
        else:
            name, evidence = assumed_activation(option.name, cell, meaning), "assumed"
        if len(option.choices) == 1 and name != option.choices[0]:
            return {}, f"its weights are laid out for cuDNN, with {option.choices[0]}, its configuration says {name}"
        if len(option.choices) > 1:
            known[option.name] = Value(name, evidence)
    if any(option.name == "reset" and len(option.choices) > 1 for option in cell.options):
        known["reset"] = reset(cudnn, config, held.tensors, meaning)
    stored_after = cell.name in ("keras_gru_reset_after", "keras_cudnn_gru")
    if family(class_name) == "GRU" and config.get("reset_after") is False and stored_after:
        return {}, "its configuration says reset_after=False, and its biases are those of reset_after=True"
    if known.get("reset") == Value("before", "weights") and config.get("reset_after") is True:
        return {}, "its configuration says reset_after=True, and its biases are those of reset_after=False"
    return known, ""


def reset(cudnn: bool, config: Mapping[str, Any], stored: Container[str], meaning: Era) -> Value:
    """Where GRU's reset gate acts, as the names of the stored weights or the configuration tell it."""
    if "bias" in stored or "b" in stored:
        return Value("before", "weights")  # after the product, there would be a second row of biases
    if cudnn:
        return Value("after", "cell")
    if isinstance(config.get("reset_after"), bool):
        return Value("after" if config["reset_after"] else "before", "config")
    # The configuration of a release without the argument does not name it.
    return Value("before", "config") if "units" in config or "output_dim" in config else Value(meaning.reset, "assumed")


def assumed_activation(option: str, cell: Cell, meaning: Era) -> str:
    """An activation's default in a release."""
    if option == "activation":
        return "tanh"
    # When the others went over to sigmoid, convolutional layers did not, until Keras 3.
    return "hard_sigmoid" if cell.space is not None and meaning.major < 3 else meaning.recurrent_activation


def assumed(cell: Cell, held: CellWeights, meaning: Era) -> dict[str, Value]:
    """The options of a layer without a configuration, as its era had them."""
    known = {
        option.name: Value(assumed_activation(option.name, cell, meaning), "assumed")
        for option in cell.options
        if option.name in ("activation", "recurrent_activation") and len(option.choices) > 1
    }
    if any(option.name == "reset" and len(option.choices) > 1 for option in cell.options):
        known["reset"] = reset(False, {}, held.tensors, meaning)
    return known
