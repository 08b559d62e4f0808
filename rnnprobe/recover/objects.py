"""Layers from the objects of a TensorFlow 2 checkpoint: attributes, names of variables and shapes.

Covers what no Keras configuration describes as a whole: weights of Keras models saved in TensorFlow's format, models
with code of their own, modules, Sonnet cores, TensorFlow 1 cells tracked as objects (cells.md, sections 8.4 and 10.2).
A configuration that an object of such a model came with gives its options; without one they are assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.errors import BadInput
from rnnprobe.formats.keras_metadata import tells_layers
from rnnprobe.formats.object_graph import LAYER
from rnnprobe.recover import keras
from rnnprobe.recover.keras import bare, others, tracked
from rnnprobe.recover.keras.cells import assumed
from rnnprobe.recover.keras.cells import layer as configured
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config
from rnnprobe.recover.keras.store import FAMILIES, CellWeights, Flat, family, matches
from rnnprobe.types import (
    Candidate,
    Cell,
    Checkpoint,
    Direction,
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

_COUNTER = re.compile(r"_\d+$")
_STACKED = re.compile(r"(?P<stack>.+)/cell/cells/(?P<number>\d+)|(?P<multi>.+)/cell-(?P<position>\d+)(?:/cell)?")
_LISTED = re.compile(r"(?P<stack>(?:.+/)?[^/]+)/(?P<number>\d+)")
_STACKED_PAIR = re.compile(r".+/(?:forward|backward)_layer/cell/cells/\d+")
_SIDE = re.compile(r"/(?:forward|backward)(?:/\d+)?$")
_CELLS = re.compile(r"(?:^|.*[/_])cells?(?:[-/_]\w+)?$")
_TABLE = re.compile(r"embed", re.IGNORECASE)


@dataclass(slots=True)
class _Finder:
    """Collects layers and candidates from the objects of one checkpoint.

    Attributes:
        objects: of the checkpoint.
        cell: the cell that the user says candidates are, or None.
        era: what the release that wrote it took for granted.
        tensors: every weight by its attributes, joined by slashes; called so as well.
        stored: the same by the same, as stored.
        claimed: the keys of those that a layer holds.
    """

    objects: Objects
    cell: str | None
    era: Era
    tensors: dict[str, Tensor]
    stored: dict[str, Tensor]
    layers: list[Layer] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    assumed: bool = False

    def object(self, scope: str) -> None:
        """Claims the cell that an object is, or names it a candidate."""
        start = f"{scope}/" if scope else ""
        below = {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}
        below = {leaf: tensor for leaf, tensor in below.items() if tensor.name not in self.claimed}
        fitting = [fits for cell in CELLS if (fits := _fitting(cell, below))]
        # What accounts for more of it comes first, and of several what its variables are called after.
        fitting.sort(key=lambda fits: (-len(fits[1]), not self._called(fits)))
        if self.cell is not None:
            fitting = [fits for fits in fitting if fits[0].name == self.cell] or fitting
        named = [fits for fits in fitting if self._says(fits)]
        if not named:
            self._refuse(scope, below, [cell.name for cell, _, _ in fitting])
            return
        cell, weights, sizes = named[0]
        strangers = sorted(set(below) - {tensor.name.removeprefix(start) for tensor in weights.values()})
        if strangers and self.cell != cell.name:
            more = f" and {len(strangers) - 4} more" if len(strangers) > 4 else ""
            reason = f"besides the weights of {cell.name} it holds {', '.join(strangers[:4])}{more}"
            self.candidates.append(Candidate(scope, (cell.name,), reason))
            return
        found = self._layer(scope, cell, weights, sizes)
        if isinstance(found, Candidate):
            self.candidates.append(found)
            return
        self.claimed |= {tensor.name for tensor in weights.values()}
        self.layers.append(found)

    def _says(self, found: tuple[Cell, Mapping[str, Tensor], Mapping[str, int]]) -> bool:
        """Whether something says that these weights are this cell's: its attributes or its variables' own names."""
        # Sonnet 1 calls its convolutions as any are called.
        telling = found[0].framework not in ("tf1", "published") and found[0] not in SONNET1_CONV_LSTMS
        return telling or found[0].name == self.cell or self._called(found)

    def _called(self, found: tuple[Cell, Mapping[str, Tensor], Mapping[str, int]]) -> bool:
        """Whether the variables' own names lie in a scope of this cell's."""
        cell, weights, _ = found
        for weight in cell.weights:
            tensor = weights.get(weight.role)
            own = self.objects.names.get(self.stored[tensor.name].name, "") if tensor else ""
            leaf = next((name for name in weight.names if own.endswith(f"/{name}")), "")
            holder = own[: -len(leaf) - 1].rpartition("/")[2] if leaf else ""
            if holder not in cell.scopes and _COUNTER.sub("", holder) not in cell.scopes and tensor is not None:
                return False
        return True

    def _refuse(self, scope: str, below: Mapping[str, Tensor], fitting: Sequence[str]) -> None:
        recurs = [leaf for leaf in below if leaf in ("recurrent_kernel", "_w_h", "_hidden_to_hidden/w")]
        if recurs:
            shapes = ", ".join(f"{leaf} {list(tensor.shape)}" for leaf, tensor in below.items())
            reason = f"no cell that is known has weights of these shapes: {shapes}"
            self.candidates.append(Candidate(scope, (), reason))
        elif fitting and _CELLS.fullmatch(scope):
            words = " or ".join(fitting)
            reason = f"the shapes would fit {words}, but nothing names the cell; --cell settles it"
            self.candidates.append(Candidate(scope, tuple(fitting), reason))

    def _layer(
        self, scope: str, cell: Cell, weights: Mapping[str, Tensor], sizes: Mapping[str, int]
    ) -> Layer | Candidate:
        name = _name(scope)
        direction: Direction = "backward" if "backward_layer" in scope.split("/") else "forward"
        held = CellWeights(scope, {t.name.removeprefix(f"{scope}/"): t for t in weights.values()})
        config, back = self._config(scope)
        other = others.of_class(config) if config is not None else None
        if cell.framework != "keras" and (other is None or other.cell is not cell):
            return Layer(name, scope, cell, weights, sizes, defaults(cell), direction)
        if back != (direction == "backward") and config is not None:
            direction = "backward" if back else "forward"
        if config is None:
            self.assumed = True
            return Layer(name, scope, cell, weights, sizes, defaults(cell, assumed(cell, held, self.era)), direction)
        if other is None and (config.foreign or family(config.class_name) not in FAMILIES):
            fitting = tuple(found.name for found, _, _ in matches(held))
            return Candidate(scope, fitting, f"it is a {config.class_name}, a class of its own")
        return configured(name, config.class_name, config.config, held, self.era, direction, Feed(), other)

    def _config(self, scope: str) -> tuple[LayerConfig | None, bool]:
        """The configuration of a cell, or of the layer around it, and whether the layer runs backward."""
        around = scope.partition("/cell/cells/")[0].removesuffix("/cell")
        found = [
            layer_config(dict(self.objects.configs[path]), f"the object {path}")
            for path in dict.fromkeys((scope, around))
            if path in self.objects.configs
        ]
        back = any(config.config.get("go_backwards") is True for config in found)
        known = [config for config in found if config.class_name not in ("RNN", "StackedRNNCells")]
        return (known[0] if known else None), back


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
    finder = _Finder(objects, cell, tracked.meaning(checkpoint), called, stored)
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
    alone = _wire(tuple(finder.layers), _tables(finder))
    layers = [*(layer for network in networks for layer in network.layers), *alone]
    transforms = [one for network in networks for one in network.transforms]
    feeds = [feed for layer in layers for feed in (layer.feed, *layer.initial.values())]
    used = {source for feed in (*feeds, *(f for one in transforms for f in one.feeds)) for source in feed.sources}
    embeddings = [*(found for network in networks for found in network.embeddings), *_tables(finder)]
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
    tables = [
        replace(one, name=below(one.name), source=below(one.source) if one.source else "") for one in found.embeddings
    ]
    return replace(
        found,
        checkpoint=checkpoint,
        layers=tuple(layers),
        embeddings=tuple(tables),
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


def _chain(checkpoint: Checkpoint, layers: Sequence[str], finder: _Finder) -> Network:
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


def _fitting(cell: Cell, below: Mapping[str, Tensor]) -> tuple[Cell, dict[str, Tensor], dict[str, int]] | None:
    """A cell with its weights among the variables of an object, where they fit."""
    weights = {weight.role: below[leaf] for weight in cell.weights for leaf in weight.names if leaf in below}
    sizes = fit(cell, weights) if weights else None
    return (cell, weights, sizes) if sizes is not None else None


def _name(scope: str) -> str:
    """A layer's name: the path of the object that runs the cell."""
    name = re.sub(r"/cell/cells/(\d+)$", r"/\1", scope).removesuffix("/cell")
    return re.sub(r"/(forward|backward)_layer(?=/|$)", r"/\1", name) or "root"


