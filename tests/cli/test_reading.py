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


@pytest.mark.parametrize("names", [("x1.h5", "x2.h5"), ("a.h5", "b.h5")])
@pytest.mark.parametrize("first", [True, False])
def test_the_model_is_no_part_of_the_glob(names, first, tmp_path, monkeypatch, run):
    """Nor is a glob proposed that takes it in, or another option's file."""
    monkeypatch.chdir(tmp_path)
    for name in ("Model.h5", "lengths.h5", *names):
        (tmp_path / name).touch()
    model, given, other = ("Model.h5",), ("--input", *names), ("--lengths", "lengths.h5")
    done = run("trace", *(model + given + other if first else given + other + model))
    assert done.status == 2
    if names[0] == "a.h5":
        assert done.err.splitlines()[1:] == ["  repeat --input: --input a.h5 --input b.h5"]
    else:
        assert "--input 'x*.h5'; or repeat --input" in done.err


def test_what_is_no_file(files, run):
    done = run("trace", MODEL, "--input", files[0], "recrod", "h")
    assert done.status == 2
    assert "no option takes recrod, h: expected one MODEL, and any other value behind the name of" in done.err
    assert "quote a glob" not in done.err
    assert run("trace", MODEL, files[0]).err.count("quote a glob") == 0


def test_the_quoted_glob(files, run):
    assert run("trace", MODEL, "--input", "day*.npy", "--dry-run").status == 0
