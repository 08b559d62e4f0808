"""A trace that was cut goes on, and ends as one that was not; what does not belong to it is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput, CannotWrite
from rnnprobe.outputs import atomic
from rnnprobe.runs import parts, resume
from rnnprobe.runs.ledger import Ledger

from ..conftest import SAMPLES
from ..outputs.parted import assert_same
from .made import Made, plain, process, sequences

JOB = {"the model's SHA-256": "a", "record": "all"}
GRU, DIGITS = SAMPLES / "gru_digits.keras", SAMPLES / "gru_digits.npy"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts of a window each."""
    monkeypatch.setattr(parts, "BYTES", 1)


class Stop(Exception):
    """What cuts a run."""


def stopping(after: int):
    """Called before each block; cuts the run before the block of this number."""
    left = iter(range(after))

    def pause() -> None:
        if next(left, None) is None:
            raise Stop

    return pause


def written(path: Path, made: Made, job=JOB, *, force: bool = False, **options) -> list[str]:
    """What was said."""
    said: list[str] = []
    resume.trace(made, outputs.check(path, force=force), job, say=said.extend, **options)
    return said


def cut(path: Path, after: int = 20, job=JOB, **options) -> None:
    with pytest.raises(Stop):
        written(path, Made(sequences(), stopping(after)), job, **options)


def manifest(path: Path) -> Path:
    (found,) = path.with_name(path.name + ".parts").glob("*/manifest.json")
    return found


def done(path: Path) -> list[str]:
    listed = json.loads(manifest(path).read_text())["parts"]
    return [f"{number:05}.h5" for number, one in enumerate(listed) if "size" in one]


def left(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


@pytest.mark.parametrize("after", [0, 3, 20, 33])
@pytest.mark.parametrize("how", [{}, {"dtype": "float16"}, {"compress": "gzip-1"}])
def test_it_goes_on(after, how, tmp_path):
    path = tmp_path / "t.h5"
    with pytest.raises(Stop):
        written(path, Made(sequences(), stopping(after), **how))
    assert not path.exists()
    before = done(path)
    counted = []
    made = Made(sequences(), lambda: counted.append(1), **how)
    said = written(path, made)
    assert said == ([f"{len(before)} of 4 parts were done before, in {path}.parts"] if before else [])
    assert len(counted) < 34 if before else len(counted) == 34
    assert left(path) == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences(), **how), path)


def test_nothing_was_cut(tmp_path):
    assert written(tmp_path / "t.h5", Made(sequences())) == []
    assert left(tmp_path / "t.h5") == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences()), tmp_path / "t.h5")


def test_one_part_only(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "BYTES", 1 << 30)
    path = tmp_path / "t.h5"
    cut(path)
    written(path, Made(sequences()))
    assert left(path) == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


