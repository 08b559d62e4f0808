"""Chunks: how arrays are cut, and that blocks in any order fill them in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.outputs import chunking, fields, hdf5
from rnnprobe.outputs.chunking import Chunker, Chunks
from rnnprobe.outputs.pieces import Piece
from rnnprobe.outputs.slabs import Slabs
from rnnprobe.types import Block, Recording
from tests.outputs.recordings import blocks, layer, outcome, recording, whole
from tests.outputs.test_files import Arrays, check_rich, recorded, same

LSTM = layer("a", units=256)
ALL = ("h", "c", "i", "f", "g", "o")


def scattered(what: Recording, window: int) -> Recording:
    """The same batches, but that the sequences of every so many of them are dealt out at random."""
    random = np.random.default_rng(3)
    batches = []
    for start in range(0, len(what.batches), window):
        some = what.batches[start : start + window]
        dealt = random.permutation(np.concatenate([batch.rows for batch in some]))
        for batch in some:
            rows, dealt = np.sort(dealt[: len(batch.rows)]), dealt[len(batch.rows) :]
            batches.append(
                replace(batch, rows=rows, beside={n: replace(one, rows=rows) for n, one in batch.beside.items()})
            )
    return replace(what, batches=tuple(batches))


def interleaved(what: Recording, arrays: Arrays, stretch: int, at_once: int) -> Iterator[Block]:
    """The blocks of so many batches at once, one of each in turn."""
    streams: dict[int, list[Block]] = {}
    for block in blocks(what, arrays, stretch):
        streams.setdefault(block.batch.first, []).append(block)
    every = list(streams.values())
    for start in range(0, len(every), at_once):
        for turn in zip_longest(*every[start : start + at_once]):
            yield from (block for block in turn if block is not None)


def cut(
    lengths: Sequence[Sequence[int]], units: int = 256, record: Sequence[str] = ALL, window: int = 1, name: str = "h"
) -> Chunks:
    what = scattered(recording([layer("a", units=units)], lengths, record=record), window)
    every = [one for group in fields.groups(what, "float32") for one in group.fields]
    return Chunker(what, every).chunks(next(one for one in every if one.name == name))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # One long sequence: a quarter of the units, a long stretch of time.
        (cut([[5000]]), Chunks(1, 1000, 64, 4, 0)),
        # Many side by side: chunks that are begun must fit into memory, so stretches are short and units many.
        (cut([[5000] * 32]), Chunks(1, 167, 256, 1, 0)),
        (cut([[5000] * 32], record=("h",)), Chunks(1, 1000, 64, 4, 0)),
        # Units that 64 does not divide leave next to no gap.
        (cut([[5000]], units=100), Chunks(1, 1250, 50, 2, 0)),
        (cut([[1024]], units=1000), Chunks(1, 1024, 63, 16, 0)),
        (cut([[5000]], units=8), Chunks(1, 5000, 8, 1, 0)),
        # Short ones share chunks, scattered or not; not where too many would be open at once.
        (cut([[40] * 32] * 40, units=64, record=("h",)), Chunks(12, 40, 64, 1, 96)),
        (cut([[40] * 32] * 40, units=64, record=("h",), window=8), Chunks(12, 40, 64, 1, 96)),
        (cut([[40, 0]] * 3, units=64, record=("h",)), Chunks(6, 40, 64, 1, 102)),
        (cut([[120] * 32] * 40, window=40), Chunks(1, 120, 256, 1, 0)),
        # States have no steps.
        (cut([[40] * 32] * 40, units=64, name="final_h"), Chunks(512, 1, 64, 1, 4096)),
        # Ids and lengths of one number a step.
        (cut([[40] * 32] * 40, name="x"), Chunks(409, 40, 2, 1, 3272)),
    ],
)
def test_how_arrays_are_cut(found: Chunks, expected: Chunks) -> None:
    assert found == expected


CASES = [
    recording([layer("a", units=20), layer("b", "gru", 7, "backward")], [[9, 30], [4, 17], [30, 1], [0, 2]] * 3),
    recording([layer("a", units=5, space=(2, 3))], [[3, 8, 1], [5]] * 5, own={"a": [6, 0, 9, 4] * 5}),
    recording([layer("a", units=20)], [[9]] * 7, outcomes=[outcome("y", (20,), [3, 0, 9, 1, 2, 3, 4]), outcome("z")]
              if False else [outcome("y", (20,), [3, 0, 9, 1, 2, 3, 4]), outcome("z", (3,))], beside={"x": [4] * 7}),
]  # fmt: skip


@pytest.mark.parametrize("what", CASES, ids=["directions", "space", "outcomes"])
@pytest.mark.parametrize(("smallest", "largest", "room"), [(64, 256, 4096), (400, 900, 1 << 20), (4096, 8192, 20_000)])
def test_blocks_interleaved_and_sequences_scattered(
    what: Recording, smallest: int, largest: int, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_UNITS", 6), ("_SMALLEST", smallest), ("_LARGEST", largest), ("_OPEN", room), ("_SLAB", 99)):
        monkeypatch.setattr(chunking, name, value)
    monkeypatch.setattr(chunking, "_FEWEST_STEPS", 2)
    what = scattered(what, 4)
    arrays = whole(what)
    path = tmp_path / "t.h5"
    with outputs.open(path, what) as sink:
        for block in interleaved(what, arrays, 4, 3):
            sink.write(block)
    check_rich(outputs.load(path), what, arrays)


def test_what_is_held_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short sequences in batches of like length: the chunks open at once are few, and each is written once."""
    monkeypatch.setattr(chunking, "_OPEN", 8 << 20)
    random = np.random.default_rng(0)
    lengths = random.integers(1, 40, 4000)
    order = np.concatenate([start + np.argsort(lengths[start : start + 256]) for start in range(0, 4000, 256)])
    what = recording(
        [layer("a", units=16)], [lengths[order[start : start + 32]] for start in range(0, 4000, 32)], record=ALL
    )
    batches = tuple(
        replace(batch, rows=np.sort(order[n * 32 : n * 32 + 32]), lengths=lengths[np.sort(order[n * 32 : n * 32 + 32])])
        for n, batch in enumerate(what.batches)
    )
    what = replace(what, batches=batches)
    every = [one for group in fields.groups(what, "float32") for one in group.fields]
    field = next(one for one in every if one.name == "h")
    chunks = Chunker(what, every).chunks(field)
    assert chunks.sequences > 1
    offsets: list[tuple[int, ...]] = []
    held = most = 0
    slabs = Slabs(field, chunks, batches, lambda offset, chunk: offsets.append(offset))
    for batch in batches:
        values = np.zeros((32, int(batch.lengths.max()), 16), np.float32)
        slabs.put(Piece(("layers/a", "h"), batch.rows, 0, values))
        held = sum(slab.values.nbytes for slab in slabs._open.values())
        most = max(most, held)
    assert 0 < most <= (8 << 20) / 6  # of six signals
    assert not held
    assert len(offsets) == len(set(offsets)) == -(-4000 // chunks.sequences)


@pytest.mark.parametrize("units", [100, 1000])
def test_a_unit_lies_in_a_part_of_the_chunks(units: int, tmp_path: Path) -> None:
    what = recording([layer("a", units=units)], [[1500]], record=("h",))
    arrays = whole(what)
    with outputs.open(tmp_path / "t.h5", what) as sink:
        for block in blocks(what, arrays, 333):
            sink.write(block)
    same(recorded(outputs.load(tmp_path / "t.h5")), arrays)
    with h5py.File(tmp_path / "t.h5") as file:
        h = file["layers/a/h"]
        assert h.chunks[2] <= 64
        assert h.id.get_num_chunks() > 1
        assert h.id.get_storage_size() <= 1.05 * arrays["a"]["h"].nbytes


@pytest.mark.parametrize(
    "lengths",
    [[[40] * 8], [[7, 3, 12, 1, 0, 5]] * 6, [[3000, 17], [1]], [[0, 0], [9]]],
    ids=["even", "ragged", "long", "empty"],
)
@pytest.mark.parametrize("units", [3, 100])
def test_the_size_that_is_forecast_is_what_is_stored(lengths, units, tmp_path):
    what = recording([layer("a", units=units)], lengths)
    with outputs.open(tmp_path / "t.h5", what) as sink:
        for block in blocks(what, whole(what), 16):
            sink.write(block)
    held = []
    with h5py.File(tmp_path / "t.h5") as file:
        file.visititems(lambda name, node: held.append(node) if isinstance(node, h5py.Dataset) else None)
        stored = sum(one.id.get_storage_size() for one in held if one.dtype.kind != "O" and not one.is_scale)
    assert hdf5.size(what, "float32") == stored
