"""Recordings made up without a network, and the blocks that an engine would yield for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from rnnprobe.cells import CELLS
from rnnprobe.cells import foreign as graph
from rnnprobe.cells.layers import defaults, signal_shapes, signals
from rnnprobe.types import Array, Batch, Block, Direction, Feed, Layer, Outcome, Recording, Signal, Tensor, Value

BY_NAME = {cell.name: cell for cell in CELLS}


def layer(
    name: str,
    cell: str = "basic_lstm",
    units: int = 3,
    direction: Direction = "forward",
    output_size: int = 0,
    space: tuple[int, ...] = (),
) -> Layer:
    """A layer of this cell; with a projection where `output_size` says so, in space where `space` does."""
    sizes = {"input_size": 2, "units": units, "output_size": output_size or units}
    weights = {"projection": Tensor("p", (units, output_size), "float32", np.zeros)} if output_size else {}
    options = defaults(BY_NAME[cell], {"activation": Value("tanh", "graph")})
    return Layer(name, f"scope/{name}", BY_NAME[cell], weights, sizes, options, direction, Feed(), space=space)


def foreign(name: str, shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str] | None = None) -> Layer:
    """A recurrence of an original graph, with signals of these shapes; `inner`, and a tensor, unless `kinds` says."""
    signals = [
        Signal(key, (kinds or {}).get(key, "inner"), ",".join(map(str, shape)), tensor=f"{name}/while/{key}:0")
        for key, shape in shapes.items()
    ]
    return Layer(name, "", graph.foreign("while loop", signals), {}, {}, {}, feed=Feed(()))


def unseen(what: Recording) -> Recording:
    """The same, with an input of which nothing is known."""

    def load(batch: Batch) -> Callable[[int, int], Array]:
        return lambda start, stop: np.zeros((len(batch.names), stop - start, 0), np.float32)

    batches = tuple(replace(batch, shape=(0,), load=load(batch)) for batch in what.batches)
    return replace(what, batches=batches)


def recording(
    layers: Sequence[Layer],
    lengths: Sequence[Sequence[int]],
    *,
    record: Sequence[str] = (),
    vocabulary: tuple[str, ...] | None = None,
    shape: tuple[int, ...] = (2,),
    attributes: Mapping[str, str] | None = None,
    own: Mapping[str, Sequence[int]] | None = None,
    outcomes: Sequence[Outcome] = (),
    beside: Mapping[str, Sequence[int]] | None = None,
) -> Recording:
    """A recording of one batch for each row of `lengths`; of ids where there is a vocabulary.

    Args:
        own: layer → its lengths, where they are its own.
        beside: another input → its lengths; of floats `[time, 3]`.
    """
    batches = []
    start = 0
    for number, row in enumerate(lengths):
        others = {
            name: _batch(start, np.array(every[start : start + len(row)], np.int64), None, number + 50, (3,))
            for name, every in (beside or {}).items()
        }
        batches.append(replace(_batch(start, np.array(row, np.int64), vocabulary, number, shape), beside=others))
        start += len(row)
    kept = {each.name: tuple(s.name for s in signals(each) if not record or s.name in record) for each in layers}
    return Recording(
        tuple(layers),
        kept,
        tuple(batches),
        attributes or {"model": "m.ckpt", "command": "rnnprobe trace"},
        lengths={name: np.array(every, np.int64) for name, every in (own or {}).items()},
        outcomes=tuple(outcomes),
    )


def _batch(start: int, lengths: Array, vocabulary: tuple[str, ...] | None, seed: int, shape: tuple[int, ...]) -> Batch:
    steps = int(lengths.max(initial=0))
    random = np.random.default_rng(seed)
    if vocabulary is None:
        values = random.normal(size=(len(lengths), steps, *shape)).astype(np.float32)
    else:
        values = random.integers(0, len(vocabulary), (len(lengths), steps))
    values[np.arange(steps)[None, :] >= lengths[:, None]] = 0
    names = tuple(f"s{start + row}" for row in range(len(lengths)))
    kind = None if vocabulary is not None else shape
    return Batch(
        np.arange(start, start + len(names)),
        names,
        lengths,
        steps,
        kind,
        lambda a, b: values[:, a:b],
        values.dtype.name,
        vocabulary,
    )


def outcome(name: str, shape: tuple[int, ...], lengths: Sequence[int] | None = None) -> Outcome:
    """One of the model's outputs."""
    return Outcome(name, shape, None if lengths is None else np.array(lengths, np.int64))


