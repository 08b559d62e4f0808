"""Layers from the objects of a TensorFlow 2 checkpoint: attributes, names of variables and shapes.

Covers what no Keras configuration describes as a whole: weights of Keras models saved in TensorFlow's format, models
with code of their own, modules, Sonnet cores, TensorFlow 1 cells tracked as objects (cells.md, sections 8.4 and 10.2).
A configuration that an object of such a model came with gives its options; without one they are assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rnnprobe.errors import BadInput
from rnnprobe.formats.keras_metadata import tells_layers
from rnnprobe.formats.object_graph import LAYER
from rnnprobe.recover import keras
from rnnprobe.recover.keras import bare, tracked
from rnnprobe.recover.keras.store import Flat
from rnnprobe.recover.object_cells import Finder
from rnnprobe.recover.object_feeds import tables, wired
from rnnprobe.types import (
    Checkpoint,
    Embedding,
    Feed,
    KerasConfig,
    KerasLayer,
    Layer,
    Network,
    Objects,
    Tensor,
    Transform,
)

_STACKED_PAIR = re.compile(r".+/(?:forward|backward)_layer/cell/cells/\d+")


def recover(checkpoint: Checkpoint, cell: str | None = None) -> Network:
    """The network of a checkpoint of objects, as far as they tell.

    Args:
        checkpoint: with `objects`.
        cell: the name of a cell that the user says candidates are.

    Raises:
        BadInput: the configuration of an object contradicts its weights.
    """
    if checkpoint.objects is None:
        raise ValueError("no objects")
    objects = checkpoint.objects
    stored = {"/".join(objects.paths[n]): t for n, t in checkpoint.weights.items() if n in objects.paths}
    called = {name: replace(tensor, name=name) for name, tensor in stored.items()}
    finder = Finder(objects, cell, tracked.meaning(checkpoint), called, stored)
    models = tracked.models(checkpoint)
    inside = tuple(f"{layer}/" for layers in models.values() for layer in layers)
    networks = [
        _told(checkpoint, path, len(models)) if _configured(objects, path) else _chain(checkpoint, layers, finder)
        for path, layers in models.items()
    ]
    try:
        for scope in checkpoint.groups:
            if not f"{scope}/".startswith(inside) or _left_to_itself(scope, checkpoint):
                finder.object(scope)
    except BadInput as exc:
        raise BadInput(exc.message, path=checkpoint.path, hint=exc.hint) from exc
    looked_up = tables(finder)
    alone = wired(tuple(finder.layers), looked_up)
    layers = [*(layer for network in networks for layer in network.layers), *alone]
    transforms = [one for network in networks for one in network.transforms]
    feeds = [feed for layer in layers for feed in (layer.feed, *layer.initial.values())]
    used = {source for feed in (*feeds, *(f for one in transforms for f in one.feeds)) for source in feed.sources}
    embeddings = [*(found for network in networks for found in network.embeddings), *looked_up]
    candidates = [*(found for network in networks for found in network.candidates), *finder.candidates]
    notes = [note for network in networks for note in network.notes if network.layers or network.candidates]
    if finder.assumed:
        notes.append(f"no configuration came with some weights: their options are the defaults of {finder.era.words}")
    named = {found.name: found for found in embeddings}
    # Of several models, or of one with something recurrent beside it, none is the whole.
    whole = networks[0] if len(networks) == 1 and not alone and not finder.candidates else None
    return Network(
        checkpoint,
        tuple(_as_stored(layer, stored) for layer in layers),
        tuple(_table_as_stored(found, stored) for found in named.values() if found.name in used),
        tuple(candidates),
        tuple(dict.fromkeys(notes)),
        tuple(transforms),
        whole.outputs if whole else {},
        whole.original if whole else (),
        whole.results if whole else {},
        {name: shape for network in networks for name, shape in network.shapes.items()},
    )


def _left_to_itself(scope: str, checkpoint: Checkpoint) -> bool:
    """Whether a cell in a Keras model is one that no chain can place: of stacks that run in both directions."""
    top = _deepest(scope)
    told = checkpoint.objects is not None and any(path and top.startswith(path) for path in _told_models(checkpoint))
    return _STACKED_PAIR.fullmatch(scope) is not None and not told


def _told_models(checkpoint: Checkpoint) -> list[str]:
    objects = checkpoint.objects
    return [path for path in tracked.models(checkpoint) if objects and _configured(objects, path)]


def _configured(objects: Objects, path: str) -> bool:
    return path in objects.configs and tells_layers(objects.configs[path])


def _as_stored(layer: Layer, stored: Mapping[str, Tensor]) -> Layer:
    weights = {role: stored.get(tensor.name, tensor) for role, tensor in layer.weights.items()}
    return replace(layer, weights=weights)


def _table_as_stored(embedding: Embedding, stored: Mapping[str, Tensor]) -> Embedding:
    return replace(embedding, table=stored.get(embedding.table.name, embedding.table))


def _told(checkpoint: Checkpoint, path: str, number: int) -> Network:
    """One of the Keras models of a checkpoint, from its own configuration; its layers are named below its path."""
    config = checkpoint.objects.configs[path] if checkpoint.objects else {}
    groups = {scope: names for scope, names in checkpoint.groups.items() if scope.startswith(f"{path}/")}
    version = str(config.get("keras_version") or "")
    found = keras.recover(replace(checkpoint, groups=groups, config=KerasConfig(config, version)))
    nodes: list[Layer | Embedding | Transform] = [*found.layers, *found.embeddings, *found.transforms]
    own = {node.name for node in nodes}

    def below(name: str) -> str:
        if name in own:
            return f"{path}/{name}"
        return name if number == 1 else f"{name} of {path}"

    def fed(feed: Feed) -> Feed:
        mask = feed.mask and replace(feed.mask, source=below(feed.mask.source))
        return replace(feed, sources=tuple(map(below, feed.sources)), mask=mask)

    layers = [
        replace(
            layer,
            name=below(layer.name),
            feed=fed(layer.feed),
            initial={state: fed(feed) for state, feed in layer.initial.items()},
        )
        for layer in found.layers
    ]
    transforms = [
        replace(one, name=below(one.name), layer=_named(one.layer, below), feeds=tuple(map(fed, one.feeds)))
        for one in found.transforms
    ]
    embeddings = [
        replace(one, name=below(one.name), source=below(one.source) if one.source else "") for one in found.embeddings
    ]
    return replace(
        found,
        checkpoint=checkpoint,
        layers=tuple(layers),
        embeddings=tuple(embeddings),
        transforms=tuple(transforms),
        outputs={name: fed(feed) for name, feed in found.outputs.items()},
        original=tuple(replace(call, layer=_named(call.layer, below)) for call in found.original),
        shapes={below(name): shape for name, shape in found.shapes.items()},
    )


def _named(layer: KerasLayer, below: Callable[[str], str]) -> KerasLayer:
    """A layer of Keras's that says by their new names which layers of the network hold its weights."""
    return replace(
        layer,
        layers=tuple(map(below, layer.layers)),
        inner=tuple(_named(inner, below) for inner in layer.inner),
        calls=tuple(replace(call, layer=_named(call.layer, below)) for call in layer.calls),
    )


def _chain(checkpoint: Checkpoint, layers: Sequence[str], finder: Finder) -> Network:
    """A Keras model without a configuration: its layers, those of the models in it too, as a chain in their order."""
    groups: dict[str, list[Tensor]] = {}
    for scope, names in checkpoint.groups.items():
        layer = _deepest(scope)
        if layer and scope.startswith(tuple(layers)) and not _STACKED_PAIR.fullmatch(scope):
            members = [finder.tensors["/".join(finder.objects.paths[name])] for name in names]
            groups.setdefault(layer, []).extend(members)
    groups = {path: found for path, found in groups.items() if not any(_holds_layers(path, o) for o in groups)}
    found = bare.recover(checkpoint, Flat(groups), finder.era)
    finder.claimed |= {tensor.name for layer in found.layers for tensor in layer.weights.values()}
    return found


def _deepest(scope: str) -> str:
    """The innermost layer of a Keras model that an object is in, or empty."""
    words = scope.split("/")
    ends = [k + 1 for k in range(len(words)) if LAYER.fullmatch("/".join(words[max(0, k - 1) : k + 1]))]
    return "/".join(words[: ends[-1]]) if ends else ""


def _holds_layers(path: str, other: str) -> bool:
    return other.startswith(f"{path}/")
