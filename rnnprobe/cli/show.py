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
    Steps and units have the numbers that they have in the input and the layer, also where only some were recorded.
    Of a trace of reductions (`trace --reduce`) the figures are shown.

    \b
    Examples:
      rnnprobe show trace.h5
      rnnprobe show trace.h5 --signal c --unit 42 --steps 0:500
      rnnprobe show trace.h5 --output dense --sequence 3
      rnnprobe show trace.h5 --json | jq '.units[] | [.unit, .variance]'
    """
    from rnnprobe import outputs
    from rnnprobe.analysis import reduced_reports, trace_reports, trace_statistics
    from rnnprobe.views import heatmap, terminal
    from rnnprobe.views import trace as views
    from rnnprobe.views.screen import screen

    if sum(map(bool, (unit, units, top))) > 1:
        raise BadInput("--unit, --units and --top exclude each other", path=trace, hint="give one of them")
    if output and (layer or signal):
        raise BadInput("--output shows no layers", path=trace, hint="leave --layer and --signal out")
    found = outputs.load(trace)
    _check_reduced(found, output, steps, sequence)
    layers = trace_statistics.outputs(found, output) if output else _recording(found, layer, signal)
    number = _sequence(found, sequence)
    place = _place(at, trace)
    count = top or (_TOP if len(layers) == 1 else _TOP_OF_SEVERAL)
    reports = [trace_reports.layers(found), trace_reports.outputs(found)]
    if found.reduced_over == "time":
        for each in layers:
            name = _reduced(each, signal, trace)
            chosen = _units(each, name, reduced_reports.width(each, name), unit, units, trace)
            reports.append(reduced_reports.over_time(found, each, name, number, chosen, count, place))
        if as_json:
            reports.append(trace_reports.verification(found.verification))
        terminal.show(reports if as_json or not quiet else reports[2:], command="show", as_json=as_json)
        return
    if found.reduced_over:
        drawn = {each.name: reduced_reports.shown(each, _reduced(each, signal, trace)) for each in layers}
        layers, number = tuple(reduced_reports.as_layer(each) for each in layers), 0
    else:
        drawn = {each.name: signal or trace_statistics.signal_of(each) for each in layers}
    spans = {each.name: _span(found, each, number, steps) for each in layers}
    lines: list[Text] = []
    where = screen(sys.stdout)
    for each in layers:
        name, span = drawn[each.name], spans[each.name]
        size = trace_statistics.width(each.signals[name]) if name in each.signals else 0
        chosen = _units(each, name, size, unit, units, trace)
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
        texts = () if found.reduced_over else layers
        spelled = next((spans[each.name][:_JSON_COLUMNS] for each in texts if not each.own_time), None)
        reports += [trace_reports.tokens(found, number, spelled), trace_reports.verification(found.verification)]
    if as_json or not quiet:
        terminal.show(reports, command="show", as_json=as_json)
    if not as_json:
        sys.stdout.write(heatmap.render(lines, where))


def _span(trace: Trace, layer: LayerTrace, sequence: int, steps: str | None) -> range:
    """The steps asked for, counting those that were recorded of the layer."""
    from rnnprobe.analysis.trace_statistics import steps_of

    there = steps_of(trace, layer, sequence)
    every = range(there.start, there.stop)
    found = _slice("--steps", steps, every, trace.path, layer.name if layer.own_time else "")
    start, stop = (-(-(number - there.start) // there.step) for number in (found.start, found.stop))
    if start == stop and found:
        raise BadInput(
            f"--steps {steps}: none of these steps was kept",
            path=trace.path,
            hint=f"one step in {there.step} was, from {there.start} on",
        )
    return range(start, stop)


def _check_reduced(trace: Trace, output: tuple[str, ...], steps: str | None, sequence: str) -> None:
    """Refuses to show of reductions what is not in them."""
    if trace.reduced_over and output:
        raise BadInput("holds reductions, and none of the model's outputs", path=trace.path, hint="leave --output out")
    given, option = (steps is not None, "--steps") if trace.reduced_over == "time" else (sequence != "0", "--sequence")
    if trace.reduced_over and given:
        raise BadInput(f"is reduced over {trace.reduced_over}", path=trace.path, hint=f"leave {option} out")


def _reduced(layer: LayerTrace, signal: str | None, path: Path) -> str:
    """The signal asked for among those that were reduced."""
    name = signal or ("h" if "h" in layer.reduced else next(iter(layer.reduced)))
    if name not in layer.reduced:
        raise BadInput(
            f"{layer.name} has no signal {name!r}", path=path, hint=f"recorded are: {', '.join(layer.reduced)}"
        )
    return name


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

    recording = tuple(layer for layer in trace_statistics.layers(trace, patterns) if layer.signals or layer.reduced)
    return tuple(layer for layer in recording if signal in (*layer.signals, *layer.reduced)) or recording


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


def _units(
    layer: LayerTrace, signal: str, size: int, unit: tuple[int, ...], units: str | None, path: Path
) -> tuple[int, ...]:
    """The places of the units asked for among the `size` that were recorded; none where the liveliest are meant."""
    if not size:
        return unit
    places = {int(number): place for place, number in enumerate(layer.numbers(signal, size))}
    if units is not None:
        found = tuple(places[n] for n in _slice("--units", units, range(max(places) + 1), path) if n in places)
        if not found:
            raise BadInput(f"--units {units}: none of them was kept of {layer.name}", path=path, hint=_kept(layer))
        return found
    for number in unit:
        if number not in places:
            raise BadInput(
                f"{layer.name} has no unit {number}",
                path=path,
                hint=f"valid are 0 … {size - 1}" if layer.units is None else _kept(layer),
            )
    return tuple(places[number] for number in unit)


def _kept(layer: LayerTrace) -> str:
    from rnnprobe.outputs import layout

    return f"kept were the units {layer.attributes.get(layout.KEPT_UNITS)}"
