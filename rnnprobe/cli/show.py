"""`rnnprobe show`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnprobe.cli.options import json_option, layer_option, traceback_option
from rnnprobe.errors import BadInput

if TYPE_CHECKING:
    from rich.text import Text

    from rnnprobe.outputs.trace import LayerTrace, Trace

_TOP = 16
_TOP_OF_SEVERAL = 8
_TEXT = 2000
"""Tokens that are printed unless --steps says otherwise."""
_JSON_COLUMNS = 65_536
"""Values of a unit in JSON; more steps are averaged, and `edges` says so."""


@click.command()
@click.argument("trace", type=click.Path(path_type=Path))
@layer_option
@click.option("--signal", default="h", show_default=True, metavar="NAME", help="What to show: h, c, a gate …")
@click.option("--unit", type=int, multiple=True, metavar="N", help="This unit; over text, the text itself. Repeatable.")
@click.option("--units", "units", metavar="A:B", help="These units.")
@click.option("--top", type=click.IntRange(1), metavar="K", help="The K units that vary most.  [default: 16]")
@click.option("--sequence", default="0", show_default=True, metavar="N|NAME", help="Which sequence.")
@click.option("--steps", metavar="A:B", help="These steps of it.")
@json_option
@traceback_option
def command(
    trace: Path,
    layer: tuple[str, ...],
    signal: str,
    unit: tuple[int, ...],
    units: str | None,
    top: int | None,
    sequence: str,
    steps: str | None,
    as_json: bool,
) -> None:
    """A recorded TRACE: units over steps, and the tokens where there are any.

    Of each layer, the units are shown that vary most. A single unit of a trace over text is shown on the text itself.

    \b
    Examples:
      rnnprobe show trace.h5
      rnnprobe show trace.h5 --signal c --unit 42 --steps 0:500
      rnnprobe show trace.h5 --json | jq '.units[] | [.unit, .variance]'
    """
    from rnnprobe import outputs
    from rnnprobe.analysis import trace_reports, trace_statistics
    from rnnprobe.views import heatmap, terminal
    from rnnprobe.views import trace as views
    from rnnprobe.views.screen import screen

    if sum(map(bool, (unit, units, top))) > 1:
        raise BadInput("--unit, --units and --top exclude each other", path=trace, hint="give one of them")
    found = outputs.load(trace)
    layers = _recording(trace_statistics.layers(found, layer), signal)
    number = _sequence(found, sequence)
    span = _slice("--steps", steps, int(found.lengths[number]), trace)
    count = top or (_TOP if len(layers) == 1 else _TOP_OF_SEVERAL)
    reports = [trace_reports.layers(found)]
    lines: list[Text] = []
    where = screen(sys.stdout)
    for each in layers:
        chosen = _units(each, signal, unit, units, trace)
        if as_json:
            profile = trace_statistics.profile(found, each, signal, number, span, _JSON_COLUMNS)
            reports.append(trace_reports.units(profile, chosen or trace_statistics.liveliest(profile, count)))
        elif len(chosen) == 1 and "tokens" in found.inputs:
            lines += views.over_text(found, each, signal, number, span if steps else span[:_TEXT], chosen[0], where)
        else:
            lines += views.over_steps(found, each, signal, number, span, chosen, count, where)
    if as_json:
        reports.append(trace_reports.tokens(found, number, span[:_JSON_COLUMNS]))
    terminal.show(reports, command="show", as_json=as_json)
    if not as_json:
        sys.stdout.write(heatmap.render(lines, where))


def _recording(layers: tuple[LayerTrace, ...], signal: str) -> tuple[LayerTrace, ...]:
    """The layers that recorded the signal; all where none did, for the error to name what they have."""
    return tuple(layer for layer in layers if signal in layer.signals) or layers


def _sequence(trace: Trace, text: str) -> int:
    """A sequence by its number or its name; a name goes first."""
    names = trace.names
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdigit() and int(text) < len(names):
        return int(text)
    listed = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    raise BadInput(
        f"there is no sequence {text}: the trace has {len(names)}",
        path=trace.path,
        hint=f"--sequence takes 0 … {len(names) - 1} or a name: {listed}" if names else "",
    )


def _slice(option: str, text: str | None, size: int, path: Path) -> range:
    """`A:B`, `A:`, `:B` or `A` within `size`, as Python slices."""
    if text is None:
        return range(size)
    match = re.fullmatch(r"(-?\d{1,18})?(:)?(-?\d{1,18})?", text, re.ASCII)
    if match is None or not text:
        raise BadInput(f"{option} {text} is no A:B", path=path, hint=f"valid are 0:{size} and what lies within")
    first, colon, last = match.groups()
    if not colon:
        first, last = text, str(int(text) + 1) if text != "-1" else None
    span = range(size)[slice(int(first) if first else None, int(last) if last else None)]
    if not span:
        raise BadInput(
            f"{option} {text} is empty: there are {size}", path=path, hint=f"valid are 0:{size} and what lies within"
        )
    return span


def _units(layer: LayerTrace, signal: str, unit: tuple[int, ...], units: str | None, path: Path) -> tuple[int, ...]:
    """The units asked for; none where the liveliest are meant."""
    size = layer.signals[signal].shape[2] if signal in layer.signals else 0
    if units is not None and size:
        return tuple(_slice("--units", units, size, path))
    for number in unit:
        if size and not 0 <= number < size:
            raise BadInput(f"{layer.name} has no unit {number}", path=path, hint=f"valid are 0 … {size - 1}")
    return unit
