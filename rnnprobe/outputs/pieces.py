"""Where in a trace's arrays the input and the blocks go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from rnnprobe.outputs import layout
from rnnprobe.outputs.field import Field, Group, Key
from rnnprobe.outputs.fields import besides
from rnnprobe.outputs.reducing import Reducer
from rnnprobe.outputs.thin import thinned
from rnnprobe.types import Array, Batch, Block, Recording

_PIECE = 8 << 20
"""Bytes of input that are held at a time."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Values and their place.

    Attributes:
        key: the array.
        rows: `[sequences]`: the numbers of their sequences, ascending; of reductions over sequences, those of steps.
        start: where its second axis is time, the first step, counting those that are kept.
        values: `[sequences, time, …]`, or `[sequences, …]`.
    """

    key: Key
    rows: Array
    start: int
    values: Array


def input_pieces(recording: Recording) -> Iterator[Piece]:
    """The steps of every input that are kept, a bounded stretch at a time, filled past the lengths."""
    parts = besides(recording)
    if recording.kept.reduced:
        return
    for batch in recording.batches:
        if layout.given([batch]):
            yield from _batch_pieces(layout.INPUTS, batch, recording.kept.stride)
        for name, part in parts.items():
            yield from _batch_pieces(f"{layout.INPUTS}/{part}", batch.beside[name], recording.kept.stride)


def _batch_pieces(path: str, batch: Batch, stride: int) -> Iterator[Piece]:
    stretch = max(1, _PIECE // (8 * max(1, prod(batch.shape or ()) * len(batch.names))))
    stretch = -(-stretch // stride) * stride
    for start in range(0, batch.steps, stretch):
        stop = min(start + stretch, batch.steps)
        values = batch.load(start, stop)[:, ::stride]
        past = np.arange(start, stop, stride)[None, :] >= batch.lengths[:, None]
        if past.any():
            values = values.copy()
            values[past] = layout.NO_ID if batch.shape is None else np.nan
        yield Piece((path, "ids" if batch.shape is None else "x"), batch.rows, start // stride, values)


class Places:
    """Where the arrays of blocks go.

    Args:
        recording: what they belong to.
        found: its groups.
    """

    def __init__(self, recording: Recording, found: Sequence[Group]) -> None:
        self._layers = layout.paths(recording)
        self._arrays = {layer.name: layout.arrays(layer) for layer in recording.layers}
        self._outputs = layout.flat(outcome.name for outcome in recording.outcomes)
        self._recording = recording
        self._reducer = Reducer(recording) if recording.kept.reduced else None
        self._fields: dict[Key, Field] = {(group.path, one.name): one for group in found for one in group.fields}

    def pieces(self, block: Block) -> Iterator[Piece]:
        """What is kept of a block, `[batch, time, …]` or `[batch, …]`; of reductions, what is complete with it.

        Raises:
            RuntimeError: an array has not the shape that was announced.
        """
        for piece in self._pieces(block):
            place, given = self._fields[piece.key], piece.values.shape
            axes = 1 if place.lengths is None else 2
            within = axes == 1 or piece.start + given[1] <= place.shape[1]
            if len(given) != len(place.shape) or given[axes:] != place.shape[axes:] or not within:
                raise RuntimeError(
                    f"{'/'.join(piece.key)}: {given} from step {piece.start} on does not fit into {place.shape}"
                )
            yield piece

    def _pieces(self, block: Block) -> Iterator[Piece]:
        block = thinned(block, self._recording)
        rows = block.batch.rows
        if self._reducer is not None:
            for one in self._reducer.add(block):
                name = f"{self._arrays[one.layer][one.signal]}_{one.part}"
                yield Piece((self._layers[one.layer], name), one.rows, 0, one.values)
            return
        for layer, recorded in block.signals.items():
            for name, values in recorded.items():
                yield Piece((self._layers[layer], self._arrays[layer][name]), rows, block.start, values.swapaxes(0, 1))
        for prefix, states in ((layout.INITIAL, block.initial), (layout.FINAL, block.final)):
            for layer, ends in states.items():
                for name, values in ends.items():
                    yield Piece((self._layers[layer], prefix + self._arrays[layer][name]), rows, 0, values)
        for name, values in block.outcomes.items():
            yield Piece((layout.OUTPUTS, self._outputs[name]), rows, 0, values)
