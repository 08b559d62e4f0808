"""Object checkpoints of TensorFlow 2 against what Keras, TensorFlow and Sonnet computed: `tests/data/objects`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput
from rnnprobe.formats import read
from rnnprobe.recover import object_feeds, objects
from rnnprobe.types import Value

from ..conftest import DATA

OBJECTS = DATA / "objects"


def agrees(got: object, expected: np.ndarray) -> bool:
    return bool(np.abs(np.asarray(got) - expected).max() <= 1e-5)


def summary(network: rnnprobe.Network) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Layer → its cell and what feeds it."""
    return {layer.name: (layer.cell.name, layer.feed.sources) for layer in network.layers}


def test_a_model_with_code_of_its_own():
    network = rnnprobe.open(OBJECTS / "subclassed")
    assert summary(network) == {
        "encoder": ("keras_lstm", ("table",)),
        "stack/0": ("keras_gru_reset_after", ("input",)),
        "stack/1": ("keras_gru", ("stack/0",)),
        "both/forward": ("keras_lstm", ("input of both",)),
        "both/backward": ("keras_lstm", ("input of both",)),
    }
    assert network["both/backward"].direction == "backward"
    assert network["stack/1"].settings["reset"] == "before"
    assert {value.evidence for value in network["encoder"].options.values()} == {"assumed"}
    assert any("defaults of tf.keras of TensorFlow 2.2 and later" in note for note in network.notes)
    expected = np.load(OBJECTS / "subclassed.npz")
    for layers, x in (("encoder", "ids"), ("stack/*", "x/stack"), ("both/*", "x/both")):
        trace = rnnprobe.trace(network, expected[x], layers=[layers])
        for name, recorded in trace.layers.items():
            assert agrees(recorded.signals["h"], expected[f"h/{name}"]), name


def test_a_list_is_a_chain_whatever_it_is_called():
    """A table as wide as what the second layer takes is no feed of it, though the first's name begins as inputs do."""
    network = rnnprobe.open(OBJECTS / "subclassed")
    first, second = (replace(network[f"stack/{k}"], name=f"inputs/{k}") for k in range(2))
    assert [table.table.shape[1] for table in network.embeddings] == [second.input_size]
    wired = object_feeds.wired((first, second), network.embeddings)
    assert [layer.feed.sources for layer in wired] == [("input",), ("inputs/0",)]


def test_a_saved_model_whose_objects_tell_their_configurations():
    network = rnnprobe.open(OBJECTS / "mixed")
    assert summary(network) == {
        "front/lstm": ("keras_lstm", ("front/embedding",)),
        "top": ("keras_gru_reset_after", ("input",)),
    }
    lstm, top = network["front/lstm"], network["top"]
    assert (lstm.options["activation"].value, lstm.options["activation"].evidence) == ("relu", "config")
    assert (top.options["recurrent_activation"].value, top.options["recurrent_activation"].evidence) == (
        "hard_sigmoid",
        "config",
    )
    assert lstm.feed.mask is not None
    assert lstm.feed.mask.source == "front/embedding"
    assert lstm.weights["kernel"].name.startswith("variables/")
    assert lstm.scope == "front/layer_with_weights-1/cell"
    expected = np.load(OBJECTS / "mixed.npz")
    for layer, x in (("front/lstm", "ids"), ("top", "x/top")):
        trace = rnnprobe.trace(network, expected[x], layers=[layer])
        assert agrees(trace.layers[layer].signals["h"], expected[f"h/{layer}"]), layer


def test_a_model_as_an_attribute_with_layers_between():
    network = rnnprobe.open(OBJECTS / "fronted")
    assert summary(network) == {
        "inner/first": ("keras_lstm", ("input",)),
        "inner/second": ("keras_lstm", ("inner/between",)),
    }
    second = network["inner/second"]
    assert {state: (feed.sources, feed.final) for state, feed in second.initial.items()} == {
        "h": (("inner/first",), "h"),
        "c": (("inner/first",), "c"),
    }
    assert [one.name for one in network.transforms] == ["inner/between", "inner/head"]
    assert network.transforms[0].feeds[0].sources == ("inner/first",)
    assert [feed.sources for feed in network.outputs.values()] == [("inner/head",)]
    held = [call.layer.layers for call in network.original if call.layer.layers]
    assert held == [("inner/first",), ("inner/second",)]
    expected = np.load(OBJECTS / "fronted.npz")
    trace = rnnprobe.trace(network, expected["x"])
    assert agrees(trace.layers["inner/second"].signals["h"], expected["h/inner/second"])


