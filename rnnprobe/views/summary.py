"""What a run came to, in the terminal: a table and small heat maps for each layer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.outputs.summary import SignalSummary
from rnnprobe.types import Column, Report
from rnnprobe.views import heatmap, terminal
from rnnprobe.views.heatmap import Scale, Screen

if TYPE_CHECKING:
    from rich.text import Text

_INDENT = 2

_COLUMNS = (
    Column("signal", "signal"),
    Column("shape", "shape", words.shape),
    Column("low", "min", words.number, right=True),
    Column("mean", "mean", words.number, right=True),
    Column("high", "max", words.number, right=True),
    Column("saturated_low", "at lower bound", words.share, right=True),
    Column("saturated_high", "at upper bound", words.share, right=True),
    Column("nan", "NaN", words.count, right=True),
)


def report(summaries: Sequence[SignalSummary]) -> Report:
    """The signals of one layer, a row each.

    `layer`, `signal`, `kind`, `shape` (sequences, steps of the longest, units), `values`, `nan` (how many of them),
    `low`, `mean`, `high`, `saturated_low` and `saturated_high` (shares of gate values within 0.05 of a bound of their
    activation, or null), and `heat` (rows of units, columns of time).
    """
    rows = tuple(
        {
            "layer": one.layer,
            "signal": one.signal,
            "kind": one.kind,
            "shape": list(one.shape),
            "values": one.values,
            "nan": one.nan,
            "low": one.low,
            "mean": one.mean,
            "high": one.high,
            "saturated_low": one.saturated[0] if one.saturated else None,
            "saturated_high": one.saturated[1] if one.saturated else None,
            "heat": one.heat.tolist(),
        }
        for one in summaries
    )
    odd = sum(one.nan for one in summaries)
    notes = (f"{odd:,} values within the lengths are NaN",) if odd else ()
    return Report("signals", f"{summaries[0].layer} (sequences × steps × units)", _COLUMNS, rows, notes)


def maps(summaries: Sequence[SignalSummary], where: Screen) -> list[Text]:
    """A small heat map of each state and gate: groups of units over stretches of time, each scaled to itself."""
    from rich.text import Text

    lines: list[Text] = []
    for one in summaries:
        if one.kind not in ("state", "gate") or not np.isfinite(one.heat).any():
            continue
        low, high = float(np.nanmin(one.heat)), float(np.nanmax(one.heat))
        unit = one.saturated is not None and low >= 0.0
        reach = max(abs(low), abs(high)) or 1.0
        measure = Scale(0.0 if unit else -reach, 1.0 if unit else reach, where)
        lines.append(Text.assemble((f"{one.signal}  ", "bold"), measure.legend()))
        columns = max(10, where.width - _INDENT)
        lines += [Text(" " * _INDENT) + measure.cells(row[:columns]) for row in one.heat]
    return lines


def verification(said: Mapping[str, str | float | int]) -> Report:
    """What was compared with the original, or why nothing was: one row, `Recording.verification`."""
    return Report("verification", "", tuple(Column(key, key) for key in said), (said,), upright=True)


def show(
    summaries: Sequence[SignalSummary],
    verified: Mapping[str, str | float | int],
    *,
    as_json: bool,
    stream: TextIO | None = None,
) -> None:
    """What `rnnprobe trace` prints when it writes no file."""
    stream = stream or sys.stdout
    layers = [list(of_layer) for _, of_layer in groupby(summaries, lambda one: one.layer)]
    if as_json:
        reports = [*map(report, layers), verification(verified)]
        terminal.show(reports, command="trace", as_json=True, stream=stream)
        return
    where = heatmap.screen(stream)
    for number, layer in enumerate(layers):
        stream.write("\n" if number else "")
        terminal.show([report(layer)], command="trace", as_json=False, stream=stream)
        stream.write("\n" + heatmap.render(maps(layer, where), where))
    stream.write("\n")
    terminal.show([verification(verified)], command="trace", as_json=False, stream=stream)
