"""Traces in HDF5, laid out as netCDF-4: dimension scales in the groups, plain types, no links.

`rnnprobe.outputs.hdf5_file` runs libhdf5; blocks reach it without a copy. Specification:
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import ceil, prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rnnprobe.outputs import layout
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.hdf5_file import filling
from rnnprobe.outputs.layout import Field
from rnnprobe.outputs.output import Settings, Sink
from rnnprobe.outputs.worker import Worker
from rnnprobe.types import Array, Batch, Block, Recording

_CHUNK = 256 << 10
"""Bytes of a chunk: below the 1 MiB that readers cache, large enough to be written at the disk's own speed."""
_OPEN_CHUNKS = 64 << 20
"""Bytes of all chunks together that blocks have begun and not filled."""
_FEWEST_STEPS = 16
_DIMENSION_ONLY = "This is a netCDF dimension but not a netCDF variable."


@dataclass(frozen=True, slots=True)
class _Input:
    """A stretch of a batch's input, `[batch, time, …]`."""

    batch: Batch
    start: int
    values: Array


class _Hdf5Sink:
    def __init__(self, worker: Worker[Block | _Input]) -> None:
        self._worker = worker

    def write(self, block: Block) -> None:
        self._worker.put(block)


@contextmanager
def open(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> Iterator[Sink]:
    """A sink that writes to an empty file; see `Output.open`."""

    def fill(file: h5py.File, items: Iterator[Block | _Input]) -> None:
        arrays = _create(file, recording, settings)
        paths = layout.paths(recording)
        for item in items:
            if isinstance(item, Block):
                _put_block(arrays, paths, item)
            else:
                name = "ids" if item.batch.features is None else "x"
                _put_steps(arrays[layout.INPUTS, name], item.batch, item.start, item.values)

    with filling(descriptor, fill) as worker:
        for batch in recording.batches:
            for start, values in layout.input_pieces(batch):
                worker.put(_Input(batch, start, values))
        yield _Hdf5Sink(worker)


def _create(file: h5py.File, recording: Recording, settings: Settings) -> dict[tuple[str, str], h5py.Dataset]:
    """Every group and array, with its attributes; the arrays by group and name."""
    _attach_attributes(file, layout.root_attributes(recording))
    scales: dict[str, h5py.Dataset] = {}
    for name, size in (("sequence", recording.sequences), ("time", recording.steps)):
        scales[name] = _scale(file, name, size)
    widths = [
        field.shape[-1] * np.dtype(field.dtype).itemsize
        for layer in recording.layers
        for field in layout.fields(recording, layer, settings.dtype)
        if field.kind
    ]
    shaper = _Chunks(recording, sum(widths), len(widths))
    arrays = {}
    inputs = file.create_group(layout.INPUTS, track_order=True)
    for field in layout.input_fields(recording):
        arrays[layout.INPUTS, field.name] = _array(inputs, field, dict(scales), settings, shaper)
    _fill_inputs(arrays, recording)
    file.create_group(layout.LAYERS, track_order=True)
    paths = layout.paths(recording)
    for layer in recording.layers:
        group = _group(file, paths[layer.name])
        _attach_attributes(group, layout.layer_attributes(layer))
        own = dict(scales)
        for field in layout.fields(recording, layer, settings.dtype):
            arrays[paths[layer.name], field.name] = _array(group, field, own, settings, shaper)
    _attach_attributes(file.create_group(layout.VERIFICATION), recording.verification)
    return arrays


def _group(file: h5py.File, path: str) -> h5py.Group:
    group: h5py.Group = file
    for part in path.split("/"):
        group = group[part] if part in group else group.create_group(part, track_order=True)
    return group


def _attach_attributes(target: Any, attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        if isinstance(value, str):
            value = layout.storable(value)
        elif isinstance(value, list):
            value = np.array(value, dtype=h5py.string_dtype())
        target.attrs.create(layout.storable(key), value)


def _scale(group: h5py.Group, name: str, size: int) -> h5py.Dataset:
    """A dimension without values of its own, as netCDF-4 writes one; it takes no space."""
    scale = group.create_dataset(name, shape=(size,), dtype=">f4")
    scale.make_scale(f"{_DIMENSION_ONLY}{size:10d}")
    return scale


def _array(
    group: h5py.Group, field: Field, scales: dict[str, h5py.Dataset], settings: Settings, shaper: _Chunks
) -> h5py.Dataset:
    """An empty array, its scales attached; those that its group has not seen yet are added to `scales`."""
    options: dict[str, Any] = {}
    if field.dtype == "string":
        dtype: Any = h5py.string_dtype()
    else:
        dtype = np.dtype(field.dtype)
        options["fillvalue"] = layout.NO_ID if field.name == "ids" else 0 if dtype.kind == "i" else np.nan
        if "time" in field.dimensions and field.nbytes:
            options |= shaper.options(field)
            if settings.compress is not None:
                options |= {"compression": "gzip", "compression_opts": settings.compress, "shuffle": True}
    array = group.create_dataset(field.name, shape=field.shape, dtype=dtype, **options)
    for axis, (name, size) in enumerate(zip(field.dimensions, field.shape, strict=True)):
        if name not in scales:
            scales[name] = _scale(group, name, size)
        array.dims[axis].attach_scale(scales[name])
    if field.kind:
        array.attrs["kind"] = field.kind
    return array


class _Chunks:
    """The shape of chunks, and how many of them libhdf5 keeps open.

    A chunk is a stretch of one sequence; of several where they are short. The more sequences run side by side, the
    shorter the stretch, so that all chunks that are begun and not full fit the memory set aside for them.
    """

    def __init__(self, recording: Recording, row: int, arrays: int) -> None:
        self._batch = max((len(batch.names) for batch in recording.batches), default=1)
        self._steps_open = _OPEN_CHUNKS // max(1, row * self._batch)
        self._share = _OPEN_CHUNKS // max(1, arrays)

    def options(self, field: Field) -> dict[str, Any]:
        row = prod(field.shape[2:]) * np.dtype(field.dtype).itemsize
        most = max(_FEWEST_STEPS, min(_CHUNK // row, self._steps_open))
        steps = min(field.shape[1], most)
        sequences = max(1, min(field.shape[0], self._batch, _CHUNK // (steps * row))) if steps < most else 1
        size = sequences * steps * row
        count = ceil(self._batch / sequences) + 1
        return {
            "chunks": (sequences, steps, *field.shape[2:]),
            "rdcc_nbytes": max(size, min(count * size, self._share)),
            "rdcc_nslots": 20 * count | 1,
            "rdcc_w0": 1.0,
        }


def _fill_inputs(arrays: Mapping[tuple[str, str], h5py.Dataset], recording: Recording) -> None:
    if recording.sequences:
        lengths = np.concatenate([batch.lengths for batch in recording.batches])
        arrays[layout.INPUTS, "lengths"][:] = lengths
        arrays[layout.INPUTS, "names"][:] = [layout.storable(n) for batch in recording.batches for n in batch.names]
    if (layout.INPUTS, "tokens") in arrays:
        arrays[layout.INPUTS, "tokens"][:] = [layout.storable(token) for token in layout.tokens(recording)]


def _put_block(arrays: Mapping[tuple[str, str], h5py.Dataset], paths: Mapping[str, str], block: Block) -> None:
    rows = slice(block.batch.start, block.batch.start + len(block.batch.names))
    for layer, recorded in block.signals.items():
        for name, values in recorded.items():
            _put_steps(arrays[paths[layer], name], block.batch, block.start, values.swapaxes(0, 1))
    for prefix, states in ((layout.INITIAL, block.initial), (layout.FINAL, block.final)):
        for layer, ends in states.items():
            for name, values in ends.items():
                array = arrays[paths[layer], prefix + name]
                array[rows] = cast(values, array.dtype, f"{layer} {prefix}{name}")


def _put_steps(array: h5py.Dataset, batch: Batch, start: int, values: Array) -> None:
    """Stores `values` `[batch, time, …]` from step `start` on, leaving out what holds padding only.

    Sequences that share chunks are written as far as the longest of them; neighbours that end at the same step in one
    go.
    """
    if not values.size:
        return
    together = array.chunks[0]
    stops = np.minimum(batch.lengths, start + values.shape[1])
    sequences = np.arange(len(stops)) + batch.start
    if together > 1:
        longest: dict[int, int] = {}
        for number, stop in zip(sequences // together, stops, strict=True):
            longest[number] = max(longest.get(number, 0), stop)
        stops = np.array([longest[number] for number in sequences // together])
    first = 0
    for stop, group in groupby(stops):
        last = first + len(list(group))
        if stop > start:
            piece = cast(values[first:last, : stop - start], array.dtype, array.name)
            array[batch.start + first : batch.start + last, start:stop] = piece
        first = last
