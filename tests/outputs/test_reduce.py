"""Reductions against NumPy on the whole arrays."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe import outputs
from rnnprobe.cells.layers import signals
from rnnprobe.errors import BadInput
from rnnprobe.outputs import Trace, reductions, thin
from rnnprobe.outputs.fields import value_sizes, values_size
from rnnprobe.outputs.layout import per_unit
from rnnprobe.outputs.moments import Moments
from rnnprobe.outputs.reducing import Reducer
from rnnprobe.types import Array, Kept, Recording
from tests.outputs.recordings import blocks, foreign, interleaved, layer, recording, scattered, whole
from tests.outputs.test_files import Arrays, each_output
from tests.outputs.test_thin import LAYERS, thinned

GRAPH = foreign("loop", {"h": (3,), "weights": (2, 4), "count": ()}, {"h": "output"})


def reduce(what: Recording, arrays: Arrays, stretch: int) -> Trace:
    with outputs.collect(what, "float64") as sink:
        for block in interleaved(blocks(what, arrays, stretch)):
            sink.write(block)
    return sink.trace


def expected(values: Array, axis: int, part: str, limits: tuple[float, float] | None, edges: Array) -> Array:
    """A reduction of a whole array, by NumPy's own functions."""
    lead = np.full([1 if number == axis else size for number, size in enumerate(values.shape)], np.nan, values.dtype)
    values = np.concatenate([lead, values], axis=axis)  # NumPy has no least of nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what holds nothing but NaN
        match part:
            case "count":
                return (~np.isnan(values)).sum(axis=axis)
            case "low" | "high":
                assert limits is not None
                margin = 0.05 * max(map(abs, limits))
                near = values < limits[0] + margin if part == "low" else values > limits[1] - margin
                return np.nanmean(np.where(np.isnan(values), np.nan, near), axis=axis)
            case "histogram":
                moved = np.moveaxis(values, axis, -1)
                found = np.array(
                    [np.histogram(one[~np.isnan(one)], edges)[0] for one in moved.reshape(-1, moved.shape[-1])]
                )
                return found.reshape(*moved.shape[:-1], len(edges) - 1)
        return getattr(np, f"nan{part}")(values.astype(np.float64), axis=axis)


def check(trace: Trace, what: Recording, arrays: Arrays, tolerance: float = 1e-12) -> None:
    axis = 1 if what.kept.over == "time" else 0
    found = thinned(what, arrays)
    for each in what.layers:
        own = trace.layers[each.name]
        assert (dict(own.signals), dict(own.initial), dict(own.final)) == ({}, {}, {})
        assert list(own.reduced) == list(what.signals[each.name])
        for signal in (one for one in signals(each) if one.name in own.reduced):
            limits = reductions.bounds(each, signal)
            wanted = {part.name for part in reductions.parts(each, signal, what.kept.reduced)}
            parts = own.reduced[signal.name]
            assert set(parts) == wanted
            edges = np.asarray(parts["edges"]) if "edges" in parts else np.zeros(0)
            for part in wanted - {"edges"}:
                right = expected(found[each.name][signal.name], axis, part, limits, edges)
                np.testing.assert_allclose(
                    np.asarray(parts[part]), right, tolerance, tolerance, err_msg=f"{each.name} {signal.name} {part}"
                )


@st.composite
def reduced(draw: st.DrawFn) -> tuple[Recording, Arrays]:
    lengths = draw(st.lists(st.lists(st.integers(0, 23), min_size=1, max_size=4), min_size=1, max_size=3))
    count = sum(map(len, lengths))
    own = draw(st.lists(st.integers(0, 17), min_size=count, max_size=count))
    what = recording((*LAYERS, GRAPH), lengths, own={"own": own})
    names = draw(st.lists(st.sampled_from(reductions.NAMES), min_size=1, unique=True))
    if names == ["saturation"]:
        names.append("mean")
    units = {"rnn/a": np.array([1, 3]), "conv": np.array([0, 2])} if draw(st.booleans()) else {}
    kept = Kept(draw(st.integers(1, 5)), units, tuple(names), draw(st.sampled_from(reductions.OVER)))
    what = replace(scattered(what, draw(st.permutations(range(count)))), kept=kept)
    arrays = whole(what, draw(st.integers(0, 99)))
    for signal in ("i", "f"):  # steps that a mask skips
        arrays["rnn/a"][signal][draw(st.integers(0, count - 1)), 3:9] = np.nan
    arrays["loop"]["weights"][:, ::2, 0] = np.nan
    arrays["loop"]["h"] *= 30
    return what, arrays


