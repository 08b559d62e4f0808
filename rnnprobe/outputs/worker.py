"""A thread that writes while the next block is computed."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

from rnnprobe.errors import RnnprobeError

Item = TypeVar("Item")


class Abandoned(RnnprobeError):
    """The producer gave up: what was written so far is of no use. It never reaches the user."""


class Worker(Generic[Item]):
    """Runs `work(items)` in a thread of its own; `put` feeds `items`, at most one ahead.

    Args:
        work: consumes the iterator to its end. The iterator raises `Abandoned` when the producer gave up.
    """

    def __init__(self, work: Callable[[Iterator[Item]], None]) -> None:
        self._work = work
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._room = Semaphore(2)
        self._abandoned = False
        self._failure: BaseException | None = None
        # a daemon, so that an interrupt between here and the `try` of `running` can't keep the process alive
        self._thread = Thread(target=self._run, name="rnnprobe-writer", daemon=True)
        # Where an interrupt came between: a thread that Python stops at its exit may hold libhdf5's lock for ever.
        atexit.register(self.abandon)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hands an item over, waiting until there is room for it.

        Raises:
            whatever `work` raised.
        """
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._queue.put(item)

    def finish(self) -> None:
        """Waits until everything is written.

        Raises:
            whatever `work` raised.
        """
        self._end()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Lets `work` end at once, and waits for that."""
        self._abandoned = True
        self._end()

    def _end(self) -> None:
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        atexit.unregister(self.abandon)

    def _run(self) -> None:
        try:
            self._work(self._items())
        except BaseException as error:  # noqa: BLE001 (handed over to the producer's thread, which raises it)
            self._failure = error
        finally:
            self._room.release()

    def _items(self) -> Iterator[Item]:
        while (item := self._queue.get()) is not None:
            if self._abandoned:
                break
            yield item
            del item
            self._room.release()
        if self._abandoned:
            raise Abandoned("given up")


@contextmanager
def running(work: Callable[[Iterator[Item]], None]) -> Iterator[Worker[Item]]:
    """A worker that has finished when the body ends, and is abandoned when the body raises."""
    worker = Worker(work)
    try:
        yield worker
    except BaseException:
        worker.abandon()
        raise
    worker.finish()
