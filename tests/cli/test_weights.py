from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

from rnnprobe import formats

from ..conftest import DATA

TF1 = DATA / "conformance" / "tf1.15" / "lstm_full"
CUDNN = DATA / "conformance" / "tf_keras-2.21" / "cudnnlstm" / "model.h5"


def rows(done, name="weights"):
    assert done.status == 0, done.err
    return json.loads(done.out)[name]


@pytest.fixture
def training(tmp_path):
    """A directory with three checkpoints of one model."""
    for step in (5, 20, 100):
        for file in TF1.glob("model.ckpt.*"):
            shutil.copy(file, tmp_path / file.name.replace("model.ckpt", f"model.ckpt-{step}"))
    return tmp_path


def test_the_table_and_json_agree(run):
    found = rows(run("weights", TF1, "--json"))
    assert len(found) == 4 * 3 + 3 + 1  # kernel, recurrent kernel, bias; peepholes; projection
    text = run("weights", TF1).out
    for row in found:
        assert row["slice"] in text


def test_the_figures_are_those_of_the_genuine_variables(run):
    with np.load(TF1 / "data.npz") as data:
        variables = {
            name.removeprefix("var:").replace("|", "/"): data[name] for name in data if name.startswith("var:")
        }
    for row in rows(run("weights", TF1, "--json")):
        block = variables[row["tensor"]][slice(*row["rows"])]
        if row["columns"]:
            block = block[:, slice(*row["columns"])]
        assert row["norm"] == pytest.approx(np.linalg.norm(block), rel=1e-6)
        assert row["max"] == pytest.approx(block.max())


