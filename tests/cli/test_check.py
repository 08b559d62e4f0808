from __future__ import annotations

import json
import tomllib
from xml.etree import ElementTree as ET

import pytest

from ..checks import models
from ..checks.models import CELL_0, CELL_1


@pytest.fixture
def pair(run, tmp_path):
    """A model, one that differs in softmax_b, and the specification of the first."""
    good = models.bundle(tmp_path / "good", models.stack())
    arrays = models.stack()
    arrays["softmax_b"] = arrays["softmax_b"][:-1]
    bad = models.bundle(tmp_path / "bad", arrays)
    assert run("shapes", good, "--save", tmp_path / "spec.toml").status == 0
    return good, bad, tmp_path / "spec.toml"


def test_what_is_saved(pair):
    saved = tomllib.loads(pair[2].read_text())
    assert saved["sizes"] == {"width_1": 4, "embedding_1": 5}
    assert saved["checkpoint"]["layers"] == 2
    first, second = saved["layer"]
    assert (first["name"], first["units"], first["input_size"]) == (CELL_0, "width_1", "embedding_1")
    assert (second["name"], second["units"], second["input_size"]) == (CELL_1, 6, "width_1")
    assert first["shapes"] == {"kernel": ["input_size + units", "4 * units"], "bias": ["4 * units"]}
    assert [tensor["name"] for tensor in saved["tensor"]] == ["embedding", "softmax_b", "softmax_w"]


def test_statuses_and_text(run, pair):
    good, bad, spec = pair
    done = run("check", good, spec)
    assert (done.status, done.err) == (0, "")
    assert "yes" in done.out
    done = run("check", good, bad, spec)
    assert done.status == 1
    assert done.err.startswith(f"rnnprobe: {bad}: softmax_b: shape: expected 11; found 10, and 2 more")
    assert "softmax_b" in done.out
    assert "NO" in done.out
    assert "good/m" in done.out


def test_json(run, pair):
    good, bad, spec = pair
    found = json.loads(run("check", good, bad, spec, "--format", "json").out)
    assert found["schema"] == "rnnprobe/check/1"
    assert [(one["model"], one["holds"], one["errors"], one["warnings"]) for one in found["models"]] == [
        (str(good), True, 0, 0),
        (str(bad), False, 3, 0),
    ]
    shape = next(one for one in found["findings"] if one["rule"] == "shape")
    assert (shape["tensor"], shape["layer"], shape["expected"], shape["found"]) == ("softmax_b", None, "11", "10")
    assert shape["specification"] == str(spec)
    assert spec.read_text().splitlines()[shape["line"] - 1] == "shape = [11]"


def test_against_another_model(run, pair):
    good, bad, spec = pair
    assert run("check", good, "--against", good).status == 0
    done = run("check", bad, "--against", good, "--json")
    assert done.status == 1
    found = json.loads(done.out)["findings"]
    assert {one["rule"] for one in found} == {"parameters", "bytes", "shape"}
    assert {one["line"] for one in found} == {None}
    assert run("check", bad, spec, "--against", good).status == 2


@pytest.mark.parametrize("form", ["text", "json", "junit", "github", "markdown"])
def test_every_format_on_stdout(run, pair, form):
    good, bad, spec = pair
    done = run("check", good, bad, spec, "--format", form)
    assert done.status == 1
    assert "softmax_b" in done.out.replace("&#95;", "_")


def test_every_format_in_a_file(run, pair, tmp_path):
    good, bad, spec = pair
    forms = {"r.txt": "text", "r.json": "json", "r.xml": "junit", "r.md": "markdown"}
    outputs = [word for name in forms for word in ("-o", tmp_path / name)]
    done = run("check", good, bad, spec, "--format", "github", *outputs)
    assert done.status == 1
    assert done.out.startswith("::notice ")
    for name, form in forms.items():
        assert (tmp_path / name).read_text() == run("check", good, bad, spec, "--format", form).out
    assert ET.parse(tmp_path / "r.xml").getroot().tag == "testsuites"
    assert run("check", good, spec, *outputs).status == 2
    assert run("check", good, spec, *outputs, "--force").status == 0


