"""Sequences → batches that load a stretch of steps at a time, and check what they load."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Say, Sequences
from rnnprobe.types import Array, Batch, Entry

CHECKED_AT_ONCE = 1 << 28
"""Bytes of input up to which all of it is checked before anything runs; larger input is checked as it is loaded."""

_STRETCH = 1 << 22  # bytes


def batches(
    sequences: Sequences,
    rows: NDArray[np.int64],
    steps: tuple[int, int],
    size: int,
    entry: Entry,
    tokens: tuple[str, ...] | None,
    say: Say,
) -> tuple[Batch, ...]:
    """The chosen sequences in batches of at most `size`, in order.

    Args:
        rows: `[chosen]`, the numbers of the sequences.
        steps: the first step of each to take, and the one behind the last.
        tokens: by id, where there is a vocabulary.

    Raises:
        BadInput: an id is outside of the vocabulary.
    """
    watch = _Watch(sequences, entry, say)
    made = []
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        lengths = np.clip(sequences.lengths[chosen], None, steps[1]) - steps[0]
        made.append(_batch(sequences, start, chosen, np.maximum(lengths, 0), steps[0], tokens, watch))
    short = [sequences.names[row] for row in rows if sequences.lengths[row] <= steps[0]]
    if len(short) == len(rows):
        raise BadInput(f"--steps {steps[0]}:{steps[1]} holds no step of the chosen sequences")
    if short:
        more = ", …" if len(short) > 5 else ""
        say(f"sequences that end before step {steps[0]} have no step left: {', '.join(short[:5])}{more}")
    numbers = sum(int(batch.lengths.sum()) for batch in made) * prod(sequences.shape or ())
    if numbers * sequences.dtype.itemsize <= CHECKED_AT_ONCE:
        _check(made)
    return tuple(made)


def _batch(
    sequences: Sequences,
    number: int,
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    offset: int,
    tokens: tuple[str, ...] | None,
    watch: _Watch,
) -> Batch:
    shape = sequences.shape or ()
    runs = _runs(rows)

    def load(start: int, stop: int) -> Array:
        out = np.zeros((len(rows), stop - start, *shape), sequences.dtype)
        for first, last in runs:
            end = min(stop, int(lengths[first:last].max(initial=0)))
            if end <= start:
                continue
            block = sequences.read(int(rows[first]), last - first, offset + start, offset + end)
            valid = np.arange(start, end) < lengths[first:last, None]
            watch.look(block, valid, int(rows[first]), offset + start)
            if not valid.all():
                block = np.where(valid.reshape(valid.shape + (1,) * len(shape)), block, block.dtype.type(0))
            out[first:last, : end - start] = block
        return out

    names = tuple(sequences.names[row] for row in rows)
    steps = int(lengths.max(initial=0))
    return Batch(
        np.arange(number, number + len(rows)),
        names,
        lengths,
        steps,
        sequences.shape,
        load,
        str(sequences.dtype),
        tokens,
    )


def _runs(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where in `rows` numbers follow each other: they are read together."""
    cuts = (np.flatnonzero(np.diff(rows) != 1) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(rows)], strict=True))


class _Watch:
    """Looks at every value that is loaded: ids must lie within the vocabulary, what is not finite is said once."""

    def __init__(self, sequences: Sequences, entry: Entry, say: Say) -> None:
        self.sequences = sequences
        self.entry = entry
        self.say = say
        self.said = False

    def look(self, block: Array, valid: NDArray[np.bool_], row: int, step: int) -> None:
        """Checks a block `[sequences, steps, *shape]` that begins at `row` and `step`.

        Raises:
            BadInput: an id is outside of the vocabulary.
        """
        if self.sequences.shape is None:
            bad = ((block < 0) | (block >= self.entry.vocabulary)) & valid
            if bad.any():
                first = np.argwhere(bad)[0]
                self._refuse(block[tuple(first)], self.sequences.place(row + int(first[0]), step + int(first[1]), ()))
        elif block.dtype.kind == "f" and not self.said:
            with np.errstate(over="ignore", invalid="ignore"):
                bad = ~np.isfinite(block) & valid.reshape(valid.shape + (1,) * (block.ndim - 2))
            if bad.any():
                first = tuple(np.argwhere(bad)[0].tolist())
                place = self.sequences.place(row + first[0], step + first[1], first[2:])
                self.say(f"the input holds {block[first]} at {place}")
                self.said = True

    def _refuse(self, value: object, place: str) -> None:
        count = self.entry.vocabulary
        stands = "the embedding in front has" if self.entry.embedded else "an id stands for a one-hot step of"
        what = f"{count} rows" if self.entry.embedded else f"{count} features"
        number = str(value).removesuffix(".0")
        hint = "padding is told by --lengths" if number.startswith("-") else ""
        if not self.entry.embedded:
            hint = "if these are features and no ids, store them as floats [batch, time, features]"
        raise BadInput(f"id {number} at {place} is outside of 0…{count - 1}: {stands} {what}", hint=hint)


def _check(made: list[Batch]) -> None:
    """Loads everything once, a stretch at a time, so that what is wrong is said before anything runs."""
    for batch in made:
        step = prod(batch.shape or ()) * len(batch.names) * np.dtype(batch.dtype).itemsize
        stretch = max(1, _STRETCH // step)
        for start in range(0, batch.steps, stretch):
            batch.load(start, min(start + stretch, batch.steps))
