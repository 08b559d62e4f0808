"""Every reader of the registry: what is written comes back."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from rnnprobe.errors import BadInput
from rnnprobe.inputs import BY, READERS
from rnnprobe.types import Batch
from tests.inputs import forms
from tests.inputs.forms import FLOATS, IDS, LETTERS, WRITERS, floats, ids, names_of, read, sequences_of

BY_NAME = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


def written(name: str, folder: Path, sequences: forms.Sequences) -> tuple[str, dict[str, object]]:
    """The source, and what has to be said about it."""
    suffix = next(reader.suffixes[0] for reader in READERS if reader.name == name)
    source = WRITERS[name](folder / f"input{suffix}", sequences)
    more: dict[str, object] = {"vocabulary": LETTERS, "by": "line"} if name == "txt" else {}
    if name == "npy":
        more["lengths"] = [len(each) for each in sequences]
    return str(source), more


def same(batches: tuple[Batch, ...], sequences: forms.Sequences) -> None:
    found = sequences_of(batches)
    assert len(found) == len(sequences)
    for one, other in zip(found, sequences, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_reader_is_tested() -> None:
    assert list(WRITERS) == [reader.name for reader in READERS]


def test_suffixes_are_claimed_once() -> None:
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@BY_NAME
def test_ragged_ids(reader: SimpleNamespace, tmp_path: Path) -> None:
    source, more = written(reader.name, tmp_path, ids(3, 1, 7))
    batches = read(source, IDS, **more)
    assert batches[0].shape is None
    assert batches[0].dtype == "int64"
    same(batches, ids(3, 1, 7))


@BY_NAME
def test_ragged_floats(reader: SimpleNamespace, tmp_path: Path) -> None:
    if reader.name == "txt":
        pytest.skip("a text has no floats")
    source, more = written(reader.name, tmp_path, floats(3, 1, 7))
    same(read(source, FLOATS, **more), floats(3, 1, 7))


@BY_NAME
def test_batches_stretches_and_selections(reader: SimpleNamespace, tmp_path: Path) -> None:
    data = ids(5, 2, 9, 4, 9, 1, 3)
    source, more = written(reader.name, tmp_path, data)
    batches = read(source, IDS, batch_size=3, **more)
    assert [len(batch.names) for batch in batches] == [3, 2, 2]
    same(batches, data)
    for batch in batches:
        whole = batch.load(0, batch.steps)
        for start in range(batch.steps + 1):
            for stop in range(start, batch.steps + 1):
                np.testing.assert_array_equal(batch.load(start, stop), whole[:, start:stop])
    chosen = read(source, IDS, select="6,0:3,4", steps="1:4", batch_size=2, **more)
    same(chosen, [data[row][1:4] for row in (6, 0, 1, 2, 4)])
    names = read(source, IDS, **more)[0].names
    assert names_of(chosen) == [names[row] for row in (6, 0, 1, 2, 4)]


@BY_NAME
def test_told_by_content(reader: SimpleNamespace, tmp_path: Path) -> None:
    source, more = written(reader.name, tmp_path, ids(3, 4))
    path, colon, key = source.partition(":")
    other = tmp_path / "noname"
    os.rename(path, other)
    same(read(f"{other}{colon}{key}", IDS, **more), ids(3, 4))
    same(read(f"{other}{colon}{key}", IDS, input_format=reader.name, **more), ids(3, 4))


@BY_NAME
def test_standard_input_and_pipes(reader: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, more = written(reader.name, tmp_path, ids(3, 4))
    data = Path(source.partition(":")[0]).read_bytes()
    if reader.name == "hdf5":  # a pipe has no room for a key
        with h5py.File(tmp_path / "plain.h5", "w") as file:
            file["ids"], file["lengths"] = forms.padded(ids(3, 4)), [3, 4]
        data = (tmp_path / "plain.h5").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    batches = read("-", IDS, **more)
    same(batches, ids(3, 4))
    np.testing.assert_array_equal(batches[0].load(1, 3), batches[0].load(0, 4)[:, 1:3])

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    same(read(fifo, IDS, **more), ids(3, 4))
    writer.join()


@BY_NAME
def test_cut_off_anywhere(reader: SimpleNamespace, tmp_path: Path) -> None:
    """Of a file that ends early, either an error or sequences that were there; never anything else."""
    source, more = written(reader.name, tmp_path, ids(3, 4, 2))
    path, colon, key = source.partition(":")
    data = Path(path).read_bytes()
    more.pop("lengths", None)
    step = max(1, len(data) // 200)
    messages = []
    for size in {*range(0, len(data), step), *range(min(len(data), 140))}:
        Path(path).write_bytes(data[:size])
        try:
            read(f"{path}{colon}{key}", IDS, **more)
        except BadInput as error:
            messages.append(str(error))
    assert all(message.startswith(path) for message in messages)
    if reader.name in ("npy", "npz", "hdf5"):
        assert len(messages) >= 100, "a binary file that is cut off is refused wherever it ends"


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_lengths_and_names(tmp_path: Path, compressed: bool) -> None:
    save = np.savez_compressed if compressed else np.savez
    data = floats(3, 5)
    save(tmp_path / "a.npz", x=forms.padded(data), lengths=[3, 5], names=["first", "second"], y=np.zeros(2))
    said: list[str] = []
    batches = read(tmp_path / "a.npz", FLOATS, said)
    same(batches, data)
    assert batches[0].names == ("first", "second")
    assert said == ["arrays not read beside 'x': y"]
    same(read(tmp_path / "a.npz", FLOATS, select="second"), data[1:])


def test_npz_key(tmp_path: Path) -> None:
    a, b = floats(4), floats(6)
    np.savez(tmp_path / "a.npz", x_train=a[0][None], x_test=b[0][None])
    same(read(f"{tmp_path}/a.npz:x_test", FLOATS), b)
    with pytest.raises(BadInput, match=r"x_train float32 \[1, 4, 3\], x_test float32 \[1, 6, 3\]") as error:
        read(tmp_path / "a.npz", FLOATS)
    assert error.value.hint == f"name one, as in {tmp_path}/a.npz:x_train"


def test_npz_of_named_sequences(tmp_path: Path) -> None:
    data = ids(3, 5)
    np.savez(tmp_path / "a.npz", monday=data[0], tuesday=data[1].astype("u1"))
    batches = read(tmp_path / "a.npz", IDS)
    same(batches, data)
    assert batches[0].names == ("monday", "tuesday")


def test_hdf5_of_named_sequences_in_natural_order(tmp_path: Path) -> None:
    data = floats(*range(1, 12))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, each in enumerate(data):
            file[f"set/s{number}"] = each
        file["link"] = h5py.SoftLink("/set")
    for key in ("set", "/set/", "link"):
        batches = read(f"{tmp_path}/a.h5:{key}", FLOATS)
        same(batches, data)
        assert batches[0].names[:3] == ("s0", "s1", "s2")
    same(read(f"{tmp_path}/a.h5:/set/s4", FLOATS), data[4:5])


@pytest.mark.parametrize("options", [{"chunks": (1, 2, 3)}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_hdf5_layouts(tmp_path: Path, options: dict[str, object]) -> None:
    data = forms.padded(floats(6, 6))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("anything", data=data, **options)
    same(read(tmp_path / "a.h5", FLOATS), list(data))


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("x,y,z\n1,2,3\n4,5,6\n", ".csv"),
        ("\ufeff\n\nx,y,z\r\n1,2,3\r\n4,5,6\r\n\r\n", ".csv"),
        ("x;y;z\n1;2;3\n4;5;6", ".csv"),
        ("1\t2\t3\n4\t5\t6\n\n\n", ".tsv"),
        ("1 2 3\n4 5 6\n", ".csv"),
        ('"x, in m",y,z\n"1",2,3\n 4 ,5,6\n', ".csv"),
        ("sequence,x,y,z\nq,1,2,3\n\nq,4,5,6\n", ".csv"),
    ],
)
def test_csv_dialects(tmp_path: Path, text: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(text.encode())
    same(read(path, FLOATS), [np.array([[1, 2, 3], [4, 5, 6]])])


def test_csv_sequence_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,Sequence,y,z\n1,b,2,3\n1,b,2,4\n1,a,2,5\n")
    batches = read(tmp_path / "a.csv", FLOATS)
    assert batches[0].names == ("b", "a")
    same(batches, [np.array([[1, 2, 3], [1, 2, 4]]), np.array([[1, 2, 5]])])


def test_csv_of_one_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n2\n\n3\n")
    same(read(tmp_path / "a.csv", IDS), [np.array([1, 2]), np.array([3])])
    one = forms.Entry(shape=(1,), vocabulary=1, embedded=False)
    same(read(tmp_path / "a.csv", one), [np.array([[1.0], [2.0]]), np.array([[3.0]])])


def test_jsonl_objects(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"ids": [1, 2, 0], "length": 2, "name": "one", "label": 3}\n\n{"ids": [4], "length": 1, "name": "two"}\n'
    )
    said: list[str] = []
    batches = read(tmp_path / "a.jsonl", IDS, said)
    same(batches, [np.array([1, 2]), np.array([4])])
    assert batches[0].names == ("one", "two")
    assert said == [f"{tmp_path}/a.jsonl: fields not read: label"]


@pytest.mark.parametrize(
    "line", ['["a", "c", "e"]', '{"tokens": ["a", "c", "e"]}', '"ace"', '{"text": "ace"}', "[0, 2, 4]"]
)
def test_jsonl_tokens(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    batches = read(tmp_path / "a.jsonl", IDS, vocabulary=LETTERS)
    same(batches, [np.array([0, 2, 4])])
    assert batches[0].vocabulary == forms.TOKENS


def test_by_is_complete() -> None:
    assert BY == ("char", "word", "line", "line-word")
