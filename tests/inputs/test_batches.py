"""Which sequences run side by side, and how many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnprobe.inputs import batching
from rnnprobe.inputs.batching import alike, fitting
from tests.inputs.forms import IDS, ids, names_of, read, sequences_of


@pytest.mark.parametrize(
    ("lengths", "at_least", "size"),
    [
        ([1_000_000], 16, 16),
        ([1000] * 50, 16, 16),
        ([256] * 5, 16, 16),
        ([255] * 5, 16, 32),
        ([100] * 9, 16, 48),
        ([10, 90] * 1000, 16, 96),
        ([16] * 9, 16, 256),
        ([1] * 9, 16, 256),
        ([0, 0], 16, 256),
        ([1000] * 50, 64, 64),
        ([50] * 50, 64, 96),
        ([1] * 50, 512, 512),
        ([1000] * 50, 1, 16),
    ],
)
def test_the_size_follows_from_the_lengths(lengths: list[int], at_least: int, size: int) -> None:
    assert fitting(np.array(lengths, np.int64), at_least) == size


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_a_batch_has_steps_enough(lengths: list[int]) -> None:
    found = fitting(np.array(lengths, np.int64))
    assert 16 <= found <= 256
    assert found == 256 or found * sum(lengths) / len(lengths) >= 4096


@given(st.lists(st.integers(0, 9), min_size=1, max_size=90), st.integers(1, 5))
def test_every_sequence_is_in_one_batch(lengths: list[int], size: int) -> None:
    groups = alike(np.array(lengths, np.int64), size)
    assert sorted(row for group in groups for row in group.tolist()) == list(range(len(lengths)))
    assert all(np.all(np.diff(group) > 0) for group in groups)
    assert max(map(len, groups)) <= size
    if size == 1:
        assert [int(group[0]) for group in groups] == list(range(len(lengths)))
    window = 8 * size if size > 1 else 1
    for number in range(0, len(groups), 8 if size > 1 else 1):
        inside = groups[number : number + (8 if size > 1 else 1)]
        sizes = [len(group) for group in inside]
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) > (len(sizes) - 1) * size
        assert all(row // window == inside[0][0] // window for group in inside for row in group)
        longest = [max(lengths[row] for row in group) for group in inside]
        assert longest == sorted(longest)
        # No sequence of a batch is longer than one of a later batch of the window.
        assert all(
            max(lengths[row] for row in one) <= min(lengths[row] for row in other) for one, other in pairwise(inside)
        )


def test_those_of_one_length_stay_in_order() -> None:
    groups = alike(np.full(70, 5, np.int64), 16)
    assert [group.tolist() for group in groups] == [list(range(at, at + 14)) for at in range(0, 70, 14)]


def test_less_padding_and_the_same_sequences() -> None:
    data = ids(*np.random.default_rng(0).integers(1, 60, 1200))
    batches = read(data, IDS)
    assert {len(batch.rows) for batch in batches} == {144, 48}
    padded = sum(batch.steps * len(batch.rows) for batch in batches)
    assert padded < 1.15 * sum(map(len, data)) < 1200 * max(map(len, data)) / 1.5
    for found, given_ in zip(sequences_of(batches), data, strict=True):
        np.testing.assert_array_equal(found, given_)
    assert names_of(batches) == [str(number) for number in range(1200)]
    assert {len(batch.rows) for batch in read(data, IDS, at_least=200)} == {200}


def test_one_by_one_in_order() -> None:
    batches = read(ids(5, 1, 4, 2), IDS, batch_size=1)
    assert [batch.rows.tolist() for batch in batches] == [[0], [1], [2], [3]]


def test_lengths_of_what_is_left_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_STEPS", 32)
    monkeypatch.setattr(batching, "AT_LEAST", 1)
    data = ids(*[8] * 40)
    assert len(read(data, IDS, at_least=1)[0].rows) == 4
    assert len(read(data, IDS, at_least=1, steps="0:2")[0].rows) == 14


def test_batches_of_several_inputs_hold_the_same_sequences() -> None:
    entries = {"a": IDS, "b": IDS}
    one, other = ids(5, 1, 4, 2, 3), ids(1, 2, 3, 4, 5)
    for batch in read({"a": one, "b": other}, entries, batch_size=2):
        assert batch.rows.tolist() == batch.beside["b"].rows.tolist()
        for row, number in enumerate(batch.rows):
            beside = batch.beside["b"]
            np.testing.assert_array_equal(batch.load(0, batch.steps)[row, : len(one[number])], one[number])
            np.testing.assert_array_equal(beside.load(0, beside.steps)[row, : len(other[number])], other[number])
