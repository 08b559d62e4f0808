"""The layers of Keras that are not recurrent: seen through, merged, made masks or embeddings, or left outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.build import MERGES, Builder
from rnnprobe.recover.keras.config import LayerConfig, mapped
from rnnprobe.recover.keras.flow import Flow, merged, merged_mask, outside
from rnnprobe.recover.keras.store import Place
from rnnprobe.types import Candidate, Embedding, Mask, Tensor

THROUGH = frozenset(
    {
        "InputLayer",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
        "Identity",
    }
)
"""What does nothing at inference."""

KERAS_MERGES = {"Concatenate": "concat", "Add": "sum", "Multiply": "mul", "Average": "ave"}

# What changes the features of each step by itself, and hands masks on.
_STEPWISE = frozenset(
    {
        "Dense",
        "TimeDistributedDense",
        "Highway",
        "Activation",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "ReLU",
        "ThresholdedReLU",
        "Softmax",
        "BatchNormalization",
        "LayerNormalization",
        "UnitNormalization",
        "TimeDistributed",
    }
)
# What Keras 3 makes of a mask before it hands it to a recurrent layer.
_MASK_OPERATIONS = frozenset({"Any", "ExpandDims", "Squeeze", "Cast"})
_RECURRENT_WORDS = ("LSTM", "GRU", "RNN", "Recurrent")


def foreign(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> Flow:
    """A layer that is not rebuilt; a candidate where it looks recurrent."""
    name = str(place)
    wrapped = mapped(layer.config.get("layer")) or mapped(layer.config.get("cell"))
    words = f"{layer.class_name} of {wrapped.get('class_name')}" if wrapped else layer.class_name
    recurs = len(place.names) == 1 and builder.weights.recurrent(place) and not wrapped
    if any(word in words for word in _RECURRENT_WORDS) or recurs:
        whose = "a class of its own, whose code is not in the file" if layer.foreign else "which is not rebuilt"
        reason = f"layer {name!r} is a {words}, {whose}"
        builder.candidates.append(Candidate(name, (), reason))
    if layer.class_name == "Lambda":
        builder.note(f"{name!r} is a Lambda layer; the code in it is never run")
    flow = builder.outside(name, layer.class_name)
    masks = {flow.mask for flow in flows if flow.mask is not None}
    if layer.class_name not in _STEPWISE or layer.foreign:
        return flow
    return replace(flow, mask=masks.pop() if len(masks) == 1 else None)


def masking(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`Masking`: the steps whose features all equal a value are skipped by what follows."""
    value = layer.config.get("mask_value", 0.0)
    if isinstance(value, Mapping):  # Keras 3 writes NumPy scalars as objects
        value = mapped(value.get("config")).get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"the mask_value of {str(place)!r} is {value!r}, expected a number")
    flow = flows[0]
    if not flow.outside or len(flow.sources) > 1 or flow.turned:
        # What is compared with the value is no single input of the user's, so it becomes one.
        flow = builder.outside(str(place), layer.class_name)
    mask = Mask(flow.sources[0], float(value))
    builder.maskers[mask] = str(place)
    return [replace(flow, mask=mask)]


def embedding(builder: Builder, layer: LayerConfig, flows: list[Flow], place: Place) -> list[Flow]:
    """`Embedding`: a table in front of what follows."""
    name, flow, table = str(place), flows[0], builder.weights.table(place)
    if table is None or not flow.outside or len(flow.sources) > 1:
        return [foreign(builder, layer, flows, place)]
    _check_table(name, layer, table)
    if flow.sources != ("input",):
        builder.note(f"the embedding {name!r} takes its ids from {flow.sources[0]!r}")
    builder.embeddings[name] = Embedding(name, table, "config")
    builder.ids[name] = flow.sources[0]
    mask = Mask(name, 0.0) if layer.config.get("mask_zero") is True else None
    return [Flow((name,), mask=mask, width=table.shape[1], turned=flow.turned, outside=False)]


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
    if kind is None or (kind == "concat" and axis not in (-1, 2)):
        return [foreign(builder, layer, flows, place)]
    mask, why = merged_mask(flows, builder.era.major, kind == "concat")
    if why:
        builder.note(f"no mask goes on from {str(place)!r}: {why}")
    return [merged(flows, kind, mask) or replace(foreign(builder, layer, flows, place), mask=mask)]


def operation(builder: Builder, layer: LayerConfig, flows: list[Flow]) -> Flow:
    """A bare operation of Keras 3. Those that compute a mask carry it on beside what nobody needs."""
    kind = KERAS_MERGES.get(layer.class_name)
    mask = flows[0].mask if layer.class_name in _MASK_OPERATIONS and len(flows) == 1 else None
    if kind not in (None, "concat") and len(flows) > 1:
        found = merged(flows, str(kind), None)
        if found is not None:
            return found
    builder.classes[layer.name] = layer.class_name
    return replace(outside(layer.name), mask=mask)


def linear(layer: LayerConfig) -> bool:
    """Whether a layer passes on what it is given."""
    through = layer.class_name in THROUGH or (
        layer.class_name == "Activation" and layer.config.get("activation") == "linear"
    )
    return through and not layer.foreign
