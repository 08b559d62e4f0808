from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from rnnprobe import cli
from rnnprobe.analysis import words
from rnnprobe.cells import CELLS
from rnnprobe.cells.options import COUNTS, RESIDUAL
from rnnprobe.cli.options import assumptions

from ..analysis import models
from ..conftest import DATA

TF1 = DATA / "conformance" / "tf1.15" / "lstm_full"
KERAS = DATA / "conformance" / "tf_keras-2.21" / "cudnnlstm" / "model.h5"


def layers(done):
    assert done.status == 0, done.err
    return json.loads(done.out)["layers"]


@pytest.fixture
def without_graph(tmp_path):
    """A checkpoint whose `.meta` was lost."""
    for file in TF1.glob("model.ckpt.*"):
        if file.suffix != ".meta":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "model.ckpt"


@pytest.mark.parametrize("model", [TF1, TF1 / "model.ckpt", TF1 / "model.ckpt.index", TF1 / "model.ckpt.meta"])
def test_any_file_of_a_checkpoint(run, model):
    done = run("inspect", model)
    assert done.status == 0
    assert "lstm_cell" in done.out
    assert done.out.startswith("File\n")


def test_json_and_text_have_the_same_layers(run):
    (layer,) = layers(run("inspect", TF1, "--json"))
    assert layer["cell"] == "lstm"
    text = run("inspect", TF1).out
    assert layer["layer"] in text
    assert str(layer["units"]) in text


def test_what_was_assumed_is_said_once_on_stderr(run, without_graph):
    done = run("inspect", without_graph)
    lines = [line for line in done.err.splitlines() if "assumed" in line]
    assert len(lines) == 1
    assert "forget_bias = 1.0" in lines[0]
    assert "--forget-bias" in lines[0]
    assert run("inspect", without_graph, "-q").err == ""
    given = run("inspect", without_graph, "--forget-bias", "0.5", "--json")
    assert "forget_bias" not in given.err
    option = next(row for row in json.loads(given.out)["options"] if row["option"] == "forget_bias")
    assert (option["value"], option["evidence"]) == (0.5, "flag")


def test_flags_turn_options_off(run):
    done = run("inspect", TF1, "--cell-clip", "none", "--no-residual", "--json")
    options = {row["option"]: (row["value"], row["evidence"]) for row in json.loads(done.out)["options"]}
    assert options["cell_clip"] == (None, "flag")
    assert options["residual"] == (False, "flag")


def test_a_keras_file(run):
    done = run("inspect", KERAS, "--json")
    assert {layer["cell"] for layer in layers(done)} == {"keras_cudnn_lstm"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layer", "nothing"], "rnn/lstm_cell"),
        (["--forget-bias", "nan"], "expected a number"),
        (["--cell-clip", "0"], "above 0, or none"),
        (["--activation", "tahn"], "'tanh'"),
        (["--cell", "lstn"], "keras_lstm"),
        (["--reset", "after"], "no layer takes reset"),
    ],
)
def test_bad_options_say_what_is_valid(run, arguments, says):
    done = run("inspect", TF1, *arguments)
    assert done.status == 2
    assert says in done.err
    assert done.out == ""


def test_a_path_that_is_not_there(run, tmp_path):
    done = run("inspect", tmp_path / "model.ckpt")
    assert done.status == 2
    assert done.err.startswith(f"rnnprobe: {tmp_path}")


@pytest.mark.parametrize("name", ["inspect", "weights", "shapes", "trace"])
def test_help_has_an_example_and_the_options_that_change_something(name):
    """What a cell computes is no matter of its shapes; which cell it is, and the sizes that only the user knows, are.

    Of weights it matters to their layout in another framework.
    """
    text = CliRunner().invoke(cli.rnnprobe, [name, "--help"]).output
    assert "Example:" in text
    for option in (*(option for cell in CELLS for option in cell.options), RESIDUAL):
        assert (words.flag(option.name) in text) == (name != "shapes" or option.name in COUNTS)
    for common in ("--layer", "--json", "--verbose", "--cell", "--config"):
        assert common in text
    assert ("--quiet" in text) == (name != "shapes")


def test_long_lists_are_short_without_v(run, tmp_path, monkeypatch):
    from rnnprobe import formats

    many = tuple(models.tensor(f"dense_{k}", models.np.ones(2, "f")) for k in range(40))
    monkeypatch.setattr(formats, "read", lambda path: models.network(other=many).checkpoint)
    assert "and 28 more; -v lists them all" in run("inspect", "x").out
    assert "dense_39" in run("inspect", "x", "-v").out
    assert len(json.loads(run("inspect", "x", "--json").out)["other"]) == 40


def test_assumptions_say_where_they_do_not_hold_for_all():
    lines = assumptions(models.stack())
    assert "forget_bias = 1.0 in 1 of 3 layers" in lines[0]
    assert "residual = no, " in lines[0] or "residual = no;" in lines[0]
    assert "embedding" in lines[1]
    assert assumptions(models.network()) == []


def test_corpus_says_what_is_not_recurrent(run, corpus):
    done = run("inspect", corpus / "t2t-shards" / "tests" / "models" / "decode")
    assert done.status == 0
    assert "nothing recurrent was found" in done.out


def test_corpus_without_data(run, corpus):
    done = run("inspect", corpus / "htr-no-data" / "model" / "model")
    assert done.status == 0
    assert "snapshot-38.data-00000-of-00001 is missing" in done.out
    assert "LSTM" in done.out


def test_corpus_forget_bias_is_in_the_graph_alone(run, corpus):
    done = run("inspect", corpus / "shakespeare/pretrained_shakespeare/best_model/model-85340", "--json")
    options = json.loads(done.out)["options"]
    found = next(row for row in options if row["option"] == "forget_bias")
    assert (found["value"], found["evidence"]) == (0.0, "graph")
    assert "forget_bias" not in done.err
