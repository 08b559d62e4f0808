"""TensorFlow's V1 checkpoints, the default up to release 0.11: a table that holds the values themselves.

The value of the empty key is a `SavedTensorSlices` with the names, dtypes, shapes and slices of all variables; each
slice lies under a key of its own (`rnnprobe.formats.ordered`). The specification is tensorflow/core/util/
saved_tensor_slice.proto, and tensor_slice_writer.h beside it. A sharded checkpoint is several such files,
`PATH-00000-of-0000N`, each complete in itself.

Blocks are compressed, so a slice of a tensor is cut from what its whole block unfolds to; a block's CRC32C is checked
at every read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.formats import dtypes, files, graph, pieces, protos
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.format import Format
from rnnprobe.formats.ordered import slice_key
from rnnprobe.formats.shards import INDEX
from rnnprobe.formats.table import SNAPPY_RATIO, Table, is_table, open_table
from rnnprobe.types import Array, Checkpoint, Tensor

NAME = "TensorFlow V1 checkpoint"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")

# Which field of a TensorProto holds the values of a dtype: as bytes just as NumPy has them, or as a list.
_AS_BYTES = {1: "float_val", 2: "double_val", 8: "scomplex_val", 18: "dcomplex_val"}
_AS_LIST = {
    3: "int_val", 4: "int_val", 5: "int_val", 6: "int_val", 9: "int64_val", 10: "bool_val", 17: "int_val",
    14: "half_val", 19: "half_val", 22: "uint32_val", 23: "uint64_val", dtypes.STRING: "string_val",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Slice:
    """One stored slice of a variable: a `pieces.Piece`."""

    what: str
    table: Table
    key: bytes
    code: int
    shape: tuple[int, ...]

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop`; a scalar has one. Raises `BadInput` where bytes are damaged."""
        stored = self.table.get(self.key)
        if stored is None:
            raise BadInput(f"the values of tensor {self.what} are missing", path=self.table.path)
        message = protos.parse("SavedTensorSlices", stored, f"tensor {self.what}", self.table.path)
        values = self._values(message.data.data).reshape(self.shape)
        return values[start:stop] if self.shape else values

    def _values(self, data: Any) -> Array:
        dtype = dtypes.fixed(self.code)
        count = prod(self.shape)
        if self.code in _AS_BYTES and dtype:
            stored = bytearray(getattr(data, _AS_BYTES[self.code]))
            found = len(stored) / dtype.itemsize
            if found == count:
                return dtypes.native(stored, self.code, (count,))
        else:
            listed = getattr(data, _AS_LIST[self.code])
            found = len(listed)
            if found == count:
                return self._listed(listed, dtype)
        raise BadInput(
            f"tensor {self.what} has {found:g} values where its shape {self.shape} takes {count}", path=self.table.path
        )

    def _listed(self, listed: Any, dtype: np.dtype[np.generic] | None) -> Array:
        if dtype is None:
            strings = np.empty(len(listed), object)
            strings[:] = list(listed)
            return strings
        narrow = np.dtype(np.uint16) if _AS_LIST[self.code] == "half_val" else dtype
        wide = np.array(listed, np.uint64 if dtype == np.uint64 else np.int64)
        values = wide.astype(narrow)
        if not np.array_equal(values, wide):
            raise BadInput(f"tensor {self.what} has values outside of {narrow}", path=self.table.path)
        return values if narrow is dtype else values.view(dtype)


def matches(path: Path) -> bool:
    """Whether `path` is such a file, or names a sharded one."""
    if files.is_file(path):
        return is_table(path) and path.suffix != INDEX
    return any(is_table(shard) for shard in shards(path))


def shards(path: Path) -> list[Path]:
    """The files of a checkpoint: `path` itself, or its shards in order, none of them looked into."""
    if files.is_file(path) or not path.name:
        return [path]
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith(path.name))
    except OSError:
        return []
    return [path.with_name(name) for name in names if SHARD.fullmatch(name[len(path.name) :])]


