"""Where a trace comes from: what its root attributes say, and what they can be checked against."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from rnnprobe.types import Checkpoint

_PIECE = 1 << 20


def provenance(checkpoint: Checkpoint, source: str) -> dict[str, str]:
    """The command, the model and the input with their SHA-256, and the versions of the libraries that computed.

    A checkpoint of several files is hashed as their concatenation, in the order of their names; of stdin there is no
    hash.
    """
    name = source.partition(":/")[0]
    attributes = {
        "command": shlex.join(["rnnprobe", *sys.argv[1:]]),
        "model": str(checkpoint.path),
        "model_sha256": _sha256(model_files(checkpoint.path)),
        "input": source,
        "library_versions": ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "numpy", "h5py")),
    }
    path = Path(name if Path(name).is_file() else source.rpartition(":")[0] or source)
    return {**attributes, "input_sha256": _sha256([path])} if path.is_file() else attributes


def model_files(path: Path) -> list[Path]:
    """The files that hold the weights of a checkpoint."""
    if path.is_file():
        return [path]
    shards = sorted(path.parent.glob(f"{path.name}.data-?????-of-?????"))
    return [path.with_name(f"{path.name}.index"), *shards]


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
