"""Where text is going to be shown: how wide, in which colours, in which characters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns where the stream is no terminal and `COLUMNS` says nothing."""
_NARROWEST = 20


@dataclass(frozen=True, slots=True)
class Screen:
    """What can be shown.

    Attributes:
        width: in columns.
        colour: the terminal's colours in rich's words, or None: plain text.
        encoding: of the stream; what it lacks becomes `?`.
    """

    width: int = WIDTH
    colour: Literal["standard", "256", "truecolor"] | None = None
    encoding: str = "utf-8"

    @property
    def ascii(self) -> bool:
        """Whether to draw with ASCII characters alone."""
        return not self.encoding.lower().startswith("utf")

    @property
    def paints(self) -> bool:
        """Whether there are colours enough to tell values apart."""
        return self.colour in ("256", "truecolor")


def screen(stream: TextIO) -> Screen:
    """What a stream shows.

    Colour only if it is a terminal, and `NO_COLOR` is not set; as wide as the terminal, else as `COLUMNS` says, else
    `WIDTH`.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if stream.isatty():
        columns = shutil.get_terminal_size((WIDTH, 24)).columns
        return Screen(max(columns, _NARROWEST), _colour(stream), encoding)
    given = os.environ.get("COLUMNS", "")
    columns = max(int(given), _NARROWEST) if given.isascii() and given.isdigit() else WIDTH
    return Screen(columns, None, encoding)


def _colour(stream: TextIO) -> Literal["standard", "256", "truecolor"] | None:
    from rich.console import Console

    found = Console(file=stream)
    if not found.no_color and found.color_system in ("standard", "256", "truecolor"):
        return found.color_system  # type: ignore[return-value]
    return None


def drawn(where: Screen, draw: Callable[[Console], None]) -> str:
    """The text that `draw` prints on a console of this screen, as the stream can take it; no line ends in blanks."""
    from rich.console import Console

    buffer = StringIO()
    console = Console(
        file=buffer,
        width=where.width,
        force_terminal=where.colour is not None,
        color_system=where.colour,
        no_color=False,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    draw(console)
    text = "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().split("\n")[:-1])
    return text.encode(where.encoding, "replace").decode(where.encoding)