def read(path: Path) -> Checkpoint:
    """The variables of the checkpoint at `path`, with the graph beside it.

    Raises:
        BadInput: a table or the graph is damaged, or a shard is missing.
    """
    found = shards(path)
    _check_complete(path, found)
    stored: dict[bytes, list[tuple[Table, Any]]] = {}
    for file in found:
        table = open_table(file)
        for meta in _meta(table).tensor:
            stored.setdefault(meta.name, []).append((table, meta))
    tensors: dict[str, Tensor] = {}
    for key, parts in stored.items():
        name = key.decode("utf-8", "backslashreplace")
        if name in tensors:
            raise BadInput(f"two tensors are called {name!r}", path=path)
        tensors[name] = _tensor(name, key, parts)
    parsed, writer = graph.beside(path)
    set_apart = apart(tensors)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=tensors,
        set_apart=set_apart,
        graph=parsed,
        files=tuple(found),
        writer=writer,
        notes=notes_on(set_apart),
    )


FORMAT = Format(NAME, matches, read)


def _check_complete(path: Path, found: list[Path]) -> None:
    marks = [SHARD.search(file.name) for file in found] if found != [path] else []
    totals = {int(mark[2]) for mark in marks if mark}
    numbers = [int(mark[1]) for mark in marks if mark]
    if len(totals) > 1 or (totals and numbers != list(range(*totals))):
        names = ", ".join(file.name for file in found)
        raise BadInput(f"its shards are not complete, or of two checkpoints: found are {names}", path=path)


def _meta(table: Table) -> Any:
    value = table.get(b"")
    if value is None:
        raise BadInput("the table has no entry that describes its tensors: no TensorFlow checkpoint", path=table.path)
    message = protos.parse("SavedTensorSlices", value, "the description of its tensors", table.path)
    if not message.HasField("meta"):
        raise BadInput(
            "the table describes no tensors: it is no V1 checkpoint",
            path=table.path,
            hint=f"the index of a V2 bundle must be called PREFIX{INDEX}",
        )
    return message.meta


def _tensor(name: str, key: bytes, parts: list[tuple[Table, Any]]) -> Tensor:
    """A variable from what every file says of it."""
    table, first = parts[0]
    shape, code = protos.shape(first.shape, f"tensor {name}", table.path), first.type
    dtype = dtypes.fixed(code)
    size = prod(shape) * (dtype.itemsize if dtype and code in _AS_BYTES else 1)
    held = SNAPPY_RATIO * sum(files.length(part.path) for part, _ in parts)
    if size > held or dtypes.overflows(code, shape):
        raise BadInput(f"tensor {name} claims the shape {shape}, more than the file can hold", path=table.path)
    slices: list[_Slice] = []
    places: list[pieces.Extents] = []
    for part, meta in parts:
        if protos.shape(meta.shape, f"tensor {name}", part.path) != shape or meta.type != code:
            raise BadInput(f"tensor {name} has another shape or dtype than in another shard", path=part.path)
        for message in meta.slice:
            extents = protos.extents(message, shape, f"tensor {name}", part.path)
            counts = tuple(count for _, count in extents)
            slices.append(_Slice(name, part, slice_key(key, message), code, counts))
            places.append(extents)
    pieces.check_cover(f"tensor {name}", shape, places, table.path)
    problem = dtypes.unreadable(code, shape)
    if not problem and code not in _AS_BYTES and code not in _AS_LIST:
        problem = f"{dtypes.name(code)} values are not read from a V1 checkpoint"
    if problem:
        message = f"tensor {name} can't be loaded: {problem}"
        return Tensor(name, shape, dtypes.name(code), pieces.unreadable(message, table.path), problem)
    if len(slices) == 1:
        return Tensor(name, shape, dtypes.name(code), pieces.reader(slices[0], shape))
    joined = pieces.Joined(shape, dtype or np.dtype(object), tuple(zip(places, slices, strict=True)))
    return Tensor(name, shape, dtypes.name(code), pieces.reader(joined, shape))
