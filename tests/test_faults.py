"""The faults that a first user meets: one line that helps, the right exit status, no traceback, nothing lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnprobe

from .conftest import DATA, SAMPLES

LSTM = DATA / "conformance" / "tf1.15" / "lstm_full"
GRU = SAMPLES / "gru_digits.keras"
CHARACTERS = SAMPLES / "char_lstm"


def nearly_right(folder):
    shutil.copytree(LSTM, folder / "model")
    return ["inspect", folder / "model" / "modle.ckpt"], ["modle.ckpt", "model.ckpt"]


def truncated_bundle(folder):
    shutil.copytree(LSTM, folder / "model")
    data = folder / "model" / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:200])
    return ["weights", folder / "model"], ["model.ckpt.data-00000-of-00001", "200"]


def truncated_keras(folder):
    (folder / "cut.keras").write_bytes(GRU.read_bytes()[:30000])
    return ["inspect", folder / "cut.keras"], ["cut.keras"]


def flipped_bit(folder):
    shutil.copytree(LSTM, folder / "model")
    data = folder / "model" / "model.ckpt.data-00000-of-00001"
    stored = bytearray(data.read_bytes())
    stored[100] ^= 4
    data.write_bytes(stored)
    return ["weights", folder / "model"], ["rnn/lstm_cell/", "data-00000-of-00001"]


def wrong_width(folder):
    np.save(folder / "x.npy", np.zeros((2, 5, 7), "f"))
    return ["trace", GRU, "--input", folder / "x.npy"], ["x.npy", "7", "8"]


def id_outside_the_vocabulary(folder):
    np.save(folder / "ids.npy", np.array([[1, 2, 97]]))
    return ["trace", CHARACTERS, "--input", folder / "ids.npy"], ["97", "sequence 0", "step 2"]


def character_outside_the_vocabulary(folder):
    (folder / "text.txt").write_text("x = 1\ny = 'é'\n", encoding="utf-8")
    words = ["trace", CHARACTERS, "--input", folder / "text.txt", "--vocab", CHARACTERS / "vocab.json"]
    return words, ["é", "line 2"]


def another_kind_of_file(folder):
    (folder / "notes.ckpt").write_text("to do\n")
    return ["inspect", folder / "notes.ckpt"], ["notes.ckpt"]


def an_input_of_another_kind(folder):
    (folder / "x.npy").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return ["trace", GRU, "--input", folder / "x.npy"], ["x.npy"]


def output_exists(folder):
    (folder / "trace.h5").write_text("precious")
    words = ["trace", GRU, "--input", SAMPLES / "gru_digits.npy", "-o", folder / "trace.h5"]
    return words, ["trace.h5", "--force"]


def unknown_suffix(folder):
    words = ["trace", GRU, "--input", SAMPLES / "gru_digits.npy", "-o", folder / "trace.mat"]
    return words, [".mat", ".h5", ".npz"]


def no_such_layer(folder):
    words = ["trace", GRU, "--input", SAMPLES / "gru_digits.npy", "--layer", "lstm"]
    return words, ["lstm", "rows", "digit"]


def no_such_signal(folder):
    words = ["trace", GRU, "--input", SAMPLES / "gru_digits.npy", "--record", "h,c"]
    return words, ["'c'", "r, z, n"]


def an_option_that_no_layer_takes(folder):
    return ["inspect", GRU, "--forget-bias", "0.5"], ["forget_bias", "GRU"]


def text_without_a_vocabulary(folder):
    return ["trace", CHARACTERS, "--input", CHARACTERS / "example.py"], ["--vocab"]


CASES = [
    nearly_right,
    truncated_bundle,
    truncated_keras,
    flipped_bit,
    wrong_width,
    id_outside_the_vocabulary,
    character_outside_the_vocabulary,
    another_kind_of_file,
    an_input_of_another_kind,
    output_exists,
    unknown_suffix,
    no_such_layer,
    no_such_signal,
    an_option_that_no_layer_takes,
    text_without_a_vocabulary,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_line_that_helps(run, tmp_path, case):
    words, said = case(tmp_path)
    done = run(*words)
    assert done.status == 2, done.err
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if not line.startswith("rnnprobe: assumed")]
    assert lines[0].startswith("rnnprobe: ")
    assert all(line.startswith("  ") for line in lines[1:]), done.err
    assert "Traceback" not in done.err
    assert all(word in done.err for word in said), done.err
    left = {path.name for path in tmp_path.iterdir()} - {"model", "x.npy", "ids.npy", "text.txt", "notes.ckpt"}
    assert left <= {"trace.h5", "cut.keras"}
    if case is output_exists:
        assert (tmp_path / "trace.h5").read_text() == "precious"


def test_refused_before_tensorflow_is_imported(tmp_path):
    """What can't work is said at once, not after seconds of imports."""
    for case in (wrong_width, output_exists, no_such_layer):
        folder = tmp_path / case.__name__
        folder.mkdir()
        words, _ = case(folder)
        code = (
            f"import sys; sys.argv = ['rnnprobe', *{[str(word) for word in words]!r}]\n"
            "from rnnprobe.cli import main\n"
            "try: main()\nexcept SystemExit as end: assert end.code == 2, end.code\n"
            "assert 'tensorflow' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "model",
    [LSTM, GRU, DATA / "objects" / "module", DATA / "formats" / "saved_model"],
    ids=["bundle", "keras", "objects", "SavedModel"],
)
def test_a_cell_that_nothing_is(run, model):
    """--cell is never passed over in silence, whatever the file."""
    done = run("inspect", model, "--cell", "keras_simple_rnn")
    assert done.status == 2, done.err
    assert "nothing in it is a keras_simple_rnn" in done.err


