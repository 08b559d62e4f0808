"""Where a run is cut, and what the parts come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput
from rnnprobe.runs import parts
from rnnprobe.runs.proof import combined
from rnnprobe.types import Checkpoint, Network, Tensor

from ..outputs.parted import scattered
from ..outputs.recordings import layer, outcome, recording
from .made import Made, sequences


def cut(what, at_least=1):
    return parts.cut(what, Network(Checkpoint(Path("m"), "made up", {}), what.layers), "float32", at_least)


@pytest.mark.parametrize("size", [1, 2_000, 40_000, 220_000, 1 << 30])
def test_parts_are_ranges_of_sequences(size, monkeypatch):
    """Every sequence is in one part, and every part holds the batches of a range of them."""
    what = sequences()
    monkeypatch.setattr(parts, "BYTES", size)
    found = cut(what)
    assert [part.number for part in found] == list(range(len(found)))
    assert [part.batches[0] for part in found] == [0, *(part.batches[1] for part in found[:-1])]
    assert found[-1].batches[1] == len(what.batches)
    for part in found:
        rows = np.sort(np.concatenate([batch.rows for batch in part.of(what)]))
        assert rows.tolist() == list(range(*part.rows))
    assert len(found) == {1: 4, 2_000: 4, 40_000: 4, 220_000: 3, 1 << 30: 1}[size]


def test_work_counts_where_little_is_recorded(monkeypatch):
    what = sequences()
    assert len(cut(what)) == 1
    heavy = replace(what.layers[0], weights={"kernel": Tensor("k", (22, 80), "float32", np.zeros)})
    network = Network(Checkpoint(Path("m"), "made up", {}), (heavy,))
    monkeypatch.setattr(parts, "PRODUCTS", 1e5)
    assert len(parts.cut(what, network, "float32")) == 4


def test_as_many_parts_as_are_asked_for():
    assert 2 <= len(cut(sequences(), 2)) < 4
    assert len(cut(sequences(), 100)) == 4


def test_what_a_part_holds_is_numbered_from_0(monkeypatch):
    monkeypatch.setattr(parts, "BYTES", 1)
    lengths = [[5, 3], [4, 2], [6, 1], [1, 9]]
    outcomes = [outcome("steps", (3,), [4, 1, 3, 1, 5, 1, 1, 8]), outcome("class", (2,))]
    what = recording([layer("a")], lengths, own={"a": [2, 1, 2, 1, 3, 0, 1, 4]}, outcomes=outcomes)
    what = scattered(replace(what, attributes={"model": "m"}))
    _, second = cut(what)
    found = parts.recording_of(what, second)
    assert found.sequences == 4
    assert sorted(row for batch in found.batches for row in batch.rows) == [0, 1, 2, 3]
    assert found.lengths["a"].tolist() == [3, 0, 1, 4]
    assert found.outcomes[0].lengths.tolist() == [5, 1, 1, 8]
    assert found.outcomes[1].lengths is None
    assert found.attributes == what.attributes


def test_a_part_is_a_trace_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "BYTES", 1)
    made = Made(sequences())
    part = cut(made.recording)[1]
    parts.trace(made, part, tmp_path / "p.h5")
    trace = outputs.load(tmp_path / "p.h5")
    assert trace.names == tuple(f"s{row}" for row in range(*part.rows))
    expected = made.made[0]["a"]["c"][slice(*part.rows)]
    found = np.asarray(trace.layers["a"].signals["c"])
    np.testing.assert_array_equal(found, expected[:, : found.shape[1]])


def verified(status, largest=None, layer="a", compared=10, reason="why"):
    figures = (
        {}
        if largest is None
        else {
            "tolerance": 1e-4,
            "largest": largest,
            "largest_layer": layer,
            "largest_signal": "h",
            "compared": compared,
        }
    )
    return {"status": status, "reason": reason, **figures}


def test_verified_where_every_part_is():
    found = combined([verified("verified", 1e-6), verified("verified", 3e-6, "b"), verified("verified", 2e-6)])
    assert found == verified("verified", 3e-6, "b", 30)


def test_one_part_that_differs_is_enough():
    found = combined(
        [verified("verified", 1e-6), verified("differs", 0.5, "b", reason="far"), verified("not verified")]
    )
    assert found == verified("differs", 0.5, "b", 20, "1 of 3 parts: far")


def test_what_could_not_be_compared():
    found = combined([verified("verified", 1e-6), verified("not verified", reason="it failed")])
    assert (found["status"], found["reason"]) == ("not verified", "1 of 2 parts: it failed")
    assert combined([verified("not verified")] * 3) == verified("not verified")


@pytest.mark.parametrize(
    ("change", "says"),
    [({"carry": True}, "--resume does not go with --carry"), ({}, "")],
)
def test_what_can_not_be_cut(change, says):
    made = Made(sequences(), **change)
    if says:
        with pytest.raises(BadInput, match=says):
            parts.refuse(made, "--resume")
    else:
        parts.refuse(made, "--resume")