def test_choosing(run):
    found = rows(run("weights", TF1, "--gate", "f", "--part", "bias", "--layer", "lstm", "--json"))
    assert [(row["part"], row["gate"]) for row in found] == [("bias", "f")]


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_writing(run, tmp_path, suffix):
    path = tmp_path / f"blocks.{suffix}"
    assert run("weights", CUDNN, "-o", path).status == 0
    before = path.read_bytes()
    done = run("weights", CUDNN, "-o", path)
    assert done.status == 2
    assert "--force" in done.err
    assert done.out == ""
    assert path.read_bytes() == before
    assert run("weights", CUDNN, "-o", path, "--force", "-q").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--gate", "z"], 2, "i, g, f, o"),
        (["--part", "kernle"], 2, "recurrent_kernel"),
        (["-o", "x.mat"], 2, ".npz"),
        (["-o", "absent/x.npz"], 5, "absent"),
    ],
)
def test_refusals(run, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    done = run("weights", TF1, *arguments)
    assert (done.status, done.out) == (status, "")
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_over_training(run, training):
    done = run("weights", training, "--json")
    assert {row["step"] for row in rows(done, "steps")} == {5, 20, 100}
    change = rows(done, "change")
    assert all(row["steps"] == [5, 20, 100] for row in change)
    assert all(row["moved"] == 0 for row in change)
    text = run("weights", training).out
    header = text.splitlines()[1].split()
    assert header[:5] == ["part", "gate", "5", "20", "100"]
    assert "Steps" not in text
    assert "Steps" in run("weights", training, "-v").out


def test_several_models(run, training):
    done = run("weights", training / "model.ckpt-100", training / "model.ckpt-5", "--json")
    assert {row["step"] for row in rows(done, "steps")} == {5, 100}


def test_several_models_have_no_single_file(run, training, tmp_path):
    done = run("weights", training, "-o", tmp_path / "x.npz")
    assert done.status == 2
    assert "one checkpoint, and there are 3" in done.err


def test_nan_is_warned_of_on_stderr(run, monkeypatch):
    from rnnprobe import formats

    from ..analysis import models

    layer = models.layer("basic_lstm", "rnn/basic_lstm_cell")
    layer.weights["bias"].load()[9] = np.nan
    monkeypatch.setattr(formats, "series", lambda path: ((None, path),))
    monkeypatch.setattr(formats, "read", lambda path: models.network(layer).checkpoint)
    done = run("weights", "x", "--json")
    assert "rnn/basic_lstm_cell/bias holds 1 value that is NaN or infinite (bias f), the first at [9]" in done.err
    struck = next(row for row in rows(done) if row["nonfinite"])
    assert struck["norm"] == "NaN"
    assert run("weights", "x", "-q").err == ""


def test_corpus_without_data_says_so(run, corpus):
    done = run("weights", corpus / "htr-no-data" / "model" / "model")
    assert done.status == 2
    assert "missing" in done.err
    assert "shapes" in done.err


def test_corpus_over_a_genuine_training(run, corpus):
    folder = corpus / "md-training" / "training_checkpoints"
    change = rows(run("weights", folder, "--json"), "change")
    assert change
    assert all(len(row["norms"]) == len(list(folder.glob("*.index"))) for row in change)
    assert all(row["moved"] > 0 for row in change)


def test_the_model_itself_is_never_overwritten(run, tmp_path):
    model = tmp_path / "model.h5"
    shutil.copy(CUDNN, model)
    before = model.read_bytes()
    done = run("weights", model, "-o", model, "--force")
    assert done.status == 5
    assert model.read_bytes() == before


def test_a_weight_that_is_one_number(run, tmp_path):
    """The g of a normed attention."""
    model, path = DATA / "conformance" / "tf1.15" / "attnwrap_encoded", tmp_path / "blocks.h5"
    done = run("weights", model, "--part", "attention_g", "-o", path, "--json")
    (row,) = rows(done)
    value = formats.read(model).tensors[row["tensor"]].load().item()
    assert (row["shape"], row["rows"], row["columns"]) == ([], None, None)
    assert row["slice"].endswith("attention_g[()]")
    assert row["mean"] == value
    assert sum(row["histogram"]) == 1
    with h5py.File(path) as file:
        held = []
        file.visititems(lambda name, item: held.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    assert held == [value]


# --layout -------------------------------------------------------------------------------------------------------------

FUSED = DATA / "conformance" / "tf1.15" / "lstm_fused_peep"
PAIRS = DATA / "conformance" / "tf1.4" / "drv_stackbidyn_seq"


def test_a_layout_as_table_and_json(run):
    done = run("weights", PAIRS, "--layout", "torch", "--json")
    found = rows(done, "layout")
    assert len(found) == 2 * 2 * 4
    assert {row["module"] for row in found} == {"stack_bidirectional_rnn"}
    (module,) = rows(done, "modules")
    assert module["arguments"] == {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}
    text = run("weights", PAIRS, "--layout", "torch").out
    assert all(row["name"] in text for row in found)
    assert "forget_bias = 1.0 (graph) is in the bias of f" in text


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_a_layout_as_a_file(run, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    done = run("weights", PAIRS, "--layout", "torch", "-o", path, "--json")
    shapes = {f"{row['module']}/{row['name']}": tuple(row["shape"]) for row in rows(done, "layout")}
    if suffix == "npz":
        with np.load(path) as held:
            assert {name: held[name].shape for name in held} == shapes
        return
    with h5py.File(path) as file:
        assert {name: file[name].shape for name in shapes} == shapes
        group = file["stack_bidirectional_rnn"]
        assert group.attrs["call"].startswith("torch.nn.LSTM(input_size=3")
        assert list(group["weight_ih_l1"].attrs["gates"]) == ["i", "f", "g", "o"]
    assert run("weights", PAIRS, "--layout", "torch", "-o", path).status == 2


def test_what_was_assumed_is_said_and_a_flag_settles_it(run, tmp_path):
    for file in TF1.parent.joinpath("lstm_fused_peep").glob("model.ckpt.[di]*"):
        shutil.copy(file, tmp_path)
    done = run("weights", tmp_path, "--layout", "onnx")
    assert "forget_bias = 1.0" in done.err
    assert "--forget-bias" in done.err
    assert "forget_bias = 1.0 (assumed) is in the bias of f" in done.out
    done = run("weights", tmp_path, "--layout", "onnx", "--forget-bias", "0", "--cell-clip", "none")
    assert "forget_bias" not in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layout", "torch"], "it has a peephole, and torch.nn.LSTM has none\n  exact as --layout tf1 or onnx"),
        (["--layout", "onnx", "--cell-clip", "2"], "cell_clip = 2.0 (flag), and ONNX LSTM has nothing like it"),
        (["--layout", "onnx", "--gate", "f"], "--layout writes whole layers"),
        (["--layout", "matlab"], "tf1"),
        (["--forget-bias", "0"], "--layout alone"),
    ],
)
def test_refused_layouts(run, tmp_path, arguments, says):
    done = run("weights", FUSED, *arguments, "-o", tmp_path / "x.npz")
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_layout_is_of_one_checkpoint(run, training):
    done = run("weights", training, "--layout", "keras")
    assert done.status == 2
    assert "one checkpoint, and there are 3" in done.err
