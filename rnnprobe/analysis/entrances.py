"""Where values enter a graph.

Reports and the keys of their rows, in JSON as here:

    signatures      signature, method, side (`input`, `output`), argument, tensor, dtype, shape (null for a size that is
                    open, or for all of it where the graph does not say)
    placeholders    tensor, op, dtype, shape
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rnnprobe.types import Column, Extent, GraphTensor, Report, Signature


def entrances(placeholders: Iterable[GraphTensor], signatures: Iterable[Signature]) -> tuple[Report, ...]:
    """The reports on placeholders and signatures."""
    return (
        Report("placeholders", "Placeholders", TENSOR, tuple(row(tensor) for tensor in placeholders)),
        _signatures(signatures),
    )


def _signatures(signatures: Iterable[Signature]) -> Report:
    rows = tuple(
        {
            "signature": signature.name,
            "method": signature.method,
            "side": side,
            "argument": argument,
            "tensor": tensor.name,
            "dtype": tensor.dtype or None,
            "shape": sizes(tensor.shape),
        }
        for signature in signatures
        for side, arguments in (("input", signature.inputs), ("output", signature.outputs))
        for argument, tensor in arguments
    )
    columns = (
        Column("signature", "signature"),
        Column("side", "side"),
        Column("argument", "argument"),
        Column("tensor", "tensor"),
        Column("dtype", "dtype"),
        Column("shape", "shape", shape, right=True),
    )
    return Report("signatures", "Signatures" if rows else "", columns, rows)


# Tensors of a graph --------------------------------------------------------------------------------------------------


def row(tensor: GraphTensor) -> Mapping[str, Any]:
    """A tensor as a row of `TENSOR`."""
    return {"tensor": tensor.name, "op": tensor.op, "dtype": tensor.dtype or None, "shape": sizes(tensor.shape)}


def sizes(extent: Extent) -> list[int | None] | None:
    """A shape for JSON."""
    return None if extent is None else list(extent)


def shape(found: list[int | None]) -> str:
    """`any × 5 × 3`."""
    return " × ".join("any" if size is None else str(size) for size in found) or "scalar"


TENSOR = (
    Column("tensor", "tensor"),
    Column("op", "op"),
    Column("dtype", "dtype"),
    Column("shape", "shape", shape, right=True),
)
"""The columns of a list of tensors."""
