"""Classes in Keras's files that are none of its own: of TensorFlow Addons, and some that were published."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnprobe
from rnnprobe.recover.keras import bare, others
from rnnprobe.recover.keras.config import era
from rnnprobe.recover.keras.store import Flat, store
from rnnprobe.types import Layer, Network

from ..conftest import DATA
from .keras_models import Json, cell, functional, layer, save, sequential

TWO_GATES = {"kernel": (2, 8), "recurrent_kernel": (4, 8), "bias": (8,)}
VECTOR = {"input_kernel": (2, 4), "recurrent_kernel": (4,), "bias": (4,)}
PEEPHOLES = {f"{word}_gate_peephole_weights": (4,) for word in ("input", "forget", "output")}


def only(network: Network) -> Layer:
    assert network.candidates == ()
    (found,) = network.layers
    return found


def evidence(found: Layer) -> dict[str, tuple[Any, str]]:
    """The options of the cell's own."""
    return {o.name: (found.options[o.name].value, found.options[o.name].evidence) for o in found.cell.options}


# Without a configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "shapes", "claimed", "options"),
    [
        ("janet_1", TWO_GATES, "janet", {"activation": "tanh", "recurrent_activation": "sigmoid", "beta": 1.0}),
        (
            "chrono_lstm_1",
            cell("lstm", 3, 4),
            "keras_lstm",
            {"activation": "tanh", "recurrent_activation": "hard_sigmoid"},
        ),
        (
            "ind_rnn_1",
            VECTOR,
            "keras_ind_rnn",
            {"activation": "relu", "recurrent_clip_min": 0.0, "recurrent_clip_max": 1.0},
        ),
        (
            "rnn",
            {f"rnn/esn_cell/{leaf}": shape for leaf, shape in cell("rnn", 3, 4).items()},
            "addons_esn",
            {"activation": "tanh", "leaky": 1.0},
        ),
        (
            "rnn",
            {f"rnn/mine/{leaf}": shape for leaf, shape in (cell("lstm", 3, 4) | PEEPHOLES).items()},
            "addons_peephole_lstm",
            {"activation": "tanh", "recurrent_activation": "sigmoid"},
        ),
    ],
)
def test_names_tell_a_class_and_its_defaults_are_assumed(
    tmp_path: Path, group: str, shapes: dict[str, tuple[int, ...]], claimed: str, options: dict[str, Any]
) -> None:
    network = save(tmp_path, {group: shapes})
    found = only(network)
    assert found.cell.name == claimed
    assert evidence(found) == {name: (value, "assumed") for name, value in options.items()}
    (note,) = (note for note in network.notes if "is claimed for" in note)
    assert all(f"{name} {value}" in note for name, value in options.items())


def test_the_release_says_what_hard_sigmoid_means(tmp_path: Path) -> None:
    found = only(save(tmp_path, {"chrono_lstm": cell("lstm", 3, 4)}, version="3.4.1"))
    assert found.settings["recurrent_activation"] == "hard_sigmoid_keras3"


def test_two_gates_are_no_janet_by_their_shapes_until_the_user_says_so(tmp_path: Path) -> None:
    network = save(tmp_path, {"rnn_1": TWO_GATES})
    (candidate,) = network.candidates
    assert not network.layers
    assert candidate.cells == ("janet",)
    assert "--cell janet" in candidate.reason
    network = rnnprobe.open(tmp_path / "model.h5", cell="janet", beta=0.5)
    assert evidence(only(network))["beta"] == (0.5, "flag")
    with pytest.raises(rnnprobe.RnnprobeError, match="nothing in it is a nas"):
        rnnprobe.open(tmp_path / "model.h5", cell="nas")


def test_what_a_layer_of_a_telling_name_holds_has_to_fit(tmp_path: Path) -> None:
    network = save(tmp_path, {"janet_1": cell("lstm", 3, 4)})
    assert not network.layers
    assert "holds 4 blocks" in network.candidates[0].reason


def test_a_keras_lstm_is_not_claimed_beside_peepholes_of_two_gates(tmp_path: Path) -> None:
    shapes = cell("lstm", 3, 4) | {"input_gate_peephole_weights": (4,)}
    network = save(tmp_path, {"lstm_1": shapes})
    assert not network.layers
    assert "input_gate_peephole_weights [4]" in network.candidates[0].reason


@pytest.mark.parametrize(
    ("case", "claimed", "could"),
    [
        ("esn", "addons_esn", ()),  # the layer's own class is in the path, that of the other's cell is not
        ("layer_norm_lstm", "addons_layer_norm_lstm", None),  # its norms are objects with names
        ("peephole_lstm", "", ("addons_peephole_lstm",)),
        ("layer_norm_simple_rnn", "", ("addons_layer_norm_simple_rnn",)),
    ],
)
def test_weights_by_number_are_claimed_by_what_is_named(
    tmp_path: Path, case: str, claimed: str, could: tuple[str, ...] | None
) -> None:
    path = tmp_path / "model.weights.h5"
    with zipfile.ZipFile(DATA / "conformance" / "tfa-keras-0.20.0" / case / "m.keras") as archive:
        path.write_bytes(archive.read("model.weights.h5"))
    network = rnnprobe.open(path)
    assert [found.cell.name for found in network.layers] == ([claimed] if claimed else [])
    assert [candidate.cells for candidate in network.candidates] == ([] if could is None else [could])
    for cell_name in could or ():
        (found,) = rnnprobe.open(path, cell=cell_name).layers
        assert found.cell.name == cell_name


