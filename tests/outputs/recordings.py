"""Recordings made up without a network, and the blocks that an engine would yield for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import defaults, signal_sizes, signals
from rnnprobe.types import Array, Batch, Block, Direction, Feed, Layer, Recording, Tensor, Value

BY_NAME = {cell.name: cell for cell in CELLS}


def layer(
    name: str, cell: str = "basic_lstm", units: int = 3, direction: Direction = "forward", output_size: int = 0
) -> Layer:
    """A layer of this cell; with a projection where `output_size` says so."""
    sizes = {"input_size": 2, "units": units, "output_size": output_size or units}
    weights = {"projection": Tensor("p", (units, output_size), "float32", np.zeros)} if output_size else {}
    options = defaults(BY_NAME[cell], {"activation": Value("tanh", "graph")})
    return Layer(name, f"scope/{name}", BY_NAME[cell], weights, sizes, options, direction, Feed())


def recording(
    layers: Sequence[Layer],
    lengths: Sequence[Sequence[int]],
    *,
    record: Sequence[str] = (),
    vocabulary: tuple[str, ...] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Recording:
    """A recording of one batch for each row of `lengths`; of ids where there is a vocabulary."""
    batches = []
    start = 0
    for number, row in enumerate(lengths):
        batches.append(_batch(start, np.array(row, np.int64), vocabulary, number))
        start += len(row)
    kept = {each.name: tuple(s.name for s in signals(each) if not record or s.name in record) for each in layers}
    return Recording(
        tuple(layers), kept, tuple(batches), attributes or {"model": "m.ckpt", "command": "rnnprobe trace"}
    )


def _batch(start: int, lengths: Array, vocabulary: tuple[str, ...] | None, seed: int) -> Batch:
    steps = int(lengths.max(initial=0))
    random = np.random.default_rng(seed)
    if vocabulary is None:
        values = random.normal(size=(len(lengths), steps, 2)).astype(np.float32)
    else:
        values = random.integers(0, len(vocabulary), (len(lengths), steps))
    values[np.arange(steps)[None, :] >= lengths[:, None]] = 0
    names = tuple(f"s{start + row}" for row in range(len(lengths)))
    features = None if vocabulary is not None else 2
    return Batch(start, names, lengths, steps, features, lambda a, b: values[:, a:b], values.dtype.name, vocabulary)


def whole(what: Recording, seed: int = 7) -> dict[str, dict[str, Array]]:
    """Layer → signal → `[sequence, time, size]`, NaN past the lengths; `initial_…` and `final_…` `[sequence, size]`."""
    random = np.random.default_rng(seed)
    lengths = np.concatenate([batch.lengths for batch in what.batches])
    past = np.arange(what.steps)[None, :] >= lengths[:, None]
    arrays: dict[str, dict[str, Array]] = {}
    for each in what.layers:
        sizes = signal_sizes(each)
        own = arrays[each.name] = {}
        for name in what.signals[each.name]:
            low = 0.0 if name in ("i", "f", "o", "r", "z") else -1.0
            own[name] = random.uniform(low, 1, (what.sequences, what.steps, sizes[name])).astype(np.float32)
            own[name][past] = np.nan
        for name in each.cell.states:
            for prefix in ("initial_", "final_"):
                own[prefix + name] = random.normal(size=(what.sequences, sizes[name])).astype(np.float32)
    return arrays


def blocks(what: Recording, arrays: Mapping[str, Mapping[str, Array]], stretch: int = 4) -> Iterator[Block]:
    """What an engine would yield: batch by batch, forward layers from the start, backward ones from the end."""
    for batch in what.batches:
        rows = slice(batch.start, batch.start + len(batch.names))
        for direction in ("forward", "backward"):
            names = [each for each in what.layers if each.direction == direction]
            if not names:
                continue
            starts = list(range(0, batch.steps, stretch)) or [0]
            if direction == "backward":
                starts.reverse()
            for number, start in enumerate(starts):
                stop = min(start + stretch, batch.steps)
                yield Block(
                    batch,
                    start,
                    {
                        each.name: {
                            name: arrays[each.name][name][rows, start:stop].swapaxes(0, 1)
                            for name in what.signals[each.name]
                        }
                        for each in names
                    },
                    _states(names, arrays, "initial_", rows) if number == 0 else {},
                    _states(names, arrays, "final_", rows) if number == len(starts) - 1 else {},
                )


def _states(
    layers: Sequence[Layer], arrays: Mapping[str, Mapping[str, Array]], prefix: str, rows: slice
) -> dict[str, dict[str, Array]]:
    return {each.name: {name: arrays[each.name][prefix + name][rows] for name in each.cell.states} for each in layers}


def renamed(each: Layer, name: str) -> Layer:
    """The same layer under another name."""
    return replace(each, name=name)
