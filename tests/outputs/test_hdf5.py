"""The HDF5 layout as other programs see it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from rnnprobe.outputs import layout, shield
from rnnprobe.outputs.layer_fields import dimensions
from rnnprobe.outputs.shield import Shield
from rnnprobe.types import Value
from tests.outputs.recordings import foreign, layer, outcome, recording, whole
from tests.outputs.test_files import COMPRESSIONS, LAYERS, write


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
def test_xarray_opens_each_layer_as_a_labelled_dataset(suffix: str, tmp_path: Path) -> None:
    what = recording(LAYERS, [[5, 9], [12]])
    arrays = whole(what)
    path = tmp_path / f"t{suffix}"
    write(path, what, arrays)
    for name, own in arrays.items():
        with xr.open_dataset(path, group=f"layers/{name}", engine="h5netcdf") as found:
            for key, values in own.items():
                np.testing.assert_array_equal(found[key.replace(" ", "_")].values, values)
                width = "output" if values.shape[-1] == 2 and name == "rnn/b" else "unit"
                expected = ("sequence", "time", width) if values.ndim == 3 else ("sequence", width)
                assert found[key.replace(" ", "_")].dims == expected
            assert found.attrs["scope"] == f"scope/{name}"
    with xr.open_dataset(path, group="inputs", engine="h5netcdf") as found:
        assert found["x"].dims == ("sequence", "time", "feature")
        assert found["names"].values.tolist() == ["s0", "s1", "s2"]
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["layers/rnn/a/h"].sizes == {"sequence": 3, "time": 12, "unit": 3}


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
def test_xarray_opens_spaces_timelines_outputs_and_other_inputs(suffix: str, tmp_path: Path) -> None:
    spaces = {"line": (4,), "plane": (4, 5), "room": (4, 5, 6), "hyper": (1, 2, 1, 2)}
    axes = {
        "line": ("position",),
        "plane": ("row", "column"),
        "room": ("depth", "row", "column"),
        "hyper": ("axis_0", "axis_1", "axis_2", "axis_3"),
    }
    what = recording(
        [layer(name, "basic_lstm", 3, space=space) for name, space in spaces.items()],
        [[5, 9], [12]],
        shape=(6, 7, 3),
        own={"plane": [2, 4, 30]},
        outcomes=[outcome("y", (2,), [5, 9, 12]), outcome("z", (4, 2), [1, 0, 3]), outcome("label", (10,))],
        beside={"other": [2, 2, 1], "feature": [5, 9, 12]},
    )
    arrays = whole(what)
    path = tmp_path / f"t{suffix}"
    write(path, what, arrays)
    for name in spaces:
        with xr.open_dataset(path, group=f"layers/{name}", engine="h5netcdf") as found:
            assert found["h"].dims == ("sequence", "time", *axes[name], "unit")
            assert found["final_c"].dims == ("sequence", *axes[name], "unit")
            assert found.sizes["time"] == (30 if name == "plane" else 12)
            assert ("lengths" in found) == (name == "plane")
            for key, values in arrays[name].items():
                np.testing.assert_array_equal(found[key.replace(" ", "_")].values, values)
    with xr.open_dataset(path, group="inputs", engine="h5netcdf") as found:
        assert found["x"].dims == ("sequence", "time", "row", "column", "feature")
    with xr.open_dataset(path, group="inputs/other", engine="h5netcdf") as found:
        assert found["x"].dims == ("sequence", "other_time", "other_feature")
        assert found["lengths"].values.tolist() == [2, 2, 1]
    with xr.open_dataset(path, group="inputs/%66eature", engine="h5netcdf") as found:
        assert found["x"].dims == ("sequence", "time", "%66eature_feature")
        assert found.attrs["name"] == "feature"
    with xr.open_dataset(path, group="outputs", engine="h5netcdf") as found:
        assert found["y"].dims == ("sequence", "time", "y_feature")
        assert found["z"].dims == ("sequence", "z_time", "z_position", "z_feature")
        assert found["label"].dims == ("sequence", "label_feature")
        assert found["z_lengths"].values.tolist() == [1, 0, 3]
        for name, values in arrays[""].items():
            np.testing.assert_array_equal(found[name].values, values)
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["layers/plane/h"].sizes["time"] == 30
        assert tree["inputs/other/x"].sizes["sequence"] == 3


@pytest.mark.parametrize("suffix", [".h5", ".nc"])
def test_xarray_opens_signals_of_a_graph(suffix: str, tmp_path: Path) -> None:
    """Axes of one name are of one size, and no array is called like an axis."""
    shapes = {
        "h": (5,), "c": (3,), "memory": (4, 6), "memory_unit": (7,), "count": (), "unit": (2,), "time": (8,),
        "unit_unit": (9,), "initial_c": (2, 3), "c_unit": (3, 3, 1), "Sigmoid_1.0": (5,), "output": (2,),
    }  # fmt: skip
    one = foreign("loop", shapes, dict.fromkeys(("c", "c_unit", "count", "unit", "initial_c"), "state"))
    what = recording([replace(one, sizes={"units": 5})], [[5, 9], [12]])
    path = tmp_path / f"t{suffix}"
    write(path, what, whole(what))
    own = whole(what)["loop"]
    with xr.open_dataset(path, group="layers/loop", engine="h5netcdf") as found:
        called = dict(zip(found.attrs["signals"], found.attrs["arrays"], strict=True))
        states = dict(zip(found.attrs["states"], found.attrs["state_arrays"], strict=True))
        for name, array in called.items():
            np.testing.assert_array_equal(found[array].values, own[name])
            assert found[array].attrs["tensor"] == f"loop/while/{name}:0"
        for name, array in states.items():
            for end in ("initial", "final"):
                np.testing.assert_array_equal(found[f"{end}_{array}"].values, own[f"{end} {name}"])
        assert found["h"].dims == found["Sigmoid_1.0"].dims == ("sequence", "time", "unit")
        assert found["memory"].dims == ("sequence", "time", "memory_axis_0", "memory_unit")
        assert found["count"].dims == ("sequence", "time")
        assert found["initial_count"].dims == ("sequence",)
        assert found["output"].dims == ("sequence", "time", "output_unit")
        assert set(called.values()) >= {"%75nit", "%74ime", "%6Demory_unit", "%63_unit"}
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["layers/loop/memory"].sizes["time"] == 12


def test_axes_that_are_called_after_a_size() -> None:
    """Of a layer that sweeps over windows, and of a core of several depths, all signals share an axis."""
    grid = layer("grid", "grid_lstm")
    grid = replace(grid, options=grid.options | {"frequency_windows": Value(4, "flag")})
    assert set(dimensions(grid).values()) == {("window", "unit"), ("y_unit",)}
    core = layer("core", "sonnet1_highway")
    core = replace(core, sizes=core.sizes | {"depth": 2})
    assert set(dimensions(core).values()) == {("unit",), ("depth", "unit")}
    assert layout.arrays(foreign("loop", {"window": (2,)}))["window"] == "%77indow"


def test_channels_first(tmp_path: Path) -> None:
    """What the model takes and gives has its channels first, a trace its units last."""
    each = layer("conv", "basic_rnn", 3, space=(4, 5))
    each = replace(each, options=each.options | {"data_format": Value("channels_first", "config")})
    what = recording([each], [[5]], shape=(3, 6, 7), outcomes=[outcome("y", (3, 4, 5))])
    write(tmp_path / "t.h5", what, whole(what))
    with xr.open_datatree(tmp_path / "t.h5", engine="h5netcdf") as tree:
        assert tree["layers/conv/h"].dims == ("sequence", "time", "row", "column", "unit")
        assert tree["inputs/x"].dims == ("sequence", "time", "feature", "row", "column")
        assert tree["outputs/y"].dims == ("sequence", "y_feature", "y_row", "y_column")


def test_padding_of_a_timeline_takes_no_space(tmp_path: Path) -> None:
    what = recording(
        [layer("a", units=64)],
        [[3] * 31],
        record=("h",),
        own={"a": [20_000] + [10] * 30},
        outcomes=[outcome("y", (64,), [20_000] + [10] * 30)],
    )
    write(tmp_path / "t.h5", what, whole(what), 5000)
    with h5py.File(tmp_path / "t.h5") as file:
        for array in (file["layers/a/h"], file["outputs/y"]):
            assert array.shape == (31, 20_000, 64)
            chunk = int(np.prod(array.chunks)) * 4
            assert array.id.get_storage_size() <= 20_000 * 64 * 4 + 32 * chunk


def test_padding_takes_no_space(tmp_path: Path) -> None:
    """One long sequence among many short ones."""
    what = recording([layer("a", units=64)], [[20_000], [10] * 30], record=("h",))
    write(tmp_path / "t.h5", what, whole(what), 5000)
    with h5py.File(tmp_path / "t.h5") as file:
        h = file["layers/a/h"]
        assert h.shape == (31, 20_000, 64)
        chunk = int(np.prod(h.chunks)) * 4
        assert h.id.get_storage_size() <= 20_000 * 64 * 4 + 32 * chunk
        assert np.isnan(h[1, 10:]).all()
        assert np.isnan(h.fillvalue)


@pytest.mark.parametrize("name", [name for name in COMPRESSIONS if name])
def test_compression(name: str, tmp_path: Path) -> None:
    what = recording([layer("a", units=64)], [[2000]], record=("h",))
    arrays = whole(what)
    arrays["a"]["h"][:] = 0.25
    write(tmp_path / "t.h5", what, arrays, 100, compress=name)
    assert (tmp_path / "t.h5").stat().st_size < 100_000


def test_vocabulary_gives_the_text_back(tmp_path: Path) -> None:
    what = recording(LAYERS[:1], [[8, 3]], vocabulary=("a", "é", "\n", "x\0", "\ud800"))
    trace = write(tmp_path / "t.h5", what, whole(what))
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["inputs/tokens"].asstr()[:].tolist() == ["a", "é", "\n", r"x\x00", r"\ud800"]
        ids = file["inputs/ids"][1]
    text = trace.text(1, 0, 3)
    assert text == tuple(np.asarray(trace.inputs["tokens"])[ids[:3]])
    assert ids[3:].tolist() == [-1] * 5


def test_a_shield_reads_back_what_the_disk_refused(tmp_path: Path) -> None:
    """libhdf5 must see one and the same file before and after a failure."""
    path = tmp_path / "f"
    path.touch()
    with path.open("rb") as file:  # every write fails
        shield = Shield(file.fileno())
        assert shield.write(memoryview(b"abcdef")) == 6
        assert isinstance(shield.error, OSError)
        shield.seek(3)
        shield.write(memoryview(b"XY"))
        shield.truncate(20)
        assert shield.seek(0, 2) == 20
        shield.seek(1)
        assert shield.read(10) == b"bcXYf\0\0\0\0\0"
        first = shield.error
        shield.fail(OSError("later"))
        assert shield.error is first


@pytest.mark.skipif(sys.platform != "linux", reason="advice that Linux takes")
def test_a_shield_sends_off_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte once, in stretches, so that `fsync` in the end waits for little."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(shield, "_STRETCH", 10)
    monkeypatch.setattr("os.posix_fadvise", lambda descriptor, start, size, advice: sent.append((start, size)))
    with (tmp_path / "f").open("w+b") as file:
        one = Shield(file.fileno())
        for _ in range(5):
            one.write(memoryview(b"abcd"))
        assert sent == [(0, 12)]
        one.seek(0)
        one.write(memoryview(bytes(12)))
        assert sent == [(0, 12)]
        one.seek(0, 2)
        one.write(memoryview(b"abcd"))
        assert sent == [(0, 12), (12, 12)]
