"""Traces of every N-th step and of some units, against the whole arrays."""

from __future__ import annotations

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
from rnnprobe.errors import BadInput
from rnnprobe.outputs import Trace
from rnnprobe.outputs.fields import groups, value_sizes, values_size
from rnnprobe.outputs.layout import per_unit, spans
from rnnprobe.types import Array, Kept, Layer, Recording
from rnnprobe.types.run import lengths_of
from tests.outputs.recordings import blocks, interleaved, layer, outcome, recording, scattered, whole
from tests.outputs.test_files import Arrays, each_output, recorded, same

LAYERS = (
    layer("rnn/a", units=4),
    layer("rnn/b", "lstm", 5, "backward", 2),
    layer("conv", "gru", 3, space=(2,)),
    layer("own", "keras_simple_rnn", 3, "backward"),
)


def write(path: Path, what: Recording, arrays: Arrays, stretch: int = 4) -> Trace:
    with outputs.open(path, what) as sink:
        for block in interleaved(blocks(what, arrays, stretch)):
            sink.write(block)
    return outputs.load(path)


def thinned(what: Recording, arrays: Arrays) -> Arrays:
    """What a trace of it should hold."""
    found: Arrays = {}
    for each in what.layers:
        units = what.kept.units.get(each.name)
        own = found[each.name] = {}
        for key, values in arrays[each.name].items():
            name = key.removeprefix("initial ").removeprefix("final ")
            own[key] = values[:, :: what.kept.stride] if name == key else values
            if units is not None and name in per_unit(each):
                own[key] = own[key][..., units]
    for one in what.outcomes:
        values = arrays[""][one.name]
        found.setdefault("", {})[one.name] = values[:, :: what.kept.stride] if one.lengths is not None else values
    return found


@st.composite
def thin(draw: st.DrawFn) -> Recording:
    lengths = draw(st.lists(st.lists(st.integers(0, 23), min_size=1, max_size=4), min_size=1, max_size=3))
    count = sum(map(len, lengths))
    some = st.lists(st.integers(0, 17), min_size=count, max_size=count)
    what = recording(
        LAYERS,
        lengths,
        vocabulary=draw(st.sampled_from([None, ("a", "b")])),
        own={"own": draw(some)},
        outcomes=[outcome("y", (2,), draw(some)), outcome("z", (2,))],
        beside={"other": draw(some)},
    )

    def numbers(each: Layer) -> Array:
        chosen = draw(st.sets(st.integers(0, each.units - 1), min_size=1, max_size=each.units - 1))
        return np.array(sorted(chosen))

    units = {each.name: numbers(each) for each in LAYERS if draw(st.booleans())}
    stride = draw(st.integers(1 if units else 2, 30))
    return replace(scattered(what, draw(st.permutations(range(count)))), kept=Kept(stride, units))


@each_output
@settings(max_examples=30, deadline=None)
@given(what=thin(), stretch=st.integers(1, 30))
def test_what_is_kept_is_read(output: outputs.Output, what: Recording, stretch: int) -> None:
    arrays = whole(what)
    with TemporaryDirectory() as folder:
        trace = write(Path(folder) / f"t{output.suffixes[0]}", what, arrays, stretch)
        check(trace, what, arrays)
        assert trace.attributes["format_version"] == 4


@settings(max_examples=30, deadline=None)
@given(what=thin(), stretch=st.integers(1, 30))
def test_in_memory(what: Recording, stretch: int) -> None:
    arrays = whole(what)
    with outputs.collect(what) as sink:
        for block in interleaved(blocks(what, arrays, stretch)):
            sink.write(block)
    check(sink.trace, what, arrays)


def check(trace: Trace, what: Recording, arrays: Arrays) -> None:
    kept = what.kept
    same(recorded(trace), thinned(what, arrays))
    assert trace.stride == kept.stride
    assert trace.lengths.tolist() == lengths_of(what.batches).tolist()
    for each in what.layers:
        found, units = trace.layers[each.name], kept.units.get(each.name)
        assert found.lengths.tolist() == what.lengths_of(each.name).tolist()
        assert (found.units is None) == (units is None)
        if units is not None:
            assert found.units is not None
            assert found.units.tolist() == units.tolist()
            assert found.numbers("h", 2).tolist() == (units.tolist() if "h" in per_unit(each) else [0, 1])
            assert found.attributes["units"] == each.units
            assert found.attributes["kept_units"] == spans(units)
    for batch in what.batches:
        for inputs, part in ((trace.inputs, batch), (trace.beside["other"], batch.beside["other"])):
            name, fill = ("ids", -1) if part.vocabulary else ("x", np.nan)
            stored, loaded = np.asarray(inputs[name])[batch.rows], part.load(0, part.steps)[:, :: kept.stride]
            for row, length in enumerate(part.lengths):
                there = len(range(0, length, kept.stride))
                np.testing.assert_array_equal(stored[row, :there], loaded[row, :there])
                np.testing.assert_array_equal(stored[row, there:], np.full_like(stored[row, there:], fill))