def test_tensorflow_says_nothing(tmp_path):
    line = [sys.executable, "-m", "rnnprobe", "trace", GRU, "--input", SAMPLES / "gru_digits.npy"]
    done = subprocess.run([*line, "-o", tmp_path / "trace.h5"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"rnnprobe: wrote {tmp_path / 'trace.h5'} (layers: 2, sequences: 20, steps: up to 8)")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path, number, status):
    """An interrupt while the trace is written leaves nothing under the output's name, and nothing beside it."""
    np.save(tmp_path / "x.npy", np.zeros((400_000, 8), "f"))
    out = tmp_path / "out"
    out.mkdir()
    line = [sys.executable, "-m", "rnnprobe", "trace", GRU, "--input", tmp_path / "x.npy", "-o", out / "trace.h5"]
    process = subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(out.iterdir()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    assert list(Path(out).iterdir()) == []


def test_a_closed_pipe_is_no_fault():
    line = f"{sys.executable} -m rnnprobe inspect {CHARACTERS} -v | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("File")


def test_standard_output_on_a_full_device():
    with open("/dev/full", "w") as full:
        line = [sys.executable, "-m", "rnnprobe", "inspect", str(CHARACTERS)]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5, done.stderr
    assert done.stderr.splitlines()[-1] == "rnnprobe: standard output can't be written: No space left on device"


def test_only_the_chosen_layer_is_recorded(run, tmp_path):
    """What feeds it runs along; with --own-input it does not."""
    x = tmp_path / "x.npy"
    np.save(x, np.random.default_rng(2).normal(size=(2, 5, 32)).astype("f"))
    for words in (["--input", SAMPLES / "gru_digits.npy"], ["--input", x, "--own-input"]):
        out = tmp_path / f"{len(words)}.h5"
        done = run("trace", GRU, "--layer", "digit", *words, "-o", out)
        assert done.status == 0, done.err
        assert list(rnnprobe.load_trace(out).layers) == ["digit"]
    trace = rnnprobe.trace(GRU, np.load(SAMPLES / "gru_digits.npy"), layers=["digit"])
    rows = rnnprobe.trace(GRU, np.load(SAMPLES / "gru_digits.npy"), layers=["rows"]).layers["rows"].signals["h"]
    alone = rnnprobe.trace(GRU, np.asarray(rows), layers=["digit"], own_input=True)
    h = np.asarray(trace.layers["digit"].signals["h"])
    np.testing.assert_allclose(alone.layers["digit"].signals["h"], h, rtol=0, atol=2e-6)