def test_cells_of_one_scope_are_a_stack(tmp_path: Path) -> None:
    second = {"input_kernel_1": (4, 3), "recurrent_kernel_1": (3,), "bias_1": (3,)}
    network = save(tmp_path, {"rnn_1": VECTOR | second})
    assert [(found.name, found.feed.sources, found.units) for found in network.layers] == [
        ("rnn_1/0", ("input",), 4),
        ("rnn_1/1", ("rnn_1/0",), 3),
    ]


# With a configuration -------------------------------------------------------------------------------------------------


def wrapped(class_name: str, **config: Any) -> Json:
    """A model of an `RNN` of such a cell."""
    inner = {"class_name": class_name, "config": {"units": 4, **config}}
    return sequential(layer("RNN", "rnn", cell=inner, return_sequences=True))


@pytest.mark.parametrize(
    ("low", "high", "read"),
    [
        (0.0, 1.007, {"recurrent_clip_min": (0.0, "config"), "recurrent_clip_max": (1.007, "config")}),
        (None, 1.0, {"recurrent_clip_min": (0.0, "config"), "recurrent_clip_max": (None, "config")}),
        (-1, -1, {"recurrent_clip_min": (0.0, "config"), "recurrent_clip_max": (1.0, "assumed")}),
    ],
)
def test_the_clip_of_an_ind_rnn_is_read(tmp_path: Path, low: Any, high: Any, read: dict[str, Any]) -> None:
    config = wrapped("IndRNNCell", recurrent_clip_min=low, recurrent_clip_max=high, activation="tanh")
    found = evidence(only(save(tmp_path, {"rnn": VECTOR}, config)))
    assert found == {"activation": ("tanh", "config"), **read}


def test_a_layer_that_knows_its_steps_clips_by_them(tmp_path: Path) -> None:
    arguments = {"units": 4, "recurrent_clip_min": -1, "recurrent_clip_max": -1, "batch_input_shape": [None, 5, 2]}
    config = sequential(layer("IndRNN", "ind_rnn_1", return_sequences=True, **arguments))
    found = evidence(only(save(tmp_path, {"ind_rnn_1": VECTOR}, config)))
    assert found["recurrent_clip_max"] == (2 ** (1 / 5), "config")


@pytest.mark.parametrize(
    ("class_name", "arguments"),
    [
        ("JANETCell", {}),  # no beta: another cell of that name
        ("Mine>JANETCell", {"beta": 1.0}),
        ("PeepholeLSTMCell", {}),
        ("Mine>PeepholeLSTMCell", {}),
    ],
)
def test_a_class_of_the_same_name_by_somebody_else_is_not_claimed(
    tmp_path: Path, class_name: str, arguments: Json
) -> None:
    shapes = TWO_GATES if "JANET" in class_name else cell("lstm", 3, 4) | PEEPHOLES
    network = save(tmp_path, {"rnn": shapes}, wrapped(class_name, **arguments))
    assert not network.layers
    assert class_name.rpartition(">")[2] in network.candidates[0].reason


@pytest.mark.parametrize(
    ("class_name", "arguments", "said"),
    [
        ("JANETCell", {"beta": "one"}, "its beta is 'one', expected a number"),
        ("JANETCell", {"beta": True}, "its beta is True, expected a number"),
        ("JANETCell", {"beta": 1.0, "activation": "mine"}, "its activation is 'mine'"),
    ],
)
def test_options_that_are_none(tmp_path: Path, class_name: str, arguments: Json, said: str) -> None:
    network = save(tmp_path, {"rnn": TWO_GATES}, wrapped(class_name, **arguments))
    assert not network.layers
    assert said in network.candidates[0].reason


def test_a_configuration_whose_class_has_other_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rnnprobe.RnnprobeError, match="is a JANETCell, whose shapes"):
        save(tmp_path, {"rnn": cell("lstm", 3, 4)}, wrapped("JANETCell", beta=1.0))


