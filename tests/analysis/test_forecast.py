"""What `--dry-run` says is what a file then holds."""

from __future__ import annotations

import pytest

from rnnprobe import outputs
from rnnprobe.analysis.forecast import forecast

from ..outputs.recordings import blocks, foreign, layer, outcome, recording, whole
from ..outputs.test_files import write


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
    assert report.notes == (f"{sum(row['bytes'] for row in report.rows):,} bytes in all, padding left out",)


def test_signals_of_a_graph(tmp_path):
    what = recording([foreign("loop", {"h": (5,), "unit": (2, 4), "n": ()}), layer("a", "gru")], [[7, 0], [4]])
    (report,) = forecast(what, "float32")
    trace = write(tmp_path / "t.h5", what, whole(what))
    sizes = {"h": 5, "unit": 8, "n": 1}
    for row in report.rows:
        values = trace.layers[row["layer"]].signals[row["signal"]]
        assert tuple(row["shape"]) == values.shape
        if row["layer"] == "loop":
            assert row["bytes"] == 11 * 4 * sizes[row["signal"]]
    assert report.columns[2].header == "shape"


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_spaces_timelines_and_outputs(suffix, tmp_path):
    what = recording(
        [layer("a", "gru", 5, space=(3, 4)), layer("b", "gru", 3)],
        [[7, 0], [4]],
        own={"b": [2, 9, 0]},
        outcomes=[outcome("y", (6,)), outcome("z", (2,), [1, 0, 5])],
    )
    signals, results = forecast(what, "float16")
    trace = write(tmp_path / f"t{suffix}", what, whole(what), dtype="float16")
    for row in signals.rows:
        values = trace.layers[row["layer"]].signals[row["signal"]]
        assert tuple(row["shape"]) == values.shape
        assert row["bytes"] == {"a": 11 * 3 * 4 * 5, "b": 11 * 3}[row["layer"]] * 2
    assert {row["output"]: tuple(row["shape"]) for row in results.rows} == {
        name: values.shape for name, values in trace.outputs.items()
    }
    assert [row["bytes"] for row in results.rows] == [3 * 6 * 2, 6 * 2 * 2]
    total = sum(row["bytes"] for report in (signals, results) for row in report.rows)
    assert (signals.notes, results.notes) == ((), (f"{total:,} bytes in all, padding left out",))
    assert signals.columns[2].header == "shape"