def test_how_it_was_cut_into_parts_stays(tmp_path, monkeypatch):
    """The limit of a part may be another in the next release, or on a cluster of another size."""
    path = tmp_path / "t.h5"
    cut(path)
    before = done(path)
    monkeypatch.setattr(parts, "BYTES", 1 << 30)
    assert written(path, Made(sequences()))[0].startswith(f"{len(before)} of 4 parts")
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "replace"])
def test_a_damaged_part_is_done_again(harm, tmp_path):
    path = tmp_path / "t.h5"
    cut(path, 30)
    first, second, *_ = (manifest(path).with_name(name) for name in done(path))
    stored = bytearray(first.read_bytes())
    stored[len(stored) // 2] ^= 1
    if harm == "flip":
        first.write_bytes(stored)
    elif harm == "truncate":
        first.write_bytes(first.read_bytes()[:1000])
    elif harm == "remove":
        first.unlink()
    else:
        shutil.copy(second, first)
    written(path, Made(sequences()))
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


def test_a_part_that_nobody_noted_is_done_again(tmp_path):
    """The process was killed between the file and the note of it."""
    path = tmp_path / "t.h5"
    cut(path, 30)
    text = json.loads(manifest(path).read_text())
    lost = text["parts"][0]
    text["parts"][0] = {"batches": lost["batches"], "rows": lost["rows"]}
    manifest(path).write_text(json.dumps(text))
    manifest(path).with_name("00000.h5").write_bytes(b"stale")
    written(path, Made(sequences()))
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@pytest.mark.parametrize("after", [0, 20])
def test_another_job_is_refused_and_force_starts_anew(after, tmp_path):
    path = tmp_path / "t.h5"
    cut(path, after)
    before = done(path)
    other = {**JOB, "record": "h"}
    says = f"holds the parts of another trace, {len(before)} of 4 done: record was all, and is h"
    assert bool(before) == bool(after)
    with pytest.raises(BadInput, match=says) as refused:
        written(path, Made(sequences()), other)
    assert "--force starts anew" in refused.value.hint
    assert done(path) == before
    assert written(path, Made(sequences()), other, force=True) == []
    assert left(path) == ["t.h5"]


def test_force_goes_on_with_the_same_job(tmp_path):
    """The command that was cut may have had --force."""
    path = tmp_path / "t.h5"
    path.write_bytes(b"old")
    cut(path, force=True)
    assert path.read_bytes() == b"old"
    assert "parts were done before" in written(path, Made(sequences()), force=True)[0]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "rnnprobe-parts 9"}'])
def test_a_damaged_manifest(text, tmp_path):
    path = tmp_path / "t.h5"
    cut(path)
    manifest(path).write_text(text)
    with pytest.raises(BadInput, match=r"manifest.json: is "):
        written(path, Made(sequences()))


def test_two_at_once(tmp_path):
    path = tmp_path / "t.h5"

    def another() -> None:
        with pytest.raises(BadInput, match="another process is at work") as refused:
            written(path, Made(sequences()))
        assert "the same command then goes on" in refused.value.hint
        raise Stop

    with pytest.raises(Stop):
        written(path, Made(sequences(), another))


def test_what_is_presented_is_kept_until_another_trace_is_there(tmp_path):
    """Another job may be cut any time: the trace that is there can be read as before."""
    path = tmp_path / "t.h5"
    written(path, Made(sequences()), merge=False)
    assert left(path) == ["t.h5", "t.h5.parts"]
    plain(tmp_path / "plain.h5", sequences())
    assert_same(tmp_path / "plain.h5", path)
    other = {**JOB, "record": "h"}
    cut(path, job=other, force=True)
    assert_same(tmp_path / "plain.h5", path)
    np.asarray(outputs.load(path).layers["a"].signals["h"])
    written(path, Made(sequences()), other, force=True, merge=False)
    assert len(list((tmp_path / "t.h5.parts").iterdir())) == 1
    assert_same(tmp_path / "plain.h5", path)
    assert "4 of 4 parts were done before" in written(path, Made(sequences()), other, force=True)[0]
    assert left(path) == ["plain.h5", "t.h5"]
    assert_same(tmp_path / "plain.h5", path)


def test_parts_that_another_process_works_on_stay(tmp_path):
    """Two jobs of one output, both with --force: the first to end leaves the parts of the other."""
    path = tmp_path / "t.h5"
    other = {**JOB, "record": "h"}
    passed: list[list[str]] = []

    def meanwhile() -> None:
        if not passed and len(list(tmp_path.glob("t.h5.parts/*/0*.h5"))) == 2:
            passed.append(written(path, Made(sequences()), other, force=True))

    assert written(path, Made(sequences(), meanwhile), force=True) == []
    ((line,),) = passed
    assert line.endswith("are kept: another process is at work on it")
    assert left(path) == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


