"""Traces in HDF5, laid out as netCDF-4: dimension scales in the groups, plain types, no links.

`rnnprobe.outputs.hdf5_file` runs libhdf5; blocks reach it without a copy. Specification:
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import h5py
import numpy as np

from rnnprobe.outputs import fields, layout, pieces
from rnnprobe.outputs.chunking import Chunker, Chunks
from rnnprobe.outputs.field import Field, Group, Key
from rnnprobe.outputs.hdf5_file import filling
from rnnprobe.outputs.output import Settings, Sink
from rnnprobe.outputs.pieces import Piece, Places
from rnnprobe.outputs.slabs import Slabs, Write
from rnnprobe.outputs.worker import Worker
from rnnprobe.types import Array, Block, Recording

Item = TypeVar("Item")

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


@contextmanager
def open(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> Iterator[Sink]:
    """A sink that writes to an empty file; see `Output.open`."""
    groups = fields.groups(recording, settings.dtype)
    places = Places(recording, groups)
    verification = dict(recording.verification)

    def fill(file: h5py.File, items: Iterator[list[Piece]]) -> None:
        arrays = {
            key: Slabs(one.field, one.cut, recording.batches, writer(one.array, one.cut.shape(one.field)))
            for key, one in _create(file, recording, groups, settings).items()
            if one.cut is not None
        }
        for item in items:
            for piece in item:
                if piece.values.size:
                    arrays[piece.key].put(piece)
        for array in arrays.values():
            array.finish()
        _attach_attributes(file[layout.VERIFICATION], verification)

    with filling(descriptor, fill) as worker:
        for piece in pieces.input_pieces(recording):
            worker.put([piece])
        yield _Hdf5Sink(worker, places, verification)


@contextmanager
def skeleton(
    descriptor: int,
    recording: Recording,
    settings: Settings,
    fill: Callable[[Mapping[Key, Made], Iterator[Item]], None],
    virtual: Mapping[Key, h5py.VirtualLayout] = MappingProxyType({}),
) -> Iterator[Worker[Item]]:
    """A worker that hands items to `fill`, and has closed the file when the body ends.

    Args:
        descriptor: an empty file.
        recording: what the file is going to hold; its verification is written, too.
        settings: how values are stored.
        fill: `fill(arrays, items)` writes all of the items into the arrays, which are those of the recording.
        virtual: arrays that are others side by side.

    Raises:
        CannotWrite: the file takes no more.
    """
    groups = fields.groups(recording, settings.dtype)

    def write(file: h5py.File, items: Iterator[Item]) -> None:
        made = _create(file, recording, groups, settings, virtual)
        _attach_attributes(file[layout.VERIFICATION], recording.verification)
        fill(made, items)

    with filling(descriptor, write) as worker:
        yield worker


def size(recording: Recording, dtype: str) -> int:
    """The bytes of the arrays in a file, not compressed: chunks are written whole, whatever of them is padding."""
    every = [one for group in fields.groups(recording, dtype) for one in group.fields if one.dtype != "string"]
    chunker = Chunker(recording, every)
    return sum(
        chunker.chunks(one).stored(one) if one.lengths is not None and one.known is None and one.nbytes else one.nbytes
        for one in every
    )


@dataclass(frozen=True, slots=True)
class Made:
    """An array in the file, what is known of it, and how it is cut where it is to be filled."""

    array: h5py.Dataset
    field: Field
    cut: Chunks | None


def _create(
    file: h5py.File,
    recording: Recording,
    groups: Sequence[Group],
    settings: Settings,
    virtual: Mapping[Key, h5py.VirtualLayout] = MappingProxyType({}),
) -> dict[Key, Made]:
    """Every group and array, with its attributes and what is known beforehand; the arrays by group and name."""
    _attach_attributes(file, layout.root_attributes(recording))
    scales: dict[str, h5py.Dataset] = {}
    for name, size in (("sequence", recording.sequences), ("time", recording.kept.steps(recording.steps))):
        scales[name] = _scale(file, name, size)
    chunker = Chunker(recording, [one for group in groups for one in group.fields])
    arrays: dict[Key, Made] = {}
    for group in groups:
        here = _group(file, group.path)
        _attach_attributes(here, group.attributes)
        own = {name: scale for name, scale in scales.items() if name != "time" or not group.own_time}
        for field in group.fields:
            cut = chunker.chunks(field) if field.known is None and field.nbytes else None
            key = group.path, field.name
            arrays[key] = Made(_array(here, field, own, settings, cut, virtual.get(key)), field, cut)
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
    group: h5py.Group,
    field: Field,
    scales: dict[str, h5py.Dataset],
    settings: Settings,
    cut: Chunks | None,
    virtual: h5py.VirtualLayout | None = None,
) -> h5py.Dataset:
    """An empty array, its scales attached; those that its group has not seen yet are added to `scales`."""
    options: dict[str, Any] = {}
    if field.dtype == "string":
        dtype: Any = h5py.string_dtype()
    else:
        dtype = np.dtype(field.dtype)
        options["fillvalue"] = dtype.type(field.fill)  # the very NaN that is written: libhdf5 has one of its own
        if cut is not None and (field.lengths is not None or cut.sequences < field.shape[0]):
            options |= {"chunks": cut.shape(field), "rdcc_nbytes": 0}  # chunks are written whole: no cache
            if settings.compress is not None and field.lengths is not None:
                options |= settings.compress.options
    if virtual is not None:
        array = group.create_virtual_dataset(field.name, virtual, fillvalue=options["fillvalue"])
    else:
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


def writer(array: h5py.Dataset, shape: tuple[int, ...]) -> Write:
    """What writes chunks of this shape: as they are, or where the array has no chunks or has filters, by libhdf5."""
    if array.chunks is not None and not array.id.get_create_plist().get_nfilters():
        return lambda offset, chunk: array.id.write_direct_chunk(offset, chunk)

    def write(offset: tuple[int, ...], chunk: Array) -> None:
        inside = [slice(at, min(at + size, whole)) for at, size, whole in zip(offset, shape, array.shape, strict=True)]
        array[tuple(inside)] = chunk.reshape(shape)[tuple(slice(each.stop - each.start) for each in inside)]

    return write
