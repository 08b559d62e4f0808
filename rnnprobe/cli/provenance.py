"""Where a trace comes from: what its root attributes say, and what they can be checked against."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from rnnprobe.cli.reading import Reading
from rnnprobe.inputs.file import path_of
from rnnprobe.types import Checkpoint

_PIECE = 1 << 20


def provenance(checkpoint: Checkpoint, reading: Reading) -> dict[str, str]:
    """The command, the model and the input with their SHA-256, and from which step on the input was taken.

    A checkpoint of several files is hashed as their concatenation, in the order of `Checkpoint.files`, and so are the
    files of several inputs; of standard input there is no hash.
    """
    paths = [path_of(file) for file in reading.files]
    attributes = {
        "command": shlex.join(["rnnprobe", *sys.argv[1:]]),
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
