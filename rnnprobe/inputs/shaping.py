"""What the numbers mean to a network: which axis is time, and whether they are ids or features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput, OutOfResources
from rnnprobe.inputs.found import Found, Grid, Place, Ragged, Say, Sequences, within
from rnnprobe.inputs.names import Counted
from rnnprobe.inputs.whole import all_whole, first_fraction
from rnnprobe.types import Array, Entry

SEQUENCES_LIMIT = 10_000_000
"""Sequences of one input: their names and lengths are kept in memory."""

_GAP = 1 << 18  # bytes that are read and left out sooner than that a file is opened once more

ROWS = "rows"
TIME = "time"


def wants(entry: Entry) -> str:
    """What a network takes, for an error."""
    floats = f"floats {axes_of(entry)}"
    if entry.embedded:
        return (
            f"an embedding of {entry.vocabulary} rows stands in front: ids 0…{entry.vocabulary - 1} as integers "
            f"[batch, time], or {floats}, which enter behind it"
        )
    if not entry.shape:
        return f"the network takes a number a step: {floats}"
    if entry.features is None:
        return f"the network takes {floats}"
    return f"the network takes {entry.features} feature{'s' * (entry.features != 1)} a step: {floats}"


def axes_of(entry: Entry) -> str:
    """The axes of a batch of floats."""
    unknown = "features" if len(entry.shape) == 1 else "any"
    steps = "time" if entry.steps is None else str(entry.steps)
    return f"[{', '.join(['batch', steps, *(unknown if size is None else str(size) for size in entry.shape)])}]"


def shape(found: Found, entry: Entry, lengths: NDArray[np.int64] | None, time_major: bool, say: Say) -> Sequences:
    """Sequences of steps of the network's own shape, or ids, each of at least one step.

    Args:
        found: what a reader found.
        entry: what the network takes.
        lengths: the user's, which replace the file's.
        time_major: the first axis of an array of several sequences is time.

    Raises:
        BadInput: the rank or the shape is wrong, a length is 0 or beyond the steps, there is no sequence.
    """
    found = _reading(found, entry, say)
    data = found.data
    if isinstance(data, Grid):
        sequences = _grid(found, data, entry, time_major, say)
    else:
        sequences = _ragged(found, data, entry, say)
    return with_lengths(sequences, found.lengths if lengths is None else lengths)


def _reading(found: Found, entry: Entry, say: Say) -> Found:
    """Of a table, the reading that the network leaves: a row is a step, or, where it can't be one, a sequence."""
    data, across = found.data, found.across
    if across is None or not isinstance(data, Ragged) or not isinstance(across.data, Ragged):
        return found
    if not data.shape:  # one column
        alone = entry.steps == 1 and (entry.embedded or not entry.shape)
        return across if alone else found
    if not entry.shape:
        return across
    if not entry.embedded or first_fraction(across.data) is not None:
        return found
    if fits(data.shape, entry):
        say(f"the input is {data.words} of whole numbers, as wide as the embedding's vectors: they are taken as these")
        return found
    say(f"the input is {data.words} of whole numbers: each row is taken as a sequence of ids")
    return across


