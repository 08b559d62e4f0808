"""A trace whose arrays are those of its shards, one behind the other: virtual datasets of HDF5.

The paths of the shards are relative to the trace: `<name>.parts/<job>/00000.h5`. `rnnprobe.outputs.virtual_reader`
reads such a trace.
https://support.hdfgroup.org/documentation/hdf5/latest/_v_d_s.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import h5py

from rnnprobe.outputs import atomic, fields, hdf5
from rnnprobe.outputs.field import Key
from rnnprobe.outputs.output import Destination, Settings
from rnnprobe.outputs.shards import Shard
from rnnprobe.types import Recording


def write(place: Destination, recording: Recording, settings: Settings, shards: Sequence[Shard]) -> None:
    """Writes a trace that presents its shards. It appears whole under its name.

    Args:
        place: of the file; the shards lie in `rnnprobe.outputs.shards.folder` of it.
        recording: the whole, with what was compared.
        settings: as the shards were written.
        shards: in order; together they hold every sequence.

    Raises:
        CannotWrite: too little room, or a device that fails; what was there before is as it was.
    """
    layouts = {
        (group.path, one.name): h5py.VirtualLayout(one.shape, one.dtype)
        for group in fields.groups(recording, settings.dtype)
        for one in group.fields
        if one.known is None and one.nbytes
    }
    for shard in shards:
        name = escaped(str(shard.path.relative_to(place.target.parent)))
        for key, field in shard.arrays(settings.dtype):
            if field.nbytes:
                source = h5py.VirtualSource(name, escaped("/".join(("", *key))), shape=field.shape, dtype=field.dtype)
                rows = slice(shard.first, shard.first + field.shape[0])
                layouts[key][(rows, *(slice(0, size) for size in field.shape[1:]))] = source

    def fill(arrays: Mapping[Key, hdf5.Made], items: Iterator[None]) -> None:
        for _ in items:
            pass

    with (
        atomic.naming(place.path),
        atomic.staged(place.path, place.target, force=place.force) as descriptor,
        hdf5.skeleton(descriptor, recording, settings, fill, layouts),
    ):
        pass


def escaped(name: str) -> str:
    """A name as HDF5 wants that of a source: `%b` in it would stand for the numbers of blocks."""
    return name.replace("%", "%%")
