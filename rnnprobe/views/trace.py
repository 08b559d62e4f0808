"""Traces in the terminal: units over steps, and a unit over its text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.analysis.trace_statistics import Profile, is_gate, liveliest, profile, scale, steps_of
from rnnprobe.analysis.trace_statistics import width as width_of
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Array
from rnnprobe.views import heatmap
from rnnprobe.views.escape import plain
from rnnprobe.views.heatmap import Scale
from rnnprobe.views.screen import Screen

if TYPE_CHECKING:
    from rich.text import Text

PANELS = 4
"""A heat map goes on below itself so often before steps are averaged."""
_WIDEST = 10
"""Columns of a cell that shows a token."""
_FEWEST = 4
"""Steps that always fit beside each other."""
_INDENT = 2
_WIDTH = 8
"""Columns of a cell that stands alone in its line."""


def over_steps(
    trace: Trace,
    layer: LayerTrace,
    signal: str,
    sequence: int,
    span: range,
    units: Sequence[int],
    top: int,
    where: Screen,
    at: tuple[int, ...] = (),
) -> list[Text]:
    """A heat map of units over steps, with the tokens below; averaged where it would go on for more than `PANELS`.

    Args:
        span: counting the steps that were recorded, as in `profile`.
        units: the places of which ones; none: the `top` that vary most.
        at: as in `profile`.
    """
    from rich.text import Text

    spelled = not layer.own_time and len(span) <= PANELS * where.width
    tokens = trace.text(sequence, span.start, span.stop) if spelled else None
    size = _widest_number(layer, signal)
    width = min(_cell_width(tokens, where), _columns(size, _FEWEST, where))
    fit = _columns(size, width, where)
    if len(span) > PANELS * fit:
        tokens, width = None, 1
        fit = _columns(size, width, where)
    found = profile(trace, layer, signal, sequence, span, len(span) if len(span) <= PANELS * fit else fit, at)
    shown = units or liveliest(found, top)
    measure = _measure(layer, found, shown, where)
    return [
        Text(),
        *_title(trace, found, measure),
        *_map(found, shown, tokens, measure, width),
        *_more(found.bins.shape[0], shown, units),
    ]


def at_once(
    trace: Trace,
    layer: LayerTrace,
    signal: str,
    sequence: int,
    units: Sequence[int],
    top: int,
    where: Screen,
    at: tuple[int, ...] = (),
) -> list[Text]:
    """The values of what has no steps: a unit a line.

    Args:
        units: which ones; none: the `top` largest.
        at: as in `profile`.
    """
    from rich.text import Text

    found = profile(trace, layer, signal, sequence, range(1), 1, at)
    size = found.bins.shape[0]
    shown = units or liveliest(found, top)
    measure = _measure(layer, found, shown, where)
    lines = [Text(), *_title(trace, found, measure, steps=False)]
    for unit in shown:
        value = found.bins[unit]
        label = (f"{found.number(unit):>{_label(_widest_number(layer, signal)) - 1}} ", "dim")
        lines.append(Text.assemble(label, measure.cells(value, _WIDTH), f" {words.precise(float(value[0]))}"))
    return [*lines, *_more(size, shown, units)]


def _widest_number(layer: LayerTrace, signal: str) -> int:
    """One more than the largest number of a unit."""
    if signal not in layer.signals:
        return 0
    return int(layer.numbers(signal, width_of(layer.signals[signal])).max(initial=-1)) + 1


def _more(size: int, shown: Sequence[int], units: Sequence[int]) -> list[Text]:
    """What says that there are more units, where none were asked for."""
    from rich.text import Text

    left = size - len(shown)
    more = f"{left:,} more {'units' if left > 1 else 'unit'}: --units A:B, --unit N, --top K"
    return [Text(" " * _INDENT + more, "italic")] if left and not units else []


def over_text(
    trace: Trace,
    layer: LayerTrace,
    signal: str,
    sequence: int,
    span: range,
    unit: int,
    where: Screen,
    at: tuple[int, ...] = (),
) -> list[Text]:
    """The text itself, each token in the colour of one unit's value."""
    from rich.text import Text

    tokens = trace.text(sequence, span.start, span.stop) or ()
    found = profile(trace, layer, signal, sequence, span, len(span), at)
    measure = _measure(layer, found, (unit,), where)
    left = len(steps_of(trace, layer, sequence)) - len(span)
    note = f"{left:,} more {'steps' if left > 1 else 'step'}: --steps A:B" if left else ""
    return [
        Text(),
        *_title(trace, found, measure, found.number(unit)),
        *unit_over_text(tokens, found.bins[unit], measure),
        *([Text(" " * _INDENT + note, "italic")] if note else []),
    ]


def _measure(layer: LayerTrace, found: Profile, units: Sequence[int], where: Screen) -> Scale:
    """The scale of what is shown."""
    chosen = list(units)
    extremes = np.concatenate([found.min[chosen], found.max[chosen]])
    return Scale(*scale(extremes, gate=is_gate(layer, found.signal)), where)


