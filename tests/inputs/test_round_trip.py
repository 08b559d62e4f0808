"""Any ragged sequences, through any format, come back the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.inputs import READERS, choosing
from rnnprobe.types import Entry
from tests.inputs.forms import LETTERS, WRITERS, read, sequences_of

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)
FINITE = st.floats(width=64, allow_nan=False, allow_infinity=False)
FLOAT_READERS = [reader for reader in READERS if reader.name != "txt"]


@st.composite
def float_sequences(draw: st.DrawFn) -> list[np.ndarray]:
    width = draw(st.integers(2, 4))
    return [
        np.array(draw(st.lists(st.lists(FINITE, min_size=width, max_size=width), min_size=n, max_size=n)))
        for n in draw(LENGTHS)
    ]


@st.composite
def id_sequences(draw: st.DrawFn) -> list[np.ndarray]:
    return [np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))) for n in draw(LENGTHS)]


def _trip(reader: str, suffix: str, sequences: list[np.ndarray], entry: Entry, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[reader](Path(folder) / f"a{suffix}", sequences)
        more = {"vocabulary": LETTERS, "by": "line"} if reader == "txt" else {}
        if reader == "npy":
            more["lengths"] = [len(each) for each in sequences]
        found = sequences_of(read(source, entry, batch_size=size, **more))
    assert len(found) == len(sequences)
    for one, other in zip(found, sequences, strict=True):
        np.testing.assert_array_equal(one, other)


@given(float_sequences(), st.sampled_from(FLOAT_READERS), st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_floats(sequences: list[np.ndarray], reader: object, size: int) -> None:
    width = sequences[0].shape[1]
    _trip(reader.name, reader.suffixes[0], sequences, Entry((width,), width, False), size)


@given(id_sequences(), st.sampled_from(READERS), st.integers(1, 4))
@settings(max_examples=120, deadline=None)
def test_ids(sequences: list[np.ndarray], reader: object, size: int) -> None:
    _trip(reader.name, reader.suffixes[0], sequences, Entry((7,), 5, True), size)


@given(st.integers(1, 12), st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_selection_keeps_order(count: int, wanted: list[int]) -> None:
    wanted = [number % count for number in wanted]
    names = tuple(map(str, range(count)))
    expected = list(dict.fromkeys(wanted))
    assert choosing.rows(",".join(map(str, wanted)), names).tolist() == expected
    assert choosing.rows(wanted, names).tolist() == expected
    assert choosing.rows([names[number] for number in wanted], names).tolist() == expected


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
def test_steps_are_slices(longest: int, first: int, more: int) -> None:
    if first < longest:
        expected = list(range(longest))[first : first + more]
        start, stop = choosing.steps(f"{first}:{first + more}", longest)
        assert list(range(start, stop)) == expected
        assert choosing.steps(slice(first, first + more), longest) == (start, stop)
        assert choosing.steps(f"{first}:", longest) == (first, longest)


def test_names_come_before_numbers() -> None:
    names = ("1", "a,b", "0", "line 3")
    assert choosing.rows("1", names).tolist() == [0]
    assert choosing.rows("0", names).tolist() == [2]
    assert choosing.rows("a,b", names).tolist() == [1]
    assert choosing.rows("3,line 3", names).tolist() == [3]
    assert choosing.rows(2, names).tolist() == [2]


def test_lengths_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([3, 1], "u1"))
    (tmp_path / "l.txt").write_text("3\n1\n")
    for given_lengths in ("3,1", "3 1", tmp_path / "l.npy", str(tmp_path / "l.txt"), [3.0, 1.0], np.array([3, 1])):
        assert choosing.lengths(given_lengths).tolist() == [3, 1]  # type: ignore[union-attr]
