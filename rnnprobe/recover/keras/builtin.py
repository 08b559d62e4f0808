"""The layers of a Keras configuration as data for Keras 3's own classes: an allow-list, whoever wrote the file.

Nothing of the file is executed and nothing it names is looked up: a class is on the list of
`rnnprobe.recover.keras.kinds`, or the layer is left out with a reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats.keras_names import counted
from rnnprobe.recover.keras.arguments import arguments
from rnnprobe.recover.keras.checks import Unfit
from rnnprobe.recover.keras.config import (
    MODELS,
    Call,
    Era,
    LayerConfig,
    Ref,
    first_calls,
    layer_config,
    layers_of,
    references,
    results,
)
from rnnprobe.recover.keras.kinds import KINDS, MERGES, NOTHING, renamed
from rnnprobe.recover.keras.store import Flat, Nested, Place
from rnnprobe.recover.keras.variables import variables
from rnnprobe.types import KerasCall, KerasLayer

# Layers that other layers are given as their activation.
_ACTIVATING = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})
_MODES = {**MERGES, "max": "Maximum", "dot": "Dot"}


def builtin(weights: Flat | Nested, layer: LayerConfig, place: Place, meaning: Era) -> KerasLayer | str:
    """The class of Keras 3 that computes a layer which does not recur, with its weights.

    Args:
        weights: those of the file.
        layer: as the configuration has it.
        place: where it stands.
        meaning: the release that wrote it.

    Returns:
        The layer; or why it is not rebuilt, as the rest of a sentence about it.

    Raises:
        BadInput: the configuration is damaged, or contradicts the stored weights.
    """
    try:
        return _built(weights, layer, place, meaning)
    except Unfit as exc:
        return str(exc)


def _built(weights: Flat | Nested, layer: LayerConfig, place: Place, meaning: Era, alias: str = "") -> KerasLayer:
    name = renamed(layer.class_name)
    if layer.foreign:
        raise Unfit(f"is a {layer.class_name}, a class of its own, whose code is not in the file")
    if name == "Lambda":
        raise Unfit("is a Lambda layer: the code in it is never run")
    if name == "Identity":
        return KerasLayer(name, {})
    if name == "Merge":
        return _merge(layer, meaning)
    if name == "TimeDistributed":
        return _time_distributed(weights, layer, place, meaning)
    if name in MODELS:
        return _model(weights, layer, place, meaning)
    if name not in KINDS or KINDS[name].recurrent:
        raise Unfit(f"is a {layer.class_name}, which is none of the layers that are rebuilt")
    given = layer.config.get("activation")
    if isinstance(given, Mapping) and given.get("class_name") in _ACTIVATING:
        return _activated(weights, layer, place, meaning, alias)
    config = arguments(name, layer.config, meaning)
    stored = variables(weights, name, config, place, meaning, alias)
    if isinstance(stored, str):
        raise Unfit(stored)
    if config.get("padding") == "same" and isinstance(weights, Flat) and weights.theano(meaning):
        made = _padded(KerasLayer(name, config, stored))
    else:
        made = KerasLayer(name, config, stored)
    return _turned(made) if config.get("data_format") == "channels_first" else made


def _activated(weights: Flat | Nested, layer: LayerConfig, place: Place, meaning: Era, alias: str) -> KerasLayer:
    """A layer whose activation is another: the two, one after the other."""
    after = layer_config(layer.config["activation"], f"the activation of {place}")
    plain = replace(layer, config={**layer.config, "activation": "linear"})
    first = _built(weights, plain, place, meaning, alias)
    return _chain([("layer", first), ("activation", _built(weights, after, place, meaning))])


def _chain(layers: Sequence[tuple[str, KerasLayer]]) -> KerasLayer:
    """Layers one after the other, as a model."""
    if not layers:
        return KerasLayer("Identity", {})
    sources = ["input", *(name for name, _ in layers)]
    calls = (KerasCall(name, layer, ((source, 0),)) for source, (name, layer) in zip(sources, layers, strict=False))
    return KerasLayer("Model", {}, calls=tuple(calls), results=((sources[-1], 0),), inputs=("input",))


def _turned(layer: KerasLayer) -> KerasLayer:
    """A layer with the channels before the axes of space, as one that has them last between two `Permute`.

    TensorFlow has no such pooling for the CPU, and its convolution over one axis is wrong there outside of a graph.
    """
    axes = KINDS[layer.class_name].axes
    if not axes:
        return layer
    last = KerasLayer(layer.class_name, {**layer.config, "data_format": "channels_last"}, layer.weights)
    there = KerasLayer("Permute", {"dims": [*range(2, axes + 2), 1]})
    back = KerasLayer("Permute", {"dims": [axes + 1, *range(1, axes + 1)]})
    return _chain([("there", there), ("layer", last), ("back", back)])


def _padded(layer: KerasLayer) -> KerasLayer:
    """A layer whose padding Theano computed: half a kernel on each side, where TensorFlow adds what the stride leaves.

    https://github.com/keras-team/keras, 1.0.8 and 1.2.2, `theano_backend.py`, `conv2d` with its `half` mode.

    Raises:
        Unfit: a layer of which that is not known.
    """
    name, config = layer.class_name, layer.config
    sizes, first = config.get("kernel_size"), config.get("data_format") == "channels_first"
    axes = KINDS[name].axes
    known = name == f"Conv{axes}D" and config.get("dilation_rate", 1) in (1, [1] * axes)
    if not known or not isinstance(sizes, int | list) or (first and axes == 1):
        raise Unfit("can't be rebuilt: its padding is 'same', which Theano computed in a way of its own")
    sizes = sizes if isinstance(sizes, list) else [sizes] * axes
    margins = [[size // 2, size - 1 - size // 2] for size in sizes]
    pad = {"padding": margins if axes > 1 else margins[0], **({"data_format": "channels_first"} if first else {})}
    valid = KerasLayer(name, {**config, "padding": "valid"}, layer.weights)
    return _chain([("padding", KerasLayer(f"ZeroPadding{axes}D", pad)), ("layer", valid)])


def _merge(layer: LayerConfig, meaning: Era) -> KerasLayer:
    """Keras 1's `Merge`, whose mode is the class of today."""
    mode = layer.config.get("mode")
    if not isinstance(mode, str) or mode not in _MODES:
        raise Unfit(f"can't be rebuilt: its mode is {mode!r}, expected one of {', '.join(_MODES)}")
    axes = layer.config.get("dot_axes", -1)
    config: dict[str, Any] = {}
    if mode == "concat":
        config = {"axis": layer.config.get("concat_axis", -1)}
    if mode == "dot":
        config = {"axes": axes, "normalize": False}
    return KerasLayer(_MODES[mode], arguments(_MODES[mode], config, meaning))