def test_a_training_checkpoint_without_and_with_its_configuration():
    bare = rnnprobe.open(OBJECTS / "training")
    assert summary(bare) == {
        "model/layer_with_weights-0": ("keras_lstm", ("input",)),
        "model/layer_with_weights-1": ("keras_lstm", ("model/layer_with_weights-0",)),
    }
    apart = bare.checkpoint.set_apart
    assert len(bare.checkpoint.weights) == 6
    assert {kind for name, kind in apart.items() if name.startswith("optimizer/")} == {"optimiser state"}
    told = rnnprobe.open(OBJECTS / "training", config=OBJECTS / "training.json")
    assert summary(told) == {"one": ("keras_lstm", ("input",)), "two": ("keras_lstm", ("one",))}
    expected = np.load(OBJECTS / "training.npz")
    for network, name in ((bare, "model/layer_with_weights-0"), (told, "one")):
        assert agrees(rnnprobe.trace(network, expected["x"]).layers[name].signals["h"], expected["h/one"])


def test_stacks_in_both_directions_without_a_configuration():
    network = rnnprobe.open(OBJECTS / "pair")
    name = "layer_with_weights-0"
    assert summary(network) == {
        f"{name}/forward/0": ("keras_gru_reset_after", ("input",)),
        f"{name}/forward/1": ("keras_lstm", (f"{name}/forward/0",)),
        f"{name}/backward/0": ("keras_gru_reset_after", ("input",)),
        f"{name}/backward/1": ("keras_lstm", (f"{name}/backward/0",)),
    }
    expected = np.load(OBJECTS / "pair.npz")
    trace = rnnprobe.trace(network, expected["x"])
    for side in ("forward", "backward"):
        assert agrees(trace.layers[f"{name}/{side}/1"].signals["h"], expected[f"h/{side}"])


def test_cells_of_tensorflow_1():
    network = rnnprobe.open(OBJECTS / "legacy")
    assert summary(network) == {
        "cell/cell-0": ("basic_lstm", ("input",)),
        "cell/cell-1": ("lstm", ("cell/cell-0",)),
        "cell/cell-2": ("gru", ("cell/cell-1",)),
    }
    assert network["cell/cell-1"].weights["projection"].name.startswith("cell/cell-1/projection.Skernel/")
    expected = np.load(OBJECTS / "legacy.npz")
    trace = rnnprobe.trace(network, expected["x"])
    assert agrees(trace.layers["cell/cell-2"].signals["h"], expected["h/cell/cell-2"])


@pytest.mark.parametrize("told", ["cells and layers", "layers"])
def test_cells_of_tensorflow_1_in_layers_that_run_backward(told):
    checkpoint = read(OBJECTS / "backward")
    if told == "layers":
        configs = {path: checkpoint.objects.configs[path] for path in ("one", "two")}
        checkpoint = replace(checkpoint, objects=replace(checkpoint.objects, configs=configs))
    network = objects.recover(checkpoint)
    assert {layer.cell.name for layer in network.layers} == {"basic_lstm", "gru"}
    assert {layer.direction for layer in network.layers} == {"backward"}
    expected = np.load(OBJECTS / "backward.npz")
    for name in ("one", "two/cell/cell-1"):
        trace = rnnprobe.trace(network, expected["x"], layers=[name])
        assert agrees(trace.layers[name].signals["h"], expected[f"h/{name}"]), name


def test_a_module_with_cells_and_something_strange():
    network = rnnprobe.open(OBJECTS / "module")
    assert summary(network) == {
        "net/cells/a": ("keras_lstm", ("input",)),
        "net/rnn/0": ("keras_lstm", ("input",)),
        "net/rnn/1": ("keras_gru_reset_after", ("net/rnn/0",)),
    }
    (candidate,) = network.candidates
    assert candidate.scope == "net/odd"
    assert "no cell that is known" in candidate.reason
    expected = np.load(OBJECTS / "module.npz")
    trace = rnnprobe.trace(network, expected["x"], layers=["net/rnn/1"])
    assert agrees(trace.layers["net/rnn/1"].signals["h"], expected["h/net/rnn/1"])


def test_options_as_the_release_had_them():
    """TensorFlow 1.15 called a kernel `rnn/kernel`, TensorFlow 2.21 calls it `rnn/…/lstm_cell/kernel`."""
    for release, option in (("tf.keras-1.15", "hard_sigmoid"), ("tf_keras-2.21", "sigmoid")):
        network = rnnprobe.open(DATA / "conformance" / release / "rnn_stacked_mixed" / "tfw")
        assert {layer.settings["recurrent_activation"] for layer in network.layers} == {option}
        assert [layer.cell.name for layer in network.layers] == [
            "keras_lstm",
            "keras_gru" if release == "tf.keras-1.15" else "keras_gru_reset_after",
        ]


def test_a_configuration_of_another_model():
    with pytest.raises(BadInput, match=r"2 layers, the checkpoint 1: they are not of one model"):
        rnnprobe.open(DATA / "conformance/tf_keras-2.21/rnn_stacked_mixed/tfw", config=OBJECTS / "training.json")
    with pytest.raises(BadInput, match="none whose layers are numbered"):
        rnnprobe.open(OBJECTS / "subclassed", config=OBJECTS / "training.json")


