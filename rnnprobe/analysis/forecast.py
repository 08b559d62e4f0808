"""What a trace would hold, before it is run."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnprobe.cells.layers import signal_sizes
from rnnprobe.types import Column, Recording, Report


def forecast(recording: Recording, dtype: str) -> tuple[Report, ...]:
    """The arrays that a trace would hold: a row a signal, `[sequence, time, unit]`, and their bytes.

    Args:
        recording: what would be recorded.
        dtype: of the values in the file.
    """
    rows: list[dict[str, Any]] = []
    width = np.dtype(dtype).itemsize
    for layer in recording.layers:
        sizes = signal_sizes(layer)
        for signal in recording.signals[layer.name]:
            shape = [recording.sequences, recording.steps, sizes[signal]]
            steps = sum(int(batch.lengths.sum()) for batch in recording.batches)
            rows.append({"layer": layer.name, "signal": signal, "shape": shape, "bytes": steps * sizes[signal] * width})
    columns = (
        Column("layer", "layer"),
        Column("signal", "signal"),
        Column("shape", "[sequence, time, unit]", lambda shape: " × ".join(f"{n:,}" for n in shape), right=True),
        Column("bytes", "bytes", lambda n: f"{n:,}", right=True),
    )
    total = sum(row["bytes"] for row in rows)
    return (Report("forecast", "What would be recorded", columns, tuple(rows), (f"{total:,} bytes in all",)),)
