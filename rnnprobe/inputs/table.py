"""`.csv` and `.tsv`: a row a step, a column a feature.

A first row that is not all numbers is the header. Sequences stand one below the other: parted by blank lines, or told
apart by a column that the header calls `sequence` (its text names the sequence; its rows stand together). One column of
whole numbers may be ids. Where a row can't be a step, since the network's steps are ids or single numbers, a row is a
sequence. The delimiter is a tab in `.tsv`; else whichever of `;`, `,` and tab the first row holds, else
white space, as `np.savetxt` writes it.
"""

from __future__ import annotations

import csv
import io
from array import array as integers
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from math import prod
from typing import Any

import numpy as np

from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Reader, Request
from rnnprobe.inputs.rows import Fetch, Rows, joined
from rnnprobe.types import Array

SEQUENCE = "sequence"
_CELLS = 1 << 18  # cells that are converted at once
_NUMERIC = frozenset(b'0123456789+-.,;eE \t\r\nnaifNAIF"')


@dataclass(slots=True)
class _Table:
    """What was read so far."""

    file: File
    values: Rows
    lines: Rows
    header: list[str] = field(default_factory=list)
    key: int | None = None
    width: int = 0
    names: list[str] = field(default_factory=list)
    lengths: integers[int] = field(default_factory=lambda: integers("q"))
    pending: list[list[str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def column(self, index: int) -> str:
        """A column of the file in words, counted from 1."""
        name = f" ({self.header[index]!r})" if index < len(self.header) else ""
        return f"column {index + 1}{name}"


def read(file: File, request: Request) -> Found:
    """The numbers as float64."""
    if request.axes > 1:
        raise file.bad(
            f"is a table, whose steps are rows; the network takes steps of {request.axes} axes",
            hint=".npy, .npz, HDF5 and nested lists in .jsonl hold those",
        )
    table = _Table(file, Rows(request.heap), Rows(request.heap))
    fresh = True  # the next row begins a sequence
    for number, row in _rows(file):
        if not any(cell.strip() for cell in row):
            fresh = fresh or table.key is None
            continue
        if not table.width:
            table.width = len(row)
            if not all(_is_number(cell) for cell in row):
                _take_header(table, row)
                continue
        if len(row) != table.width:
            raise file.bad(f"line {number} has {len(row)} columns; expected {table.width}, as in the first row")
        fresh = _begins(table, row, number, fresh)
        if fresh:
            table.lengths.append(0)
        fresh = False
        table.lengths[-1] += 1
        table.pending.append(row)
        table.numbers.append(number)
        if len(table.pending) * table.width >= _CELLS:
            _convert(table)
    _convert(table)
    return _found(table)


def _rows(file: File) -> Iterator[tuple[int, list[str]]]:
    """Line number from 1 and cells, row by row."""
    with file.buffered() as stream:
        lines = iter(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        blank = 0
        try:
            first = ""
            for first in lines:
                if first.strip():
                    break
                blank += 1
            delimiter = _delimiter(file, first)
            if delimiter is None:
                for number, line in enumerate(chain([first], lines), start=blank + 1):
                    yield number, line.split()
                return
            reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
            for row in reader:
                yield blank + reader.line_num, row
        except csv.Error as exc:
            raise file.bad(f"line {blank + reader.line_num} is no row of cells: {exc}") from exc
        except UnicodeDecodeError as exc:
            raise file.bad(f"is no UTF-8 text: {exc.reason}", hint="iconv -t UTF-8 rewrites it") from exc


def _delimiter(file: File, line: str) -> str | None:
    if file.suffix == ".tsv":
        return "\t"
    found = next((mark for mark in ";,\t" if mark in line), None)
    return found or (None if len(line.split()) > 1 else ",")


def _is_number(cell: str) -> bool:
    """Whether `float` reads it; `1_000` is none, though Python says so."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _take_header(table: _Table, row: list[str]) -> None:
    table.header = [cell.strip() for cell in row]
    if len(row) > 1 and not table.header[0]:
        raise table.file.bad(
            "the header gives the first column no name; pandas writes its row numbers there",
            hint="DataFrame.to_csv(FILE, index=False) leaves them out",
        )
    keys = [index for index, name in enumerate(table.header) if name.lower() == SEQUENCE]
    if len(keys) > 1:
        raise table.file.bad(f"the header names two columns {SEQUENCE!r}")
    table.key = keys[0] if keys else None


def _begins(table: _Table, row: list[str], number: int, fresh: bool) -> bool:
    """Whether this row begins a sequence. Takes the `sequence` cell out of the row."""
    if table.key is None:
        return fresh
    name = row.pop(table.key).strip()
    if table.names and table.names[-1] == name:
        return False
    table.names.append(name)
    return True


def _convert(table: _Table) -> None:
    """The rows that wait, made numbers."""
    rows, table.pending = table.pending, []
    numbers, table.numbers = np.array(table.numbers, np.int64), []
    if not rows:
        return
    try:
        values = np.array(rows, dtype=np.float64)
        if any("_" in "".join(row) for row in rows):  # Python reads 1_000 as a number
            _explain(table, rows, numbers)
    except ValueError:
        _explain(table, rows, numbers)
        values = np.array([[float(cell) for cell in row] for row in rows], np.float64)
    table.values.add(values)
    table.lines.add(numbers)


def _explain(table: _Table, rows: list[list[str]], numbers: Array) -> None:
    """Raises `BadInput` for the first cell that is no number."""
    columns = [index for index in range(table.width) if index != table.key]
    for number, row in zip(numbers, rows, strict=True):
        for index, cell in zip(columns, row, strict=True):
            if not _is_number(cell):
                what = f"holds {cell[:40]!r}; expected a number" if cell.strip() else "is empty; expected a number"
                raise table.file.bad(f"line {number}, {table.column(index)} {what}")


def _found(table: _Table) -> Found:
    width = table.width - (table.key is not None)
    if not len(table.values):
        raise table.file.bad("holds no row of numbers")
    if not width:
        raise table.file.bad(f"holds no column besides {SEQUENCE!r}")
    if len(set(table.names)) < len(table.names):
        name = next(name for index, name in enumerate(table.names) if name in table.names[:index])
        raise table.file.bad(f"the rows of sequence {name!r} do not stand together")
    values, lines = table.values, table.lines
    lengths = np.array(table.lengths, np.int64)
    starts = np.cumsum(lengths) - lengths
    columns = [index for index in range(table.width) if index != table.key]

    def place(row: int, step: int, position: tuple[int, ...]) -> str:
        return f"line {_at(lines, starts[row] + step)}, {table.column(columns[position[0] if position else 0])}"

    flat = _flat(values)
    data = joined(flat if width == 1 else values.read, () if width == 1 else (width,), values.dtype, lengths)
    names = tuple(table.names) or None
    across = None
    if len(lengths) == 1 or lengths.max() == 1:  # rows that were put together are steps of one sequence
        across = _across(
            values, names if lengths.max() == 1 else None, lines, [table.column(index) for index in columns]
        )
    return Found(data, names, written=True, place=place, across=across)


def _across(values: Rows, names: tuple[str, ...] | None, lines: Rows, columns: list[str]) -> Found:
    """Each row a sequence, each cell a step."""
    data = joined(_flat(values), (), values.dtype, np.full(len(values), len(columns), np.int64))
    return Found(data, names, written=True, place=lambda row, step, _: f"line {_at(lines, row)}, {columns[step]}")


def _flat(values: Rows) -> Fetch:
    """The cells, row after row."""
    width = prod(values.shape)

    def fetch(start: int, stop: int) -> Array:
        first = start // width
        return values.read(first, -(-stop // width)).reshape(-1)[start - first * width : stop - first * width]

    return fetch


def _at(lines: Rows, row: int) -> int:
    return int(lines.read(row, row + 1)[0])


def looks_numeric(head: bytes) -> bool:
    """Whether a text begins with a row of numbers."""
    lines: Any = (line for line in head.splitlines() if line.strip())
    return any(bytes(line)[:1] not in b"[{" and set(line) <= _NUMERIC for line in islice(lines, 2))


CSV = Reader("csv", (".csv", ".tsv", ".tab"), looks_numeric, read)
