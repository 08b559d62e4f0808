"""A recorded trace, and the summary of a run: the reports of `rnnprobe show` and `rnnprobe trace`.

Reports and the keys of their rows, in JSON as here:

    layers        layer, cell, title, units, direction, sequences, steps (of the longest), signals
    units         layer, signal, sequence, unit, start and stop (steps), min, mean, max, variance, values, edges (the
                  steps at which the values begin where each is the mean of several steps, else null)
    tokens        sequence, name, start, stop, tokens (null where the input was no text)
    signals       layer, signal, kind, shape (sequences, steps of the longest, units), values (how many), nan (how many
                  of them), min, mean, max, saturated_min and saturated_max (shares of gate values near a bound of their
                  activation, `rnnprobe.outputs.summary.MARGIN`, or null), heat (rows of units, columns of time)
    verification  what was compared with the original, or why nothing was, as `Recording.verification`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.trace_statistics import Profile
from rnnprobe.outputs.summary import SignalSummary
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
    return Report("layers", "", _LAYERS, rows, tuple(origin))


def _layer(trace: Trace, layer: LayerTrace) -> dict[str, Any]:
    own = layer.attributes
    return {
        "layer": layer.name,
        "cell": own.get("cell"),
        "title": own.get("title"),
        "units": own.get("units"),
        "direction": own.get("direction"),
        "sequences": int(trace.lengths.size),
        "steps": int(trace.lengths.max(initial=0)),
        "signals": list(layer.signals),
    }


def units(found: Profile, chosen: Sequence[int]) -> Report:
    """A row for each unit chosen."""
    rows = tuple(
        {
            "layer": found.layer,
            "signal": found.signal,
            "sequence": found.sequence,
            "unit": unit,
            "start": found.start,
            "stop": found.stop,
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


def tokens(trace: Trace, sequence: int, span: range) -> Report:
    """A row for the sequence."""
    found = trace.text(sequence, span.start, span.stop)
    row: Mapping[str, Any] = {
        "sequence": sequence,
        "name": trace.names[sequence],
        "start": span.start,
        "stop": span.stop,
        "tokens": None if found is None else list(found),
    }
    return Report("tokens", "", (Column("name", "name"),), (row,))


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
    skipped = f"{odd:,} values within the lengths are NaN: at steps that a mask skips gates are not computed"
    notes = (skipped,) if odd else ()
    return Report("signals", f"{summaries[0].layer} (sequences × steps × units)", _SIGNALS, rows, notes)


def verification(said: Mapping[str, str | float | int]) -> Report:
    """What was compared with the original, or why nothing was: one row."""
    return Report("verification", "", tuple(Column(key, key) for key in said), (said,), upright=True)
