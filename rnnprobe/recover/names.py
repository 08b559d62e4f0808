"""Layers from the names and shapes of TensorFlow variables alone (cells.md, sections 0.4, 1, 6, 7 and 12).

A scope is claimed for a cell when its last component is a name that TensorFlow gave that cell (or, for Keras cells,
when `kernel` and `recurrent_kernel` lie side by side, and for Sonnet's cores by the names of the variables), every
tensor below it is accounted for, and the shapes satisfy the cell's formula. Anything else that looks recurrent becomes
a `Candidate`, for a graph or a flag to settle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.formats.keras_names import snake_case
from rnnprobe.formats.natural import natural
from rnnprobe.recover.beside import bereft, beside
from rnnprobe.recover.numbered import stack
from rnnprobe.recover.opaque import cut, left
from rnnprobe.recover.stacked import bottoms
from rnnprobe.recover.wiring import forward_first, wire
from rnnprobe.recover.wrapped import wrapped
from rnnprobe.types import Array, Candidate, Cell, Checkpoint, Layer, Network, Tensor, Value

# Components that TensorFlow's own drivers and wrappers open; a cell of unknown name below one of them is a candidate.
_DRIVER = re.compile(
    r"(bi|stack)?_?rnn(_\w+)?|birnn(_[fb]w)?|stackrnn|[fb]w|multi_?rnn_?cell|cell_?\d+|bidirectional_rnn|stack_bidirectional_rnn"
    r"|\w*(lstm|gru|rnn)\w*|encoder\w*|decoder\w*",
    re.IGNORECASE,
)
# The scopes of the cuDNN layers that are basic cells, and tell the activation.
_CUDNN_RNN = re.compile(r"(?:^|/)cudnn_rnn_(tanh|relu)(?:_\d+)?/")
# What stands in front of a grid of cells, whatever its class is called.
_GRID = re.compile(r"(?P<scope>.*)/project_m_\d+")
_BEREFT = "a BatchNormLSTM, and nothing says which statistics its norms have: they lie beside it, under other names"
_COUNTER = re.compile(r"_\d+$")
_VARIABLE = re.compile(r"(.+)/Variable(?:_\d+)?")
_SHARD = re.compile(r"^(?P<stem>.*/)?(?P<kind>W|W_P|W_[ft]_\d+)_(?P<number>\d+)$")


@dataclass(frozen=True, slots=True)
class _Match:
    """Tensors below one scope that a cell's table knows by name."""

    scope: str
    cell: Cell
    weights: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    named: bool


def recover(checkpoint: Checkpoint, cell: str | None = None) -> Network:
    """The network of a TensorFlow checkpoint, as far as names and shapes tell.

    Args:
        checkpoint: what was read.
        cell: the name of a cell that the user says candidates are.
    """
    whole, cuts = cut(checkpoint.weights, checkpoint.graph)
    tensors = stack(_join_shards(whole)) | beside(checkpoint.tensors)
    layers: list[Layer] = []
    candidates: list[Candidate] = []
    for scope, matches, strangers in _scopes(tensors):
        if cell is not None:
            forced = [match for match in matches if match.cell.name == cell]
            if forced:
                layers.append(_layer(forced[0], checkpoint))
                continue
        named = [match for match in matches if match.named]
        if named and not strangers:
            layers.append(_layer(named[0], checkpoint))
        elif strangers and (named or _below_driver(scope)):
            candidates.append(_with_strangers(scope, matches, strangers))
        elif matches and (_below_driver(scope) or any(_convolves_h(match) for match in matches)):
            candidates.append(_unnamed(scope, matches))
    claimed = tuple(f"{layer.scope}/" for layer in layers)
    # What lies inside of a cell's scope is its own: the inner cells of a grid.
    layers = [layer for layer in layers if not layer.scope.startswith(claimed)]
    candidates = [candidate for candidate in candidates if not candidate.scope.startswith(claimed)]
    candidates += [Candidate(scope, (), _BEREFT) for scope in bereft(tensors)]
    layers, candidates = _outside_grids(layers, candidates, tensors)
    layers = bottoms(wrapped(layers, tensors), tensors)
    # A wrapper's weights may look like those of a basic cell.
    taken = {tensor.name for layer in layers for tensor in layer.weights.values()}
    spare = [name for name in tensors if name not in taken]
    candidates = [one for one in candidates if any(name.startswith(f"{one.scope}/") for name in spare)]
    layers.sort(key=lambda layer: natural(forward_first(layer.scope)))
    notes, buffers = left(tensors)
    return wire(Network(checkpoint, tuple(layers), (), (*candidates, *buffers), (*cuts, *notes)))


