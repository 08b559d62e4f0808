"""What there is of a batch at some place of the network, whoever computed it, and how feeds read it.

A value is a sequence for each of the batch, of lengths of its own. Readers that run block by block read stretches of
time, those that see whole sequences its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Feed, Mask


class Value:
    """The sequences of a batch as one place of the network gives them.

    Attributes:
        lengths: `[batch]`, int64.
        shape: of a step of one sequence.
    """

    shape: tuple[int, ...] = ()

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        self.lengths = lengths

    @property
    def steps(self) -> int:
        """The longest length."""
        return int(self.lengths.max(initial=0))

    def read(self, start: int, stop: int) -> Array:
        """Steps `start … stop`, `[time, batch, *shape]`; anything finite past a length."""
        raise NotImplementedError

    def rows(self) -> list[Array]:
        """Each sequence at its own length, `[length, *shape]`."""
        whole = self.read(0, self.steps)
        return [whole[:length, k] for k, length in enumerate(self.lengths)]

    def skipped(self, value: float, start: int, stop: int) -> Array:
        """`[time, batch]` bool: the steps of which every feature equals `value`."""
        steps = self.read(start, stop)
        same = steps == np.asarray(value, steps.dtype)
        return np.asarray(same.all(axis=tuple(range(2, same.ndim))))

    def close(self) -> None:
        """Gives back what it holds."""


class Whole(Value):
    """What was computed of whole sequences.

    Args:
        name: of the transform, for the errors.
        rows: one array for each sequence; where it is read as a sequence, its first axis is time.
    """

    def __init__(self, name: str, rows: list[Array]) -> None:
        super().__init__(np.array([row.shape[0] if row.ndim else 0 for row in rows], np.int64))
        self._name = name
        self._rows = rows
        shapes = dict.fromkeys(row.shape[1:] for row in rows)
        self.shape = next(iter(shapes), ())
        self._shapes = list(shapes)

    def rows(self) -> list[Array]:
        return self._rows

    def read(self, start: int, stop: int) -> Array:
        """As `Value.read`, 0 past a length.

        Raises:
            BadInput: the steps of two sequences differ in shape.
        """
        if len(self._shapes) > 1:
            raise BadInput(uneven(self._name, self._shapes), hint=UNEVEN_HINT)
        steps = np.zeros((stop - start, len(self._rows), *self.shape), self._rows[0].dtype)
        for k, row in enumerate(self._rows):
            part = row[start:stop]
            steps[: len(part), k] = part
        return steps


UNEVEN_HINT = "give sequences of one length: --select chooses among them, --steps cuts them"


def uneven(name: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """That the steps, or the whole, of what `name` gives differ in shape from sequence to sequence."""
    found = ", ".join(str(list(shape)) for shape in shapes[:3])
    return f"what {name} gives has another shape in each sequence, and has to have one; found {found}"


def unequal(reader: str, sources: Sequence[str], counts: Sequence[int], sequence: str, path: Path) -> BadInput:
    """That what a feed reads together has not the same number of steps."""
    found = ", ".join(f"{source}: {count}" for source, count in zip(sources, counts, strict=True))
    return BadInput(
        f"{reader} reads step by step what has not the same number of steps; sequence {sequence} has {found}",
        path=path,
        hint="the inputs of the model have to have lengths that go together",
    )


def merge(how: str, parts: Sequence[Array]) -> Any:
    """Several arrays as one, as `Feed.merge` says: `rnnprobe.engine.loop` does the same within the graph."""
    if len(parts) == 1:
        return parts[0]
    match how:
        case "sum":
            return np.sum(np.stack(parts), axis=0)
        case "ave":
            return np.mean(np.stack(parts), axis=0)
        case "mul":
            return np.prod(np.stack(parts), axis=0)
        case _:
            return np.concatenate(parts, axis=-1)


class Values:
    """What there is of one batch so far: inputs, embeddings, and what the stages before gave. A context manager.

    Args:
        names: of the sequences.
        inputs: name → what stands outside of the layers and transforms.
        path: of the checkpoint, for the errors.

    Attributes:
        sequences: name → what it gives at each step.
        finals: layer → state → `[batch, *shape]` after its last step, in the layer's data format.
    """

    def __init__(self, names: Sequence[str], inputs: Mapping[str, Value], path: Path) -> None:
        self._names = names
        self._path = path
        self._stack = ExitStack()
        self.sequences: dict[str, Value] = dict(inputs)
        self.finals: dict[str, Mapping[str, Array]] = {}

    def __enter__(self) -> Values:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def keep(self, name: str, value: Value) -> None:
        """What `name` gives; it is closed with this."""
        self.sequences[name] = value
        self._stack.callback(value.close)

    def lengths(self, reader: str, *feeds: Feed) -> NDArray[np.int64]:
        """The valid steps, `[batch]`, of all that `reader` reads step by step and that is here.

        Raises:
            BadInput: they differ.
        """
        named = [source for feed in feeds for source in feed.sources]
        named += [feed.mask.source for feed in feeds if feed.mask is not None]
        sources = [source for source in dict.fromkeys(named) if source in self.sequences]
        found = [self.sequences[source].lengths for source in sources]
        for other in found[1:]:
            if not np.array_equal(found[0], other):
                at = int(np.flatnonzero(found[0] != other)[0])
                raise unequal(reader, sources, [int(one[at]) for one in found], self._names[at], self._path)
        return found[0]

    def shape(self, feed: Feed) -> tuple[int, ...]:
        """The shape of a step of what a feed gives."""
        shapes = [self.sequences[source].shape for source in feed.sources]
        if feed.merge != "concat" or len(shapes) == 1:
            return shapes[0]
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def block(self, feed: Feed, start: int, stop: int) -> Array:
        """Steps `start … stop` of what a feed gives, `[time, batch, *shape]`."""
        read: Callable[[Value, int, int], Array] = _turned if feed.turned else lambda value, a, b: value.read(a, b)
        parts = [read(self.sequences[source], start, stop) for source in feed.sources]
        return np.asarray(merge(feed.merge, parts))

    def skipped(self, mask: Mask, start: int, stop: int) -> Array:
        """`[time, batch]` bool: the steps that a mask skips."""
        source = self.sequences[mask.source]
        if not mask.turned:
            return source.skipped(mask.value, start, stop)
        whole = source.skipped(mask.value, 0, source.steps)
        at = source.lengths[None, :] - 1 - np.arange(start, stop)[:, None]
        turned: Array = whole[np.clip(at, 0, None), np.arange(len(source.lengths))] & (at >= 0)
        return turned

    def rows(self, feed: Feed) -> list[Array]:
        """What a feed gives of each sequence: all its steps, or where a final state is meant, that state."""
        if feed.final:
            return list(merge(feed.merge, [self.finals[source][feed.final] for source in feed.sources]))
        parts = [self.sequences[source].rows() for source in feed.sources]
        rows = [merge(feed.merge, row) for row in zip(*parts, strict=True)]
        return [row[::-1] for row in rows] if feed.turned else rows

    def kept(self, feed: Feed) -> list[Array] | None:
        """`[length]` bool of each sequence: the steps that a feed's mask leaves; None where there is no mask."""
        if feed.mask is None or feed.final:
            return None
        lengths = self.lengths("a mask", feed)
        skipped = self.skipped(feed.mask, 0, int(lengths.max(initial=0)))
        return [~skipped[:length, k] for k, length in enumerate(lengths)]

    def stacked(self, feed: Feed) -> Array:
        """What a feed gives where nothing of it is a step, `[batch, *shape]`.

        Raises:
            BadInput: sequences differ in it.
        """
        rows = self.rows(feed)
        shapes = list(dict.fromkeys(row.shape for row in rows))
        if len(shapes) > 1:
            raise BadInput(uneven(", ".join(feed.sources), shapes), path=self._path, hint=UNEVEN_HINT)
        return np.stack(rows)


def _turned(value: Value, start: int, stop: int) -> Array:
    """Steps `start … stop`, counted from the end of each sequence. Reads the stretch in which they all lie."""
    lengths = value.lengths
    low = max(0, int(lengths.min(initial=0)) - stop)
    rows = value.read(low, max(low, value.steps - start))
    if not len(rows):
        return value.read(start, stop)
    at = lengths[None, :] - 1 - np.arange(start, stop)[:, None]
    turned: Array = rows[np.clip(at - low, 0, len(rows) - 1), np.arange(len(lengths))]
    return turned
