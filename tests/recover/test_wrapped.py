"""Cells inside TensorFlow 1 wrappers, from checkpoints that genuine releases wrote: with the graph and without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput
from rnnprobe.recover import names
from rnnprobe.types import Checkpoint

from ..cells.made import tensor
from ..conftest import DATA

FOLDER = DATA / "conformance"
ROOT = "rnn/multi_rnn_cell/cell_"
CASES = {
    "tf0.12/inproj": [("RNN/BasicLSTMCell", "InputProjectionWrapper")],
    "tf1.15/inproj": [("rnn/input_projection_wrapper", "InputProjectionWrapper")],
    "tf1.0/outproj": [("rnn/basic_lstm_cell", "OutputProjectionWrapper")],
    "tf1.2/highway_uncoupled": [("rnn/basic_lstm_cell", "HighwayWrapper")],
    "tf1.15/multi_hw_out": [
        (f"{ROOT}0/basic_lstm_cell", "HighwayWrapper"),
        (f"{ROOT}1/output_projection_wrapper", "OutputProjectionWrapper"),
    ],
}
EACH = pytest.mark.parametrize(("case", "found"), CASES.items(), ids=CASES)


def without_graph(case, to):
    """A copy of a case's checkpoint, its graph left out."""
    for file in (FOLDER / case).glob("model.ckpt.[di]*"):
        shutil.copyfile(file, to / file.name)
    return to / "model.ckpt"


def titles(network):
    return [(layer.scope, layer.cell.title.partition(" in ")[2]) for layer in network.layers]


def compared(network, case):
    """The largest difference between what the last layer passes on and what TensorFlow emitted."""
    data = np.load(FOLDER / case / "data.npz")
    trace = rnnprobe.trace(network, data["x"], record="all")
    last = network.layers[-1]
    return np.abs(np.asarray(trace.layers[last.name].signals[last.cell.emits]) - data["out0"]).max()


@EACH
def test_names_tell_the_wrappers(case, found, tmp_path):
    network = rnnprobe.open(without_graph(case, tmp_path))
    assert titles(network) == found
    assert network.candidates == ()
    assert compared(network, case) < 1e-6


@EACH
def test_the_graph_shows_what_enters_and_what_is_passed_on(case, found):
    network = rnnprobe.open(FOLDER / case / "model.ckpt")
    assert titles(network) == found
    assert network.notes == ()
    assert {layer.feed.evidence for layer in network.layers} == {"graph"}
    assert network.layers[0].options["forget_bias"].evidence == "graph"
    for name, value in network.layers[-1].options.items():
        if name.endswith("projection_activation"):
            assert (value.value, value.evidence) == ("linear", "graph")


@pytest.mark.parametrize("case", ["tf0.12/attncell", "tf1.15/attncell_in_multi"])
def test_the_length_of_an_attention_is_in_the_graph_alone(case, tmp_path):
    known = rnnprobe.open(FOLDER / case / "model.ckpt").layers[0].options["attn_length"]
    assert (known.value, known.evidence) == (3, "graph")
    path = without_graph(case, tmp_path)
    bare = rnnprobe.open(path)
    (candidate,) = bare.candidates
    assert "--attn-length" in candidate.reason
    assert candidate.scope not in [layer.scope for layer in bare.layers]
    told = rnnprobe.open(path, attn_length=3)
    assert told.candidates == ()
    assert compared(told, case) < 1e-6


def test_a_length_is_of_no_use_to_other_cells(tmp_path):
    with pytest.raises(BadInput, match="no layer takes attn_length"):
        rnnprobe.open(without_graph("tf1.0/outproj", tmp_path), attn_length=3)


def stored(shapes):
    """A checkpoint of zeros."""
    tensors = {name: tensor(name, np.zeros(shape, "f")) for name, shape in shapes.items()}
    return Checkpoint(Path("made"), "made", tensors)


CELL = {"kernel": (8, 16), "bias": (16,)}
CARRY = {"rnn/carry_w": (4, 4), "rnn/carry_b": (4,)}


def test_weights_beside_several_cells_are_of_no_wrapper():
    one = {f"rnn/lstm_cell/{leaf}": shape for leaf, shape in CELL.items()}
    other = {f"rnn/basic_lstm_cell/{leaf}": shape for leaf, shape in CELL.items()}
    (layer,) = names.recover(stored(one | CARRY)).layers
    assert layer.cell.wraps is not None
    assert all(layer.cell.wraps is None for layer in names.recover(stored(one | other | CARRY)).layers)


@pytest.mark.parametrize("shapes", [{"rnn/carry_w": (3, 3), "rnn/carry_b": (3,)}, {"rnn/carry_w": (4, 4)}])
def test_weights_of_other_shapes_are_of_no_wrapper(shapes):
    one = {f"rnn/lstm_cell/{leaf}": shape for leaf, shape in CELL.items()}
    (layer,) = names.recover(stored(one | shapes)).layers
    assert layer.cell.wraps is None


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_scope_of_a_cudnn_layer_tells_the_activation(activation):
    scope = f"cudnn_rnn_{activation}/rnn/multi_rnn_cell/cell_0/basic_rnn_cell"
    (layer,) = names.recover(stored({f"{scope}/kernel": (7, 4), f"{scope}/bias": (4,)})).layers
    assert (layer.options["activation"].value, layer.options["activation"].evidence) == (activation, "weights")
