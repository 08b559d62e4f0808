"""What the user wants stored of a recording, in words → what is kept of its layers: `--stride`, `--units`, `--reduce`.

Units are given as `0:16`, `3,17,200` or both with commas, of every layer traced; as `LAYER=0:16` of the layers that a
pattern names (`rnnprobe.analysis.select.named`), which goes before the other. In Python a list of numbers does as well,
and a mapping of layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rnnprobe.analysis import words
from rnnprobe.analysis.select import named
from rnnprobe.cells.layers import signals
from rnnprobe.errors import BadInput
from rnnprobe.outputs import layout, reductions
from rnnprobe.types import Kept, Layer

Numbers: TypeAlias = "str | int | Sequence[int]"
Units: TypeAlias = "Numbers | Sequence[str] | Mapping[str, Numbers]"


@dataclass(frozen=True, slots=True)
class Less:
    """What the user asks for.

    Attributes:
        stride: every so many steps.
        units: see above; None: all.
        reduce: names of reductions, in one text with commas or each by itself; empty: the signals themselves.
        over: `time` or `sequences`; None where nothing was said.
    """

    stride: int = 1
    units: Units | None = None
    reduce: str | Sequence[str] = ()
    over: str | None = None

    def check(self, *, stored: bool = True, outputs: bool = False) -> None:
        """Refuses, before anything is read, what can't be.

        Args:
            stored: whether there is something to store it in.
            outputs: whether the model's outputs are recorded.

        Raises:
            BadInput: a stride below 1, a reduction that there is none of; outputs, which are not reduced; nothing to
                store it in.
        """
        if self.stride < 1:
            raise BadInput(f"--stride {self.stride} keeps no steps", hint="1 keeps all of them, 10 every tenth")
        names = _names(self.reduce)
        unknown = next((name for name in names if name not in reductions.NAMES), None)
        if unknown is not None:
            raise BadInput(f"there is no reduction {unknown!r}", hint=f"valid are {', '.join(reductions.NAMES)}")
        if self.over is not None and self.over not in reductions.OVER:
            raise BadInput(f"nothing is reduced over {self.over!r}", hint=f"valid are {', '.join(reductions.OVER)}")
        if self.over is not None and not names:
            raise BadInput(f"--over {self.over} says nothing without --reduce", hint="name what to reduce to: mean,std")
        if names and outputs:
            raise BadInput("the model's outputs are not reduced", hint="leave output out of --record, or --reduce out")
        given = [("--stride", self.stride > 1), ("--units", self.units is not None), ("--reduce", bool(names))]
        flag = next((flag for flag, used in given if used), None)
        if flag is not None and not stored:
            raise BadInput(
                f"{flag} says what a file is to hold, and none is named",
                hint="name it with -o; what is printed without sums up everything",
            )

    def of(self, layers: Sequence[Layer], recorded: Mapping[str, Sequence[str]]) -> tuple[Kept, tuple[str, ...]]:
        """What is kept of layers, and what the user should know of it.

        Args:
            layers: those that are traced.
            recorded: layer → its signals.

        Raises:
            BadInput: as `check`; a unit that a layer has not; reductions that none of the signals has.
        """
        self.check()
        wanted = _names(self.reduce)
        names = tuple(name for name in reductions.NAMES if name in wanted)
        units, whole = _units(layers, recorded, self.units, states=not names)
        over = cast(Literal["time", "sequences"], self.over or "time")
        lines = [f"recorded whole, being no units of their layer: {words.few(whole)}"] if whole else []
        bounded = any(
            reductions.bounds(layer, signal)
            for layer in layers
            for signal in signals(layer)
            if signal.name in recorded[layer.name]
        )
        if names and not any(recorded.values()):
            raise BadInput("no signal is recorded that could be reduced", hint="--record names them: states,gates")
        if "saturation" in names and not bounded:
            what = "no gate is recorded whose activation has bounds, so there is nothing to count as saturated"
            if names == ("saturation",):
                raise BadInput(what, hint="--record gates")
            lines.append(what)
        return Kept(self.stride, units, names, over), tuple(lines)


def _names(given: str | Sequence[str]) -> list[str]:
    return given.replace(",", " ").split() if isinstance(given, str) else list(given)


def _units(
    layers: Sequence[Layer], recorded: Mapping[str, Sequence[str]], given: Units | None, *, states: bool
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Layer → the numbers of its units, for those of which not all are kept; and what is recorded whole, in words."""
    wanted: dict[str, Numbers] = {}
    asked = list(_asked(given)) if given is not None else []
    for pattern, numbers in sorted(asked, key=lambda one: one[0] is not None):
        for name in named([layer.name for layer in layers], [] if pattern is None else [pattern], None):
            wanted[name] = numbers
    kept: dict[str, NDArray[np.int64]] = {}
    whole: list[str] = []
    for layer in (layer for layer in layers if layer.name in wanted):
        stored = (*recorded[layer.name], *(layer.cell.states if states else ()))
        per_unit = layout.per_unit(layer)
        others = [name for name in dict.fromkeys(stored) if name not in per_unit]
        whole += [f"{layer.name} {', '.join(others)}"] if others else []
        if any(name in per_unit for name in stored):
            size = layer.sizes["units"]
            units = _numbers(layer.name, wanted[layer.name], size)
            if len(units) < size:
                kept[layer.name] = units
    return kept, whole


def _asked(given: Units) -> Iterator[tuple[str | None, Numbers]]:
    """A pattern of layers, None for all of them, and the numbers."""
    if isinstance(given, Mapping):
        yield from given.items()
        return
    several: Sequence[str | int] = [given] if isinstance(given, str | int) else given
    bare = []
    for text in map(str, several):
        pattern, equals, numbers = text.rpartition("=")
        if equals:
            yield pattern, numbers
        else:
            bare.append(text)
    if bare or not several:
        yield None, ",".join(bare) if bare else []


def _numbers(layer: str, given: Numbers, size: int) -> NDArray[np.int64]:
    """The numbers of units, ascending."""
    hint = f"{layer} has the units 0 … {size - 1}: 0:{size}, or what lies within, with commas"
    found: set[int] = set()
    if isinstance(given, str):
        for piece in given.split(","):
            match = re.fullmatch(r"\s*(\d{1,9})?\s*(:)?\s*(\d{1,9})?\s*", piece, re.ASCII)
            if match is None or not piece.strip():
                raise BadInput(f"--units {given}: {piece.strip()!r} is no unit and no A:B", hint=hint)
            first, colon, after = match.groups()
            start = int(first or 0)
            stop = start + 1 if not colon else size if after is None else int(after)
            if stop <= start:
                raise BadInput(f"--units {given}: {piece.strip()} is empty in {layer}", hint=hint)
            found.update((start, stop - 1) if stop > size else range(start, stop))
    else:
        found.update([int(given)] if isinstance(given, int | np.integer) else map(int, given))
    beyond = [number for number in found if not 0 <= number < size]
    if beyond or not found:
        what = f"has no unit {max(beyond)}" if beyond else "would keep no unit"
        raise BadInput(f"--units {given}: {layer} {what}", hint=hint)
    return np.array(sorted(found), np.int64)
