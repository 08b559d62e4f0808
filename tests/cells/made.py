"""Layers of every registered cell, with random weights of the shapes that its own table asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from rnnprobe.cells.layers import deciding, defaults, fit, space_axes, step_shape
from rnnprobe.cells.shapes import evaluate
from rnnprobe.types import Cell, Checkpoint, Layer, Network, Tensor, Value, Weight

SIZES = {"input_size": 3, "units": 4, "output_size": 4}
MORE = {"depth": 3, "groups": 2, "group_input": 2, "group_units": 2, "features": 3, "hyper_units": 5, "embedding": 6}
MORE |= {"feature_size": 3, "further_statistics": 2, "start_depth": 3, "start_height": 5, "start_width": 4}
"""The sizes that some cells have besides; what their relations say of `SIZES` is taken from these."""
COUNTS = {"frequency_windows": 3, "frequency_skip": 2}
"""The sizes that are options; without them a cell has the input of one window."""
KERNEL = {"kernel_depth": 2, "kernel_height": 3, "kernel_width": 2}
EXTENT = (3, 5, 4)
"""Of the steps of a convolutional layer in space, the last axes of it."""


def tensor(name: str, array: np.ndarray) -> Tensor:
    return Tensor(name, array.shape, str(array.dtype), lambda rows: array[rows] if array.ndim else array)


def layer(cell: Cell, name: str = "layer", *, optional: bool = True, seed: int = 3, **options: object) -> Layer:
    """A layer of `cell`; `options` are taken as flags, `optional` says whether optional weights are there.

    One of a convolutional cell is for steps of `EXTENT`.
    """
    random = np.random.default_rng(seed)
    has_projection = optional and any(weight.role == "projection" for weight in cell.weights)
    sizes = {**SIZES, "output_size": 2} if has_projection else SIZES
    held = [weight for weight in cell.weights if optional or not weight.optional]
    sizes = sizes | besides(cell, sizes, held)
    axes = space_axes(cell)
    sizes = sizes | dict(list(KERNEL.items())[len(KERNEL) - axes :])
    weights = {}
    for weight in held:
        values = random.normal(0, 0.5, [evaluate(d, sizes) for d in weight.shape]).astype("f")
        values = np.exp(values) if weight.role.startswith("variance") else values
        weights[weight.role] = tensor(weight.names[0], values)
    found = fit(cell, weights)
    assert found == {**sizes, **dict.fromkeys(deciding(cell), 1)}
    counts = {name: COUNTS[name] for name in deciding(cell)}
    options = counts | options
    found = fit(cell, weights, counts)
    assert found is not None
    known = {key: Value(value, "flag") for key, value in options.items()}
    made = Layer(name, name, cell, weights, found, defaults(cell, known))
    return replace(made, space=cell.space(shape(made), found, made.settings)) if cell.space else made


def besides(cell: Cell, sizes: Mapping[str, int], held: Sequence[Weight]) -> dict[str, int]:
    """The sizes that a cell with these weights has besides: those of `MORE`, and what follows of them."""
    # A projection makes a group's h narrower, as it does h.
    more = {**MORE, "group_output": 2 if sizes["output_size"] == sizes["units"] else 1}
    more["places"] = prod(EXTENT[len(EXTENT) - space_axes(cell) :])
    formulas = [formula for _, formula in cell.relations] + [f for weight in held for f in weight.shape]
    used = set(re.findall(r"[a-z_]+", " ".join(formulas)))
    named = [(symbol, formula) for symbol, formula in cell.relations if " " not in symbol]
    found = {symbol: evaluate(formula, {**sizes, **more}) for symbol, formula in named}
    return {symbol: size for symbol, size in more.items() if symbol in used} | found


def shape(made: Layer) -> tuple[int, ...]:
    """Of a step that enters a layer, in its data format."""
    extent = iter(EXTENT[len(EXTENT) - space_axes(made.cell) :])
    return tuple(next(extent) if size is None else size for size in step_shape(made))


def network(*layers: Layer) -> Network:
    return Network(Checkpoint(Path("made"), "made", {}), layers)


def reads(one: Layer, *sources: str, **changes: object) -> Layer:
    return replace(one, feed=replace(one.feed, sources=sources), **changes)
