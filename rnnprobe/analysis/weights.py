"""The weights of layers, gate by gate: the reports of `rnnprobe weights`.

The rows of `weights`, in JSON as here, one for each layer, part and gate:

    layer, scope, cell
    part          `kernel` (meets the input), `recurrent_kernel` (meets h), `bias`, `recurrent_bias`, `peephole`,
                  `projection`
    gate          rnnprobe's letter, or null where the part has no gates
    spelled       the writer's own letter for it, or null
    shape         of the block, as `-o` writes it
    tensor, role  the stored tensor and its role in the cell
    rows, columns where the block lies along its last two axes, [start, stop]; columns is null in a vector, both are in
                  what is one number
    slice         the same as text, with the tensor's name below the scope
    transposed    stored as cuDNN wants it; the block is put right
    dtype         as stored; everything below is computed in float64
    norm          Frobenius
    radius        the largest absolute eigenvalue of a square recurrent block, else null
    min, mean, max, std
    zeros         the share of exact zeros
    histogram     how many finite elements lie in each bin
    edges         of the bins, one more than these
    nonfinite     how many elements are NaN or infinite
    first_nonfinite   where in the stored tensor the first of them lies
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.figures import Figures, figures
from rnnprobe.analysis.select import choose
from rnnprobe.cells.slices import GateSlice, slices
from rnnprobe.errors import BadInput
from rnnprobe.types import Column, Layer, Network, Report, Tensor

_COLUMNS = (
    Column("part", "part"),
    Column("gate", "gate"),
    Column("shape", "shape", words.shape, right=True),
    Column("slice", "stored in"),
    Column("norm", "norm", words.precise, right=True),
    Column("radius", "radius", words.precise, right=True),
    Column("min", "min", words.number, right=True),
    Column("mean", "mean", words.number, right=True),
    Column("max", "max", words.number, right=True),
    Column("std", "std", words.number, right=True),
    Column("zeros", "zeros", words.share, right=True),
    Column("histogram", "min … max", words.sparkline),
)

NOTHING = ("no recurrent layer was found; `rnnprobe inspect` says what is in the file",)


def blocks(
    layers: Sequence[Layer], gates: Sequence[str] = (), parts: Sequence[str] = (), path: Path | None = None
) -> dict[str, tuple[GateSlice, ...]]:
    """Layer → its blocks, in stored order.

    Args:
        layers: the layers.
        gates: the gates wanted; all of them, and what has no gates, if none is named.
        parts: the parts wanted; all of them if none is named.
        path: of the file, for the message.

    Raises:
        BadInput: a gate or part that none of the layers has; the hint lists those that there are.
    """
    found = {layer.name: tuple(slices(layer)) for layer in layers}
    every = [block for chosen in found.values() for block in chosen]
    wanted_gates = choose("gate", gates, [block.gate for block in every if block.gate], path)
    wanted_parts = choose("part", parts, [block.part for block in every], path)
    return {
        name: tuple(
            block
            for block in chosen
            if block.part in wanted_parts and (block.gate in wanted_gates or not (block.gate or gates))
        )
        for name, chosen in found.items()
    }


def weights(
    network: Network, layers: Sequence[Layer], gates: Sequence[str] = (), parts: Sequence[str] = ()
) -> tuple[Report, ...]:
    """A report for each layer, all of one name.

    Args:
        network: what was recovered; for messages.
        layers, gates, parts: as in `blocks`.

    Raises:
        BadInput: an unknown gate or part; or values that can't be read.
    """
    path = network.checkpoint.path
    chosen = blocks(layers, gates, parts, path)
    _readable(path, [block for found in chosen.values() for block in found])
    reports = tuple(
        Report("weights", title(layer), _COLUMNS, rows, _remarks(layer, found))
        for layer in layers
        if (found := chosen[layer.name]) and (rows := tuple(measured(layer, found, path)))
    )
    return reports or (Report("weights", "", _COLUMNS, (), NOTHING),)


def measured(layer: Layer, found: Sequence[GateSlice], path: Path | None = None) -> Iterable[dict[str, Any]]:
    """The rows of some blocks of a layer; `path` is that of the file, for messages."""
    for block, values in figures(found, path):
        yield {**_where(layer, block), **_values(values)}


def title(layer: Layer) -> str:
    """`rnn/basic_lstm_cell: BasicLSTM, 65 → 128`."""
    output = "" if layer.output_size == layer.units else f" → {layer.output_size}"
    backward = ", backward" if layer.direction == "backward" else ""
    return f"{layer.name}: {layer.cell.title}, {layer.input_size} → {layer.units}{output}{backward}"


def leaf(layer: Layer, tensor: Tensor) -> str:
    """A tensor's name below its layer's scope; of one that lies elsewhere the last component.

    What a layer attends to has tensors where it was made: these go by their whole name.
    """
    below = tensor.name.removeprefix(f"{layer.scope}/")
    return below if layer.context is not None or below != tensor.name else tensor.name.rpartition("/")[2]


def nonfinite(reports: Sequence[Report]) -> tuple[str, ...]:
    """A warning for each block of weights that holds NaN or infinite values, with the place of the first."""
    return tuple(_warning(row) for report in reports for row in report.rows if row.get("nonfinite"))


def _warning(row: Mapping[str, Any]) -> str:
    number, block = row["nonfinite"], " ".join(filter(None, (row["part"], row["gate"])))
    are = "value that is" if number == 1 else "values that are"
    step = f"step {row['step']}: " if "step" in row else ""
    return (
        f"{step}{row['tensor']} holds {number:,} {are} NaN or infinite ({block}), the first at {row['first_nonfinite']}"
    )


def _readable(path: Path, wanted: Sequence[GateSlice]) -> None:
    problem = next((block.tensor.problem for block in wanted if block.tensor.problem), "")
    if problem:
        raise BadInput(problem, path=path, hint=f"`rnnprobe shapes {path}` needs no values")


def _where(layer: Layer, block: GateSlice) -> dict[str, Any]:
    letters = dict(zip(layer.cell.gates, layer.cell.spelled, strict=True))
    matrix = len(block.tensor.shape) > 1
    columns = range(block.tensor.shape[-1])[block.columns] if matrix else None
    role = next(role for role, tensor in layer.weights.items() if tensor is block.tensor)
    rows = f"{block.rows.start}:{block.rows.stop}" if block.tensor.shape else "()"
    if columns is not None:
        rows = f"{rows}, {columns.start}:{columns.stop}"
    if len(block.tensor.shape) > 2:
        rows = f"..., {rows}"
    return {
        "layer": layer.name,
        "scope": layer.scope,
        "cell": layer.cell.name,
        "part": block.part,
        "gate": block.gate or None,
        "spelled": letters.get(block.gate),
        "shape": list(block.shape),
        "tensor": block.tensor.name,
        "role": role,
        "rows": [block.rows.start, block.rows.stop] if block.tensor.shape else None,
        "columns": None if columns is None else [columns.start, columns.stop],
        "slice": f"{leaf(layer, block.tensor)}[{rows}]",
        "transposed": block.cudnn,
        "dtype": block.tensor.dtype,
    }


def _values(found: Figures) -> dict[str, Any]:
    return {
        "norm": found.norm,
        "radius": found.radius,
        "min": found.min,
        "mean": found.mean,
        "max": found.max,
        "std": found.std,
        "zeros": found.zeros,
        "histogram": list(found.counts),
        "edges": list(found.edges),
        "nonfinite": found.nonfinite,
        "first_nonfinite": None if found.first is None else list(found.first),
    }


def _remarks(layer: Layer, found: Sequence[GateSlice]) -> tuple[str, ...]:
    """What a reader of the table must know of how this layer is stored."""
    remarks = []
    cell = layer.cell
    if cell.gates:
        order = ", ".join(
            gate if gate == letter else f"{gate} (stored as {letter})"
            for gate, letter in zip(cell.gates, cell.spelled, strict=True)
        )
        remarks.append(f"gates in stored order: {order}")
    if any(block.cudnn for block in found):
        remarks.append("cuDNN keeps the block of a gate transposed; as shown and written, it is put right")
    forget = layer.options.get("forget_bias")
    if forget is not None and forget.value and any(block.part == "bias" and block.gate == "f" for block in found):
        remarks.append(
            f"forget_bias = {words.option(forget.value)} ({forget.evidence}) is added at run time; "
            f"the stored bias of f is without it"
        )
    return tuple(remarks)
