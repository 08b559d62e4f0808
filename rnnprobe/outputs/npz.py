"""Traces as `.npz`: the arrays of the HDF5 layout under the same paths, attributes as JSON texts.

`numpy.load` opens it without pickles: strings are fixed-width, and `attributes`, `verification` and
`layers/<name>/attributes` are each a JSON object. Blocks come by time and a member of a zip file has to be written from
its start to its end, so steps go to an unnamed scratch file first, each array at its own place, and padding is not
written there at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from rnnprobe.errors import CannotWrite
from rnnprobe.outputs import layout
from rnnprobe.outputs.atomic import written
from rnnprobe.outputs.casting import cast
from rnnprobe.outputs.layout import Field
from rnnprobe.outputs.members import Members, archive
from rnnprobe.outputs.output import Settings, Sink
from rnnprobe.types import Array, Batch, Block, Recording

_PIECE = 8 << 20
_TEXTS = 256 << 20

Key: TypeAlias = tuple[str, str]


class _NpzSink:
    def __init__(self, scratch: BinaryIO, recording: Recording, settings: Settings) -> None:
        self._scratch = scratch.fileno()
        self.arrays: dict[Key, Array] = {}
        self.steps: dict[Key, tuple[Field, int]] = {}
        self._paths = layout.paths(recording)
        offset = 0
        groups = {layout.INPUTS: layout.input_fields(recording)} | {
            self._paths[layer.name]: layout.fields(recording, layer, settings.dtype) for layer in recording.layers
        }
        for path, group in groups.items():
            for field in group:
                if "time" in field.dimensions:
                    self.steps[path, field.name] = field, offset
                    offset += field.nbytes
                elif field.dtype != "string":
                    fill = np.nan if np.dtype(field.dtype).kind == "f" else 0
                    self.arrays[path, field.name] = np.full(field.shape, fill, field.dtype)

    def write(self, block: Block) -> None:
        rows = slice(block.batch.start, block.batch.start + len(block.batch.names))
        for layer, recorded in block.signals.items():
            for name, values in recorded.items():
                self.put((self._paths[layer], name), block.batch, block.start, values.swapaxes(0, 1))
        for prefix, states in ((layout.INITIAL, block.initial), (layout.FINAL, block.final)):
            for layer, ends in states.items():
                for name, values in ends.items():
                    array = self.arrays[self._paths[layer], prefix + name]
                    array[rows] = cast(values, array.dtype, f"{layer} {prefix}{name}")

    def put(self, key: Key, batch: Batch, start: int, values: Array) -> None:
        """Stores `values` `[batch, time, …]` from step `start` on, as far as each sequence goes."""
        field, offset = self.steps[key]
        row = prod(field.shape[2:]) * np.dtype(field.dtype).itemsize
        for number, length in enumerate(batch.lengths):
            stop = min(int(length), start + values.shape[1])
            if stop > start:
                piece = cast(values[number, : stop - start], field.dtype, "/".join(key))
                place = offset + ((batch.start + number) * field.shape[1] + start) * row
                _write_all(self._scratch, piece.data.cast("B"), place)

    def copy(self, key: Key, lengths: Array, member: Any) -> None:
        """Writes an array in its final form, filled past each length, to a zip member."""
        field, offset = self.steps[key]
        dtype = np.dtype(field.dtype)
        row = prod(field.shape[2:]) * dtype.itemsize
        stretch = max(1, _PIECE // max(1, row))
        fill = np.full((1, *field.shape[2:]), layout.NO_ID if dtype.kind == "i" else np.nan, dtype).tobytes()
        for number, length in enumerate(lengths):
            place = offset + number * field.shape[1] * row
            for start in range(0, field.shape[1], stretch):
                stop = min(start + stretch, field.shape[1])
                valid = min(max(int(length) - start, 0), stop - start)
                member.write(os.pread(self._scratch, valid * row, place + start * row))
                member.write(fill * (stop - start - valid))


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    with written():
        while data:
            done = os.pwrite(descriptor, data, offset)
            data, offset = data[done:], offset + done


@contextmanager
def open(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> Iterator[Sink]:
    """A sink that writes to an empty file; see `Output.open`."""
    texts = _texts(recording)
    with _scratch(directory) as scratch:
        sink = _NpzSink(scratch, recording, settings)
        for batch in recording.batches:
            for start, values in layout.input_pieces(batch):
                sink.put((layout.INPUTS, "ids" if batch.features is None else "x"), batch, start, values)
        yield sink
        with archive(descriptor, settings.compress) as members:
            _assemble(members, sink, recording, texts)


def _scratch(directory: Path) -> Any:
    """An unnamed file."""
    with written():
        return TemporaryFile(dir=directory)


def _texts(recording: Recording) -> dict[str, Array]:
    """Names and tokens as arrays of fixed-width strings.

    Raises:
        CannotWrite: one of them is so long that all would become too wide.
    """
    arrays = {}
    for key, texts in (
        ("names", [name for batch in recording.batches for name in batch.names]),
        ("tokens", layout.tokens(recording)),
    ):
        texts = [layout.storable(text) for text in texts]
        longest = max(map(len, texts), default=1)
        if 4 * longest * len(texts) > _TEXTS:
            raise CannotWrite(
                f"an .npz stores every string of {key} as wide as the longest, and that has {longest:,} characters",
                hint="write an .h5 file",
            )
        arrays[key] = np.array(texts, np.str_).reshape(len(texts))
    return arrays


def _assemble(members: Members, sink: _NpzSink, recording: Recording, texts: Mapping[str, Array]) -> None:
    lengths = np.concatenate([np.zeros(0, np.int64), *(batch.lengths for batch in recording.batches)])
    sink.arrays[layout.INPUTS, "lengths"] = lengths
    members.add_json("attributes", layout.root_attributes(recording))
    members.add_json(layout.VERIFICATION, recording.verification)
    paths = layout.paths(recording)
    for layer in recording.layers:
        members.add_json(f"{paths[layer.name]}/attributes", layout.layer_attributes(layer))
    for field in layout.input_fields(recording):
        if field.dtype == "string":
            members.add(f"{layout.INPUTS}/{field.name}", texts[field.name])
    for (path, name), (field, _) in sink.steps.items():
        with members.new(f"{path}/{name}", field.shape, np.dtype(field.dtype).str) as member:
            sink.copy((path, name), lengths, member)
    for (path, name), values in sink.arrays.items():
        members.add(f"{path}/{name}", values)
