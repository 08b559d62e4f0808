"""Made-up recordings whose batches hold sequences out of order, and the shards of their parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from rnnprobe import outputs
from rnnprobe.outputs.shards import Shard, folder
from rnnprobe.runs.parts import Part, recording_of
from rnnprobe.types import Array, Batch, Block, Recording

from .recordings import blocks


def scattered(what: Recording, together: int = 2) -> Recording:
    """The same with the sequences of every so many batches dealt out anew, as batches of like length have them."""
    made: list[Batch] = []
    for start in range(0, len(what.batches), together):
        window = what.batches[start : start + together]
        rows = np.concatenate([batch.rows for batch in window])
        shuffled = np.random.default_rng(start).permutation(rows)
        for batch in window:
            own, shuffled = np.sort(shuffled[: len(batch.rows)]), shuffled[len(batch.rows) :]
            made.append(_with(batch, own))
    return replace(what, batches=tuple(made))


def _with(batch: Batch, rows: Array) -> Batch:
    beside = {name: replace(one, rows=rows) for name, one in batch.beside.items()}
    return replace(batch, rows=rows, beside=beside, names=tuple(f"s{row}" for row in rows))


def part(number: int, what: Recording, first: int, stop: int) -> Part:
    """The part of some batches."""
    before = sum(len(batch.rows) for batch in what.batches[:first])
    return Part(number, (first, stop), (before, before + sum(len(b.rows) for b in what.batches[first:stop])))


def moved(found: Iterator[Block], whole: Part, recording: Recording) -> Iterator[Block]:
    """Of the blocks of a recording those of a part, numbered from 0."""
    batches = {batch.first: batch for batch in recording.batches}
    for block in found:
        first = block.batch.first - whole.rows[0]
        if first in batches:
            yield replace(block, batch=batches[first])


def shards(
    target: Path,
    what: Recording,
    arrays: Mapping[str, Mapping[str, Array]],
    cuts: Sequence[int],
    stretch: int = 7,
    **how: str,
) -> tuple[Shard, ...]:
    """The parts of a recording between the batches `cuts`, each written as a trace."""
    place = folder(target) / "job"
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for number, (first, stop) in enumerate(zip((0, *cuts), (*cuts, len(what.batches)), strict=True)):
        own = part(number, what, first, stop)
        recording = recording_of(what, own)
        path = place / f"{number:05}.h5"
        with outputs.open(path, recording, **how) as sink:
            for block in moved(blocks(what, arrays, stretch), own, recording):
                sink.write(block)
        found.append(Shard(path, own.rows[0], recording))
    return tuple(found)


_PASSING = {"created", "command", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid"}


def assert_same(one: Path, other: Path, passing: Collection[str] = ()) -> None:
    """Holds two traces against each other, bit by bit, with their axes and attributes but those of `passing`."""
    with h5py.File(one) as left, h5py.File(other) as right:
        names = _names(left)
        assert names == _names(right)
        for name in names:
            a, b = (left[name], right[name]) if name else (left, right)
            for key in (set(a.attrs) | set(b.attrs)) - _PASSING - set(passing):
                assert np.array_equal(a.attrs[key], b.attrs[key]), (name, key)
            if isinstance(a, h5py.Dataset):
                assert (a.shape, a.dtype) == (b.shape, b.dtype), name
                assert [list(axis.keys()) for axis in a.dims] == [list(axis.keys()) for axis in b.dims], name
                assert _bits(a) == _bits(b), name


def _names(file: h5py.File) -> list[str]:
    found = [""]
    file.visit(found.append)
    return found


def _bits(array: h5py.Dataset) -> object:
    values = array[()]
    return list(values.ravel()) if array.dtype.kind == "O" else values.tobytes()
