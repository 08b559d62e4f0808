"""Arrays: what their axes mean, how they are read, and how much memory that takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnprobe.errors import BadInput
from rnnprobe.inputs import batching, npy
from rnnprobe.types import Entry
from tests.inputs.forms import FLOATS, IDS, read, sequences_of

ONE = Entry(shape=(1,), vocabulary=1, embedded=False)


def test_ranks() -> None:
    x = np.arange(2 * 4 * 3, dtype="f4").reshape(2, 4, 3) / 7
    np.testing.assert_array_equal(sequences_of(read(x, FLOATS)), x)
    np.testing.assert_array_equal(sequences_of(read(x[0], FLOATS)), x[:1])
    np.testing.assert_array_equal(sequences_of(read(x[0], Entry((3,), 9, True))), x[:1])
    np.testing.assert_array_equal(sequences_of(read(x[0, :, 0], ONE)), x[:1, :, :1])
    ids = np.array([[1, 2, 3], [4, 0, 1]], "u2")
    np.testing.assert_array_equal(sequences_of(read(ids, IDS)), ids)
    np.testing.assert_array_equal(sequences_of(read(ids[0], IDS)), ids[:1])


def test_time_major(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f4")
    np.save(tmp_path / "x.npy", x.swapaxes(0, 1))
    found = read(tmp_path / "x.npy", FLOATS, time_major=True, lengths="5,3")
    np.testing.assert_array_equal(found[0].load(1, 5)[0], x[0, 1:])
    assert not found[0].load(3, 5)[1].any()
    np.testing.assert_array_equal(sequences_of(read(x[0], FLOATS, time_major=True)), x[:1])
    ids = np.array([[1, 2], [3, 4], [0, 0]])
    np.testing.assert_array_equal(sequences_of(read(ids, IDS, time_major=True)), ids.T)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", ">f8", "g"])
@pytest.mark.parametrize("span", [1, 64, 1 << 22])
def test_stored_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, dtype: str, span: int) -> None:
    monkeypatch.setattr(npy, "_SPAN", span)
    x = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(dtype, order=order)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    for name in ("x.npy", "x.npz"):
        batches = read(tmp_path / name, FLOATS, batch_size=2)
        assert batches[0].dtype == {"<f2": "float16", "<f8": "float64", ">f8": "float64", "g": "float64"}.get(
            dtype, "float32"
        )
        for batch in batches:
            rows = batch.rows
            for start, stop in ((0, 7), (2, 5), (6, 7), (3, 3)):
                np.testing.assert_array_equal(batch.load(start, stop), x[rows, start:stop].astype(batch.dtype))
    picked = read(tmp_path / "x.npy", FLOATS, select="4,0:2,3", steps="1:6")[0]
    np.testing.assert_array_equal(picked.load(1, 4), x[[4, 0, 1, 3], 2:5].astype(picked.dtype))


def test_float64_is_said_once() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    said: list[str] = []
    assert read(x, FLOATS, said)[0].dtype == "float64"
    assert said == ["the input is float64; the network computes with float32, to which it is rounded"]
    read(x, replace(FLOATS, dtype="float64"), said := [])
    assert said == []


def test_whole_floats_in_front_of_an_embedding() -> None:
    said: list[str] = []
    batch = read(np.array([[1.0, 2.0], [4.0, 0.0]]), IDS, said)[0]
    assert batch.shape is None
    np.testing.assert_array_equal(batch.load(0, 2), [[1, 2], [4, 0]])
    assert said == ["the array is float64 [2, 2] of whole numbers: they are taken as ids [batch, time]"]
    with pytest.raises(BadInput, match="ids 0…4"):
        read(np.array([[1.0, 2.5], [4.0, 0.0]]), IDS)


def test_integers_of_rank_3_are_features() -> None:
    said: list[str] = []
    batch = read(np.eye(3, dtype="u1")[None], FLOATS, said)[0]
    assert batch.dtype == "float32"
    np.testing.assert_array_equal(batch.load(0, 3)[0], np.eye(3))
    assert "taken as features" in said[0]


def test_integers_that_could_be_features_are_said() -> None:
    said: list[str] = []
    read(np.zeros((2, 3), int), FLOATS, said)
    assert "integers are taken as ids" in said[0]


def test_lists() -> None:
    x = np.random.default_rng(0).normal(size=(7, 3)).astype("f4")
    found = sequences_of(read([x[:2], x[2:]], FLOATS))
    np.testing.assert_array_equal(found[1], x[2:])
    assert [each.tolist() for each in sequences_of(read([[1, 2, 3], [4]], IDS))] == [[1, 2, 3], [4]]
    assert [each.tolist() for each in sequences_of(read([1, 2, 3], IDS))] == [[1, 2, 3]]
    assert sequences_of(read([1, 2], ONE))[0].tolist() == [[1.0], [2.0]]
    mapping = {"x": np.zeros((2, 4, 3), "f4"), "lengths": [4, 1], "names": np.array(["p", "q"])}
    batch = read(mapping, FLOATS)[0]
    assert (batch.names, batch.lengths.tolist()) == (("p", "q"), [4, 1])


def test_not_finite_is_said_once_with_its_place() -> None:
    x = np.zeros((3, 4, 3))
    x[1, 2, 0], x[2, 3, 1] = np.nan, np.inf
    said: list[str] = []
    batch = read(x, replace(FLOATS, dtype="float64"), said)[0]
    batch.load(0, 4)
    assert said == ["the input holds nan at sequence 1, step 2, feature 0"]
    read(x, replace(FLOATS, dtype="float64"), said := [], lengths=[4, 2, 3])
    assert said == [], "past a length nothing counts"
    read(x, replace(FLOATS, dtype="float64"), said := [], select="2", steps="2:")
    assert said == ["the input holds inf at sequence 2, step 3, feature 1"]


def test_large_input_is_checked_as_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "CHECKED_AT_ONCE", 100)
    ids = np.zeros((2, 50), int)
    ids[1, 40] = 5
    batch = read(ids, IDS)[0]
    batch.load(0, 40)
    with pytest.raises(BadInput, match=r"id 5 at sequence 1, step 40 is outside of 0…4"):
        batch.load(30, 50)


def test_steps_leave_some_sequences_none() -> None:
    said: list[str] = []
    batch = read([np.array([1, 2]), np.array([1, 2, 3, 4])], IDS, said, steps="2:9")[0]
    assert batch.lengths.tolist() == [0, 2]
    np.testing.assert_array_equal(batch.load(0, 2), [[0, 0], [3, 4]])
    assert said == ["sequences that end before step 2 have no step left: 0"]


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 50, 3), "f4"))
    batch = read(path, FLOATS)[0]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput, match="has become shorter"):
        batch.load(0, 50)


_MEASURE = """
import sys
from pathlib import Path
from rnnprobe import inputs
from rnnprobe.types import Entry
def peak():  # not ru_maxrss: a process begins with that of the one that started it
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
source, major = sys.argv[1], sys.argv[2] == "major"
batch = inputs.read(source, {'input': Entry((64,), 64, False)}, say=print, time_major=major)[0]
before = peak()
assert len(batch.names) == 4 and batch.steps == 3_000_000, batch
for start in (0, 1_234_567, 2_999_000):
    block = batch.load(start, start + 1000)
    assert block.shape == (4, 1000, 64)
print(before, peak())
"""


@pytest.mark.parametrize(
    ("suffix", "major"), [(".npy", False), (".npy", True), (".h5", False)], ids=["npy", "npy-time-major", "hdf5"]
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str, major: bool) -> None:
    """Three gigabytes that take no space on the disk: a block costs no more than a block."""
    path = tmp_path / f"x{suffix}"
    shape = (3_000_000, 4, 64) if major else (4, 3_000_000, 64)
    if suffix == ".npy":
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            file.truncate(file.tell() + 4 * 4 * 3_000_000 * 64)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", shape, "f4", chunks=(1, 1000, 64))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path), "major" if major else ""],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, done.stdout.split()[-2:])
    assert after - before < 50 * 1024, f"{after - before} KiB"
    assert after < 200 * 1024, f"{after} KiB in all"
