"""A recorded trace, and the summary of a run: the reports of `rnnprobe show` and `rnnprobe trace`.

Reports and the keys of their rows, in JSON as here. Steps have the numbers that they have in the input
(`rnnprobe.outputs.trace.Trace.first_step`), in a layer whose steps are not the input's those of its own:

    layers        layer, cell, title, units (null where that is not known), space (a convolutional layer's extent, else
                  empty), direction, sequences, steps (of the longest), own_steps (whether they are not the input's),
                  stride (every so many of them were kept), kept_units (`0:16`; null where all were), signals
    reduced       over time: layer, signal, sequence, unit, at, count, and what of mean, std, min, max, low, high,
                  histogram and edges was recorded (`rnnprobe.outputs.reductions`)
    outputs       output, shape (sequences, steps of the longest where it has steps, …), steps (of the longest, or null)
    units         layer (or an output of the model, whose signal is `output`), signal (over sequences `h mean` and the
                  like), sequence (0 of what was reduced over sequences), unit (0 where a step is
                  one number), at (the place in the axes before the last; null where there is none, or where the
                  values are means over all places), start, stop and stride (steps; 0, 1 and 1 of an output without
                  steps), min, mean, max, variance, values, edges (the steps at which the values begin where each is the
                  mean of several steps, else null)
    tokens        sequence, name, start, stop, stride, tokens (null where the input was no text); no row where no layer
                  shown has the input's steps, or where reductions were recorded
    signals       layer, signal, kind, shape (sequences, steps of the longest, what a step has), values (how many), nan
                  (how many of them), min, mean, max, saturated_min and saturated_max (shares of gate values near a
                  bound of their activation, `rnnprobe.outputs.reductions.MARGIN`, or null), heat (rows of units,
                  columns of time)
    outputs       of a run, output, shape, values, nan, min, mean, max
    verification  what was compared with the original, or why nothing was, as `Recording.verification`: status
                  (`verified`, `not verified`, `differs`), reason, and the figures of the comparison
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.trace_statistics import Profile
from rnnprobe.outputs import layout
from rnnprobe.outputs.summary import OutcomeSummary, SignalSummary
from rnnprobe.outputs.trace import LayerTrace, Trace
from rnnprobe.types import Column, Report

_LAYERS = (
    Column("layer", "layer"),
    Column("title", "cell"),
    Column("units", "units", words.count, right=True),
    Column("direction", "direction"),
    Column("sequences", "sequences", words.count, right=True),
    Column("steps", "steps", words.count, right=True),
    Column("signals", "signals", " ".join),
)
_FIGURES = (
    Column("min", "min", words.number, right=True),
    Column("mean", "mean", words.number, right=True),
    Column("max", "max", words.number, right=True),
)
_SPACE = Column("space", "space", words.shape)
_OUTPUTS = (Column("output", "output"), Column("shape", "shape", words.shape))
_UNITS = (Column("layer", "layer"), Column("signal", "signal"), Column("unit", "unit", right=True), *_FIGURES)
_SIGNALS = (
    Column("signal", "signal"),
    Column("shape", "shape", words.shape),
    *_FIGURES,
    Column("saturated_min", "at lower bound", words.share, right=True),
    Column("saturated_max", "at upper bound", words.share, right=True),
    Column("nan", "NaN", words.count, right=True),
)


def layers(trace: Trace) -> Report:
    """A row for each layer of a trace."""
    rows = tuple(_layer(trace, layer) for layer in trace.layers.values())
    origin = [f"{key}: {trace.attributes[key]}" for key in ("model", "input") if trace.attributes.get(key)]
    columns = (*_LAYERS[:3], _SPACE, *_LAYERS[3:]) if any(row["space"] for row in rows) else _LAYERS
    others = words.few([row["layer"] for row in rows if row["own_steps"]])
    notes = [f"the steps of {others} are not those of the input"] if others else []
    notes += kept(trace)
    return Report("layers", "", columns, rows, (*origin, *status(trace.verification), *notes))


def outputs(trace: Trace) -> Report:
    """A row for each output of the model that was recorded."""
    rows = tuple(
        {
            "output": name,
            "shape": list(values.shape),
            "steps": int(trace.output_lengths[name].max(initial=0)) if name in trace.output_lengths else None,
        }
        for name, values in trace.outputs.items()
    )
    return Report("outputs", "", _OUTPUTS, rows)


def kept(trace: Trace) -> list[str]:
    """What was kept of all that there was to record, where not all was; a line each."""
    parts = [f"one step in {trace.stride:,}"] if trace.stride > 1 else []
    owners: dict[str, list[str]] = {}
    for name, layer in trace.layers.items():
        if layer.units is not None:
            owners.setdefault(str(layer.attributes.get(layout.KEPT_UNITS)), []).append(name)
    parts += [f"the units {units} of {words.few(names)}" for units, names in owners.items()]
    lines = [f"kept: {'; '.join(parts)}"] if parts else []
    if trace.reduced_over:
        names = ", ".join(map(str, trace.attributes.get(layout.REDUCED, ())))
        lines.append(f"reduced over {trace.reduced_over}: {names}")
    return lines


def _layer(trace: Trace, layer: LayerTrace) -> dict[str, Any]:
    own = layer.attributes
    return {
        "layer": layer.name,
        "cell": own.get("cell"),
        "title": own.get("title"),
        "units": own.get("units"),
        "space": own.get("space", []),
        "direction": own.get("direction"),
        "sequences": int(trace.lengths.size),
        "steps": int(layer.lengths.max(initial=0)),
        "own_steps": layer.own_time,
        "stride": trace.stride,
        "kept_units": own.get(layout.KEPT_UNITS),
        "signals": list(layer.reduced or layer.signals),
    }


def units(found: Profile, chosen: Sequence[int]) -> Report:
    """A row for each unit chosen."""
    rows = tuple(
        {
            "layer": found.layer,
            "signal": found.signal,
            "sequence": found.sequence,
            "unit": found.number(unit),
            "at": list(found.at) if found.at else None,
            "start": found.start,
            "stop": found.stop,
            "stride": found.stride,
            "min": float(found.min[unit]),
            "mean": float(found.mean[unit]),
            "max": float(found.max[unit]),
            "variance": float(found.variance[unit]),
            "edges": found.edges[:-1].tolist() if found.binned else None,
            "values": found.bins[unit].tolist(),
        }
        for unit in chosen
    )
    return Report("units", "", _UNITS, rows)


def tokens(trace: Trace, sequence: int, span: range | None) -> Report:
    """A row for the sequence, where there is a stretch of it to show."""
    columns = (Column("name", "name"),)
    if span is None:
        return Report("tokens", "", columns, ())
    found = trace.text(sequence, span.start, span.stop)
    row: Mapping[str, Any] = {
        "sequence": sequence,
        "name": trace.names[sequence],
        "start": trace.first_step + span.start * trace.stride,
        "stop": trace.first_step + min(span.stop * trace.stride, int(trace.lengths[sequence])),
        "stride": trace.stride,
        "tokens": None if found is None else list(found),
    }
    return Report("tokens", "", columns, (row,))


def signals(summaries: Sequence[SignalSummary]) -> Report:
    """The signals of one layer, a row each."""
    rows = tuple(
        {
            "layer": one.layer,
            "signal": one.signal,
            "kind": one.kind,
            "shape": list(one.shape),
            "values": one.values,
            "nan": one.nan,
            "min": one.min,
            "mean": one.mean,
            "max": one.max,
            "saturated_min": one.saturated[0] if one.saturated else None,
            "saturated_max": one.saturated[1] if one.saturated else None,
            "heat": one.heat.tolist(),
        }
        for one in summaries
    )
    odd = sum(one.nan for one in summaries)
    notes = (f"{odd:,} values within the lengths are NaN: {_why_nan(summaries)}",) if odd else ()
    return Report("signals", f"{summaries[0].layer} ({_axes(summaries)})", _SIGNALS, rows, notes)


def _why_nan(summaries: Sequence[SignalSummary]) -> str:
    """Where a mask skips steps the states are held; no other NaN leaves them alone."""
    states = [one for one in summaries if one.kind in ("state", "output")]
    if any(one.nan for one in states):
        return "the input, a state or a weight is"
    skipped = "at steps that a mask skips gates are not computed"
    return skipped if states else f"{skipped}; or the input, a state or a weight is"


def _axes(summaries: Sequence[SignalSummary]) -> str:
    """What the numbers of the shapes are."""
    step = ("units",) if all(len(one.shape) == 3 + one.space for one in summaries) else ("what a step has",)
    return " × ".join(("sequences", "steps", *["space"] * bool(summaries[0].space), *step))


def outcomes(summaries: Sequence[OutcomeSummary]) -> Report:
    """The model's outputs in a run, a row each."""
    rows = tuple(
        {
            "output": one.name,
            "shape": list(one.shape),
            "values": one.values,
            "nan": one.nan,
            "min": one.min,
            "mean": one.mean,
            "max": one.max,
        }
        for one in summaries
    )
    nan = _SIGNALS[-1:] if any(one.nan for one in summaries) else ()
    return Report("outputs", "the model's outputs", (*_OUTPUTS, *_FIGURES, *nan), rows)


def verification(said: Mapping[str, Any]) -> Report:
    """What was compared with the original, or why nothing was: one row, or none where nothing is said of it."""
    columns = tuple(Column(key, key.replace("_", " "), _figure) for key in said)
    return Report("verification", "", columns, (dict(said),) if said else (), upright=True)


def status(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The same in a line, for a header: `verified: compared with …`; nothing where nothing is said of it."""
    return (": ".join(str(said[key]) for key in ("status", "reason") if said.get(key)),) if said.get("status") else ()


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return words.number(value)
    return words.count(value) if isinstance(value, int) else str(value)
