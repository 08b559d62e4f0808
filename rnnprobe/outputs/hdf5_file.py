"""An HDF5 file that is filled in a thread of its own.

libhdf5 runs behind a `Shield`, so that a full disk is an error and not a crash. The classic chunk index (`v108`) is
kept: it takes space for the chunks that were written alone, and every reader knows it. For chunks without end it takes
up to 14 MB of memory, and 56 bytes of the file each; the fixed arrays of `v110` take 2 MB and 8 bytes, also for chunks
that are never written, and no less time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import h5py

from rnnprobe.outputs.atomic import written
from rnnprobe.outputs.shield import Shield
from rnnprobe.outputs.worker import Worker, running

Item = TypeVar("Item")


@contextmanager
def filling(descriptor: int, fill: Callable[[h5py.File, Iterator[Item]], None]) -> Iterator[Worker[Item]]:
    """A worker that hands items to `fill`, and has closed the file when the body ends.

    Args:
        descriptor: an empty file, open for reading and writing; it stays open.
        fill: `fill(file, items)` writes all of the items. They end early when the file takes no more.

    Raises:
        CannotWrite: the file takes no more.
    """
    shield = Shield(descriptor)

    def work(items: Iterator[Item]) -> None:
        with h5py.File(shield, "w", libver=("v108", "v110"), track_order=True) as file:
            try:
                fill(file, _while_intact(shield, items))
            except BaseException:
                shield.fail(OSError("abandoned"))  # what closing flushes is of no use any more
                raise
        if shield.error is not None:
            with written():
                raise shield.error

    with running(work) as worker:
        yield worker


def _while_intact(shield: Shield, items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        if shield.error is not None:
            return
