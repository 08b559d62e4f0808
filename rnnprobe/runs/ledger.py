"""Which parts of a job are done: a directory beside the output, which outlives the process.

    out.h5.parts/<job>/manifest.json    what the job is, how it is cut, and of each part that is done its size, its
                                        CRC32C and what was compared
    out.h5.parts/<job>/00000.h5 …       the parts
    out.h5.parts/<job>/lock             held by the process that works on the job

`<job>` is made of what the job is, so that an output that presents its parts keeps them until another one has taken its
place.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import google_crc32c

from rnnprobe.analysis.verification import Verified
from rnnprobe.errors import BadInput
from rnnprobe.outputs import atomic, shards
from rnnprobe.outputs.shards import Shard
from rnnprobe.runs.parts import Part, recording_of
from rnnprobe.types import Recording

FORMAT = "rnnprobe-parts 1"
MANIFEST = "manifest.json"
"""In the folder of a job."""
_LOCK, _SUFFIX = "lock", ".h5"
_PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class Done:
    """A part that is done.

    Attributes:
        size: of its file, in bytes.
        crc32c: of the file.
        verification: what was compared.
    """

    size: int
    crc32c: int
    verification: Verified

    @classmethod
    def of(cls, path: Path, verification: Verified) -> Done:
        """What is to be known of a file."""
        return cls(path.stat().st_size, _crc32c(path), verification)

    def holds(self, path: Path) -> bool:
        """Whether the file is still what it was."""
        try:
            return path.stat().st_size == self.size and _crc32c(path) == self.crc32c
        except OSError:
            return False


def part_path(folder: Path, part: Part) -> Path:
    """Of a part's trace, in the folder of its job."""
    return folder / f"{part.number:05}{_SUFFIX}"


class Ledger:
    """The parts of a job, and which of them are done.

    Args:
        folder: of the job.
        job: what it is, in words.
        parts: how it is cut.
        done: number of a part → what is known of it.

    Attributes:
        folder, parts, done: as given.
    """

    def __init__(self, folder: Path, job: Mapping[str, str], parts: Sequence[Part], done: Mapping[int, Done]) -> None:
        self.folder = folder
        self.parts = tuple(parts)
        self.done = dict(done)
        self._job = dict(job)

    @property
    def todo(self) -> tuple[Part, ...]:
        """The parts that are not done."""
        return tuple(part for part in self.parts if part.number not in self.done)

    def path(self, part: Part) -> Path:
        """Of a part's trace."""
        return part_path(self.folder, part)

    def shards(self, recording: Recording) -> tuple[Shard, ...]:
        """The traces of the parts, in order."""
        return tuple(Shard(self.path(part), part.rows[0], recording_of(recording, part)) for part in self.parts)

    def finish(self, part: Part, done: Done) -> None:
        """Notes that a part is done.

        Raises:
            CannotWrite: the note can't be written.
        """
        self.done[part.number] = done
        self.save()

    def save(self) -> None:
        """Writes the manifest.

        Raises:
            CannotWrite: it can't be written.
        """
        parts = [
            {"batches": part.batches, "rows": part.rows, **(_plain(self.done.get(part.number)))} for part in self.parts
        ]
        text = json.dumps({"format": FORMAT, "job": self._job, "parts": parts}, indent=1)
        path = self.folder / MANIFEST
        with (
            atomic.naming(path),
            atomic.staged(path, path, force=True) as descriptor,
            atomic.written(path),
            os.fdopen(os.dup(descriptor), "wb") as file,
        ):
            file.write(text.encode())
            file.flush()  # before the file takes its name

    def checked(self) -> None:
        """Forgets the parts whose files are damaged or gone."""
        self.done = {
            part.number: self.done[part.number]
            for part in self.parts
            if part.number in self.done and self.done[part.number].holds(self.path(part))
        }

    def remove(self) -> list[str]:
        """Removes all of it, and the directory around it where nothing else is in it.

        Returns:
            What can't be removed, and why.
        """
        return clear(self.folder)


@contextmanager
def opened(target: Path, job: Mapping[str, str], cut: Callable[[], Sequence[Part]], *, force: bool) -> Iterator[Ledger]:
    """The ledger of a job for an output: the one that is there, or a new one. No other process has it meanwhile.

    Args:
        target: the output.
        job: what decides what comes out, in words.
        cut: cuts the job into parts, where that was not done before.
        force: whether the parts of another job may be there.

    Raises:
        BadInput: the parts of another job are there, and what differs; another process is at work; a damaged manifest.
        CannotWrite: the directory can't be made or written.
    """
    base = shards.folder(target)
    folder = folder_of(base, job)
    if not force:
        _refuse_others(base, folder, job)
    with atomic.written(base):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, base):
        atomic.sweep(folder)
        ledger = _as_it_is(folder, job, cut)
        if not (folder / MANIFEST).exists():
            ledger.save()
        yield ledger


