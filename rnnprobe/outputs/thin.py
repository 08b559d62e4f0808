"""The steps and units of a block that are kept, and those that a trace was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rnnprobe.outputs import layout
from rnnprobe.outputs.trace import Trace
from rnnprobe.types import Array, Block, Kept, Recording


def kept(trace: Trace) -> Kept:
    """The steps and units that a trace holds."""
    return Kept(trace.stride, {name: layer.units for name, layer in trace.layers.items() if layer.units is not None})


def thinned(block: Block, recording: Recording) -> Block:
    """A block with nothing but what is kept of it (`Recording.kept`).

    Its `start` counts the steps that are kept. Signals and states whose last axis is the layer's units have only those
    that are kept; others are whole.
    """
    kept = recording.kept
    if kept.stride == 1 and not kept.units:
        return block
    start = kept.steps(block.start)
    steps = slice(start * kept.stride - block.start, None, kept.stride)
    cut = {layer.name: frozenset(layout.per_unit(layer)) for layer in recording.layers if layer.name in kept.units}

    def units(layer: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {
            name: values[..., kept.units[layer]] if name in cut.get(layer, ()) else values
            for name, values in arrays.items()
        }

    def spaced(values: Array) -> Array:
        # a copy, so that what is left out is not held in memory by what is kept
        return values[steps] if kept.stride == 1 else np.ascontiguousarray(values[steps])

    stepped = {outcome.name for outcome in recording.outcomes if outcome.lengths is not None}
    return replace(
        block,
        start=start,
        signals={
            layer: units(layer, {name: spaced(values) for name, values in own.items()})
            for layer, own in block.signals.items()
        },
        initial={layer: units(layer, own) for layer, own in block.initial.items()},
        final={layer: units(layer, own) for layer, own in block.final.items()},
        outcomes={
            name: values[:, :: kept.stride] if name in stepped else values for name, values in block.outcomes.items()
        },
    )
