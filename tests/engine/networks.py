"""Networks by hand, what they record, and the same equations over NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe import engine
from rnnprobe.cells.layers import chosen, signal_shapes
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.types import Batch, Feed, KerasLayer, Layer, Network, Transform

from ..cells.made import layer, tensor


def batch(x: np.ndarray, lengths: Any = None, start: int = 0, **beside: Batch) -> Batch:
    """Floats `[batch, time, *shape]` or ids `[batch, time]`; `start` is the number of the first sequence."""
    return Batch(
        np.arange(start, start + len(x)),
        tuple(str(start + k) for k in range(len(x))),
        np.array([x.shape[1]] * len(x) if lengths is None else lengths, np.int64),
        x.shape[1],
        None if x.dtype.kind == "i" else x.shape[2:],
        lambda begin, end: x[:, begin:end].copy(),
        str(x.dtype),
        beside=beside,
    )


def wide(made: Layer, features: int, seed: int = 8, dtype: str = "f") -> Layer:
    """The layer with another width of its input, in `dtype`."""
    random = np.random.default_rng(seed)
    sizes = {**made.sizes, "input_size": features}
    kernel = random.normal(0, 0.5, (features, made.weights["kernel"].shape[1]))
    weights = {role: tensor(role, one.load().astype(dtype)) for role, one in made.weights.items()}
    return replace(made, weights={**weights, "kernel": tensor("kernel", kernel.astype(dtype))}, sizes=sizes)


def keras_layer(cell: Any, name: str, features: int = 3, seed: int = 3, dtype: str = "f", **changes: Any) -> Layer:
    """A layer of a Keras cell, 4 units."""
    return replace(wide(layer(cell, name, seed=seed), features, seed + 1, dtype), **changes)


def transform(
    name: str, class_name: str, *sources: str | Feed, weights: tuple = (), stepwise: bool = False, **config: Any
) -> Transform:
    tensors = tuple(tensor(f"{name}/{k}", array) for k, array in enumerate(weights))
    feeds = tuple(Feed((source,)) if isinstance(source, str) else source for source in sources)
    return Transform(name, KerasLayer(class_name, config, tensors), feeds, stepwise)


def replay(
    made: Layer, x: np.ndarray, lengths: list[int] | None = None, begin: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The layer over `x` `[batch, time, *shape]` in NumPy: signal → `[time, batch, *shape]`, and the final states."""
    w, options, cell = assemble(made), made.settings, made.cell
    left = np.array(lengths or [x.shape[1]] * len(x))
    z = cell.project(NumPy, w, x.swapaxes(0, 1), options)
    shapes = signal_shapes(made)
    own = cell.start(w, shapes) if cell.start else {}
    state = begin or {name: np.zeros((len(x), *shapes[name]), x.dtype) + own.get(name, 0) for name in cell.states}
    times = range(x.shape[1])
    steps: dict = {}
    for t in reversed(times) if made.direction == "backward" else times:
        got = cell.step(NumPy, w, z[t], state, options)
        valid = {name: (t < left).reshape(-1, *[1] * len(shape)) for name, shape in shapes.items()}
        steps[t] = {name: np.where(valid[name], got[name], np.nan) for name in shapes}
        state = {name: np.where(valid[name], got[name], state[name]) for name in cell.states}
    return {name: np.stack([steps[t][name] for t in times]) for name in shapes}, state


def run(net: Network, *batches: Batch, words: tuple[str, ...] = ("all",), **options: Any) -> list:
    """For each batch: layer → signal → `[time, batch, *shape]` joined over blocks, initial and final states."""
    known = engine.extents(net, batches)
    net = known.network
    results: list = []
    for one in batches:
        rows, size = one.rows, len(one.names)
        steps = {
            made.name: max(known.lengths[made.name][rows]) if made.name in known.lengths else one.steps
            for made in net.layers
        }
        joined = {
            made.name: {s: np.full((steps[made.name], size, *w), 7.5) for s, w in signal_shapes(made).items()}
            for made in net.layers
        }
        results.append((joined, {}, {}))
    for block in engine.trace(net, batches, chosen(net.layers, words), **options):
        joined, initial, final = results[[b is block.batch for b in batches].index(True)]
        for name, signals in block.signals.items():
            for signal, array in signals.items():
                part = joined[name][signal][block.start : block.start + len(array)]
                assert len(part) == len(array), "a step past the end"
                assert (part == 7.5).all(), "a step came twice"
                part[:] = array
        initial.update(block.initial)
        final.update(block.final)
    for joined, _, _ in results:
        assert not any((array == 7.5).any() for signals in joined.values() for array in signals.values()), "steps lack"
    return results


def outcomes(net: Network, *batches: Batch) -> list[dict[str, np.ndarray]]:
    """What the model gives in the end, for each batch."""
    found = engine.extents(net, batches)
    blocks = engine.trace(found.network, batches, {}, outcomes=found.outcomes)
    return [dict(block.outcomes) for block in blocks if block.outcomes]
