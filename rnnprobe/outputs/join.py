"""Shards copied into one trace, values and nothing else: what the shards know beforehand, the whole knows as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeAlias

import h5py
import numpy as np

from rnnprobe.outputs import atomic, disk, hdf5
from rnnprobe.outputs.atomic import naming
from rnnprobe.outputs.field import Field, Key
from rnnprobe.outputs.hdf5 import Made, writer
from rnnprobe.outputs.output import Destination, Settings
from rnnprobe.outputs.pieces import Piece
from rnnprobe.outputs.shards import Shard
from rnnprobe.outputs.slabs import Slabs
from rnnprobe.types import Recording

_STRETCH = 16 << 20
"""Bytes that are read of a shard at a time; chunks that are not full yet are held besides (`Slabs`)."""

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
    disk.require_room(place.path, place.target, 0 if settings.compress else hdf5.size(recording, settings.dtype))
    with (
        naming(place.path),
        atomic.staged(place.path, place.target, force=place.force) as descriptor,
        hdf5.skeleton(descriptor, recording, settings, _fill) as worker,
    ):
        for shard in shards:
            for key, field in shard.arrays(settings.dtype):
                worker.put((shard, key, field))


def _fill(arrays: Mapping[Key, Made], items: Iterator[Item]) -> None:
    """Copies array after array."""
    slabs: dict[Key, Slabs] = {}
    with ExitStack() as held:
        source: h5py.File | None = None
        for shard, key, field in items:
            whole = arrays[key]
            if key not in slabs and whole.cut is not None:  # each is one chunk of sequences, which two shards may share
                own = replace(whole.cut, slab=whole.cut.sequences)
                slabs[key] = Slabs(whole.field, own, (), writer(whole.array, own.shape(whole.field)))
            if source is None or source.filename != str(shard.path):
                held.close()
                with _reading(shard):
                    source = held.enter_context(h5py.File(shard.path, "r"))
            if field.nbytes:
                _copy(shard, source, key, field, whole.array, slabs[key])
        for one in slabs.values():
            one.finish()


def _copy(shard: Shard, source: h5py.File, key: Key, field: Field, whole: h5py.Dataset, slabs: Slabs) -> None:
    """Copies an array: the chunks as they lie in the file where they fit; else its values, into chunks that are written
    when they are full. Chunks that hold padding only are not there.

    Raises:
        BadInput: it is missing, or another.
    """
    with _reading(shard):
        array = source["/".join(key)]
    if not isinstance(array, h5py.Dataset) or array.shape != field.shape or array.dtype != np.dtype(field.dtype):
        raise shard.bad(f"{'/'.join(key)} is not what was recorded")
    alike = array.chunks is not None and array.chunks == whole.chunks and shard.first % array.chunks[0] == 0
    left: dict[tuple[int, int], Corner] = {}
    with _reading(shard):
        corners = _corners(array) if alike else []
    for corner in corners:
        there = (slice(corner[0].start + shard.first, corner[0].stop + shard.first), *corner[1:])
        if _fits(there, whole):
            with _reading(shard):
                mask, stored = array.id.read_direct_chunk(tuple(one.start for one in corner))
            whole.id.write_direct_chunk(tuple(one.start for one in there), stored, mask)
        else:  # with all of its units
            stretch = corner[: 1 if field.lengths is None else 2]
            left[stretch[0].start, stretch[-1].start] = stretch
    for stretch in left.values() if alike else _stretches(array, field):
        rows = np.arange(stretch[0].start, stretch[0].stop) + shard.first
        with _reading(shard):
            values = array[stretch]
        slabs.put(Piece(key, rows, stretch[1].start if len(stretch) > 1 else 0, values))


@contextmanager
def _reading(shard: Shard) -> Iterator[None]:
    """Turns what libhdf5 says of a shard that it reads into `BadInput`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError) as exc:
        raise shard.bad(str(exc)) from exc


def _stretches(array: h5py.Dataset, field: Field) -> Iterator[Corner]:
    """An array in stretches of sequences, and of steps where a few sequences are too large to be held: whole chunks,
    without what is padding in all of the sequences."""
    chunks = array.chunks or array.shape
    longest = 1 if field.lengths is None else array.shape[1]
    row = field.row * longest
    rows = max(1, _STRETCH // (row * chunks[0])) * chunks[0] if array.chunks else _STRETCH // row
    for start in range(0, len(array), max(1, rows)):
        own = slice(start, min(start + max(1, rows), len(array)))
        if field.lengths is None:
            yield (own,)
            continue
        end, together = int(field.lengths[own].max()), own.stop - own.start
        steps = max(1, _STRETCH // (field.row * together * chunks[1])) * chunks[1]
        for begin in range(0, end, steps):
            yield own, slice(begin, min(begin + steps, end))


def _corners(array: h5py.Dataset) -> list[Corner]:
    """The chunks that an array has."""
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
