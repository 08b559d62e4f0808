"""What is kept of an input: in memory, or in a temporary file, and the same either way."""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnprobe.errors import OutOfResources
from rnnprobe.inputs import READERS, batching, heap, rows, text
from rnnprobe.inputs.heap import Heap, Spooled
from rnnprobe.inputs.names import Chained, Counted, finder, taken
from rnnprobe.inputs.rows import Rows, apart, joined
from tests.inputs.forms import IDS, LETTERS, WRITERS, ids, padded, read, sequences_of

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@pytest.fixture(params=[0, 40, 1 << 20])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes kept in memory."""
    monkeypatch.setattr(heap, "IN_MEMORY", request.param)
    return int(request.param)


def test_pieces(room: int) -> None:
    kept = Heap()
    pieces = [(kept.keep(piece), len(piece)) for piece in (b"abcdef" * 6, b"ghij", b"klmnop")]
    assert bytes(pieces[2][0](1, 3)) == b"lm"
    assert bytes(kept.keep(b"")(0, 0)) == b""
    whole = b"abcdef" * 6 + b"ghijklmnop"
    with Spooled(pieces) as file:
        assert file.readall() == whole
        for start in range(len(whole) + 2):
            file.seek(start)
            assert io.BufferedReader(Spooled(pieces)).read() == whole
            assert b"".join(iter(lambda: file.read(7), b"")) == whole[start:]
        assert file.seek(-3, io.SEEK_END) == len(whole) - 3
        with pytest.raises(OSError, match="before the beginning"):
            file.seek(-1)


def test_the_file_is_closed_with_what_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "IN_MEMORY", 0)
    before = len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = Heap()
        kept = store.keep(b"abc")
        del store
        gc.collect()
        assert bytes(kept(0, 3)) == b"abc"
        assert len(os.listdir("/proc/self/fd")) == before + 1
        del kept
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(heap, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OutOfResources, match=f"{tmp_path}/nowhere takes no more: No such file") as error:
        Heap().keep(b"a")
    assert "TMPDIR" in error.value.hint


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_reader_with_little_memory(
    reader: SimpleNamespace, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_BLOCK", 64)
    monkeypatch.setattr(rows, "_SPAN", 100)
    monkeypatch.setattr(text, "_CHUNK", 16)
    data = ids(5, 2, 9, 4, 9, 1, 3, 30, 2, 2, 7)
    source = WRITERS[reader.name](tmp_path / f"a{reader.suffixes[0]}", data)
    more: dict[str, object] = {"vocabulary": LETTERS, "by": "line"} if reader.name == "txt" else {}
    if reader.name == "npy":
        more["lengths"] = [len(each) for each in data]
    for size in (1, 2, 16):
        batches = read(source, IDS, batch_size=size, **more)
        for found, given_ in zip(sequences_of(batches), data, strict=True):
            np.testing.assert_array_equal(found, given_)
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO(Path(str(source).partition(":")[0]).read_bytes()))
    )
    if reader.name != "hdf5":  # there its arrays lie in a group
        for found, given_ in zip(sequences_of(read("-", IDS, **more)), data, strict=True):
            np.testing.assert_array_equal(found, given_)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv", ".npz", ".h5"])
def test_threads_may_load_side_by_side(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "IN_MEMORY", 0)
    monkeypatch.setattr(batching, "CHECKED_AT_ONCE", 0)
    data = ids(*np.random.default_rng(0).integers(1, 9, 200))
    reader = next(reader for reader in READERS if suffix in reader.suffixes)
    source = WRITERS[reader.name](tmp_path / f"a{suffix}", data)
    if suffix == ".npz":
        np.savez_compressed(source, *data)
    more: dict[str, object] = {"vocabulary": LETTERS, "by": "line"} if suffix == ".txt" else {}
    batches = read(source, IDS, batch_size=4, **more)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda batch: batch.load(0, batch.steps), batches))
    for batch, block in zip(batches, loaded, strict=True):
        for row, number in enumerate(batch.rows):
            np.testing.assert_array_equal(block[row, : batch.lengths[row]], data[number])


@given(LENGTHS, st.sampled_from([(), (2,), (2, 3)]), st.data())
def test_rows(lengths: list[int], shape: tuple[int, ...], data: st.DataObject) -> None:
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(length, *shape)) for length in lengths]
    kept = Rows(Heap())
    for number, array in enumerate(arrays):
        kept.add(array)
        if data.draw(st.booleans()):
            np.testing.assert_array_equal(kept.read(0, len(kept)), np.concatenate(arrays[: number + 1]))
    whole = np.concatenate(arrays)
    assert (len(kept), kept.shape) == (len(whole), shape)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    np.testing.assert_array_equal(kept.read(start, stop), whole[start:stop])

    one = joined(kept.read, shape, kept.dtype, np.array(lengths))
    other = apart(lengths, shape, kept.dtype, lambda row, start, stop: arrays[row][start:stop])
    asked = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, unique=True)))
    for start in range(4):
        expected = np.zeros((len(asked), 5 - start, *shape))
        for place, row in enumerate(asked):
            part = arrays[row][start:5]
            expected[place, : len(part)] = part
        np.testing.assert_array_equal(one.read(asked, start, 5), expected)
        np.testing.assert_array_equal(other.read(asked, start, 5), expected)


def test_rows_of_several_dtypes() -> None:
    kept = Rows(Heap())
    kept.add(np.array([1, 2]))
    assert kept.read(0, 2).dtype == np.int64
    kept.add(np.array([0.5]))
    np.testing.assert_array_equal(kept.read(0, 3), [1.0, 2.0, 0.5])
    assert kept.read(0, 1).dtype == np.float64


def test_far_apart_rows_of_an_array(tmp_path: Path) -> None:
    """Neighbours are read together, others by themselves, in whatever order they are asked for."""
    data = ids(*np.random.default_rng(0).integers(1, 9, 300))
    np.save(tmp_path / "a.npy", padded(data))
    chosen = [299, 3, 150, 4, 5, 0, 298]
    found = sequences_of(
        read(tmp_path / "a.npy", IDS, lengths=[len(each) for each in data], select=chosen, batch_size=4)
    )
    for one, row in zip(found, chosen, strict=True):
        np.testing.assert_array_equal(one, data[row])


def test_names() -> None:
    lines = Counted(np.array([1, 3, 7]), "line ")
    texts = ("line 1", "line 3", "line 7")
    assert (lines == texts, lines != texts, lines == texts[:2], lines[1:] == texts[1:]) == (True, False, False, True)
    assert [lines.find(name) for name in (*texts, "line 2", "line 03", "3", "line x")] == [0, 1, 2, *[None] * 4]
    assert taken(lines, np.array([2, 0])) == ("line 7", "line 1")
    chain = Chained([lines.after("a/"), ("x", "y"), Counted(np.arange(3))])
    every = ("a/line 1", "a/line 3", "a/line 7", "x", "y", "0", "1", "2")
    assert tuple(chain) == every
    assert (chain[-1], chain[2:4], len(chain)) == ("2", every[2:4], 8)
    assert [finder(chain)(name) for name in (*every, "z")] == [*range(8), None]
    assert taken(chain, np.array([0, 2])) == (every[0], every[2])
    assert taken(chain, np.array([6, 5])) == ("1", "0")
    assert taken(chain, np.array([2, 3])) == (every[2], every[3])
    with pytest.raises(IndexError):
        chain[8]
