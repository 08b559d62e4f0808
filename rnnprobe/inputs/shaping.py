"""What the numbers mean to a network: which axis is time, and whether they are ids or features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput, OutOfResources
from rnnprobe.inputs.found import Found, Grid, Place, Ragged, Say, Sequences
from rnnprobe.types import Array, Entry

SEQUENCES_LIMIT = 10_000_000
"""Sequences of one input: their names and lengths are kept in memory."""

_SCAN = 1 << 20  # numbers that are looked at in one go

ROWS = "rows"
TIME = "time"
FEATURES = "features"


def wants(entry: Entry) -> str:
    """What a network takes, for an error."""
    floats = f"floats [batch, time, {entry.features}]"
    if entry.embedded:
        return (
            f"an embedding of {entry.vocabulary} rows stands in front: ids 0…{entry.vocabulary - 1} as integers "
            f"[batch, time], or {floats}, which enter behind it"
        )
    return f"the layers in front take {entry.features} feature{'s' * (entry.features != 1)} a step: {floats}"


def shape(found: Found, entry: Entry, lengths: NDArray[np.int64] | None, time_major: bool, say: Say) -> Sequences:
    """Sequences of the network's own width, or ids.

    Args:
        found: what a reader found.
        entry: what the network takes.
        lengths: the user's, which replace the file's.
        time_major: the first axis of an array of several sequences is time.

    Raises:
        BadInput: the rank or the width is wrong, a length is 0 or beyond the steps, there is no sequence.
    """
    data = found.data
    if isinstance(data, Grid):
        sequences = _grid(found, data, entry, time_major, say)
    else:
        sequences = _ragged(found, data, entry, say)
    return _with_lengths(sequences, found.lengths if lengths is None else lengths)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Which axis of an array is what; an array without rows is one sequence."""

    order: tuple[str, ...]
    width: int | None


def _grid(found: Found, grid: Grid, entry: Entry, time_major: bool, say: Say) -> Sequences:
    axes = _axes(found, grid, entry, say)
    if time_major and axes.order[:2] == (ROWS, TIME):
        axes = _Axes((TIME, ROWS, *axes.order[2:]), axes.width)
    count = grid.shape[axes.order.index(ROWS)] if ROWS in axes.order else 1
    steps = grid.shape[axes.order.index(TIME)]
    if count > SEQUENCES_LIMIT:
        raise OutOfResources(f"{grid.name} is {grid.words}: more than {SEQUENCES_LIMIT} sequences")
    names = found.names or tuple(map(str, range(count)))
    if len(names) != count:
        raise BadInput(f"{grid.name} holds {count} sequences and {len(names)} names")

    def read(row: int, number: int, start: int, stop: int) -> Array:
        extents = {ROWS: slice(row, row + number), TIME: slice(start, stop), FEATURES: slice(0, axes.width)}
        block = grid.read(tuple(extents[axis] for axis in axes.order))
        if ROWS not in axes.order:
            block = block[None]
        elif axes.order[0] == TIME:
            block = block.swapaxes(0, 1)
        return block[..., None] if axes.width is not None and FEATURES not in axes.order else block

    lengths = np.full(count, steps, np.int64)
    place = found.place or _place(names)
    return Sequences(names, lengths, axes.width, _dtype(grid.dtype, axes.width), read, place)


def _axes(found: Found, grid: Grid, entry: Entry, say: Say) -> _Axes:
    """The meaning of an array's axes."""
    rank, whole = len(grid.shape), grid.dtype.kind in "iu"
    if rank == 3:
        if grid.shape[2] != entry.features:
            raise _width(grid.words, grid.shape[2], entry)
        if grid.dtype.kind != "f":
            say(f"{grid.name} is {grid.words}: integers of rank 3 are taken as features, and converted to floats")
        return _Axes((ROWS, TIME, FEATURES), entry.features)
    if rank not in (1, 2):
        raise BadInput(f"{grid.name} is {grid.words}, of rank {rank}; {wants(entry)}")
    if grid.dtype.kind == "b":
        raise BadInput(f"{grid.name} is {grid.words}; {wants(entry)}")
    number_steps = entry.features == 1 and not entry.embedded  # a step is one number, with or without an axis for it
    order = (TIME,) if rank == 1 else (ROWS, TIME)
    if whole and not (found.written and number_steps):
        if rank == 2 and grid.shape[1] == entry.features and not entry.embedded:
            say(f"{grid.name} is {grid.words}: integers are taken as ids [batch, time]; features are stored as floats")
        return _Axes(order, None)
    if rank == 2 and grid.shape[1] == entry.features and not (entry.embedded and _whole(grid)):
        return _Axes((TIME, FEATURES), entry.features)
    if entry.embedded and _whole(grid):
        say(f"{grid.name} is {grid.words} of whole numbers: they are taken as ids {_words(order)}")
        return _Axes(order, None)
    if rank == 1 and entry.features == 1:
        return _Axes((TIME,), 1)
    if rank == 1:
        raise BadInput(
            f"{grid.name} is {grid.words}, a number a step; {wants(entry)}",
            hint="ids are stored as integers: x.astype('int64')",
        )
    error = _width(grid.words, grid.shape[1], entry)
    reading = "floats of rank 2 are one sequence [time, features]"
    hint = "x[..., None] makes [batch, time] a batch of one number a step" if entry.features == 1 else error.hint
    raise BadInput(f"{error.message}; {reading}", hint=hint)


