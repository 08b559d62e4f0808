"""A file that appears whole under its name, or not at all.

It is written beside its destination under a temporary name, synced, and renamed. The temporary file is locked (`flock`)
for as long as its writer lives; one that can be locked is the leftover of a dead writer, and is swept away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rnnprobe.errors import BadInput, CannotWrite

_MARK = ".rnnprobe-"
_SUFFIX = ".tmp"
_LONGEST = 255
"""Bytes that a file's name may have."""


def resolve(path: Path) -> Path:
    """What `path` points to, whether it exists or not.

    Raises:
        CannotWrite: symbolic links that go round in a circle.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as exc:
        raise CannotWrite(f"can't be written: {exc}", path=path) from exc


def check(path: Path, target: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Refuses a place that can't be written, by trying it.

    Args:
        path: as the user wrote it.
        target: what it resolves to.
        force: whether a file that is there may be replaced.
        sources: files that are read, and must not be written.

    Raises:
        CannotWrite: no directory, a directory that is read-only, a directory or device in the file's place, or one of
            `sources`.
        BadInput: the file exists, without `force`.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = 0
    except OSError as exc:
        raise CannotWrite(f"can't be written: {exc.strerror}", path=path) from exc
    if mode and not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise CannotWrite(f"is {kind}, expected the name of a file", path=path)
    for source in sources:
        if mode and source.exists() and target.samefile(source):
            raise CannotWrite("is itself an input of this command", path=path, hint="choose another name for -o")
    if mode and not force:
        raise BadInput("exists already", path=path, hint="--force replaces it")
    sweep(target.parent)
    with scratch(path, target):
        pass


@contextmanager
def staged(path: Path, target: Path, *, force: bool) -> Iterator[int]:
    """A descriptor to write to, whose file takes the name `target` when the body ends without an exception.

    Args:
        path: as the user wrote it, for messages.
        target: the file's place.
        force: whether a file that is there is replaced; it keeps its mode.

    Raises:
        CannotWrite: the file can't be created, synced or renamed; what was there before is as it was.
        BadInput: a file of this name appeared meanwhile, without `force`.
    """
    with scratch(path, target) as (descriptor, temporary):
        yield descriptor
        _publish(descriptor, temporary, path, target, force=force)


def publish(source: Path, path: Path, target: Path, *, force: bool) -> None:
    """Gives a file that is whole the name `target`, on the same file system; it may keep its own name as well.

    Args:
        source: the file.
        path, target, force: as `staged` takes them.

    Raises:
        CannotWrite, BadInput: as `staged` does.
    """
    with written(path):
        descriptor = os.open(source, os.O_RDWR | os.O_CLOEXEC)
    try:
        _publish(descriptor, source, path, target, force=force)
    finally:
        os.close(descriptor)


def _publish(descriptor: int, source: Path, path: Path, target: Path, *, force: bool) -> None:
    with written(path):
        if force:
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
        os.fsync(descriptor)
        try:
            _name(source, target, force=force)
        except FileExistsError as exc:
            raise BadInput("was made by another process meanwhile", path=path, hint="--force replaces it") from exc
        _sync_directory(target.parent)


@contextmanager
def written(path: Path | None = None) -> Iterator[None]:
    """Turns what the system says about a file that is written into `CannotWrite`."""
    try:
        yield
    except OSError as exc:
        raise CannotWrite(f"can't be written: {exc.strerror or exc}", path=path) from exc


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file in a `CannotWrite` that does not."""
    try:
        yield
    except CannotWrite as exc:
        if exc.path is None:
            exc.path = path
        raise


def _name(temporary: Path, target: Path, *, force: bool) -> None:
    """Gives the file its name; without `force` by a link, which fails where `os.replace` would replace."""
    if not force:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        else:
            return
    os.replace(temporary, target)


@contextmanager
def scratch(path: Path, target: Path) -> Iterator[tuple[int, Path]]:
    """A new, locked file beside `target`: its descriptor and its name, which is gone at the end."""
    made: tuple[int, Path] | None = None
    try:
        try:
            made = _create(target)
        except OSError as exc:
            hint = "create the directory first" if isinstance(exc, FileNotFoundError) else ""
            raise CannotWrite(f"can't be written: {exc.strerror}", path=path, hint=hint) from exc
        yield made
    finally:
        if made is not None:
            with suppress(FileNotFoundError):
                os.unlink(made[1])
            os.close(made[0])


def _create(target: Path) -> tuple[int, Path]:
    while True:
        tail = f"{_MARK}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        stem = os.fsdecode(os.fsencode(f".{target.name}")[: _LONGEST - len(tail)])
        temporary = target.with_name(stem + tail)
        try:  # from before its creation: a signal may come at any moment
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            with suppress(OSError):  # a file system without locks: nobody sweeps there either
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:  # else swept away between its creation and its lock
                return descriptor, temporary
        except FileExistsError:
            raise
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        os.close(descriptor)


def sweep(directory: Path) -> None:
    """Removes what dead writers left in a directory."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if _MARK in entry.name and entry.name[0] == "." and entry.name.endswith(_SUFFIX):
                _remove_leftover(entry.path)


def _remove_leftover(path: str) -> None:
    with suppress(OSError):  # another user's, or one that a living writer has locked
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
