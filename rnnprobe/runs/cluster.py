"""The parts of a trace on the workers of a Dask cluster.

A worker is sent the job and a part, prepares the whole run as this process did, once, and traces the part to its place:
a file system that all of them share is needed, with locks. When a worker is lost, Dask hands its part to another one;
what it had begun was never under the part's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from threading import Lock
from typing import Any

from rnnprobe.cores import CORES, cores
from rnnprobe.errors import BadInput, OutOfResources, RnnprobeError
from rnnprobe.runs import parts, threads
from rnnprobe.runs.job import Job
from rnnprobe.runs.ledger import MANIFEST, Done, Ledger, part_path
from rnnprobe.runs.parts import Part
from rnnprobe.runs.prepared import Ready, opened, ready
from rnnprobe.runs.provenance import releases, sha256
from rnnprobe.types import Network

PARTS_EACH = 4
"""Parts for each worker, so that the slowest is not waited for long."""
_PATIENCE = 30
"""Seconds to wait for the scheduler, and for its first worker."""
_LOCAL = "local:"
_RESTART = """TensorFlow settles the threads of an operation once in a process. Such workers get a new one, all or none:
one of them is at work for others, or has no nanny to start it anew. Once they are free:
dask.distributed.Client(SCHEDULER).restart_workers({}), or end them
and start them with `dask worker SCHEDULER`; then the same command goes on"""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker has to know besides the part.

    Attributes:
        job: what is asked for.
        attributes: where the trace comes from.
        folder: of the ledger.
        directory: the one from which the job's files are named.
        sizes: file that is read → its bytes.
        releases: of what computes.
        threads: what `threads.VARIABLE` is, or None.
    """

    job: Job
    attributes: tuple[tuple[str, str], ...]
    folder: Path
    directory: Path
    sizes: tuple[tuple[Path, int], ...]
    releases: tuple[tuple[str, str], ...]
    threads: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says to an order.

    Attributes:
        problem: why it can't do its share, as what follows its name; or nothing.
        restart: whether it could in a new process.
    """

    problem: str
    restart: bool = False


class Cluster:
    """A Dask cluster at work on one job.

    Args:
        address: of a scheduler, `tcp://host:8786`; or `local:N`, N processes of this machine.

    Attributes:
        workers: how many there are.

    Raises:
        BadInput: Dask is not installed, there is no scheduler or no worker, or the address is none.
    """

    def __init__(self, address: str) -> None:
        self._client, self._close = _connected(address)
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
            self.workers = len(self._client.nthreads())
        except TimeoutError as exc:
            self._close()
            raise BadInput(f"the scheduler {address} has no worker", hint=f"dask worker {address} starts one") from exc
        except BaseException:
            self._close()
            raise

    def close(self) -> None:
        """Leaves the cluster; ends one that was started for this."""
        self._close()

    def work(self, ready: Ready, ledger: Ledger, advance: Callable[[int], None]) -> Generator[tuple[Part, Done]]:
        """Traces the parts of a ledger that are not done (`rnnprobe.runs.resume.Work`).

        Raises:
            BadInput: a worker does not see the same files, or has other releases.
            OutOfResources: a part that no worker survives; the scheduler is lost.
            RnnprobeError: whatever stopped a worker.
        """
        from distributed import KilledWorker, as_completed

        order = _order(ready, ledger)
        try:
            with _reached(ledger.folder.parent):
                answers = self._client.run(answer, order)
                begun = [worker for worker, one in answers.items() if one.restart]
                if begun and self._afresh(begun):
                    answers = self._client.run(answer, order)
        except ModuleNotFoundError as exc:
            raise BadInput(f"a worker lacks what is needed: {exc}", hint="pip install 'rnnprobe[dask]' there") from exc
        for worker, one in answers.items():
            if one.problem:
                hint = _RESTART.format([name for name in answers if answers[name].restart]) if one.restart else ""
                raise BadInput(f"the worker {worker} {one.problem}", path=ledger.folder.parent, hint=hint)
        futures = {self._client.submit(trace, order, part, pure=False): part for part in ledger.todo}
        for future in as_completed(list(futures)):
            part = futures.pop(future)
            try:
                with _reached(ledger.folder.parent):
                    done = future.result()
            except KilledWorker as exc:
                raise OutOfResources(
                    f"part {part.number} ended {exc.allowed_failures + 1} workers, one after the other",
                    path=ready.job.model,
                    hint="most often for want of memory: fewer workers on a machine, or more memory for each",
                ) from exc
            if not ledger.path(part).exists():
                raise BadInput("what a worker wrote is not there: it has another file system", path=ledger.path(part))
            advance(ready.recording.work(part.of(ready.recording)))
            yield part, done

    def _afresh(self, workers: list[str]) -> bool:
        """Gives workers a new process each, which can begin with another number of threads: all of them, or none where
        one has no nanny to start it anew, or does or holds something for somebody.

        Returns:
            Whether they have one.
        """
        about = self._client.scheduler_info(n_workers=-1)["workers"]
        if any(self._client.processing(workers).values()) or any(self._client.has_what(workers).values()):
            return False
        if not all(about.get(worker, {}).get("nanny") for worker in workers):
            return False
        self._client.restart_workers(workers, timeout=_PATIENCE)
        self._client.wait_for_workers(self.workers, timeout=_PATIENCE)
        return True


@contextlib.contextmanager
def _reached(folder: Path) -> Iterator[None]:
    """Says in words that a scheduler or its workers don't answer any more.

    Raises:
        OutOfResources: saying so.
    """
    from distributed import CancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError, TimeoutError) as exc:
        raise OutOfResources(
            f"the cluster does not answer any more: {str(exc) or type(exc).__name__}",
            path=folder,
            hint="what is done is kept: once a cluster is there again, the same command goes on",
        ) from exc


def require(address: str) -> None:
    """Refuses, before anything runs, what can't be a cluster.

    Raises:
        BadInput: Dask is not installed, or the address is none.
    """
    try:
        import distributed  # noqa: F401 (whether it is there)
    except ImportError as exc:
        raise BadInput(
            f"--scheduler {address} needs Dask, which can't be imported: {exc}", hint="pip install 'rnnprobe[dask]'"
        ) from exc
    if "://" not in address and not processes(address, 0):
        raise BadInput(f"--scheduler {address}: expected tcp://HOST:PORT, or local:N for N processes on this machine")


def processes(address: str, others: int = 1) -> int:
    """How many of this machine `local:N` means; `others` for an address that is not of this kind."""
    number = address.removeprefix(_LOCAL)
    return int(number) if address.startswith(_LOCAL) and number.isdecimal() else others


def _connected(address: str) -> tuple[Any, Callable[[], None]]:
    """A client of a cluster, and what leaves it."""
    require(address)
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as held:
        held.enter_context(dask.config.set({"distributed.comm.timeouts.connect": _PATIENCE}))
        scheduler: Any = address
        if address.startswith(_LOCAL):
            workers = processes(address)
            scheduler = held.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",  # None leaves a server at Dask's own port, with a warning if taken
                    silence_logs=logging.CRITICAL,
                    preload=[__name__],
                    env={CORES: os.environ.get(CORES) or str(cores(workers))},
                )
            )
        try:
            client = held.enter_context(Client(scheduler))
        except OSError as exc:
            raise BadInput(f"no scheduler answers at {address}: {exc}", hint="`dask scheduler` starts one") from exc
        return client, held.pop_all().close


def _order(ready: Ready, ledger: Ledger) -> Order:
    job = ready.job
    sizes = tuple((path, path.stat().st_size) for path in job.files)
    attributes = tuple(ready.recording.attributes.items())
    number = os.environ.get(threads.VARIABLE)
    return Order(job, attributes, ledger.folder, Path.cwd(), sizes, tuple(releases().items()), number)


# On a worker -------------------------------------------------------------------------------------------------------

_TURN = Lock()
"""A process has one directory and one number of threads, and one part at a time is enough."""
_FOUND: dict[object, Network] = {}
"""The model of the job that was checked last."""
_KEPT: dict[object, Ready] = {}
"""The whole run of the job of the last part."""


def dask_setup(worker: Any) -> None:
    """What Dask calls in each process of a cluster on this machine: Ctrl-C is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def answer(order: Order) -> Answer:
    """As `check`; what the worker says to the scheduler meanwhile does not wait for it."""
    return await asyncio.to_thread(check, order)


