"""Which arrays a trace holds, with their axes.

`rnnprobe.outputs.layout` says what the groups and axes are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.layers import signal_shapes, signals
from rnnprobe.cells.shapes import formulas
from rnnprobe.outputs import layout
from rnnprobe.outputs.layout import AttributeValue
from rnnprobe.types import Array, Batch, Layer, Outcome, Recording
from rnnprobe.types.run import lengths_of

Key: TypeAlias = tuple[str, str]
"""An array of a trace: its group and its name there."""


@dataclass(frozen=True, slots=True)
class Field:
    """An array of a trace.

    Attributes:
        name: below its group.
        dimensions: a name for each axis.
        shape: the sizes.
        dtype: NumPy's name, or `string`.
        kind: of a signal, as in `Signal.kind`; empty for the others.
        lengths: `[sequence]`, where the second axis is time: past them the array holds NaN, or `layout.NO_ID`; else
            None.
        known: its values, where nothing has to be computed for them.
        signal: whose values these are, at every step; empty for the others.
        tensor: of an original graph, the tensor that the signal is; or empty.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""
    lengths: NDArray[np.int64] | None = field(default=None, compare=False)
    known: Array | tuple[str, ...] | None = field(default=None, compare=False)
    signal: str = ""
    tensor: str = ""

    @property
    def row(self) -> int:
        """The bytes of one step of one sequence."""
        return prod(self.shape[2:]) * np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of its values; 0 for strings."""
        return 0 if self.dtype == "string" else prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def value_bytes(self) -> int:
        """The bytes of its values, padding left out."""
        return self.nbytes if self.lengths is None else int(self.lengths.sum()) * self.row

    @property
    def fill(self) -> float | int:
        """What stands where there is nothing."""
        if np.dtype(self.dtype).kind == "f":
            return np.nan
        return layout.NO_ID if self.lengths is not None else 0


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a trace.

    Attributes:
        path: from the root.
        fields: its arrays.
        attributes: as `layout` says.
        own_time: its `time` is not that of the input.
    """

    path: str
    fields: tuple[Field, ...]
    attributes: Mapping[str, AttributeValue]
    own_time: bool = False


def groups(recording: Recording, dtype: str) -> tuple[Group, ...]:
    """Every group with arrays: the inputs, the layers in their order, the outputs where there are any.

    Args:
        dtype: of what is computed.
    """
    paths, attributes = layout.paths(recording), layout.group_attributes(recording)
    layers = (
        Group(
            paths[layer.name],
            layer_fields(recording, layer, dtype),
            attributes[layer.name],
            layer.name in recording.lengths,
        )
        for layer in recording.layers
    )
    return (*_inputs(recording), *layers, *([_outputs(recording, dtype)] if recording.outcomes else ()))


def layer_fields(recording: Recording, layer: Layer, dtype: str) -> tuple[Field, ...]:
    """The arrays of a layer: its signals, its lengths where they are its own, its initial and final states."""
    shapes, stored = signal_shapes(layer), layout.arrays(layer)
    known = {signal.name: signal for signal in signals(layer)}
    axes = dimensions(layer)
    lengths = recording.lengths_of(layer.name)
    extent = (recording.sequences, recording.steps_of(layer.name))
    return (
        *(
            Field(
                stored[name],
                ("sequence", "time", *axes[name]),
                (*extent, *shapes[name]),
                dtype,
                known[name].kind,
                lengths,
                signal=name,
                tensor=known[name].tensor,
            )
            for name in recording.signals[layer.name]
        ),
        *([_lengths(layout.LENGTHS, lengths)] if layer.name in recording.lengths else ()),
        *(
            Field(prefix + stored[name], ("sequence", *axes[name]), (extent[0], *shapes[name]), dtype)
            for prefix in (layout.INITIAL, layout.FINAL)
            for name in layer.cell.states
        ),
    )


