"""The cells that the objects of a checkpoint are: by attributes, names of variables, shapes and configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.recover.keras import others
from rnnprobe.recover.keras.cells import assumed
from rnnprobe.recover.keras.cells import layer as configured
from rnnprobe.recover.keras.config import Era, LayerConfig, layer_config
from rnnprobe.recover.keras.store import FAMILIES, CellWeights, family, matches
from rnnprobe.types import Candidate, Cell, Direction, Feed, Layer, Objects, Tensor

_COUNTER = re.compile(r"_\d+$")
_CELLS = re.compile(r"(?:^|.*[/_])cells?(?:[-/_]\w+)?$")
# From the layer that runs a cell to the cell: in stacks of Keras's and TensorFlow 1's, and in wrappers of cells.
_RUN = re.compile(r"(?:/cell(?:-\d+)?|/cell/cells/\d+)+$")


@dataclass(slots=True)
class Finder:
    """Collects layers and candidates from the objects of one checkpoint.

    Attributes:
        objects: of the checkpoint.
        cell: the cell that the user says candidates are, or None.
        era: what the release that wrote it took for granted.
        tensors: every weight by its attributes, joined by slashes; called so as well.
        stored: the same by the same, as stored.
        layers: those found so far, whose feeds are yet to be told.
        candidates: what may be a cell, and why it is no layer.
        claimed: the keys of those that a layer holds.
        assumed: some layer came without a configuration, and has the options of its release.
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
        direction = self._direction(scope)
        held = CellWeights(scope, {t.name.removeprefix(f"{scope}/"): t for t in weights.values()})
        config = self._config(scope)
        other = others.of_class(config) if config is not None else None
        if cell.framework != "keras" and (other is None or other.cell is not cell):
            return Layer(name, scope, cell, weights, sizes, defaults(cell), direction)
        if config is None:
            self.assumed = True
            return Layer(name, scope, cell, weights, sizes, defaults(cell, assumed(cell, held, self.era)), direction)
        if other is None and (config.foreign or family(config.class_name) not in FAMILIES):
            fitting = tuple(found.name for found, _, _ in matches(held))
            return Candidate(scope, fitting, f"it is a {config.class_name}, a class of its own")
        return configured(name, config.class_name, config.config, held, self.era, direction, Feed(), other)

    def _config(self, scope: str) -> LayerConfig | None:
        """The configuration of a cell, or of the layer around it, where either says what the cell is."""
        around = scope.partition("/cell/cells/")[0].removesuffix("/cell")
        found = [self._configured(path) for path in dict.fromkeys((scope, around)) if path in self.objects.configs]
        return next((config for config in found if config.class_name not in ("RNN", "StackedRNNCells")), None)

    def _direction(self, scope: str) -> Direction:
        """Which way a cell runs: as the layer around it is configured, else as the path says."""
        around = [path for path in (scope, _RUN.sub("", scope)) if path in self.objects.configs]
        told = [self._configured(path).config.get("go_backwards") for path in around]
        backward = next((turned for turned in told if isinstance(turned, bool)), "backward_layer" in scope.split("/"))
        return "backward" if backward else "forward"

    def _configured(self, path: str) -> LayerConfig:
        return layer_config(dict(self.objects.configs[path]), f"the object {path}")


def _fitting(cell: Cell, below: Mapping[str, Tensor]) -> tuple[Cell, dict[str, Tensor], dict[str, int]] | None:
    """A cell with its weights among the variables of an object, where they fit."""
    weights = {weight.role: below[leaf] for weight in cell.weights for leaf in weight.names if leaf in below}
    sizes = fit(cell, weights) if weights else None
    return (cell, weights, sizes) if sizes is not None else None


def _name(scope: str) -> str:
    """A layer's name: the path of the object that runs the cell."""
    name = re.sub(r"/cell/cells/(\d+)$", r"/\1", scope).removesuffix("/cell")
    return re.sub(r"/(forward|backward)_layer(?=/|$)", r"/\1", name) or "root"
