"""Which arrays a trace holds, with their axes.

`rnnprobe.outputs.layout` says what the groups and axes are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rnnprobe.outputs import layout
from rnnprobe.outputs.field import Field, Group, Key, kept_times, lengths_field
from rnnprobe.outputs.layer_fields import layer_fields, space_axes
from rnnprobe.types import Batch, Outcome, Recording
from rnnprobe.types.run import lengths_of


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


def _step(recording: Recording, rank: int) -> tuple[str, ...]:
    """The axes of a step of an input or output."""
    if not rank:
        return ()
    first = any(layer.settings.get("data_format") == "channels_first" for layer in recording.layers)
    return ("feature", *space_axes(rank - 1)) if first else (*space_axes(rank - 1), "feature")


def _inputs(recording: Recording) -> Iterator[Group]:
    lengths = lengths_of(recording.batches)
    whole = not recording.kept.reduced
    vocabulary = tokens(recording.batches) if whole else ()
    yield Group(
        layout.INPUTS,
        (
            *(
                [*kept_times(recording), _given(recording, recording.batches, lengths, recording.steps)]
                if layout.given(recording.batches) and whole
                else ()
            ),
            lengths_field(layout.LENGTHS, lengths),
            Field("names", ("sequence",), lengths.shape, "string", known=_names(recording)),
            *([Field("tokens", ("token",), (len(vocabulary),), "string", known=vocabulary)] if vocabulary else ()),
        ),
        {},
    )
    for name, part in besides(recording).items() if whole else ():
        batches = [batch.beside[name] for batch in recording.batches]
        own, vocabulary = lengths_of(batches), tokens(batches)
        steps = max((batch.steps for batch in batches), default=0)
        shared = steps == recording.steps and np.array_equal(own, lengths)
        fields = (
            _given(recording, batches, own, steps),
            lengths_field(layout.LENGTHS, own),
            *([Field("tokens", ("token",), (len(vocabulary),), "string", known=vocabulary)] if vocabulary else ()),
        )
        times = kept_times(recording) if shared else kept_times(recording, f"{part}_time", steps)
        renamed = (*times, *(_prefixed(one, part, shared) for one in fields))
        yield Group(f"{layout.INPUTS}/{part}", renamed, {"name": layout.storable(name)})


def _prefixed(one: Field, part: str, shared: bool) -> Field:
    """With axes that no other array has: xarray wants those of one name to be of one size, in the group above too."""
    kept = ("sequence", "time") if shared else ("sequence",)
    axes = tuple(axis if axis in kept else f"{part}_{axis}" for axis in one.dimensions)
    return replace(one, dimensions=axes)


def _given(recording: Recording, batches: Sequence[Batch], lengths: NDArray[np.int64], steps: int) -> Field:
    """`ids` or `x`."""
    extent, kept = (len(lengths), recording.kept.steps(steps)), recording.kept.steps(lengths)
    shape = next((batch.shape for batch in batches if batch.shape is not None), None)
    if shape is None:
        return Field("ids", ("sequence", "time"), extent, "int64", lengths=kept)
    axes = ("sequence", "time", *_step(recording, len(shape)))
    return Field("x", axes, (*extent, *shape), _float(batches), lengths=kept)


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
    every = [one for outcome in recording.outcomes for one in _output(recording, outcome, parts, dtype)]
    fields = tuple({one.name: one for one in every}.values())  # several may have the same steps
    names = [layout.storable(outcome.name) for outcome in recording.outcomes]
    return Group(layout.OUTPUTS, fields, {"names": names, "arrays": list(parts.values())})


def _output(recording: Recording, one: Outcome, parts: Mapping[str, str], dtype: str) -> tuple[Field, ...]:
    part = parts[one.name]
    axes = _step(recording, len(one.shape))
    if one.lengths is None:
        return (_prefixed(Field(part, ("sequence", *axes), (recording.sequences, *one.shape), dtype), part, False),)
    steps = int(one.lengths.max(initial=0))
    shared = steps == recording.steps and np.array_equal(one.lengths, lengths_of(recording.batches))
    extent, kept = (recording.sequences, recording.kept.steps(steps)), recording.kept.steps(one.lengths)
    values = Field(part, ("sequence", "time", *axes), (*extent, *one.shape), dtype, lengths=kept)
    times = kept_times(recording) if shared else kept_times(recording, f"{part}_time", steps)
    return (*times, _prefixed(values, part, shared), lengths_field(f"{part}_{layout.LENGTHS}", one.lengths))


def output_field(recording: Recording, outcome: Outcome, dtype: str) -> Field:
    """The array of one of the model's outputs."""
    parts = layout.flat([outcome.name])
    return next(one for one in _output(recording, outcome, parts, dtype) if one.name == parts[outcome.name])


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