def _time_distributed(weights: Flat | Nested, layer: LayerConfig, place: Place, meaning: Era) -> KerasLayer:
    """`TimeDistributed`, and what it wraps."""
    inner = layer_config(layer.config.get("layer"), f"the layer in {place}")
    below = place.inside("layer")
    return KerasLayer("TimeDistributed", {}, inner=(_built(weights, inner, below, meaning, inner.name),))


def _model(weights: Flat | Nested, model: LayerConfig, place: Place, meaning: Era) -> KerasLayer:
    """A model of such layers alone."""
    if not isinstance(model.config.get("layers"), list):
        raise Unfit(f"is a {model.class_name} with code of its own: the file does not tell its layers")
    layers = [layer for layer in layers_of(model) if not layer.operation]
    if len({layer.name for layer in layers}) < len(layers_of(model)):
        raise Unfit("is a model with operations, or layers of one name, which is not rebuilt")
    counts = counted(layer.class_name for layer in layers)
    places = {layer.name: place.below(layer.name, count) for layer, count in zip(layers, counts, strict=True)}
    functional = "input_layers" in model.config or any(layer.calls for layer in layers)
    walk = _functional if functional else _sequential
    return walk(weights, model, layers, places, meaning)


def _inner(weights: Flat | Nested, layer: LayerConfig, place: Place, meaning: Era) -> KerasLayer:
    """A layer of a model, what is said of it told with its name."""
    try:
        return _built(weights, layer, place, meaning)
    except Unfit as exc:
        raise Unfit(f"holds {layer.name!r}, which {exc}") from exc


