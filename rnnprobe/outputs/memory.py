"""Traces in memory, for notebooks and small runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rnnprobe.errors import OutOfResources
from rnnprobe.outputs import layout
from rnnprobe.outputs.blocks import Tally
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.layout import Field
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
        inputs = _inputs(recording)
        layers = {layer.name: _layer(recording, layer, dtype) for layer in recording.layers}
        self._layers = layers
        self.tally = Tally(recording)
        self.trace = Trace(None, layout.root_attributes(recording), inputs, layers, dict(recording.verification))

    def write(self, block: Block) -> None:
        """Copies a block to its place."""
        self.tally.add(block)
        rows = slice(block.batch.start, block.batch.start + len(block.batch.names))
        for layer, recorded in block.signals.items():
            for name, values in recorded.items():
                array = np.asarray(self._layers[layer].signals[name])
                stop = block.start + values.shape[0]
                array[rows, block.start : stop] = cast(values.swapaxes(0, 1), array.dtype, f"{layer} {name}")
        for kind, states in (("initial", block.initial), ("final", block.final)):
            for layer, ends in states.items():
                for name, values in ends.items():
                    array = np.asarray(getattr(self._layers[layer], kind)[name])
                    array[rows] = cast(values, array.dtype, f"{layer} {kind} {name}")


@contextmanager
def collect(recording: Recording, dtype: str = "float32") -> Iterator[MemorySink]:
    """A sink whose `trace` is whole when the body ends."""
    sink = MemorySink(recording, dtype)
    yield sink
    sink.tally.check()


def _empty(field: Field) -> Array:
    try:
        return np.full(field.shape, layout.NO_ID if field.dtype == "int64" else np.nan, field.dtype)
    except MemoryError as exc:
        raise OutOfResources(
            f"{field.name} needs {field.nbytes:,} bytes of memory",
            hint="write the trace to a file, or record fewer signals",
        ) from exc


def _inputs(recording: Recording) -> dict[str, Array]:
    inputs: dict[str, Array] = {}
    for field in layout.input_fields(recording):
        if "time" in field.dimensions:
            array = inputs[field.name] = _empty(field)
            for batch in recording.batches:
                rows = slice(batch.start, batch.start + len(batch.names))
                for start, values in layout.input_pieces(batch):
                    array[rows, start : start + values.shape[1]] = values
    inputs["lengths"] = np.concatenate([np.zeros(0, np.int64), *(batch.lengths for batch in recording.batches)])
    inputs["names"] = np.array([name for batch in recording.batches for name in batch.names], object)
    if layout.tokens(recording):
        inputs["tokens"] = np.array(layout.tokens(recording), object)
    return inputs


def _layer(recording: Recording, layer: Layer, dtype: str) -> LayerTrace:
    arrays = {field.name: _empty(field) for field in layout.fields(recording, layer, dtype)}
    return LayerTrace(
        layer.name,
        layout.layer_attributes(layer),
        {name: arrays[name] for name in recording.signals[layer.name]},
        {state: arrays[layout.INITIAL + state] for state in layer.cell.states},
        {state: arrays[layout.FINAL + state] for state in layer.cell.states},
    )