def test_states_are_handed_over_in_the_order_of_the_class(tmp_path: Path) -> None:
    """Addons' NASCell kept TensorFlow 1's c before h; its PeepholeLSTMCell has Keras's h before c."""
    for class_name, order in (("NASCell", "ch"), ("PeepholeLSTMCell", "hc")):
        config = {"units": 4, "use_bias": False, "projection": None}
        inner = {"class_name": f"Addons>{class_name}", "config": config}
        shapes = {"kernel": (3, 32), "recurrent_kernel": (4, 32)}
        if class_name != "NASCell":
            shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), **PEEPHOLES}
        giver = layer("RNN", "giver", ["x"], cell=inner, return_sequences=True, return_state=True)
        taker = layer("RNN", "taker", [], cell=inner, return_sequences=True)
        given = {"initial_state": [["giver", 0, 1, {}], ["giver", 0, 2, {}]]}
        taker["inbound_nodes"] = [[["x", 0, 0, given]]]
        start = layer("InputLayer", "x", [], batch_input_shape=[None, None, 3])
        model = functional(start, giver, taker)
        leaves = {f"{class_name}/{leaf}": shape for leaf, shape in shapes.items()}
        network = save(
            tmp_path, {"x": {}, "giver": _below("giver", leaves), "taker": _below("taker", leaves)}, model, "2.12.0"
        )
        initial = network["taker"].initial
        assert [feed.final for feed in initial.values()] == list(initial) == list(order)


def _below(name: str, leaves: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}/{leaf}": shape for leaf, shape in leaves.items()}


def test_no_row_of_the_table_contradicts_its_cell() -> None:
    meaning = era("2.2.4")
    for other in others.OTHERS:
        names = {name for weight in other.cell.weights for name in weight.names}
        assert set(other.leaves) <= names
        assert set(other.telling) <= set(other.leaves)
        assert set(other.arguments) | set(other.defaults) <= {option.name for option in other.cell.options}
        assert set(other.assumed(meaning)) == {o.name for o in other.cell.options if len(o.choices) != 1}


# Genuine files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "name", "options"),
    [
        ("peephole_lstm", "rnn", {"activation": "tanh", "recurrent_activation": "hard_sigmoid"}),
        ("layer_norm_lstm", "rnn", {"activation": "tanh", "recurrent_activation": "sigmoid", "epsilon": 0.1}),
        ("esn", "esn", {"activation": "tanh", "leaky": 0.3}),
        ("esn", "rnn", {"activation": "relu", "leaky": 1.0}),
        ("layer_norm_simple_rnn", "rnn", {"activation": "tanh", "epsilon": 0.2}),
    ],
)
@pytest.mark.parametrize("file", ["model.h5", "m.keras", "sm"])
def test_options_of_addons_come_from_the_configuration(case: str, name: str, options: Json, file: str) -> None:
    network = rnnprobe.open(DATA / "conformance" / "tfa-keras-0.20.0" / case / file)
    assert evidence(network[name]) == {option: (value, "config") for option, value in options.items()}


def test_a_model_with_code_of_its_own_keeps_the_configurations_of_its_layers() -> None:
    folder = DATA / "conformance" / "tfa-keras-0.20.0" / "subclassed"
    network, data = rnnprobe.open(folder / "sm"), np.load(folder / "data.npz")
    assert {found.name: found.direction for found in network.layers} == {
        "reader": "forward",
        "echo": "forward",
        "normed": "backward",
    }
    assert evidence(network["reader"])["recurrent_activation"] == ("hard_sigmoid", "config")
    assert evidence(network["echo"])["leaky"] == (0.3, "config")
    assert evidence(network["normed"])["epsilon"] == (0.1, "config")
    for name, entering in (("reader", "x"), ("echo", "reader"), ("normed", "echo")):
        trace = rnnprobe.trace(network, data[entering], layers=[name], record="h")
        np.testing.assert_allclose(trace.layers[name].signals["h"], data[name], atol=1e-6)


def test_what_keras_does_not_compute_is_not_verified_by_it() -> None:
    network = rnnprobe.open(DATA / "conformance" / "tfa-keras-0.20.0" / "stacked" / "model.h5")
    assert network.original == ()
    with pytest.raises(rnnprobe.RnnprobeError, match="Addons LayerNormLSTM"):
        rnnprobe.verify(network, np.zeros((1, 2, 3), "f"))


def test_a_stack_of_mixed_cells_is_wired_and_named() -> None:
    network = rnnprobe.open(DATA / "conformance" / "tfa-keras-0.20.0" / "stacked" / "m.keras")
    assert [(found.name, found.cell.name, found.feed.sources) for found in network.layers] == [
        ("rnn/0", "addons_layer_norm_lstm", ("input",)),
        ("rnn/1", "addons_peephole_lstm", ("rnn/0",)),
        ("rnn/2", "addons_layer_norm_lstm", ("rnn/1",)),
    ]


def test_weights_alone_need_no_more_than_their_names() -> None:
    folder = DATA / "conformance" / "published-keras2.2.4"
    case = json.loads((folder / "janet" / "case.json").read_text())
    assert case["config"]["config"]["layers"][0]["config"]["name"] == "janet_1"
    checkpoint = rnnprobe.open(folder / "janet" / "weights_only.h5").checkpoint
    weights = store(checkpoint)
    assert isinstance(weights, Flat)
    found = bare.recover(checkpoint, weights, era("2.2.4"))
    assert [(one.name, one.cell.name) for one in found.layers] == [("janet_1", "janet")]
