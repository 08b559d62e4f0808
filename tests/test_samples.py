"""What each sample model must yield, and what damage to it must end in: the rows of `sample_models/manifest.json`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnprobe

from .conftest import SAMPLES

MANIFEST = json.loads((SAMPLES / "manifest.json").read_text())
MODELS = pytest.mark.parametrize("row", MANIFEST["models"], ids=lambda row: row["model"])
REBUILT, FOREIGN = (
    pytest.mark.parametrize(
        "row", [row for row in MANIFEST["models"] if ("recurrences" in row) == foreign], ids=lambda row: row["model"]
    )
    for foreign in (False, True)
)


@MODELS
def test_what_is_recovered(row):
    network = rnnprobe.open(SAMPLES / row["model"])
    checkpoint = network.checkpoint
    assert (checkpoint.format, checkpoint.writer) == (row["format"], row["writer"])
    assert [
        {
            "name": layer.name,
            "cell": layer.cell.name,
            "input_size": layer.input_size,
            "units": layer.units,
            "direction": layer.direction,
            "reads": ", ".join(layer.feed.sources),
            **({"mask": layer.feed.mask.value} if layer.feed.mask else {}),
            **(
                {"initial": {s: {"reads": f.sources[0], "final": f.final} for s, f in layer.initial.items()}}
                if layer.initial
                else {}
            ),
        }
        for layer in network.layers
    ] == row["layers"]
    for layer in network.layers:
        for name, option in row["options"].items():
            assert (layer.options[name].value, layer.options[name].evidence) == (option["value"], option["evidence"])
    assert [
        {"name": e.name, "vocabulary": e.table.shape[0], "size": e.table.shape[1]} for e in network.embeddings
    ] == row["embeddings"]
    assert sorted(checkpoint.set_apart) == sorted(row["set_apart"])
    assert set(row["other"]) <= set(checkpoint.weights)


@FOREIGN
def test_recurrences_that_nothing_rebuilds_agree_with_the_framework_that_made_them(row):
    expected = np.load(SAMPLES / row["expected"])
    trace = rnnprobe.trace(SAMPLES / row["model"], expected["ids"], tensors=list(row["tensors"].values()))
    assert [layer.name for layer in trace.layers.values()] == [one["name"] for one in row["recurrences"]]
    for one in row["recurrences"]:
        layer = trace.layers[one["name"]]
        assert layer.attributes["title"] == one["kind"]
        assert sorted(list(array.shape[1:]) for array in layer.final.values()) == sorted(one["states"])
        recorded = [np.asarray(array) for array in layer.signals.values()]
        for name in ("c", "h", "window", *row["tensors"]):
            near = [np.abs(array - expected[name]).max() for array in recorded if array.shape == expected[name].shape]
            assert min(near) <= row["tolerance"], name


@REBUILT
def test_agrees_with_the_framework_that_made_it(row):
    expected = np.load(SAMPLES / row["expected"])
    if "inputs" in row:
        x, lengths = {entry["name"]: expected[entry["name"]] for entry in row["inputs"]}, None
    else:
        x, lengths = expected["ids" if row["embeddings"] else "input"], expected["lengths"]
    trace = rnnprobe.trace(
        SAMPLES / row["model"], x, lengths=lengths, record="states,gates,output" if "outputs" in row else "states,gates"
    )
    for output in row.get("outputs", ()):
        got = np.asarray(trace.outputs[output["name"]])
        assert np.abs(got - expected[f"output/{output['name']}"]).max() <= row["tolerance"]
    for key in expected.files:
        kind, _, layer = key.partition("/")
        if not layer or layer not in trace.layers:
            continue
        recorded = trace.layers[layer]
        got = np.asarray(recorded.final[kind[-1]] if kind.startswith("final") else recorded.signals[kind])
        known = ~np.isnan(expected[key])
        limit = row["tolerance"] * max(1.0, np.abs(expected[key][known]).max())
        np.testing.assert_allclose(got[known], expected[key][known], rtol=0, atol=limit, err_msg=key)
        assert known.any()


def _spoil(path: Path, change: dict[str, Any]) -> None:
    if "truncate" in change:
        path.write_bytes(path.read_bytes()[: change["truncate"]])
    elif "write" in change:
        stored = bytearray(path.read_bytes())
        new = bytes.fromhex(change["write"]["hex"])
        stored[change["write"]["offset"] : change["write"]["offset"] + len(new)] = new
        path.write_bytes(stored)
    elif "replace" in change:
        path.write_text(path.read_text().replace(*change["replace"]))
    else:
        assert change == {"remove": True}
        path.unlink()


def _words(row: dict[str, Any], folder: Path) -> list[str]:
    """The arguments that a row of malformed input names."""
    given = row["input"]
    words = [str(SAMPLES / given["model"]), "--input"]
    if "array" in given:
        np.save(folder / "x.npy", np.zeros(given["array"]["shape"], given["array"]["dtype"]))
        return [*words, str(folder / "x.npy")]
    if "ids" in given:
        np.save(folder / "x.npy", np.array(given["ids"]))
        return [*words, str(folder / "x.npy")]
    (folder / "x.txt").write_text(given["text"], encoding="utf-8")
    return [*words, str(folder / "x.txt"), "--vocab", str(SAMPLES / given["vocabulary"])]


@pytest.mark.parametrize("row", MANIFEST["malformed"], ids=lambda row: row["name"])
def test_malformed(row, tmp_path, run):
    if "input" in row:
        commands = {"trace": _words(row, tmp_path)}
    else:
        shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("makers", "*.py"))
        _spoil(tmp_path / "samples" / row["file"], row["change"])
        commands = {name: [str(tmp_path / "samples" / row["open"])] for name in row["status"]}
    for name, words in commands.items():
        done = run(name, *words)
        assert done.status == row["status"][name], (name, done.err)
        if done.status:
            assert row["says"] in done.err
            assert done.out == ""
