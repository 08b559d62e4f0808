"""Which stored tensors belong to which layer of a Keras model.

`by_cell` cuts a list of tensors, in the order of its writer, into the weights of one cell each. `Flat` looks them up by
the lists of names in `.h5` files, `Nested` by the paths of objects in `.weights.h5` (cells.md, sections 9.1 and 9.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import fit
from rnnprobe.formats.keras_names import snake_case
from rnnprobe.recover.keras.config import Era
from rnnprobe.recover.keras.others import LEAVES, STORED
from rnnprobe.types import Cell, Checkpoint, Tensor

KERAS_CELLS = tuple(cell for cell in CELLS if cell.framework == "keras")
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")

# The shortest stem: of `cell/kernel_norm/gamma`, whose leaf is not `gamma`.
_LEAF = re.compile(rf"(?:(?P<stem>.*?)/)?(?P<leaf>{'|'.join(sorted(LEAVES))})(?P<number>_\d+)?(?::\d+)?")
# Keras 1: lstm_1_W_i; loaded and saved again, lstm_1_W_i_1.
_KERAS_1 = re.compile(r"(?P<stem>.+?)_(?P<leaf>[WUb](?:_[icfozrh])?)(?P<number>_\d+)?(?::\d+)?")
_TABLE = re.compile(r"(?:.*/)?embeddings(?:_\d+)?(?::\d+)?|.+?_W(?:_\d+)?(?::\d+)?")


# Any variable of a layer that does not recur.
_VARIABLE = re.compile(r"(?:(?P<stem>.*)/)?_?(?P<leaf>[a-z_]*?[a-z])(?:_\d+)?(?::\d+)?")
_VARIABLE_1 = re.compile(
    r"(?:.*/)?(?P<stem>[^/]+?)_(?P<leaf>W|b|gamma|beta|running_mean|running_std|alphas|depthwise_kernel|pointwise_kernel)"
    r"(?:_\d+)?(?::\d+)?"
)


# The path of a variable within a layer's group, its name, and the tensor.
_Variable: TypeAlias = tuple[tuple[str, ...], str, Tensor]
Fitting: TypeAlias = tuple[Cell, dict[str, Tensor], dict[str, int]]
"""A cell, role → tensor, and the sizes."""


@dataclass(frozen=True, slots=True)
class CellWeights:
    """The tensors of one cell.

    Attributes:
        scope: where they lie; unique in the file.
        tensors: leaf (`kernel`, `U_i` …) → tensor.
        words: the components of the path within the layer's group.
    """

    scope: str
    tensors: Mapping[str, Tensor]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A layer's place in the model.

    Attributes:
        names: the layer's own name, after those of the models that it is in.
        named: its path of objects, by names; None stands for the container of a model's layers.
        counted: the same by classes and counters.
    """

    names: tuple[str, ...] = ()
    named: tuple[str | None, ...] = ()
    counted: tuple[str | None, ...] = ()

    def below(self, name: str, counted: str) -> Place:
        """The place of a layer of the model that stands here."""
        return Place((*self.names, name), (*self.named, None, name), (*self.counted, None, counted))

    def inside(self, part: str) -> Place:
        """The place of the layer that this one wraps."""
        return Place(self.names, (*self.named, part), (*self.counted, part))

    def __str__(self) -> str:
        return "/".join(self.names)


def store(checkpoint: Checkpoint) -> Flat | Nested:
    """The checkpoint's weights, whichever way they are laid out."""
    tensors = checkpoint.tensors
    if any("/vars/" in name for names in checkpoint.groups.values() for name in names):
        return Nested({key: [tensors[name] for name in names] for key, names in checkpoint.groups.items()})
    backend = re.search(r"\((\w+)\)$", checkpoint.writer)
    groups = {key: [tensors[name] for name in names] for key, names in checkpoint.groups.items()}
    return Flat(groups, backend=backend[1] if backend else "")


