"""Many files as one input."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.errors import BadInput
from rnnprobe.inputs import READERS
from rnnprobe.inputs.files import expand, labels
from rnnprobe.types import Entry
from tests.inputs import forms
from tests.inputs.forms import FLOATS, IDS, LETTERS, WRITERS, floats, ids, names_of, padded, read, sequences_of

ANY = Entry((None,), 0, False)


def same(batches: object, sequences: forms.Sequences) -> None:
    found = sequences_of(batches)  # type: ignore[arg-type]
    assert len(found) == len(sequences)
    for one, other in zip(found, sequences, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_file_after_file(reader: SimpleNamespace, lengths: list[list[int]], size: int) -> None:
    data = [ids(*each) for each in lengths]
    flat = [each for part in data for each in part]
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for number, part in enumerate(data):
            sources.append(str(WRITERS[reader.name](Path(folder) / f"f{number + 8}{reader.suffixes[0]}", part)))
        more: dict[str, object] = {"vocabulary": LETTERS, "by": "line"} if reader.name == "txt" else {}
        if reader.name == "npy":
            more["lengths"] = [len(each) for each in flat]
        key = sources[0].partition(":")[2]
        pattern = f"{folder}/f*{reader.suffixes[0]}" + (f":{key}" if key else "")
        for source in (sources, pattern, {"input": pattern}):
            same(read(source, IDS, batch_size=size, **more), flat)
        same(
            read(sources, IDS, **more, select=f"{len(flat) - 1},0:1", steps="0:3"),
            [flat[-1][:3], flat[0][:3]][: len(flat)],
        )
        assert len(set(names_of(read(sources, IDS, **more)))) == len(flat)


def test_floats_and_the_order_of_people(tmp_path: Path) -> None:
    data = floats(*range(1, 13))
    for number, each in enumerate(data):
        np.save(tmp_path / f"part{number}.npy", each)
    os.mkdir(tmp_path / "part.d")
    batches = read(str(tmp_path / "part*"), FLOATS)
    same(batches, data)
    assert names_of(batches) == [f"part{number}" for number in range(12)]
    same(read(tmp_path / "part1?.npy", FLOATS, select="part11,0"), [data[11], data[10]])
    same(read([tmp_path / "part3.npy", str(tmp_path / "part1[01].npy")], FLOATS), [data[3], data[10], data[11]])
    nested = tmp_path / "part.d" / "deep"
    os.mkdir(nested)
    np.save(nested / "x.npy", data[0])
    same(read(f"{tmp_path}/**/x.npy", FLOATS), data[:1])


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    np.save(tmp_path / "x[1].npy", floats(3)[0])
    np.save(tmp_path / "x1.npy", floats(4)[0])
    batches = read(tmp_path / "x[1].npy", FLOATS)
    same(batches, floats(3))
    assert names_of(batches) == ["0"]


def test_what_sequences_are_called(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"ids": [1], "name": "p"}\n{"ids": [2], "name": "q"}\n')
    (tmp_path / "b.jsonl").write_text('{"ids": [3], "name": "r"}\n')
    (tmp_path / "c.jsonl").write_text("[4]\n[0]\n")
    (tmp_path / "d.jsonl").write_text("[1]\n")
    (tmp_path / "e.txt").write_text("a\n\nb\n")
    (tmp_path / "f.txt").write_text("abc")
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl", "e.txt")]
    found = read(files, IDS, vocabulary=LETTERS, by="line")
    assert names_of(found) == ["p", "q", "r", "c/0", "c/1", "d", "e/line 1", "e/line 3"]
    same(
        read(files, IDS, vocabulary=LETTERS, by="line", select="e/line 3,r,d"), [np.array([each]) for each in (1, 3, 1)]
    )
    same(read(files[:4], IDS, select="c,q"), [np.array([each]) for each in (4, 0, 2)])
    (tmp_path / "b.jsonl").write_text('{"ids": [3], "name": "p"}\n')
    assert names_of(read(files[:3], IDS)) == ["a/p", "a/q", "b/p", "c/0", "c/1"]
    (tmp_path / "b.jsonl").write_text('{"ids": [3], "name": "d"}\n')
    assert names_of(read(files[1:4], IDS)) == ["b/d", "c/0", "c/1", "d"]
    assert names_of(read([tmp_path / "e.txt", tmp_path / "f.txt"], FIVE, vocabulary=LINES, by="char")) == ["e", "f"]


LINES = forms.Vocabulary(("a", "b", "c", "\n"), {"a": 0, "b": 1, "c": 2, "\n": 3})
FIVE = Entry((4,), 4, True)


def test_labels_tell_files_apart() -> None:
    assert labels(["x/a.npy", "x/b.npy"]) == ["a", "b"]
    assert labels(["x/a.npy", "x/a.csv"]) == ["a.npy", "a.csv"]
    assert labels(["x/a.npy", "y/a.npy"]) == ["x/a", "y/a"]
    assert labels(["x/a.npy", "y/a.npy", "y/a.csv"]) == ["x/a.npy", "y/a.npy", "y/a.csv"]
    assert labels(["a.npy", "-"]) == ["a", "-"]


def test_keys_are_labels_where_files_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=floats(3)[0][None], x_test=floats(4)[0][None])
    found = read([f"{tmp_path}/a.npz:x_train", f"{tmp_path}/a.npz:x_test"], FLOATS)
    assert names_of(found) == ["a:x_train", "a:x_test"]


def test_dtypes_are_promoted(tmp_path: Path) -> None:
    one, other = floats(3), floats(2, dtype="f8")
    np.save(tmp_path / "a.npy", one[0])
    np.save(tmp_path / "b.npy", other[0])
    batches = read(str(tmp_path / "*.npy"), FLOATS)
    assert batches[0].dtype == "float64"
    same(batches, [one[0].astype("f8"), other[0]])


@pytest.mark.parametrize(
    ("content", "entry", "message"),
    [
        ({"b.npy": floats(2, width=4)[0]}, FLOATS, "b.npy: the input is float32 [2, 4], 4 features a step"),
        ({"b.npy": floats(2, width=4)[0]}, ANY, "b.npy: holds floats, 4 features a step; expected floats, 3 features"),
        ({"b.npy": np.arange(3)}, FLOATS, "b.npy: holds ids; expected floats, 3 features a step, as in "),
        ({"b.npy": np.zeros((0, 3), "f4")}, FLOATS, "b.npy: sequence 0 has no step"),
        ({"b.npy": np.zeros((0, 2, 3), "f4")}, FLOATS, "b.npy: the input holds no sequence"),
        ({"b.npy": b""}, FLOATS, "b.npy: is empty"),
        ({"b.npy": b"\x93NUMPY"}, FLOATS, "b.npy: the .npy header of the array is damaged"),
        ({"b.csv": b"1,2,3\n4,5\n"}, FLOATS, "b.csv: line 2 has 2 columns"),
        ({"b.txt": b"\n\n"}, FLOATS, "b.txt: is text, which needs a vocabulary"),
        ({"b.bin": b"\0\1"}, FLOATS, "b.bin: is of no format that is read"),
        ({"b.npy": np.array([[1, 2, np.nan]])}, FLOATS, ""),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    content: dict[str, object], entry: Entry, message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", floats(3)[0])
    for name, value in content.items():
        (tmp_path / name).write_bytes(value) if isinstance(value, bytes) else np.save(tmp_path / name, value)  # type: ignore[arg-type]
    said: list[str] = []
    if not message:
        read(f"{tmp_path}/*", entry, said)
        assert f"the input holds nan at sequence 0, step 0, feature 2 of {tmp_path}/b.npy" in said
        return
    with pytest.raises(BadInput) as error:
        read(f"{tmp_path}/*", entry, said)
    assert f"{tmp_path}/{message}" in str(error.value)


def test_an_id_beyond_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("[1]\n[2]\n")
    (tmp_path / "b.jsonl").write_text("[1]\n[1, 9]\n")
    with pytest.raises(BadInput, match=f"id 9 at line 2, step 1 of {tmp_path}/b.jsonl is outside of 0…4"):
        read(f"{tmp_path}/*.jsonl", IDS)


def test_what_is_no_set_of_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="matches no file") as error:
        read(f"{tmp_path}/*.npy", FLOATS)
    assert str(error.value).startswith(f"{tmp_path}/*.npy")
    for name in ("a.txt", "b.txt", "c.npy"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadInput, match="is a directory; expected a file of sequences") as error:
        read(tmp_path, FLOATS)
    assert error.value.hint == f"'{tmp_path}/*.txt' takes all such files in it"
    os.mkdir(tmp_path / "sub")
    with pytest.raises(BadInput, match="matches directories alone"):
        read(f"{tmp_path}/su*", FLOATS)
    for source in ([tmp_path / "a.txt"] * 2, [str(tmp_path / "b.txt"), f"{tmp_path}/*.txt"]):
        with pytest.raises(BadInput, match="is given twice as input"):
            read(source, FLOATS)
    assert expand([1, 2]) is expand([]) is expand(np.zeros(3)) is expand("-") is None


def test_lengths_of_all(tmp_path: Path) -> None:
    one, other = ids(3, 5), ids(2, 4, 1)
    np.savez(tmp_path / "a.npz", ids=padded(one), lengths=[3, 5])
    np.savez(tmp_path / "b.npz", ids=padded(other), lengths=[2, 4, 1])
    pattern = f"{tmp_path}/*.npz"
    same(read(pattern, IDS), [*one, *other])
    same(read(pattern, IDS, lengths="2,2,1,3,1"), [one[0][:2], one[1][:2], other[0][:1], other[1][:3], other[2]])
    with pytest.raises(BadInput, match="there are 2 lengths for 5 sequences"):
        read(pattern, IDS, lengths=[1, 2])
    with pytest.raises(BadInput, match="lengths or names stand beside several files"):
        read({"input": pattern, "lengths": [1, 2, 3, 4, 5]}, IDS)


def test_what_is_said_of_several_is_said_once(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text("a\n" * number + "\n" * 3 + "b\n")
        np.save(tmp_path / f"{number}.npy", np.ones((2, 4), "f4"))
    said: list[str] = []
    read(f"{tmp_path}/*.txt", IDS, said, vocabulary=LETTERS, by="line")
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path}/0.txt: blank lines are left out: 3, the first is line 1; likewise in ")
    assert said[0].endswith(f"{tmp_path}/5.txt, …")
    read(f"{tmp_path}/*.npy", IDS, said := [])
    assert [line.partition("; likewise")[0] for line in said] == [
        f"{tmp_path}/0.npy: the array is float32 [2, 4] of whole numbers: they are taken as ids [batch, time]"
    ]
    (tmp_path / "9.txt").write_text("z")
    with pytest.raises(BadInput, match="the vocabulary has no 'z'"):
        read(f"{tmp_path}/*.txt", IDS, said := [], vocabulary=LETTERS, by="line")
    assert len(said) == 1, "what was said before an error is said"


def test_several_inputs(tmp_path: Path) -> None:
    entries = {"q": IDS, "a": FLOATS}
    questions, answers = ids(3, 5, 2), floats(1, 4, 2)
    for number in range(3):
        np.savez(tmp_path / f"pair{number}.npz", q=questions[number], a=answers[number])
        np.save(tmp_path / f"q{number}.npy", questions[number])
        np.save(tmp_path / f"a{number}.npy", answers[number])
        (tmp_path / f"l{number}.jsonl").write_text(
            json.dumps({"q": questions[number].tolist(), "a": answers[number].tolist()})
        )
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["q"], file["a"] = questions[0], answers[0]
    for source in (
        f"{tmp_path}/pair*.npz",
        {"q": f"{tmp_path}/q*.npy", "a": f"{tmp_path}/a*.npy"},
        {"q": [tmp_path / f"q{number}.npy" for number in range(3)], "a": answers},
        f"{tmp_path}/l*.jsonl",
        [tmp_path / "x.h5", tmp_path / "pair1.npz", tmp_path / "pair2.npz"],
    ):
        batches = read(source, entries)
        same(batches, questions)
        for one, other in zip(sequences_of(tuple(batch.beside["a"] for batch in batches)), answers, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)
    with pytest.raises(BadInput, match=r"q0\.npy: holds one input; the network takes 'q' and 'a'"):
        read(f"{tmp_path}/q*.npy", entries)
    os.remove(tmp_path / "q2.npy")
    with pytest.raises(BadInput, match="'q' has 2, 'a' has 3"):
        read({"q": f"{tmp_path}/q*.npy", "a": f"{tmp_path}/a*.npy"}, entries)
