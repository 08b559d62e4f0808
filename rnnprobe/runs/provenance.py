"""Where a trace comes from: what its root attributes say, and what they can be checked against."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rnnprobe.inputs.file import path_of
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
        "model_sha256": _sha256(checkpoint.files),
        "input": " ".join(reading.inputs),
    }
    if None not in paths:
        attributes["input_sha256"] = _sha256(path for path in paths if path is not None)
    start = (reading.steps or "").partition(":")[0].strip()
    return {**attributes, "first_step": start} if start.isdecimal() else attributes


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
