"""TensorFlow's V2 checkpoints, from release 0.12 on: a tensor bundle.

`PREFIX.index` is a table (`rnnprobe.formats.table`) from a variable's name to where its bytes lie in the shards
`PREFIX.data-00000-of-0000N`; `PREFIX.meta`, where there is one, is the graph. The writer and its comments are the
specification: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, and naming.cc beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.formats import dtypes, files, graph, object_graph, pieces, protos
from rnnprobe.formats.apart import apart, notes_on
from rnnprobe.formats.format import Format
from rnnprobe.formats.ordered import slice_key
from rnnprobe.formats.shards import INDEX, SHARD, Shards, Stored
from rnnprobe.formats.table import Table, open_table
from rnnprobe.types import Checkpoint, Tensor

NAME = "TensorFlow V2 bundle"
VERSION = 1


def matches(path: Path) -> bool:
    """Whether `path` is the prefix of a bundle."""
    return files.is_file(files.beside(path, INDEX))


def read(prefix: Path) -> Checkpoint:
    """The bundle `PREFIX.index`, with the graph beside it.

    Raises:
        BadInput: the index, the graph or the object graph is damaged, or the index speaks of bytes that a shard does
            not have.
    """
    tensors, notes = contents(prefix)
    parsed, writer = graph.beside(prefix)
    set_apart = apart(tensors)
    checkpoint = Checkpoint(
        path=prefix,
        format=NAME,
        tensors=tensors,
        set_apart=set_apart,
        graph=parsed,
        files=stored(prefix),
        writer=writer,
        notes=(*notes, *notes_on(set_apart)),
    )
    return object_graph.attach(checkpoint)


FORMAT = Format(NAME, matches, read)


def stored(prefix: Path) -> tuple[Path, ...]:
    """The files of a bundle: its index, and its shards in order."""
    names = sorted(entry.name for entry in prefix.parent.iterdir() if entry.name.startswith(prefix.name))
    shards = [prefix.with_name(name) for name in names if SHARD.fullmatch(name[len(prefix.name) :])]
    return files.beside(prefix, INDEX), *shards


def contents(prefix: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a bundle and what the reader noticed. Raises `BadInput`."""
    table = open_table(files.beside(prefix, INDEX))
    entries = _entries(table)
    shards = Shards(prefix, _header(entries, table.path))
    tensors: dict[str, Tensor] = {}
    used: set[bytes] = set()
    for key, entry in entries.items():
        if key.startswith(b"\0"):
            continue
        name = key.decode("utf-8", "backslashreplace")
        if name in tensors:
            raise BadInput(f"two tensors are called {name!r}", path=table.path)
        tensors[name] = _tensor(name, key, entry, entries, used, shards, table.path)
    orphans = [key for key in entries if key.startswith(b"\0") and key not in used]
    if orphans:
        raise BadInput(f"{len(orphans)} slices belong to no tensor", path=table.path)
    shards.check_overlaps()
    return tensors, shards.notes()


def _header(entries: dict[bytes, Any], path: Path) -> Any:
    header = entries.pop(b"", None)
    if header is None:
        raise BadInput("the index has no header entry: it is no TensorFlow bundle", path=path)
    if not 1 <= header.num_shards <= 99_999:
        raise BadInput(f"the index claims {header.num_shards} shards", path=path)
    if header.version.min_consumer > VERSION:
        raise BadInput(
            f"the bundle is of version {header.version.min_consumer}; read are those up to {VERSION}", path=path
        )
    return header


def _entries(table: Table) -> dict[bytes, Any]:
    """Every entry of the index by its key, the header under the empty key."""
    entries = {}
    for key, value in table.items():
        kind = "BundleEntry" if key else "BundleHeader"
        entries[key] = protos.parse(kind, value, f"the index entry {key!r}", table.path)
    return entries


def _tensor(
    name: str, key: bytes, entry: Any, entries: Mapping[bytes, Any], used: set[bytes], shards: Shards, path: Path
) -> Tensor:
    """A tensor from its entry, or joined from the entries of its slices, whose keys are added to `used`."""
    shape = protos.shape(entry.shape, f"tensor {name}", path)
    if dtypes.overflows(entry.dtype, shape):
        raise BadInput(f"tensor {name} claims the shape {shape}, which nothing can hold", path=path)
    stored: list[Stored] = []
    places: list[pieces.Extents] = []
    for part in entry.slices:
        extents = protos.extents(part, shape, f"tensor {name}", path)
        found = slice_key(key, part)
        if found not in entries or found in used or not shape:
            raise BadInput(f"tensor {name} has no entry for its slice {extents}, or two", path=path)
        used.add(found)
        size = protos.shape(entries[found].shape, f"a slice of {name}", path)
        if size != tuple(count for _, count in extents) or entries[found].dtype != entry.dtype:
            raise BadInput(f"tensor {name} has a slice {extents} stored as {size}, or of another dtype", path=path)
        stored.append(shards.claim(name, entries[found], size, path))
        places.append(extents)
    if not entry.slices:
        stored.append(shards.claim(name, entry, shape, path))
    else:
        pieces.check_cover(f"tensor {name}", shape, places, path)
    dtype = dtypes.name(entry.dtype)
    problem = dtypes.unreadable(entry.dtype, shape) or shards.problem(stored)
    if problem:
        message = f"tensor {name} can't be loaded: {problem}"
        return Tensor(name, shape, dtype, pieces.unreadable(message, path), problem)
    if not entry.slices:
        return Tensor(name, shape, dtype, pieces.reader(stored[0], shape))
    joined = pieces.Joined(
        shape, dtypes.fixed(entry.dtype) or np.dtype(object), tuple(zip(places, stored, strict=True))
    )
    return Tensor(name, shape, dtype, pieces.reader(joined, shape))
