"""Cells that sweep over windows of features: how many, and how far apart, the graph shows or the user says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import rnnprobe
from rnnprobe import formats, recover
from rnnprobe.recover import names
from rnnprobe.recover.counts import told

from ..conftest import DATA
from .test_wrapped import stored

FOLDER = DATA / "conformance"
# The input's width, the windows and how far apart they are, and other options than the framework's own.
CASES = {
    "tf0.12/timefreq": (3, 2, 1, {}),
    "tf1.0/grid_lstm": (3, 2, 1, {}),
    "tf1.2/grid_lstm_shared": (3, 2, 1, {}),
    "tf1.8/grid_lstm_coupled": (3, 2, 1, {}),
    "tf0.12/bigrid_lstm": (3, 2, 1, {}),
    "tf1.15/grid_lstm_skip": (5, 2, 2, {"forget_bias": 0.5, "cell_clip": 0.2}),
    "tf1.15/bigrid_later": (4, 2, 2, {"cell_clip": 0.3, "backward_slice_offset": 1}),
    "tf1.15/bigrid_coupled": (4, 2, 2, {"backward_slice_offset": -1}),
}
EACH = pytest.mark.parametrize("case", CASES)


def bare(case, to):
    """A copy of a case's checkpoint, its graph left out."""
    for file in (FOLDER / case).glob("model.ckpt.[di]*"):
        shutil.copyfile(file, to / file.name)
    return to / "model.ckpt"


@EACH
def test_the_graph_shows_the_windows(case):
    width, windows, skip, more = CASES[case]
    (layer,) = rnnprobe.open(FOLDER / case / "model.ckpt").layers
    shown = {"frequency_windows": windows, "frequency_skip": skip, **more}
    assert layer.input_size == width
    assert {name: layer.options[name].value for name in shown} == shown
    assert {layer.options[name].evidence for name in (*shown, "cell_clip")} == {"graph"}
    assert ("forget_bias" in layer.options) is ("coupled" not in layer.cell.name)
    assert "forget_bias" not in layer.options or layer.options["forget_bias"].evidence == "graph"


@EACH
def test_each_window_is_a_tensor_of_its_own_in_the_graph(case):
    windows = CASES[case][1]
    network = rnnprobe.open(FOLDER / case / "model.ckpt")
    (layer,) = network.layers
    (use,) = network.places[layer.name]
    assert use.looped is not case.endswith("timefreq")
    for step in use.signals:
        assert step.keys() == {signal.name for signal in layer.cell.signals}
        assert {name for name, tap in step.items() if len(tap.pieces) == windows} == step.keys() - {"y"}
        new = [piece for state in layer.cell.states for piece in step[state].pieces]
        assert len(set(new)) == windows * len(layer.cell.states)
    carried = [piece for state in layer.cell.states for piece in use.carried[state].pieces]
    assert len(set(carried)) == windows * len(layer.cell.states)


@EACH
def test_without_a_graph_the_user_says_it(case, tmp_path):
    width, windows, skip, more = CASES[case]
    path = bare(case, tmp_path)
    (candidate,) = rnnprobe.open(path).candidates
    flags = ["--frequency-windows"] if case.endswith("timefreq") else ["--frequency-skip", "--frequency-windows"]
    assert all(flag in candidate.reason for flag in flags)
    said = {flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(flags[::-1], (windows, skip))}
    network = rnnprobe.open(path, **said, **more)
    (layer,) = network.layers
    data = np.load(FOLDER / case / "data.npz")
    x = data["x"][..., : layer.input_size]
    recorded = rnnprobe.trace(network, x, record="all").layers[layer.name].signals
    out = data["out0"] if data["out0"].ndim == 3 else np.stack([data[f"out{t}"] for t in range(5)], axis=1)
    assert np.abs(recorded["y"] - out).max() < 1e-6
    assert recorded["c"].shape == (2, 5, windows, layer.units)
    # What x has behind the last window shows in the graph alone.
    assert layer.input_size == (windows - 1) * skip + layer.sizes["feature_size"] <= width


@pytest.mark.parametrize("command", ["weights", "shapes", "inspect"])
def test_every_command_takes_the_sizes_that_it_asks_for(command, run, tmp_path):
    path = bare("tf1.15/bigrid_later", tmp_path)
    done = run(command, path, "--frequency-windows", "2", "--frequency-skip", "2", "--json")
    assert done.status == 0, done.err
    stored = {"kernel", "recurrent_kernel", "frequency_kernel", "bias", "peephole", "frequency_peephole"}
    if command == "weights":
        parts = {row["part"] for row in json.loads(done.out)["weights"]}
        assert parts == {f"{part}_freq{way}" for part in stored for way in ("", "_bwd")}


def test_what_the_user_says_goes_over_the_graph():
    network = rnnprobe.open(FOLDER / "tf1.15/grid_lstm_skip/model.ckpt", frequency_windows=3)
    (layer,) = network.layers
    assert (layer.input_size, layer.options["frequency_windows"].evidence) == (6, "flag")
    assert layer.options["frequency_skip"].evidence == "graph"


def test_windows_that_do_not_start_with_x_are_not_read():
    checkpoint = formats.read(FOLDER / "tf1.15/grid_lstm_skip/model.ckpt")
    graph = type(checkpoint.graph).FromString(checkpoint.graph.SerializeToString())
    for node in graph.graph_def.node:
        if node.name.endswith("Slice/begin"):
            node.attr["value"].tensor.tensor_content = np.array([0, 1], np.int32).tobytes()
    network = recover.network(replace(checkpoint, graph=graph))
    assert network.layers == ()
    assert "frequency_windows" in network.candidates[0].reason


SHAPES = {"W_f_0_0": (10, 16), "B_f_0": (16,), "W_t_0_0": (10, 16), "B_t_0": (16,)}


def grid(shapes):
    return {f"rnn/multi_rnn_cell/cell_0/grid_lstm_cell/{leaf}": shape for leaf, shape in shapes.items()}


def test_a_layer_behind_is_as_wide_as_all_windows():
    above = {"kernel": (2 * 3 * 4 + 5, 20), "bias": (20,)}
    above = {f"rnn/multi_rnn_cell/cell_1/lstm_cell/{leaf}": shape for leaf, shape in above.items()}
    network = told(names.recover(stored(grid(SHAPES) | above)), {"frequency_windows": 3, "frequency_skip": 2})
    first, second = network.layers
    assert first.input_size == 2 + 2 * 2
    assert second.feed.sources == (first.name,)


def test_windows_in_several_blocks_are_said_to_be_more_than_a_grid():
    second = {leaf.replace("_0", "_1", 1): shape for leaf, shape in SHAPES.items()}
    network = names.recover(stored(grid(SHAPES | second)))
    assert network.layers == ()
    assert "W_f_1_0" in network.candidates[0].reason


def test_shards_of_a_kernel_are_joined():
    shapes = {"W_f_0_0": (5, 16), "W_f_0_1": (5, 16), "B_f_0": (16,)}
    (layer,) = names.recover(stored(grid(shapes))).layers
    assert layer.weights["kernel_freq"].shape == (10, 16)
