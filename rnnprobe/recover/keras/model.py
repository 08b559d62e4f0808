"""Walks through a Keras configuration: Sequential and functional models, nested to any depth, in every spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from rnnprobe.errors import BadInput
from rnnprobe.formats.keras_names import counted
from rnnprobe.recover.keras import layers as kinds
from rnnprobe.recover.keras import others
from rnnprobe.recover.keras.build import Builder
from rnnprobe.recover.keras.config import (
    MODELS,
    Call,
    LayerConfig,
    Ref,
    first_calls,
    input_shape,
    layer_config,
    layers_of,
    references,
    results,
)
from rnnprobe.recover.keras.flow import Flow, outside
from rnnprobe.recover.keras.original import recurrent as keras_recurrent
from rnnprobe.recover.keras.original import with_weights
from rnnprobe.recover.keras.store import FAMILIES, Place, family
from rnnprobe.types import KerasLayer, Mask

Key: TypeAlias = tuple[str, int]
"""A call: the layer's name, and which of its calls."""


def model(builder: Builder, config: LayerConfig, inputs: Sequence[Flow] | None, place: Place) -> list[Flow]:
    """The outputs of a model.

    Args:
        builder: collects the layers.
        config: the model's.
        inputs: what enters it, or None for the outermost.
        place: where it stands.

    Raises:
        BadInput: the configuration is damaged, or contradicts the weights.
    """
    if not isinstance(config.config.get("layers"), list):
        builder.note(f"the model is a {config.class_name} with code of its own: the file does not tell its layers")
        return [outside(str(place) or "output")]
    layers = _named(builder, layers_of(config), place)
    proper = [layer for layer in layers if not layer.operation]
    counts = dict(zip((layer.name for layer in proper), counted(layer.class_name for layer in proper), strict=True))
    if "input_layers" in config.config or any(layer.calls for layer in layers):
        return _functional(builder, config, layers, counts, inputs, place)
    flows = list(inputs) if inputs is not None else [_entry(builder, "input", config)]
    for layer in layers:
        flows = call(builder, layer, flows, place.below(layer.name, counts.get(layer.name, "")))
    return flows


def _entry(builder: Builder, name: str, layer: LayerConfig) -> Flow:
    """An input of the outermost model, as the configuration of what stands there describes it."""
    shape = builder.shapes[name] = input_shape(layer)
    return Flow((name,), time=name, rank=None if shape is None else len(shape) + 1, origin=(name, 0))


def _named(builder: Builder, layers: list[LayerConfig], place: Place) -> list[LayerConfig]:
    """The layers, each with a name: those that Keras 1 left nameless are called as their weights are."""
    names = [layer.name for layer in layers if layer.name]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"the Keras configuration has two layers called {twice!r} in one model")
    free = [group for group in builder.weights.groups if group not in names] if not place.names else []
    found = []
    for k, layer in enumerate(layers):
        if not layer.name:
            layer = replace(layer, name=free.pop(0) if free else f"{layer.class_name.lower()}_{k}")
        found.append(layer)
    return found


def _functional(
    builder: Builder,
    config: LayerConfig,
    layers: list[LayerConfig],
    counts: Mapping[str, str],
    inputs: Sequence[Flow] | None,
    place: Place,
) -> list[Flow]:
    """The outputs of a model whose layers say what they are called with."""
    known = {layer.name: layer for layer in layers}
    entries = [ref.layer for ref in references(config.config.get("input_layers"))]
    entries = entries or [layer.name for layer in layers if layer.class_name == "InputLayer"]
    values: dict[Key, list[Flow]] = {}
    for k, name in enumerate(entries):
        if inputs is not None and k < len(inputs):
            values[name, 0] = [inputs[k]]
        elif name in known:
            values[name, 0] = [_entry(builder, "input" if len(entries) == 1 else name, known[name])]
        else:
            raise BadInput(f"the Keras configuration has no layer {name!r}, which it calls an input")
    firsts = first_calls(config, layers, builder.era)
    calls = {(layer.name, firsts[layer.name] + k): call for layer in layers for k, call in enumerate(layer.calls)}
    for key in _order(calls, values, known):
        layer, called = known[key[0]], calls[key]
        # Attention is called with its values, and keys, by keyword.
        beside = [ref for word in ("value", "key") for ref in called.named.get(word) or ()]
        flows = [_output(values, ref) for ref in (*called.inputs, *beside)]
        if layer.operation:
            values[key] = [_operation(builder, layer, flows, called, place.below(layer.name, ""))]
            continue
        switches = called.switches - {"training"}
        if switches:
            why = f"is called with {', '.join(sorted(switches))}, which is not rebuilt"
            values[key] = [kinds.foreign(builder, layer, flows, place.below(layer.name, counts[layer.name]), why)]
            continue
        # Of several inputs each comes with its own, which Keras 3 spells out in their order.
        if "mask" in called.named and layer.class_name != "Masking" and len(flows) == 1:
            flows = [_masked(builder, flows[0], called.named["mask"], values, layer)]
        states = [_output(values, ref) for ref in called.named.get("initial_state") or ()]
        # Keras 3 has a layer that is given states see only a mask that the call names; what follows sees the other.
        blind = bool(states) and builder.era.major >= 3 and called.named.get("mask") is None
        given = [replace(builder.settled(flows[0]), mask=None), *flows[1:]] if blind else flows
        found = call(builder, layer, given, place.below(layer.name, counts[layer.name]), states)
        values[key] = [replace(flow, mask=flows[0].mask) if blind and not flow.final else flow for flow in found]
    outputs = results(config, layers, builder.era)
    return [_output(values, ref) for ref in outputs] or [outside(str(place) or "output")]


