"""A recurrent layer of Keras from its configuration and tensors: cell, sizes, and options with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.layers import defaults
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.config import Era, activation, mapped
from rnnprobe.recover.keras.store import CellWeights, family, matches
from rnnprobe.types import Candidate, Cell, Direction, Evidence, Feed, Layer, Value

_UNITS = ("units", "output_dim")


def layer(
    name: str,
    class_name: str,
    config: Mapping[str, Any],
    held: CellWeights,
    meaning: Era,
    direction: Direction,
    feed: Feed,
) -> Layer | Candidate:
    """The layer, or why it can't be rebuilt.

    Raises:
        BadInput: the configuration and the shapes contradict each other.
    """
    fitting = matches(held, class_name)
    shapes = ", ".join(f"{leaf} {list(tensor.shape)}" for leaf, tensor in held.tensors.items())
    if not fitting:
        raise BadInput(f"the configuration says that layer {name!r} is a {class_name}, whose shapes {shapes} are not")
    cell, weights, sizes = fitting[0]
    _agree(name, config, sizes, shapes)
    known, problem = _options(cell, class_name, config, held, meaning)
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
    declared = _input_size(config)
    if declared is not None and declared != sizes["input_size"]:
        raise BadInput(
            f"the configuration feeds layer {name!r} {declared} features, "
            f"its weights ({shapes}) take {sizes['input_size']}"
        )


def _input_size(config: Mapping[str, Any]) -> int | None:
    shape = mapped(config.get("build_config")).get("input_shape")
    last = shape[-1] if isinstance(shape, list) and shape else config.get("input_dim")
    return last if type(last) is int else None


def _options(
    cell: Cell, class_name: str, config: Mapping[str, Any], held: CellWeights, meaning: Era
) -> tuple[dict[str, Value], str]:
    """What is known of the options, and what stands against rebuilding the layer."""
    known: dict[str, Value] = {}
    cudnn = class_name.startswith("CuDNN")
    fixed = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    given = {"activation": "activation", "recurrent_activation": "recurrent_activation"}
    if "inner_activation" in config:  # Keras 1
        given["recurrent_activation"] = "inner_activation"
    for option in cell.options:
        key = given.get(option.name, "")
        if not key:
            continue
        evidence: Evidence
        if cudnn:
            name, evidence = fixed[option.name], "cell"
        elif key in config:
            name, problem = activation(config[key], meaning)
            evidence = "config"
            if problem:
                return {}, problem
        else:
            name, evidence = assumed_activation(option.name, meaning), "assumed"
        if len(option.choices) == 1 and name != option.choices[0]:
            return {}, f"its weights are laid out for cuDNN, with {option.choices[0]}, its configuration says {name}"
        if len(option.choices) > 1:
            known[option.name] = Value(name, evidence)
    if any(option.name == "reset" and len(option.choices) > 1 for option in cell.options):
        known["reset"] = _reset(cudnn, config, held, meaning)
    stored_after = cell.name in ("keras_gru_reset_after", "keras_cudnn_gru")
    if family(class_name) == "GRU" and config.get("reset_after") is False and stored_after:
        return {}, "its configuration says reset_after=False, and its biases are those of reset_after=True"
    if known.get("reset") == Value("before", "weights") and config.get("reset_after") is True:
        return {}, "its configuration says reset_after=True, and its biases are those of reset_after=False"
    return known, ""


def _reset(cudnn: bool, config: Mapping[str, Any], held: CellWeights, meaning: Era) -> Value:
    if "bias" in held.tensors or "b" in held.tensors:
        return Value("before", "weights")  # after the product, there would be a second row of biases
    if cudnn:
        return Value("after", "cell")
    if isinstance(config.get("reset_after"), bool):
        return Value("after" if config["reset_after"] else "before", "config")
    # The configuration of a release without the argument does not name it.
    return Value("before", "config") if "units" in config or "output_dim" in config else Value(meaning.reset, "assumed")


def assumed_activation(option: str, meaning: Era) -> str:
    """An activation's default in a release."""
    return "tanh" if option == "activation" else meaning.recurrent_activation


def assumed(cell: Cell, held: CellWeights, meaning: Era) -> dict[str, Value]:
    """The options of a layer without a configuration, as its era had them."""
    known = {
        option.name: Value(assumed_activation(option.name, meaning), "assumed")
        for option in cell.options
        if option.name in ("activation", "recurrent_activation") and len(option.choices) > 1
    }
    if any(option.name == "reset" and len(option.choices) > 1 for option in cell.options):
        known["reset"] = _reset(False, {}, held, meaning)
    return known
