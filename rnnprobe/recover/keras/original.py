"""The recurrent layers of a Keras configuration as data for Keras 3's own classes, to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnprobe.recover.keras.arguments import arguments, taken
from rnnprobe.recover.keras.cells import CUDNN, assumed_activation, reset
from rnnprobe.recover.keras.checks import Unfit
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config
from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.recover.keras.store import KERAS_CELLS, family
from rnnprobe.types import KerasLayer, Layer

_STORED = ["kernel", "recurrent_kernel", "bias"]
_CELLS = {family(name): cell for cell in KERAS_CELLS for name in cell.classes}


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
        return KerasLayer(name, _given(name, layer, meaning), layers=layers, inner=(_cell(cell, meaning),))
    if family(name) not in _CELLS or name.removeprefix("CuDNN") not in KINDS:
        raise Unfit(f"is a {name}, which is none of the recurrent layers that are rebuilt")
    return _own(layer, meaning, layers)


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
    config = {"merge_mode": "concat", **taken("Bidirectional", layer.config, meaning)[0]}
    return KerasLayer("Bidirectional", config, layers=layers, inner=(forward, backward))


def _given(name: str, layer: LayerConfig, meaning: Era) -> dict[str, Any]:
    """The arguments that a configuration gives a class; null stands for none."""
    found, _ = taken(name, layer.config, meaning)
    return {key: value for key, value in found.items() if value is not None}


def _cell(cell: LayerConfig, meaning: Era) -> KerasLayer:
    """A cell of an `RNN`."""
    if cell.class_name == "StackedRNNCells" and not cell.foreign:
        stored = cell.config.get("cells")
        inner = [layer_config(value, "a stacked cell") for value in (stored if isinstance(stored, list) else [])]
        return KerasLayer("StackedRNNCells", {}, inner=tuple(_cell(one, meaning) for one in inner))
    if cell.foreign or not cell.class_name.endswith("Cell") or cell.class_name not in KINDS:
        raise Unfit(f"is built of {cell.class_name}, a class of its own, whose code is not in the file")
    return _own(cell, meaning)


def _own(layer: LayerConfig, meaning: Era, layers: tuple[str, ...] = ()) -> KerasLayer:
    """A layer that is its own cell, or a cell: what it is given, and what its release took for granted."""
    name = layer.class_name.removeprefix("CuDNN")
    cudnn = name != layer.class_name
    found, names = _given(name, layer, meaning), [argument.name for argument in KINDS[name].arguments]
    if "units" in names and "units" not in found:
        raise Unfit("can't be computed by Keras: its configuration does not tell its units")
    for key in ("activation", "recurrent_activation"):
        if key in names and (cudnn or key not in found):
            found[key] = CUDNN[key] if cudnn else assumed_activation(key, _CELLS[family(name)], meaning)
    if "reset_after" in names:
        found["reset_after"] = reset(cudnn, layer.config, {}, meaning).value == "after"
    return KerasLayer(name, found, layers=layers)
