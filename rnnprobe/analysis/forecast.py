"""What a trace would hold, before it is run: the report of `rnnprobe trace --dry-run`.

The keys of its rows, in JSON as here: layer, signal, shape (sequences, steps of the longest, units), bytes (padding
left out).
"""

from __future__ import annotations

from rnnprobe.analysis import words
from rnnprobe.outputs import layout
from rnnprobe.types import Column, Recording, Report

_COLUMNS = (
    Column("layer", "layer"),
    Column("signal", "signal"),
    Column("shape", "[sequence, time, unit]", words.shape, right=True),
    Column("bytes", "size", words.size, right=True),
)


def forecast(recording: Recording, dtype: str) -> tuple[Report, ...]:
    """The arrays that a trace would hold: a row for each signal, and their bytes.

    Args:
        recording: what would be recorded.
        dtype: of the values in the file.
    """
    sizes = layout.value_sizes(recording, dtype)
    rows = tuple(
        {
            "layer": layer.name,
            "signal": field.name,
            "shape": list(field.shape),
            "bytes": sizes[layer.name, field.name],
        }
        for layer in recording.layers
        for field in layout.fields(recording, layer, dtype)
        if field.kind
    )
    note = f"{words.count(sum(sizes.values()))} bytes in all"
    return (Report("forecast", "What would be recorded", _COLUMNS, rows, (note,)),)
