"""The shape of every recurrent tensor, in words and numbers: the reports of `rnnprobe shapes`.

Reports and the keys of their rows, in JSON as here:

    shapes   layer, scope, cell, tensor, role, parts (what it is made of, along its first axis; of a convolution's
             kernel, the last but one), gates (along its last axis, in stored order), formulas (one for each axis),
             shape, parameters, bytes, dtype
    totals   group (a layer; or `embeddings`, `other tensors`, `set apart`, `the whole file`), tensors, parameters,
             bytes, shared (with another layer: then the whole counts them once)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.account import account, nbytes, parameters, stored
from rnnprobe.analysis.inspect import missing
from rnnprobe.analysis.weights import NOTHING, leaf
from rnnprobe.types import Column, Layer, Network, Report, Tensor, Weight

_COLUMNS = (
    Column("stored", "stored as"),
    Column("role", "role"),
    Column("words", "dimensions"),
    Column("shape", "shape", words.shape, right=True),
    Column("parameters", "parameters", words.count, right=True),
    Column("bytes", "size", words.size, right=True),
    Column("dtype", "dtype"),
)
_TOTALS = (
    Column("group", ""),
    Column("tensors", "tensors", words.count, right=True),
    Column("parameters", "parameters", words.count, right=True),
    Column("bytes", "size", words.size, right=True),
)


def shapes(network: Network, layers: Sequence[Layer]) -> tuple[Report, ...]:
    """The shapes of some layers of a network, and what they and the rest of the file come to. Reads no values."""
    reports = tuple(Report("shapes", _title(layer), _COLUMNS, tuple(_rows(layer))) for layer in layers)
    return (*reports, _totals(network))


def _title(layer: Layer) -> str:
    sizes = {"input_size": layer.input_size, "units": layer.units}
    if layer.output_size != layer.units:
        sizes["output_size"] = layer.output_size
    # 0 is what only the input will tell.
    known = {name: size for name, size in layer.sizes.items() if size}
    sizes |= {name: size for name, size in known.items() if name not in ("input_size", "units", "output_size")}
    return f"{layer.name}: {layer.cell.title}, " + ", ".join(f"{name} = {size:,}" for name, size in sizes.items())


def _rows(layer: Layer) -> Iterable[dict[str, Any]]:
    for weight in layer.cell.weights:
        tensor = layer.weights.get(weight.role)
        if tensor is not None:
            yield _row(layer, weight, tensor)


def _row(layer: Layer, weight: Weight, tensor: Tensor) -> dict[str, Any]:
    # Without a projection h is as wide as the gates, and the words say so.
    output = "output_size" if "projection" in layer.weights else "units"
    formulas = [words.formula(formula.replace("output_size", output)) for formula in weight.shape]
    return {
        "layer": layer.name,
        "scope": layer.scope,
        "cell": layer.cell.name,
        "tensor": tensor.name,
        "stored": leaf(layer, tensor),
        "role": weight.role,
        "parts": [part.name for part in weight.parts],
        "gates": list(weight.parts[0].gates) if weight.parts else [],
        "formulas": formulas,
        "words": words.formulas(formulas),
        "shape": list(tensor.shape),
        "parameters": tensor.size,
        "bytes": tensor.nbytes,
        "dtype": tensor.dtype,
    }


def _totals(network: Network) -> Report:
    checkpoint = network.checkpoint
    held = account(network)
    rows = []
    seen: set[str] = set()
    for layer in network.layers:
        names = stored(checkpoint, layer)
        own = [checkpoint.tensors[name] for name in names if name in checkpoint.tensors]
        rows.append(_sum(layer.name, own, shared=bool(seen & set(names))))
        seen.update(names)
    groups = {"embeddings": held.embeddings, "other tensors": held.other, "set apart": held.set_apart}
    rows += [_sum(group, tensors) for group, tensors in groups.items() if tensors]
    rows.append(_sum("the whole file", tuple(checkpoint.tensors.values())))
    notes = [f"{row['group']} shares its tensors; the whole counts them once" for row in rows if row["shared"]]
    if not network.layers:
        notes += NOTHING
    return Report("totals", "Totals", _TOTALS, tuple(rows), (*notes, *missing(network), *checkpoint.notes))


def _sum(group: str, tensors: Sequence[Tensor], *, shared: bool = False) -> dict[str, Any]:
    return {
        "group": group,
        "tensors": len(tensors),
        "parameters": parameters(tensors),
        "bytes": nbytes(tensors),
        "shared": shared,
    }