def _cell_width(tokens: Sequence[str] | None, where: Screen) -> int:
    """Columns that a step takes so that its token can be read."""
    from rich.cells import cell_len

    widest = max((cell_len(heatmap.visible(token, where)) for token in tokens or ()), default=1)
    return 1 if widest <= 1 else min(widest, _WIDEST - 1) + 1


def _columns(units: int, width: int, where: Screen) -> int:
    """How many steps fit beside each other when there are `units` units in the layer and a step takes `width`."""
    return max(1, (where.width - _label(units)) // width)


def _label(units: int) -> int:
    return len(str(max(units - 1, 0))) + _INDENT + 1


def _title(trace: Trace, found: Profile, measure: Scale, unit: int | None = None, *, steps: bool = True) -> list[Text]:
    """What is shown, and its scale."""
    from rich.text import Text

    name = trace.names[found.sequence]
    whose = f"sequence {found.sequence}" + ("" if name == str(found.sequence) else f" ({plain(name)})")
    if trace.reduced_over:
        whose = f"over {words.counted(len(trace.lengths), 'sequence')}"
    every = f":{found.stride}" if found.stride > 1 else ""
    parts = [
        found.signal if unit is None else f"{found.signal} of unit {unit}",
        whose,
        *([f"steps {found.start}:{found.stop}{every}"] if steps else []),
    ]
    if found.space:
        extent = " × ".join(map(str, found.space))
        parts.append(f"at {','.join(map(str, found.at))} of {extent}" if found.at else f"mean over {extent} places")
    if found.binned:
        parts.append(f"{len(found.steps) / found.bins.shape[1]:.3g} steps a column")
    return [
        Text.assemble((plain(found.layer), "bold"), f": {', '.join(parts)}"),
        Text(" " * _INDENT) + measure.legend(),
    ]


def _map(found: Profile, units: Sequence[int], tokens: Sequence[str] | None, measure: Scale, width: int) -> list[Text]:
    """A line for each unit, a cell of `width` columns for each step (or stretch of steps), the tokens below."""
    from rich.text import Text

    size = found.number(found.bins.shape[0] - 1) + 1
    label = _label(size)
    fit = _columns(size, width, measure.screen)
    lines: list[Text] = []
    for start in range(0, found.bins.shape[1], fit):
        stop = min(start + fit, found.bins.shape[1])
        lines.append(_ruler(found, start, stop, label, width))
        for unit in units:
            cells = measure.cells(found.bins[unit, start:stop], width)
            lines.append(Text.assemble((f"{found.number(unit):>{label - 1}} ", "dim"), cells))
        if tokens is not None:
            shown = (_fitted(heatmap.visible(token, measure.screen), width) for token in tokens[start:stop])
            lines.append(Text(" " * label + "".join(shown)))
    return lines


def _ruler(found: Profile, start: int, stop: int, label: int, width: int) -> Text:
    """The step of the first and of the last column."""
    from rich.text import Text

    reached = range(found.start, int(found.edges[stop]), found.stride)
    first, last = str(found.edges[start]), str(reached[-1]) if reached else ""
    room = (stop - start) * width
    between = room - len(first) - len(last)
    return Text(" " * label + (first + " " * between + last if between > 0 else first), "dim")


def _fitted(token: str, width: int) -> str:
    """A token in a cell: cut with an ellipsis, one column left free where cells are wider than one."""
    from rich.cells import cell_len, set_cell_size

    room = max(1, width - (width > 1))
    if cell_len(token) > room:
        token = set_cell_size(token, room - 1) + "…" if room > 1 else "…"
    return set_cell_size(token, width)


def unit_over_text(tokens: Sequence[str], values: Array, measure: Scale) -> list[Text]:
    """The text itself, each token in the colour of the unit's value; without colour, the shades stand below the text.

    Args:
        tokens: of each step.
        values: `[steps]`.
    """
    from rich.text import Text

    where = measure.screen
    together = all(len(token) <= 1 for token in tokens)
    lines: list[Text] = []
    for row in _wrapped(tokens, where, 0 if together else 1):
        gap = "" if together else " "
        if where.paints:
            pieces = (((shown, values[step]), (gap, math.nan)) for step, shown, _ in row)
            lines.append(measure.painted(piece for pair in pieces for piece in pair if piece[0]))
        else:
            lines.append(Text(gap.join(shown for _, shown, _ in row)))
            lines.append(Text(gap.join(measure.shade(values[step]) * width for step, _, width in row)))
    return lines


def _wrapped(tokens: Sequence[str], where: Screen, gap: int) -> Iterator[list[tuple[int, str, int]]]:
    """Rows of tokens that fit the width, and end where the text's own lines end: step, text, columns."""
    from rich.cells import cell_len

    row: list[tuple[int, str, int]] = []
    used = 0
    for step, token in enumerate(tokens):
        shown = heatmap.visible(token, where)
        width = cell_len(shown)
        if row and used + width > where.width:
            yield row
            row, used = [], 0
        row.append((step, shown, width))
        used += width + gap
        if token.endswith("\n"):
            yield row
            row, used = [], 0
    if row:
        yield row
