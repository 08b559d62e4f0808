"""How the steps of a trace are compressed, where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.inputs import filters

GZIP, LZF, BITSHUFFLE = "gzip", "lzf", "bitshuffle-lz4"
_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Compression:
    """A way of compressing.

    Attributes:
        name: `gzip`, `lzf` or `bitshuffle-lz4`.
        level: of gzip, 1 … 9; 0 for the others.
    """

    name: str
    level: int = 0

    @property
    def options(self) -> Mapping[str, Any]:
        """What `h5py.Group.create_dataset` takes."""
        if self.name == BITSHUFFLE:
            return {"compression": filters.BITSHUFFLE, "compression_opts": (0, 2)}  # blocks of its own size; LZ4
        level = {"compression_opts": self.level} if self.level else {}
        return {"compression": self.name, "shuffle": True, **level}


COMPRESSIONS = {
    GZIP: Compression(GZIP, _LEVEL),
    **{f"{GZIP}-{level}": Compression(GZIP, level) for level in range(1, 10)},
    LZF: Compression(LZF),
    BITSHUFFLE: Compression(BITSHUFFLE),
}
"""By the names that a user gives."""


def named(name: str) -> Compression:
    """A way of compressing by its name.

    Raises:
        BadInput: there is none of this name, or the package that brings it is not installed.
    """
    if name not in COMPRESSIONS:
        raise BadInput(f"unknown compression {name}", hint=f"valid: {', '.join(COMPRESSIONS)}")
    found = COMPRESSIONS[name]
    if found.name == BITSHUFFLE and not filters.available(filters.BITSHUFFLE):
        raise BadInput(f"{BITSHUFFLE} needs the package {filters.PACKAGE}", hint=filters.HINT)
    return found