def test_shapes_without_the_data(tmp_path):
    shutil.copy(OBJECTS / "subclassed.index", tmp_path)
    network = rnnprobe.open(tmp_path / "subclassed")
    assert {layer.name for layer in network.layers} >= {"encoder", "stack/0", "both/backward"}
    assert any("told by the keys" in note for note in network.checkpoint.notes)


def test_neither_tensorflow_nor_keras_is_imported():
    """Reading object checkpoints and SavedModels, and recovering their layers."""
    code = "import sys, rnnprobe\nfor path in sys.argv[1:]: assert rnnprobe.open(path).layers\nprint(*sys.modules)"
    paths = [OBJECTS / "subclassed", OBJECTS / "mixed", DATA / "conformance/tf.keras-1.15/nested/sm"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "tf_keras", "h5py"} & set(done.stdout.split())


@pytest.mark.parametrize("file", ["saved_model.pb", "keras_metadata.pb"])
def test_damaged_saved_models(file, tmp_path):
    """A flipped bit is seen, or changes nothing that matters; nothing but the package's own errors comes out."""
    folder = shutil.copytree(OBJECTS / "mixed", tmp_path / "mixed")
    whole = (folder / file).read_bytes()
    for k in range(0, len(whole), len(whole) // 60):
        (folder / file).write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
        with contextlib.suppress(rnnprobe.RnnprobeError):
            rnnprobe.open(folder)
    (folder / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput) as error:
        rnnprobe.open(folder)
    assert error.value.path == folder / file


SONNET = {
    "lstm-1": "lstm_1",
    "unrolled-lstm-1": "unrolled_lstm_1",
    "gru-1": "gru_1",
    "vanilla-rnn-8": "vanilla_rnn_8",
    "lstm-8-projected-1": "lstm_8_projected_1",
}


@pytest.mark.parametrize("name", [*(f"sonnet-{name}" for name in SONNET), "md-training"])
def test_published_checkpoints(corpus, name):
    expected = np.load(corpus / "expected" / f"{name}.npz")
    path = corpus / "md-training/training_checkpoints/ckpt_20"
    if name != "md-training":
        path = corpus / "sonnet/sonnet/src/conformance/checkpoints" / SONNET[name.removeprefix("sonnet-")]
    x = expected["ids"] if "ids" in expected else expected["input"]
    (recorded,) = rnnprobe.trace(path, x, lengths=expected["lengths"], record="states").layers.values()
    ran = np.arange(x.shape[1]) < expected["lengths"][:, None]
    for key in expected.files:
        kind, _, layer = key.partition("/")
        if kind in ("h", "c") and layer:
            limit = 1e-4 * max(1.0, np.abs(expected[key]).max())
            assert np.abs(np.asarray(recorded.signals[kind])[ran] - expected[key][ran]).max() <= limit, key


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_published_convolutional_cores(corpus, axes):
    network = rnnprobe.open(corpus / f"sonnet/sonnet/src/conformance/checkpoints/conv{axes}d_lstm_3x3_2x2")
    (layer,) = network.layers
    assert layer.cell.name == f"sonnet_conv_lstm_{axes}d"
    assert (layer.input_size, layer.units) == (2, 3)
    assert [size for name, size in layer.sizes.items() if name.startswith("kernel_")] == [3] * axes


def test_a_published_checkpoint_without_a_cell(corpus):
    assert not rnnprobe.open(corpus / "sonnet/sonnet/src/conformance/checkpoints/embed_100_100").layers


def test_convolutional_cores_and_layers():
    for axes in (1, 2, 3):
        (core,) = rnnprobe.open(DATA / f"conformance/sonnet-2.0.2/conv_lstm_{axes}d/model.ckpt").layers
        assert core.cell.name == f"sonnet_conv_lstm_{axes}d"
    first, second = rnnprobe.open(DATA / "conformance/tf_keras-2.21/convlstm2d_stack/tfw").layers
    assert second.feed.sources == (first.name,)
    assert first.options["padding"] == Value("valid", "assumed")
    assert first.options["recurrent_activation"] == Value("hard_sigmoid", "assumed")


def test_a_training_whose_checkpoints_mostly_lack_their_index(corpus, run):
    folder = corpus / "md-training/training_checkpoints"
    done = run("inspect", folder / "ckpt_2")
    assert done.status == 2
    assert "its data is there, its index ckpt_2.index is not" in done.err
    done = run("weights", folder)
    assert done.status == 0
    assert "ckpt_2, ckpt_3" in done.err
    assert "lack their index" in done.err
    assert run("weights", folder / "ckpt_1").err == ""
