"""Virtual datasets of a trace, read: nothing but what `rnnprobe.outputs.virtual` writes.

libhdf5 follows the path of a virtual dataset wherever it leads. Here it is not asked to: what it says of the sources is
held against the one form that is written, a plain file in the trace's own directory of parts, and such a file is read
as any trace is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from rnnprobe.errors import Refused
from rnnprobe.inputs.file import File, locate
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs.shards import folder
from rnnprobe.types import Array

Open: TypeAlias = Callable[[File], Mapping[str, Grid]]
"""The arrays of a shard, as those of any trace; a virtual dataset among them is refused."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An array of a shard, and where it lies in the whole.

    Attributes:
        shard: the file.
        corner: along each axis.
    """

    shard: Path
    corner: tuple[slice, ...]


def pieces(file: File, dataset: Any, name: str) -> tuple[Piece, ...]:
    """What a virtual dataset is made of.

    Args:
        file: the trace.
        dataset: the `h5py.Dataset`.
        name: its path.

    Raises:
        Refused: it is made of anything else than the same array of shards in the trace's own directory of parts.
    """
    from h5py import h5s

    found = []
    for source in dataset.virtual_sources():
        corner = _corner(source.vspace, dataset.shape)
        shard = _shard(file, _plain(source.file_name))
        whole = source.src_space.get_select_type() == h5s.SEL_ALL
        if corner is None or shard is None or not whole or _plain(source.dset_name) != f"/{name}":
            raise Refused(
                f"{name} keeps its values in other files",
                path=file.path,
                hint="a trace in parts is read under the name that it was given, beside its directory of parts; "
                "--merge makes one file of it",
            )
        found.append(Piece(shard, corner))
    return tuple(found)


def folders(target: Path) -> set[Path]:
    """The directories of the parts that a trace presents; none where it holds its values itself, or is no trace."""
    import h5py

    place, found = folder(target), set()

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.is_virtual:
            for source in item.virtual_sources():
                words = PurePosixPath(_plain(source.file_name)).parts
                if len(words) == 3 and words[0] == place.name and words[1] != "..":
                    found.add(place / words[1])

    try:
        with h5py.File(target, "r") as file:
            file.visititems(look)
    except (OSError, RuntimeError, KeyError, ValueError):  # not there, damaged, or something else
        return set()
    return found


def _plain(name: str) -> str:
    """A name of a source without its escapes; empty where blocks are numbered in it."""
    bare = name.replace("%%", "")
    return "" if "%" in bare else name.replace("%%", "%")


def _parts(file: File) -> Path:
    return folder(Path(file.path).resolve())


def _shard(file: File, name: str) -> Path | None:
    """A plain file below the directory of parts, by its path from the trace; else None.

    Raises:
        BadInput: it would be one, and is not there.
    """
    place, words = _parts(file), PurePosixPath(name).parts
    if len(words) < 2 or words[0] != place.name or ".." in words:
        return None
    path = place
    try:
        for word in words[1:]:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return None
            path = path / word
        return path if stat.S_ISREG(os.lstat(path).st_mode) else None
    except FileNotFoundError as exc:
        raise file.bad(
            f"is made of parts, and {path} is missing", hint=f"{place.name}/ belongs beside the file, as it was written"
        ) from exc
    except (OSError, ValueError):
        return None


def _corner(space: Any, shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    """One block of an array; None where anything else is chosen of it."""
    from h5py import h5s

    if space.get_select_type() == h5s.SEL_ALL:
        return tuple(slice(0, size) for size in shape)
    if space.get_select_type() != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return None
    start, _, count, block = space.get_regular_hyperslab()
    if any(number != 1 for number in count) or len(start) != len(shape):
        return None
    corner = tuple(slice(first, first + size) for first, size in zip(start, block, strict=True))
    return corner if all(one.stop <= size for one, size in zip(corner, shape, strict=True)) else None


def joined(
    file: File, grids: Mapping[str, Grid], made: Mapping[str, tuple[Piece, ...]], open_: Open
) -> dict[str, Grid]:
    """The virtual datasets of a trace, each read from its shards.

    Args:
        file: the trace.
        grids: its arrays.
        made: of the virtual ones, what they are made of.
        open_: opens a shard.

    Raises:
        BadInput: a shard is damaged, or none of this trace's: it has not the sequences that the trace says.
    """
    found: dict[str, Grid] = {}
    shards: dict[Path, Mapping[str, Grid]] = {}
    for name, own in made.items():
        for piece in own:
            if piece.shard not in shards:
                shards[piece.shard] = open_(locate(piece.shard))
                _check(file, grids, piece, shards[piece.shard])
            there = shards[piece.shard].get(name)
            sizes = tuple(one.stop - one.start for one in piece.corner)
            if there is None or there.shape != sizes or there.dtype != grids[name].dtype:
                raise locate(piece.shard).bad(f"is no part of {file.path}: {name} is not what is there")
        rows = sorted((piece.corner[0].start, piece.corner[0].stop) for piece in own)
        if [0, *(stop for _, stop in rows)] != [*(start for start, _ in rows), grids[name].shape[0]]:
            raise file.bad(f"is damaged: the parts of {name} do not hold every sequence once")
        reached = tuple(max(one.corner[axis].stop for one in own) for axis in range(len(grids[name].shape)))
        if reached != grids[name].shape:
            raise file.bad(f"is damaged: {name} is {grids[name].words}, and its parts reach {list(reached)}")
        found[name] = _grid(grids[name], tuple((piece, shards[piece.shard][name]) for piece in own))
    return found


def _check(file: File, grids: Mapping[str, Grid], piece: Piece, shard: Mapping[str, Grid]) -> None:
    """Holds the lengths that a shard tells against those of the whole, of whatever has lengths."""
    rows = piece.corner[0]
    for name, grid in grids.items():
        if name.endswith("lengths") and grid.dtype.kind in "iu" and len(grid.shape) == 1:
            here = grid.whole()[rows]
            if name not in shard or not np.array_equal(shard[name].whole(), here):
                raise locate(piece.shard).bad(f"is no part of {file.path}: other {name}")


def _grid(whole: Grid, parts: tuple[tuple[Piece, Grid], ...]) -> Grid:
    """An array made of others. Where there is none of them there is what stands where nothing is stored."""
    fill: Any = np.nan if whole.dtype.kind == "f" else -1

    def read(slices: tuple[slice, ...]) -> Array:
        values = np.full([max(0, one.stop - one.start) for one in slices], fill, whole.dtype)
        for piece, grid in parts:
            spans = [
                (max(wanted.start, there.start), min(wanted.stop, there.stop))
                for wanted, there in zip(slices, piece.corner, strict=True)
            ]
            if all(start < stop for start, stop in spans):
                there = tuple(
                    slice(start - one.start, stop - one.start)
                    for (start, stop), one in zip(spans, piece.corner, strict=True)
                )
                here = tuple(
                    slice(start - one.start, stop - one.start) for (start, stop), one in zip(spans, slices, strict=True)
                )
                values[here] = grid.read(there)
        return values

    return Grid(whole.shape, whole.dtype, read, whole.name)
