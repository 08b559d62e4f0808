from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rnnprobe.analysis.weights import nonfinite, weights
from rnnprobe.cells import CELLS
from rnnprobe.errors import BadInput

from . import models


def rows(network, *arguments):
    return [row for report in weights(network, network.layers, *arguments) for row in report.rows]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_rows_say_where_each_block_lies(cell):
    """What a row says is enough to cut the block out of the stored tensor."""
    layer = models.layer(cell, "some/scope", output_size=2)
    network = models.network(layer)
    letters = dict(zip(cell.gates, cell.spelled, strict=True))
    for row in rows(network):
        stored = network.checkpoint.tensors[row["tensor"]].load()
        where = [slice(*row[axis]) for axis in ("rows", "columns") if row[axis] is not None]
        cut = stored[..., *where]
        assert row["norm"] == pytest.approx(np.linalg.norm(cut.astype(float)))
        assert int(np.prod(row["shape"])) == cut.size
        assert row["spelled"] == letters.get(row["gate"])
        assert layer.weights[row["role"]].name == row["tensor"]
        assert row["tensor"] == f"some/scope/{row['slice'].partition('[')[0]}"
        json.dumps(row)


def test_the_forget_gate_in_both_orders():
    """Question 3: i, j, f, o in TensorFlow 1; i, f, c, o in Keras."""
    forget = {
        name: next(row for row in rows(models.network(models.layer(name, "s"))) if row["gate"] == "f")
        for name in ("basic_lstm", "keras_lstm")
    }
    assert forget["basic_lstm"]["slice"] == "kernel[0:3, 8:12]"
    assert forget["keras_lstm"]["slice"] == "kernel[0:3, 4:8]"
    candidate = next(row for row in rows(models.network(models.layer("basic_lstm", "s"))) if row["gate"] == "g")
    assert candidate["spelled"] == "j"


def test_a_convolution():
    network = models.network(layer := models.layer("conv_lstm_2d", "s"))
    found = {(row["part"], row["gate"]): row for row in rows(network)}
    assert found["recurrent_kernel", "f"]["slice"] == "kernel[..., 3:7, 8:12]"
    assert found["kernel", "g"]["shape"] == [3, 2, 3, 4]
    assert {row["radius"] for row in found.values()} == {None}
    layer.weights["kernel"].load()[2, 1, 5, 9] = np.nan
    assert nonfinite(weights(network, network.layers)) == (
        "s/kernel holds 1 value that is NaN or infinite (recurrent_kernel f), the first at [2, 1, 5, 9]",
    )


def test_remarks_say_what_the_numbers_cannot():
    report = weights(network := models.network(models.layer("basic_lstm", "s")), network.layers)[0]
    assert report.notes[0] == "gates in stored order: i, g (stored as j), f, o"
    assert "forget_bias = 1.0 (assumed)" in report.notes[1]
    report = weights(network := models.network(models.layer("keras_cudnn_gru", "s")), network.layers)[0]
    assert any("transposed" in note for note in report.notes)
    assert {row["transposed"] for row in report.rows if row["part"] == "kernel"} == {True}


def test_nan_is_warned_of_with_the_place():
    layer = models.layer("basic_lstm", "s")
    layer.weights["kernel"].load()[4, 1] = np.inf
    network = models.network(layer)
    warned = nonfinite(weights(network, network.layers))
    assert warned == ("s/kernel holds 1 value that is NaN or infinite (recurrent_kernel i), the first at [4, 1]",)


def test_missing_values_are_an_error_that_points_to_shapes():
    layer = models.layer("gru", "s")
    layer = replace(
        layer, weights={role: replace(held, problem="the data file is missing") for role, held in layer.weights.items()}
    )
    network = models.network(layer)
    with pytest.raises(BadInput, match="the data file is missing") as caught:
        weights(network, network.layers)
    assert "shapes" in caught.value.hint


def test_nothing_recurrent_is_said():
    report = weights(models.network(), ())[0]
    assert report.rows == ()
    assert "no recurrent layer" in report.notes[0]
