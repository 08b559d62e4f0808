"""The sequences of several files as those of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Listed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Sequences
from rnnprobe.inputs.names import Chained, Counted
from rnnprobe.types import Array


@dataclass(frozen=True, slots=True)
class Shaped:
    """The sequences of one file.

    Attributes:
        path: of the file.
        label: what they are called by.
        sequences: as the network takes them.
    """

    path: str
    label: str
    sequences: Sequences


def join(parts: Listed[Shaped]) -> Sequences:
    """All sequences, file after file.

    Names: what a file calls its sequences itself, where no other is called so; else, and where it only counts them, the
    file's label, `/` and that name or number; the label alone for a file that holds one sequence without a name.

    Raises:
        BadInput: a file holds ids and another floats, or steps of another shape.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.sequences.shape != first.sequences.shape:
            raise BadInput(
                f"holds {_words(part.sequences)}; expected {_words(first.sequences)}, as in {first.path}",
                path=part.path,
            )
    shape = first.sequences.shape or ()
    ends = np.cumsum([len(part.sequences.names) for part in parts])
    names, named = _names(parts)

    def read(rows: NDArray[np.int64], start: int, stop: int) -> Array:
        of = np.searchsorted(ends, rows, side="right")
        blocks = []
        for number in np.unique(of).tolist():
            own, mine = parts[number].sequences, np.flatnonzero(of == number)
            local = rows[mine] - (ends[number] - len(own.names))
            end = min(stop, int(own.lengths[local].max()))  # beyond it the file has no step
            if end > start:
                blocks.append((mine, end - start, own.read(local, start, end)))
        dtype = np.result_type(*(block.dtype for _, _, block in blocks)) if blocks else first.sequences.dtype
        out = np.zeros((len(rows), stop - start, *shape), dtype)
        for mine, count, block in blocks:
            out[mine, :count] = block
        return out

    def place(row: int, step: int, position: tuple[int, ...]) -> str:
        number = int(np.searchsorted(ends, row, side="right"))
        own = parts[number].sequences
        return f"{own.place(row - int(ends[number]) + len(own.names), step, position)} of {parts[number].path}"

    return Sequences(
        names,
        np.concatenate([part.sequences.lengths for part in parts]),
        first.sequences.shape,
        np.result_type(*(part.sequences.dtype for part in parts)),
        read,
        place,
        named,
    )


def _words(sequences: Sequences) -> str:
    if sequences.shape is None:
        return "ids"
    width = f"{sequences.shape[0]} features a step" if len(sequences.shape) == 1 else f"steps {list(sequences.shape)}"
    return f"floats, {width}"


def _names(parts: Listed[Shaped]) -> tuple[Chained, bool]:
    """The names, and whether the user gave them all."""
    own = [part.sequences.named and not isinstance(part.sequences.names, Counted) for part in parts]
    alone = [not part.sequences.named and len(part.sequences.names) == 1 for part in parts]
    counts = Counter(name for part, mine in zip(parts, own, strict=True) if mine for name in part.sequences.names)
    counts.update(part.label for part, single in zip(parts, alone, strict=True) if single)
    apart = all(count == 1 for count in counts.values())
    names: list[Listed[str]] = []
    for part, mine, single in zip(parts, own, alone, strict=True):
        given = part.sequences.names
        if single:
            names.append((part.label,))
        elif mine and apart:
            names.append(given)
        elif isinstance(given, Counted):
            names.append(given.after(f"{part.label}/"))
        else:
            names.append(tuple(f"{part.label}/{name}" for name in given))
    return Chained(names), all(own) and apart
