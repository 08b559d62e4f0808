"""A report as data, before it is text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report: its key in JSON, its header in the terminal, and how a cell of it is written there."""

    key: str
    header: str
    text: Callable[[Any], str] = str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report as data: every view renders these rows.

    Attributes:
        name: its key in JSON.
        title: above the table in the terminal.
        columns: in order.
        rows: plain values by column key: str, int, float, bool, None, or lists of these; JSON holds the whole row, the
            terminal the columns. Reports of one name become one list in JSON.
        notes: lines below the table.
        upright: the terminal prints a line for each column, for the one row that there is.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    upright: bool = False