def by_cell(layer: str, tensors: Iterable[Tensor]) -> list[CellWeights]:
    """The weights of each recurrent cell among a group's tensors, in their order."""
    found: list[tuple[str, dict[str, Tensor]]] = []
    latest: dict[tuple[str, str], int] = {}
    for tensor in tensors:
        match = _LEAF.fullmatch(tensor.name) or _KERAS_1.fullmatch(tensor.name)
        if match is None:
            continue
        key = (match["stem"] or "", match["number"] or "")
        at = latest.get(key)
        if at is None or match["leaf"] in found[at][1]:
            at = latest[key] = len(found)
            found.append((key[0] + (f"[{key[1][1:]}]" if key[1] else ""), {}))
        found[at][1][match["leaf"]] = tensor
    kept = [(scope, leaves) for scope, leaves in found if any(_recurs(leaf) for leaf in leaves)]
    named: dict[str, int] = {}
    result = []
    for scope, leaves in kept:
        named[scope] = named.get(scope, 0) + 1
        unique = scope if named[scope] == 1 else f"{scope}[call {named[scope]}]"
        within = scope.removeprefix("model_weights/").removeprefix(layer).strip("/")
        result.append(CellWeights(unique, leaves, tuple(within.split("/"))))
    return result


def _recurs(leaf: str) -> bool:
    return leaf == "recurrent_kernel" or leaf.startswith("U")


def is_table(tensor: Tensor) -> bool:
    """Whether a tensor of a `.h5` is called as Keras calls the matrix of an `Embedding`."""
    return len(tensor.shape) == 2 and _TABLE.fullmatch(tensor.name) is not None


@dataclass(slots=True)
class Flat:
    """Weights by layer name (`.h5`). A nested model's lie in the group of the outermost model that is a layer.

    Attributes:
        groups: layer → its tensors.
        aliases: a layer's name in the configuration → in the file, where they differ.
        backend: what Keras ran on where that was not TensorFlow, as far as the file tells it.
    """

    groups: Mapping[str, Sequence[Tensor]]
    aliases: dict[str, str] = field(default_factory=dict)
    backend: str = ""
    _left: dict[str, list[CellWeights]] = field(default_factory=dict)

    def group(self, place: Place) -> str:
        """The stored name of the outermost layer of a place (`aliases`: where the configuration has another)."""
        return self.aliases.get(place.names[0], place.names[0])

    def cell(self, place: Place, *parts: str, leaves: Sequence[str] = STORED) -> CellWeights | None:
        """The next cell of a layer, in the order of its writer; its path and its leaves tell nothing here."""
        group = self.group(place)
        if group not in self._left:
            self._left[group] = by_cell(group, self.groups.get(group, ()))
        left = self._left[group]
        own = [held for held in left if len(place.names) > 1 and _mentions(held, place.names[-1])]
        if not left:
            return None
        chosen = own[0] if own else left[0]
        left.remove(chosen)
        return chosen

    def table(self, place: Place) -> Tensor | None:
        """The matrix of an `Embedding`."""
        tensors = [t for t in self.groups.get(self.group(place), ()) if len(t.shape) == 2]
        if len(place.names) > 1:
            tensors = [t for t in tensors if re.search(rf"(^|/){re.escape(place.names[-1])}(/|_W)", t.name)]
        return next((tensor for tensor in tensors if is_table(tensor)), None)

    def flips(self, kernel: Tensor, meaning: Era) -> bool:
        """Whether a convolution's kernel is to be turned round, as Theano does; its names have no `:0` at the end."""
        if self.backend:
            return self.backend == "theano"
        return meaning.major < 3 and re.search(r":\d+$", kernel.name) is None

    def theano(self, meaning: Era) -> bool:
        """Whether Keras ran on Theano."""
        return any(self.flips(tensor, meaning) for tensors in self.groups.values() for tensor in tensors[:1])

    def variables(self, place: Place, parts: Sequence[str] = (), alias: str = "") -> dict[str, Tensor]:
        """The tensors of a layer that does not recur, by the names of its variables (`kernel`, `b`).

        Args:
            place: the layer's.
            parts: the names that a layer in it has, of which it holds the variables, in the releases.
            alias: the name of the layer that it wraps, after which Keras 1 named the weights.
        """
        group = self.group(place)
        held = [(*_words(tensor, group), tensor) for tensor in self.groups.get(group, ())]
        if len(place.names) > 1:
            own = [one for one in held if set(place.names[1:]) <= set(one[0])]
            own = own or [one for one in held if place.names[-1] in one[0] or (alias and alias in one[0])]
            held = own or _numbered(held, place.names[-1]) or _of_one(held)
        if parts:
            held = [one for one in held if one[0] and one[0][-1] in parts]
        return {leaf: tensor for _, leaf, tensor in held}

    def recurrent(self, place: Place) -> bool:
        """Whether the layer holds something that only recurrent layers do."""
        tensors = self.groups.get(self.group(place), ())
        return any("recurrent" in tensor.name.rpartition("/")[2] for tensor in tensors)


