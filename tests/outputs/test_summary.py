"""Running figures against those of the whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe.outputs.summary import COLUMNS, ROWS, SignalSummary, SummarySink
from rnnprobe.types import Array, Recording
from tests.outputs.recordings import blocks, layer, recording, whole


def summed(what: Recording, arrays: dict[str, dict[str, Array]], stretch: int) -> dict[tuple[str, str], SignalSummary]:
    sink = SummarySink(what)
    for block in blocks(what, arrays, stretch):
        sink.write(block)
    sink.tally.check()
    return {(one.layer, one.signal): one for one in sink.summaries}


@pytest.mark.parametrize("stretch", [1, 7, 500])
def test_figures(stretch: int) -> None:
    what = recording([layer("a", units=6), layer("b", "gru", 3, "backward")], [[150, 0, 31], [97]])
    arrays = whole(what)
    arrays["a"]["i"][0, 3:9] = np.nan  # skipped steps
    found = summed(what, arrays, stretch)
    assert list(found) == [(name, signal) for name in ("a", "b") for signal in what.signals[name]]
    for (name, signal), one in found.items():
        values = arrays[name][signal]
        assert one.shape == values.shape
        assert one.values == (150 + 31 + 97) * values.shape[2]
        assert one.nan == (6 * 6 if signal == "i" else 0)
        assert (one.low, one.high) == (np.nanmin(values), np.nanmax(values))
        assert one.mean == pytest.approx(np.nanmean(values, dtype=np.float64), abs=1e-12)
        assert one.heat.shape == (min(ROWS, values.shape[2]), COLUMNS)
        assert (one.saturated is None) == (one.kind != "gate")
    for gate, low in (("i", 0.05), ("g", -0.95)):
        values = arrays["a"][gate][~np.isnan(arrays["a"][gate])]
        assert found["a", gate].saturated == pytest.approx([(values < low).mean(), (values > 0.95).mean()])
    values = arrays["a"]["c"][:, np.arange(150) * COLUMNS // 150 == 10]
    for group, units in enumerate((slice(0, 1), slice(1, 3), slice(3, 4), slice(4, 6))):
        assert found["a", "c"].heat[group, 10] == pytest.approx(np.nanmean(values[..., units], dtype=np.float64))


def test_nothing_at_all() -> None:
    what = recording([layer("a")], [[0, 0]])
    one = summed(what, whole(what), 5)["a", "h"]
    assert (one.values, one.nan, one.saturated) == (0, 0, None)
    assert np.isnan([one.low, one.high, one.mean]).all()
    assert np.isnan(one.heat).all()