def _through(layer: LayerConfig) -> bool:
    through = layer.class_name in NOTHING or layer.class_name == "InputLayer"
    return through and not layer.foreign


def _sequential(
    weights: Flat | Nested, model: LayerConfig, layers: list[LayerConfig], places: Mapping[str, Place], meaning: Era
) -> KerasLayer:
    kept = [layer for layer in layers if not _through(layer)]
    # A call is never called as an input is.
    return _chain([(f"call {layer.name}", _inner(weights, layer, places[layer.name], meaning)) for layer in kept])


def _functional(
    weights: Flat | Nested, model: LayerConfig, layers: list[LayerConfig], places: Mapping[str, Place], meaning: Era
) -> KerasLayer:
    """A model whose layers say what they are called with."""
    known = {layer.name: layer for layer in layers}
    inputs = [ref.layer for ref in references(model.config.get("input_layers"))]
    inputs = inputs or [layer.name for layer in layers if layer.class_name == "InputLayer"]
    outputs = results(model, layers, meaning)
    firsts = first_calls(model, layers, meaning)
    calls = {(layer.name, firsts[layer.name] + k): call for layer in layers for k, call in enumerate(layer.calls)}
    fed = {key: _fed(key[0], call) for key, call in calls.items()}
    values = {(name, 0): (name, 0) for name in inputs}
    made: dict[str, KerasLayer] = {}
    found: list[KerasCall] = []
    for key in _order(fed, model):
        if key in values:
            continue
        if key not in calls or not fed[key]:
            raise BadInput(f"the configuration of the model {model.name!r} uses {key[0]!r}, which is not in it")
        sources = tuple(_output(values, ref) for ref in fed[key])
        layer = known[key[0]]
        if _through(layer):
            values[key] = sources[0]
            continue
        if layer.name not in made:
            made[layer.name] = _inner(weights, layer, places[layer.name], meaning)
        values[key] = (f"call {key[1]} of {layer.name}", 0)
        found.append(KerasCall(values[key][0], made[layer.name], sources))
    missing = next((ref.layer for ref in outputs if (ref.layer, ref.call) not in values), "nothing")
    if missing != "nothing" or not outputs:
        raise BadInput(f"the configuration of the model {model.name!r} gives out {missing}, which is not in it")
    given = tuple(_output(values, ref) for ref in outputs)
    return KerasLayer("Model", {}, calls=tuple(found), results=given, inputs=tuple(inputs))


def _fed(name: str, call: Call) -> list[Ref]:
    """What a call is given, in order. Attention may be given its value and key by name.

    Raises:
        Unfit: it is given something else by name.
    """
    fed = list(call.inputs)
    for key in ("query", "value", "key"):
        fed += call.named.get(key) or ()
    other = [key for key, given in call.named.items() if given is not None and key not in ("query", "value", "key")]
    if set(other) - {"training"}:
        raise Unfit(f"holds {name!r}, which is called with {', '.join(other)}")
    return fed


def _order(fed: Mapping[tuple[str, int], Sequence[Ref]], model: LayerConfig) -> list[tuple[str, int]]:
    """The calls, each after those that feed it."""
    graph = {key: {(ref.layer, ref.call) for ref in refs} for key, refs in fed.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as exc:
        raise BadInput(f"the layers of the model {model.name!r} feed each other in a circle") from exc


def _output(values: Mapping[tuple[str, int], tuple[str, int]], ref: Ref) -> tuple[str, int]:
    """The call, and which of its outputs, that a reference means."""
    call, number = values[ref.layer, ref.call]
    return call, ref.output or number
