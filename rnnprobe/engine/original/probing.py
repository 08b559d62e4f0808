"""How a graph is run that is probed: where sequences enter it, and what the user feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnprobe.engine.original.given import Chunk, Given
from rnnprobe.engine.original.joining import Found, in_time
from rnnprobe.engine.original.wanted import Wanted
from rnnprobe.recover.graph.view import Ref
from rnnprobe.types import Array, Entry

_CLOSE = 1e-5


@dataclass(slots=True)
class Probing:
    """What is recorded beside layers, and how.

    Attributes:
        wanted: what.
        loose: sequences go in at placeholders, and what enters the cells is whatever the graph makes of them.
        entries: these placeholders.
        starts: the tensors that states of recurrences start from.
        sequences: how many there are in all.
        owners: tensor that says lengths → the placeholder whose sequences' lengths these are.
    """

    wanted: Wanted = field(default_factory=Wanted)
    loose: bool = False
    entries: Mapping[str, Entry] = field(default_factory=dict)
    starts: frozenset[Ref] = frozenset()
    sequences: int = 0
    owners: Mapping[str, str] = field(default_factory=dict)

    def feed(self, given: Mapping[str, Any], rows: Array) -> dict[str, Any]:
        """What the user feeds, for the sequences of these numbers: what has a row for each sequence gives theirs.

        Args:
            given: placeholder → value.
            rows: the sequences.
        """
        return {f"{name}:0": self._of(value, rows) for name, value in given.items()}

    def _of(self, value: Any, rows: Array) -> Any:
        array = np.asarray(value)
        return array[rows] if array.ndim and self.sequences > 1 and len(array) == self.sequences else value

    def reads_given(self, given: Given, chunk: Chunk, found: Found) -> bool:
        """Whether some loop reads step by step what was given, unchanged."""
        tracks = {group.name: group.backward for group in self.wanted.groups}
        for name, read in found.entering.items():
            parts = [array for array in read if array.ndim == 3]
            whole = [np.concatenate(parts, axis=-1)] if len({part.shape[:2] for part in parts}) == 1 else []
            for source, values in chunk.values.items():
                for expected in given.readings(source, values):
                    if any(_equal(a, expected, chunk, tracks.get(name)) for a in (*read, *whole)):
                        return True
        return False


def _equal(read: Array, given: Array, chunk: Chunk, backward: bool | None) -> bool:
    """Whether a loop read `[step, rows, …]` what was given, `[rows, step, …]`, from either end."""
    expected = given.swapaxes(0, 1)
    count = len(chunk.rows)
    if (
        len(expected) != chunk.steps
        or read.ndim != expected.ndim
        or read.shape[2:] != expected.shape[2:]
        or read.shape[1] < count
    ):
        return False
    valid = np.arange(chunk.steps)[:, None] < chunk.lengths[None, :]
    for turned in (False, True) if backward is None else (backward,):
        timed = in_time(read[:, :count], chunk.lengths, turned)
        room = np.full(expected.shape, np.nan)
        room[: len(timed)] = timed[: len(room)]
        if np.allclose(room[valid], expected[valid], _CLOSE, _CLOSE):
            return True
    return False
