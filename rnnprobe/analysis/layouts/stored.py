"""Layouts that a registered cell stores: the arrays are those of its own table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnprobe.analysis.layouts.forms import Fitted
from rnnprobe.analysis.layouts.module import Entry
from rnnprobe.analysis.layouts.plain import Plain
from rnnprobe.types import Array, Cell, Weight


def pack(cell: Cell, layer: Fitted) -> tuple[Entry, ...]:
    """What a cell stores, holding the weights of a layer: the way back of `rnnprobe.cells.slices`.

    A weight that is optional is left out where the layer has nothing for it; a gate of one that is there is zeros.
    """
    parts = {**layer.plain.parts, "bias": layer.bias, "recurrent_bias": layer.second}
    spelled = dict(zip(cell.gates, cell.spelled, strict=True))
    made = []
    for weight in cell.weights:
        if weight.optional and not any(parts.get(part.name) for part in weight.parts):
            continue
        gates = weight.parts[0].gates
        origin = " and ".join(dict.fromkeys(layer.origin(part.name, part.gates) for part in weight.parts))
        letters = tuple(spelled[gate] for gate in gates)
        made.append(Entry(weight.names[0], _stacked(weight, parts, layer.plain), gates, letters, origin))
    return tuple(made)


def _stacked(weight: Weight, parts: Mapping[str, Mapping[str, Array]], layer: Plain) -> Array:
    zeros = np.zeros(layer.units, layer.dtype)
    rows = []
    for part in weight.parts:
        blocks = [parts[part.name].get(gate, zeros) for gate in part.gates or ("",)]
        rows.append(np.concatenate(blocks, axis=-1))
    if len(weight.shape) == 1:
        return np.concatenate([row.reshape(-1) for row in rows])
    return np.concatenate([np.atleast_2d(row) for row in rows])