def _outside_grids(
    layers: Sequence[Layer], candidates: Sequence[Candidate], tensors: Iterable[str]
) -> tuple[list[Layer], list[Candidate]]:
    """Without the cells of grids of which no table is known: by themselves they are none.

    Such a grid is a candidate: `GridRNNCell` with dimensions that its user arranged.
    """
    stored = list(tensors)
    grids = {found["scope"] for name in stored if (found := _GRID.fullmatch(name))}
    grids = {scope for scope in grids if any(name.startswith(f"{scope}/recurrent/") for name in stored)}
    inside = tuple(f"{scope}/recurrent/" for scope in grids)
    left = [layer for layer in layers if not layer.scope.startswith(inside)]
    open_ = [candidate for candidate in candidates if not candidate.scope.startswith(inside)]
    unknown = grids - {layer.scope for layer in left} - {candidate.scope for candidate in open_}
    reason = "a grid of cells, of which neither names nor shapes tell how its dimensions are arranged"
    return left, [*open_, *(Candidate(scope, (), reason) for scope in sorted(unknown))]


def _join_shards(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """TensorFlow 0.12's `num_unit_shards`: `W_0 … W_k` are row blocks of one matrix, joined here under `W_0`."""
    joined = dict(tensors)
    shards: dict[tuple[str, str], dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        found = _SHARD.match(name)
        if found and len(tensor.shape) == 2:
            key = (found["stem"] or "", found["kind"])
            shards.setdefault(key, {})[int(found["number"])] = tensor
    for (stem, kind), parts in shards.items():
        columns = {tensor.shape[1] for tensor in parts.values()}
        if len(parts) > 1 and sorted(parts) == list(range(len(parts))) and len(columns) == 1:
            for number in parts:
                del joined[f"{stem}{kind}_{number}"]
            joined[f"{stem}{kind}_0"] = _stack_rows(f"{stem}{kind}_0", [parts[k] for k in sorted(parts)])
    return joined


def _stack_rows(name: str, parts: list[Tensor]) -> Tensor:
    """Row blocks as one tensor, whose slices read only the blocks that they touch."""
    bounds = np.cumsum([0, *(part.shape[0] for part in parts)])

    def read(rows: slice) -> Array:
        start, stop, _ = rows.indices(int(bounds[-1]))
        return np.concatenate(
            [
                part.load(slice(max(start - low, 0), max(min(stop, high) - low, 0)))
                for part, low, high in zip(parts, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
                if low < stop and start < high
            ]
            or [parts[0].load(slice(0, 0))]
        )

    problem = next((part.problem for part in parts if part.problem), "")
    return Tensor(name, (int(bounds[-1]), parts[0].shape[1]), parts[0].dtype, read, problem)


def _scopes(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, list[_Match], list[str]]]:
    """Each scope that holds the weights of some cell: `(scope, matches, names below it that no match accounts for)`."""
    leaves: dict[str, list[tuple[str, str]]] = {}
    for cell in CELLS:
        for weight in cell.weights:
            for leaf in weight.names:
                leaves.setdefault(leaf, []).append((cell.name, weight.role))
    roles: dict[str, dict[str, dict[str, Tensor]]] = {}
    for name, tensor in tensors.items():
        for slash in (place for place, letter in enumerate(name) if letter == "/"):
            for known_as, role in leaves.get(name[slash + 1 :], ()):
                roles.setdefault(name[:slash], {}).setdefault(known_as, {})[role] = tensor
    for scope in sorted(roles, key=natural):
        matches = [
            _Match(scope, cell, weights, sizes, _is_named(scope, cell))
            for cell in CELLS
            if (weights := roles[scope].get(cell.name)) and (sizes := fit(cell, weights))
        ]
        # A kernel by itself is that of any layer, unless its scope says what it is.
        matches = [match for match in matches if match.named or match.weights.keys() != {"kernel"}]
        matches.sort(key=lambda match: -len(match.weights))  # what accounts for more of it comes first
        best = next((match for match in matches if match.named), matches[0] if matches else None)
        if best is None:
            continue
        known = {tensor.name for tensor in best.weights.values()}
        known |= set(_kept_states(best, tensors))
        yield scope, matches, sorted(n for n in tensors if n.startswith(f"{scope}/") and n not in known)


def _kept_states(match: _Match, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """The states `[batch, units]` that a stateful layer of tf.keras keeps in variables without a name of their own."""
    for name, tensor in tensors.items() if match.cell.framework == "keras" else ():
        place = _VARIABLE.fullmatch(name)
        if place and place[1] == match.scope and len(tensor.shape) == 2 and tensor.shape[1] == match.sizes["units"]:
            yield name


def _is_named(scope: str, cell: Cell) -> bool:
    """Whether the scope's last component says that it is this cell."""
    if cell.framework == "keras" or (cell.framework == "sonnet" and cell not in SONNET1_CONV_LSTMS):
        # No other cell keeps `kernel` and `recurrent_kernel` side by side in these proportions, nor has Sonnet's names,
        # below whatever name the user gave the core; but Sonnet 1 calls its convolutions as any are called.
        return bool(cell.scopes) or _is_of_class(scope, cell)
    return scope.rpartition("/")[2] in cell.scopes or _bare(scope) in cell.scopes


def _is_of_class(scope: str, cell: Cell) -> bool:
    """Whether tf.keras calls a layer of its class so: `cu_dnnlstm`. Of Keras 1, without a kernel, no scope is known."""
    stored = {name for weight in cell.weights for name in weight.names}
    return "kernel" in stored and _bare(scope) in {snake_case(name) for name in cell.classes}


def _bare(scope: str) -> str:
    """The last component of a scope, without its number."""
    return _COUNTER.sub("", scope.rpartition("/")[2])


def _convolves_h(match: _Match) -> bool:
    """Whether it has a kernel for h besides that for its input, and both of a convolution."""
    return match.cell.space is not None and "recurrent_kernel" in match.weights


def _below_driver(scope: str) -> bool:
    return any(_DRIVER.fullmatch(component) for component in scope.split("/"))


def _layer(match: _Match, checkpoint: Checkpoint) -> Layer:
    known = {}
    fixed = {option.name for option in match.cell.options if len(option.choices) == 1}
    keras = match.cell.framework == "keras" and "recurrent_activation" not in fixed
    if keras and checkpoint.writer.startswith("TensorFlow 1."):
        known["recurrent_activation"] = Value("hard_sigmoid", "assumed")
    cudnn = _CUDNN_RNN.search(match.scope)
    if cudnn and match.cell.name == "basic_rnn":
        known["activation"] = Value(cudnn[1], "weights")
    return Layer(match.scope, match.scope, match.cell, match.weights, match.sizes, defaults(match.cell, known))


def _with_strangers(scope: str, matches: Iterable[_Match], strangers: list[str]) -> Candidate:
    listed = ", ".join(name.removeprefix(f"{scope}/") for name in strangers[:4])
    more = f" and {len(strangers) - 4} more" if len(strangers) > 4 else ""
    cells = tuple(dict.fromkeys(match.cell.name for match in matches))
    return Candidate(scope, cells, f"besides the weights of {' or '.join(cells)} it holds {listed}{more}")


def _unnamed(scope: str, matches: Iterable[_Match]) -> Candidate:
    cells = tuple(dict.fromkeys(match.cell.name for match in matches))
    return Candidate(
        scope,
        cells,
        f"the shapes would fit {' or '.join(cells)}, but its name is none that TensorFlow gives one; "
        f"a graph (.meta) beside the checkpoint or --cell settles it",
    )
