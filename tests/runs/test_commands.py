"""`rnnprobe trace --resume` on genuine models: cut, gone on with, and held against the trace that was not cut."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import rnnprobe
from rnnprobe.inputs import batching
from rnnprobe.runs import parts, resume

from ..conftest import SAMPLES
from ..outputs.parted import assert_same

CHARACTERS = SAMPLES / "char_lstm"
GRU, DIGITS = SAMPLES / "gru_digits.keras", SAMPLES / "gru_digits.npy"
TWO = SAMPLES / "bilstm_source.h5"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts of a window each, and windows of 32 sequences."""
    monkeypatch.setattr(parts, "BYTES", 1)
    monkeypatch.setattr(batching, "_STEPS", 1)
    monkeypatch.setattr(batching, "_WINDOW", 2)


@pytest.fixture
def cut(monkeypatch):
    """Cuts traces behind so many parts."""

    def behind(count):
        left = iter(range(count))

        def trace(*arguments, **options):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return genuine(*arguments, **options)

        monkeypatch.setattr(parts, "trace", trace)

    genuine = parts.trace
    yield behind
    monkeypatch.setattr(parts, "trace", genuine)


@pytest.fixture
def ids(tmp_path):
    """A hundred sequences of different lengths."""
    random = np.random.default_rng(5)
    rows = [random.integers(0, 90, random.integers(1, 12)).tolist() for _ in range(100)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"ids": row}) + "\n" for row in rows))
    return tmp_path / "x.jsonl"


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (CHARACTERS, ()),
        (CHARACTERS, ("--record", "all", "--verify")),
        (CHARACTERS, ("--dtype", "float16", "--compress", "gzip-1", "--select", "3:90")),
        (TWO, ("--record", "all,output", "--steps", "1:9")),
    ],
)
def test_cut_and_gone_on_with(model, options, ids, cut, run, tmp_path):
    out = tmp_path / "t.h5"
    words = ["trace", model, "--input", ids, *options]
    cut(2)
    done = run(*words, "-o", out, "--resume")
    assert done.status == 130, done.err
    assert f"2 of 4 parts are done, and are kept in {out}.parts" in done.err or "2 of 3" in done.err
    assert not out.exists()
    cut(10)
    done = run(*words, "-o", out, "--resume")
    assert done.status == 0, done.err
    assert "parts were done before" in done.err
    assert not (tmp_path / "t.h5.parts").exists()
    assert run(*words, "-o", tmp_path / "plain.h5").status == 0
    plain, ours = rnnprobe.load_trace(tmp_path / "plain.h5"), rnnprobe.load_trace(out)
    assert ours.verification["status"] == plain.verification["status"]
    assert ours.verification.get("compared") == plain.verification.get("compared")
    assert ours.verification.get("largest", 0) == pytest.approx(plain.verification.get("largest", 0), rel=0.5)
    assert_same(tmp_path / "plain.h5", out, passing={"largest", "largest_layer", "largest_signal"})


def test_states_to_start_from(ids, cut, run, tmp_path):
    names = [layer.name for layer in rnnprobe.layers(CHARACTERS)]
    random = np.random.default_rng(6)
    states = {f"{name}/{state}": random.normal(size=(100, 112)).astype("f") for name in names for state in "hc"}
    np.savez(tmp_path / "s.npz", **states)
    words = ["trace", CHARACTERS, "--input", ids, "--initial-state", tmp_path / "s.npz", "--record", "h"]
    cut(1)
    assert run(*words, "-o", tmp_path / "t.h5", "--resume").status == 130
    cut(10)
    assert run(*words, "-o", tmp_path / "t.h5", "--resume").status == 0
    assert run(*words, "-o", tmp_path / "plain.h5").status == 0
    assert_same(tmp_path / "plain.h5", tmp_path / "t.h5")
    np.savez(tmp_path / "s.npz", **{name: value + 1 for name, value in states.items()})
    cut(1)
    assert run(*words, "-o", tmp_path / "u.h5", "--resume").status == 130
    np.savez(tmp_path / "s.npz", **states)
    done = run(*words, "-o", tmp_path / "u.h5", "--resume")
    assert done.status == 2
    assert "the SHA-256 of what else is read was" in done.err


OTHERS = {
    "the model's SHA-256 was": (CHARACTERS / "model.ckpt-100", ()),
    "record was states,gates, and is h": (CHARACTERS, ("--record", "h")),
    "overrides was": (CHARACTERS, ("--forget-bias", "0")),
    "select was None, and is 0:40": (CHARACTERS, ("--select", "0:40")),
    "dtype was float32, and is float16": (CHARACTERS, ("--dtype", "float16")),
    "compress was None, and is gzip": (CHARACTERS, ("--compress", "gzip")),
    "stride was 1, and is 2": (CHARACTERS, ("--stride", "2")),
    "verify was None, and is False": (CHARACTERS, ("--no-verify",)),
}


