"""Keras layers and cells in graphs of TensorFlow 1, of which no configuration came along: the graph tells all of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput
from rnnprobe.recover import names
from rnnprobe.types import Checkpoint, Mask

from ..cells.made import tensor
from ..conftest import DATA

CASES = sorted(
    path.parent for folder in ("conformance", "graph") for path in (DATA / folder).glob("tf1.*/keras_*/case.json")
)
APART = [case for case in CASES if case.parent.name == "tf1.4" and case.name != "keras_gru_whole"]
"""The input's share of their products is made before the loop."""
SIGMOID = {"keras_lstm_v2", "keras_gru_v2", "keras_gru_after", "keras_lstm_relu"}


def named(case: Path) -> str:
    return f"{case.parent.name}-{case.name}"


def found(name: str) -> Path:
    return next(case for case in CASES if case.name == name)


def given(case: Path):
    data = dict(np.load(case / "data.npz"))
    return data["x"], data["out0"]


def emitted(network, case: Path) -> np.ndarray:
    """What the last layers pass on, side by side."""
    trace = rnnprobe.trace(network, given(case)[0], record="all")
    fed = {source for layer in network.layers for source in layer.feed.sources}
    last = [layer for layer in network.layers if layer.name not in fed]
    last.sort(key=lambda layer: layer.direction == "backward")
    return np.concatenate([np.asarray(trace.layers[layer.name].signals[layer.cell.emits]) for layer in last], -1)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_graph_tells_options_and_wiring(case):
    network = rnnprobe.open(case / "model.ckpt")
    told = {one.evidence for layer in network.layers for one in layer.options.values()}
    assert told <= {"graph", "cell"}
    for layer in network.layers:
        bent = case.name in SIGMOID or (named(case) == "tf1.4-keras_both" and layer.name != "gru")
        gates = "sigmoid" if bent else "hard_sigmoid"
        assert layer.cell.framework == "keras"
        assert layer.settings["activation"] == ("relu" if "relu" in case.name else "tanh")
        assert layer.settings.get("recurrent_activation", gates) == gates
        assert layer.feed.evidence == "graph"
        # The step that Keras tries beside its loop is none of the layer's.
        assert len(network.places[layer.name]) == 1
    assert network.candidates == ()
    assert bool(network.notes) == (case.name == "keras_masked_otherwise")


@pytest.mark.parametrize("case", [case for case in CASES if case not in APART], ids=named)
def test_verify_agrees_in_every_signal(case):
    if case.name == "keras_masked_otherwise":
        pytest.skip("its input is made in the graph")
    network = rnnprobe.open(case / "model.ckpt")
    compared = rnnprobe.verify(network, given(case)[0])
    assert compared.agrees
    for layer in network.layers:
        held = {one.signal for one in compared.differences if one.layer == layer.name and one.compared}
        assert held >= {*(signal.name for signal in layer.cell.signals), "final h"}


@pytest.mark.parametrize("case", APART, ids=named)
def test_what_is_multiplied_before_the_loop_is_found(case):
    network = rnnprobe.open(case / "model.ckpt")
    assert np.abs(emitted(network, case) - given(case)[1]).max() < 1e-6
    ways = ["forward", "backward", "forward"] if "both" in case.name else ["forward", "forward"]
    assert [layer.direction for layer in network.layers] == ways[: len(network.layers)]
    with pytest.raises(BadInput, match="can't be recorded and held against the input"):
        rnnprobe.verify(network, given(case)[0])


@pytest.mark.parametrize(
    ("name", "sources", "emits"),
    [
        ("keras_masked", ["input", "input"], "last"),
        ("keras_masked_unrolled", ["input"], "last"),
        ("keras_masked_back", ["input"], "last"),
        ("keras_masked_both", ["input", "input"], "zeros"),
        ("keras_ids", ["embedding/embeddings", "embedding/embeddings"], "last"),
    ],
)
def test_masks_are_read_off_the_graph(name, sources, emits):
    network = rnnprobe.open(found(name) / "model.ckpt")
    assert [layer.feed.mask for layer in network.layers] == [Mask(source, 0.0, emits) for source in sources]


def test_steps_are_skipped_as_keras_skips_them():
    for name in ("keras_masked", "keras_masked_unrolled", "keras_ids"):
        case = found(name)
        got = emitted(rnnprobe.open(case / "model.ckpt"), case)
        assert np.abs(got - given(case)[1]).max() < 1e-6
    case = found("keras_masked_back")
    x, expected = given(case)
    # Keras hands out the steps as it took them, and at a skipped one what it gave last: zeros at first.
    got, taken = emitted(rnnprobe.open(case / "model.ckpt"), case)[:, ::-1], x[:, ::-1].any(-1)
    assert np.abs(got - expected)[np.maximum.accumulate(taken, 1)].max() < 1e-6
    case = found("keras_masked_both")
    x, expected = given(case)
    got = emitted(rnnprobe.open(case / "model.ckpt"), case)
    taken = x.any(-1)
    assert not expected[~taken].any()
    assert np.abs(got - expected)[taken].max() < 1e-6


def test_a_mask_that_is_not_followed_is_said():
    network = rnnprobe.open(found("keras_masked_otherwise") / "model.ckpt")
    assert network.layers[0].feed.mask is None
    assert any("skips steps by a mask that is not made of what enters" in note for note in network.notes)


@pytest.mark.parametrize("case", [found("keras_lstm"), found("keras_cell_gru")], ids=named)
def test_names_and_shapes_alone_leave_the_defaults(case, tmp_path):
    for file in case.glob("model.ckpt.[di]*"):
        shutil.copyfile(file, tmp_path / file.name)
    (layer,) = rnnprobe.open(tmp_path / "model.ckpt").layers
    assert layer.options["recurrent_activation"].evidence == "assumed"
    assert layer.feed.evidence == "assumed"


@pytest.mark.parametrize(("scope", "cell", "gates"), [("cu_dnnlstm_1", "lstm", 4), ("cu_dnngru", "gru", 3)])
def test_layers_of_cudnn_s_are_told_by_their_names(scope, cell, gates):
    shapes = {"kernel": (3, gates * 4), "recurrent_kernel": (4, gates * 4), "bias": (2 * gates * 4,)}
    (layer,) = recovered({f"{scope}/{leaf}": shape for leaf, shape in shapes.items()}).layers
    assert (layer.cell.name, layer.units) == (f"keras_cudnn_{cell}", 4)
    assert layer.settings["recurrent_activation"] == "sigmoid"


@pytest.mark.parametrize("width", [4, 5])
def test_states_that_a_stateful_layer_keeps_are_no_weights(width):
    shapes = {
        "kernel": (3, 16),
        "recurrent_kernel": (4, 16),
        "bias": (16,),
        "Variable": (2, 4),
        "Variable_1": (2, width),
    }
    network = recovered({f"lstm/{leaf}": shape for leaf, shape in shapes.items()})
    assert [layer.cell.name for layer in network.layers] == (["keras_lstm"] if width == 4 else [])
    assert bool(network.candidates) == (width != 4)


def recovered(shapes):
    stored = {name: tensor(name, np.zeros(shape, "f")) for name, shape in shapes.items()}
    return names.recover(Checkpoint(Path("made"), "made", stored, writer="TensorFlow 1.15.0"))


def test_trace_compares_unasked(tmp_path, run):
    case = found("keras_lstm_relu")
    np.save(tmp_path / "x.npy", given(case)[0])
    done = run("trace", case, "--input", tmp_path / "x.npy", "--output", tmp_path / "out.npz")
    assert done.status == 0, done.err
    assert "verified: compared with the operations of the original graph" in done.err + done.out
