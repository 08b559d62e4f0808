"""`rnnprobe trace --dry-run`: bytes, time and room."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

from rnnprobe.outputs import disk

from ..conftest import SAMPLES

MODEL = SAMPLES / "gru_digits.keras"
X = SAMPLES / "gru_digits.npy"
LOOP = SAMPLES.parent / "tests/data/loops/v1/raw_states"


def test_bytes_and_time(run, tmp_path):
    done = run("trace", MODEL, "--input", X, "--dry-run", "--json", "-o", tmp_path / "t.h5", "-q")
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    assert {row["signal"] for row in document["forecast"]} == {"h", "r", "z", "n"}
    (row,) = document["time"]
    assert 0 < row["seconds"] < 600
    assert 0 < row["measured"] <= 20 * 8 * 2
    assert 0 < row["writing"] < 60
    assert not os.listdir(tmp_path)
    done = run("trace", MODEL, "--input", X, "--dry-run")
    assert "How long it would take" in done.out
    assert "computing alone" in done.out


def test_writing_is_forecast_from_what_the_disk_takes(run, tmp_path, monkeypatch):
    """A tick for each call of the clock: two for the sample, which is a hundredth of what is to be written."""
    ticks = iter(range(0, 1000, 3))
    monkeypatch.setattr(disk, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(disk, "_SAMPLE", 400)
    monkeypatch.setattr(disk, "_SAMPLE_PIECE", 100)
    assert disk.writing_time(tmp_path / "t.h5", tmp_path / "t.h5", 40_000) == 300
    assert disk.writing_time(tmp_path / "t.h5", tmp_path / "t.h5", 200) == 3
    assert disk.writing_time(tmp_path / "t.h5", tmp_path / "t.h5", 0) == 0
    assert not os.listdir(tmp_path)
    done = run("trace", MODEL, "--input", X, "--dry-run", "-o", tmp_path / "t.h5")
    assert "both at once: the slower decides" in done.out
    done = run("trace", MODEL, "--input", X, "--dry-run", "-o", tmp_path / "t.h5", "--compress", "gzip")
    assert "computing alone" in done.out


def test_writing_is_said_where_computing_can_not_be(run, tmp_path):
    """Of an original graph: nothing of it is run to tell."""
    line = ("trace", LOOP, "--input", LOOP / "data.npz:x", "--engine", "original", "--layer", "rnn/while", "--dry-run")
    done = run(*line, "--json", "-o", tmp_path / "t.h5")
    assert done.status == 0, done.err
    (row,) = json.loads(done.out)["time"]
    assert row["seconds"] is None
    assert 0 < row["writing"] < 60
    assert "writing alone" in run(*line, "-o", tmp_path / "t.h5").out
    assert "How long it would take" not in run(*line).out


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_what_does_not_fit_on_the_disk(suffix, run, tmp_path, monkeypatch):
    class Full:
        f_bavail, f_frsize = 1, 512

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    done = run("trace", MODEL, "--input", X, "--record", "h", "--dry-run", "-o", tmp_path / f"t{suffix}")
    assert done.status == 5
    assert "What would be recorded" in done.out
    needed = re.search(r"needs ([\d,]+) bytes, and the disk has 512 free", done.err)
    values = 20 * 8 * (32 + 24) * 4
    assert values * (2 if suffix == ".npz" else 1) < int(needed[1].replace(",", "")) < 4 * values
    assert not os.listdir(tmp_path)
    assert run("trace", MODEL, "--input", X, "--record", "h", "--dry-run").status == 0


def test_a_long_sequence_is_forecast_from_its_beginning(run, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnprobe.engine.pace._STEPS", 100)
    np.save(tmp_path / "x.npy", np.zeros((400, 8), "f4"))
    done = run("trace", MODEL, "--input", tmp_path / "x.npy", "--layer", "rows", "--own-input", "--dry-run", "--json")
    assert done.status == 0, done.err
    (row,) = json.loads(done.out)["time"]
    assert row["measured"] == 100


def test_many_files(run, tmp_path):
    x = np.load(X)
    for number in range(3):
        np.save(tmp_path / f"x{number + 9}.npy", x[number : number + 1])
    done = run("trace", MODEL, "--input", tmp_path / "x*.npy", "--record", "h", "-o", tmp_path / "t.h5", "-q")
    assert done.status == 0, done.err
    done = run("show", tmp_path / "t.h5", "--json")
    assert done.status == 0
    import rnnprobe

    trace = rnnprobe.load_trace(tmp_path / "t.h5")
    assert trace.names == ("x9", "x10", "x11")
    two = run("trace", MODEL, "--input", tmp_path / "x9.npy", "--input", tmp_path / "x10.npy", "--json", "-q")
    assert two.status == 0, two.err
    done = run("trace", MODEL, "--input", tmp_path / "x*.npy", "--force", "-o", tmp_path / "x9.npy")
    assert done.status == 2
    done = run("trace", MODEL, "--input", tmp_path, "--dry-run")
    assert done.status == 2
    assert "is a directory" in done.err
