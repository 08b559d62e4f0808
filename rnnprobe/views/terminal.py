"""Reports as text for a terminal, or as JSON: the same rows both ways.

No number and no name is ever cut: a table that is too wide first folds its texts, then goes on in a second table below,
which repeats the columns that tell the rows apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rnnprobe.types import Column, Report
from rnnprobe.views import json_text
from rnnprobe.views.escape import plain
from rnnprobe.views.screen import Screen, drawn, screen

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, RenderableType

_GAP = 2
_NARROWEST, _COMFORTABLE = 14, 28
"""Texts are not folded to less than the first to keep a table in one piece, nor to the second once it is in several."""

_STYLES = {"assumed": "yellow", "flag": "cyan"}
"""Cells that stand out, where there is colour."""


def show(reports: Sequence[Report], *, command: str, as_json: bool, stream: TextIO | None = None) -> None:
    """Prints the reports of a command.

    Args:
        reports: in order; in the terminal, those without rows and notes are left out.
        command: its name, for the `schema` of the JSON document (`rnnprobe.views.json_text`).
        as_json: print the JSON document instead of tables.
        stream: where to (`rnnprobe.views.screen`); stdout if not given.
    """
    stream = stream or sys.stdout
    if as_json:
        stream.write(json_text.document(command, reports))
        return
    stream.write(render(reports, screen(stream)))


def abridge(report: Report, rows: int, hint: str) -> Report:
    """A report with its first `rows` rows, and a note that says how many there are besides and how to see them."""
    left = len(report.rows) - rows
    if left <= 0:
        return report
    notes = (f"and {left} more; {hint}", *report.notes)
    return Report(report.name, report.title, report.columns, report.rows[:rows], notes, report.upright)


def render(reports: Sequence[Report], where: Screen) -> str:
    """The reports as text of lines that fit the screen, whatever is in them."""

    def draw(console: Console) -> None:
        shown = [report for report in reports if report.rows or report.notes]
        for number, report in enumerate(shown):
            if number:
                console.print()
            _print(console, report, where.width)

    return drawn(where, draw)


def _print(console: Console, report: Report, width: int) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if report.title:
        console.print(Text(plain(report.title), style="bold", overflow="fold"))
    cells = [[_cell(column, row) for column in report.columns] for row in report.rows]
    if report.upright:
        for values in cells:
            console.print(_upright(report.columns, values))
    elif cells:
        for piece in _pieces(report.columns, cells, width):
            console.print(piece)
    for note in report.notes:
        console.print(Padding(Text(plain(note), style="italic", overflow="fold"), (0, 0, 0, 2)))


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row.get(column.key)
    return "" if value is None else plain(column.text(value))


def _upright(columns: Sequence[Column], values: Sequence[str]) -> RenderableType:
    """A line for each column that has a value: its header, its text."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column(width=_GAP - 2, no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for column, value in zip(columns, values, strict=True):
        if value:
            table.add_row("", plain(column.header), Text(value, overflow="fold"))
    return table


def _pieces(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Iterator[RenderableType]:
    """The table, in as many pieces as the width asks for."""
    from rich.cells import cell_len

    natural = [
        min(width, max(cell_len(text) for text in (plain(column.header), *(row[k] for row in cells))))
        for k, column in enumerate(columns)
    ]
    floors = _floors(columns, natural, _NARROWEST)
    every = list(range(len(columns)))
    if _total(floors, every) <= width:
        yield _table(columns, cells, every, _share(natural, floors, width))
        return
    floors = _floors(columns, natural, _COMFORTABLE)
    keys = _keys(cells)
    start = keys
    while start < len(columns):
        chosen = [*range(keys), start]
        for k in range(start + 1, len(columns)):
            if _total(floors, [*chosen, k]) > width:
                break
            chosen.append(k)
        if start > keys:
            yield ""
        widths = _share([natural[k] for k in chosen], [floors[k] for k in chosen], width)
        yield _table(columns, cells, chosen, widths)
        start = chosen[-1] + 1


def _floors(columns: Sequence[Column], natural: Sequence[int], narrowest: int) -> list[int]:
    """The least width of each column: numbers keep their own, texts may be folded down to `narrowest`."""
    return [
        wide if column.right else min(wide, max(narrowest, len(column.header)))
        for column, wide in zip(columns, natural, strict=True)
    ]


def _keys(cells: Sequence[Sequence[str]]) -> int:
    """How many of the leading columns tell the rows apart; one at least, two at most."""
    return 1 if len({row[0] for row in cells}) == len(cells) or len(cells[0]) == 1 else 2


def _total(widths: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(widths[k] for k in chosen) + _GAP * (len(chosen) - 1)


def _share(natural: Sequence[int], floors: Sequence[int], width: int) -> list[int]:
    """The width of each column: its own if there is room, else the widest give way first."""
    widths = list(natural)
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    while over > 0:
        able = [k for k in range(len(widths)) if widths[k] > floors[k]]
        if not able:
            break
        widest = max(able, key=lambda k: widths[k])
        widths[widest] -= 1
        over -= 1
    return widths


def _table(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], chosen: Sequence[int], widths: Sequence[int]
) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # The box puts a blank between columns, the padding the rest of the gap.
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="dim", show_edge=False)
    for k, width in zip(chosen, widths, strict=True):
        justify: JustifyMethod = "right" if columns[k].right else "left"
        table.add_column(Text(plain(columns[k].header)), justify=justify, width=width, overflow="fold")
    for row in cells:
        table.add_row(
            *(
                Text(_at_slashes(row[k], width), style=_STYLES.get(row[k], ""), overflow="fold")
                for k, width in zip(chosen, widths, strict=True)
            )
        )
    return table


def _at_slashes(text: str, width: int) -> str:
    """A name too long for its column, broken behind its slashes where its pieces fit."""
    from rich.cells import cell_len

    pieces = [f"{piece}/" for piece in text.split("/")[:-1]] + text.split("/")[-1:]
    if " " in text or cell_len(text) <= width or max(map(cell_len, pieces)) > width:
        return text
    lines = [""]
    for piece in pieces:
        if cell_len(lines[-1]) + cell_len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
