"""Several batches at once, a thread each: TensorFlow computes without Python's lock."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from queue import Empty, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

from rnnprobe.cores import cores

Item = TypeVar("Item")

_AHEAD = 1
"""Items of each that wait to be taken."""

_MOST = 8
"""Batches that run at once: each holds blocks, and chunks that are begun and not full."""


def most_at_once() -> int:
    """How many may run at once here; no number that is computed depends on it."""
    return min(cores(), _MOST)


def abreast(work: Sequence[Callable[[], Generator[Item]]], at_once: int) -> Generator[Item]:
    """What all of `work` yields, `at_once` of them running at a time.

    Each thread has its share, every `at_once`-th of them one after the other, and an item of each thread comes in turn:
    the order is the same however fast they are. With one at a time nothing runs in threads.

    Args:
        work: functions that begin, and return what they yield.
        at_once: at least 1.

    Raises:
        whatever one of them raised; the others have ended by then.
    """
    threads = min(at_once, len(work))
    if threads < 2:
        for begin in work:
            yield from begin()
        return
    with ExitStack() as ends:
        running: list[_Thread[Item]] = []
        for first in range(threads):
            running.append(_Thread(work[first::threads]))
            ends.callback(running[-1].end)
        for one in running:
            ends.callback(one.stop)  # all of them, before the first is waited for
        while running:
            for one in list(running):
                try:
                    yield one.take()
                except StopIteration:
                    running.remove(one)


class _Thread(Generic[Item]):
    """Iterators one after the other that run ahead in a thread.

    Args:
        work: functions that return them.
    """

    def __init__(self, work: Sequence[Callable[[], Generator[Item]]]) -> None:
        self._work = work
        self._items: Queue[Item | BaseException] = Queue(_AHEAD)
        self._ended = Event()
        self._thread = Thread(target=self._run, name="rnnprobe-batch", daemon=True)
        atexit.register(self.end)  # a thread that Python stops at its exit may hold a lock for ever
        self._thread.start()

    def take(self) -> Item:
        """The next item.

        Raises:
            StopIteration: there is none.
            whatever the iterator raised.
        """
        item = self._items.get()
        if isinstance(item, BaseException):
            self._thread.join()
            raise item
        return item

    def stop(self) -> None:
        """Lets it end at its next item."""
        self._ended.set()

    def end(self) -> None:
        """Lets it end, and waits for that."""
        self.stop()
        while self._thread.is_alive():
            try:
                self._items.get(timeout=0.01)
            except Empty:
                continue
        atexit.unregister(self.end)

    def _run(self) -> None:
        last: BaseException = StopIteration()
        try:
            for begin in self._work:
                with closing(begin()) as items:
                    for item in items:
                        self._items.put(item)
                        if self._ended.is_set():
                            return self._items.put(last)
        except BaseException as error:  # noqa: BLE001 (raised again where the items are taken)
            last = error
        self._items.put(last)
