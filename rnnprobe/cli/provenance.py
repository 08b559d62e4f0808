"""Where a trace comes from: what its root attributes say, and what they can be checked against."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from rnnprobe.inputs.file import path_of
from rnnprobe.types import Checkpoint

_PIECE = 1 << 20


def provenance(checkpoint: Checkpoint, source: str) -> dict[str, str]:
    """The command, the model and the input with their SHA-256.

    A checkpoint of several files is hashed as their concatenation, in the order of `Checkpoint.files`; of standard
    input there is no hash.
    """
    attributes = {
        "command": shlex.join(["rnnprobe", *sys.argv[1:]]),
        "model": str(checkpoint.path),
        "model_sha256": _sha256(checkpoint.files),
        "input": source,
    }
    path = path_of(source)
    return attributes if path is None else {**attributes, "input_sha256": _sha256([path])}


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
