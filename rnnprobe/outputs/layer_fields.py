"""Which arrays a trace holds of a layer, with their axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnprobe.cells.layers import signal_shapes, signals
from rnnprobe.cells.shapes import formulas
from rnnprobe.outputs import layout, reductions
from rnnprobe.outputs.field import Field, kept_times, lengths_field
from rnnprobe.types import Layer, Recording


def layer_fields(recording: Recording, layer: Layer, dtype: str) -> tuple[Field, ...]:
    """The arrays of a layer: its signals, its lengths where they are its own, its initial and final states."""
    stored = layout.arrays(layer)
    known = {signal.name: signal for signal in signals(layer)}
    axes = dimensions(layer)
    lengths = recording.lengths_of(layer.name)
    own = [lengths_field(layout.LENGTHS, lengths)] if layer.name in recording.lengths else []
    kept, within = recording.kept, {name: layout.kept_shape(recording, layer, name) for name in known}
    if kept.reduced:
        return (*_kept_axes(recording, layer), *own, *_reduced(recording, layer, axes, within, dtype))
    extent = (recording.sequences, kept.steps(recording.steps_of(layer.name)))
    return (
        *_kept_axes(recording, layer),
        *(
            Field(
                stored[name],
                ("sequence", "time", *axes[name]),
                (*extent, *within[name]),
                dtype,
                known[name].kind,
                kept.steps(lengths),
                signal=name,
                tensor=known[name].tensor,
            )
            for name in recording.signals[layer.name]
        ),
        *own,
        *(
            Field(prefix + stored[name], ("sequence", *axes[name]), (extent[0], *within[name]), dtype)
            for prefix in (layout.INITIAL, layout.FINAL)
            for name in layer.cell.states
        ),
    )


def _kept_axes(recording: Recording, layer: Layer) -> tuple[Field, ...]:
    """The numbers of the steps and units of a layer, where not all were kept."""
    units = recording.kept.units.get(layer.name)
    own_steps = recording.steps_of(layer.name) if layer.name in recording.lengths else None
    return (
        *kept_times(recording, "time", own_steps),
        *([] if units is None else [Field("unit", ("unit",), units.shape, "int64", known=units)]),
    )


def _reduced(
    recording: Recording,
    layer: Layer,
    axes: Mapping[str, tuple[str, ...]],
    within: Mapping[str, tuple[int, ...]],
    dtype: str,
) -> Iterator[Field]:
    """What is stored in place of a layer's signals."""
    kept, stored, starts = recording.kept, layout.arrays(layer), layout.parts_of(layer)
    sequences, steps = recording.sequences, kept.steps(recording.steps_of(layer.name))
    along, extent, most = ("sequence", sequences, steps) if kept.over == "time" else ("time", steps, sequences)
    dtypes = {"figure": dtype, "count": "int32" if most < 1 << 31 else "int64", "edges": "float64"}
    recorded = [signal for signal in signals(layer) if signal.name in recording.signals[layer.name]]
    for signal in recorded:
        name, own = f"{stored[signal.name]}_", starts[signal.name]
        for part in reductions.parts(layer, signal, kept.reduced):
            dtype, whose = dtypes[part.kind], f"{signal.name} {part.name}"
            called: tuple[str, ...] = (along, *axes[signal.name])
            shape: tuple[int, ...] = (extent, *within[signal.name])
            if part.kind == "edges":
                ends = part.edges
                yield Field(name + part.name, (f"{own}_edge",), (len(ends),), dtype, known=ends)
                continue
            if len(part.edges):
                called, shape = (*called, f"{own}_bin"), (*shape, len(part.edges) - 1)
            yield Field(name + part.name, called, shape, dtype, signal=whose)


def dimensions(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Signal → what the axes of a step are called; within the layer, those of one name are of one size."""
    space, parts = space_axes(len(layer.space)), layout.parts_of(layer)
    sizes = {signal.name: formulas(signal.size) for signal in signals(layer)}
    found = {}
    for name, shape in signal_shapes(layer).items():
        inner = (
            layout.CALLED.get(size, f"{parts[name]}_axis_{number}") for number, size in enumerate(sizes[name][:-1])
        )
        found[name] = (*space, *inner, *(_last(layer, size, parts[name]) for size in shape[len(space) :][-1:]))
    return found


def _last(layer: Layer, width: int, part: str) -> str:
    if width == layer.sizes.get("units"):
        return "unit"
    return "output" if width == layer.sizes.get("output_size") else f"{part}_unit"


def space_axes(rank: int) -> tuple[str, ...]:
    """What so many axes in space are called."""
    return layout.SPACE.get(rank, tuple(f"axis_{number}" for number in range(rank)))
