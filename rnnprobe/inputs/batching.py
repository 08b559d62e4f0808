"""Sequences → batches of like length that load a stretch of steps at a time, and check what they load."""

from __future__ import annotations

from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Say, Sequences
from rnnprobe.inputs.names import taken
from rnnprobe.types import Array, Batch, Entry

CHECKED_AT_ONCE = 1 << 28
"""Bytes of input up to which all of it is checked before anything runs; larger input is checked as it is loaded."""

_SHOWN = 5

AT_LEAST = 16
"""Sequences in a batch, unless the caller says otherwise. Measured with an LSTM, in microseconds for a step of one
sequence on one core: 64 units, batches of 4, 16, 32, 128: 1.9, 1.5, 1.8, 1.5; 256 units, batches of 1, 4, 16, 32, 128:
16, 9.6, 12, 11, 11; 1,024 units, batches of 1, 4, 16, 32, 64, 128: 675, 194, 159, 138, 98, 104. More sequences gain
nothing before layers are wide, and several batches run at once."""

AT_LEAST_WIDE = 64
"""Where layers are wide (`rnnprobe.cells.layers.wide`)."""

_MOST = 256
_STEPS = 4096
"""Steps of a batch in all: a call costs as much as 600 of them in a layer of 64 units."""

_WINDOW = 8
"""Batches whose sequences are sorted: the more, the likelier they are alike in length, and the farther apart they lie.
"""

_STRETCH = 1 << 22  # bytes


def fitting(lengths: NDArray[np.int64], at_least: int = AT_LEAST) -> int:
    """How many sequences run side by side: a function of the lengths alone, so that results are the same everywhere.

    Args:
        lengths: `[sequences]`, the steps of each.
        at_least: sequences; where they are short, so many more that a batch has `_STEPS` steps, up to `_MOST`.
    """
    wanted = ceil(_STEPS * len(lengths) / max(1, int(lengths.sum())))
    return max(at_least, min(_MOST, ceil(wanted / AT_LEAST) * AT_LEAST))


def alike(lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """The sequences of each batch, ascending: within a window of consecutive sequences those of like length together.

    Args:
        lengths: `[sequences]`, the steps of each.
        size: of a batch, at most; of one sequence each, they stay in order.
    """
    groups = []
    window = size * _WINDOW if size > 1 else 1
    for start in range(0, len(lengths), window):
        order = start + np.argsort(lengths[start : start + window], kind="stable")
        # Evenly, since batches run at once.
        groups += [np.sort(rows) for rows in np.array_split(order, ceil(len(order) / size))]
    return groups


def batches(
    sequences: Sequences,
    rows: NDArray[np.int64],
    steps: tuple[int, int],
    groups: list[NDArray[np.int64]],
    entry: Entry,
    tokens: tuple[str, ...] | None,
    say: Say,
) -> tuple[Batch, ...]:
    """The chosen sequences in batches.

    Args:
        rows: `[chosen]`, the numbers of the sequences.
        steps: the first step of each to take, and the one behind the last.
        groups: of each batch the numbers among those chosen.
        tokens: by id, where there is a vocabulary.

    Raises:
        BadInput: an id is outside of the vocabulary.
    """
    watch = _Watch(sequences, entry, say)
    lengths = kept(sequences.lengths[rows], steps)
    made = [_batch(sequences, group, rows[group], lengths[group], steps[0], tokens, watch) for group in groups]
    short = np.flatnonzero(sequences.lengths[rows] <= steps[0])
    if len(short) == len(rows):
        raise BadInput(f"--steps {steps[0]}:{steps[1]} holds no step of the chosen sequences")
    if len(short):
        names = [sequences.names[row] for row in rows[short[:_SHOWN]]]
        more = ", …" * (len(short) > _SHOWN)
        say(f"sequences that end before step {steps[0]} have no step left: {', '.join(names)}{more}")
    numbers = int(lengths.sum()) * prod(sequences.shape or ())
    if numbers * sequences.dtype.itemsize <= CHECKED_AT_ONCE:
        _check(made)
    return tuple(made)


def kept(lengths: NDArray[np.int64], steps: tuple[int, int]) -> NDArray[np.int64]:
    """The lengths of what is left of sequences between two steps."""
    left: NDArray[np.int64] = np.maximum(np.minimum(lengths, steps[1]) - steps[0], 0)
    return left


def _batch(
    sequences: Sequences,
    numbers: NDArray[np.int64],
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    offset: int,
    tokens: tuple[str, ...] | None,
    watch: _Watch,
) -> Batch:
    shape = sequences.shape or ()
    steps = int(lengths.max(initial=0))

    def load(start: int, stop: int) -> Array:
        out = np.zeros((len(rows), stop - start, *shape), sequences.dtype)
        live = np.flatnonzero(lengths > start)
        end = min(stop, steps)
        if end <= start or not len(live):
            return out
        block = sequences.read(rows[live], offset + start, offset + end)
        valid = np.arange(start, end) < lengths[live, None]
        watch.look(block, valid, rows[live], offset + start)
        if not valid.all():
            block = np.where(valid.reshape(valid.shape + (1,) * len(shape)), block, block.dtype.type(0))
        out[live, : end - start] = block
        return out

    return Batch(
        numbers,
        taken(sequences.names, rows),
        lengths,
        steps,
        sequences.shape,
        load,
        str(sequences.dtype),
        tokens,
    )


class _Watch:
    """Looks at every value that is loaded: ids must lie within the vocabulary, what is not finite is said once."""

    def __init__(self, sequences: Sequences, entry: Entry, say: Say) -> None:
        self.sequences = sequences
        self.entry = entry
        self.say = say
        self.said = False

    def look(self, block: Array, valid: NDArray[np.bool_], rows: NDArray[np.int64], step: int) -> None:
        """Checks a block `[sequences, steps, *shape]` of these sequences, from `step` on.

        Raises:
            BadInput: an id is outside of the vocabulary.
        """
        if self.sequences.shape is None:
            bad = ((block < 0) | (block >= self.entry.vocabulary)) & valid
            if bad.any():
                first = np.argwhere(bad)[0]
                self._refuse(block[tuple(first)], self.sequences.place(int(rows[first[0]]), step + int(first[1]), ()))
        elif block.dtype.kind == "f" and not self.said:
            with np.errstate(over="ignore", invalid="ignore"):
                bad = ~np.isfinite(block) & valid.reshape(valid.shape + (1,) * (block.ndim - 2))
            if bad.any():
                first = tuple(np.argwhere(bad)[0].tolist())
                place = self.sequences.place(int(rows[first[0]]), step + first[1], first[2:])
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
