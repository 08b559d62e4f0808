"""Blocks → a file, or memory; and a trace read back.

`OUTPUTS` is the registry of files. An output is a `rnnprobe.outputs.output.Output`; to add one, write it in a file of
its own and name it here. Each stores the layout of `rnnprobe.outputs.layout`, takes blocks of forward layers in the
order of time and of backward layers from the end, in memory bounded by the size of a block, and leaves NaN past a
sequence's length. The tests are parametrised over this tuple.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.outputs import atomic, compression, disk
from rnnprobe.outputs.blocks import Tallied, Tally
from rnnprobe.outputs.compression import BITSHUFFLE, COMPRESSIONS, GZIP, LZF
from rnnprobe.outputs.memory import MemorySink, collect
from rnnprobe.outputs.output import Destination, Output, Settings, Sink, by_suffix
from rnnprobe.outputs.summary import OutcomeSummary, SignalSummary, SummarySink, summarise
from rnnprobe.outputs.trace import LayerTrace, Trace, load
from rnnprobe.types import Recording


def _hdf5(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> AbstractContextManager[Sink]:
    from rnnprobe.outputs import hdf5

    return hdf5.open(descriptor, directory, recording, settings)


def _npz(descriptor: int, directory: Path, recording: Recording, settings: Settings) -> AbstractContextManager[Sink]:
    from rnnprobe.outputs import npz

    return npz.open(descriptor, directory, recording, settings)


def _hdf5_size(recording: Recording, dtype: str) -> int:
    from rnnprobe.outputs import hdf5

    return hdf5.size(recording, dtype)


def _npz_size(recording: Recording, dtype: str) -> int:
    from rnnprobe.outputs import npz

    return npz.size(recording, dtype)


OUTPUTS: tuple[Output, ...] = (
    Output("HDF5", (".h5", ".hdf5", ".nc"), _hdf5, _hdf5_size, compressions=(GZIP, LZF, BITSHUFFLE)),
    Output("NumPy archive", (".npz",), _npz, _npz_size, compressions=(GZIP,)),
)

DTYPES = ("float16", "float32", "float64")


def check(destination: str | Path, *, force: bool = False, sources: Sequence[Path] = ()) -> Destination:
    """Refuses, before anything is computed, what can't be written.

    Args:
        destination: the file to be; its suffix says which output.
        force: whether a file that is there may be replaced.
        sources: files that the command reads, and that it must not replace.

    Raises:
        BadInput: an unknown suffix; a file that exists, without `force`.
        CannotWrite: a directory that is missing or read-only, or something in the place that is no regular file, or
            one of `sources`.
    """
    path = Path(destination)
    output = by_suffix(path, OUTPUTS)
    target = atomic.resolve(path)
    atomic.check(path, target, force=force, sources=sources)
    return Destination(path, target, output, force)


def settings(dtype: str = "float32", compress: str | None = None, place: Destination | None = None) -> Settings:
    """How values are stored.

    Args:
        dtype: one of `DTYPES`.
        compress: one of `COMPRESSIONS`, or None.
        place: where, if that is known: not every output can have every compression.

    Raises:
        BadInput: another dtype or compression, or one that needs a package that is not installed.
    """
    if dtype not in DTYPES:
        raise BadInput(f"values can't be stored as {dtype}", hint=f"valid dtypes: {', '.join(DTYPES)}")
    if compress is None:
        return Settings(dtype)
    found = compression.named(compress)
    if place is not None and found.name not in place.output.compressions:
        raise BadInput(
            f"a {place.output.name} can't be compressed by {found.name}: what reads it knows gzip's method alone",
            path=place.path,
            hint="choose gzip, or write an .h5 file",
        )
    return Settings(dtype, found)


def size_of(place: Destination, recording: Recording, how: Settings) -> int | None:
    """The bytes that a recording takes on the disk at once; what compression leaves is not known."""
    return None if how.compress else place.output.size(recording, how.dtype)


@contextmanager
def open(
    destination: str | Path | Destination,
    recording: Recording,
    *,
    dtype: str = "float32",
    compress: str | None = None,
    force: bool = False,
) -> Iterator[Sink]:
    """A sink whose file appears whole under its name when the body ends, and not at all when the body raises.

    Args:
        destination: a path, or what `check` returned for it (its `force` then holds).
        recording: what is going to be written.
        dtype: of the values stored; see `DTYPES`.
        compress: see `COMPRESSIONS`.
        force: whether a file that is there may be replaced.

    Raises:
        BadInput: as `check` and `settings` say.
        CannotWrite: as `check` says; or too little room on the disk, found beforehand or while writing. What was there
            before is as it was.
    """
    place = destination if isinstance(destination, Destination) else check(destination, force=force)
    how = settings(dtype, compress, place)
    disk.require_room(place.path, place.target, size_of(place, recording, how) or 0)
    with (
        atomic.naming(place.path),
        atomic.staged(place.path, place.target, force=place.force) as descriptor,
        place.output.open(descriptor, place.target.parent, recording, how) as sink,
    ):
        tally = Tally(recording)
        yield Tallied(sink, tally)
        tally.check()


__all__ = [
    "COMPRESSIONS",
    "DTYPES",
    "OUTPUTS",
    "Destination",
    "LayerTrace",
    "MemorySink",
    "OutcomeSummary",
    "Output",
    "Settings",
    "SignalSummary",
    "Sink",
    "SummarySink",
    "Trace",
    "check",
    "collect",
    "load",
    "open",
    "settings",
    "size_of",
    "summarise",
]