def test_another_trace_in_the_same_place(ids, cut, run, tmp_path):
    out = tmp_path / "t.h5"
    words = ("--input", ids, "-o", out, "--resume")
    cut(1)
    assert run("trace", CHARACTERS, *words).status == 130
    (noted,) = out.with_name("t.h5.parts").glob("*/manifest.json")
    total = len(json.loads(noted.read_text())["parts"])
    for says, (model, options) in OTHERS.items():
        done = run("trace", model, *words, *options)
        assert done.status == 2
        assert f"{out}.parts: holds the parts of another trace, 1 of {total} done: " in done.err
        assert says in done.err
    ids.write_text(ids.read_text() + '{"ids": [1]}\n')
    assert "the input's SHA-256 was" in run("trace", CHARACTERS, *words).err
    cut(10)
    done = run("trace", CHARACTERS, *words, "--force")
    assert done.status == 0, done.err
    assert "done before" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.h5", "x.jsonl"]
    assert len(rnnprobe.load_trace(out).lengths) == 101


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--resume",), "--resume needs an output in HDF5"),
        (("-o", "t.npz", "--resume"), "t.npz: --resume needs an output in HDF5"),
        (("-o", "t.h5", "--resume", "--carry"), "--resume does not go with --carry"),
        (("-o", "t.h5", "--merge"), "--merge goes with --scheduler"),
        (("-o", "t.h5", "--scheduler", "local:0"), "expected tcp://HOST:PORT, or local:N"),
        (("-o", "t.h5", "--scheduler", "somewhere"), "expected tcp://HOST:PORT, or local:N"),
        (("--scheduler", "local:1"), "--scheduler needs an output in HDF5"),
    ],
)
def test_what_can_not_be(words, says, run, tmp_path, monkeypatch):
    if "expected tcp" in says or "--scheduler needs" in says:
        pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    done = run("trace", GRU, "--input", DIGITS, *words)
    assert done.status == 2
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_original_itself_is_not_cut(ids, run, tmp_path):
    done = run("trace", CHARACTERS, "--input", ids, "--engine", "original", "-o", tmp_path / "t.h5", "--resume")
    assert done.status == 2
    assert "--resume goes with the rebuilt layers" in done.err


@pytest.mark.parametrize("flag", [("--resume",), ("--scheduler", "local:1")])
def test_figures_of_all_sequences_at_once(flag, ids, run, tmp_path):
    """What they are reduced over is said as the user said it, and what to do."""
    if flag[0] == "--scheduler":
        pytest.importorskip("distributed")
    line = ("trace", CHARACTERS, "--input", ids, "-o", tmp_path / "t.h5", "--reduce", "mean", *flag)
    done = run(*line, "--over", "sequences")
    assert done.status == 2
    assert f"{flag[0]} does not go with --over sequences" in done.err
    assert f"--over time has figures for each sequence; or leave {flag[0]} out" in done.err
    assert not (tmp_path / "t.h5.parts").exists()


def test_standard_input_can_not_be_read_again(tmp_path):
    line = [sys.executable, "-m", "rnnprobe", "trace", GRU, "--input", "-", "-o", tmp_path / "t.h5", "--resume"]
    done = subprocess.run(list(map(str, line)), input=DIGITS.read_bytes(), capture_output=True)
    assert done.returncode == 2, done.stderr
    assert b"standard input can't be read once more" in done.stderr


def test_without_dask(run, tmp_path, monkeypatch):
    """It is said before the model is run, and how to get it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(resume, "trace", None)
    done = run("trace", GRU, "--input", DIGITS, "-o", tmp_path / "t.h5", "--scheduler", "local:2")
    assert done.status == 2
    assert "needs Dask" in done.err
    assert "pip install 'rnnprobe[dask]'" in done.err


def test_a_dry_run_leaves_nothing(run, tmp_path):
    done = run("trace", GRU, "--input", DIGITS, "-o", tmp_path / "t.h5", "--resume", "--dry-run")
    assert done.status == 0, done.err
    assert list(tmp_path.iterdir()) == []


def needed(run, *line) -> tuple[int, str]:
    """The bytes that are wanted of a disk that has none, and what was said of it."""
    done = run(*line)
    assert done.status == 5, done.err
    return int(re.search(r"needs ([\d,]+) bytes", done.err)[1].replace(",", "")), done.out


@pytest.mark.parametrize("options", [("--resume",), ("--scheduler", "local:1"), ("--scheduler", "local:1", "--merge")])
def test_a_dry_run_wants_the_room_that_the_run_wants(options, ids, run, tmp_path, monkeypatch):
    """Parts, and all of them again where they are copied; each has padding of its own."""
    if "--scheduler" in options:
        pytest.importorskip("distributed")
    line = ("trace", CHARACTERS, "--input", ids, "-o", tmp_path / "t.h5")
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 1, 0, 0, 0, 0, 0, 0, 0, 255)))
    once, _ = needed(run, *line)
    foreseen, out = needed(run, *line, *options, "--dry-run")
    assert f"{foreseen:,} on the disk" in out
    assert not (tmp_path / "t.h5.parts").exists()
    copied = options[-1] != "local:1"
    assert (1.5 if copied else 0.9) * once < foreseen < (2.5 if copied else 1.4) * once
    if "--resume" in options:
        assert needed(run, *line, *options)[0] == foreseen


def test_a_dry_run_of_what_was_cut(ids, cut, run, tmp_path, monkeypatch):
    """What is done needs no room, and the parts of another trace are refused."""
    line = ("trace", CHARACTERS, "--input", ids, "-o", tmp_path / "t.h5", "--resume")
    cut(2)
    assert run(*line).status == 130
    before = {path: path.read_bytes() for path in (tmp_path / "t.h5.parts").glob("*/*")}
    cut(0)
    assert run(*line, "--dry-run", "--record", "h").status == 2
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 1, 0, 0, 0, 0, 0, 0, 0, 255)))
    assert needed(run, *line, "--dry-run")[0] == needed(run, *line)[0]
    anew = needed(run, *line, "--dry-run", "--force", "--by", "word")[0]  # the same values, of another job
    assert needed(run, *line, "--dry-run")[0] < anew
    assert before == {path: path.read_bytes() for path in (tmp_path / "t.h5.parts").glob("*/*")}
