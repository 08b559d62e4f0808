"""What a trace would hold, before it is run: the report of `rnnprobe trace --dry-run`.

Reports and the keys of their rows, in JSON as here; bytes leave padding out:

    forecast   layer, signal (of reductions `h mean` and the like), shape (sequences, steps of the longest, what a step
               has: of a convolutional layer its extent in space, then units; of reductions, sequences or steps first),
               bytes
    outputs    output, shape (sequences, steps of the longest where it has steps, …), bytes
    time       seconds (of computing, on the machine where it was asked for; null where its beginning does not tell),
               writing (seconds that the disk takes for the bytes, at the rate measured there; null where nothing says
               how many or where), measured (the steps of batches and layers that were run to tell)
"""

from __future__ import annotations

from typing import Any

from rnnprobe.analysis import words
from rnnprobe.outputs import fields
from rnnprobe.outputs.layer_fields import layer_fields
from rnnprobe.types import Column, Recording, Report

_SIZES = (Column("shape", "shape", words.shape, right=True), Column("bytes", "size", words.size, right=True))
_SIGNALS = (Column("layer", "layer"), Column("signal", "signal"), *_SIZES)
_PLAIN = (*_SIGNALS[:2], Column("shape", "[sequence, time, unit]", words.shape, right=True), _SIZES[1])
_TIME = (
    Column("seconds", "computing", words.duration),
    Column("writing", "writing", words.duration),
    Column("measured", "steps measured", words.count, right=True),
)
_OUTPUTS = (Column("output", "output"), *_SIZES)


def forecast(
    recording: Recording,
    dtype: str,
    *,
    seconds: float | None = None,
    measured: int = 0,
    stored: int | None = None,
    writing: float | None = None,
) -> tuple[Report, ...]:
    """The arrays that a trace would hold, a row for each signal and output, and their bytes; and the time.

    Args:
        recording: what would be recorded.
        dtype: of the values in the file.
        seconds: that computing would take, or None where that is not known.
        measured: the steps that were run to tell.
        stored: the bytes that the file takes, or None where that is not known.
        writing: seconds that the disk would take for them, or None where that is not known.
    """
    known = seconds is not None or writing is not None
    return (*_arrays(recording, dtype, stored), *([_time(seconds, writing, measured)] if known else []))


def _time(seconds: float | None, writing: float | None, measured: int) -> Report:
    if seconds is None:
        notes: tuple[str, ...] = (
            "writing alone: how long computing takes can't be told from the beginning of this run",
        )
    elif writing is None:
        notes = (
            "computing alone: TensorFlow's start comes before it, and a disk that is slower than this holds it up",
        )
    else:
        notes = ("both at once: the slower decides; TensorFlow's start comes before them",)
    row = {"seconds": seconds, "writing": writing, "measured": measured}
    return Report("time", "How long it would take", _TIME, (row,), notes)


def _arrays(recording: Recording, dtype: str, stored: int | None) -> tuple[Report, ...]:
    sizes = fields.value_sizes(recording, dtype)
    rows: tuple[dict[str, Any], ...] = tuple(
        {"layer": layer.name, "signal": one.signal, "shape": list(one.shape), "bytes": sizes[layer.name, one.signal]}
        for layer in recording.layers
        for one in layer_fields(recording, layer, dtype)
        if one.signal
    )
    results = {outcome.name: fields.output_field(recording, outcome, dtype) for outcome in recording.outcomes}
    outputs = tuple(
        {"output": name, "shape": list(one.shape), "bytes": one.value_bytes} for name, one in results.items()
    )
    plain = not recording.kept.reduced and all(len(row["shape"]) == 3 for row in rows)
    columns = _PLAIN if plain else _SIGNALS
    total = f"{words.count(fields.values_size(recording, dtype))} bytes in all, padding left out"
    notes = (total if stored is None else f"{total}; {words.count(stored)} on the disk",)
    title = "What would be recorded"
    signals = Report("forecast", title, columns, rows, () if outputs else notes)
    if not outputs:
        return (signals,)
    return signals, Report("outputs", "The model's outputs" if rows else title, _OUTPUTS, outputs, notes)
