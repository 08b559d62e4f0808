"""What a run came to, in the terminal: a table and small heat maps for each layer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

import numpy as np

from rnnprobe.analysis import trace_reports
from rnnprobe.analysis.trace_statistics import scale
from rnnprobe.outputs.summary import OutcomeSummary, SignalSummary
from rnnprobe.views import heatmap, terminal
from rnnprobe.views.heatmap import Scale
from rnnprobe.views.screen import Screen, screen

if TYPE_CHECKING:
    from rich.text import Text

_INDENT = 2
CAPTION = "units in groups (rows) over time (columns), the mean of all sequences:"


def show(
    summaries: Sequence[SignalSummary],
    verified: Mapping[str, str | float | int],
    *,
    as_json: bool,
    outcomes: Sequence[OutcomeSummary] = (),
    stream: TextIO | None = None,
) -> None:
    """What `rnnprobe trace` prints when it writes no file.

    Args:
        summaries: of the layers' signals.
        verified: as `Recording.verification`.
        as_json: print a JSON document.
        outcomes: of the model's outputs.
        stream: stdout if not given.
    """
    stream = stream or sys.stdout
    layers = [list(of_layer) for _, of_layer in groupby(summaries, lambda one: one.layer)]
    verification = trace_reports.verification(verified)
    if as_json:
        reports = [*map(trace_reports.signals, layers), trace_reports.outcomes(outcomes), verification]
        terminal.show(reports, command="trace", as_json=True, stream=stream)
        return
    where = screen(stream)
    for number, layer in enumerate(layers):
        stream.write("\n" if number else "")
        terminal.show([trace_reports.signals(layer)], command="trace", as_json=False, stream=stream)
        drawn = maps(layer, where)
        if drawn:
            stream.write(f"\n{CAPTION}\n" + heatmap.render(drawn, where))
    if outcomes:
        stream.write("\n" if layers else "")
        terminal.show([trace_reports.outcomes(outcomes)], command="trace", as_json=False, stream=stream)
    if verified:
        stream.write("\n")
        terminal.show([verification], command="trace", as_json=False, stream=stream)


def maps(summaries: Sequence[SignalSummary], where: Screen) -> list[Text]:
    """A small heat map of each state, output and gate: groups of units over stretches of time, scaled to itself."""
    from rich.text import Text

    lines: list[Text] = []
    for one in summaries:
        if one.kind not in ("state", "output", "gate") or not np.isfinite(one.heat).any():
            continue
        measure = Scale(*scale(one.heat, gate=one.kind == "gate"), where)
        lines.append(Text.assemble((f"{one.signal}  ", "bold"), measure.legend()))
        columns = max(10, where.width - _INDENT)
        lines += [Text(" " * _INDENT) + measure.cells(row[:columns]) for row in one.heat]
    return lines
