"""The layers of Keras that don't recur: seen through, merged, made masks, embeddings or transforms, or left outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.behaviour import supports_masking
from rnnprobe.recover.keras.build import Builder
from rnnprobe.recover.keras.config import LayerConfig, mapped
from rnnprobe.recover.keras.flow import Flow, merged, merged_mask, outside
from rnnprobe.recover.keras.kinds import MERGES, NOTHING
from rnnprobe.recover.keras.store import Place
from rnnprobe.types import Candidate, Embedding, KerasLayer, Mask, Tensor

KERAS_MERGES = {name: mode for mode, name in MERGES.items()}

_JOINS = frozenset({*KERAS_MERGES, "Subtract", "Maximum", "Minimum"})
_LEAVING_OUT = frozenset({"Multiply", "Maximum", "Minimum"})
# What Keras 3 makes of a mask before it hands it to a recurrent layer.
_MASK_OPERATIONS = frozenset({"Any", "ExpandDims", "Squeeze", "Cast"})
_RECURRENT_WORDS = ("LSTM", "GRU", "RNN", "Recurrent", "Bidirectional")


def transform(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> Flow:
    """A layer that one of Keras's own classes computes; left outside where there is none, or its input is."""
    found = builder.keras_layer(layer, place) if flows else "has no input"
    if isinstance(found, str):
        return foreign(builder, layer, flows, place, found)
    mask = _merged_mask(builder, layer.class_name, flows, place) if layer.class_name in _JOINS else flows[0].mask
    return builder.transform(
        str(place), found, flows, mask if supports_masking(layer.class_name, builder.era) else None
    )


def _merged_mask(builder: Builder, class_name: str, flows: list[Flow], place: Place) -> Mask | None:
    """The mask that goes on from several inputs, and a doubt where what Keras makes of theirs is not followed."""
    mask, why = merged_mask(flows, builder.era.major, class_name == "Concatenate")
    if not why and builder.era.major >= 3 and class_name in _LEAVING_OUT and any(flow.mask for flow in flows):
        why = "Keras 3 leaves out there what is masked"
    if why:
        builder.doubt(str(place), why)
    return mask


def foreign(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place, why: str) -> Flow:
    """A layer that is not rebuilt; a candidate where it looks recurrent."""
    name = str(place)
    wrapped = mapped(layer.config.get("layer")) or mapped(layer.config.get("cell"))
    words = f"{layer.class_name} of {wrapped.get('class_name')}" if wrapped else layer.class_name
    recurs = len(place.names) == 1 and builder.weights.recurrent(place) and not wrapped
    if any(word in words for word in _RECURRENT_WORDS) or recurs:
        whose = "a class of its own, whose code is not in the file" if layer.foreign else "which is not rebuilt"
        builder.candidates.append(Candidate(name, (), f"layer {name!r} is a {words}, {whose}"))
    else:
        builder.note(f"{name!r} {why}")
    flow = builder.outside(name, layer.class_name)
    masks = {flow.mask for flow in flows if flow.mask is not None}
    if layer.foreign or not supports_masking(layer.class_name, builder.era):
        return flow
    return replace(flow, mask=masks.pop() if len(masks) == 1 else None)


def masking(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`Masking`: the steps whose features all equal a value are skipped by what follows."""
    value = layer.config.get("mask_value", 0.0)
    if isinstance(value, Mapping):  # Keras 3 writes NumPy scalars as objects
        value = mapped(value.get("config")).get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"the mask_value of {str(place)!r} is {value!r}, expected a number")
    flow = builder.settled(flows[0])
    plain = {*builder.shapes, *(found.name for found in builder.transforms)}
    if flow.turned or len(flow.sources) > 1 or flow.sources[0] not in plain:
        # A mask speaks of one array, in the order of its steps: what is compared with the value becomes one.
        flow = builder.transform(f"input of {place}", KerasLayer("Activation", {"activation": "linear"}), [flow], None)
    mask = Mask(flow.sources[0], float(value))
    builder.maskers[mask] = str(place)
    builder.maskings[str(place)] = float(value)
    return [replace(flow, mask=mask, masking=str(place))]


def embedding(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`Embedding`: a table in front of what follows."""
    name, flow, table = str(place), flows[0], builder.weights.table(place)
    masked = layer.config.get("mask_zero") is True
    if table is None or not flow.outside or len(flow.sources) > 1 or name in builder.embeddings:
        return [transform(builder, layer, flows, place)]
    _check_table(name, layer, table)
    ids = flow.sources[0]
    builder.embeddings[name] = Embedding(name, table, "config", ids)
    found = Flow(
        (name,), width=table.shape[1], turned=flow.turned, outside=False, time=flow.time, rank=_more(flow.rank)
    )
    return [replace(found, mask=Mask(name, 0.0) if masked else None)]


def _more(rank: int | None) -> int | None:
    return None if rank is None else rank + 1


def _check_table(name: str, layer: LayerConfig, table: Tensor) -> None:
    declared = [layer.config.get("input_dim"), layer.config.get("output_dim")]
    for size, stored in zip(declared, table.shape, strict=True):
        if type(size) is int and size != stored:
            raise BadInput(
                f"the configuration gives the embedding {name!r} a table of {declared}, "
                f"the stored one is {list(table.shape)}"
            )


def merge(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`Concatenate`, `Add`, `Multiply`, `Average`, and `Merge` of Keras 1."""
    kind, axis = KERAS_MERGES.get(layer.class_name), layer.config.get("axis", -1)
    if layer.class_name == "Merge":
        mode, axis = layer.config.get("mode"), layer.config.get("concat_axis", -1)
        kind = mode if isinstance(mode, str) and mode in MERGES else None
    last = {-1, flows[0].rank - 1 if flows[0].rank is not None else -1}
    if kind is None or (kind == "concat" and axis not in last):
        return [transform(builder, layer, flows, place)]
    whole = merged(flows, kind, None)
    if whole is None:
        return [transform(builder, layer, flows, place)]
    return [replace(whole, mask=_merged_mask(builder, MERGES[kind], flows, place))]


def operation(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> Flow:
    """A bare operation of Keras 3. Those that compute a mask carry it on beside what nobody needs."""
    mask = flows[0].mask if layer.class_name in _MASK_OPERATIONS and len(flows) == 1 else None
    if layer.class_name in KERAS_MERGES and len(flows) > 1:
        return merge(builder, plain(layer), flows, place)[0]
    if mask is None:
        builder.note(f"{layer.name!r} is the operation {layer.class_name}, which is not rebuilt")
    builder.classes[layer.name] = layer.class_name
    return replace(outside(layer.name), mask=mask)


def plain(layer: LayerConfig) -> LayerConfig:
    """The layer that computes what a bare operation does."""
    return LayerConfig(layer.class_name, layer.name, {"axis": layer.config.get("axis", -1)})


def linear(layer: LayerConfig) -> bool:
    """Whether a layer passes on what it is given."""
    through = layer.class_name in {"InputLayer", *NOTHING} or (
        layer.class_name == "Activation" and layer.config.get("activation") == "linear"
    )
    return through and not layer.foreign
