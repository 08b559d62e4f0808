"""Full disks, limits, kills and signals, in processes of their own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resource limits and tmpfs")

ROOT = Path(__file__).parents[2]
SUFFIXES = (".h5", ".npz")
WRITER = """
import resource, signal, sys, time
from rnnprobe import outputs
from rnnprobe.errors import RnnprobeError
from rnnprobe.outputs import disk
from tests.outputs.recordings import blocks, layer, recording, whole

def terminate(number, frame):
    raise SystemExit(128 + number)

path, limit, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
disk.require_room = lambda *ignored: None  # the disk fills up while it is written
what = recording([layer("a", units=48), layer("b", "gru", 16, "backward")], [[1500, 700], [900]])
arrays = whole(what)
signal.signal(signal.SIGTERM, terminate)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
try:
    with outputs.open(path, what, force=True) as sink:
        for block in blocks(what, arrays, 50):
            sink.write(block)
            time.sleep(pause)
except RnnprobeError as error:
    print(error)
    sys.exit(error.status)
"""


def start(path: Path, limit: int = 0, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(limit), str(pause)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(path: Path, limit: int = 0) -> tuple[int, str, str]:
    process = start(path, limit)
    said, errors = process.communicate(timeout=60)
    return process.returncode, said, errors


def full_size(folder: Path, suffix: str) -> int:
    path = folder / f"whole{suffix}"
    assert outcome(path)[0] == 0
    size = path.stat().st_size
    path.unlink()
    return size


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_size_limits(suffix: str, tmp_path: Path) -> None:
    size = full_size(tmp_path, suffix)
    path = tmp_path / f"t{suffix}"
    for share in (0.0002, 0.3, 0.9999):
        path.write_bytes(b"old")
        status, said, errors = outcome(path, int(size * share))
        assert status == 5, (share, status, said, errors)
        assert f"{path}: can't be written" in said
        assert errors == ""
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


WEIGHTS = """
import resource, sys
from pathlib import Path
from rnnprobe.analysis.weights import blocks
from rnnprobe.errors import RnnprobeError
from rnnprobe.outputs import weights
from tests.analysis import models

path, limit = Path(sys.argv[1]), int(sys.argv[2])
layer = models.layer("basic_lstm", "rnn/cell", input_size=200, units=200)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    weights.write(path, [layer], blocks([layer]), force=True)
except RnnprobeError as error:
    print(error)
    sys.exit(error.status)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_size_limits_of_weights(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"

    def outcome(limit: int) -> tuple[int, str, str]:
        words = [sys.executable, "-c", WEIGHTS, str(path), str(limit)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    assert outcome(0)[0] == 0
    size = path.stat().st_size
    for share in (0.001, 0.5, 0.9999):
        path.write_bytes(b"old")
        status, said, errors = outcome(int(size * share))
        assert (status, errors) == (5, ""), (share, said, errors)
        assert f"{path}: can't be written" in said
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A tmpfs of about 3 MB: less than half of what is going to be written."""
    size = 3 << 20
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a tmpfs can't be mounted")
    try:
        yield place, size
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk(suffix: str, small_disk: tuple[Path, int]) -> None:
    place, size = small_disk
    path = place / f"t{suffix}"
    for taken in (0.0, 0.5, 0.998):
        path.write_bytes(b"old")
        (place / "ballast").write_bytes(bytes(int(size * taken)))
        status, said, errors = outcome(path)
        assert (status, errors) == (5, ""), (taken, status, said, errors)
        assert "No space left" in said
        assert path.read_bytes() == b"old"
        assert sorted(entry.name for entry in place.iterdir()) == ["ballast", path.name]


def test_kill_while_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    path.write_bytes(b"old")
    moments = random.Random(1)
    old = 0
    for _ in range(8):
        process = start(path, pause=0.001)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        if path.read_bytes() == b"old":
            old += 1
            with pytest.raises(BadInput, match="is no trace"):
                outputs.load(path)
        else:
            assert outputs.load(path).lengths.tolist() == [1500, 700, 900]
            path.write_bytes(b"old")
    assert old
    outputs.check(path, force=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_nothing_behind(number: signal.Signals, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    for delay in (0.0, 0.1):
        process = start(path, pause=0.01)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=30)
        expected = -signal.SIGINT if number == signal.SIGINT else 143
        assert process.returncode == expected, errors
        assert list(tmp_path.iterdir()) == []
