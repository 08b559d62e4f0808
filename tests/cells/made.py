"""Layers of every registered cell, with random weights of the shapes that its own table asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.shapes import evaluate
from rnnprobe.types import Batch, Cell, Checkpoint, Layer, Network, Tensor, Value

SIZES = {"input_size": 3, "units": 4, "output_size": 4}


def tensor(name: str, array: np.ndarray) -> Tensor:
    return Tensor(name, array.shape, str(array.dtype), lambda rows: array[rows] if array.ndim else array)


def layer(cell: Cell, name: str = "layer", *, optional: bool = True, seed: int = 3, **options: object) -> Layer:
    """A layer of `cell`; `options` are taken as flags, `optional` says whether optional weights are there."""
    random = np.random.default_rng(seed)
    has_projection = optional and any(weight.role == "projection" for weight in cell.weights)
    sizes = {**SIZES, "output_size": 2} if has_projection else SIZES
    weights = {
        weight.role: tensor(
            weight.names[0], random.normal(0, 0.5, [evaluate(d, sizes) for d in weight.shape]).astype("f")
        )
        for weight in cell.weights
        if optional or not weight.optional
    }
    found = fit(cell, weights)
    assert found == sizes
    known = {key: Value(value, "flag") for key, value in options.items()}
    return Layer(name, name, cell, weights, found, defaults(cell, known))


def network(*layers: Layer) -> Network:
    return Network(Checkpoint(Path("made"), "made", {}), layers)


def reads(one: Layer, *sources: str, **changes: object) -> Layer:
    return replace(one, feed=replace(one.feed, sources=sources), **changes)


def batch(x: np.ndarray, lengths: list[int] | None = None) -> Batch:
    """Floats `[batch, time, features]` or ids `[batch, time]`."""
    return Batch(
        0,
        tuple(str(k) for k in range(len(x))),
        np.array(lengths or [x.shape[1]] * len(x)),
        x.shape[1],
        x.shape[2] if x.ndim == 3 else None,
        lambda start, stop: x[:, start:stop],
        str(x.dtype),
    )
