"""Steps of any shape: numbers without an axis of their own, rows of features, images; and fixed numbers of steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.errors import BadInput
from rnnprobe.inputs import batching
from rnnprobe.types import Entry
from tests.inputs.forms import IDS, LETTERS, WRITERS, ids, read, sequences_of

IMAGES = Entry((2, None, 3), 0, False)
NUMBERS = Entry((), 0, False)
VECTOR = Entry((), 0, False, steps=4)
ANY = Entry((None,), 0, False)
X = np.random.default_rng(0).normal(size=(2, 4, 2, 5, 3)).astype("f4")
N = X[:, :, 0, 0, 0]


@pytest.mark.parametrize(("entry", "x"), [(IMAGES, X), (NUMBERS, N), (VECTOR, N), (ANY, X[:, :, 0, 0])])
def test_ranks(entry: Entry, x: np.ndarray) -> None:
    batch = read(x, entry)[0]
    assert batch.shape == x.shape[2:]
    np.testing.assert_array_equal(batch.load(1, 3), x[:, 1:3])
    np.testing.assert_array_equal(sequences_of(read(x[0], entry)), x[:1])
    found = sequences_of(read(x.swapaxes(0, 1), entry, time_major=True))
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("entry", [IMAGES, NUMBERS], ids=["images", "numbers"])
def test_sequences_of_their_own_lengths(entry: Entry, tmp_path: Path) -> None:
    data = [X[0], X[1, :2], X[0, 1:]] if entry is IMAGES else [N[0], N[1, :2], N[0, 1:]]
    sources: list[object] = [data]
    for name in ("npz", "hdf5", "jsonl"):
        sources.append(WRITERS[name](tmp_path / f"a.{'h5' if name == 'hdf5' else name}", data))
    with h5py.File(tmp_path / "each.h5", "w") as file:
        for number, each in enumerate(data):
            file[f"arr_{number}"] = each
    for source in [*sources, tmp_path / "each.h5"]:
        found = sequences_of(read(source, entry, batch_size=2))
        for one, other in zip(found, data, strict=True):
            np.testing.assert_array_equal(one.astype("f4"), other)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[np.ndarray], int]:
    step = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    return [random.normal(size=(length, *step)) for length in lengths], draw(st.integers(1, 3))


@given(cases(), st.sampled_from(["npy", "npz", "hdf5", "jsonl"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_shape_comes_back(case: tuple[list[np.ndarray], int], reader: str, open_sizes: bool) -> None:
    data, size = case
    step = data[0].shape[1:]
    entry = Entry((None,) * len(step) if open_sizes else step, 0, False, "float64")
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[reader](Path(folder) / f"a.{'h5' if reader == 'hdf5' else reader}", data)
        more = {"lengths": [len(each) for each in data]} if reader == "npy" else {}
        batches = read(source, entry, batch_size=size, **more)
        found = sequences_of(batches)
        for batch in batches:
            whole = batch.load(0, batch.steps)
            for start in range(batch.steps + 1):
                np.testing.assert_array_equal(batch.load(start, batch.steps), whole[:, start:])
    assert batches[0].shape == step
    assert len(found) == len(data)
    for one, other in zip(found, data, strict=True):
        np.testing.assert_array_equal(one, other)


def test_integers_are_floats_where_ids_mean_nothing() -> None:
    said: list[str] = []
    batch = read(np.arange(8).reshape(2, 4), NUMBERS, said)[0]
    assert (batch.dtype, batch.shape) == ("float32", ())
    np.testing.assert_array_equal(batch.load(0, 4), np.arange(8).reshape(2, 4))
    assert said == ["the array is int64 [2, 4]: it is converted to floats"]
    read([[1, 2, 3], [4]], NUMBERS, said := [])
    assert said == []
    pixels = (X > 0).astype("u1")
    np.testing.assert_array_equal(sequences_of(read(pixels, IMAGES, said := [])), pixels)
    assert said == ["the array is uint8 [2, 4, 2, 5, 3]: it is converted to floats"]
    features = Entry((4,), 0, False)
    batch = read(np.arange(8).reshape(2, 4), features, said := [])[0]
    assert (batch.shape, batch.steps) == ((4,), 2)
    assert said == ["the array is int64 [2, 4]: integers are taken as features, and converted to floats"]


def test_not_finite_and_its_place() -> None:
    x = X.copy()
    x[1, 2, 0, 4, 1] = np.nan
    read(x, IMAGES, said := [])
    assert said == ["the input holds nan at sequence 1, step 2 at [0, 4, 1]"]
    n = N.copy()
    n[1, 3] = np.inf
    read(n, NUMBERS, said := [])
    assert said == ["the input holds inf at sequence 1, step 3"]
    read(n, NUMBERS, said := [], lengths=[4, 3])
    assert said == []


def test_large_steps_are_checked_as_they_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "CHECKED_AT_ONCE", X.nbytes - 1)
    x = X.copy()
    x[0, 3] = np.nan
    batch = read(x, IMAGES, said := [])[0]
    batch.load(0, 3)
    assert said == []
    batch.load(2, 4)
    assert len(said) == 1
    monkeypatch.setattr(batching, "CHECKED_AT_ONCE", X.nbytes)
    read(x, IMAGES, said := [])
    assert len(said) == 1


@pytest.mark.parametrize(
    ("source", "entry", "message", "hint"),
    [
        (X[..., :2], IMAGES, "steps [2, 5, 2]; the network takes floats [batch, time, 2, any, 3]", ""),
        (X[:, :, :, :0], IMAGES, "steps [2, 0, 3]", ""),
        (X[0, 0], IMAGES, "of rank 3; the network takes floats [batch, time, 2, any, 3], or of rank 4 for one", ""),
        (X[None], IMAGES, "of rank 6", ""),
        ([X[0], X[1, :, :1]], IMAGES, "one rank and one shape of a step", ""),
        ([X[0], X[1, 0]], IMAGES, "sequence 1 is float32 [2, 5, 3]", ""),
        ([N[0]], IMAGES, "a number a step; the network takes floats", ""),
        (N[..., None], NUMBERS, "of rank 3; the network takes a number a step: floats [batch, time]", "x[..., 0]"),
        (np.zeros((1, 2, 3)), NUMBERS, "of rank 3", ""),
        (np.float32(1), NUMBERS, "of rank 0", ""),
        (X[:, :, 0, 0, :0], ANY, "0 features a step; the network takes floats [batch, time, features]", ""),
        (N[:, :3], VECTOR, "have 3 steps each; the network takes exactly 4 steps, [batch, 4]", "padding is part"),
        (X[:, :, 0, 0], Entry((3,), 3, False, steps=2), "exactly 2 steps, [batch, 2, 3]", "--steps 0:2"),
        (X, Entry((2, 5, 3), 0, False, steps=1), "4 steps each; the network takes exactly 1 step, [batch, 1", ""),
        ([N[0], N[1, :1], N[1, :2]], VECTOR, "sequence 1 has 1, sequence 2 has 2 of the steps; the network", "padding"),
    ],
)  # fmt: skip
def test_errors(source: object, entry: Entry, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as error:
        read(source, entry)
    assert message in str(error.value)
    assert hint in error.value.hint


def test_fixed_steps() -> None:
    assert read(N, VECTOR)[0].lengths.tolist() == [4, 4]
    long = np.concatenate([N, N], axis=1)
    with pytest.raises(BadInput, match="have 8 steps each"):
        read(long, VECTOR)
    np.testing.assert_array_equal(sequences_of(read(long, VECTOR, steps="2:6")), long[:, 2:6])
    with pytest.raises(BadInput, match="have 3 steps each"):
        read(N, VECTOR, steps="0:3")
    with pytest.raises(BadInput, match="sequence 1 has 2 of the steps; the network takes exactly 4"):
        read(N, VECTOR, lengths=[4, 2])
    np.testing.assert_array_equal(sequences_of(read(N, VECTOR, lengths=[4, 2], select=0)), N[:1])


def test_one_number_a_sequence() -> None:
    one = Entry((), 0, False, steps=1)
    np.testing.assert_array_equal(sequences_of(read(N[0], one, batch_size=3)), N[0][:, None])
    np.testing.assert_array_equal(sequences_of(read(N[:, :1], one)), N[:, :1])
    np.testing.assert_array_equal(read(N[0], one, select="1:3")[0].load(0, 0), np.zeros((2, 0)))


def test_a_table_of_vectors(tmp_path: Path) -> None:
    """A row is a sequence where a step is one number."""
    path = tmp_path / "a.csv"
    path.write_text("p,q,r,s\n1,2.5,3,4\n5,6,7,8\n")
    for entry in (NUMBERS, VECTOR):
        np.testing.assert_array_equal(sequences_of(read(path, entry)), [[1, 2.5, 3, 4], [5, 6, 7, 8]])
    path.write_text("sequence,p,q\nx,1,2\ny,3,4\n")
    assert read(path, NUMBERS)[0].names == ("x", "y")
    path.write_text("1\n2\n3\n")
    np.testing.assert_array_equal(sequences_of(read(path, NUMBERS)), [[1, 2, 3]])
    np.testing.assert_array_equal(sequences_of(read(path, Entry((), 0, False, steps=1))), [[1], [2], [3]])
    path.write_text("p,q\n1,2\n3,nan\n")
    read(path, NUMBERS, said := [])
    assert said == ["the input holds nan at line 3, column 2 ('q')"]
    path.write_text("p,q\n1,2\n3,4\n\n5,6\n")
    with pytest.raises(BadInput, match=r"2 sequences of float64 \[time, 2\], steps \[2\]; the network takes a number"):
        read(path, NUMBERS)
    np.testing.assert_array_equal(sequences_of(read(path, ANY))[1], [[5, 6]])


def test_a_table_of_ids(tmp_path: Path) -> None:
    """A row of whole numbers that can't be a vector of the embedding is a sequence of ids."""
    path = tmp_path / "a.csv"
    path.write_text("1,2,0\n4,4,1\n")
    found = read(path, IDS, said := [])
    assert found[0].shape is None
    np.testing.assert_array_equal(sequences_of(found), [[1, 2, 0], [4, 4, 1]])
    assert said == [
        f"{'the input'} is 1 sequence of float64 [time, 3] of whole numbers: each row is taken as a sequence of ids"
    ]
    np.testing.assert_array_equal(read(path, IDS, lengths="2,3")[0].load(0, 3), [[1, 2, 0], [4, 4, 1]] * np.array(
        [[1, 1, 0], [1, 1, 1]]
    ))  # fmt: skip
    path.write_text("1,2,0,3\n4,4,1,1\n")
    assert read(path, IDS, said := [])[0].shape == (4,)
    assert "as wide as the embedding's vectors" in said[0]
    for text, message in (
        ("1,2,9\n", "id 9 at line 1, column 3"),
        ("1,2,0.5\n", "3 features a step"),
        ("1,2,3\n4,0,1\n\n1,1,1\n", "2 sequences of float64 [time, 3], 3 features"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput) as error:
            read(path, IDS)
        assert message in str(error.value)
    path.write_text("1,2,0\n")
    with pytest.raises(BadInput, match="3 features a step"):
        read(path, Entry((4,), 4, False))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([[[1, 2], [3, 4]], [[1, 2], [3]]], "line 1, step 1 has 1 numbers at [1]; expected 2, as in step 0"),
        ([[[1, 2], [3, 4]], [[1, 2]]], "line 1, step 1 has 1 lists; expected 2, as in step 0"),
        ([[[1, 2], [3, 4]], [[1, 2], 3]], "line 1, step 1, feature 1 holds a number; expected a list of 2"),
        ([[[1, 2], [3, None]]], "line 1, step 0 at [1, 1] holds null; expected a number"),
        ([[[1, 2], [3, [4]]]], "line 1, step 0 at [1, 1] holds a list; expected a number"),
        ([[[[[[[[[[1]]]]]]]]]], "holds steps of 9 axes; expected at most 8"),
        ([[1, 2]], "steps [2]; the network takes floats [batch, time, 2, 2]"),
    ],
)
def test_nested_lines(tmp_path: Path, line: object, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    with pytest.raises(BadInput) as error:
        read(tmp_path / "a.jsonl", Entry((2, 2), 0, False))
    assert message in str(error.value)


def test_lines_of_different_steps(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[[[1, 2]]]\n[[[1], [2]]]")
    with pytest.raises(BadInput, match=r"line 2 holds steps \[2, 1\]; expected steps \[1, 2\], as in line 1"):
        read(tmp_path / "a.jsonl", Entry((None, None), 0, False))


def test_formats_without_room(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(BadInput, match="is a table, whose steps are rows; the network takes steps of 3 axes") as error:
        read(tmp_path / "a.csv", IMAGES)
    assert ".npy" in error.value.hint
    (tmp_path / "a.txt").write_text("abc")
    for entry in (IMAGES, NUMBERS, ANY):
        with pytest.raises(BadInput, match="is text, which becomes ids; the network takes floats there"):
            read(tmp_path / "a.txt", entry, vocabulary=LETTERS)


def test_memory_of_one_image_a_step(tmp_path: Path) -> None:
    """A block costs a block, whatever the length."""
    import tracemalloc

    path = tmp_path / "x.npy"
    shape = (1, 20_000, 64, 64, 3)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * 20_000 * 64 * 64 * 3)
    tracemalloc.start()
    batch = read(path, Entry((64, 64, 3), 0, False))[0]
    assert batch.load(19_990, 20_000).shape == (1, 10, 64, 64, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_ids_are_as_they_were() -> None:
    np.testing.assert_array_equal(sequences_of(read(ids(3, 3), IDS)), ids(3, 3))