def test_places_that_can_not_be_written(run, pair, tmp_path):
    good, _, spec = pair
    done = run("check", good, spec, "-o", tmp_path / "r.pdf")
    assert done.status == 2
    assert ".xml" in done.err
    assert run("check", good, spec, "-o", tmp_path / "none" / "r.xml").status == 5
    (tmp_path / "s.txt").symlink_to(spec)
    assert run("check", good, spec, "-o", tmp_path / "s.txt", "--force").status == 5
    assert spec.read_text().startswith("# What")


def test_levels(run, pair):
    _, bad, spec = pair
    text = spec.read_text().replace("[checkpoint]", '[checkpoint]\nlevel = "warning"')
    spec.write_text(text.replace('name = "softmax_b"', 'name = "softmax_b"\nlevel = "warning"'))
    done = run("check", bad, spec, "--json")
    assert done.status == 0
    assert json.loads(done.out)["models"][0]["warnings"] == 3
    assert run("check", bad, spec, "--fail-on", "warning").status == 1


@pytest.mark.parametrize(
    "arguments",
    [["m"], [], ["m", "s.toml", "--json", "--format", "junit"], ["m", "s.toml", "--fail-on", "never"]],
)
def test_bad_usage(run, arguments):
    done = run("check", *arguments)
    assert done.status == 2
    assert done.out == ""


def test_a_model_that_can_not_be_read(run, pair, tmp_path):
    good, _, spec = pair
    assert run("check", good, tmp_path / "none", spec).status == 2
    index = good.with_name("m.index")
    index.write_bytes(index.read_bytes()[:-7])
    done = run("check", good, spec)
    assert done.status == 2
    assert "m.index" in done.err


def test_damaged_values_are_no_finding(run, pair):
    """The check can't say anything of what it can't read: status 2, as everywhere."""
    good, _, spec = pair
    data = good.with_name("m.data-00000-of-00001")
    held = bytearray(data.read_bytes())
    held[5] ^= 1
    data.write_bytes(held)
    assert run("check", good, spec).status == 0
    spec.write_text(f'version = 1\n[[layer]]\nname = "{CELL_0}"\nfinite = true\n')
    done = run("check", good, spec)
    assert done.status == 2
    assert "CRC32C" in done.err


def test_some_layers_alone_are_saved(run, pair, tmp_path):
    good, bad, _ = pair
    spec = tmp_path / "one.toml"
    assert run("shapes", good, "--layer", "cell_1", "--save", spec).status == 0
    saved = tomllib.loads(spec.read_text())
    assert [layer["name"] for layer in saved["layer"]] == [CELL_1]
    assert "tensor" not in saved
    assert "checkpoint" not in saved
    assert run("check", bad, spec).status == 0


def test_saving_refuses_what_it_should(run, pair, tmp_path):
    good, _, spec = pair
    assert run("shapes", good, "--save", spec).status == 2
    assert run("shapes", good, "--save", spec, "--force").status == 0
    assert run("shapes", good, "--save", tmp_path / "spec.yaml").status == 2
    assert run("shapes", good, "--values").status == 2
    assert run("shapes", good, "--save", tmp_path / "none" / "spec.toml").status == 5
    arrays = models.stack()
    arrays[f"{CELL_0}/kernel"][0, 0] = float("nan")
    done = run("shapes", models.bundle(tmp_path / "nan", arrays), "--save", tmp_path / "nan.toml", "--values")
    assert done.status == 2
    assert f"{CELL_0}/kernel" in done.err
    assert not (tmp_path / "nan.toml").exists()


def test_a_cell_that_is_told(run, tmp_path):
    """A scope of a name of its own: --cell says what it is, for the specification and for the check."""
    stack = models.stack()
    arrays = {f"rnn/my_cell/{name}": stack[f"{CELL_0}/{name}"] for name in ("kernel", "bias")}
    model = models.bundle(tmp_path, arrays)
    spec = tmp_path / "spec.toml"
    assert run("shapes", model, "--cell", "basic_lstm", "--save", spec).status == 0
    assert run("check", model, spec, "--cell", "basic_lstm").status == 0
    done = run("check", model, spec, "--json")
    assert done.status == 1
    found = next(one for one in json.loads(done.out)["findings"] if one["rule"] == "cell")
    assert "--cell settles it" in found["found"]


