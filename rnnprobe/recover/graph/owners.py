"""Layers, candidates and block ops as owners of weights, and the uses that a graph makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.recover.graph.block import block_cell, block_weights, is_block, read_block
from rnnprobe.recover.graph.cell import Application, Reader, read_gru, read_lstm, read_rnn
from rnnprobe.recover.graph.runs import Run, behind
from rnnprobe.recover.graph.unnamed import proposals
from rnnprobe.recover.graph.view import Ref
from rnnprobe.recover.graph.wrapped import own, unwrap
from rnnprobe.types import Candidate, Cell, Checkpoint, Layer, Network, OptionValue, Tensor

_KERNELS = ("gates_kernel", "kernel")
# The cells whose use is read here, by the equations that it is held against; the plainest first.
_FAMILIES = {
    "rnn": ("basic_rnn",),
    "lstm": ("basic_lstm", "lstm", "lstm_block", "lstm_block_wrapper", "lstm_fused", "cudnn_compatible_lstm"),
    "gru": ("gru", "gru_block"),
    "conv": ("conv_lstm_1d", "conv_lstm_2d", "conv_lstm_3d"),
}
_FAMILY = {cell: family for family, cells in _FAMILIES.items() for cell in cells}
# Cells that are told by the use of their weights alone.
_BY_USE = ("basic_rnn", "basic_lstm", "lstm", "gru", *_FAMILIES["conv"])


@dataclass(frozen=True, slots=True)
class Fit:
    """A cell that some weights would be, by their shapes; `options`: those that are known already."""

    cell: Cell
    weights: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Owner:
    """Weights in one scope that a cell of one family may have.

    Attributes:
        scope: where they lie.
        fits: the cells of the family that they would be, the plainest first.
        layer: the layer that names and shapes made of them, or None.
        proposed: nothing but the use of its weights speaks for a cell.
    """

    scope: str
    fits: tuple[Fit, ...]
    layer: Layer | None = None
    proposed: bool = False

    @property
    def fullest(self) -> Fit:
        """The fit that takes most of the weights."""
        return max(self.fits, key=lambda fitting: len(fitting.weights))

    @property
    def family(self) -> str:
        """`gru`, `rnn`, `lstm` or `conv`; empty for cells whose use is told by numbers alone (`told`)."""
        return _FAMILY.get(self.fits[0].cell.name, "")

    @property
    def kernel(self) -> str:
        """The stored name of the kernel whose product shows a use; empty where none does."""
        weights = self.fullest.weights
        return next((weights[role].name for role in _KERNELS if role in weights), "") if self.family else ""


def _known() -> list[Cell]:
    """The cells whose use is read here, the plainest of each family first, whatever their order in the registry."""
    order = list(_FAMILY)
    return sorted((cell for cell in CELLS if cell.name in _FAMILY), key=lambda cell: order.index(cell.name))


def _others() -> list[Cell]:
    """The cells whose use is told by numbers alone."""
    return [cell for cell in CELLS if cell.name not in _FAMILY]


def owners(network: Network, reader: Reader) -> list[Owner]:
    """Every layer, every candidate, once for each family, every block op's weights."""
    found = [Owner(layer.scope, (Fit(*own(layer), layer.sizes),), layer) for layer in network.layers]
    for candidate in network.candidates:
        families: dict[str, list[Fit]] = {}
        for fitting in _fits(candidate, network.checkpoint):
            families.setdefault(_FAMILY.get(fitting.cell.name, ""), []).append(fitting)
        found += [Owner(candidate.scope, tuple(fits)) for fits in families.values()]
    known = {tensor.name for layer in network.layers for tensor in layer.weights.values()}
    for owner in _blocks(network.checkpoint, reader):
        if owner.kernel not in known:
            known.add(owner.kernel)
            found = [other for other in found if other.layer is not None or other.kernel != owner.kernel]
            found.append(Owner(owner.scope, owner.fits))
    return found + list(_unnamed(network.checkpoint, reader, known | {owner.kernel for owner in found}))


def _unnamed(checkpoint: Checkpoint, reader: Reader, known: set[str]) -> Iterator[Owner]:
    """Owners of weights that are a cell's by their use alone; the kernel's name is their scope."""
    for weights in proposals(reader, checkpoint.tensors, known):
        fits = tuple(
            Fit(cell, weights, sizes)
            for cell in _known()
            if cell.name in _BY_USE
            and weights.keys() <= {weight.role for weight in cell.weights}
            and (sizes := fit(cell, weights)) is not None
        )
        for family in _FAMILIES:
            of_family = tuple(fitting for fitting in fits if _FAMILY[fitting.cell.name] == family)
            if of_family:
                yield Owner(next(weights[role].name for role in _KERNELS if role in weights), of_family, proposed=True)


