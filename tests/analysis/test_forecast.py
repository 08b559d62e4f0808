"""What `--dry-run` says is what a file then holds."""

from __future__ import annotations

import pytest

from rnnprobe import outputs
from rnnprobe.analysis.forecast import forecast

from ..outputs.recordings import blocks, layer, recording, whole


@pytest.mark.parametrize("dtype", outputs.DTYPES)
def test_the_forecast_is_what_is_written(dtype, tmp_path):
    what = recording([layer("a", "lstm", 5, output_size=2), layer("b", "gru", 3, "backward")], [[7, 0], [4]])
    (report,) = forecast(what, dtype)
    with outputs.open(tmp_path / "t.h5", what, dtype=dtype) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
    trace = outputs.load(tmp_path / "t.h5")
    stored = {(name, key): values for name, one in trace.layers.items() for key, values in one.signals.items()}
    assert [(row["layer"], row["signal"]) for row in report.rows] == list(stored)
    for row in report.rows:
        values = stored[row["layer"], row["signal"]]
        assert tuple(row["shape"]) == values.shape
        assert row["bytes"] == 11 * values.shape[2] * values.dtype.itemsize
    assert report.notes == (f"{sum(row['bytes'] for row in report.rows):,} bytes in all",)
