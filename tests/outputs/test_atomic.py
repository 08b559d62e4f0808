"""The output is whole or absent, and what can't be written is refused before any work."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput, CannotWrite
from rnnprobe.outputs import Output, atomic
from tests.outputs.recordings import blocks, layer, recording, whole

WHAT = recording([layer("a")], [[9, 4]])
each_output = pytest.mark.parametrize("output", outputs.OUTPUTS, ids=lambda output: output.name)


def write(path: Path, *, force: bool = False) -> None:
    with outputs.open(path, WHAT, force=force) as sink:
        for block in blocks(WHAT, whole(WHAT)):
            sink.write(block)


@pytest.mark.parametrize(("name", "found"), [("t.txt", "suffix .txt"), ("t", "no suffix"), ("t.h5.gz", "suffix .gz")])
def test_unknown_suffixes(name: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=found) as caught:
        outputs.check(tmp_path / name)
    assert all(suffix in caught.value.hint for output in outputs.OUTPUTS for suffix in output.suffixes)


def test_a_file_that_exists_wants_force(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    path.write_bytes(b"old")
    with pytest.raises(BadInput, match="exists already") as caught:
        outputs.check(path)
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"old"
    write(path, force=True)
    assert outputs.load(path).names == ("s0", "s1")


def test_unwritable_places(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.h5")
    (tmp_path / "directory.h5").mkdir()
    (tmp_path / "device.h5").symlink_to("/dev/full")
    (tmp_path / "circle.h5").symlink_to("circle.h5")
    (tmp_path / "file").touch()
    model = tmp_path / "model.h5"
    model.write_bytes(b"weights")
    (tmp_path / "hard.h5").hardlink_to(model)
    (tmp_path / "soft.h5").symlink_to(model)
    before = sorted(tmp_path.rglob("*"))
    taken = ("fifo.h5", "directory.h5", "device.h5", "circle.h5", "model.h5", "hard.h5", "soft.h5")
    for name in (*taken, "missing/t.h5", "file/t.h5", "n" * 300 + ".h5"):
        with pytest.raises(CannotWrite, match=name[:20]):
            outputs.check(tmp_path / name, force=True, sources=(model,))
    assert sorted(tmp_path.rglob("*")) == before
    assert model.read_bytes() == b"weights"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only directories")
def test_a_directory_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CannotWrite, match="ermission"):
            outputs.check(tmp_path / "t.h5")
    finally:
        tmp_path.chmod(0o700)


def test_too_little_room_is_found_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_bavail, f_frsize = 1, 512

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    with pytest.raises(CannotWrite, match=r"needs [\d,]{5,} bytes, and the disk has 512 free"):
        write(tmp_path / "t.h5")
    assert list(tmp_path.iterdir()) == []


@each_output
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing_behind(output: Output, error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / f"t{output.suffixes[0]}"
    path.write_bytes(b"old")

    def fail() -> None:
        with outputs.open(path, WHAT, force=True) as sink:
            sink.write(next(blocks(WHAT, whole(WHAT))))
            assert len(list(tmp_path.iterdir())) == 2
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_symbolic_link_survives(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "t.h5"
    link.symlink_to("elsewhere/real.h5")
    write(link)
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["real.h5"]
    write(link, force=True)
    assert link.is_symlink()
    assert outputs.load(link).names == ("s0", "s1")


def test_the_mode_is_the_umask_s_and_a_replaced_file_keeps_its_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "t.h5")
        assert stat.S_IMODE((tmp_path / "t.h5").stat().st_mode) == 0o640
        (tmp_path / "t.h5").chmod(0o600)
        write(tmp_path / "t.h5", force=True)
        assert stat.S_IMODE((tmp_path / "t.h5").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_leftovers_are_swept_and_living_writers_are_not(tmp_path: Path) -> None:
    dead = tmp_path / ".t.h5.rnnprobe-1-00000000.tmp"
    living = tmp_path / ".u.h5.rnnprobe-1-11111111.tmp"
    other = tmp_path / ".rnnprobe-notes"
    for path in (dead, living, other):
        path.touch()
    with living.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        outputs.check(tmp_path / "v.h5")
        assert sorted(tmp_path.iterdir()) == sorted([living, other])
    outputs.check(tmp_path / "v.h5")
    assert list(tmp_path.iterdir()) == [other]


def test_a_sweeper_leaves_what_another_thread_of_it_writes(tmp_path: Path) -> None:
    with outputs.open(tmp_path / "a.h5", WHAT) as sink:
        write(tmp_path / "b.h5")
        for block in blocks(WHAT, whole(WHAT)):
            sink.write(block)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"

    def race() -> None:
        with atomic.staged(path, path, force=False) as descriptor:
            os.write(descriptor, b"new")
            path.write_bytes(b"theirs")

    with pytest.raises(BadInput, match="another process"):
        race()
    assert [(entry, entry.read_bytes()) for entry in tmp_path.iterdir()] == [(path, b"theirs")]


def test_long_names_leave_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".h5")
    write(path)
    assert list(tmp_path.iterdir()) == [path]
