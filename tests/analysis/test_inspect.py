from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rnnprobe.analysis.account import account, stored
from rnnprobe.analysis.inspect import inspect
from rnnprobe.analysis.shapes import shapes
from rnnprobe.cells import CELLS
from rnnprobe.cells.options import RESIDUAL
from rnnprobe.outputs import layout
from rnnprobe.types import Candidate, Mask, Tensor

from . import models


def reports(network, *arguments):
    return {report.name: report for report in inspect(network, *arguments)}


def test_the_layers_and_what_feeds_them():
    layers = reports(models.stack())["layers"]
    assert [row["feed"] for row in layers.rows] == ["embedding (assumed)", "#1 (weights)", "input (assumed)"]
    assert [row["stack"] for row in layers.rows] == [1, 1, 2]
    assert [row["direction"] for row in layers.rows] == ["forward", "forward", "backward"]
    assert layers.rows[0]["gate_order"] == ["i", "g", "f", "o"]
    assert layers.rows[0]["spelled"] == ["i", "j", "f", "o"]
    assert {column.key for column in layers.columns} >= {"stack", "direction"}
    assert any("2 stacks" in note for note in layers.notes)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_trace_says_the_same_of_a_layer_under_the_same_names(cell):
    network = models.network(models.layer(cell, "s"))
    (row,) = reports(network)["layers"].rows
    attributes = layout.layer_attributes(network.layers[0])
    assert attributes.pop("name") == row["layer"]
    for name in network.layers[0].options:
        del attributes[name], attributes[f"{name}_evidence"]
    assert attributes == {name: row[name] for name in attributes}


def test_columns_that_say_nothing_are_left_out():
    columns = {column.key for column in reports(models.network(models.layer("gru", "a")))["layers"].columns}
    assert not columns & {"stack", "direction", "output_size"}


@pytest.mark.parametrize(
    ("merge", "mask", "text"),
    [
        ("concat", None, "#1, #2 (config)"),
        ("sum", None, "#1 + #2 (config)"),
        ("ave", None, "mean of #1, #2 (config)"),
        ("concat", Mask("input", -1.0), "#1, #2, skips -1 (config)"),
    ],
)
def test_merges_and_masks_are_said(merge, mask, text):
    pair = (models.layer("gru", "a"), models.layer("gru", "b"))
    above = models.layer("gru", "c", input_size=8)
    above = replace(above, feed=replace(above.feed, sources=("a", "b"), merge=merge, mask=mask, evidence="config"))
    row = reports(models.network(*pair, above))["layers"].rows[2]
    assert row["feed"] == text
    assert row["fed_by"] == ["a", "b"]


def test_each_option_with_its_evidence_and_its_flag():
    rows = {(row["option"], row["value"]): row for row in reports(models.stack())["options"].rows}
    first, second, alone = (layer.name for layer in models.stack().layers)
    assert rows["forget_bias", 0.0]["evidence"] == "graph"
    assert rows["forget_bias", 0.0]["layers"] == [first]
    assert rows["forget_bias", 1.0]["layers"] == [second]
    assert rows["forget_bias", 1.0]["flag"] == "--forget-bias"
    assert rows["reset", "before"]["flag"] is None
    assert rows["residual", False]["layers"] == [first, second, alone]
    assert rows["residual", False]["setting"] == "no"


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_option_of_every_cell_is_there_and_explained(cell):
    rows = reports(models.network(models.layer(cell, "s")))["options"].rows
    assert {row["option"] for row in rows} == {option.name for option in (*cell.options, RESIDUAL)}
    assert all(row["meaning"] for row in rows)


def test_every_tensor_is_counted_once():
    network = models.stack()
    held = account(network)
    names = [tensor.name for group in (held.recurrent, held.embeddings, held.other, held.set_apart) for tensor in group]
    assert sorted(names) == sorted(network.checkpoint.tensors)
    found = reports(network)
    assert [row["tensor"] for row in found["other"].rows] == ["softmax_w", "softmax_b"]
    assert found["embeddings"].rows[0]["vocabulary"] == 11
    kinds = {row["kind"]: row["tensors"] for row in found["set_apart"].rows}
    assert kinds == {"Adam slot": 2, "counter": 1}
    row = found["file"].rows[0]
    assert row["tensors"] + row["set_apart"] == len(network.checkpoint.tensors)
    own = [tensor for tensor in network.checkpoint.weights.values()]
    assert row["parameters"] == sum(tensor.size for tensor in own)
    assert row["bytes"] == 4 * row["parameters"]


