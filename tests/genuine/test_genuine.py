"""Models of every kind, made and run by each release of Keras: the user gives the model's own input, and rnnprobe
computes what Keras computed, each recurrent layer's h at every step and the model's final output.

`generate.py` made the data and says what is in it.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnprobe

from ..same import Once

HERE = Path(__file__).parent
INDEX: dict[str, dict[str, list[str]]] = json.loads((HERE / "data" / "index.json").read_text())
FILES = sorted(
    ((release, case, file) for release, cases in INDEX.items() for case, files in cases.items() for file in files),
    key=lambda row: row[1],  # files of one model side by side: many hold the same network
)
REFUSED = {"lambda_between": "Lambda", "custom_between": "Doubling"}
UNKNOWN = {"activation_sparsemax": "sparsemax"}
UNTOLD = ("keras1.2.2", "convlstm_strides")
"""Keras 1 stored no strides of a ConvLSTM2D."""
TOLERANCE = 1e-5

Case = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The folder of a case, its release's archive unpacked when it is first asked for."""
    root = tmp_path_factory.mktemp("genuine")

    def folder(release: str, name: str) -> Path:
        if not (root / release).exists():
            with tarfile.open(HERE / "data" / f"{release}.tar.xz", "r:xz") as archive:
                archive.extractall(root / release, filter="data")
        return root / release / name

    return folder


@pytest.fixture(scope="module")
def traced() -> Once:
    return Once()


def opened(folder: Path, file: str) -> Any:
    """The network of a file; weights that came without a configuration get the one stored beside them."""
    alone = file in ("weights.h5", "model.weights.h5")
    return rnnprobe.open(folder / file, config=folder / "model.json" if alone else None)


def expected_of(folder: Path) -> dict[str, Any]:
    with np.load(folder / "expected.npz") as stored:
        return dict(stored)


def below(found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {key.partition("/")[2]: array for key, array in found.items() if key.startswith(f"{kind}/")}


def close(got: Any, expected: Any, what: str) -> None:
    got = np.asarray(got)
    assert got.shape == expected.shape, what
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE, err_msg=what)


def own_input(expected: Mapping[str, Any]) -> Any:
    """The model's own input, as a user gives it: an array, or one for each of several inputs."""
    x = below(expected, "x")
    return x if len(x) > 1 else next(iter(x.values()))


@pytest.mark.parametrize(
    ("release", "name", "file"), [row for row in FILES if row[:2] != UNTOLD and row[1] not in {*REFUSED, *UNKNOWN}]
)
def test_computes_what_keras_computed(case: Case, traced: Once, release: str, name: str, file: str) -> None:
    folder = case(release, name)
    expected, network = expected_of(folder), opened(folder, file)
    hidden, outputs, valid = (below(expected, kind) for kind in ("h", "y", "valid"))
    assert {layer.name for layer in network.layers} == hidden.keys()
    trace = traced(network, own_input(expected), layers=list(hidden), record="all,output")
    for layer, h in hidden.items():
        got, where = np.asarray(trace.layers[layer].signals["h"]), valid.get(layer, np.ones(h.shape[:2], bool))
        if name == "convlstm_channels_first":  # a trace has the units last, whatever the layer's own order
            h = np.moveaxis(h, 2, -1)
        assert got.shape == h.shape, layer
        close(got[where], h[where], f"h of {layer}")
    assert len(trace.outputs) == len(outputs)
    for (key, y), (called, got) in zip(sorted(outputs.items()), trace.outputs.items()):
        assert key.partition("/")[2].removesuffix("_1") == called.removesuffix("_1"), list(trace.outputs)
        close(got, y, f"output {called}")


@pytest.mark.parametrize(("release", "name", "file"), [row for row in FILES if row[1] in REFUSED])
def test_what_nobody_can_rebuild_is_named(case: Case, release: str, name: str, file: str) -> None:
    """A Lambda or a class of the user's own: named by name and class, and told how to go on; the rest runs."""
    folder = case(release, name)
    expected, network = expected_of(folder), opened(folder, file)
    culprit = str(expected["refused"])
    hidden = below(expected, "h")
    before, after = hidden
    assert {layer.name for layer in network.layers} == {before, after}
    assert any(culprit in note and REFUSED[name] in note for note in network.notes), network.notes
    for layers, record in (([before, after], "h"), ([before], "h,output")):
        with pytest.raises(rnnprobe.RnnprobeError) as caught:
            rnnprobe.trace(network, own_input(expected), layers=layers, record=record)
        said = f"{caught.value} {caught.value.hint}"
        assert culprit in said
        assert "--layer" in said or "output" in record
        assert caught.value.status in (2, 3)
    alone = rnnprobe.trace(network, own_input(expected), layers=[before])
    close(alone.layers[before].signals["h"], hidden[before], "h before it")
    (own,) = below(expected, "own").values()
    given = rnnprobe.trace(network, own, layers=[after], own_input=True)
    close(given.layers[after].signals["h"], hidden[after], "h behind it, from its own input")


@pytest.mark.parametrize(("release", "name", "file"), [row for row in FILES if row[1] in UNKNOWN])
def test_an_activation_that_is_not_rebuilt_is_named(case: Case, release: str, name: str, file: str) -> None:
    network = opened(case(release, name), file)
    assert any(UNKNOWN[name] in candidate.reason for candidate in network.candidates)


def test_strides_that_a_file_does_not_tell_are_assumed_or_said(case: Case) -> None:
    folder = case(*UNTOLD)
    network = opened(folder, "model.h5")
    assert {layer.options["strides"].evidence for layer in network.layers} == {"assumed"}
    below_it, last = below(expected_of(folder), "h").items()
    told = rnnprobe.open(folder / "model.h5", strides=2)
    trace = rnnprobe.trace(told, below_it[1], layers=[last[0]], own_input=True, record="h")
    # A BatchNormalization stands between, so that the numbers are others.
    assert trace.layers[last[0]].signals["h"].shape == last[1].shape


def test_every_release_and_every_kind_of_model_is_held() -> None:
    """What was generated once is not lost unnoticed, and every archive is in the index."""
    assert {path.name.removesuffix(".tar.xz") for path in (HERE / "data").glob("*.tar.xz")} == INDEX.keys()
    assert sum(path.stat().st_size for path in (HERE / "data").iterdir()) < 1_600_000
    majors = {release.replace("tf_keras-", "tf.keras-").partition(".")[0] for release in INDEX}
    assert majors >= {"keras1", "keras2", "keras3", "tf"}
    kinds = {file for _, _, file in FILES}
    assert kinds >= {"model.h5", "model.keras", "weights.h5", "model.weights.h5", "saved_model"}
    text = (HERE / "models.py").read_text()
    defined = {line.split()[1].partition("(")[0] for line in text.splitlines() if line.startswith("def ")}
    held = {name for cases in INDEX.values() for name in cases}
    helpers = {"case", "both_directions", "translator", "known", "cudnn_stand_in", "without_cudnn", "values", "weights"}
    assert defined - helpers <= held
