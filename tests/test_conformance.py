"""The conformance rows as a test, and a golden of a genuine framework for every registered cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import rnnprobe
from rnnprobe.cells import CELLS

from .conformance import case_rows, keras_files, tensorflow_files
from .conftest import DATA

CASES = sorted(path.parent for folder in ("conformance", "keras") for path in (DATA / folder).glob("*/*/case.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_agrees_with_the_genuine_framework(case):
    for row in case_rows(case):
        assert row.result == "ok", str(row)
        assert row.compared, f"nothing was compared: {row}"


def test_no_cell_lacks_a_golden():
    held = {
        layer.cell.name
        for case in CASES
        for file in tensorflow_files(case) or keras_files(case)
        for layer in rnnprobe.open(file).layers
    }
    assert held == {cell.name for cell in CELLS}


def test_no_kind_of_keras_file_lacks_a_golden():
    held = {file.name for case in CASES for file in keras_files(case)}
    assert held >= {"model.h5", "weights_only.h5", "m.keras", "model.weights.h5", "w.weights.h5"}


@pytest.mark.skipif("RNNPROBE_CONFORMANCE" not in os.environ, reason="RNNPROBE_CONFORMANCE does not name a folder")
@pytest.mark.parametrize("release", ["tf0.12", "tf1.4", "tf2.21-v2-control-flow", "keras1.2.2", "keras3.15"])
def test_every_case_of_a_release(release):
    """All that was kept of some releases; `python tests/conformance.py DIR` runs them all."""
    folder = Path(os.environ["RNNPROBE_CONFORMANCE"]) / release
    results = [row for case in sorted(p.parent for p in folder.glob("*/case.json")) for row in case_rows(case)]
    assert [str(row) for row in results if row.result == "FAILED"] == []
    assert sum(row.result == "ok" for row in results) > 40