def test_what_can_not_be_removed_is_said(tmp_path, monkeypatch):
    path = tmp_path / "t.h5"
    remove = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == "00001.h5":
            raise PermissionError(1, "Not permitted")
        remove(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    (said,) = written(path, Made(sequences()))
    assert said.endswith("00001.h5 is no longer needed, and can't be removed: Not permitted")
    assert [entry.name for entry in tmp_path.glob("t.h5.parts/*/*")] == ["00001.h5"]
    assert path.exists()


def test_too_little_room_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 1, 9, 9, 9000, 1, 1, 1, 1, 1)))
    with pytest.raises(CannotWrite, match="and the disk has 9,000 free"):
        written(tmp_path / "t.h5", Made(sequences(), stopping(0)))


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("cut_by", [KeyboardInterrupt, SystemExit, CannotWrite])
def test_cut_while_the_parts_are_put_together(merge, cut_by, tmp_path, monkeypatch):
    """It is said that nothing is lost; the same command does the rest, and computes nothing."""
    path = tmp_path / "t.h5"
    said: list[str] = []

    def name(*given, **options) -> None:
        if given[1].name == "t.h5":
            raise cut_by("now")
        genuine(*given, **options)

    genuine = atomic._name
    monkeypatch.setattr(atomic, "_name", name)
    with pytest.raises(cut_by):
        resume.trace(Made(sequences()), outputs.check(path), JOB, merge=merge, say=said.extend)
    where = f"are kept in {path}.parts: the same command makes the output of them"
    assert said == [f"all 4 parts are done, and {where}"]
    assert left(path) == ["t.h5.parts"]
    monkeypatch.setattr(atomic, "_name", genuine)
    assert written(path, Made(sequences(), stopping(0)), merge=merge) == [
        f"4 of 4 parts were done before, in {path}.parts"
    ]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


# Processes that are ended ------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="resource limits")


def ended(running) -> tuple[int, str]:
    _, errors = running.communicate(timeout=60)
    return running.returncode, errors


@linux
def test_killed_again_and_again(tmp_path):
    """Whatever the moment, the same command goes on; in the end nothing but the trace is there."""
    path = tmp_path / "t.h5"
    moments = random.Random(3)
    killed = 0
    for _ in range(30):
        running = process(path, 0.01)
        running.stdout.readline()
        if killed < 6:
            time.sleep(moments.uniform(0, 0.3))
            running.kill()
        said, errors = running.communicate(timeout=60)
        assert "Traceback" not in errors, errors
        if running.returncode == 0:
            break
        killed += 1
    assert killed >= 3
    assert running.returncode == 0, said
    assert left(path) == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@linux
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_interrupted(number, status, tmp_path):
    path = tmp_path / "t.h5"
    running = process(path, 0.03)
    running.stdout.readline()
    while not list(tmp_path.glob("t.h5.parts/*/00001.h5")):
        time.sleep(0.01)
    running.send_signal(number)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == status
    assert f"of 4 parts are done, and are kept in {path}.parts" in said
    assert not list(tmp_path.glob("t.h5.parts/*/.*"))
    assert ended(process(path)) == (0, "")
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@linux
def test_a_manifest_that_does_not_fit(tmp_path):
    """A short write is none: the manifest stays what it was."""
    import resource

    path = tmp_path / "t.h5"
    cut(path)
    before = manifest(path).read_bytes()
    folder = manifest(path).parent
    what = Ledger(folder, JOB, [parts.Part(0, (0, 1), (0, 1))], {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(CannotWrite, match=r"manifest.json: can't be written: File too large"):
            what.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert manifest(path).read_bytes() == before


@linux
def test_a_limit_of_the_files_size(tmp_path):
    """A part that does not fit, then the whole: the old output is as it was, and what is done stays."""
    path = tmp_path / "t.h5"
    path.write_bytes(b"old")
    whole = plain(tmp_path / "plain.h5", sequences()).stat().st_size
    for share, kept in ((0.1, 0), (0.8, 4)):
        running = process(path, limit=int(whole * share))
        said, errors = running.communicate(timeout=60)
        assert (running.returncode, errors) == (5, ""), said
        assert "can't be written" in said
        assert path.read_bytes() == b"old"
        assert len(done(path)) == kept
    assert ended(process(path)) == (0, "")
    assert_same(tmp_path / "plain.h5", path)
