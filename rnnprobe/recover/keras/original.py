"""The recurrent layers of a Keras configuration as data for Keras 3's own classes, to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnprobe.recover.keras.arguments import KINDS, Unfit, arguments, flag, function, whole
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config
from rnnprobe.recover.keras.store import FAMILIES, family
from rnnprobe.types import KerasLayer, Layer

_STORED = ["kernel", "recurrent_kernel", "bias"]
_RUN = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
_ACTIVATIONS = {"activation": ("activation",), "recurrent_activation": ("recurrent_activation", "inner_activation")}
_OLD_CONVOLUTION = ("nb_filter", "nb_row", "nb_col", "border_mode", "subsample", "dim_ordering")


def recurrent(layer: LayerConfig, meaning: Era, layers: tuple[str, ...]) -> KerasLayer | str:
    """A recurrent layer, a wrapper of one, or `Masking`, for Keras 3 to compute; or why not.

    Dropout is left out and nothing is stateful. Keras 3 computes differently from earlier releases (cells.md, section
    9.5): what `Bidirectional` wraps passes on zeros at masked steps, which up to Keras 2.3 and in tf.keras up to 1.12
    repeated the last output; a sum of masked and unmasked inputs is unmasked; CuDNN layers, which are LSTM and GRU
    here, refused masks and now skip the masked steps.

    Args:
        layer: as the configuration has it.
        meaning: the release that wrote it.
        layers: the layers of the network that hold its weights, forward ones first.
    """
    try:
        return _wrapped(layer, meaning, layers)
    except Unfit as exc:
        return str(exc)


def with_weights(layer: KerasLayer, layers: Sequence[Layer]) -> KerasLayer | str:
    """A recurrent layer that holds the weights of the network's layers itself, as a transform does; or why not.

    Args:
        layer: as `recurrent` returned it.
        layers: the layers of the network that it names.
    """
    if layer.class_name in ("TimeDistributed", "Bidirectional"):
        inner = [with_weights(one, layers) for one in layer.inner]
        problem = next((one for one in inner if isinstance(one, str)), None)
        return problem or replace(layer, layers=(), inner=tuple(one for one in inner if isinstance(one, KerasLayer)))
    own = [one for one in layers if one.name in layer.layers]
    strange = next((one for one in own if list(one.weights) != _STORED[: len(one.weights)]), None)
    if strange is not None or any(part.cudnn for one in own for weight in one.cell.weights for part in weight.parts):
        return "is stored in a layout that is not rebuilt there"
    return replace(layer, layers=(), weights=tuple(tensor for one in own for tensor in one.weights.values()))


def _wrapped(layer: LayerConfig, meaning: Era, layers: tuple[str, ...]) -> KerasLayer:
    name = layer.class_name
    if layer.foreign:
        raise Unfit(f"is a {name}, a class of its own, whose code is not in the file")
    if name in ("Masking", "Embedding"):
        return KerasLayer(name, arguments(name, layer.config, meaning))
    if name == "TimeDistributed":
        inner = layer_config(layer.config.get("layer"), f"the layer in {layer.name}")
        return KerasLayer(name, {}, layers=layers, inner=(_wrapped(inner, meaning, layers),))
    if name == "Bidirectional":
        return _bidirectional(layer, meaning, layers)
    if name == "RNN":
        cell = layer_config(layer.config.get("cell"), f"the cell of {layer.name}")
        return KerasLayer(name, _run(layer.config, meaning), layers=layers, inner=(_cell(cell, meaning),))
    if family(name) not in FAMILIES:
        raise Unfit(f"is a {name}, which is none of the recurrent layers that are rebuilt")
    return KerasLayer(
        name.removeprefix("CuDNN"), {**_own(layer, meaning), **_run(layer.config, meaning)}, layers=layers
    )


def _bidirectional(layer: LayerConfig, meaning: Era, layers: tuple[str, ...]) -> KerasLayer:
    """Both directions: the backward one is turned where it is not given."""
    inner = layer_config(layer.config.get("layer"), f"the layer in {layer.name}")
    stored = layer.config.get("backward_layer")
    other = layer_config(stored, f"the backward layer in {layer.name}") if isinstance(stored, Mapping) else inner
    half = len(layers) // 2
    forward = _wrapped(inner, meaning, layers[:half])
    backward = _wrapped(other, meaning, layers[half:])
    turned = forward.config.get("go_backwards") is not True
    backward = KerasLayer(
        backward.class_name, {**backward.config, "go_backwards": turned}, layers=layers[half:], inner=backward.inner
    )
    mode = layer.config.get("merge_mode", "concat")
    if mode not in ("concat", "sum", "mul", "ave", None):
        raise Unfit(f"can't be rebuilt: its merge_mode is {mode!r}")
    return KerasLayer("Bidirectional", {"merge_mode": mode}, layers=layers, inner=(forward, backward))


def _run(config: Mapping[str, Any], meaning: Era) -> dict[str, bool]:
    return {key: flag(config[key], meaning) for key in _RUN if config.get(key) is not None}


def _cell(cell: LayerConfig, meaning: Era) -> KerasLayer:
    """A cell of an `RNN`."""
    if cell.class_name == "StackedRNNCells" and not cell.foreign:
        stored = cell.config.get("cells")
        inner = [layer_config(value, "a stacked cell") for value in (stored if isinstance(stored, list) else [])]
        return KerasLayer("StackedRNNCells", {}, inner=tuple(_cell(one, meaning) for one in inner))
    if cell.foreign or not cell.class_name.endswith("Cell") or family(cell.class_name) not in FAMILIES:
        raise Unfit(f"is built of {cell.class_name}, a class of its own, whose code is not in the file")
    return KerasLayer(cell.class_name, _own(cell, meaning))


def _own(layer: LayerConfig, meaning: Era) -> dict[str, Any]:
    """The arguments of a cell, whether it stands in its layer or by itself."""
    config, kind = layer.config, family(layer.class_name)
    found: dict[str, Any] = {}
    for name, keys in _ACTIVATIONS.items():
        key = next((key for key in keys if key in config), None)
        if kind == "SimpleRNN" and name != "activation":
            continue
        if layer.class_name.startswith("CuDNN"):
            found[name] = "tanh" if name == "activation" else "sigmoid"
        else:
            found[name] = function(config[key], meaning) if key is not None else _assumed(name, kind, meaning)
    found |= _convolution(config, kind, meaning) if kind.startswith("Conv") else {"units": _units(config, meaning)}
    if isinstance(config.get("use_bias"), bool):
        found["use_bias"] = config["use_bias"]
    if kind == "GRU":
        after = config.get("reset_after")
        told = "units" in config or "output_dim" in config
        found["reset_after"] = layer.class_name.startswith("CuDNN") or (
            after if isinstance(after, bool) else not told and meaning.reset == "after"
        )
    return found


def _assumed(name: str, kind: str, meaning: Era) -> str:
    """An activation's default; when the others went over to sigmoid, convolutional layers did not, until Keras 3."""
    if name == "activation":
        return "tanh"
    return "hard_sigmoid" if kind.startswith("Conv") and meaning.major < 3 else meaning.recurrent_activation


def _units(config: Mapping[str, Any], meaning: Era) -> int:
    key = next((key for key in ("units", "output_dim") if key in config), None)
    if key is None:
        raise Unfit("can't be computed by Keras: its configuration does not tell its units")
    return whole(config[key], meaning)


def _convolution(config: Mapping[str, Any], kind: str, meaning: Era) -> dict[str, Any]:
    """The arguments of the convolutions in a ConvLSTM."""
    keys = {argument.name for argument in KINDS["Conv2D"].arguments} - {"groups", "activation", "use_bias"}
    kept = {key: value for key, value in config.items() if key in keys or key in _OLD_CONVOLUTION}
    return arguments(f"Conv{kind[-2]}D", kept, meaning)
