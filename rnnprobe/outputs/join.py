"""Shards copied into one trace, values and nothing else: what the shards know beforehand, the whole knows as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeAlias

import h5py
import numpy as np

from rnnprobe.outputs import atomic, hdf5
from rnnprobe.outputs.atomic import naming
from rnnprobe.outputs.field import Field, Key
from rnnprobe.outputs.output import Destination, Settings
from rnnprobe.outputs.shards import Shard
from rnnprobe.types import Recording

_STRETCH = 16 << 20
"""Bytes that are held at a time."""

Corner: TypeAlias = tuple[slice, ...]
"""A stretch of an array, along each of its axes."""

Item: TypeAlias = tuple[Shard, Key, Field]
"""An array of a shard."""


def join(place: Destination, recording: Recording, settings: Settings, shards: Sequence[Shard]) -> None:
    """Writes one trace from those of its parts. It appears whole under its name.

    Args:
        place: of the file.
        recording: the whole, with what was compared.
        settings: as the shards were written.
        shards: in order; together they hold every sequence.

    Raises:
        CannotWrite: too little room, or a device that fails; what was there before is as it was.
        BadInput: a shard does not hold what it should.
    """
    atomic.need(place.path, place.target, 0 if settings.compress else hdf5.size(recording, settings.dtype))
    with (
        naming(place.path),
        atomic.staged(place.path, place.target, force=place.force) as descriptor,
        hdf5.skeleton(descriptor, recording, settings, _fill) as worker,
    ):
        for shard in shards:
            for key, field in shard.arrays(settings.dtype):
                worker.put((shard, key, field))


def _fill(arrays: Mapping[Key, h5py.Dataset], items: Iterator[Item]) -> None:
    """Copies array after array."""
    with ExitStack() as held:
        source: h5py.File | None = None
        for shard, key, field in items:
            try:
                if source is None or source.filename != str(shard.path):
                    held.close()
                    source = held.enter_context(h5py.File(shard.path, "r"))
                _copy(shard, source, key, field, arrays[key])
            except (OSError, RuntimeError, KeyError) as exc:
                raise shard.bad(str(exc)) from exc


def _copy(shard: Shard, source: h5py.File, key: Key, field: Field, whole: h5py.Dataset) -> None:
    """Copies an array chunk by chunk, the chunks as they lie in the file where they fit; those that hold padding only
    are not there.

    Raises:
        BadInput: it is missing, or another.
    """
    array = source["/".join(key)]
    if array.shape != field.shape or array.dtype != np.dtype(field.dtype):
        raise shard.bad(f"{'/'.join(key)} is not what was recorded")
    for corner in _corners(array):
        there = (slice(corner[0].start + shard.first, corner[0].stop + shard.first), *corner[1:])
        if array.chunks is not None and array.chunks == whole.chunks and _fits(there, whole):
            mask, stored = array.id.read_direct_chunk(tuple(one.start for one in corner))
            whole.id.write_direct_chunk(tuple(one.start for one in there), stored, mask)
        else:
            whole[there] = array[corner]


def _corners(array: h5py.Dataset) -> list[Corner]:
    """The chunks that an array has; or sequences, as many as are held at a time."""
    if array.chunks is None:
        each = max(1, _STRETCH // max(1, array.nbytes // max(1, len(array))))
        return [
            (slice(start, min(start + each, len(array))), *(slice(0, size) for size in array.shape[1:]))
            for start in range(0, len(array), each)
        ]
    starts: list[tuple[int, ...]] = []
    array.id.chunk_iter(lambda info: starts.append(info.chunk_offset))
    return [
        tuple(
            slice(start, min(start + size, end))
            for start, size, end in zip(offset, array.chunks, array.shape, strict=True)
        )
        for offset in starts
    ]


def _fits(there: Corner, whole: h5py.Dataset) -> bool:
    """Whether a chunk may lie in the whole as it lies in the shard: it begins where one of the whole's does, and ends
    there too."""
    return all(
        one.start % size == 0 and (one.stop - one.start == size or one.stop == end)
        for one, size, end in zip(there, whole.chunks, whole.shape, strict=True)
    )
