from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe.analysis.training import labels, training
from rnnprobe.errors import BadInput

from . import models


def run(*scales: float, cell: str = "basic_lstm"):
    """One network for each scale by which the weights are multiplied."""
    made = []
    for scale in scales:
        layer = models.layer(cell, "rnn/cell")
        for held in layer.weights.values():
            held.load()[...] *= scale
        made.append(models.network(layer, models.layer("gru", "still")))
    return made


def test_norms_by_step():
    steps, moving, still = training(run(1, 2, 3), (10, 20, 30))
    assert len(steps.rows) == 3 * (12 + 9)
    assert {row["step"] for row in steps.rows} == {10, 20, 30}
    for row in moving.rows:
        first = row["norms"][0]
        assert row["norms"] == pytest.approx([first, 2 * first, 3 * first])
        assert row["moved"] == pytest.approx(2.0)
        assert (row["from"], row["to"], row["steps"]) == (10, 30, [10, 20, 30])
    assert {row["moved"] for row in still.rows} == {0.0}
    long = [row["norm"] for row in steps.rows if (row["layer"], row["part"], row["gate"]) == ("rnn/cell", "bias", "f")]
    assert long == next(row["norms"] for row in moving.rows if (row["part"], row["gate"]) == ("bias", "f"))
    json.dumps([report.rows for report in (steps, moving, still)])


def test_what_started_at_zero_has_no_relative_distance():
    moved = {row["moved"] for row in training(run(0, 1), (1, 2), ["rnn/cell"])[1].rows}
    assert moved == {None}


def test_layers_gates_and_parts_choose():
    reports = training(run(1, 2), (1, 2), ["rnn"], ["f"], ["bias"])
    assert [(row["layer"], row["part"], row["gate"]) for row in reports[0].rows] == [("rnn/cell", "bias", "f")] * 2
    assert len(reports) == 2


def test_many_steps_are_spread_and_it_is_said():
    change = training(run(*range(1, 21)), tuple(range(20)), ["rnn"])[1]
    headers = [column.header for column in change.columns]
    assert headers == ["part", "gate", "0", "4", "8", "11", "15", "19", "over steps", "moved"]
    assert any("6 of 20 steps" in note for note in change.notes)
    texts = [column.text(change.rows[0][column.key]) for column in change.columns[2:8]]
    assert len(set(texts)) == 6


def test_another_model_is_named():
    first, other = run(1, 2)
    other = replace(other, layers=(models.layer("basic_lstm", "rnn/cell", units=5), other.layers[1]))
    with pytest.raises(BadInput, match=r"3 → 4, found rnn/cell: BasicLSTM, 3 → 5"):
        training([first, other], (1, 2))
    with pytest.raises(BadInput, match="found no such layer"):
        training([first, models.network()], (1, 2))
    assert training([first, other], (1, 2), ["still"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(1, "a/m-1"), (2, "a/m-2")], (1, 2)),
        ([(1, "a/m-1"), (None, "a/final")], (1, "final")),
        ([(1, "a/m-1"), (1, "a/n-1")], ("m-1", "n-1")),
        ([(1, "a/m-1"), (1, "b/m-1")], ("a/m-1", "b/m-1")),
    ],
)
def test_labels_tell_checkpoints_apart(given, expected):
    assert labels([(step, Path(path)) for step, path in given]) == expected


def test_nan_in_one_step_leaves_the_others():
    first, last = run(1, 1)
    last.layers[0].weights["bias"].load()[0] = np.nan
    row = next(r for r in training([first, last], (1, 2))[1].rows if (r["part"], r["gate"]) == ("bias", "i"))
    assert np.isfinite(row["norms"][0])
    assert np.isnan(row["norms"][1])
    assert np.isnan(row["moved"])


def test_nothing_recurrent_is_said():
    steps, change = training([models.network(), models.network()], (1, 2))
    assert steps.rows == change.rows == ()
    assert "no recurrent layer" in change.notes[0]