def _tables(finder: _Finder) -> list[Embedding]:
    """What is called an embedding."""
    return [
        Embedding(name.removesuffix("/embeddings") or name, tensor, "assumed")
        for name, tensor in finder.tensors.items()
        if len(tensor.shape) == 2 and _TABLE.search(name) and name not in finder.claimed
    ]


def _wire(layers: tuple[Layer, ...], tables: Sequence[Embedding]) -> tuple[Layer, ...]:
    """The layers with their feeds: cells of a stack in a chain, lists likewise where the widths agree."""
    wired = []
    several = len({_SIDE.sub("", layer.name) for layer in layers}) > 1
    for layer in layers:
        feed = _feed(layer, layers, several)
        fitting = [table for table in tables if table.table.shape[1] == layer.input_size]
        if feed.sources[0].startswith("input") and feed.sources[0] != f"input of {layer.name}" and len(fitting) == 1:
            feed = replace(feed, sources=(fitting[0].name,))
        wired.append(replace(layer, feed=feed))
    return tuple(wired)


def _feed(layer: Layer, layers: Iterable[Layer], several: bool) -> Feed:
    stacked = _STACKED.fullmatch(layer.scope)
    if stacked:
        number = int(stacked["number"] or stacked["position"])
        at = stacked.start("number") if stacked["number"] else stacked.start("position")
        end = layer.scope[at:].partition("/")
        if number:
            scope = f"{layer.scope[:at]}{number - 1}{end[1]}{end[2]}"
            below = [other for other in layers if other.scope == scope]
            return _from(layer, below, Feed(evidence="weights"))
    stage = _SIDE.sub("", layer.name)
    listed = None if stacked else _LISTED.fullmatch(stage)
    if listed and int(listed["number"]):
        before = f"{listed['stack']}/{int(listed['number']) - 1}"
        below = [other for other in layers if _SIDE.sub("", other.name) == before]
        return _from(layer, below, Feed())
    if stage == layer.name:
        return Feed()
    # Both directions read one input, as their names say; that of another pair is another.
    return Feed((f"input of {stage}" if several else "input",), evidence="weights")


def _from(layer: Layer, below: Sequence[Layer], feed: Feed) -> Feed:
    """Fed by these layers, where their widths add up to what the layer takes; else by something else."""
    if below and sum(other.output_size for other in below) == layer.input_size:
        return replace(feed, sources=tuple(other.name for other in below))
    return Feed((f"input of {layer.name}",))