def one(**kept: object) -> Recording:
    what = recording(
        LAYERS, [[23, 9], [12]], own={"own": [31, 2, 2]}, attributes={"first_step": "100"}, vocabulary=("a",)
    )
    return replace(what, kept=Kept(**kept))  # type: ignore[arg-type]


UNITS = {"rnn/a": np.array([0, 3]), "conv": np.array([1]), "rnn/b": np.array([2, 4])}


def test_xarray_shows_the_true_steps_and_units(tmp_path: Path) -> None:
    what = one(stride=10, units=UNITS)
    write(tmp_path / "t.h5", what, whole(what))

    def group(name: str) -> xr.Dataset:
        return xr.load_dataset(tmp_path / "t.h5", group=name, engine="h5netcdf")

    a, conv, own, projected = (group(f"layers/{each.name}") for each in (LAYERS[0], *LAYERS[2:], LAYERS[1]))
    assert a["h"].dims == ("sequence", "time", "unit")
    assert a["h"].coords["time"].values.tolist() == [100, 110, 120]
    assert a["h"].coords["unit"].values.tolist() == [0, 3]
    assert a["final_c"].coords["unit"].values.tolist() == [0, 3]
    assert own["h"].coords["time"].values.tolist() == [0, 10, 20, 30]
    assert "unit" not in own.coords
    assert conv["h"].dims == ("sequence", "time", "position", "unit")
    assert projected["h"].dims == ("sequence", "time", "output")
    assert projected["c"].coords["unit"].values.tolist() == [2, 4]
    assert group("inputs")["ids"].coords["time"].values.tolist() == [100, 110, 120]
    assert group("/").attrs["stride"] == 10
    np.testing.assert_array_equal(a["c"].sel(time=110, unit=3), whole(what)["rnn/a"]["c"][:, 10, 3])


def test_xarray_opens_all_of_it_at_once(tmp_path: Path) -> None:
    what = replace(recording(LAYERS[:3], [[23, 9], [12]]), kept=Kept(10, UNITS))
    write(tmp_path / "t.h5", what, whole(what))
    with xr.open_datatree(tmp_path / "t.h5", engine="h5netcdf") as tree:
        assert tree["layers/rnn/a/h"].coords["time"].values.tolist() == [0, 10, 20]
        assert tree["inputs/x"].sizes == {"sequence": 3, "time": 3, "feature": 2}


def test_numpy_finds_the_numbers_too(tmp_path: Path) -> None:
    what = one(stride=10, units=UNITS)
    write(tmp_path / "t.npz", what, whole(what))
    with np.load(tmp_path / "t.npz") as found:
        assert found["layers/conv/time"].tolist() == [100, 110, 120]
        assert found["layers/own/time"].tolist() == [0, 10, 20, 30]
        assert found["layers/rnn/a/unit"].tolist() == [0, 3]


def test_bytes_are_those_of_what_is_kept() -> None:
    what = one(stride=10, units=UNITS)
    sizes = value_sizes(what, "float32")
    assert sizes["rnn/a", "h"] == (3 + 1 + 2) * 2 * 4
    assert sizes["rnn/b", "h"] == (3 + 1 + 2) * 2 * 4
    assert sizes["own", "h"] == (4 + 1 + 1) * 3 * 4
    assert values_size(what, "float32") == sum(sizes.values())
    assert values_size(replace(what, kept=Kept()), "float32") > 8 * values_size(what, "float32")


def test_nothing_said_is_nothing_changed() -> None:
    what = replace(one(), attributes={})
    names = {field.name for group in groups(what, "float32") for field in group.fields}
    assert not names & {"time", "unit"}
    assert outputs.layout._format_version(what) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.create("stride", 0), "`stride` is 0, expected a number"),
        (lambda file: file.attrs.create("stride", 5), "a length is outside of 0 … 3"),
        (lambda file: file["layers/rnn/a"].pop("unit"), "layers/rnn/a/unit is missing"),
        (lambda file: file["layers/rnn/a/unit"].write_direct(np.array([3, 0])), "layers/rnn/a/unit is not ascending"),
        (
            lambda file: file["layers/own"].attrs.create("kept_units", "0:2"),
            "layers/own/unit is .*, expected the numbers",
        ),
        (lambda file: shorten(file["layers/rnn/a"]), "/c is float32 .*, expected 1 at the end"),
    ],
)
def test_damage_is_named(change, message: str, tmp_path: Path) -> None:
    what = one(stride=10, units=UNITS)
    write(tmp_path / "t.h5", what, whole(what))
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=message):
        outputs.load(tmp_path / "t.h5")


def shorten(group: h5py.Group) -> None:
    """Leaves one unit's number, and the values of two."""
    del group["unit"]
    group["unit"] = np.array([3])


@pytest.mark.parametrize(
    ("numbers", "text"), [([0, 1, 2, 7], "0:3,7"), ([5], "5"), ([1, 3, 4], "1,3:5"), ([], ""), ([0, 1], "0:2")]
)
def test_numbers_in_words(numbers: list[int], text: str) -> None:
    assert spans(numbers) == text
