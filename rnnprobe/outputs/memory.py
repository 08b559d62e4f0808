"""Traces in memory, for notebooks and small runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from rnnprobe.errors import OutOfResources
from rnnprobe.outputs import fields, layout, pieces, reductions
from rnnprobe.outputs.blocks import Tally
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.field import Field, Group
from rnnprobe.outputs.layout import AttributeValue
from rnnprobe.outputs.pieces import Piece, Places
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Array, Block, Layer, Recording


class MemorySink:
    """Collects blocks; `trace` is whole once every block came.

    Args:
        recording: what is going to come.
        dtype: `float16`, `float32` or `float64`.

    Attributes:
        trace: what came so far, NaN elsewhere.
        tally: counts it.

    Raises:
        OutOfResources: there is no memory for it.
    """

    def __init__(self, recording: Recording, dtype: str = "float32") -> None:
        groups = fields.groups(recording, dtype)
        self._places = Places(recording, groups)
        self._arrays = {(group.path, one.name): _array(one) for group in groups for one in group.fields}
        self._timed = {(group.path, one.name) for group in groups for one in group.fields if one.lengths is not None}
        for piece in pieces.input_pieces(recording):
            self._put(piece)
        self.tally = Tally(recording)
        self.trace = _trace(recording, {group.path: self._group(group) for group in groups})

    def write(self, block: Block) -> None:
        """Copies a block to its place."""
        self.tally.add(block)
        for piece in self._places.pieces(block):
            self._put(piece)

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        """Takes what was found when the run was compared with the original."""
        self.trace = replace(self.trace, verification=dict(verification))

    def _put(self, piece: Piece) -> None:
        array = self._arrays[piece.key]
        values = cast(piece.values, array.dtype, "/".join(piece.key))
        if piece.key in self._timed:
            array[piece.rows, piece.start : piece.start + values.shape[1]] = values
        else:
            array[piece.rows] = values

    def _group(self, group: Group) -> dict[str, Array]:
        return {one.name: self._arrays[group.path, one.name] for one in group.fields}


@contextmanager
def collect(recording: Recording, dtype: str = "float32") -> Iterator[MemorySink]:
    """A sink whose `trace` is whole when the body ends."""
    sink = MemorySink(recording, dtype)
    yield sink
    sink.tally.check()


def _array(field: Field) -> Array:
    """The array, filled with what is known, or as if nothing were."""
    try:
        if field.known is not None:
            return np.array(field.known, object if field.dtype == "string" else field.dtype)
        return np.full(field.shape, field.fill, field.dtype)
    except MemoryError as exc:
        raise OutOfResources(
            f"{field.name} needs {field.nbytes:,} bytes of memory",
            hint="write the trace to a file, or record fewer signals",
        ) from exc


def _trace(recording: Recording, arrays: Mapping[str, Mapping[str, Array]]) -> Trace:
    """Arrays by group and name → a trace over them."""
    paths, attributes = layout.paths(recording), layout.group_attributes(recording)
    parts = layout.flat(outcome.name for outcome in recording.outcomes)
    return Trace(
        None,
        layout.root_attributes(recording),
        arrays[layout.INPUTS],
        {
            layer.name: _layer(recording, layer, arrays[paths[layer.name]], attributes[layer.name])
            for layer in recording.layers
        },
        dict(recording.verification),
        {name: arrays[layout.OUTPUTS][part] for name, part in parts.items()},
        {outcome.name: outcome.lengths for outcome in recording.outcomes if outcome.lengths is not None},
        {name: arrays[f"{layout.INPUTS}/{part}"] for name, part in fields.besides(recording).items()},
    )


def _layer(
    recording: Recording, layer: Layer, arrays: Mapping[str, Array], attributes: Mapping[str, AttributeValue]
) -> LayerTrace:
    stored, recorded, kept = layout.arrays(layer), recording.signals[layer.name], recording.kept
    states = () if kept.reduced else layer.cell.states
    cut = frozenset(layout.per_unit(layer)) & {*recorded, *states} if layer.name in kept.units else frozenset()
    return LayerTrace(
        layer.name,
        attributes,
        {} if kept.reduced else {name: arrays[stored[name]] for name in recorded},
        {state: arrays[layout.INITIAL + stored[state]] for state in states},
        {state: arrays[layout.FINAL + stored[state]] for state in states},
        recording.lengths_of(layer.name),
        layer.name in recording.lengths,
        kept.units.get(layer.name),
        cut,
        {name: reductions.parts_in(arrays, stored[name]) for name in recorded} if kept.reduced else {},
    )
