"""Traces in HDF5, laid out as netCDF-4: dimension scales in the groups, plain types, no links.

`rnnprobe.outputs.hdf5_file` runs libhdf5; blocks reach it without a copy. Specification:
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rnnprobe.outputs import fields, layout, pieces
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.fields import Field, Group
from rnnprobe.outputs.hdf5_file import filling
from rnnprobe.outputs.output import Settings, Sink
from rnnprobe.outputs.pieces import Piece, Places
from rnnprobe.outputs.worker import Worker
from rnnprobe.types import Array, Block, Recording

_CHUNK = 256 << 10
"""Bytes of a chunk: below the 1 MiB that readers cache, large enough to be written at the disk's own speed."""
_OPEN_CHUNKS = 64 << 20
"""Bytes of all chunks together that blocks have begun and not filled."""
_FEWEST_STEPS = 16
_DIMENSION_ONLY = "This is a netCDF dimension but not a netCDF variable."


class _Hdf5Sink:
    """Hands pieces to the writer's thread.

    Args:
        worker: that thread.
        places: where the arrays of blocks go.
        verification: what the thread writes in the end.
    """

    def __init__(self, worker: Worker[list[Piece]], places: Places, verification: dict[str, str | float | int]) -> None:
        self._worker = worker
        self._places = places
        self._verification = verification

    def write(self, block: Block) -> None:
        self._worker.put(list(self._places.pieces(block)))

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        self._verification.clear()
        self._verification.update(verification)


@dataclass(frozen=True, slots=True)
class _Place:
    """An array in the file, and what is known of it."""

    array: h5py.Dataset
    field: Field


@contextmanager
def open(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> Iterator[Sink]:
    """A sink that writes to an empty file; see `Output.open`."""
    groups = fields.groups(recording, settings.dtype)
    places = Places(recording, groups)
    verification = dict(recording.verification)

    def fill(file: h5py.File, items: Iterator[list[Piece]]) -> None:
        arrays = _create(file, recording, groups, settings)
        for item in items:
            for piece in item:
                _put(arrays[piece.key], piece)
        _attach_attributes(file[layout.VERIFICATION], verification)

    with filling(descriptor, fill) as worker:
        for piece in pieces.input_pieces(recording):
            worker.put([piece])
        yield _Hdf5Sink(worker, places, verification)


def _create(
    file: h5py.File, recording: Recording, groups: Sequence[Group], settings: Settings
) -> dict[tuple[str, str], _Place]:
    """Every group and array, with its attributes and what is known beforehand; the arrays by group and name."""
    _attach_attributes(file, layout.root_attributes(recording))
    scales: dict[str, h5py.Dataset] = {}
    for name, size in (("sequence", recording.sequences), ("time", recording.kept.steps(recording.steps))):
        scales[name] = _scale(file, name, size)
    shaper = _Chunks(recording, [one for group in groups for one in group.fields])
    arrays = {}
    for group in groups:
        here = _group(file, group.path)
        _attach_attributes(here, group.attributes)
        own = {name: scale for name, scale in scales.items() if name != "time" or not group.own_time}
        for field in group.fields:
            arrays[group.path, field.name] = _Place(_array(here, field, own, settings, shaper), field)
    file.create_group(layout.VERIFICATION)
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
        elif isinstance(value, list) and not (value and isinstance(value[0], int)):
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
        options["fillvalue"] = field.fill
        if field.lengths is not None and field.nbytes:
            options |= shaper.options(field)
            if settings.compress is not None:
                options |= {"compression": "gzip", "compression_opts": settings.compress, "shuffle": True}
    array = group.create_dataset(field.name, shape=field.shape, dtype=dtype, **options)
    for axis, (name, size) in enumerate(zip(field.dimensions, field.shape, strict=True)):
        if name == field.name:  # the numbers of its steps or units are a dimension's own values
            array.make_scale(name)
            scales[name] = array
            continue
        if name not in scales:
            scales[name] = _scale(group, name, size)
        array.dims[axis].attach_scale(scales[name])
    if field.kind:
        array.attrs["kind"] = field.kind
    if field.tensor:
        array.attrs["tensor"] = layout.storable(field.tensor)
    if field.known is not None and len(field.known):
        array[:] = [layout.storable(text) for text in field.known] if field.dtype == "string" else field.known
    return array


class _Chunks:
    """The shape of chunks, and how many of them libhdf5 keeps open.

    A chunk is a stretch of one sequence; of several where they are short. The more sequences run side by side, the
    shorter the stretch, so that all chunks that are begun and not full fit the memory set aside for them.
    """

    def __init__(self, recording: Recording, every: Sequence[Field]) -> None:
        rows = [one.row for one in every if one.kind]
        self._batch = max((len(batch.names) for batch in recording.batches), default=1)
        self._steps_open = _OPEN_CHUNKS // max(1, sum(rows) * self._batch)
        self._share = _OPEN_CHUNKS // max(1, len(rows))

    def options(self, field: Field) -> dict[str, Any]:
        row = field.row
        fewest = max(1, min(_FEWEST_STEPS, _CHUNK // row))
        most = max(fewest, min(_CHUNK // row, self._steps_open))
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


def _put(place: _Place, piece: Piece) -> None:
    """Stores a piece; of steps, leaving out what holds padding only.

    Sequences that share chunks are written as far as the longest of them; neighbours that end at the same step in one
    go.
    """
    array, values, rows = place.array, piece.values, piece.rows
    if not values.size:
        return
    if place.field.lengths is None:
        array[_selected(rows)] = cast(values, array.dtype, array.name)
        return
    stops = np.minimum(place.field.lengths[rows], piece.start + values.shape[1])
    shared = rows // array.chunks[0]
    _, chunk = np.unique(shared, return_inverse=True)
    longest = np.zeros(len(rows), np.int64)
    np.maximum.at(longest, chunk, stops)
    # Neighbours that end at the same step make a run: one write each.
    stops = longest[chunk]
    cuts = (np.flatnonzero((np.diff(rows) != 1) | (np.diff(stops) != 0)) + 1).tolist()
    for first, after in pairwise((0, *cuts, len(rows))):
        stop = int(stops[first])
        if stop > piece.start:
            part = cast(values[first:after, : stop - piece.start], array.dtype, array.name)
            array[rows[first] : rows[first] + after - first, piece.start : stop] = part


def _selected(rows: Array) -> slice | Array:
    """Ascending rows as h5py takes them soonest."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