def _all(call: Call) -> list[Ref]:
    return [*call.inputs, *(ref for named in call.named.values() for ref in named or ())]


def _order(calls: Mapping[Key, Call], given: Mapping[Key, list[Flow]], known: Mapping[str, LayerConfig]) -> list[Key]:
    """The calls in an order in which each can be followed."""
    graph: dict[Key, set[Key]] = {}
    for key, call in calls.items():
        refs = _all(call)
        strange = next((ref for ref in refs if ref.layer not in known), None)
        if strange is not None:
            raise BadInput(f"the Keras configuration feeds {key[0]!r} from {strange.layer!r}, which is not in it")
        graph[key] = {(ref.layer, ref.call) for ref in refs}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as exc:
        names = ", ".join(sorted({name for name, _ in exc.args[1]})[:5])
        raise BadInput(f"the layers of the Keras configuration feed each other in a circle: {names}") from exc
    missing = next((key for key in order if key not in calls and key not in given), None)
    if missing is not None:
        raise BadInput(f"the Keras configuration uses call {missing[1]} of {missing[0]!r}, which is not in it")
    return [key for key in order if key not in given]


def _output(values: Mapping[Key, list[Flow]], ref: Ref) -> Flow:
    """The output that a reference means; one that was not foreseen is outside."""
    flows = values.get((ref.layer, ref.call), [])
    return flows[ref.output] if 0 <= ref.output < len(flows) else outside(f"{ref.layer}, output {ref.output}")


def _operation(builder: Builder, layer: LayerConfig, flows: list[Flow], call: Call, place: Place) -> Flow:
    """A bare operation of Keras 3, `NotEqual` among them, with which every mask begins."""
    if layer.class_name == "NotEqual" and len(flows) == 1 and len(flows[0].sources) == 1 and call.constant is not None:
        mask = Mask(flows[0].sources[0], call.constant)
        builder.maskers.setdefault(mask, layer.name)
        return replace(outside(layer.name), mask=mask)
    found = kinds.operation(builder, layer, flows, place)
    merges = layer.class_name in kinds.KERAS_MERGES
    return (
        replace(found, origin=(builder.call(place, builder.keras_layer(kinds.plain(layer), place), flows), 0))
        if merges
        else found
    )


def _masked(
    builder: Builder, flow: Flow, refs: Sequence[Ref] | None, values: Mapping[Key, list[Flow]], layer: LayerConfig
) -> Flow:
    """An input with the mask that a call names. Keras 3 spells out the one that would have come along anyway.

    Null names none: within a model that was made by itself, one still comes along with what the model is called with.
    """
    if flow.mask is not None or not refs:
        return flow
    found = {_output(values, ref).mask for ref in refs} - {None}
    if len(found) == 1:
        return replace(flow, mask=found.pop())
    builder.note(f"{layer.name!r} takes a mask that is computed elsewhere; it is not applied")
    return flow


