"""What a trace file holds, by path, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout


@dataclass(frozen=True, slots=True)
class Source:
    """What a trace file holds.

    Attributes:
        path: the file.
        grids: `inputs/lengths`, `layers/<name>/h` … → the array.
        attributes: the group's path, empty for the root → its attributes.
    """

    path: Path
    grids: Mapping[str, Grid]
    attributes: Mapping[str, Mapping[str, Any]]

    @property
    def root(self) -> Mapping[str, Any]:
        """The attributes of the trace."""
        return self.attributes.get("", {})

    @property
    def named(self) -> bool:
        """Whether a layer's attributes say what its arrays are called."""
        return bool(self.root["format_version"] >= layout.NAMED_SINCE)

    def kept_steps(self, count: int) -> int:
        """How many of so many steps were kept."""
        return -(-count // int(self.root.get(layout.STRIDE, 1)))

    def damaged(self, what: str) -> BadInput:
        """The error that says so."""
        return BadInput(f"is damaged: {what}", path=self.path)

    def below(self, group: str) -> dict[str, Grid]:
        """The arrays of a group by their names in it, those of the groups in it left out."""
        start = f"{group}/"
        found = {name.removeprefix(start): grid for name, grid in self.grids.items() if name.startswith(start)}
        return {name: grid for name, grid in found.items() if "/" not in name}

    def name(self, group: str) -> str:
        """What a group's attributes call what is in it."""
        name = self.attributes.get(group, {}).get("name")
        if not isinstance(name, str):
            raise self.damaged(f"{group} has no attribute `name`")
        return name

    def lengths(
        self, place: str, inside: Mapping[str, Grid], prefix: str, extent: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """The lengths of an array of so many sequences and steps.

        Args:
            place: what they are the lengths of.
            inside: the arrays of their group; `<prefix>lengths` are the lengths.
            extent: of the array as it is stored; without steps, nothing is known of them.
        """
        found = inside.get(f"{prefix}{layout.LENGTHS}")
        where = f"{place}{'_' if prefix else '/'}{layout.LENGTHS}"
        if found is None or found.dtype.kind not in "iu":
            raise self.damaged(f"{where} is {found.words if found else 'missing'}, expected integers")
        if found.shape != extent[:1]:
            raise self.damaged(f"{extent[0]} sequences, and other numbers of lengths or names ({where})")
        lengths = found.whole()
        longest = int(lengths.max(initial=0))
        if lengths.size and (lengths.min() < 0 or (len(extent) > 1 and self.kept_steps(longest) > extent[1])):
            limit = f" … {extent[1]}" if len(extent) > 1 else " and above"
            raise self.damaged(f"a length is outside of 0{limit} ({where})")
        return lengths.astype(np.int64)


def texts(value: Any) -> list[str]:
    """The texts in the value of an attribute."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