def _fits(candidate: Candidate, checkpoint: Checkpoint) -> Iterator[Fit]:
    stored = checkpoint.weights
    for cell in (*_known(), *_others()):
        if cell.name in candidate.cells:
            weights = {}
            for weight in cell.weights:
                names = (f"{candidate.scope}/{name}" for name in weight.names)
                name = next((name for name in names if name in stored), None)
                if name is not None:
                    weights[weight.role] = stored[name]
            sizes = fit(cell, weights)
            if sizes is not None:
                yield Fit(cell, weights, sizes)


def _blocks(checkpoint: Checkpoint, reader: Reader) -> Iterator[Owner]:
    """Owners of the weights that block ops read."""
    cells = {cell.name: cell for cell in CELLS}
    for node in reader.view.nodes:
        if is_block(node):
            names = block_weights(reader.view, reader.variables, node)
            if all(name in checkpoint.tensors for name in names.values()):
                weights = {role: checkpoint.tensors[name] for role, name in names.items()}
                cell = cells[block_cell(node)]
                sizes = fit(cell, weights)
                if sizes is not None:
                    kernel = next(names[role] for role in _KERNELS if role in names)
                    yield Owner(kernel.rpartition("/")[0], (Fit(cell, weights, sizes),))


def applications(reader: Reader, owners: Sequence[Owner]) -> list[Application]:
    """Every use of an owner's kernel in the forward part of the graph."""
    kernels: dict[str, list[int]] = {}
    for number, owner in enumerate(owners):
        if owner.kernel:
            kernels.setdefault(owner.kernel, []).append(number)
    found: list[Application] = []
    for number, node in enumerate(reader.view.nodes):
        if node.hidden:
            continue
        kernel = reader.kernel(number)
        if kernel is not None:
            for k in kernels.get(reader.variables.name(kernel) or "", ()):
                app = reader.start(k, number)
                if app is not None:
                    found.append(app)
        elif is_block(node):
            names = block_weights(reader.view, reader.variables, node)
            stored = next((names[role] for role in _KERNELS if role in names), "")
            for k in kernels.get(stored, ()):
                if owners[k].family == _family_of_block(node.op):
                    found.append(read_block(reader.view, reader.variables, k, number))
    _read(reader, owners, [app for app in found if not app.kind])
    unwrap(reader, [owner.layer for owner in owners], found)
    return found


def _family_of_block(op: str) -> str:
    return "gru" if op.startswith("GRU") else "lstm"


def _read(reader: Reader, owners: Sequence[Owner], found: Sequence[Application]) -> None:
    """Reads what each application does after its product."""
    reached: dict[int, set[Ref]] = {}
    for app in found:
        if owners[app.owner].family == "rnn":
            reached.setdefault(app.owner, set()).update(behind(reader.view, app.h_in, {})[0])
    for app in found:
        owner = owners[app.owner]
        weights, order = owner.fullest.weights, owner.fullest.cell.gates
        if owner.family == "gru":
            read_gru(reader, app, weights, order)
        elif owner.family == "rnn":
            read_rnn(reader, app, weights, reached[app.owner])
        else:
            read_lstm(reader, app, weights, order)
        missing = sorted(weights.keys() - app.used)
        if not app.problem and missing and owner.layer is not None:
            app.problem = f"its {missing[0]} takes no part"


def settled(number: int, owner: Owner, applications: Sequence[Application], runs: Sequence[Run]) -> Layer | None:
    """The layer that an owner is, or None for a candidate that the graph does not show to be one.

    A candidate is one when every use of its kernel is read to the end and its states are carried on; those of a basic
    RNN, whose equation looks like any dense layer's, must be seen to come back to it, as must those of a cell that was
    merely proposed.
    """
    if owner.layer is not None:
        return owner.layer
    uses = [app for app in applications if app.owner == number]
    if not uses or any(app.problem or app.h_out is None for app in uses):
        return None
    own = [run for run in runs if run.owner == number]
    strict = owner.proposed or owner.family == "rnn"
    if not all(run.recurrent and (not strict or run.looped or len(run.steps) > 1) for run in own):
        return None
    roles = frozenset[str]().union(*(app.used for app in uses))
    clipped = any(app.options.get("cell_clip") is not None for app in uses)
    for fitting in owner.fits:
        takes_clip = any(option.name == "cell_clip" for option in fitting.cell.options)
        if fitting.weights.keys() == roles and (takes_clip or not clipped):
            cell = fitting.cell
            return Layer(owner.scope, owner.scope, cell, fitting.weights, fitting.sizes, defaults(cell))
    return None