def test_the_row_blocks_of_a_joined_matrix_are_its_layer_s():
    """TensorFlow 0.12's shards: `W_0 … W_2` are one matrix, which the layer has under the name of the first."""
    layer = models.layer("lstm", "LSTMCell", optional=False)
    whole = layer.weights["kernel"]
    first = replace(whole, name="LSTMCell/W_0")
    layer = replace(layer, weights={**layer.weights, "kernel": first})
    network = models.network(layer)
    pieces = {
        f"LSTMCell/W_{k}": Tensor(f"LSTMCell/W_{k}", (rows, whole.shape[1]), "float32", whole.read)
        for k, rows in enumerate((3, 2, 2))
    }
    checkpoint = replace(network.checkpoint, tensors={**network.checkpoint.tensors, **pieces})
    network = replace(network, checkpoint=checkpoint)
    assert set(stored(checkpoint, layer)) >= set(pieces)
    assert not account(network).other
    totals = {row["group"]: row for row in shapes(network, network.layers)[-1].rows}
    assert totals["LSTMCell"]["parameters"] == totals["the whole file"]["parameters"]


def test_nothing_recurrent_is_said_plainly():
    network = models.network(other=(models.tensor("dense/kernel", models.np.ones((2, 3))),))
    note = reports(network)["layers"].notes[0]
    assert note.startswith("nothing recurrent was found by name and shape: 1 weight,")
    assert f"the {len(CELLS)} known cells" in note


def test_candidates_come_with_their_reasons():
    network = models.network(candidates=(Candidate("rnn/mine", ("gru",), "its name is unknown"),))
    found = reports(network)
    assert "1 scope" in found["layers"].notes[0]
    assert found["candidates"].rows == ({"scope": "rnn/mine", "cells": ["gru"], "reason": "its name is unknown"},)


def test_a_missing_data_file_is_said_once():
    problem = "the data file x.data-00000-of-00001 is missing"
    layer = models.layer("gru", "s")
    layer = replace(layer, weights={role: replace(held, problem=problem) for role, held in layer.weights.items()})
    network = models.network(layer)
    report = reports(network)["file"]
    assert report.rows[0]["unavailable"] == 4
    assert report.notes == (f"{problem} (all 4 tensors): shapes are known, values are not",)
    assert problem in shapes(network, network.layers)[-1].notes[-1]
    noted = replace(network, checkpoint=replace(network.checkpoint, notes=(f"no values: {problem}",)))
    assert reports(noted)["file"].notes == (f"no values: {problem}",)


def test_shared_weights_are_said_and_counted_once():
    layer = models.layer("gru", "fw/gru_cell")
    network = models.network(layer, replace(layer, name="bw/gru_cell", direction="backward"))
    assert "#1 and #2 share their weights, stored under fw/gru_cell" in reports(network)["layers"].notes
    totals = {row["group"]: row for row in shapes(network, network.layers)[-1].rows}
    assert totals["fw/gru_cell"]["parameters"] == totals["the whole file"]["parameters"]
    assert totals["bw/gru_cell"]["shared"]


def test_chosen_layers_keep_their_numbers():
    network = models.stack()
    found = reports(network, network.layers[1:2])
    assert [row["number"] for row in found["layers"].rows] == [2]
    assert found["layers"].rows[0]["feed"] == "#1 (weights)"
    assert {name for row in found["options"].rows for name in row["layers"]} == {network.layers[1].name}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_shapes_in_words_come_to_the_numbers(cell):
    layer = models.layer(cell, "s", input_size=5, output_size=3)
    network = models.network(layer)
    report, totals = shapes(network, network.layers)
    assert {row["tensor"] for row in report.rows} == {held.name for held in layer.weights.values()}
    for row in report.rows:
        numbers = [eval(formula.replace("·", "*"), {}, dict(layer.sizes)) for formula in row["formulas"]]
        assert numbers == row["shape"]
        assert row["bytes"] == 4 * row["parameters"]
    assert totals.rows[0]["parameters"] == sum(row["parameters"] for row in report.rows)
    json.dumps([report.rows, totals.rows])
