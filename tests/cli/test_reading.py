"""The command lines of what reads --input."""

from __future__ import annotations

import shutil

import pytest

from ..conftest import SAMPLES

MODEL = SAMPLES / "gru_digits.keras"


@pytest.fixture
def files(tmp_path, monkeypatch):
    for name in ("day1.npy", "day2.npy", "day10.npy"):
        shutil.copy(SAMPLES / "gru_digits.npy", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return ("day1.npy", "day10.npy", "day2.npy")


@pytest.mark.parametrize("command", ["trace", "verify"])
@pytest.mark.parametrize("first", [True, False])
def test_a_glob_that_the_shell_expanded(command, first, files, run):
    """Where MODEL comes behind the files, the second of them is taken for it."""
    line = (MODEL, "--input", *files) if first else ("--input", *files, MODEL)
    done = run(command, *line)
    assert done.status == 2
    assert "--input takes one FILE, and no option takes day" in done.err
    assert "quote a glob, so that the shell leaves it alone: --input 'day*.npy'; or repeat --input" in done.err
    assert len(done.err.splitlines()) == 2


def test_what_is_no_file(files, run):
    done = run("trace", MODEL, "--input", files[0], "recrod", "h")
    assert done.status == 2
    assert "no option takes recrod, h" in done.err
    assert "quote" not in done.err
    assert run("trace", MODEL, files[0]).err.count("quote") == 0


def test_the_quoted_glob(files, run):
    assert run("trace", MODEL, "--input", "day*.npy", "--dry-run").status == 0
