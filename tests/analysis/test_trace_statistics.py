"""Figures of units, taken a stretch at a time, against those of the whole array."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.analysis import trace_statistics
from rnnprobe.analysis.trace_statistics import profile, scale
from rnnprobe.errors import BadInput
from rnnprobe.outputs import Trace

from ..outputs.recordings import blocks, foreign, layer, outcome, recording, whole


def over(values: np.ndarray) -> Trace:
    """A trace of one sequence whose h is `[time, unit]`."""
    what = recording([layer("a", "basic_rnn", values.shape[1])], [[len(values)]], record=["h"])
    arrays = whole(what)
    arrays["a"]["h"] = values[None].astype(np.float32)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    return sink.trace


@pytest.mark.parametrize("stretch", [1, 7, 1 << 20])
@pytest.mark.parametrize("columns", [1, 5, 40, 99])
def test_a_profile_is_that_of_the_whole(stretch, columns, monkeypatch):
    monkeypatch.setattr(trace_statistics, "_STRETCH", stretch * 4)
    values = np.random.default_rng(0).normal(1000, 1, (50, 4)).astype(np.float32)
    values[10:14, 1] = np.nan
    values[:20, 2] = np.nan
    values[:, 3] = np.nan
    trace = over(values)
    found = profile(trace, trace.layers["a"], "h", 0, range(5, 45), columns)
    part = values[5:45].astype(np.float64)
    for name, of in (("min", np.nanmin), ("max", np.nanmax), ("mean", np.nanmean), ("variance", np.nanvar)):
        got = getattr(found, name)
        np.testing.assert_allclose(got[:3], of(part[:, :3], axis=0), rtol=1e-9)
        assert np.isnan(got[3])
    assert found.bins.shape == (4, min(columns, 40))
    assert found.binned == (columns < 40)
    for column, (start, stop) in enumerate(zip(found.edges[:-1], found.edges[1:], strict=True)):
        np.testing.assert_allclose(found.bins[0, column], values[start:stop, 0].mean(dtype=np.float64))


def test_infinite_values_are_no_fault():
    trace = over(np.array([[1.0, 0.0], [np.inf, 2.0], [3.0, -np.inf]]))
    found = profile(trace, trace.layers["a"], "h", 0, range(3), 3)
    assert found.max.tolist() == [np.inf, 2.0]
    assert found.min.tolist() == [1.0, -np.inf]


def test_no_steps_at_all():
    trace = over(np.zeros((3, 2)))
    found = profile(trace, trace.layers["a"], "h", 0, range(0), 10)
    assert np.isnan([found.min, found.mean, found.variance]).all()


@pytest.mark.parametrize(
    ("values", "gate", "ends"),
    [
        ([0.2, 0.9], True, (0.0, 1.0)),
        ([0.2, 0.9], False, (-0.9, 0.9)),
        ([-0.3, 0.2], True, (-0.3, 0.3)),
        ([0.2, 3.0], True, (-3.0, 3.0)),
        ([np.nan, np.inf, -2.0], False, (-2.0, 2.0)),
        ([np.nan], False, (-1.0, 1.0)),
    ],
)
def test_the_scale_of_a_drawing(values, gate, ends):
    assert scale(np.array(values), gate=gate) == ends


def in_space(own: dict[str, list[int]]) -> tuple[Trace, dict[str, np.ndarray]]:
    what = recording([layer("a", "gru", 4, space=(3, 2))], [[30, 50]], own=own, attributes={"first_step": "100"})
    arrays = whole(what)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    return sink.trace, arrays["a"]


@pytest.mark.parametrize("stretch", [1, 7, 1 << 20])
@pytest.mark.parametrize("at", [(), (0, 0), (2, 1)])
def test_a_profile_at_a_place_or_over_space(stretch, at, monkeypatch):
    monkeypatch.setattr(trace_statistics, "_STRETCH", stretch * 24)
    trace, arrays = in_space({})
    found = profile(trace, trace.layers["a"], "h", 1, range(5, 45), 10, at)
    values = arrays["h"][1, 5:45].astype(np.float64)
    values = values[:, at[0], at[1]] if at else values.mean(axis=(1, 2))
    for name, of in (("min", np.min), ("max", np.max), ("mean", np.mean), ("variance", np.var)):
        np.testing.assert_allclose(getattr(found, name), of(values, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.bins, values.reshape(10, 4, 4).mean(axis=1).T)
    assert (found.space, found.at) == ((3, 2), at)
    assert (found.start, found.stop, found.edges.tolist()) == (105, 145, list(range(105, 146, 4)))


def test_steps_of_another_timeline_have_numbers_of_their_own():
    trace, _ = in_space({"a": [9, 8]})
    assert profile(trace, trace.layers["a"], "h", 1, range(8), 10).edges.tolist() == list(range(9))


@pytest.mark.parametrize("at", [(0,), (3, 0), (0, 0, 0)])
def test_a_place_that_there_is_not(at):
    trace, _ = in_space({})
    with pytest.raises(BadInput, match="a has no place") as caught:
        profile(trace, trace.layers["a"], "h", 1, range(5), 5, at)
    assert "3 × 2" in caught.value.hint
    flat = over(np.zeros((3, 2)))
    with pytest.raises(BadInput, match="a has no place") as caught:
        profile(flat, flat.layers["a"], "h", 0, range(3), 3, at)
    assert "do not extend in space" in caught.value.hint


def of_a_graph() -> tuple[Trace, dict[str, np.ndarray]]:
    shapes = {"memory": (3, 4), "count": (), "h": (5,)}
    what = recording(
        [foreign("loop", shapes)],
        [[30, 50]],
        outcomes=[
            outcome("label", (6,)),
            outcome("one", ()),
            outcome("map", (2, 3)),
            outcome("tags", (2,), [30, 50]),
            outcome("short", (2,), [3, 5]),
        ],
        attributes={"first_step": "100"},
    )
    arrays = whole(what)
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    return sink.trace, arrays["loop"] | arrays[""]


@pytest.mark.parametrize("stretch", [1, 7, 1 << 20])
def test_a_profile_of_signals_of_any_shape(stretch, monkeypatch):
    monkeypatch.setattr(trace_statistics, "_STRETCH", stretch * 12)
    trace, arrays = of_a_graph()
    loop = trace.layers["loop"]
    found = profile(trace, loop, "count", 1, range(5, 45), 40)
    np.testing.assert_allclose(found.bins, arrays["count"][1, None, 5:45])
    assert trace_statistics.width(loop.signals["count"]) == 1
    found = profile(trace, loop, "memory", 1, range(5, 45), 40)
    np.testing.assert_allclose(found.bins, arrays["memory"][1, 5:45].mean(axis=1, dtype=float).T)
    found = profile(trace, loop, "memory", 1, range(5, 45), 40, (2,))
    np.testing.assert_allclose(found.bins, arrays["memory"][1, 5:45, 2].T)
    assert (found.space, found.at) == ((3,), (2,))


def test_outputs_as_layers():
    trace, arrays = of_a_graph()
    found = {layer.name: layer for layer in trace_statistics.outputs(trace, ())}
    assert list(found) == list(trace.outputs)
    assert [one.own_time for one in found.values()] == [True, True, True, False, True]
    for name in ("label", "one", "map"):
        values = found[name].signals["output"]
        assert values.shape == (2, 1, *arrays[name].shape[1:])
        np.testing.assert_array_equal(np.asarray(values), arrays[name][:, None])
        np.testing.assert_array_equal(values[1, 0:1], arrays[name][1:])
        assert values[0, 1:].shape[0] == 0
    assert profile(trace, found["label"], "output", 1, range(1), 1).bins[:, 0].tolist() == arrays["label"][1].tolist()
    assert profile(trace, found["map"], "output", 1, range(1), 1, (1,)).mean.tolist() == arrays["map"][1, 1].tolist()
    assert profile(trace, found["tags"], "output", 1, range(5), 5).start == 100
    assert profile(trace, found["short"], "output", 1, range(5), 5).start == 0
    largest = trace_statistics.liveliest(profile(trace, found["label"], "output", 1, range(1), 1), 2)
    assert largest == tuple(np.argsort(-np.abs(arrays["label"][1]))[:2])
    (tags,) = trace_statistics.outputs(trace, ["tag"])
    assert tags.name == "tags"
    with pytest.raises(BadInput, match="no output is called 'x'"):
        trace_statistics.outputs(trace, ["x"])
    flat = over(np.zeros((3, 2)))
    with pytest.raises(BadInput, match="holds none of the model's outputs"):
        trace_statistics.outputs(flat, ["x"])