@settings(max_examples=60, deadline=None)
@given(made=reduced(), stretch=st.integers(1, 30))
def test_reductions_are_those_of_the_whole(made: tuple[Recording, Arrays], stretch: int) -> None:
    what, arrays = made
    check(reduce(what, arrays, stretch), what, arrays)


@each_output
@settings(max_examples=25, deadline=None)
@given(made=reduced(), stretch=st.integers(1, 30))
def test_what_is_reduced_is_read(output: outputs.Output, made: tuple[Recording, Arrays], stretch: int) -> None:
    what, arrays = made
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"t{output.suffixes[0]}"
        with outputs.open(path, what, dtype="float64") as sink:
            for block in interleaved(blocks(what, arrays, stretch)):
                sink.write(block)
        trace = outputs.load(path)
        check(trace, what, arrays)
        assert trace.reduced_over == what.kept.over
        assert (trace.attributes["format_version"], set(trace.inputs)) == (4, {"lengths", "names"})
        assert trace.attributes["reduced"] == list(what.kept.reduced)


def test_what_is_complete_is_let_go() -> None:
    what = replace(recording([layer("a")], [[9, 5], [7], [2]], record=["h"]), kept=Kept(2, reduced=("mean",)))
    reducer = Reducer(what)
    given = list(interleaved(thin.thinned(block, what) for block in blocks(what, whole(what))))
    found = [(number, one) for number, block in enumerate(given) for one in reducer.add(block)]
    assert [(number, one.part, one.rows.tolist()) for number, one in found] == [
        (number, part, rows) for number, rows in ((2, [3]), (4, [2]), (5, [0, 1])) for part in ("count", "mean")
    ]


def test_how_the_run_was_cut_is_rounding_alone() -> None:
    what = recording([layer("a", units=3)], [[900, 700], [300]], record=["c"])
    what = replace(what, kept=Kept(reduced=("mean", "std")))
    arrays = whole(what)
    arrays["a"]["c"] = arrays["a"]["c"] * np.float32(1e-3) + np.float32(1000)
    traces = [reduce(what, arrays, stretch) for stretch in (1, 7, 64, 900)]
    for trace in traces:
        check(trace, what, arrays, 1e-9)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40),
    cuts=st.sets(st.integers(1, 39)),
)
def test_moments(values: list[float], cuts: set[int]) -> None:
    moments, every = Moments((1,)), np.array(values)[:, None]
    for part in np.split(every, sorted(cut for cut in cuts if cut < len(values))):
        moments.add(part, ~np.isnan(part))
    there = every[~np.isnan(every)]
    assert moments.count == len(there)
    if not len(there):
        assert np.isnan([moments.mean, moments.variance, moments.min, moments.max]).all()
        return
    scale = np.abs(there).max()
    assert moments.mean[0] == pytest.approx(there.mean(), rel=1e-12, abs=1e-12 * scale)
    assert moments.variance[0] == pytest.approx(there.var(), rel=1e-9, abs=1e-12 * scale**2)
    assert (moments.min[0], moments.max[0]) == (there.min(), there.max())


def test_infinite_values_spoil_their_own_unit_alone() -> None:
    moments = Moments((2,))
    for value in ([1.0, 1.0], [np.inf, 2.0], [3.0, 3.0]):
        moments.add(np.array([value]), np.ones((1, 2), bool))
    assert (moments.mean[0], moments.max[0], moments.min[0]) == (np.inf, np.inf, 1.0)
    assert np.isnan(moments.variance[0])
    assert (moments.mean[1], moments.variance[1]) == (2.0, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("limits", "first", "bins"), [((0.0, 1.0), 0.0, 20), ((-1.0, 1.0), -1.0, 20), (None, -np.inf, 30)]
)
def test_bins(limits: tuple[float, float] | None, first: float, bins: int) -> None:
    edges = reductions.edges(limits)
    assert (edges[0], -edges[0] if limits is None else limits[1], len(edges) - 1) == (first, edges[-1], bins)
    assert (np.diff(edges[1:-1]) > 0).all()


def test_no_array_of_two_reductions_has_one_name() -> None:
    assert not any("_" in part for part in reductions.PARTS)


def example(over: str, names: tuple[str, ...] = reductions.NAMES) -> Recording:
    units = {"rnn/a": np.array([1, 3])}
    return replace(recording(LAYERS, [[23, 9], [12]], own={"own": [31, 2, 2]}), kept=Kept(4, units, names, over))


