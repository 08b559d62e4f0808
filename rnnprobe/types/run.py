"""What goes into a run of a network, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnprobe.types.checkpoint import Array
from rnnprobe.types.network import Layer

Count = TypeVar("Count", int, NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Entry:
    """What a network takes from the user as one of its inputs.

    Attributes:
        shape: of a float step: `(features,)`; `(rows, columns, channels)`; `()` where a step is one number and has no
            axis of its own. None where any size will do.
        vocabulary: how many ids there are: the embedding's rows; without an embedding, the features, since an id then
            stands for a one-hot step; 0 where ids mean nothing.
        embedded: whether an embedding stands in front.
        dtype: the floats that the network computes with, `float32` or `float64`.
        steps: how many steps a sequence must have, or None.
    """

    shape: tuple[int | None, ...]
    vocabulary: int
    embedded: bool
    dtype: str = "float32"
    steps: int | None = None

    @property
    def features(self) -> int | None:
        """The width of a step, where that is all its shape."""
        return self.shape[0] if len(self.shape) == 1 else None


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that run side by side, none of them loaded.

    Attributes:
        rows: `[batch]`, int64: the numbers of its sequences in the whole input, ascending.
        names: one for each sequence.
        lengths: `[batch]`, int64; each at least 0 and at most `steps`.
        steps: the longest length.
        shape: of a step of floats, or None where the steps are ids.
        load: `load(start, stop)` returns the steps `start … stop`, `[batch, stop - start, *shape]` floats or
            `[batch, stop - start]` int64 ids; past a sequence's length it is filled with 0.
        dtype: of what `load` returns.
        vocabulary: the tokens by id, where the input was text.
        beside: the same sequences of the network's other inputs, by the input's name.
    """

    rows: NDArray[np.int64]
    names: Sequence[str]
    lengths: NDArray[np.int64]
    steps: int
    shape: tuple[int, ...] | None
    load: Callable[[int, int], Array]
    dtype: str
    vocabulary: tuple[str, ...] | None = None
    beside: Mapping[str, Batch] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The number of its first sequence, which is in no other batch."""
        return int(self.rows[0])


def lengths_of(batches: Sequence[Batch]) -> NDArray[np.int64]:
    """The valid steps of all sequences of an input, `[sequences]`."""
    return in_order(batches, [batch.lengths for batch in batches]) if batches else np.zeros(0, np.int64)


def in_order(batches: Sequence[Batch], parts: Sequence[Array]) -> Array:
    """What each batch has of its sequences, `[batch, …]`, as `[sequences, …]` in the order of the input."""
    joined = np.concatenate(parts)
    found = np.empty_like(joined)
    found[np.concatenate([batch.rows for batch in batches])] = joined
    return found


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of time of one batch, recorded.

    Attributes:
        batch: whose steps these are.
        start: the step of its first row. The blocks of a forward layer come in the order of time, those of a
            backward layer from the end; every step of every layer comes once.
        signals: layer → signal → `[time, batch, *shape]`, at the time of the input that was read; NaN past a
            sequence's length.
        initial: layer → state → `[batch, *shape]`, in a layer's first block of a batch, empty in the others.
        final: layer → state → `[batch, *shape]` after the last valid step, in a layer's last block of a batch.
        outcomes: outcome → `[batch, time, *shape]`, NaN past its length, or `[batch, *shape]` where it has no steps;
            once for a batch.
    """

    batch: Batch
    start: int
    signals: Mapping[str, Mapping[str, Array]]
    initial: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    final: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    outcomes: Mapping[str, Array] = field(default_factory=dict)

    @property
    def work(self) -> int:
        """Its share of `Recording.work`."""
        steps = sum(len(next(iter(signals.values()), ())) for signals in self.signals.values())
        return steps + bool(self.outcomes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model gives in the end.

    Attributes:
        name: of the model's output.
        shape: of a step, or of the whole where there are no steps.
        lengths: `[sequences]`, its steps for each sequence; None where it has no steps.
    """

    name: str
    shape: tuple[int, ...]
    lengths: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a recording is stored: all of it, unless something is said.

    Attributes:
        stride: every so many steps, from the first one on, of the input's own time and of every layer's.
        units: layer → the numbers of the units kept, ascending, of the signals and states whose last axis they are.
        reduced: what is stored in place of the signals (`rnnprobe.outputs.reductions.NAMES`); empty for these.
        over: what that is taken over.
    """

    stride: int = 1
    units: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    reduced: tuple[str, ...] = ()
    over: Literal["time", "sequences"] = "time"

    @property
    def whole(self) -> bool:
        """Whether it is all of the recording."""
        return self.stride == 1 and not self.units and not self.reduced

    def steps(self, count: Count) -> Count:
        """How many of so many steps are kept; or of each of several counts."""
        return -(-count // self.stride)


@dataclass(frozen=True, slots=True)
class Recording:
    """What a trace is going to hold, known before anything is computed.

    Attributes:
        layers: the layers traced.
        signals: layer → the signals recorded, in the cell's order.
        batches: the whole input; each of its sequences is in one of them.
        attributes: where it comes from (`command`, `model`, `model_sha256`, `input`, `input_sha256` …), plain strings.
        verification: what was compared with the original, or why nothing was: plain strings and numbers.
        lengths: layer → `[sequences]`, int64: its valid steps, for a layer whose steps are not those of the input
            (behind a pooling, a convolution, a `RepeatVector`, another input).
        outcomes: the model's outputs that are recorded.
        kept: what is stored of all that.
    """

    layers: tuple[Layer, ...]
    signals: Mapping[str, tuple[str, ...]]
    batches: tuple[Batch, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, str | float | int] = field(default_factory=dict)
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    kept: Kept = field(default_factory=Kept)

    def lengths_of(self, layer: str) -> NDArray[np.int64]:
        """The valid steps of a layer, `[sequences]`."""
        return self.lengths[layer] if layer in self.lengths else lengths_of(self.batches)

    def steps_of(self, layer: str) -> int:
        """The longest of a layer's lengths."""
        return int(self.lengths_of(layer).max(initial=0))

    def work(self, batches: Sequence[Batch] | None = None) -> int:
        """How much there is to compute: the steps of each batch, counted for each layer that records any signal; and
        one for the outputs of a batch.

        Args:
            batches: of those that are here, the ones that run; None: all.
        """
        batches = self.batches if batches is None else batches
        told = [self.lengths.get(layer.name) for layer in self.layers if self.signals[layer.name]]
        steps = (
            batch.steps if lengths is None else int(lengths[batch.rows].max(initial=0))
            for lengths in told
            for batch in batches
        )
        return sum(steps) + (len(batches) if self.outcomes else 0)

    @property
    def sequences(self) -> int:
        """The number of sequences."""
        return sum(len(batch.names) for batch in self.batches)

    @property
    def steps(self) -> int:
        """The longest length."""
        return max((batch.steps for batch in self.batches), default=0)
