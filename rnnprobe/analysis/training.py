"""How weights move over training: the reports of `rnnprobe weights` on several checkpoints of one model.

Reports and the keys of their rows, in JSON as here:

    steps    step (a number, or the checkpoint's name where it has none), path, and the keys of
             `rnnprobe.analysis.weights`: a row for each step, layer, part and gate
    change   layer, scope, cell, part, gate, spelled, steps and norms (lists, one for each checkpoint), from and to (the
             first and the last step), moved (the norm of the last minus the first, divided by that of the first; null
             where the first is all zeros)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.analysis.select import select
from rnnprobe.analysis.weights import NOTHING, blocks, title, weights
from rnnprobe.cells.slices import GateSlice
from rnnprobe.errors import BadInput
from rnnprobe.types import Column, Layer, Network, Report

Step = int | str
Key = tuple[str, str, str | None]

_SHOWN = 6
"""Steps whose norms stand in the table; the curve beside them has them all."""


def labels(checkpoints: Sequence[tuple[int | None, Path]]) -> tuple[Step, ...]:
    """A name for each checkpoint, no two alike: the number of its step, else its file's name, else its path.

    Args:
        checkpoints: as `rnnprobe.formats.series` gives them.
    """
    stepped = [path.name if step is None else step for step, path in checkpoints]
    for found in (stepped, [path.name for _, path in checkpoints]):
        if len(set(found)) == len(found):
            return tuple(found)
    return tuple(str(path) for _, path in checkpoints)


def training(
    networks: Sequence[Network],
    steps: Sequence[Step],
    patterns: Sequence[str] = (),
    gates: Sequence[str] = (),
    parts: Sequence[str] = (),
) -> tuple[Report, ...]:
    """`steps`, in long form, and a `change` for each layer.

    Args:
        networks: one for each checkpoint, in the order of training.
        steps: their names, from `labels`.
        patterns: of the layers, as in `rnnprobe.analysis.select`.
        gates, parts: as in `rnnprobe.analysis.weights.blocks`.

    Raises:
        BadInput: the checkpoints don't hold the same layers; an unknown layer, gate or part; values that can't be read.
    """
    layers = select(networks[0], patterns)
    for network in networks[1:]:
        _same(networks[0], network, layers)
    rows = []
    for step, network in zip(steps, networks, strict=True):
        path = str(network.checkpoint.path)
        for report in weights(network, [network[layer.name] for layer in layers], gates, parts):
            rows += [{"step": step, "path": path, **row} for row in report.rows]
    moved = _moved(networks[0], networks[-1], layers, gates, parts)
    changes = [change for layer in layers if (change := _change(layer, steps, rows, moved)).rows]
    return (Report("steps", "Steps", _STEPS, tuple(rows)), *(changes or [Report("change", "", (), (), NOTHING)]))


_STEPS = (
    Column("step", "step", right=True),
    Column("layer", "layer"),
    Column("part", "part"),
    Column("gate", "gate"),
    Column("norm", "norm", words.precise, right=True),
    Column("radius", "radius", words.precise, right=True),
    Column("mean", "mean", words.number, right=True),
    Column("std", "std", words.number, right=True),
)


def _same(first: Network, other: Network, layers: Sequence[Layer]) -> None:
    names = {layer.name: layer for layer in other.layers}
    for layer in layers:
        found = names.get(layer.name)
        if found is None or found.cell is not layer.cell or dict(found.sizes) != dict(layer.sizes):
            held = "no such layer" if found is None else f"{title(found)}"
            raise BadInput(
                f"is no checkpoint of the same model as {first.checkpoint.path}: expected {title(layer)}, found {held}",
                path=other.checkpoint.path,
                hint="name checkpoints of one model, or leave this one out",
            )


def _moved(
    first: Network, last: Network, layers: Sequence[Layer], gates: Sequence[str], parts: Sequence[str]
) -> dict[Key, float | None]:
    """How far each block went, relative to the norm of where it started."""
    before = blocks(layers, gates, parts, first.checkpoint.path)
    after = blocks([last[layer.name] for layer in layers], gates, parts, last.checkpoint.path)
    return {
        (name, old.part, old.gate or None): _distance(old, new)
        for name in before
        for old, new in zip(before[name], after[name], strict=True)
    }


def _distance(old: GateSlice, new: GateSlice) -> float | None:
    start, end = old.load().astype(np.float64), new.load().astype(np.float64)
    norm = float(np.linalg.norm(start))
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.linalg.norm(end - start)) / norm if norm else None


def _change(
    layer: Layer, steps: Sequence[Step], rows: Sequence[Mapping[str, Any]], moved: Mapping[Key, float | None]
) -> Report:
    norms: dict[Key, list[float]] = {}
    letters: dict[Key, str | None] = {}
    for row in rows:
        if row["layer"] == layer.name:
            key = (layer.name, row["part"], row["gate"])
            norms.setdefault(key, []).append(row["norm"])
            letters[key] = row["spelled"]
    shown = _spread(len(steps))
    table = tuple(
        {
            "layer": layer.name,
            "scope": layer.scope,
            "cell": layer.cell.name,
            "part": key[1],
            "gate": key[2],
            "spelled": letters[key],
            "steps": list(steps),
            "norms": values,
            "from": steps[0],
            "to": steps[-1],
            "moved": moved[key],
        }
        for key, values in norms.items()
    )
    columns = (
        Column("part", "part"),
        Column("gate", "gate"),
        *(Column("norms", f"{steps[k]}", _at(k), right=True) for k in shown),
        Column("norms", "over steps", words.curve),
        Column("moved", "moved", words.percent, right=True),
    )
    left_out = f"norms at {len(shown)} of {len(steps)} steps; --json has them all" if len(shown) < len(steps) else ""
    notes = (f"moved: from step {steps[0]} to {steps[-1]}, relative to the norm at {steps[0]}", left_out)
    return Report("change", f"{title(layer)}: norms", columns, table, tuple(note for note in notes if note))


def _spread(number: int) -> list[int]:
    """Indices of `_SHOWN` steps at most, evenly spread, the first and the last among them."""
    most = min(number, _SHOWN)
    return sorted({round(k * (number - 1) / max(most - 1, 1)) for k in range(most)})


def _at(k: int) -> Any:
    return lambda norms: words.precise(norms[k])
