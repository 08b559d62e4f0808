"""Values as coloured cells of a terminal, or as shades where there is no colour.

With colour, blue is low, white the middle, red high. Without, the sign is in the shape of the character: strokes below
the middle, blocks above; between 0 and 1, blocks alone. NaN is left blank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rnnprobe.views.escape import plain
from rnnprobe.views.screen import Screen, drawn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_DIVERGING = ("≡=-·░▒█", "&=-.+o#")
_SEQUENTIAL = ("·░▒▓█", ".:+*#")
_LOW, _MIDDLE, _HIGH = (33, 102, 172), (247, 247, 247), (178, 24, 43)
_SIGNS = {"\n": "↵", "\t": "→", "\r": "␍"}


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to cells.

    Attributes:
        low, high: the values of the strongest cells; above and below stay there.
        screen: what can be shown.
    """

    low: float
    high: float
    screen: Screen

    @property
    def _ramp(self) -> str:
        return (_SEQUENTIAL if self.low == 0.0 else _DIVERGING)[self.screen.ascii]

    def _level(self, value: float) -> float:
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def shade(self, value: float) -> str:
        """One character; a space for NaN."""
        if math.isnan(value):
            return " "
        return self._ramp[min(int(self._level(value) * len(self._ramp)), len(self._ramp) - 1)]

    def style(self, value: float) -> str:
        """The background of a cell and what can be read on it; nothing for NaN."""
        if math.isnan(value):
            return ""
        level = self._level(value)
        near, far = (_LOW, _MIDDLE) if level < 0.5 else (_MIDDLE, _HIGH)
        part = 2 * level - (level >= 0.5)
        red, green, blue = (round(a + (b - a) * part) for a, b in zip(near, far, strict=True))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 140
        return f"{'black' if light else 'white'} on rgb({red},{green},{blue})"

    def cells(self, values: Iterable[float], width: int = 1) -> Text:
        """A cell for each value, `width` columns each."""
        from rich.text import Text

        if not self.screen.paints:
            return Text("".join(self.shade(value) * width for value in values))
        return self.painted((" " * width, value) for value in values)

    def painted(self, pieces: Iterable[tuple[str, float]]) -> Text:
        """Texts on the colours of their values; neighbours of one colour become one piece."""
        from rich.text import Text

        line = Text()
        styled = ((text, self.style(value)) for text, value in pieces)
        for style, run in groupby(styled, key=itemgetter(1)):
            line.append("".join(text for text, _ in run), style)
        return line

    def legend(self) -> Text:
        """`-0.93 ≡=-·░▒█ 0.93`."""
        from rich.text import Text

        count = len(self._ramp)
        steps = [self.low + (self.high - self.low) * (k + 0.5) / count for k in range(count)]
        return Text.assemble(f"{self.low:.3g} ", self.cells(steps, 2 if self.screen.paints else 1), f" {self.high:.3g}")


def render(lines: Sequence[Text], where: Screen) -> str:
    """Lines as the text to write; every line fits already."""

    def draw(console: Console) -> None:
        for line in lines:
            console.print(line, soft_wrap=True)

    return drawn(where, draw)


def visible(token: str, where: Screen) -> str:
    """A token as it is shown: harmless, and never without a width."""
    shown = token if where.ascii else "".join(_SIGNS.get(char, char) for char in token)
    return plain(shown) or ("''" if where.ascii else "∅")
