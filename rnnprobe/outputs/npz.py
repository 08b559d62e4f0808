"""Traces as `.npz`: the arrays of the HDF5 layout under the same paths, attributes as JSON texts.

`numpy.load` opens it without pickles: strings are fixed-width, and `attributes`, `verification` and each group's
`attributes` (`layers/<name>/attributes`) are JSON objects. Blocks come by time and a member of a zip file has to be
written from its start to its end, so steps go to an unnamed scratch file first, each array at its own place, and
padding is not written there at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np

from rnnprobe.errors import CannotWrite
from rnnprobe.outputs import fields, layout, pieces
from rnnprobe.outputs.atomic import written
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.field import Field, Group, Key
from rnnprobe.outputs.members import archive
from rnnprobe.outputs.output import Settings, Sink
from rnnprobe.outputs.pieces import Piece, Places
from rnnprobe.types import Array, Block, Recording

_PIECE = 8 << 20
_TEXTS = 256 << 20


class _NpzSink:
    def __init__(self, scratch: BinaryIO, recording: Recording, groups: Sequence[Group]) -> None:
        self._scratch = scratch.fileno()
        self._places = Places(recording, groups)
        self.arrays: dict[Key, Array] = {}
        self.steps: dict[Key, tuple[Field, int]] = {}
        self.verification = recording.verification
        offset = 0
        for group in groups:
            for field in group.fields:
                key = (group.path, field.name)
                if field.lengths is not None:
                    self.steps[key] = field, offset
                    offset += field.nbytes
                elif field.known is None:
                    self.arrays[key] = np.full(field.shape, field.fill, field.dtype)

    def write(self, block: Block) -> None:
        for piece in self._places.pieces(block):
            self.put(piece)

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        self.verification = verification

    def put(self, piece: Piece) -> None:
        """Stores a piece; of steps, as far as each sequence goes."""
        values, where = piece.values, "/".join(piece.key)
        if piece.key in self.arrays:
            array = self.arrays[piece.key]
            array[piece.rows] = cast(values, array.dtype, where)
            return
        field, offset = self.steps[piece.key]
        assert field.lengths is not None
        for number, row in enumerate(piece.rows):
            stop = min(int(field.lengths[row]), piece.start + values.shape[1])
            if stop > piece.start and field.row:
                steps = cast(values[number, : stop - piece.start], field.dtype, where)
                place = offset + (int(row) * field.shape[1] + piece.start) * field.row
                _write_all(self._scratch, steps.data.cast("B"), place)

    def copy(self, key: Key, member: Any) -> None:
        """Writes an array in its final form, filled past each length, to a zip member."""
        field, offset = self.steps[key]
        assert field.lengths is not None
        stretch = max(1, _PIECE // max(1, field.row))
        fill = np.full((1, *field.step), field.fill, field.dtype).tobytes()
        for number, length in enumerate(field.lengths):
            place = offset + number * field.shape[1] * field.row
            for start in range(0, field.shape[1], stretch):
                stop = min(start + stretch, field.shape[1])
                valid = min(max(int(length) - start, 0), stop - start)
                member.write(os.pread(self._scratch, valid * field.row, place + start * field.row))
                member.write(fill * (stop - start - valid))


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    with written():
        while data:
            done = os.pwrite(descriptor, data, offset)
            data, offset = data[done:], offset + done


@contextmanager
def open(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> Iterator[Sink]:
    """A sink that writes to an empty file; see `Output.open`."""
    groups = fields.groups(recording, settings.dtype)
    known = _known(groups)
    with _scratch(directory) as scratch:
        sink = _NpzSink(scratch, recording, groups)
        for piece in pieces.input_pieces(recording):
            sink.put(piece)
        yield sink
        with archive(descriptor, settings.compress.level if settings.compress else None) as members:
            members.add_json("attributes", layout.root_attributes(recording))
            members.add_json(layout.VERIFICATION, sink.verification)
            for group in groups:
                if group.attributes:
                    members.add_json(f"{group.path}/attributes", group.attributes)
            for (path, name), values in known.items():
                members.add(f"{path}/{name}", values)
            for (path, name), (field, _) in sink.steps.items():
                with members.new(f"{path}/{name}", field.shape, np.dtype(field.dtype).str) as member:
                    sink.copy((path, name), member)
            for (path, name), values in sink.arrays.items():
                members.add(f"{path}/{name}", values)


def size(recording: Recording, dtype: str) -> int:
    """The bytes that are on the disk at once, not compressed: the arrays with their padding, and the scratch file."""
    every = [one for group in fields.groups(recording, dtype) for one in group.fields]
    return sum(one.nbytes + (one.value_bytes if one.lengths is not None else 0) for one in every)


def _scratch(directory: Path) -> Any:
    """An unnamed file."""
    with written():
        return TemporaryFile(dir=directory)


def _known(groups: Sequence[Group]) -> dict[Key, Array]:
    """What is known beforehand; texts as arrays of fixed-width strings.

    Raises:
        CannotWrite: a text is so long that all would become too wide.
    """
    return {
        (group.path, field.name): _texts(field) if field.dtype == "string" else np.asarray(field.known)
        for group in groups
        for field in group.fields
        if field.known is not None
    }


def _texts(field: Field) -> Array:
    texts = [layout.storable(text) for text in field.known or ()]
    longest = max(map(len, texts), default=1)
    if 4 * longest * len(texts) > _TEXTS:
        raise CannotWrite(
            f"an .npz stores every string of {field.name} as wide as the longest, and that has {longest:,} characters",
            hint="write an .h5 file",
        )
    return np.array(texts, np.str_).reshape(len(texts))
