from __future__ import annotations

import json

import pytest

from ..conftest import DATA

TF1 = DATA / "conformance" / "tf1.15" / "lstm_full"


def test_words_and_numbers(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    done = run("shapes", TF1, "--json")
    assert done.status == 0
    case = json.loads((TF1 / "case.json").read_text())
    found = {row["tensor"]: row for row in json.loads(done.out)["shapes"]}
    assert {name: row["shape"] for name, row in found.items()} == case["vars"]
    kernel = next(row for row in found.values() if row["role"] == "kernel")
    assert kernel["formulas"] == ["input_size + output_size", "4 · units"]
    text = run("shapes", TF1).out
    assert "(input_size + output_size) × 4 · units" in text
    assert "the whole file" in text


def test_the_totals_are_those_of_the_file(run):
    found = json.loads(run("shapes", TF1, "--json").out)
    totals = {row["group"]: row for row in found["totals"]}
    whole = totals.pop("the whole file")
    assert sum(row["parameters"] for row in totals.values()) == whole["parameters"]


def test_corpus_without_data_has_shapes(run, corpus):
    done = run("shapes", corpus / "htr-no-data" / "model" / "model")
    assert done.status == 0
    assert "512 × 1024" in done.out
    assert "missing" in done.out


@pytest.mark.parametrize("name", ["t2t-shards/tests/models/decode", "degas-cnn/models"])
def test_corpus_with_nothing_recurrent(run, corpus, name):
    path = next((folder for folder in (corpus / name).rglob("*") if (folder / "variables").is_dir()), corpus / name)
    done = run("shapes", path)
    assert done.status == 0
    assert "no recurrent layer was found" in done.out
