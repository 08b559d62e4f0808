"""The conformance rows as a test, and a golden of a genuine framework for every registered cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import rnnprobe
from rnnprobe.cells import CELLS

from .conformance import apart, case_rows, keras_files, left_out, tensorflow_files
from .conftest import DATA
from .same import Once

CASES = sorted(path.parent for folder in ("conformance", "keras") for path in (DATA / folder).glob("*/*/case.json"))


@pytest.fixture(scope="module")
def traced() -> Once:
    return Once()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_agrees_with_the_genuine_framework(case, traced):
    for row in case_rows(case, traced):
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


KEPT = Path(os.environ.get("RNNPROBE_CONFORMANCE", ""))
RELEASES = ["tf0.12", "tf1.4", "tf2.21-v2-control-flow", "keras1.2.2", "keras3.15"] if KEPT.name else []
"""Those of which all that was kept is run; `python tests/conformance.py DIR` runs them all."""
OTHERS = [case for case in apart(DATA / "conformance", KEPT, named="case.json") if case.parents[1] == KEPT]


@pytest.mark.parametrize(
    "case",
    [case for case in OTHERS if case.parent.name in RELEASES],
    ids=lambda case: f"{case.parent.name}-{case.name}",
)
def test_every_case_of_a_release(case, traced):
    assert [str(row) for row in case_rows(case, traced) if row.result == "FAILED"] == []


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_has_many_cases_that_are_run(release):
    cases = [path.parent for path in (KEPT / release).glob("*/case.json")]
    files = [file for case in cases if not left_out(case.name) for file in tensorflow_files(case) or keras_files(case)]
    assert len(files) > 40