@pytest.mark.parametrize(("over", "along", "extent"), [("time", "sequence", 3), ("sequences", "time", 6)])
def test_xarray_opens_it(over: str, along: str, extent: int, tmp_path: Path) -> None:
    what = example(over)
    arrays = whole(what)
    with outputs.open(tmp_path / "t.h5", what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)

    def group(name: str) -> xr.Dataset:
        return xr.load_dataset(tmp_path / "t.h5", group=name, engine="h5netcdf")

    a, conv, own = (group(f"layers/{each.name}") for each in (LAYERS[0], *LAYERS[2:]))
    assert a["h_mean"].dims == (along, "unit")
    assert a["h_histogram"].dims == (along, "unit", "h_bin")
    assert (a["h_edges"].dims, a["f_edges"].size) == (("h_edge",), 21)
    assert a["h_std"].sizes[along] == extent
    assert a["h_mean"].coords["unit"].values.tolist() == [1, 3]
    assert conv["h_max"].dims == (along, "position", "unit")
    assert group("/").attrs["reduced_over"] == over
    assert set(group("inputs").data_vars) == {"lengths", "names"}
    assert "f_low" in a
    assert "h_low" not in a
    if along == "time":
        assert a["h_mean"].coords["time"].values.tolist() == [0, 4, 8, 12, 16, 20]
        assert own["h_mean"].coords["time"].values.tolist() == list(range(0, 31, 4))
    else:
        assert "time" not in a.sizes


@pytest.mark.parametrize(("over", "extent", "own"), [("time", 3, 3), ("sequences", 6, 8)])
def test_bytes_do_not_grow_with_what_is_reduced(over: str, extent: int, own: int) -> None:
    what = example(over, ("mean", "histogram"))
    sizes = value_sizes(what, "float32")
    assert sizes["rnn/a", "h mean"] == extent * 2 * 4
    assert sizes["rnn/a", "f histogram"] == extent * 2 * 20 * 4
    assert sizes["own", "h count"] == own * 3 * 4
    assert values_size(what, "float32") == sum(sizes.values())


@pytest.mark.parametrize("over", ["time", "sequences"])
def test_nothing_to_reduce(over: str, tmp_path: Path) -> None:
    what = replace(recording([layer("a")], [[0, 0], [0]]), kept=Kept(reduced=("mean", "histogram"), over=over))
    for suffix in (".h5", ".npz"):
        with outputs.open(tmp_path / f"t{suffix}", what) as sink:
            for block in blocks(what, whole(what)):
                sink.write(block)
        parts = outputs.load(tmp_path / f"t{suffix}").layers["a"].reduced["h"]
        assert not np.asarray(parts["count"]).any()
        assert np.isnan(np.asarray(parts["mean"])).all()


@pytest.mark.parametrize("lengths", [[[3, 1], [2, 3, 3]], [[6], [4]], [[1]], [[1, 1], [1]]])
@pytest.mark.parametrize("names", [("histogram",), ("mean",)])
def test_steps_of_many_bytes_over_few_sequences(
    lengths: list[list[int]], names: tuple[str, ...], tmp_path: Path
) -> None:
    """A step of a histogram is larger than chunks are shared for, and one step shares with none."""
    what = recording([layer("a", units=1024)], lengths, record=["h"])
    what = replace(what, kept=Kept(reduced=names, over="sequences"))
    arrays = whole(what)
    with outputs.open(tmp_path / "t.h5", what, dtype="float64") as sink:
        for block in interleaved(blocks(what, arrays, 2)):
            sink.write(block)
    check(outputs.load(tmp_path / "t.h5"), what, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.create("reduced_over", "units"), "`reduced_over` is 'units', expected time or seq"),
        (lambda file: file.attrs.pop("reduced"), "`reduced_over` is 'time'"),
        (lambda file: change(file, "h_mean", np.zeros((3, 2), int)), "h_mean is int64 .*, expected floats .3, 3"),
        (lambda file: change(file, "h_count", np.zeros((3, 2))), "h_count is float64"),
        (lambda file: change(file, "h_histogram", np.zeros((3, 3, 7), int)), "h_histogram is int64"),
        (lambda file: change(file, "h_std", np.zeros((2, 3))), "h_std is float64"),
    ],
)
def test_damage_is_named(change, message: str, tmp_path: Path) -> None:
    what = recording([layer("a")], [[5, 3], [2]], record=["h"])
    what = replace(what, kept=Kept(reduced=("mean", "std", "histogram")))
    with outputs.open(tmp_path / "t.h5", what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=message):
        outputs.load(tmp_path / "t.h5")


def change(file: h5py.File, name: str, values: Array) -> None:
    """Another array in the place of a reduction."""
    del file["layers/a"][name]
    file["layers/a"][name] = values


def test_units_of_reductions_are_those_of_their_signals() -> None:
    what = example("time")
    trace = reduce(what, whole(what), 5)
    own = trace.layers["rnn/a"]
    assert set(own.cut) == set(per_unit(what.layers[0])) & set(what.signals["rnn/a"])
    assert own.numbers("h", 2).tolist() == [1, 3]
