"""`rnnprobe verify` on genuine models, and the options that say what its input is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rnnprobe.errors import BadInput
from rnnprobe.runs import Reading

from ..conftest import DATA, SAMPLES

MODEL = SAMPLES / "gru_digits.keras"
X = SAMPLES / "gru_digits.npy"


def test_a_keras_model_is_verified(run):
    done = run("verify", MODEL, "--input", X, "--select", "0:4")
    assert done.status == 0, done.err
    assert "verified" in done.out
    assert "NO" not in done.out.split()


def test_json_has_every_signal(run):
    done = run("verify", MODEL, "--input", X, "--select", "0:2", "--json", "-q")
    document = json.loads(done.out)
    assert done.err == ""
    assert document["schema"].startswith("rnnprobe/verify")
    assert document["verification"][0]["status"] == "verified"
    assert {row["signal"] for row in document["signals"]} >= {"h", "z", "r", "n", "z_pre", "final h"}
    assert all(row["agrees"] and row["compared"] for row in document["signals"])


def test_what_differs_ends_with_1(run):
    """An activation that the user gives goes over that of the rebuilt layers alone."""
    done = run("verify", MODEL, "--input", X, "--select", "0:2", "--activation", "relu")
    assert done.status == 1
    assert "NO" in done.out.split()
    assert "differs: " in done.err
    assert "step 0" in done.err


def test_a_tolerance_of_nothing_is_kept(run):
    done = run("verify", MODEL, "--input", X, "--select", "0:2", "--tolerance", "0", "--json", "-q")
    document = json.loads(done.out)
    assert document["verification"][0]["tolerance"] == 0
    assert done.status == (0 if document["verification"][0]["largest"] == 0 else 1)
    assert run("verify", MODEL, "--input", X, "--tolerance", "-1").status == 2


def test_a_layer_with_its_own_input(run, tmp_path):
    listed = json.loads(run("inspect", MODEL, "--json").out)["layers"]
    last = listed[-1]
    np.save(tmp_path / "x.npy", np.random.default_rng(2).normal(size=(2, 5, last["input_size"])).astype("f"))
    done = run("verify", MODEL, "--layer", last["layer"], "--own-input", "--input", tmp_path / "x.npy")
    assert done.status == 0, done.err


def test_what_came_without_its_graph_can_not_be_verified(run, tmp_path):
    np.save(tmp_path / "ids.npy", np.zeros((1, 2), "i"))
    done = run("verify", SAMPLES / "char_lstm" / "model.ckpt-100", "--input", tmp_path / "ids.npy")
    assert done.status == 2
    assert "can't be verified: no graph that runs these layers came with the weights" in done.err


def test_inputs_by_name():
    reading = Reading(("question=q.npy", "story=a=b.npy"), ("story=l.npy",))
    assert reading.files == ("q.npy", "a=b.npy")
    assert reading.read_from == ("q.npy", "a=b.npy", "l.npy")
    assert Reading(("x.npy",)).files == ("x.npy",)
    assert Reading(("x.npy", "y.npy")).files == ("x.npy", "y.npy")


def test_a_file_whose_name_has_an_equals_sign(tmp_path):
    path = tmp_path / "a=b.npy"
    path.write_bytes(b"")
    assert Reading((str(path),)).files == (str(path),)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [(("a.npy", "x=b.npy"), "has no name"), (("x=a.npy", "x="), "has no name"), (("x=a.npy", "x=b.npy"), "'x' twice")],
)
def test_names_that_are_missing_or_given_twice(inputs, message):
    with pytest.raises(BadInput, match=message):
        _ = Reading(inputs).files


def test_a_name_for_the_only_input(run):
    assert run("verify", MODEL, "--input", f"rows={X}", "--select", "0").status == 0
    done = run("verify", MODEL, "--input", f"question={X}", "--input", f"story={X}")
    assert done.status == 2
    assert "names 'question', 'story'; the network has one input, 'input'" in done.err


def test_what_can_not_be_verified_says_why_and_what_can_be_done(run, tmp_path):
    """Two memories in one wrapper: the layer in it alone is none that could be run in its place."""
    model = DATA / "graph" / "tf1.15" / "two_memories" / "model.ckpt"
    np.save(tmp_path / "x.npy", np.zeros((2, 5, 8), "f4"))
    done = run("verify", model, "--input", tmp_path / "x.npy")
    assert done.status == 2
    assert "does not show how it runs these layers" in done.err
    assert "`rnnprobe inspect` says why; `rnnprobe trace --engine original` records the graph's own loops" in done.err
    said = " ".join(run("inspect", model).out.split())
    assert "its mechanisms attend to different memories" in said
