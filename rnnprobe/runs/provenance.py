"""Where a trace comes from: what its root attributes say, and what they can be checked against."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rnnprobe import __version__
from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import path_of
from rnnprobe.runs.job import Job
from rnnprobe.runs.reading import Reading
from rnnprobe.types import Checkpoint

_PIECE = 1 << 20


def provenance(checkpoint: Checkpoint, reading: Reading, command: Sequence[str]) -> dict[str, str]:
    """The command, the model and the input with their SHA-256, and from which step on the input was taken.

    A checkpoint of several files is hashed as their concatenation, in the order of `Checkpoint.files`, and so are the
    files of several inputs; of standard input there is no hash.

    Args:
        checkpoint: the model.
        reading: the input.
        command: the words of the command line, behind `rnnprobe`.
    """
    paths = [path_of(file) for file in reading.files]
    attributes = {
        "command": shlex.join(["rnnprobe", *command]),
        "model": str(checkpoint.path),
        "model_sha256": sha256(checkpoint.files),
        "input": " ".join(reading.inputs),
    }
    if None not in paths:
        attributes["input_sha256"] = sha256(path for path in paths if path is not None)
    start = (reading.steps or "").partition(":")[0].strip()
    return {**attributes, "first_step": start} if start.isdecimal() else attributes


_APART = ("model", "source", "less")
"""Of a job, what is said in words of its own."""


def identity(job: Job, reading: Reading, attributes: Mapping[str, str]) -> dict[str, str]:
    """All that decides what comes out of a job, in words: what is in the files, the options, the releases.

    Args:
        job: what is asked for.
        reading: its source.
        attributes: what `provenance` found.

    Raises:
        BadInput: the input can't be read once more.
    """
    if "input_sha256" not in attributes:
        raise BadInput("standard input can't be read once more", hint="write it to a file, and give that with --input")
    hashed = {path_of(file) for file in reading.files}
    beside = [path for path in job.files if path not in hashed]
    return {
        "the model's SHA-256": attributes["model_sha256"],
        "the input's SHA-256": attributes["input_sha256"],
        "the SHA-256 of what else is read": sha256(beside) if beside else "",
        **{one.name: _word(getattr(job, one.name)) for one in fields(job) if one.name not in _APART},
        **{one.name: _word(getattr(job.less, one.name)) for one in fields(job.less)},
        **{one.name: _word(getattr(reading, one.name)) for one in fields(reading)},
        **releases(),
    }


def resumable(job: Job, reading: Reading, attributes: Mapping[str, str]) -> dict[str, str] | None:
    """As `identity`; None where the input can't be read once more."""
    return identity(job, reading, attributes) if "input_sha256" in attributes else None


def releases() -> dict[str, str]:
    """The releases of what computes and writes; empty for what is not installed."""
    found = {"rnnprobe": __version__}
    for name in ("tensorflow", "keras", "numpy", "h5py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _word(value: object) -> str:
    """An option as it is compared and shown."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def sha256(paths: Iterable[Path]) -> str:
    """Of the files, one behind the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