def planned(target: Path, job: Mapping[str, str], cut: Callable[[], Sequence[Part]], *, force: bool) -> Ledger:
    """The ledger that `opened` would yield; nothing is written, and nothing held.

    Args:
        target, job, cut, force: as `opened` takes them.

    Raises:
        BadInput: as `opened` does; not of another process.
    """
    base = shards.folder(target)
    folder = folder_of(base, job)
    if not force:
        _refuse_others(base, folder, job)
    return _as_it_is(folder, job, cut)


def _as_it_is(folder: Path, job: Mapping[str, str], cut: Callable[[], Sequence[Part]]) -> Ledger:
    """The ledger in a folder, or a new one."""
    found = noted(folder)
    if found is None:
        return Ledger(folder, job, cut(), {})
    ledger = Ledger(folder, job, *parts_of(folder, found))
    ledger.checked()
    return ledger


def jobs(base: Path) -> list[Path]:
    """The folders of jobs in the one beside an output."""
    try:
        return sorted(folder for folder in base.iterdir() if (folder / MANIFEST).is_file())
    except OSError:
        return []


def _refuse_others(base: Path, own: Path, job: Mapping[str, str]) -> None:
    """Raises `BadInput` where the parts of another job are there."""
    for folder in jobs(base):
        if folder != own:
            text = noted(folder) or {}
            parts, done = parts_of(folder, text)
            raise BadInput(
                f"holds the parts of another trace, {len(done)} of {len(parts)} done: "
                f"{unlike(text.get('job', {}), job)}",
                path=base,
                hint="the command that was cut goes on where it stopped; --force starts anew",
            )


def unlike(before: Mapping[str, str], job: Mapping[str, str]) -> str:
    """What differs between two jobs, in words."""
    names = [name for name in {**before, **job} if before.get(name) != job.get(name)]
    return "; ".join(
        f"{name} was {before.get(name, 'not given')}, and is {job.get(name, 'not given')}" for name in names
    )


def folder_of(base: Path, job: Mapping[str, str]) -> Path:
    """Of a job."""
    return base / sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]


def noted(folder: Path) -> dict[str, Any] | None:
    """The manifest, or None where there is none."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as exc:
        raise BadInput(f"is damaged: {exc}", path=path, hint=f"remove {folder}, and start anew") from exc
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadInput(f"is no manifest of this release, {FORMAT!r}", path=path, hint=f"remove {folder}")
    return found


def parts_of(folder: Path, found: Mapping[str, Any]) -> tuple[list[Part], dict[int, Done]]:
    """The parts of a manifest, and those that are done."""
    parts, done = [], {}
    try:
        for number, one in enumerate(found["parts"]):
            (first, last), (start, stop) = one["batches"], one["rows"]
            parts.append(Part(number, (int(first), int(last)), (int(start), int(stop))))
            if "size" in one:
                done[number] = Done(int(one["size"]), int(one["crc32c"]), dict(one["verification"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise BadInput(f"is damaged: {exc}", path=folder / MANIFEST, hint=f"remove {folder}, and start anew") from exc
    return parts, done


def _plain(done: Done | None) -> dict[str, Any]:
    if done is None:
        return {}
    return {"size": done.size, "crc32c": done.crc32c, "verification": done.verification}


def _crc32c(path: Path) -> int:
    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            checksum.update(piece)
    return int.from_bytes(checksum.digest(), "big")


@contextmanager
def locked(folder: Path, base: Path) -> Iterator[None]:
    """Holds the lock of a job.

    Args:
        folder: of the job.
        base: what an error names.

    Raises:
        BadInput: another process holds it.
        CannotWrite: the file can't be made.
    """
    path = folder / _LOCK
    with atomic.written(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BadInput(
                "another process is at work on it",
                path=base,
                hint="wait for its end, or end it: the same command then goes on with what it has done",
            ) from exc
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def clear(folder: Path) -> list[str]:
    """Removes what is ours in a folder, and the folder where it is empty then; what can't be removed, and why."""
    atomic.sweep(folder)
    lines = []
    try:
        entries = sorted(folder.iterdir())
    except OSError as exc:
        return [f"{folder} can't be removed: {exc.strerror or exc}"]
    for entry in entries:
        if entry.name in (MANIFEST, _LOCK) or (entry.suffix == _SUFFIX and entry.stem.isdecimal()):
            try:
                entry.unlink(missing_ok=True)
            except OSError as exc:
                lines.append(f"{entry} is no longer needed, and can't be removed: {exc.strerror or exc}")
    with suppress(OSError):  # something else is in it
        folder.rmdir()
        folder.parent.rmdir()
    return lines
