from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ..conftest import SAMPLES
from . import models
from .models import CELL_0, CELL_1


@pytest.fixture
def golden(run, tmp_path):
    """A folder with a model, an input, the trace of it, and a specification that speaks of them."""
    ids = np.random.default_rng(3).integers(0, 11, (3, 6))
    np.save(tmp_path / "x.npy", ids)
    model = models.bundle(tmp_path / "model", models.stack())
    done = run("trace", model, "--input", tmp_path / "x.npy", "--record", "states,gates", "-o", tmp_path / "trace.h5")
    assert done.status == 0, done.err
    lines = ["version = 1", "[[golden]]", 'name = "three"', 'input = "x.npy"', 'trace = "trace.h5"']
    (tmp_path / "spec.toml").write_text("\n".join(lines) + "\n")
    return tmp_path


def findings(run, model, spec, *more):
    done = run("check", model, spec, "--golden", "--json", *more)
    assert done.status in (0, 1), done.err
    return json.loads(done.out)["findings"]


def changed(golden, name, place, amount):
    arrays = models.stack()
    arrays[name][place] += np.float32(amount)
    return models.bundle(golden / "after", arrays)


def test_the_model_as_it_was(run, golden):
    done = run("check", golden / "model" / "m", golden / "spec.toml", "--golden")
    assert done.status == 0, done.out
    assert "not run" not in done.out


def test_it_is_not_run_unasked(run, golden):
    model = changed(golden, f"{CELL_1}/bias", 0, 1)
    done = run("check", model, golden / "spec.toml")
    assert done.status == 0
    assert "1 [[golden]] not run: --golden runs them" in done.out


def test_the_first_step_layer_gate_and_unit(run, golden):
    """The bias of o, unit 3, of the second layer: o is off before h is, and no gate of the first layer is."""
    model = changed(golden, f"{CELL_1}/bias", 18 + 3, 0.5)
    (found,) = findings(run, model, golden / "spec.toml")
    assert (found["rule"], found["layer"], found["what"]) == ("golden", CELL_1, "o")
    assert "first at sequence 0 (0), step 0, unit 3:" in found["found"]
    assert found["line"] == 2


def test_an_embedding_row_that_comes_up_late(run, golden):
    """The step at which an id is first read is the first that differs, in the first layer."""
    ids = np.load(golden / "x.npy")
    first = {int(token): min(np.argwhere(ids == token)[:, 1]) for token in np.unique(ids)}
    token, step = max(first.items(), key=lambda pair: pair[1])
    assert step > 0
    (found,) = findings(run, changed(golden, "embedding", (token,), 1), golden / "spec.toml")
    assert found["layer"] == CELL_0
    assert f"step {step}, unit " in found["found"]


def test_tolerances(run, golden):
    model = changed(golden, f"{CELL_1}/bias", 18 + 3, 1e-3)
    spec = golden / "spec.toml"
    assert findings(run, model, spec)
    text = spec.read_text()
    spec.write_text(text + "tolerance = 0.1\n")
    assert not findings(run, model, spec)
    spec.write_text(text + "tolerance = 0.1\ntolerances = {o = 1e-6}\n")
    (found,) = findings(run, model, spec)
    assert found["what"] == "o"
    assert "1 signal of 12 beyond" in found["found"]


def test_an_input_of_other_lengths(run, golden):
    np.save(golden / "x.npy", np.zeros((3, 5), int))
    (found,) = findings(run, golden / "model" / "m", golden / "spec.toml")
    assert found["found"] == "the input has 3 sequences of 15 steps, and the trace 3 sequences of 18 steps"


def test_a_layer_lost_and_an_input_that_does_not_fit(run, golden):
    arrays = models.stack()
    wider = {**arrays, "embedding": np.ones((3, 5), "f4")}
    (found,) = findings(run, models.bundle(golden / "a", wider), golden / "spec.toml")
    assert "it can't be run" in found["found"]
    fewer = {name: array for name, array in arrays.items() if not name.startswith(CELL_1)}
    (found,) = findings(run, models.bundle(golden / "b", fewer), golden / "spec.toml")
    assert (found["layer"], found["found"]) == (CELL_1, "no such layer")


def test_a_layer_of_another_width(run, golden):
    arrays = models.stack()
    arrays |= {f"{CELL_1}/kernel": np.ones((9, 20), "f4"), f"{CELL_1}/bias": np.ones(20, "f4")}
    (found,) = findings(run, models.bundle(golden / "narrow", arrays), golden / "spec.toml")
    assert found["found"] == f"{CELL_1} c has [5] a step, and [6] in the trace"


@pytest.mark.parametrize("name", ["trace.h5", "x.npy"])
def test_a_file_that_is_missing(run, golden, name):
    (golden / name).unlink()
    done = run("check", golden / "model" / "m", golden / "spec.toml", "--golden", "--json")
    assert done.status == 2
    assert name in done.err


def test_two_inputs_a_mask_and_the_model_s_own_output(run, tmp_path):
    """The sample that translates dates: `NAME=FILE` inputs, padding, initial states, an output."""
    shutil.copy(SAMPLES / "dates.npz", tmp_path)
    done = run(
        "trace",
        SAMPLES / "dates.keras",
        "--input",
        tmp_path / "dates.npz",
        "--record",
        "h,output",
        "-o",
        tmp_path / "t.h5",
    )
    assert done.status == 0, done.err
    spec = tmp_path / "spec.toml"
    spec.write_text('version = 1\n[[golden]]\ninput = "dates.npz"\ntrace = "t.h5"\n')
    assert findings(run, SAMPLES / "dates.keras", spec) == []


def test_backward_layers(run, tmp_path):
    x = tmp_path / "x.npy"
    shutil.copy(SAMPLES / "bilstm_source.npy", x)
    model = models.hdf5(tmp_path)
    assert run("trace", model, "--input", x, "-o", tmp_path / "t.npz").status == 0
    spec = tmp_path / "spec.toml"
    spec.write_text('version = 1\n[[golden]]\ninput = "x.npy"\ntrace = "t.npz"\n')
    assert findings(run, model, spec) == []
