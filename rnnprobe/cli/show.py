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
@click.option(
    "--signal",
    metavar="NAME",
    help="What to show: h, c, a gate …  [default: h; of a layer without one, the first that was recorded]",
)
@click.option(
    "--output", multiple=True, metavar="PATTERN", help="An output of the model instead of the layers. Repeatable."
)
@click.option("--unit", type=int, multiple=True, metavar="N", help="This unit; over text, the text itself. Repeatable.")
@click.option("--units", "units", metavar="A:B", help="These units.")
@click.option(
    "--top", type=click.IntRange(1), metavar="K", help="The K that vary most.  [default: 16; 8 each of several layers]"
)
@click.option("--at", metavar="PLACE", help="Of steps with several axes (a convolution's ROW,COLUMN), this place.")
@click.option("--sequence", default="0", show_default=True, metavar="N|NAME", help="Which sequence.")
@click.option("--steps", metavar="A:B", help="These steps of it.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="The pictures alone, without what is above them.")
@traceback_option
def command(
    trace: Path,
    layer: tuple[str, ...],
    signal: str | None,
    output: tuple[str, ...],
    unit: tuple[int, ...],
    units: str | None,
    top: int | None,
    at: str | None,
    sequence: str,
    steps: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """A recorded TRACE: units over steps, and the tokens where there are any.

    Of each layer, the units are shown that vary most. A single unit of a trace over text is shown on the text itself.
    Steps have the numbers that they have in the input, also where only some of its steps were recorded.

    \b
    Examples:
      rnnprobe show trace.h5
      rnnprobe show trace.h5 --signal c --unit 42 --steps 0:500
      rnnprobe show trace.h5 --output dense --sequence 3
      rnnprobe show trace.h5 --json | jq '.units[] | [.unit, .variance]'
    """
    from rnnprobe import outputs
    from rnnprobe.analysis import trace_reports, trace_statistics
    from rnnprobe.views import heatmap, terminal
    from rnnprobe.views import trace as views
    from rnnprobe.views.screen import screen

    if sum(map(bool, (unit, units, top))) > 1:
        raise BadInput("--unit, --units and --top exclude each other", path=trace, hint="give one of them")
    if output and (layer or signal):
        raise BadInput("--output shows no layers", path=trace, hint="leave --layer and --signal out")
    found = outputs.load(trace)
    layers = trace_statistics.outputs(found, output) if output else _recording(found, layer, signal)
    number = _sequence(found, sequence)
    spans = {each.name: _span(found, each, number, steps) for each in layers}
    place = _place(at, trace)
    count = top or (_TOP if len(layers) == 1 else _TOP_OF_SEVERAL)
    reports = [trace_reports.layers(found), trace_reports.outputs(found)]
    lines: list[Text] = []
    where = screen(sys.stdout)
    for each in layers:
        name, span = signal or trace_statistics.signal_of(each), spans[each.name]
        chosen = _units(each, name, unit, units, trace)
        if as_json:
            profile = trace_statistics.profile(found, each, name, number, span, _JSON_COLUMNS, place)
            reports.append(trace_reports.units(profile, chosen or trace_statistics.liveliest(profile, count)))
        elif output and each.name not in found.output_lengths:
            lines += views.at_once(found, each, name, number, chosen, count, where, place)
        elif len(chosen) == 1 and "tokens" in found.inputs and not each.own_time:
            stretch = span if steps else span[:_TEXT]
            lines += views.over_text(found, each, name, number, stretch, chosen[0], where, place)
        else:
            lines += views.over_steps(found, each, name, number, span, chosen, count, where, place)
    if as_json:
        spelled = next((spans[each.name][:_JSON_COLUMNS] for each in layers if not each.own_time), None)
        reports += [trace_reports.tokens(found, number, spelled), trace_reports.verification(found.verification)]
    if as_json or not quiet:
        terminal.show(reports, command="show", as_json=as_json)
    if not as_json:
        sys.stdout.write(heatmap.render(lines, where))


def _span(trace: Trace, layer: LayerTrace, sequence: int, steps: str | None) -> range:
    """The steps asked for, counted from the first that was recorded of the layer."""
    from rnnprobe.analysis.trace_statistics import first_step

    first, size = first_step(trace, layer), int(layer.lengths[sequence])
    found = _slice("--steps", steps, range(first, first + size), trace.path, layer.name if layer.own_time else "")
    return range(found.start - first, found.stop - first)


def _place(text: str | None, path: Path) -> tuple[int, ...]:
    """`ROW,COLUMN`."""
    if text is None:
        return ()
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text, re.ASCII):
        raise BadInput(f"--at {text} is no place", path=path, hint="give a number for each axis in space: --at 3,4")
    return tuple(map(int, text.split(",")))


def _recording(trace: Trace, patterns: tuple[str, ...], signal: str | None) -> tuple[LayerTrace, ...]:
    """The layers that recorded the signal; where none did, those that recorded anything, for the error to name it."""
    from rnnprobe.analysis import trace_statistics

    recording = tuple(layer for layer in trace_statistics.layers(trace, patterns) if layer.signals)
    return tuple(layer for layer in recording if signal in layer.signals) or recording


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


def _slice(option: str, text: str | None, of: range, path: Path | None, owner: str = "") -> range:
    """`A:B`, `A:`, `:B` or `A` within the numbers `of`; those below 0 count from the end, as in Python's slices."""
    if text is None:
        return of
    hint = f"valid are {of.start}:{of.stop} and what lies within"
    match = re.fullmatch(r"(-?\d{1,18})?(:)?(-?\d{1,18})?", text, re.ASCII)
    if match is None or not text:
        raise BadInput(f"{option} {text} is no A:B", path=path, hint=hint)
    first, colon, last = match.groups()
    if not colon:
        first, last = text, str(int(text) + 1) if text != "-1" else None

    def index(number: str | None) -> int | None:
        if number is None or int(number) < 0:
            return None if number is None else int(number)
        return max(int(number) - of.start, 0)

    span = of[slice(index(first), index(last))]
    if not span:
        whose = f" in {owner}" if owner else ""
        raise BadInput(f"{option} {text} is empty: there are {len(of)}{whose}", path=path, hint=hint)
    return span


def _units(layer: LayerTrace, signal: str, unit: tuple[int, ...], units: str | None, path: Path) -> tuple[int, ...]:
    """The units asked for; none where the liveliest are meant."""
    from rnnprobe.analysis.trace_statistics import width

    size = width(layer.signals[signal]) if signal in layer.signals else 0
    if units is not None and size:
        return tuple(_slice("--units", units, range(size), path))
    for number in unit:
        if size and not 0 <= number < size:
            raise BadInput(f"{layer.name} has no unit {number}", path=path, hint=f"valid are 0 … {size - 1}")
    return unit