def _words(order: tuple[str, ...]) -> str:
    return "[time], one sequence" if len(order) == 1 else "[batch, time]"


def _width(what: str, width: int, entry: Entry) -> BadInput:
    hint = "for ids, store integers [batch, time]" if entry.embedded or width == 1 else ""
    return BadInput(f"the input is {what}, {width} feature{'s' * (width != 1)} a step; {wants(entry)}", hint=hint)


def _ragged(found: Found, data: Ragged, entry: Entry, say: Say) -> Sequences:
    width = data.width
    names = found.names or tuple(map(str, range(len(data.lengths))))
    place = found.place or _place(names)
    convert = False
    if width is not None:
        if width != entry.features:
            raise _width(data.words, width, entry)
    elif found.written and entry.features == 1 and not entry.embedded:
        convert, width = True, 1
    elif data.dtype.kind == "f":
        fraction = _fraction(data)
        if fraction is None and (found.written or entry.embedded):
            if not found.written:
                say(f"the input is {data.words} of whole numbers: they are taken as ids")
        elif entry.features == 1:
            convert, width = True, 1
        else:
            what = f"{fraction[2]} at {place(fraction[0], fraction[1], None)}" if fraction else data.words
            raise BadInput(f"the input holds {what}, a number a step that is no id; {wants(entry)}")

    def read(row: int, number: int, start: int, stop: int) -> Array:
        out = np.zeros((number, stop - start, *(() if data.width is None else (data.width,))), data.dtype)
        for index in range(number):
            end = min(stop, int(data.lengths[row + index]))
            if end > start:
                out[index, : end - start] = data.read(row + index, start, end)
        return out[..., None] if convert else out

    return Sequences(names, data.lengths, width, _dtype(data.dtype, width), read, place)


def _place(names: tuple[str, ...]) -> Place:
    def place(row: int, step: int, column: int | None) -> str:
        name = names[row] if names[row] == str(row) or " " in names[row] else repr(names[row])
        return f"sequence {name}, step {step}" + ("" if column is None else f", feature {column}")

    return place


def _dtype(stored: np.dtype[np.generic], width: int | None) -> np.dtype[np.generic]:
    """What the batches load: native byte order; integers that are features become float32."""
    if width is None:
        return np.dtype(np.int64)
    if stored.kind != "f":
        return np.dtype(np.float32)
    return stored.newbyteorder("=") if stored.itemsize <= 8 else np.dtype(np.float64)


def _whole(grid: Grid) -> bool:
    """Whether every float of an array of rank 1 or 2 is a whole number; ends at the first that is none."""
    width = grid.shape[-1]
    lines = grid.shape[0] if len(grid.shape) == 2 else 1
    across = max(1, min(width, _SCAN))
    down = max(1, _SCAN // across)
    for top in range(0, lines, down):
        for left in range(0, width, across):
            columns = slice(left, min(left + across, width))
            rows = (slice(top, min(top + down, lines)),) if len(grid.shape) == 2 else ()
            if not _all_whole(grid.read((*rows, columns))):
                return False
    return grid.shape != (0,)


def _all_whole(block: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.trunc(block) == block) and np.all(np.isfinite(block)))


def _fraction(data: Ragged) -> tuple[int, int, float] | None:
    """Sequence, step and value of the first number that is not whole."""
    for row, length in enumerate(data.lengths.tolist()):
        for start in range(0, length, _SCAN):
            block = data.read(row, start, min(start + _SCAN, length))
            if not _all_whole(block):
                step = next(index for index, value in enumerate(block) if not _all_whole(np.asarray(value)))
                return row, start + step, float(block[step])
    return None


def _with_lengths(sequences: Sequences, lengths: NDArray[np.int64] | None) -> Sequences:
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
