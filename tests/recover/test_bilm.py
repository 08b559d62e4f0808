"""ELMo's language model as bilm-tf dumps it: an HDF5 file of TensorFlow variables, and an options file beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import rnnprobe
from rnnprobe.cells.slices import assemble
from rnnprobe.types import Network

CLIPPED = {"cell_clip": 0.2, "proj_clip": 0.1, "use_skip_connections": True}


def dump(path: Path, ways: int = 2, prefix: str = "RNN") -> Path:
    random = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        for way in range(ways):
            for level in range(2):
                group = file.create_group(f"{prefix}_{way}/RNN/MultiRNNCell/Cell{level}/LSTMCell")
                for name, shape in {"W_0": (6, 16), "B": (16,), "W_P_0": (4, 3)}.items():
                    group[name] = random.normal(0, 0.7, shape).astype("f")
        file["char_embed"] = np.zeros((261, 4), "f")
    return path


def options(path: Path, **lstm: Any) -> Path:
    path.write_text(json.dumps({"lstm": {"dim": 4, "projection_dim": 3, "n_layers": 2, **lstm}}))
    return path


def told(network: Network, option: str) -> list[tuple[Any, str]]:
    return [(layer.options[option].value, layer.options[option].evidence) for layer in network.layers]


@pytest.mark.parametrize("name", ["options.json", "elmo_4_3_options.json"])
def test_the_options_beside_it_are_read(tmp_path: Path, name: str) -> None:
    options(tmp_path / name, **CLIPPED)
    network = rnnprobe.open(dump(tmp_path / "elmo_4_3_weights.hdf5"))
    assert told(network, "cell_clip") == [(0.2, "config")] * 4
    assert told(network, "proj_clip") == [(0.1, "config")] * 4
    assert told(network, "residual") == [(False, "config"), (True, "config")] * 2
    assert told(network, "forget_bias") == [(1.0, "assumed")] * 4
    assert network.checkpoint.files[-1].name == name
    assert any("not rebuilt" in note and "characters" in note for note in network.notes)


def test_one_input_is_read_in_both_directions(tmp_path: Path) -> None:
    network = rnnprobe.open(dump(tmp_path / "lm_weights.hdf5"))
    assert [layer.direction for layer in network.layers] == ["forward"] * 2 + ["backward"] * 2
    trace = rnnprobe.trace(network, np.ones((1, 4, 3), "f"), record="h")
    assert set(trace.layers) == {layer.name for layer in network.layers}


def test_it_computes_what_the_options_say(tmp_path: Path) -> None:
    options(tmp_path / "options.json", **CLIPPED)
    network = rnnprobe.open(dump(tmp_path / "lm_weights.hdf5"))
    x = np.random.default_rng(3).normal(size=(2, 5, 3)).astype("f")
    trace = rnnprobe.trace(network, x, record="all")
    for way, turn in ((0, slice(None)), (1, slice(None, None, -1))):
        entering = x[:, turn].astype(float)
        for level in range(2):
            layer = network[f"RNN_{way}/RNN/MultiRNNCell/Cell{level}/LSTMCell"]
            w = {part: np.asarray(a, float) for part, a in assemble(layer).items()}
            h, c, found = np.zeros((2, 3)), np.zeros((2, 4)), []
            for t in range(5):
                total = entering[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
                i, f, g, o = np.split(total, 4, axis=-1)
                c = np.clip(_sigmoid(f + 1) * c + _sigmoid(i) * np.tanh(g), -0.2, 0.2)
                h = np.clip(_sigmoid(o) * np.tanh(c) @ w["projection"], -0.1, 0.1)
                found.append(h)
            expected = np.stack(found, 1)
            np.testing.assert_allclose(trace.layers[layer.name].signals["h"], expected[:, turn], atol=1e-6)
            entering = expected


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def test_without_options_it_is_said_what_is_not_known(tmp_path: Path) -> None:
    network = rnnprobe.open(dump(tmp_path / "lm_weights.hdf5"))
    assert told(network, "cell_clip") == [(None, "assumed")] * 4
    assert any("options file, which is not there" in note for note in network.notes)


def test_the_user_may_name_the_options(tmp_path: Path) -> None:
    where = options(tmp_path / "elsewhere.json", cell_clip=5)
    network = rnnprobe.open(dump(tmp_path / "lm_weights.hdf5"), config=where)
    assert told(network, "cell_clip") == [(5.0, "config")] * 4
    assert told(network, "proj_clip") == [(None, "config")] * 4


def test_options_of_another_model_are_left_out_or_refused(tmp_path: Path) -> None:
    where = options(tmp_path / "options.json", dim=4096, projection_dim=512, cell_clip=3)
    path = dump(tmp_path / "lm_weights.hdf5")
    network = rnnprobe.open(path)
    assert told(network, "cell_clip") == [(None, "assumed")] * 4
    assert any("options.json beside it is left out: it says dim 4096" in note for note in network.notes)
    with pytest.raises(rnnprobe.RnnprobeError, match="dim 4096 and projection_dim 512"):
        rnnprobe.open(path, config=where)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no options of a bilm-tf model"),
        ("{", "no valid JSON"),
        ('{"lstm": {"dim": 4}}', "does not tell dim and projection_dim"),
        ('{"lstm": {"dim": 4, "projection_dim": 3, "cell_clip": -1}}', "cell_clip is -1, expected a number above 0"),
        ('{"lstm": {"dim": 4, "projection_dim": 3, "proj_clip": NaN}}', "proj_clip is nan, expected a number above 0"),
        ('{"lstm": {"dim": 4, "projection_dim": 3, "use_skip_connections": 1}}', "expected true or false"),
    ],
)
def test_damaged_options_are_refused_where_they_are_asked_for(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "options.json").write_text(text)
    path = dump(tmp_path / "lm_weights.hdf5")
    with pytest.raises(rnnprobe.RnnprobeError, match=said) as caught:
        rnnprobe.open(path, config=tmp_path / "options.json")
    assert caught.value.path == tmp_path / "options.json"
    (note,) = (note for note in rnnprobe.open(path).notes if "is left out" in note)
    assert said in note


def test_scopes_of_other_names_are_no_such_model(tmp_path: Path) -> None:
    network = rnnprobe.open(dump(tmp_path / "weights.hdf5", prefix="stack"))
    assert {layer.direction for layer in network.layers} == {"forward"}
