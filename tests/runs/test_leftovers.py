"""A trace without parts, where parts of one that was cut, or of the one that it replaces, stand beside its output."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnprobe import outputs
from rnnprobe.runs import ledger, leftovers, parts, resume

from ..conftest import SAMPLES
from ..outputs.parted import assert_same
from .made import Made, plain, sequences

GRU, DIGITS = SAMPLES / "gru_digits.keras", SAMPLES / "gru_digits.npy"
JOB, OTHER = {"record": "all"}, {"record": "h"}


class Stop(Exception):
    """What cuts a run."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts of a window each."""
    monkeypatch.setattr(parts, "BYTES", 1)


def stop() -> None:
    raise Stop


def present(path: Path, job=JOB) -> None:
    """A trace that presents its parts."""
    resume.trace(Made(sequences()), outputs.check(path, force=True), job, merge=False)


def cut(path: Path, job=JOB, after: int = 20) -> None:
    """Parts of a trace that was cut."""
    left = iter(range(after))
    made = Made(sequences(), lambda: None if next(left, None) is not None else stop())
    with pytest.raises(Stop):
        resume.trace(made, outputs.check(path, force=True), job)


def replace(path: Path, job=OTHER, *, fails: bool = False) -> list[str]:
    """Writes a trace without parts; what was said."""
    said: list[str] = []
    place = outputs.check(path, force=True)
    with leftovers.outlived(place, lambda: job, said.extend):
        with outputs.open(place, sequences()) as sink:
            Made(sequences(), stop if fails else lambda: None).record(sink)
        assert path.is_file()
    return said


def folders(path: Path) -> list[str]:
    base = path.with_name(path.name + ".parts")
    return sorted(entry.name for entry in base.iterdir()) if base.exists() else []


def test_what_was_presented_goes_with_its_file(tmp_path):
    path = tmp_path / "t.h5"
    present(path)
    assert replace(path) == []
    assert os.listdir(tmp_path) == ["t.h5"]
    assert_same(plain(tmp_path / "plain.h5", sequences()), path, passing={"status", "reason"})


def test_not_before_the_new_one_is_there(tmp_path):
    path = tmp_path / "t.h5"
    present(path)
    before = path.read_bytes()
    with pytest.raises(Stop):
        replace(path, fails=True)
    assert path.read_bytes() == before
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


def test_finished_parts_of_another_trace_stay(tmp_path):
    """They may be hours of work, and nobody said that they may go."""
    path = tmp_path / "t.h5"
    present(path)
    own = folders(path)
    cut(path, {"record": "c"})
    (line,) = replace(path)
    assert line.startswith("1 of 4 parts of another trace are done")
    assert line.endswith("and stay there: record was c, and is h")
    assert len(folders(path)) == 1
    assert folders(path) != own


def test_finished_parts_of_the_same_trace(tmp_path):
    path = tmp_path / "t.h5"
    cut(path)
    (line,) = replace(path, JOB)
    assert f"{path}.parts" in line
    assert line.startswith("1 of 4 parts of this very trace are done")
    assert "--resume goes on with them; without it all is done anew" in line
    assert os.listdir(tmp_path) == ["t.h5"]


def somebody_elses(path: Path) -> None:
    (path.with_name("t.h5.parts") / "mine").mkdir(parents=True)
    (path.with_name("t.h5.parts") / "mine" / "00000.h5").write_bytes(b"x")


def of_another_release(path: Path) -> None:
    somebody_elses(path)
    (path.with_name("t.h5.parts") / "mine" / "manifest.json").write_text('{"format": "rnnprobe-parts 9"}')


@pytest.mark.parametrize("make", [somebody_elses, of_another_release])
def test_what_is_not_ours_stays(make, tmp_path):
    path = tmp_path / "t.h5"
    make(path)
    said = replace(path)
    assert (path.with_name("t.h5.parts") / "mine" / "00000.h5").read_bytes() == b"x"
    assert [("is no manifest of this release" in line) for line in said] == (
        [True] if make is of_another_release else []
    )


def test_what_another_process_works_on_stays(tmp_path):
    path = tmp_path / "t.h5"
    present(path)
    (folder,) = path.with_name("t.h5.parts").iterdir()
    with ledger.locked(folder, folder):
        (line,) = replace(path)
    assert line.endswith("are kept: another process is at work on it")
    assert folder.exists()


def test_what_was_presented_anew_meanwhile_stays(tmp_path, monkeypatch):
    """Another process put its own file, made of these parts, into the place of ours."""
    path = tmp_path / "t.h5"
    present(path)

    with leftovers.outlived(outputs.check(path, force=True), lambda: OTHER, lambda lines: None):
        plain(path, sequences(), force=True)
        present(path)
    assert_same(plain(tmp_path / "plain.h5", sequences()), path)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"no HDF5"), lambda path: path.unlink()])
def test_a_file_that_presents_nothing(damage, tmp_path):
    path = tmp_path / "t.h5"
    present(path)
    damage(path)
    (line,) = replace(path)
    assert "4 of 4 parts of another trace are done" in line


def test_the_command(run, tmp_path, monkeypatch):
    out = tmp_path / "t.h5"
    line = ("trace", GRU, "--input", DIGITS, "-o", out)
    monkeypatch.setattr(resume, "_finish", lambda *given: stop_by_hand())
    assert run(*line, "--resume").status == 130
    monkeypatch.undo()
    done = run(*line, "--record", "h")
    assert done.status == 0
    assert "and stay there: record was states,gates, and is h" in done.err
    done = run(*line, "--force")
    assert done.status == 0
    assert "1 of 1 parts of this very trace are done" in done.err
    assert os.listdir(tmp_path) == ["t.h5"]


def stop_by_hand() -> None:
    raise KeyboardInterrupt
