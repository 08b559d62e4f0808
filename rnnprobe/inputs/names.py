"""The names of sequences: texts, or numbers of which a name is made when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Counted(Sequence[str]):
    """`line 3`, `line 5` …; equal to a tuple of these texts.

    Args:
        numbers: `[sequences]`, ascending.
        prefix: what stands before each.
    """

    def __init__(self, numbers: NDArray[np.int64], prefix: str = "") -> None:
        self._numbers = numbers
        self.prefix = prefix

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Counted(self._numbers[index], self.prefix)
        return f"{self.prefix}{self._numbers[index]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))

    def after(self, prefix: str) -> Counted:
        """The same with this in front of all."""
        return Counted(self._numbers, prefix + self.prefix)

    def take(self, rows: NDArray[np.int64]) -> Counted:
        """Those of these sequences."""
        return Counted(self._numbers[rows], self.prefix)

    def find(self, name: str) -> int | None:
        """The number of the sequence of this name."""
        digits = name.removeprefix(self.prefix)
        if not name.startswith(self.prefix) or not digits.isdecimal() or len(digits) > 18:
            return None
        row = int(np.searchsorted(self._numbers, int(digits)))
        return row if row < len(self) and self[row] == name else None


class Chained(Sequence[str]):
    """The names of one file after those of another.

    Args:
        parts: those of each file.
    """

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(len(self))[index])
        row = range(len(self))[index]
        number = bisect_right(self._ends, row)
        return self._parts[number][row - self._ends[number]]

    def take(self, rows: NDArray[np.int64]) -> Sequence[str]:
        """Those of these sequences."""
        first, last = (bisect_right(self._ends, int(row)) for row in (rows.min(), rows.max()))
        if first == last:
            return taken(self._parts[first], rows - (self._ends[first] - len(self._parts[first])))
        return tuple(self[row] for row in rows.tolist())

    def finder(self) -> Callable[[str], int | None]:
        """`find(name)`: the number of the first sequence of that name, or None."""
        finders = [finder(part) for part in self._parts]
        starts = [0, *self._ends]

        def find(name: str) -> int | None:
            found = ((start, find(name)) for start, find in zip(starts, finders, strict=False))
            return next((start + row for start, row in found if row is not None), None)

        return find


def taken(names: Sequence[str], rows: NDArray[np.int64]) -> Sequence[str]:
    """The names of these sequences, texts only where they must be."""
    return names.take(rows) if isinstance(names, Counted | Chained) else tuple(names[row] for row in rows.tolist())


def finder(names: Sequence[str]) -> Callable[[str], int | None]:
    """`find(name)`: the number of the first sequence of that name, or None."""
    if isinstance(names, Counted):
        return names.find
    if isinstance(names, Chained):
        return names.finder()
    numbers: dict[str, int] = {}
    for row, name in enumerate(names):
        numbers.setdefault(name, row)
    return numbers.get