def dimensions(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Signal → what the axes of a step are called; within the layer, those of one name are of one size."""
    space, parts = _space(len(layer.space)), layout.parts_of(layer)
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


def _space(rank: int) -> tuple[str, ...]:
    return layout.SPACE.get(rank, tuple(f"axis_{number}" for number in range(rank)))


def _step(recording: Recording, rank: int) -> tuple[str, ...]:
    """The axes of a step of an input or output."""
    if not rank:
        return ()
    first = any(layer.settings.get("data_format") == "channels_first" for layer in recording.layers)
    return ("feature", *_space(rank - 1)) if first else (*_space(rank - 1), "feature")


def _lengths(name: str, lengths: NDArray[np.int64]) -> Field:
    return Field(name, ("sequence",), lengths.shape, "int64", known=lengths)


def _inputs(recording: Recording) -> Iterator[Group]:
    lengths = lengths_of(recording.batches)
    vocabulary = tokens(recording.batches)
    yield Group(
        layout.INPUTS,
        (
            *(
                [_given(recording, recording.batches, lengths, recording.steps)]
                if layout.given(recording.batches)
                else ()
            ),
            _lengths(layout.LENGTHS, lengths),
            Field("names", ("sequence",), lengths.shape, "string", known=_names(recording)),
            *([Field("tokens", ("token",), (len(vocabulary),), "string", known=vocabulary)] if vocabulary else ()),
        ),
        {},
    )
    for name, part in besides(recording).items():
        batches = [batch.beside[name] for batch in recording.batches]
        own, vocabulary = lengths_of(batches), tokens(batches)
        steps = max((batch.steps for batch in batches), default=0)
        shared = steps == recording.steps and np.array_equal(own, lengths)
        fields = (
            _given(recording, batches, own, steps),
            _lengths(layout.LENGTHS, own),
            *([Field("tokens", ("token",), (len(vocabulary),), "string", known=vocabulary)] if vocabulary else ()),
        )
        renamed = tuple(_prefixed(one, part, shared) for one in fields)
        yield Group(f"{layout.INPUTS}/{part}", renamed, {"name": layout.storable(name)})


def _prefixed(one: Field, part: str, shared: bool) -> Field:
    """With axes that no other array has: xarray wants those of one name to be of one size, in the group above too."""
    kept = ("sequence", "time") if shared else ("sequence",)
    axes = tuple(axis if axis in kept else f"{part}_{axis}" for axis in one.dimensions)
    return replace(one, dimensions=axes)


def _given(recording: Recording, batches: Sequence[Batch], lengths: NDArray[np.int64], steps: int) -> Field:
    """`ids` or `x`."""
    extent = (len(lengths), steps)
    shape = next((batch.shape for batch in batches if batch.shape is not None), None)
    if shape is None:
        return Field("ids", ("sequence", "time"), extent, "int64", lengths=lengths)
    axes = ("sequence", "time", *_step(recording, len(shape)))
    return Field("x", axes, (*extent, *shape), _float(batches), lengths=lengths)


def _float(batches: Sequence[Batch]) -> str:
    dtype = np.result_type(*(np.dtype(batch.dtype) for batch in batches))
    return dtype.name if dtype in (np.float16, np.float32, np.float64) else "float32"


def _names(recording: Recording) -> tuple[str, ...]:
    named = {int(row): name for batch in recording.batches for row, name in zip(batch.rows, batch.names, strict=True)}
    return tuple(named[row] for row in range(len(named)))


def besides(recording: Recording) -> dict[str, str]:
    """Another input → what its group is called."""
    return layout.flat(recording.batches[0].beside if recording.batches else ())


def tokens(batches: Sequence[Batch]) -> tuple[str, ...]:
    """The tokens by id, or none."""
    return next((batch.vocabulary for batch in batches if batch.vocabulary), ())


def _outputs(recording: Recording, dtype: str) -> Group:
    parts = layout.flat(outcome.name for outcome in recording.outcomes)
    fields = tuple(one for outcome in recording.outcomes for one in _output(recording, outcome, parts, dtype))
    names = [layout.storable(outcome.name) for outcome in recording.outcomes]
    return Group(layout.OUTPUTS, fields, {"names": names, "arrays": list(parts.values())})


def _output(recording: Recording, one: Outcome, parts: Mapping[str, str], dtype: str) -> tuple[Field, ...]:
    part = parts[one.name]
    axes = _step(recording, len(one.shape))
    if one.lengths is None:
        return (_prefixed(Field(part, ("sequence", *axes), (recording.sequences, *one.shape), dtype), part, False),)
    steps = int(one.lengths.max(initial=0))
    shared = steps == recording.steps and np.array_equal(one.lengths, lengths_of(recording.batches))
    values = Field(
        part, ("sequence", "time", *axes), (recording.sequences, steps, *one.shape), dtype, lengths=one.lengths
    )
    return _prefixed(values, part, shared), _lengths(f"{part}_{layout.LENGTHS}", one.lengths)


def output_field(recording: Recording, outcome: Outcome, dtype: str) -> Field:
    """The array of one of the model's outputs."""
    return _output(recording, outcome, layout.flat([outcome.name]), dtype)[0]


def value_sizes(recording: Recording, dtype: str) -> dict[Key, int]:
    """Layer and signal → the bytes of its values, padding left out."""
    return {
        (layer.name, one.signal): one.value_bytes
        for layer in recording.layers
        for one in layer_fields(recording, layer, dtype)
        if one.signal
    }


def values_size(recording: Recording, dtype: str) -> int:
    """The bytes of every signal's and output's values, padding left out."""
    outputs = sum(output_field(recording, outcome, dtype).value_bytes for outcome in recording.outcomes)
    return sum(value_sizes(recording, dtype).values()) + outputs