def _words(tensor: Tensor, group: str) -> tuple[tuple[str, ...], str]:
    """The path of a tensor within a layer's group, and the name of the variable without what makes it unique."""
    path = tensor.name.removeprefix("model_weights/").removeprefix(group).strip("/")
    match = _VARIABLE_1.fullmatch(path) or _VARIABLE.fullmatch(path)
    if match is None:
        return (), path
    return tuple((match["stem"] or "").split("/")), match["leaf"]


def _numbered(held: list[_Variable], layer: str) -> list[_Variable]:
    """Those of a layer whose name another had already: TensorFlow 1 then numbered its scope."""
    word = re.compile(rf"{re.escape(layer)}_\d+")
    return _of_one([one for one in held if any(word.fullmatch(own) for own in one[0])])


def _of_one(held: list[_Variable]) -> list[_Variable]:
    """Everything, where it can be of one layer alone."""
    return held if len({words for words, _, _ in held}) == 1 else []


def _mentions(held: CellWeights, layer: str) -> bool:
    """Whether a path in a nested model's group is that of a layer (Keras 1 joins the two with an underscore)."""
    return any(word == layer or word in (f"forward_{layer}", f"backward_{layer}") for word in held.words)


@dataclass(slots=True)
class Nested:
    """Weights by the path of the object that holds them (`.weights.h5`)."""

    groups: Mapping[str, Sequence[Tensor]]

    def _find(self, place: Place, *endings: str) -> Sequence[Tensor]:
        """The tensors of an object; by its own name where the file has that, else by its class."""
        paths = {tensors[0].name.rpartition("/vars/")[0]: key for key, tensors in self.groups.items() if tensors}
        stored = {path: paths[own] for own, path in renumbered(paths).items()}
        for container in CONTAINERS:
            named = "/".join(container if part is None else part for part in place.named)
            counted = "/".join(container if part is None else part for part in place.counted)
            for ending in endings:
                # Only where the writer stored names is a group called by something else than its path.
                if f"{named}{ending}" in self.groups and stored.get(f"{named}{ending}") != f"{named}{ending}":
                    return self.groups[f"{named}{ending}"]
            for ending in endings:
                if f"{counted}{ending}" in stored:
                    return self.groups[stored[f"{counted}{ending}"]]
        return ()

    def cell(self, place: Place, *parts: str, leaves: Sequence[str] = STORED) -> CellWeights | None:
        """A cell of a layer.

        Args:
            place: the layer's.
            parts: the cell's path in the layer, as objects.
            leaves: the variables in their order; of an object in the cell, after its name.
        """
        path = "".join(f"/{part}" for part in parts)
        found = self._find(place, f"{path}/cell", path)
        if leaves is STORED:
            return positional(found) if 2 <= len(found) <= 3 else None
        objects = dict.fromkeys(leaf.partition("/")[0] for leaf in leaves if "/" in leaf)
        inner = {name: self._find(place, f"{path}/cell/{name}", f"{path}/{name}") for name in objects}
        return numbered(found, inner, leaves)

    def table(self, place: Place) -> Tensor | None:
        """The matrix of an `Embedding`."""
        found = self._find(place, "")
        return found[0] if found and len(found[0].shape) == 2 else None

    def variables(self, place: Place, parts: Sequence[str] = (), alias: str = "") -> dict[str, Tensor]:
        """The tensors of a layer that does not recur, by their numbers; arguments as in `Flat`."""
        found = self._find(place, *(f"/{part}" for part in parts)) if parts else self._find(place, "")
        return {str(k): tensor for k, tensor in enumerate(found)}

    def recurrent(self, place: Place) -> bool:
        """Whether the layer holds something that only recurrent layers do."""
        return bool(self._find(place, "/cell"))