@pytest.mark.parametrize("name", ["char_lstm", "bilstm_source.h5", "gru_digits.keras", "dates.keras"])
@pytest.mark.parametrize("values", [[], ["--values"]], ids=["headers", "values"])
def test_the_samples_meet_what_was_saved_of_them(run, samples, tmp_path, name, values):
    spec = tmp_path / "spec.toml"
    assert run("shapes", samples / name, "--save", spec, *values).status == 0
    done = run("check", samples / name, spec, "--fail-on", "warning")
    assert done.status == 0, done.out


CORPUS = [
    "shakespeare/pretrained_shakespeare/best_model",
    "char-rnn-tf10/save",
    "char-rnn-tf012/save/model.ckpt-22299",
    "rl-tuner/magenta/models/rl_tuner/testdata/model.ckpt-1994",
    "g2p-tf11/tests/models/decode/model.ckpt-0",
    "predictive-maintenance/Output/regression_model.h5",
    "rasa/models/dialogue/policy_1_KerasPolicy/keras_model.h5",
    "emg-gru/gru_model.keras",
    "rnnoise/training/weights.hdf5",
    "chem/experiments/2020-03-24/LSTM_Chem/checkpoints/LSTM_Chem-19-0.45.hdf5",
    "textgenrnn/textgenrnn/textgenrnn_weights.hdf5",
    "music-tagger/data/music_tagger_crnn_weights_tensorflow.h5",
    "kws/Pretrained_models/LSTM/LSTM_S.pb",
    "kws/Pretrained_models/GRU/GRU_S.pb",
    "mnist-rows/tests/models/gru",
    "thai-segmentation/saved_model",
    "md-training/training_checkpoints/ckpt_1",
    "sonnet/sonnet/src/conformance/checkpoints/lstm_8_projected_1/checkpoint-1",
    "sonnet/sonnet/src/conformance/checkpoints/conv2d_lstm_3x3_2x2/checkpoint-1",
    "htr-no-data/model/model",
    "t2t-shards/tests/models/decode",
]


@pytest.mark.parametrize("path", CORPUS)
def test_published_models_meet_what_was_saved_of_them(run, corpus, tmp_path, path):
    spec = tmp_path / "spec.toml"
    values = [] if "no-data" in path else ["--values"]
    saved = run("shapes", corpus / path, "--save", spec, *values)
    assert saved.status == 0, saved.err
    done = run("check", corpus / path, spec, "--fail-on", "warning")
    assert done.status == 0, done.out


NAMES = [
    "\x1b[31mred",
    "a\r\n::error::b",
    "]]></x>",
    "[/red] [bold]",
    "=1+1|`<b>",
    "\u202eevil",
    "é\u0085",
    "long" * 5000,
]


def test_hostile_names_are_inert_everywhere(run, tmp_path):
    """Saved, read back and met; and in every report on a model that lacks them no control character comes out."""
    names = [name for pair in zip(NAMES, NAMES[1:] + NAMES[:1]) for name in pair]
    tensors = {f"x{number}{name}": models.stack()["softmax_b"] for number, name in enumerate(names)}
    scope = f"rnn/{NAMES[0]}{NAMES[1]}/basic_lstm_cell"
    layer = {f"{scope}/{name}": models.stack()[f"{CELL_0}/{name}"] for name in ("kernel", "bias")}
    model = models.bundle(tmp_path / "odd", {**models.stack(), **tensors, **layer})
    spec = tmp_path / "spec.toml"
    assert run("shapes", model, "--save", spec, "--values").status == 0
    done = run("check", model, spec)
    assert done.status == 0, done.out
    plain = models.bundle(tmp_path / "plain", models.stack())
    for form in ("text", "json", "junit", "github", "markdown"):
        done = run("check", plain, spec, "--format", form)
        assert done.status == 1
        text = done.out + done.err
        assert not any(char in text for char in "\x1b\r\u202e\u0085")
        assert "\n::error::b" not in text
