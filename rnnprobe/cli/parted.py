"""--resume, --scheduler and --merge: a trace by way of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnprobe.errors import BadInput

if TYPE_CHECKING:
    from rnnprobe.analysis.verification import Verified
    from rnnprobe.outputs import Destination
    from rnnprobe.runs import Ready, Say


@dataclass(frozen=True, slots=True)
class Parted:
    """What was said of parts; true where anything was.

    Attributes:
        resume, scheduler, merge: the options of these names.
    """

    resume: bool
    scheduler: str | None
    merge: bool

    def __bool__(self) -> bool:
        return self.resume or self.scheduler is not None

    @property
    def flag(self) -> str:
        """The one that asks for parts."""
        return "--resume" if self.scheduler is None else "--scheduler"

    def check(self, place: Destination | None) -> None:
        """Refuses, before anything is read, what can't be.

        Args:
            place: of the output, or None.

        Raises:
            BadInput: no output in HDF5; --merge by itself; an address that is none, or no Dask.
        """
        if self.merge and self.scheduler is None:
            raise BadInput("--merge goes with --scheduler", hint="a trace on one machine is one file anyway")
        if not self:
            return
        if place is None or ".h5" not in place.output.suffixes:
            path = place.path if place is not None else None
            raise BadInput(f"{self.flag} needs an output in HDF5", path=path, hint="-o FILE.h5 names it")
        if self.scheduler is not None:
            from rnnprobe.runs import cluster

            cluster.require(self.scheduler)

    def refuse(self, ready: Ready) -> None:
        """Refuses a run that can't be cut (`rnnprobe.runs.parts.refuse`)."""
        if self:
            from rnnprobe.runs import parts

            parts.refuse(ready, self.flag)

    def size_of(self, ready: Ready, place: Destination, job: Mapping[str, str]) -> int | None:
        """The bytes that `trace` is going to write; see `rnnprobe.runs.resume.size_of`.

        How many workers a cluster has is not asked: of one that is not started here, one is counted.
        """
        from rnnprobe.runs import cluster, resume

        if self.scheduler is None:
            return resume.size_of(ready, place, job)
        at_least = cluster.PARTS_EACH * cluster.processes(self.scheduler)
        return resume.size_of(ready, place, job, at_least=at_least, merge=self.merge)

    def trace(
        self, ready: Ready, place: Destination, job: Mapping[str, str], advance: Callable[[int], None], say: Say
    ) -> Verified:
        """Writes the trace; see `rnnprobe.runs.resume.trace`."""
        from rnnprobe.runs import cluster, resume

        if self.scheduler is None:
            return resume.trace(ready, place, job, advance=advance, say=say)
        with closing(cluster.Cluster(self.scheduler)) as workers:
            return resume.trace(
                ready,
                place,
                job,
                work=workers.work,
                at_least=cluster.PARTS_EACH * workers.workers,
                merge=self.merge,
                advance=advance,
                say=say,
            )
