"""Keras models in TensorFlow 2 checkpoints: weights by the path of the object that holds them (cells.md, section 8.4).

Such a checkpoint numbers a model's layers, `layer_with_weights-1`, and does not name them; a configuration names them
in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnprobe.errors import BadInput
from rnnprobe.formats.object_graph import LAYER
from rnnprobe.recover.keras.config import Era, LayerConfig, era, layer_config, layers_of
from rnnprobe.recover.keras.others import STORED
from rnnprobe.recover.keras.store import CellWeights, Nested, Place, stacked_cell
from rnnprobe.types import Checkpoint, Tensor

_CELL = re.compile(r"(?:.*_)?cell(?:_\d+)?")


@dataclass(slots=True)
class Tracked(Nested):
    """Weights by the path of objects, where a model's layers are known by their order.

    Attributes:
        leaves: tensor → the attribute that it is (`recurrent_kernel`).
        paths: a layer's name, after those of the models that it is in → the path of its object.
        cells: the same and the name of a cell of `StackedRNNCells` → the cell's number.
    """

    leaves: Mapping[str, str] = field(default_factory=dict)
    paths: dict[tuple[str, ...], str] = field(default_factory=dict)
    cells: dict[tuple[str, ...], int] = field(default_factory=dict)

    def _find(self, place: Place, *endings: str) -> Sequence[Tensor]:
        """The tensors of an object."""
        names: tuple[str, ...] = ()
        path, starts = "", False
        for part in place.named:
            if part is None:
                starts = True
            elif starts:
                names, starts = (*names, part), False
                path = self.paths.get(names, "")
            else:
                path = f"{path}/{part}"
        return next((self.groups[path + ending] for ending in endings if self.groups.get(path + ending)), ())

    def cell(self, place: Place, *parts: str, leaves: Sequence[str] = STORED) -> CellWeights | None:
        """A cell of a layer; `parts` is its path in the layer, as objects; `leaves` tell which objects are in it."""
        number = self.cells.get((*place.names, parts[-1])) if "cells" in parts else None
        if number is not None:
            parts = (*parts[:-1], str(number))
        path = "".join(f"/{part}" for part in parts)
        found = self._find(place, f"{path}/cell", path)
        scope = next((key for key, tensors in self.groups.items() if tensors is found), "")
        held = {self.leaves[tensor.name]: tensor for tensor in found}
        for inner in dict.fromkeys(leaf.partition("/")[0] for leaf in leaves if "/" in leaf):
            within = self._find(place, f"{path}/cell/{inner}", f"{path}/{inner}")
            held |= {f"{inner}/{self.leaves[tensor.name]}": tensor for tensor in within}
        return CellWeights(scope, held, tuple(scope.split("/"))) if held else None

    def variables(self, place: Place, parts: Sequence[str] = (), alias: str = "") -> dict[str, Tensor]:
        """The tensors of a layer that does not recur, by the attributes that they are; arguments as in `Flat`."""
        found = self._find(place, *(f"/{part}" for part in parts)) if parts else self._find(place, "")
        return {self.leaves[tensor.name].removeprefix("_"): tensor for tensor in found}


def models(checkpoint: Checkpoint) -> dict[str, list[str]]:
    """The path of each Keras model that is in no other → the paths of its layers, in their order."""
    found: dict[str, list[str]] = {}
    for path in checkpoint.groups:
        if LAYER.fullmatch(path):
            words = path.split("/")
            size = 2 if words[-2:-1] == ["_operations"] else 1
            found.setdefault("/".join(words[:-size]).removesuffix("_functional").rstrip("/"), []).append(path)
    return {path: layers for path, layers in found.items() if not any(_inside(path, other) for other in found)}


def _inside(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}/"))


def tracked(checkpoint: Checkpoint) -> Tracked:
    """The weights of a checkpoint of objects, its layers named as its configuration names them.

    Raises:
        BadInput: the configuration has other layers than the checkpoint, or the checkpoint several models.
    """
    if checkpoint.objects is None or checkpoint.config is None:
        raise ValueError("no objects or no configuration")
    leaves = {name: path[-1] for name, path in checkpoint.objects.paths.items()}
    groups = {path: [checkpoint.tensors[name] for name in names] for path, names in checkpoint.groups.items()}
    weights = Tracked(groups, leaves)
    found = list(models(checkpoint))
    if len(found) != 1:
        held = f"{len(found)} ({', '.join(found)})" if found else "none whose layers are numbered"
        raise BadInput(f"a configuration describes one Keras model, and the checkpoint holds {held}")
    _name(weights, layer_config(dict(checkpoint.config.model), "the model"), found[0], ())
    return weights


def _name(weights: Tracked, model: LayerConfig, path: str, names: tuple[str, ...]) -> None:
    """Enters the paths of a model's layers, and those of the models in it."""
    if not isinstance(model.config.get("layers"), list):
        return
    for layer, where in _aligned(weights, model, path):
        here = (*names, layer.name)
        weights.paths[here] = where
        inner, below = layer, where
        while inner.class_name in ("TimeDistributed", "Bidirectional") and isinstance(
            inner.config.get("layer"), Mapping
        ):
            below = f"{below}/layer" if inner.class_name == "TimeDistributed" else below
            inner = layer_config(inner.config["layer"], f"the layer in {layer.name}")
        cell = inner.config.get("cell")
        if inner.class_name == "RNN" and isinstance(cell, Mapping):
            _number(weights, layer_config(cell, f"the cell of {layer.name}"), here)
        _name(weights, inner, below, here)


