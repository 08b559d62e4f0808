"""Frozen graphs: cells, options and wiring off the graph, and the numbers that the graph computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto import graph_pb2

import rnnprobe
from rnnprobe import formats, recover

DATA = Path(__file__).parent.parent / "data" / "frozen"
LSTM = {"forget_bias": 0.25, "cell_clip": 0.5, "proj_clip": None, "activation": "tanh", "residual": False}
BASIC = {"forget_bias": 0.25, "activation": "tanh", "residual": False}
GRU = {"activation": "relu", "residual": False}
TWO = (("basic_lstm", BASIC | {"forget_bias": 0.5}), ("gru", GRU | {"activation": "tanh"}))

# What `make.py` built: cell and options of each layer, and which of its states are the final ones, in order.
BUILT: dict[str, tuple[tuple[tuple[str, dict[str, Any]], ...], str]] = {
    "lstm_v1.pb": ((("lstm", LSTM),), "ch"),
    "lstm_v2.pb": ((("lstm", LSTM),), "ch"),
    "lstm_folded.pb": ((("lstm", LSTM),), "ch"),
    "lstm_unnamed.pb": ((("lstm", LSTM),), "ch"),
    "gru_v1.pbtxt": ((("gru", GRU),), "h"),
    "gru_v2.pb": ((("gru", GRU),), "h"),
    "gru_unnamed.pb": ((("gru", GRU),), "h"),
    "two_resources.pb": (TWO, "chh"),
    "two_folded.pb": (TWO, "chh"),
    "two_unnamed.pb": (TWO, "chh"),
    "both.pb": ((("basic_lstm", BASIC), ("basic_lstm", BASIC)), "chch"),
    "partitioned.pb": ((("basic_lstm", BASIC),), "ch"),
    "partitioned_v2.pb": ((("basic_lstm", BASIC),), "ch"),
    "partitioned_folded.pb": ((("basic_lstm", BASIC),), "ch"),
}


def test_every_graph_is_in_the_table() -> None:
    assert sorted(BUILT) == sorted(path.name for path in DATA.glob("*.pb*"))


@pytest.mark.parametrize("name", BUILT)
def test_options_are_those_built(name: str) -> None:
    built, _ = BUILT[name]
    layers = recover.network(formats.read(DATA / name)).layers
    assert [layer.cell.name for layer in layers] == [cell for cell, _ in built]
    for layer, (_, options) in zip(layers, built, strict=True):
        read = {key: value for key, value in layer.options.items() if value.evidence == "graph"}
        assert {key: value.value for key, value in read.items()} == options
    first, last = layers[0], layers[-1]
    assert first.feed.sources == ("input",)
    if name.startswith("two"):
        assert (last.feed.sources, last.feed.evidence) == ((first.name,), "graph")
    assert [layer.direction for layer in layers] == ["forward", "backward" if name == "both.pb" else "forward"][
        : len(layers)
    ]


@pytest.mark.parametrize("name", BUILT)
def test_numbers_are_those_computed(name: str) -> None:
    expected = np.load(DATA / f"{name.partition('.')[0]}.npz")
    network = rnnprobe.open(DATA / name)
    trace = rnnprobe.trace(network, expected["x"])
    layers = [trace.layers[layer.name] for layer in network.layers]
    tops = layers if name == "both.pb" else layers[-1:]
    h = np.concatenate([np.asarray(layer.signals["h"]) for layer in tops], axis=2)
    np.testing.assert_allclose(h, expected["h"], rtol=1e-5, atol=1e-6)
    letters = BUILT[name][1]
    assert len(letters) == sum(key.startswith("final_") for key in expected.files)
    owner = -1
    for k, letter in enumerate(letters):
        owner += letter == "c" or letters[max(k - 1, 0)] != "c" or k == 0
        np.testing.assert_allclose(layers[owner].final[letter], expected[f"final_{k}"], rtol=1e-5, atol=1e-6)


def test_a_cell_without_a_name_goes_by_its_kernel() -> None:
    network = recover.network(formats.read(DATA / "two_unnamed.pb"))
    for layer in network.layers:
        assert layer.name in (layer.weights[role].name for role in ("kernel", "gates_kernel") if role in layer.weights)
        assert any(layer.name in note for note in network.notes)


def changed(tmp_path: Path, name: str, change: Any) -> Path:
    """A frozen graph with each of its nodes put through `change`."""
    graph = graph_pb2.GraphDef()
    graph.ParseFromString((DATA / name).read_bytes())
    for node in graph.node:
        change(node)
    (tmp_path / name).write_bytes(graph.SerializeToString())
    return tmp_path / name


def test_what_is_no_cell_is_not_claimed(tmp_path: Path) -> None:
    """Without names, a cell whose gates are combined otherwise is none that is known; that it is recurrent is said."""

    def change(node: Any) -> None:
        node.op = {"Tanh": "Softmax"}.get(node.op, node.op)

    network = recover.network(formats.read(changed(tmp_path, "lstm_unnamed.pb", change)))
    assert network.layers == ()
    kernel = recover.network(formats.read(DATA / "lstm_unnamed.pb")).layers[0].name
    assert kernel in [candidate.scope for candidate in network.candidates]


def test_a_product_outside_of_a_loop_is_no_candidate() -> None:
    for name in BUILT:
        assert recover.network(formats.read(DATA / name)).candidates == (), name


def test_steps_that_do_not_follow_each_other_are_no_cell(tmp_path: Path) -> None:
    """A step whose states are always those at the start is an LSTM's equation and no recurrence."""

    def change(node: Any) -> None:
        if node.op == "NextIteration":
            node.op, node.input[:] = "Enter", ["nothing"]

    network = recover.network(formats.read(changed(tmp_path, "lstm_unnamed.pb", change)))
    assert network.layers == ()


def test_an_initial_state_other_than_zeros_is_told(tmp_path: Path) -> None:
    def change(node: Any) -> None:
        if node.op == "Const" and "ZeroState" in node.name and len(node.attr["value"].tensor.tensor_shape.dim) == 2:
            node.attr["value"].tensor.float_val[:] = [0.5]

    assert not [note for note in recover.network(formats.read(DATA / "two_folded.pb")).notes if "starts" in note]
    notes = recover.network(formats.read(changed(tmp_path, "two_folded.pb", change))).notes
    assert [note for note in notes if "starts from the stored" in note and "ZeroState" in note]