def renumbered(paths: Iterable[str]) -> dict[str, str]:
    """Each path as most releases would number it: Keras 2.12 called the second of a class `lstm_2`, not `lstm_1`."""
    words = {tuple(path.split("/")[: k + 1]) for path in paths for k in range(path.count("/") + 1)}
    found = {}
    for path in paths:
        parts = path.split("/")
        for k, part in enumerate(parts):
            base, _, number = part.rpartition("_")
            above = tuple(path.split("/")[:k])
            skips = number.isdecimal() and (*above, base) in words and (*above, f"{base}_1") not in words
            parts[k] = f"{base}_{int(number) - 1}" if skips else part
        found[path] = "/".join(parts)
    return found


def positional(tensors: Sequence[Tensor], leaves: Sequence[str] = STORED) -> CellWeights:
    """A cell of `.weights.h5`: its variables by their position."""
    scope = tensors[0].name.rpartition("/vars/")[0]
    return CellWeights(scope, dict(zip(leaves, tensors, strict=False)), tuple(scope.split("/")))


def numbered(own: Sequence[Tensor], inner: Mapping[str, Sequence[Tensor]], leaves: Sequence[str]) -> CellWeights | None:
    """A cell of `.weights.h5` with objects in it, where it has just these variables.

    Args:
        own: its own variables by their position.
        inner: those of each object in it.
        leaves: what they are called, `kernel` or `kernel_norm/gamma`, in their order.
    """
    tensors, named = list(own), [leaf for leaf in leaves if "/" not in leaf]
    for name, held in inner.items():
        tensors += held
        named += [leaf for leaf in leaves if leaf.startswith(f"{name}/")]
    return positional(tensors, named) if own and len(tensors) == len(named) == len(leaves) else None


def family(class_name: str) -> str:
    """`LSTM` for `LSTM`, `LSTMCell` and `CuDNNLSTM`, whose weights Keras loads into each other."""
    return class_name.removesuffix("Cell").removeprefix("CuDNN")


FAMILIES = frozenset(family(name) for cell in KERAS_CELLS for name in cell.classes)


def matches(held: CellWeights, class_name: str | None = None) -> list[Fitting]:
    """The cells of Keras that the names and shapes of these tensors allow, with role → tensor and sizes.

    Args:
        held: the tensors; every one of them must have a role.
        class_name: the Keras class, or None where it is not known.
    """
    found: list[Fitting] = []
    for cell in KERAS_CELLS:
        if class_name is not None and family(class_name) not in {family(name) for name in cell.classes}:
            continue
        found += fitting(cell, held)
    return found


def fitting(cell: Cell, held: CellWeights) -> list[Fitting]:
    """The cell with its weights among these tensors and its sizes, where they are just that; else nothing."""
    weights = {
        weight.role: held.tensors[name] for weight in cell.weights for name in weight.names if name in held.tensors
    }
    sizes = fit(cell, weights) if len(weights) == len(held.tensors) else None
    return [(cell, weights, sizes)] if sizes is not None else []


def stacked_cell(class_name: str, number: int) -> str:
    """The path component of a cell of `StackedRNNCells`, counted among those of its class."""
    return f"{snake_case(class_name)}_{number}" if number else snake_case(class_name)