def _number(weights: Tracked, cell: LayerConfig, names: tuple[str, ...]) -> None:
    """Enters the numbers of stacked cells, which a layer's place names by their class."""
    stored = cell.config.get("cells")
    seen: dict[str, int] = {}
    for k, value in enumerate(stored if isinstance(stored, list) else []):
        inner = layer_config(value, "a stacked cell").class_name
        number = seen[inner] = seen.get(inner, -1) + 1
        weights.cells[*names, stacked_cell(inner, number)] = k


def _aligned(weights: Tracked, model: LayerConfig, path: str) -> list[tuple[LayerConfig, str]]:
    """The layers of a model beside the paths of their objects. An input is a layer in some releases only."""
    start = re.escape(f"{path}/" if path else "") + "(?:_functional/)?"
    layers = [p for p in weights.groups if LAYER.fullmatch(p) and re.fullmatch(start + r"(?:_operations/)?[^/]*", p)]
    configs = layers_of(model)
    if len(configs) == len(layers):
        return list(zip(configs, layers, strict=True))
    configs = [config for config in configs if config.class_name != "InputLayer"]
    surplus = len(layers) - len(configs)
    if surplus >= 0 and not any(_holds(weights, layer) for layer in layers[:surplus]):
        return list(zip(configs, layers[surplus:], strict=True))
    raise BadInput(
        f"the configuration gives {model.name or 'the model'} {len(configs)} layers, the checkpoint {len(layers)}: "
        f"they are not of one model"
    )


def _holds(weights: Tracked, path: str) -> bool:
    return any(tensors for key, tensors in weights.groups.items() if key == path or key.startswith(f"{path}/"))


def meaning(checkpoint: Checkpoint, version: str = "") -> Era:
    """What the release of Keras that wrote a checkpoint of objects took for granted.

    Args:
        checkpoint: from a bundle or a SavedModel.
        version: the `keras_version`, where a configuration told it.
    """
    objects = checkpoint.objects
    paths = objects.paths.values() if objects else ()
    if version or any("_operations" in path for path in paths):
        return era(version, keras_3=not version)
    writer = checkpoint.writer.removeprefix("TensorFlow ")
    named = _cells_named(checkpoint)
    if writer.startswith("1.") or (not writer and named is False):
        return era("2.2.4-tf")
    if writer or named:
        return replace(era("2.4.0"), words=f"tf.keras of TensorFlow {writer or '2.2 and later'}")
    return era("")


def _cells_named(checkpoint: Checkpoint) -> bool | None:
    """Whether variables are named as from TensorFlow 2.2 on, `lstm/lstm_cell/kernel`; before it was `lstm/kernel`.

    Returns:
        None where no name tells.
    """
    objects = checkpoint.objects
    named = [
        objects.names[tensor].split("/")
        for tensor, path in (objects.paths.items() if objects else ())
        if objects and path[-1] == "recurrent_kernel" and "cell" in path and tensor in objects.names
    ]
    return any(len(words) > 1 and _CELL.fullmatch(words[-2]) for words in named) if named else None
