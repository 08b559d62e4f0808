"""Running figures against those of the whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.cells import CELLS
from rnnprobe.outputs.summary import COLUMNS, ROWS, SignalSummary
from rnnprobe.types import Array, Cell, Recording, Value
from tests.outputs.recordings import blocks, foreign, layer, outcome, recording, whole


def summed(what: Recording, arrays: dict[str, dict[str, Array]], stretch: int) -> dict[tuple[str, str], SignalSummary]:
    with outputs.summarise(what) as sink:
        for block in blocks(what, arrays, stretch):
            sink.write(block)
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
        assert (one.min, one.max) == (np.nanmin(values), np.nanmax(values))
        assert one.mean == pytest.approx(np.nanmean(values, dtype=np.float64), abs=1e-12)
        assert one.heat.shape == (min(ROWS, values.shape[2]), COLUMNS)
        assert (one.saturated is None) == (one.kind != "gate"), (name, signal)
    for gate, low in (("i", 0.05), ("g", -0.95)):
        values = arrays["a"][gate][~np.isnan(arrays["a"][gate])]
        assert found["a", gate].saturated == pytest.approx([(values < low).mean(), (values > 0.95).mean()])
    values = arrays["a"]["c"][:, np.arange(150) * COLUMNS // 150 == 10]
    for group, units in enumerate((slice(0, 1), slice(1, 3), slice(3, 4), slice(4, 6))):
        assert found["a", "c"].heat[group, 10] == pytest.approx(np.nanmean(values[..., units], dtype=np.float64))


def test_figures_over_space_and_over_timelines() -> None:
    what = recording(
        [layer("a", "gru", 5, space=(3, 2)), layer("b", "gru", 3, "backward")],
        [[150, 0, 31], [97]],
        own={"b": [40, 7, 0, 200]},
    )
    arrays = whole(what)
    arrays["a"]["r"][0, 3:9] = np.nan
    found = summed(what, arrays, 50)
    for (name, signal), one in found.items():
        values = arrays[name][signal]
        assert one.shape == values.shape
        steps = {"a": 278, "b": 247}[name]
        assert one.values == steps * np.prod(values.shape[2:])
        assert one.nan == (6 * 30 if signal == "r" and name == "a" else 0)
        assert (one.min, one.max) == (np.nanmin(values), np.nanmax(values))
        assert one.mean == pytest.approx(np.nanmean(values, dtype=np.float64), abs=1e-12)
    values = arrays["a"]["h"][:, np.arange(150) * COLUMNS // 150 == 10]
    assert found["a", "h"].heat[1, 10] == pytest.approx(np.nanmean(values[..., 1], dtype=np.float64))
    values = arrays["b"]["h"][:, np.arange(200) * COLUMNS // 200 == 10]
    assert found["b", "h"].heat[2, 10] == pytest.approx(np.nanmean(values[..., 2], dtype=np.float64))


def test_figures_of_signals_of_a_graph() -> None:
    shapes = {"h": (6,), "memory": (2, 5), "count": (), "nothing": (0,)}
    what = recording([foreign("loop", shapes, {"h": "output", "memory": "state"})], [[150, 0, 31], [97]])
    arrays = whole(what)
    arrays["loop"]["count"][0, 3:9] = np.nan
    found = summed(what, arrays, 50)
    for name, shape in shapes.items():
        one, values = found["loop", name], arrays["loop"][name]
        assert (one.shape, one.values) == (values.shape, 278 * int(np.prod(shape)))
        assert (one.saturated, one.space) == (None, 0)
        if one.values:
            assert (one.min, one.max) == (np.nanmin(values), np.nanmax(values))
            assert one.mean == pytest.approx(np.nanmean(values, dtype=np.float64), abs=1e-12)
    assert found["loop", "count"].nan == 6
    stretch = np.arange(150) * COLUMNS // 150 == 10
    assert found["loop", "count"].heat.shape == (1, COLUMNS)
    assert found["loop", "count"].heat[0, 10] == pytest.approx(
        np.nanmean(arrays["loop"]["count"][:, stretch], dtype=np.float64)
    )
    assert found["loop", "memory"].heat[0, 10] == pytest.approx(
        np.nanmean(arrays["loop"]["memory"][:, stretch][..., 0], dtype=np.float64)
    )


def test_figures_of_outputs() -> None:
    given = [outcome("y", (4,)), outcome("z", (2, 2), [9, 0, 3]), outcome("nothing", (1,), [0, 0, 0])]
    what = recording([layer("a")], [[5, 2], [7]], outcomes=given)
    arrays = whole(what)
    arrays[""]["y"][1, 2] = np.nan
    with outputs.summarise(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    y, z, nothing = sink.outcomes
    assert (y.name, y.shape, y.values, y.nan) == ("y", (3, 4), 12, 1)
    assert (z.name, z.shape, z.values, z.nan) == ("z", (3, 9, 2, 2), 48, 0)
    for one in (y, z):
        values = arrays[""][one.name]
        assert (one.min, one.max) == (np.nanmin(values), np.nanmax(values))
        assert one.mean == pytest.approx(np.nanmean(values, dtype=np.float64), abs=1e-12)
    assert (nothing.shape, nothing.values) == ((3, 0, 1), 0)
    assert np.isnan([nothing.min, nothing.mean, nothing.max]).all()


def test_nothing_at_all() -> None:
    what = recording([layer("a")], [[0, 0]])
    one = summed(what, whole(what), 5)["a", "h"]
    assert (one.values, one.nan, one.saturated) == (0, 0, None)
    assert np.isnan([one.min, one.max, one.mean]).all()
    assert np.isnan(one.heat).all()


@pytest.mark.parametrize(
    ("activation", "bounds"),
    [("tanh", (-0.95, 0.95)), ("relu6", (0.3, 5.7)), ("softsign", (-0.95, 0.95)), ("relu", None)],
)
def test_a_gate_is_saturated_near_the_bounds_of_its_own_activation(
    activation: str, bounds: tuple[float, float] | None
) -> None:
    one = layer("a", "keras_lstm")
    what = recording([replace(one, options={**one.options, "activation": Value(activation, "config")})], [[90]])
    arrays = whole(what)
    arrays["a"]["g"] *= 4
    found = summed(what, arrays, 20)["a", "g"].saturated
    if bounds is None:
        assert found is None
    else:
        values = arrays["a"]["g"]
        assert found == pytest.approx([(values < bounds[0]).mean(), (values > bounds[1]).mean()])


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_gate_says_through_which_activation_it_went(cell: Cell) -> None:
    options = {option.name for option in cell.options}
    assert all(signal.activation in options for signal in cell.signals if signal.kind == "gate")
    assert not any(signal.activation for signal in cell.signals if signal.kind != "gate")


def test_a_gap_is_a_fault() -> None:
    what = recording([layer("a")], [[9]])

    def leave_out() -> None:
        with outputs.summarise(what) as sink:
            for block in list(blocks(what, whole(what)))[:-1]:
                sink.write(block)

    with pytest.raises(RuntimeError, match="a: 8 steps"):
        leave_out()
