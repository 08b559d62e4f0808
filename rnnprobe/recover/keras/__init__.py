"""Keras files: the network that a configuration describes, or that names and shapes suggest where there is none."""

from __future__ import annotations

from dataclasses import replace

from rnnprobe.errors import BadInput
from rnnprobe.recover.keras import bare, tracked
from rnnprobe.recover.keras.build import Builder
from rnnprobe.recover.keras.config import (
    Era,
    LayerConfig,
    era,
    layer_config,
    layers_of,
    looks_like_keras_3,
    references,
)
from rnnprobe.recover.keras.flow import Flow
from rnnprobe.recover.keras.model import model
from rnnprobe.recover.keras.store import FAMILIES, Flat, Nested, Place, by_cell, family, store
from rnnprobe.types import Checkpoint, KerasConfig, Network

_HOLDERS = frozenset({"RNN", "Bidirectional", "TimeDistributed", "Sequential", "Functional", "Model"})


def recover(checkpoint: Checkpoint, cell: str | None = None) -> Network:
    """The network of a Keras file.

    Args:
        checkpoint: with `config`, with `groups`, or with both.
        cell: the name of the cell that the user says candidates of weights without a configuration are.

    Returns:
        Every recurrent layer that could be rebuilt, and as candidates those that could not.

    Raises:
        BadInput: the configuration is damaged, or contradicts the weights; the message names both.
    """
    meaning = _era(checkpoint)
    if checkpoint.config is None:
        return bare.recover(checkpoint, store(checkpoint), meaning, cell)
    try:
        weights = store(checkpoint) if checkpoint.objects is None else tracked.tracked(checkpoint)
        return _from_config(checkpoint, checkpoint.config, weights, meaning)
    except BadInput as exc:
        if exc.path is not None:
            raise
        raise BadInput(exc.message, path=checkpoint.path, hint=exc.hint or _which(checkpoint)) from exc


def _which(checkpoint: Checkpoint) -> str:
    """Where configuration and weights come from, and how to bring in another configuration."""
    others = [file for file in checkpoint.files if file.suffix == ".json" and file != checkpoint.path]
    if others:
        return (
            f"the weights are in {checkpoint.path.name}, the configuration in {others[-1]}: --config FILE names another"
        )
    return f"the configuration is the one in {checkpoint.path.name}: --config FILE names another"


def _era(checkpoint: Checkpoint) -> Era:
    config = checkpoint.config
    version = config.version if config else ""
    if checkpoint.objects is not None:
        return tracked.meaning(checkpoint, version)
    version = version or checkpoint.writer.removeprefix("Keras").partition("(")[0].strip()
    return era(version, keras_3=config is not None and looks_like_keras_3(config))


def _from_config(checkpoint: Checkpoint, config: KerasConfig, weights: Flat | Nested, meaning: Era) -> Network:
    outermost = layer_config(dict(config.model), "the model")
    builder = Builder(weights, meaning)
    if isinstance(weights, Flat) and isinstance(outermost.config.get("layers"), list):
        named = [(layer.name, layer.class_name) for layer in layers_of(outermost)]
        note = _align(weights, named)
        if note:
            builder.note(note)
    results = model(builder, outermost, None, Place())
    builder.say_masks()
    if not builder.layers and not builder.candidates:
        builder.note("the configuration describes no recurrent layer")
    flows = _outputs(builder, outermost, results)
    return Network(
        checkpoint,
        tuple(builder.layers),
        tuple(builder.embeddings.values()),
        tuple(builder.candidates),
        tuple(builder.notes),
        tuple(builder.transforms),
        {name: replace(flow.feed, turned=flow.turned) for name, flow in flows.items()},
        () if builder.unbuilt else tuple(builder.original),
        {} if builder.unbuilt else {name: flow.origin for name, flow in flows.items()},
        builder.shapes,
    )


def _outputs(builder: Builder, outermost: LayerConfig, results: list[Flow]) -> dict[str, Flow]:
    """The model's outputs, by the names of the layers that give them; none where one of them can't be computed."""
    flows = [builder.settled(flow) for flow in results]
    made = {*builder.embeddings, *(la.name for la in builder.layers), *(one.name for one in builder.transforms)}
    whole = builder.reached([source for flow in flows for source in flow.sources]) <= made | builder.shapes.keys()
    if builder.doubts or not whole:
        return {}
    refs = references(outermost.config.get("output_layers"))
    names = [ref.layer for ref in refs] or [layer.name or layer.class_name for layer in layers_of(outermost)[-1:]]
    found: dict[str, Flow] = {}
    for k, flow in enumerate(flows):
        name = names[k] if k < len(names) else f"{names[-1]}_{k}"
        found[name if name not in found else f"{name}_{k}"] = flow
    return found


def _align(weights: Flat, named: list[tuple[str, str]]) -> str:
    """Matches stored groups to configured layers by their order where the names differ, as Keras itself loads them.

    Returns:
        What a report should say of it.

    Raises:
        BadInput: there is no such match.
    """
    names = {name for name, _ in named if name}
    if len(names) < len(named):  # Keras 1 leaves models nameless; they are named after the groups
        return ""
    strange = [group for group, tensors in weights.groups.items() if group not in names and by_cell(group, tensors)]
    if not strange:
        return ""
    empty = [
        name
        for name, class_name in named
        if not weights.groups.get(name) and (class_name in _HOLDERS or family(class_name) in FAMILIES)
    ]
    if len(empty) != len(strange):
        raise BadInput(
            f"the configuration speaks of the layers {', '.join(sorted(names)[:8])}, "
            f"the weights are those of {', '.join(strange[:8])}"
        )
    weights.aliases.update(zip(empty, strange, strict=True))
    pairs = ", ".join(f"{name!r} as {group!r}" for name, group in weights.aliases.items())
    return f"configuration and weights name layers differently; taken in their order: {pairs}"
