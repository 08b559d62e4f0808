"""Small networks with everything that a report can speak of, their values always the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import deciding, defaults, fit, space_axes
from rnnprobe.cells.shapes import evaluate
from rnnprobe.cells.slices import GateSlice
from rnnprobe.types import Cell, Checkpoint, Embedding, Feed, Layer, Network, Tensor, Value

from ..cells.made import besides

_INPUT = Feed()
BY_NAME = {cell.name: cell for cell in CELLS}


def tensor(name: str, array: np.ndarray, *, problem: str = "") -> Tensor:
    return Tensor(name, array.shape, str(array.dtype), lambda rows: array[rows] if array.ndim else array, problem)


def layer(
    cell: Cell | str,
    scope: str,
    *,
    input_size: int = 3,
    units: int = 4,
    output_size: int | None = None,
    dtype: str = "float32",
    optional: bool = True,
    seed: int = 1,
    feed: Feed = _INPUT,
    known: Mapping[str, Value] | None = None,
) -> Layer:
    """A layer whose tensors lie below `scope`, with random values."""
    cell = BY_NAME[cell] if isinstance(cell, str) else cell
    projects = optional and any(weight.role == "projection" for weight in cell.weights)
    sizes = {
        "input_size": input_size,
        "units": units,
        "output_size": output_size if projects and output_size else units,
    }
    # Without the options that say how many windows a step has, it has the input of one.
    counts = dict.fromkeys(deciding(cell), 1)
    held = [weight for weight in cell.weights if optional or not weight.optional]
    sizes |= besides(cell, sizes, held) | ({"feature_size": input_size} if counts else {})
    sizes |= dict([("kernel_depth", 2), ("kernel_height", 3), ("kernel_width", 2)][3 - space_axes(cell) :])
    random = np.random.default_rng(seed)
    weights = {}
    for weight in held:
        values = random.normal(0, 0.5, [evaluate(d, sizes) for d in weight.shape]).astype(dtype)
        values = np.exp(values) if weight.role.startswith("variance") else values
        weights[weight.role] = tensor(f"{scope}/{weight.names[0]}", values)
    found = fit(cell, weights)
    assert found == sizes | counts
    return Layer(scope, scope, cell, weights, found, defaults(cell, known), feed=feed)


def network(
    *layers: Layer, other: tuple[Tensor, ...] = (), apart: Mapping[str, str] | None = None, **more: object
) -> Network:
    """A network whose file holds the layers' tensors, `other`, and a slot or counter for each name in `apart`."""
    tensors = {held.name: held for one in layers for held in one.weights.values()}
    tensors |= {held.name: held for held in other}
    for name, what in (apart or {}).items():
        like = tensors.get(what.partition(" of ")[2])
        tensors[name] = tensor(name, np.zeros(like.shape if like else (), "f"))
    checkpoint = Checkpoint(Path("dir/model.ckpt-100"), "TensorFlow V2 bundle", tensors, dict(apart or {}))
    return Network(checkpoint, layers, **more)


def stack() -> Network:
    """An embedding, two layers, a softmax, slots and counters; a second, separate GRU."""
    table = tensor("embedding", np.ones((11, 5), "f"))
    first = layer(
        "basic_lstm",
        "rnn/multi_rnn_cell/cell_0/basic_lstm_cell",
        input_size=5,
        feed=Feed(("embedding",)),
        known={"forget_bias": Value(0.0, "graph")},
    )
    second = layer("basic_lstm", "rnn/multi_rnn_cell/cell_1/basic_lstm_cell", input_size=4, seed=2)
    second = replace(second, feed=Feed((first.name,), evidence="weights"))
    alone = replace(layer("gru", "decoder/gru_cell", units=2), direction="backward")
    return network(
        first,
        second,
        alone,
        other=(table, tensor("softmax_w", np.ones((4, 11), "f")), tensor("softmax_b", np.ones(11, "f"))),
        apart={
            f"{first.scope}/kernel/Adam": f"Adam slot of {first.scope}/kernel",
            "softmax_b/Adam": "Adam slot of softmax_b",
            "global_step": "counter",
        },
        embeddings=(Embedding("embedding", table, "assumed"),),
    )


def undo(block: GateSlice, values: np.ndarray) -> np.ndarray:
    """What `GateSlice.load` returned, as it is stored."""
    if block.cudnn:
        return values.T.reshape(values.shape[0], values.shape[1])
    if len(block.tensor.shape) > 2:
        return values
    stored_rows = block.rows.stop - block.rows.start
    return values.reshape(stored_rows, -1) if len(block.tensor.shape) > 1 else values