def fits(step: tuple[int, ...], entry: Entry) -> bool:
    """Whether a step is of a shape that the network takes."""
    return len(step) == len(entry.shape) and all(
        size == wanted or (wanted is None and size > 0) for size, wanted in zip(step, entry.shape, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """What the first axes of an array are, and the shape of a step, which the others hold; None where it is an id. An
    array without rows is one sequence."""

    order: tuple[str, ...]
    shape: tuple[int, ...] | None


def _grid(found: Found, grid: Grid, entry: Entry, time_major: bool, say: Say) -> Sequences:
    if entry.steps == 1 and not entry.shape and len(grid.shape) == 1:
        grid = _column(grid)
    axes = _axes(found, grid, entry, say)
    if time_major and axes.order[:2] == (ROWS, TIME):
        axes = _Axes((TIME, ROWS), axes.shape)
    count = grid.shape[axes.order.index(ROWS)] if ROWS in axes.order else 1
    steps = grid.shape[axes.order.index(TIME)]
    if count > SEQUENCES_LIMIT:
        raise OutOfResources(f"{grid.name} is {grid.words}: more than {SEQUENCES_LIMIT} sequences")
    names = found.names or Counted(np.arange(count))
    if len(names) != count:
        raise BadInput(f"{grid.name} holds {count} sequences and {len(names)} names")
    inner = tuple(slice(0, size) for size in grid.shape[len(axes.order) :])
    step = prod(grid.shape[len(axes.order) :]) * grid.dtype.itemsize

    def together(row: int, after: int, start: int, stop: int) -> Array:
        extents = {ROWS: slice(row, after), TIME: slice(start, stop)}
        block = grid.read((*(extents[axis] for axis in axes.order), *inner))
        if ROWS not in axes.order:
            block = block[None]
        elif axes.order[0] == TIME:
            block = block.swapaxes(0, 1)
        return block[..., None] if axes.shape is not None and len(axes.shape) > len(inner) else block

    def read(rows: NDArray[np.int64], start: int, stop: int) -> Array:
        blocks, order = [], np.argsort(rows, kind="stable")
        for run in _runs(rows[order], _GAP // max(1, step * (stop - start))):
            block = together(int(run[0]), int(run[-1]) + 1, start, stop)
            blocks.append(block if len(block) == len(run) else block[run - run[0]])
        block = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return block if (order[:-1] < order[1:]).all() else block[np.argsort(order)]

    lengths = np.full(count, steps, np.int64)
    place = found.place or _place(names)
    dtype = _dtype(grid.dtype, axes.shape)
    return Sequences(names, lengths, axes.shape, dtype, read, place, found.names is not None)


def _runs(rows: NDArray[np.int64], gap: int) -> list[NDArray[np.int64]]:
    """Ascending numbers in pieces: within one at most `gap` are left out between neighbours."""
    return np.split(rows, np.flatnonzero(np.diff(rows) > gap + 1) + 1)


def _column(grid: Grid) -> Grid:
    """An array of rank 1 as sequences of one step."""
    return replace(
        grid,
        shape=(*grid.shape, 1),
        read=lambda slices: grid.read(slices[:1])[:, None][:, slices[1]],
    )


def _axes(found: Found, grid: Grid, entry: Entry, say: Say) -> _Axes:
    """The meaning of an array's axes."""
    if len(entry.shape) != 1:
        return _axes_by_rank(found, grid, entry, say)
    rank, whole = len(grid.shape), grid.dtype.kind in "iu"
    if rank == 3:
        if not fits(grid.shape[2:], entry):
            raise _misfit(grid.words, grid.shape[2:], entry)
        if grid.dtype.kind != "f":
            say(f"{grid.name} is {grid.words}: integers of rank 3 are taken as features, and converted to floats")
        return _Axes((ROWS, TIME), grid.shape[2:])
    if rank not in (1, 2):
        raise BadInput(f"{grid.name} is {grid.words}, of rank {rank}; {wants(entry)}")
    if grid.dtype.kind == "b":
        raise BadInput(f"{grid.name} is {grid.words}; {wants(entry)}")
    number_steps = entry.features == 1 and not entry.embedded  # a step is one number, with or without an axis for it
    order = (TIME,) if rank == 1 else (ROWS, TIME)
    if whole and entry.vocabulary and not (found.written and number_steps):
        if rank == 2 and grid.shape[1] == entry.features and not entry.embedded:
            say(f"{grid.name} is {grid.words}: integers are taken as ids [batch, time]; features are stored as floats")
        return _Axes(order, None)
    if rank == 2 and fits(grid.shape[1:], entry) and not (entry.embedded and all_whole(grid)):
        if whole and not found.written:
            say(f"{grid.name} is {grid.words}: integers are taken as features, and converted to floats")
        return _Axes((TIME,), grid.shape[1:])
    if entry.embedded and all_whole(grid):
        say(f"{grid.name} is {grid.words} of whole numbers: they are taken as ids {_words(order)}")
        return _Axes(order, None)
    if rank == 1 and fits((1,), entry):
        return _Axes((TIME,), (1,))
    if rank == 1:
        raise BadInput(
            f"{grid.name} is {grid.words}, a number a step; {wants(entry)}",
            hint="ids are stored as integers: x.astype('int64')" if entry.vocabulary else "",
        )
    error = _misfit(grid.words, grid.shape[1:], entry)
    reading = "floats of rank 2 are one sequence [time, features]"
    hint = "x[..., None] makes [batch, time] a batch of one number a step" if entry.features == 1 else error.hint
    raise BadInput(f"{error.message}; {reading}", hint=hint)


def _axes_by_rank(found: Found, grid: Grid, entry: Entry, say: Say) -> _Axes:
    """Where a step is one number, or has several axes, the rank leaves no choice."""
    rank, axes = len(grid.shape), len(entry.shape)
    if rank - axes not in (1, 2):
        hint = "x[..., 0] drops an axis of one number" if not axes and rank == 3 and grid.shape[2] == 1 else ""
        reading = f", or of rank {axes + 1} for one sequence"
        raise BadInput(f"{grid.name} is {grid.words}, of rank {rank}; {wants(entry)}{reading}", hint=hint)
    step = grid.shape[rank - axes :]
    if not fits(step, entry):
        raise _misfit(grid.words, step, entry)
    if grid.dtype.kind != "f" and not found.written:
        say(f"{grid.name} is {grid.words}: it is converted to floats")
    return _Axes((ROWS, TIME) if rank == axes + 2 else (TIME,), step)


def _words(order: tuple[str, ...]) -> str:
    return "[time], one sequence" if len(order) == 1 else "[batch, time]"


def _misfit(what: str, step: tuple[int, ...], entry: Entry) -> BadInput:
    """The error for steps of another shape than the network's."""
    if len(step) != 1 or len(entry.shape) != 1:
        return BadInput(f"the input is {what}, steps {list(step)}; {wants(entry)}")
    width = step[0]
    hint = "for ids, store integers [batch, time]" if entry.embedded or (width == 1 and entry.vocabulary) else ""
    return BadInput(f"the input is {what}, {width} feature{'s' * (width != 1)} a step; {wants(entry)}", hint=hint)


def _ragged(found: Found, data: Ragged, entry: Entry, say: Say) -> Sequences:
    names = found.names or Counted(np.arange(len(data.lengths)))
    if len(names) != len(data.lengths):
        raise BadInput(f"the input holds {len(data.lengths)} sequences and {len(names)} names")
    place = found.place or _place(names)
    step = data.shape if data.shape else _numbers(found, data, entry, place, say)
    if step is not None and not fits(step, entry):
        raise _misfit(data.words, step, entry)

    def read(rows: NDArray[np.int64], start: int, stop: int) -> Array:
        block = data.read(rows, start, stop)
        return block if step is None else block.reshape(len(rows), stop - start, *step)

    return Sequences(names, data.lengths, step, _dtype(data.dtype, step), read, place, found.names is not None)


def _numbers(found: Found, data: Ragged, entry: Entry, place: Place, say: Say) -> tuple[int, ...] | None:
    """The shape of a step where it was given as one number; None where that is an id."""
    if not entry.shape:
        if data.dtype.kind != "f" and not found.written:
            say(f"the input is {data.words}: it is converted to floats")
        return ()
    one = fits((1,), entry)
    if one and not entry.embedded and (found.written or data.dtype.kind == "f" or not entry.vocabulary):
        return (1,)
    if not entry.vocabulary:
        raise BadInput(f"the input is {data.words}, a number a step; {wants(entry)}")
    if data.dtype.kind != "f":
        return None
    fraction = first_fraction(data)
    if fraction is None and (found.written or entry.embedded):
        if not found.written:
            say(f"the input is {data.words} of whole numbers: they are taken as ids")
        return None
    if one:
        return (1,)
    what = f"{fraction[2]} at {place(fraction[0], fraction[1], ())}" if fraction else data.words
    raise BadInput(f"the input holds {what}, a number a step that is no id; {wants(entry)}")


def _place(names: Sequence[str]) -> Place:
    def place(row: int, step: int, position: tuple[int, ...]) -> str:
        name = names[row]
        shown = name if name == str(row) or " " in name else repr(name)
        return f"sequence {shown}, step {step}{within(position)}"

    return place


def _dtype(stored: np.dtype[np.generic], step: tuple[int, ...] | None) -> np.dtype[np.generic]:
    """What the batches load: native byte order; integers that are features become float32."""
    if step is None:
        return np.dtype(np.int64)
    if stored.kind != "f":
        return np.dtype(np.float32)
    return stored.newbyteorder("=") if stored.itemsize <= 8 else np.dtype(np.float64)


def with_lengths(sequences: Sequences, lengths: NDArray[np.int64] | None) -> Sequences:
    """The sequences with the lengths that were given for them, checked."""
    count = len(sequences.names)
    if not count:
        raise BadInput("the input holds no sequence")
    if lengths is not None:
        if len(lengths) != count:
            raise BadInput(f"there are {len(lengths)} lengths for {count} sequence{'s' * (count != 1)}")
        for row in np.flatnonzero(lengths > sequences.lengths)[:1]:
            raise BadInput(
                f"length {lengths[row]} of sequence {row} is more than its {sequences.lengths[row]} steps",
                hint="--time-major reads arrays [time, batch, …]",
            )
        for row in np.flatnonzero(lengths < 1)[:1]:
            raise BadInput(f"length {lengths[row]} of sequence {row}; expected at least 1")
    for row in np.flatnonzero(sequences.lengths < 1)[:1]:
        raise BadInput(f"sequence {sequences.names[row]} has no step (it is number {row} of {count}, from 0)")
    return sequences if lengths is None else replace(sequences, lengths=lengths)
