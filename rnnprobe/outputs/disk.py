"""What a disk has room for, and how fast it takes it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from time import perf_counter

from rnnprobe.errors import CannotWrite
from rnnprobe.outputs.atomic import scratch, written

_SAMPLE, _SAMPLE_PIECE = 64 << 20, 4 << 20
"""Bytes that are written to tell how fast a disk is, and at a time."""


def require_room(path: Path, target: Path, size: int) -> None:
    """Refuses what the disk has no room for.

    Raises:
        CannotWrite: fewer than `size` bytes are free.
    """
    with written(path):
        state = os.statvfs(target.parent)
    free = state.f_bavail * state.f_frsize
    if free < size:
        raise CannotWrite(
            f"needs {size:,} bytes, and the disk has {free:,} free",
            path=path,
            hint="record fewer signals (--record), fewer steps (--steps), or --dtype float16",
        )


def writing_time(path: Path, target: Path, size: int) -> float:
    """The seconds that the disk takes for so many bytes, as it takes a few of them, synced.

    Raises:
        CannotWrite: it does not take them.
    """
    sample = min(size, _SAMPLE)
    values = secrets.token_bytes(min(sample, _SAMPLE_PIECE))  # zeros may take no room
    with scratch(path, target) as (descriptor, _), written(path):
        begun = perf_counter()
        for _ in range(0, sample, _SAMPLE_PIECE):
            os.write(descriptor, values)
        os.fsync(descriptor)
        seconds = perf_counter() - begun
        taken = os.fstat(descriptor).st_size
    return seconds * size / taken if taken else 0.0