def check(order: Order) -> Answer:
    """Whether this worker can do its share."""
    with _TURN:
        begun = threads.become(order.threads)
        return Answer(begun, restart=True) if begun else Answer(_unlike(order))


def _key(order: Order) -> object:
    return order.folder, order.attributes


def _unlike(order: Order) -> str:
    """What is not here as it is where the order comes from, or nothing; keeps the model that it reads for it."""
    _FOUND.clear()
    ours = dict(order.releases)
    for name, number in releases().items():
        if number != ours.get(name):
            return f"has {name} {number or 'not installed'}; here it is {ours.get(name) or 'not installed'}"
    if not (order.folder / MANIFEST).is_file():
        return f"does not see {order.folder}: a file system that all of them share is needed"
    try:
        with contextlib.chdir(order.directory):
            for path, size in order.sizes:
                if path.stat().st_size != size:
                    return f"sees another file at {path}"
            whole = opened(order.job)
            if sha256(whole.checkpoint.files) != dict(order.attributes)["model_sha256"]:
                return f"sees another model at {order.job.model}"
    except (OSError, RnnprobeError) as exc:
        return f"does not see what is read here: {exc}"
    _FOUND[_key(order)] = whole
    return ""


def trace(order: Order, part: Part) -> Done:
    """Traces a part to its place."""
    with _TURN, contextlib.chdir(order.directory):
        path = part_path(order.folder, part)
        return Done.of(path, parts.trace(_prepared(order), part, path))


def _prepared(order: Order) -> Ready:
    """The whole run, which is the same for all parts: kept until another one comes.

    Raises:
        BadInput: this worker can't do its share.
    """
    key = _key(order)
    problem = threads.become(order.threads)
    if not problem and key not in _KEPT and key not in _FOUND:
        problem = _unlike(order)
    if problem:
        raise BadInput(f"a worker on {gethostname()} {problem}", path=order.folder.parent)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = ready(order.job, _FOUND[key], lambda lines: None, dict(order.attributes))
    return _KEPT[key]
