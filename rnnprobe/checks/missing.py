"""Why a layer that the specification names is not there: what is stored in its place, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator

from rnnprobe.analysis import words
from rnnprobe.cells import CELLS
from rnnprobe.checks.sizes import ANY, Sizes
from rnnprobe.checks.specification import LayerSpec
from rnnprobe.checks.verdict import Verdict
from rnnprobe.types import Network, Tensor, Weight


def missing(network: Network, one: LayerSpec, sizes: Sizes) -> Iterator[Verdict]:
    """What is found where a layer should be: tensors of another shape, none at all, or a layer like it."""
    for candidate in network.candidates:
        if candidate.scope == one.name:
            yield Verdict("cell", False, one.cell or "a cell", candidate.reason, one.level, one.key, one.name)
    own = _own(one, sizes)
    stored = False
    for weight in _weights(one):
        tensor = _stored(network, one.name, weight)
        stored = stored or tensor is not None
        verdict = _tensor(one, weight, tensor, sizes, own)
        if verdict is not None:
            yield verdict
    if not stored:
        like = _alike(network, one, own)
        if like:
            found = f"{words.few(like)}, which has its cell and sizes"
            yield Verdict("exists", False, "its old name", found, one.level, one.key, one.name)


def _own(one: LayerSpec, sizes: Sizes) -> dict[str, int]:
    """The layer's sizes as the specification says them, as far as it does."""
    found: dict[str, int] = {}
    for name, formula in one.sizes.items():
        value = None if formula == ANY else sizes.value(formula, found)
        if value is not None:
            found[name] = value
    if "units" in found:
        found.setdefault("output_size", found["units"])
    return found


def _weights(one: LayerSpec) -> tuple[Weight, ...]:
    """The tensors that the specification says that the layer has."""
    cell = next((cell for cell in CELLS if cell.name == one.cell), None)
    if cell is None:
        return ()
    roles = {*(one.weights or ()), *one.shapes}
    return tuple(weight for weight in cell.weights if weight.role in roles)


def _stored(network: Network, scope: str, weight: Weight) -> Tensor | None:
    tensors = network.checkpoint.tensors
    return next((tensors[f"{scope}/{name}"] for name in weight.names if f"{scope}/{name}" in tensors), None)


def _tensor(one: LayerSpec, weight: Weight, tensor: Tensor | None, sizes: Sizes, own: dict[str, int]) -> Verdict | None:
    formulas = one.shapes.get(weight.role, weight.shape)
    expected = sizes.words(formulas, own)
    key = (*one.key, "shapes", weight.role) if weight.role in one.shapes else one.key
    if tensor is None:
        name = f"{one.name}/{weight.names[0]}"
        return Verdict("weights", False, expected, "no such tensor", one.level, key, one.name, name, weight.role)
    values = tuple(sizes.value(formula, own) for formula in formulas)
    if len(values) == len(tensor.shape) and all(
        value in (None, size) for value, size in zip(values, tensor.shape, strict=True)
    ):
        return None
    found = words.shape(tensor.shape)
    if values[::-1] == tensor.shape:
        found += ", which is transposed"
    return Verdict("shape", False, expected, found, one.level, key, one.name, tensor.name, weight.role)


def _alike(network: Network, one: LayerSpec, own: dict[str, int]) -> list[str]:
    """Layers of the cell and the sizes that were expected."""
    return [
        layer.name
        for layer in network.layers
        if layer.cell.name == one.cell and all(layer.sizes.get(name) == size for name, size in own.items())
    ]
