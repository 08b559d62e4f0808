"""Sequences written in each format, and the entries of the networks that read them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from rnnprobe import inputs
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Batch, Entry

FLOATS = Entry(shape=(3,), vocabulary=3, embedded=False)
IDS = Entry(shape=(4,), vocabulary=5, embedded=True)
TOKENS = ("a", "b", "c", "d", "e")
LETTERS = Vocabulary(TOKENS, {token: number for number, token in enumerate(TOKENS)})

Sequences = list[np.ndarray]


def write_npy(path: Path, sequences: Sequences) -> Path:
    np.save(path, padded(sequences))
    return path


def write_npz(path: Path, sequences: Sequences) -> Path:
    np.savez(path, *sequences)
    return path


def write_hdf5(path: Path, sequences: Sequences) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        group["x" if sequences[0].dtype.kind == "f" else "ids"] = padded(sequences)
        group["lengths"] = [len(each) for each in sequences]
        group["names"] = [str(index) for index in range(len(sequences))]
    return Path(f"{path}:/data")


def write_jsonl(path: Path, sequences: Sequences) -> Path:
    path.write_text("".join(json.dumps(each.tolist()) + "\n" for each in sequences))
    return path


def write_csv(path: Path, sequences: Sequences) -> Path:
    pieces = []
    for each in sequences:
        text = io.StringIO()
        np.savetxt(text, each.reshape(len(each), -1), delimiter=",", fmt="%.17g" if each.dtype.kind == "f" else "%d")
        pieces.append(text.getvalue())
    path.write_text("\n".join(pieces))
    return path


def write_txt(path: Path, sequences: Sequences) -> Path:
    path.write_text("".join("".join(TOKENS[number] for number in each) + "\n" for each in sequences))
    return path


WRITERS: dict[str, Callable[[Path, Sequences], Path]] = {
    "npy": write_npy,
    "npz": write_npz,
    "hdf5": write_hdf5,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "txt": write_txt,
}


def padded(sequences: Sequences) -> np.ndarray:
    """`[batch, time, …]`, −7 past the end: what lies there must not matter."""
    longest = max(len(each) for each in sequences)
    out = np.full((len(sequences), longest, *sequences[0].shape[1:]), -7, sequences[0].dtype)
    for row, each in enumerate(sequences):
        out[row, : len(each)] = each
    return out


def floats(*lengths: int, width: int = 3, dtype: str = "f4") -> Sequences:
    random = np.random.default_rng(sum(lengths))
    return [random.normal(size=(length, width)).astype(dtype) for length in lengths]


def ids(*lengths: int, vocabulary: int = 5) -> Sequences:
    random = np.random.default_rng(sum(lengths))
    return [random.integers(0, vocabulary, length) for length in lengths]


def read(
    source: object, entry: Entry | dict[str, Entry], said: list[str] | None = None, **more: object
) -> tuple[Batch, ...]:
    """`inputs.read`, what it says in `said`."""
    entries = entry if isinstance(entry, dict) else {"input": entry}
    return inputs.read(source, entries, say=(said if said is not None else []).append, **more)  # type: ignore[arg-type]


def sequences_of(batches: tuple[Batch, ...]) -> Sequences:
    """The sequences by their numbers, cut to their lengths; asserts what is true of every batch."""
    found: dict[int, np.ndarray] = {}
    for batch in batches:
        assert np.all(np.diff(batch.rows) > 0)
        assert batch.first == batch.rows[0]
        assert batch.rows.dtype == np.int64
        assert len(batch.names) == len(batch.lengths) == len(batch.rows)
        assert batch.lengths.dtype == np.int64
        assert batch.steps == max(batch.lengths)
        whole = batch.load(0, batch.steps)
        assert str(whole.dtype) == batch.dtype
        assert whole.shape == (len(batch.names), batch.steps, *(batch.shape or ()))
        for row, (number, length) in enumerate(zip(batch.rows.tolist(), batch.lengths, strict=True)):
            assert not whole[row, length:].any()
            assert number not in found
            found[number] = whole[row, :length]
    assert sorted(found) == list(range(len(found)))
    return [found[number] for number in range(len(found))]


def names_of(batches: tuple[Batch, ...]) -> list[str]:
    """The names of the sequences by their numbers."""
    named = {number: name for batch in batches for number, name in zip(batch.rows.tolist(), batch.names, strict=True)}
    return [named[number] for number in range(len(named))]