def whole(what: Recording, seed: int = 7) -> dict[str, dict[str, Array]]:
    """Layer → signal → `[sequence, time, …]`, NaN past the lengths; `initial …` and `final …` `[sequence, …]`.

    The model's outputs stand under an empty name.
    """
    random = np.random.default_rng(seed)
    arrays: dict[str, dict[str, Array]] = {}
    for each in what.layers:
        shapes = signal_shapes(each)
        lengths, steps = what.lengths_of(each.name), what.steps_of(each.name)
        own = arrays[each.name] = {}
        for name in what.signals[each.name]:
            low = 0.0 if name in ("i", "f", "o", "r", "z") else -1.0
            own[name] = random.uniform(low, 1, (what.sequences, steps, *shapes[name])).astype(np.float32)
            own[name][np.arange(steps) >= lengths[:, None]] = np.nan
        for name in each.cell.states:
            for prefix in ("initial ", "final "):
                own[prefix + name] = random.normal(size=(what.sequences, *shapes[name])).astype(np.float32)
    for one in what.outcomes:
        extent = (what.sequences, *(() if one.lengths is None else (int(one.lengths.max(initial=0)),)))
        values = random.normal(size=(*extent, *one.shape)).astype(np.float32)
        if one.lengths is not None:
            values[np.arange(extent[1]) >= one.lengths[:, None]] = np.nan
        arrays.setdefault("", {})[one.name] = values
    return arrays


def blocks(what: Recording, arrays: Mapping[str, Mapping[str, Array]], stretch: int = 4) -> Iterator[Block]:
    """What an engine would yield: batch by batch, forward layers from the start, backward ones from the end.

    Layers with steps of their own come by themselves, and the model's outputs at the end.
    """
    for batch in what.batches:
        rows = batch.rows
        shared = [each for each in what.layers if each.name not in what.lengths]
        alone = [[each] for each in what.layers if each.name in what.lengths]
        for together in (
            [each for each in shared if each.direction == "forward"],
            [each for each in shared if each.direction == "backward"],
            *alone,
        ):
            if together:
                steps = int(what.lengths_of(together[0].name)[rows].max(initial=0))
                yield from _stretches(what, arrays, batch, together, steps, stretch)
        if what.outcomes:
            yield Block(batch, 0, {}, outcomes={one.name: _cut(one, arrays, rows) for one in what.outcomes})


def scattered(what: Recording, order: Sequence[int]) -> Recording:
    """The same batches, of sequences that do not follow each other: `order` are their numbers, one after another."""
    batches, start = [], 0
    for batch in what.batches:
        rows = np.sort(np.array(order[start : start + len(batch.rows)], np.int64))
        beside = {name: replace(other, rows=rows) for name, other in batch.beside.items()}
        batches.append(replace(batch, rows=rows, beside=beside))
        start += len(rows)
    return replace(what, batches=tuple(batches))


def interleaved(found: Iterable[Block]) -> Iterator[Block]:
    """The same blocks, those of every batch in turn."""
    batches: dict[int, list[Block]] = {}
    for block in found:
        batches.setdefault(block.batch.first, []).append(block)
    for together in zip_longest(*batches.values()):
        yield from (block for block in together if block is not None)


def _cut(one: Outcome, arrays: Mapping[str, Mapping[str, Array]], rows: Array) -> Array:
    values = arrays[""][one.name][rows]
    return values if one.lengths is None else values[:, : int(one.lengths[rows].max(initial=0))]


def _stretches(
    what: Recording,
    arrays: Mapping[str, Mapping[str, Array]],
    batch: Batch,
    layers: Sequence[Layer],
    steps: int,
    stretch: int,
) -> Iterator[Block]:
    rows = batch.rows
    starts = list(range(0, steps, stretch)) or [0]
    if layers[0].direction == "backward":
        starts.reverse()
    for number, start in enumerate(starts):
        stop = min(start + stretch, steps)
        yield Block(
            batch,
            start,
            {
                each.name: {
                    name: arrays[each.name][name][rows, start:stop].swapaxes(0, 1) for name in what.signals[each.name]
                }
                for each in layers
            },
            _states(layers, arrays, "initial ", rows) if number == 0 else {},
            _states(layers, arrays, "final ", rows) if number == len(starts) - 1 else {},
        )


def _states(
    layers: Sequence[Layer], arrays: Mapping[str, Mapping[str, Array]], prefix: str, rows: slice
) -> dict[str, dict[str, Array]]:
    return {each.name: {name: arrays[each.name][prefix + name][rows] for name in each.cell.states} for each in layers}


def renamed(each: Layer, name: str) -> Layer:
    """The same layer under another name."""
    return replace(each, name=name)
