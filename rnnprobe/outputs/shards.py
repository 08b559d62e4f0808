"""Traces of the parts of one run, side by side in a directory: `out.h5` has `out.h5.parts/`.

A shard is a trace by itself, of the sequences from some number on. Whatever has an axis of sequences is the shards'
arrays one behind the other; everything else is known beforehand and the same in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.outputs import fields
from rnnprobe.outputs.field import Field, Key
from rnnprobe.types import Recording

SUFFIX = ".parts"
"""Behind the name of the output."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The trace of a part.

    Attributes:
        path: the file.
        first: the number of its first sequence in the whole.
        recording: what it holds, numbered from 0.
    """

    path: Path
    first: int
    recording: Recording

    def arrays(self, dtype: str) -> Iterator[tuple[Key, Field]]:
        """Those whose values were computed or read, by group and name."""
        for group in fields.groups(self.recording, dtype):
            for one in group.fields:
                if one.known is None:
                    yield (group.path, one.name), one

    def bad(self, what: str) -> BadInput:
        """An error that names the shard."""
        return BadInput(f"is damaged: {what}", path=self.path, hint="remove it; the same command makes it anew")


def folder(target: Path) -> Path:
    """Where the shards of an output lie."""
    return target.with_name(target.name + SUFFIX)