def call(
    builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place, states: Sequence[Flow] = ()
) -> list[Flow]:
    """The outputs of one call of a layer; the call is entered among those of the original.

    Args:
        builder: collects the layers.
        layer: what is called.
        flows: what it is called with; behind the first, a recurrent layer's may be the states to start from.
        place: where it stands.
        states: those that a recurrent layer is told to start from.
    """
    if kinds.linear(layer):
        return flows
    if layer.class_name in MODELS and not layer.foreign:
        return model(builder, layer, flows, place)
    recurrent = _recurs(layer)
    if recurrent:
        flows, states = flows[:1], [*flows[1:], *states]
    before = len(builder.layers)
    found = _outputs(builder, layer, flows, place, states)
    names = tuple(added.name for added in builder.layers[before:])
    what = keras_recurrent(layer, builder.era, names) if recurrent and names else _plain(builder, layer, place)
    name = builder.call(place, what, flows, states)
    return [replace(flow, origin=(name, k)) for k, flow in enumerate(found)]


def _recurs(layer: LayerConfig) -> bool:
    name = layer.class_name
    recurs = name == "RNN" or family(name) in FAMILIES or (name == "Bidirectional" and _wraps_recurrent(layer))
    return (recurs and not layer.foreign) or others.of_class(layer) is not None


def _plain(builder: Builder, layer: LayerConfig, place: Place) -> KerasLayer | str:
    """What computes a layer that does not recur in the original."""
    return (
        keras_recurrent(layer, builder.era, ()) if layer.class_name == "Masking" else builder.keras_layer(layer, place)
    )


def _outputs(
    builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place, states: Sequence[Flow]
) -> list[Flow]:
    """The outputs of one call of a layer that is no model."""
    name = layer.class_name
    if name == "Merge" and not layer.foreign:
        return kinds.merge(builder, layer, _branches(builder, layer, flows, place), place)
    if (layer.foreign and not _recurs(layer)) or not flows:
        return [kinds.transform(builder, layer, flows, place)]
    if name in kinds.KERAS_MERGES:
        return kinds.merge(builder, layer, flows, place)
    if name == "Masking":
        return kinds.masking(builder, layer, flows, place)
    if name == "Embedding":
        return kinds.embedding(builder, layer, flows, place)
    if name == "TimeDistributed":
        return _time_distributed(builder, layer, flows, place)
    if name == "Bidirectional" and _recurs(layer):
        return builder.bidirectional(layer, flows[0], place, states)
    if _recurs(layer):
        return builder.recurrent(layer, flows[0], place, states)
    return [kinds.transform(builder, layer, flows, place)]


def _wraps_recurrent(layer: LayerConfig) -> bool:
    inner = layer_config(layer.config.get("layer"), f"the layer in {layer.name}")
    own = not inner.foreign and (inner.class_name == "RNN" or family(inner.class_name) in FAMILIES)
    return own or others.of_class(inner) is not None


def _branches(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """What a `Merge` of Keras 1 merges: at the front of a Sequential model, models with inputs of their own."""
    branches = layer.config.get("layers")
    if not isinstance(branches, list) or not branches or len(flows) > 1:
        return flows
    merged: list[Flow] = []
    for k, value in enumerate(branches):
        branch = layer_config(value, f"branch {k} of {place}")
        below = place.below(branch.name or str(k), branch.name)
        merged += call(builder, branch, [_entry(builder, f"input of {below}", branch)], below)
    return merged


def _time_distributed(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`TimeDistributed`: what it wraps is run on each step by itself, a recurrent layer afresh each time."""
    inner = layer_config(layer.config.get("layer"), f"the layer in {place}")
    if kinds.linear(inner):
        return flows
    if not _any_recurs(inner):
        return [kinds.transform(builder, layer, flows, place)]
    before = len(builder.layers)
    with builder.aside():
        call(builder, inner, [outside(f"input of {place}")], place.inside("layer"))
    made = builder.layers[before:]
    builder.note(
        f"{str(place)!r} runs afresh over each step of its input (TimeDistributed): to trace what is in it, give "
        f"it such steps with --own-input"
    )
    found = keras_recurrent(layer, builder.era, tuple(one.name for one in made)) if _recurs(inner) and made else ""
    whole = found if isinstance(found, str) else with_weights(found, made)
    if isinstance(whole, str):
        return [kinds.foreign(builder, layer, flows, place, whole or "is not rebuilt")]
    builder.keras_layer_is(place, whole)
    return [builder.transform(f"{place}/each_step", whole, flows, flows[0].mask)]


def _any_recurs(layer: LayerConfig) -> bool:
    """Whether a layer, or one of a model's, is recurrent."""
    if layer.class_name in MODELS and isinstance(layer.config.get("layers"), list):
        return any(map(_any_recurs, layers_of(layer)))
    return _recurs(layer)
