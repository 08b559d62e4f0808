"""`trace --stride`, `--units` and `--reduce`, in the terminal and in Python, and what `show` makes of such traces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe.errors import BadInput
from rnnprobe.outputs import reductions
from rnnprobe.outputs.reductions import MARGIN

from ..checks import models
from ..checks.models import CELL_0, CELL_1
from ..conftest import SAMPLES, Done

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 4 and 6 units, and ids of four sequences of up to 25 steps."""
    folder = tmp_path_factory.mktemp("keeping")
    random = np.random.default_rng(3)
    np.savez(folder / "x.npz", *(random.integers(0, 11, length) for length in (25, 3, 14, 25)))
    models.bundle(folder / "model", models.stack())
    return folder


def sequences(place: Path) -> list[np.ndarray]:
    with np.load(place / "x.npz") as held:
        return [held[name] for name in held]


@pytest.fixture(scope="module")
def whole(place: Path) -> rnnprobe.outputs.Trace:
    return rnnprobe.trace(place / "model" / "m", sequences(place))


def record(run: Run, place: Path, *more: object, name: str = "t.h5") -> Done:
    return run("trace", place / "model" / "m", "--input", place / "x.npz", *more, "-o", place / name, "--force")


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_every_tenth_step_of_some_units(run: Run, place: Path, whole, suffix: str) -> None:
    done = record(
        run, place, "--stride", 10, "--units", "cell_0=2:", "--units", "0,3:5", "--dtype", "float64", name=f"a{suffix}"
    )
    assert done.status == 0, done.err
    trace = rnnprobe.load_trace(place / f"a{suffix}")
    for name, units in ((CELL_0, [2, 3]), (CELL_1, [0, 3, 4])):
        found = trace.layers[name]
        for signal, values in whole.layers[name].signals.items():
            np.testing.assert_allclose(np.asarray(found.signals[signal]), values[:, ::10][..., units], 1e-6)
        np.testing.assert_allclose(np.asarray(found.final["c"]), whole.layers[name].final["c"][:, units], 1e-6)
    np.testing.assert_array_equal(np.asarray(trace.inputs["ids"]), np.asarray(whole.inputs["ids"])[:, ::10])


@pytest.mark.parametrize(("over", "axis"), [(None, 1), ("sequences", 0)])
def test_reductions(run: Run, place: Path, whole, over: str | None, axis: int) -> None:
    more = ("--over", over) if over else ()
    done = record(run, place, "--reduce", "mean,std,saturation", *more, "--dtype", "float64", "--stride", 2)
    assert done.status == 0, done.err
    found = rnnprobe.load_trace(place / "t.h5").layers[CELL_1].reduced
    values = whole.layers[CELL_1].signals["f"][:, ::2].astype(float)
    np.testing.assert_allclose(np.asarray(found["f"]["mean"]), np.nanmean(values, axis=axis), 1e-6)
    np.testing.assert_allclose(np.asarray(found["f"]["std"]), np.nanstd(values, axis=axis), 1e-6)
    np.testing.assert_array_equal(np.asarray(found["f"]["count"]), (~np.isnan(values)).sum(axis=axis))
    assert set(found["h"]) == {"count", "mean", "std"}
    assert set(found["f"]) == {"count", "mean", "std", "low", "high"}


def test_from_python(place: Path, whole) -> None:
    trace = rnnprobe.trace(
        place / "model" / "m", sequences(place), stride=3, units={"cell_0": [3, 0]}, layers=CELL_0, record="h"
    )
    layer = trace.layers[CELL_0]
    np.testing.assert_array_equal(layer.signals["h"], whole.layers[CELL_0].signals["h"][:, ::3, [0, 3]])
    assert (layer.units.tolist(), trace.stride) == ([0, 3], 3)
    assert "one in 3 kept" in repr(trace)
    trace = rnnprobe.trace(place / "model" / "m", sequences(place), reduce=["max", "min"], over="sequences", units="1")
    np.testing.assert_array_equal(
        trace.layers[CELL_0].reduced["c"]["max"], np.nanmax(whole.layers[CELL_0].signals["c"][..., 1:2], axis=0)
    )
    assert "reduced over sequences" in repr(trace)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stride": 0}, "keeps no steps"),
        ({"units": [9]}, "has no unit 9"),
        ({"units": []}, "would keep no unit"),
        ({"units": {"cell_9": [0]}}, "no layer is called"),
        ({"reduce": "median"}, "no reduction 'median'"),
        ({"reduce": "mean", "over": "units"}, "nothing is reduced over 'units'"),
        ({"over": "time"}, "says nothing without"),
    ],
)
def test_slips_in_python(place: Path, given, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rnnprobe.trace(place / "model" / "m", sequences(place), **given)


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        (("--stride", "0"), "--stride 0 keeps no steps", "every tenth"),
        (("--units", "0:300"), "has no unit 299", "has the units 0 … 3: 0:4"),
        (("--units", "cell_1=4:9"), f"{CELL_1} has no unit 8", "0 … 5"),
        (("--units", "3:1"), "3:1 is empty", "0 … 3"),
        (("--units", "1,x"), "'x' is no unit", "0 … 3"),
        (("--units", "-1"), "'-1' is no unit", "0 … 3"),
        (("--units", "cell_9=1"), "no layer is called 'cell_9'", CELL_1),
        (("--reduce", "mean,median"), "no reduction 'median'", "mean, std, min, max, histogram, saturation"),
        (("--reduce", "mean", "--over", "unit"), "nothing is reduced over 'unit'", "time, sequences"),
        (("--over", "time"), "without --reduce", "mean,std"),
        (("--reduce", "mean", "--record", "h,output"), "outputs are not reduced", "--record"),
        (("--reduce", "saturation", "--record", "h"), "no gate is recorded", "--record gates"),
    ],
)
def test_slips(run: Run, place: Path, more: tuple[str, ...], message: str, hint: str) -> None:
    done = record(run, place, *more, name="slip.h5")
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert hint in done.err
    assert not (place / "slip.h5").exists()


@pytest.mark.parametrize("more", [("--stride", "2"), ("--units", "0"), ("--reduce", "mean")])
def test_a_summary_is_of_everything(run: Run, place: Path, more: tuple[str, ...]) -> None:
    done = run("trace", place / "model" / "m", "--input", place / "x.npz", *more)
    assert done.status == 2
    assert f"{more[0]} says what a file is to hold" in done.err


def test_a_forecast_counts_what_is_kept(run: Run, place: Path) -> None:
    def sizes(*more: str) -> dict[tuple[str, str], tuple[list[int], int]]:
        done = run("trace", place / "model" / "m", "--input", place / "x.npz", "--dry-run", "--json", *more)
        assert done.status == 0, done.err
        rows = json.loads(done.out)["forecast"]
        return {(row["layer"], row["signal"]): (row["shape"], row["bytes"]) for row in rows}

    assert sizes("--stride", "10", "--units", "1:3")[CELL_0, "h"] == ([4, 3, 2], (3 + 1 + 2 + 3) * 2 * 4)
    reduced = sizes("--reduce", "mean,histogram")
    assert reduced[CELL_1, "h mean"] == ([4, 6], 4 * 6 * 4)
    assert reduced[CELL_1, "f histogram"] == ([4, 6, 20], 4 * 6 * 20 * 4)


def test_what_is_recorded_whole_is_said_once(run: Run, tmp_path: Path) -> None:
    from rnnprobe.analysis.keeping import Less

    from ..outputs.recordings import layer

    layers = [layer("a", "lstm", 5, output_size=2), layer("b", "gru", 3)]
    kept, lines = Less(units="1:3").of(layers, {"a": ("c", "h"), "b": ("h",)})
    assert {name: numbers.tolist() for name, numbers in kept.units.items()} == {"a": [1, 2], "b": [1, 2]}
    assert lines == ("recorded whole, being no units of their layer: a h",)
    assert Less(units="0:3").of(layers[1:], {"b": ("h",)})[0].whole


def test_show_has_the_true_numbers(run: Run, place: Path, whole) -> None:
    assert record(run, place, "--stride", 10, "--units", "1:3").status == 0
    found = json.loads(run("show", place / "t.h5", "--json", "--layer", "cell_1", "--unit", 2, "--steps", "5:25").out)
    (row,) = found["units"]
    assert (row["unit"], row["start"], row["stop"], row["stride"]) == (2, 10, 25, 10)
    np.testing.assert_allclose(row["values"], whole.layers[CELL_1].signals["h"][0, 10:25:10, 2], 1e-6)
    assert (found["layers"][0]["stride"], found["layers"][0]["kept_units"]) == (10, "1:3")
    done = run("show", place / "t.h5", "--layer", "cell_1")
    assert f"kept: one step in 10; the units 1:3 of {CELL_0}, {CELL_1}" in " ".join(done.out.split())
    assert f"{CELL_1}: h, sequence 0 (arr_0), steps 0:25:10" in done.out
    assert {line.split()[0] for line in done.out.splitlines()[-2:]} == {"1", "2"}


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        (("--unit", "0"), "has no unit 0", "kept were the units 1:3"),
        (("--units", "0:1"), "--units 0:1: none of them was kept", "1:3"),
        (("--steps", "11:14"), "none of these steps was kept", "one step in 10 was, from 0 on"),
        (("--steps", "30:"), "--steps 30: is empty", "0:25"),
    ],
)
def test_what_show_can_not(run: Run, place: Path, more: tuple[str, ...], message: str, hint: str) -> None:
    assert record(run, place, "--stride", 10, "--units", "1:3", name="thin.npz").status == 0
    done = run("show", place / "thin.npz", "--layer", "cell_0", *more)
    assert done.status == 2
    assert message in done.err
    assert hint in done.err


def test_show_of_reductions_over_time(run: Run, place: Path, whole) -> None:
    assert record(run, place, "--reduce", "mean,std,histogram,saturation", "--units", "1:4", name="r.npz").status == 0
    done = run("show", place / "r.npz", "--signal", "f", "--sequence", "arr_2", "--layer", "cell_0", "--json")
    rows = json.loads(done.out)["reduced"]
    values = whole.layers[CELL_0].signals["f"][2, :14, 1:4].astype(float)
    assert [row["unit"] for row in rows] == (1 + np.argsort(-values.std(axis=0))).tolist()
    assert [row["count"] for row in rows] == [14] * 3
    assert [sum(row["histogram"]) for row in rows] == [14] * 3
    assert rows[0]["mean"] == pytest.approx(values[:, rows[0]["unit"] - 1].mean(), rel=1e-6)
    done = run("show", place / "r.npz", "--unit", "2")
    assert done.status == 0
    assert "reduced over time: mean, std, histogram, saturation" in done.out
    assert f"{CELL_1}: h over time, sequence 0" in done.out
    assert "at lower bound" not in done.out
    assert "bins between -inf and inf" in done.out
    done = run("show", place / "r.npz", "--signal", "q")
    assert (done.status, "has no signal 'q'" in done.err) == (2, True)
    done = run("show", place / "r.npz", "--output", "y")
    assert (done.status, "none of the model's outputs" in done.err) == (2, True)


def test_show_of_reductions_over_sequences(run: Run, place: Path, whole) -> None:
    assert record(run, place, "--reduce", "std,max", "--over", "sequences", "--stride", 2, name="s.h5").status == 0
    done = run("show", place / "s.h5", "--layer", "cell_0", "--unit", "1", "--json")
    (row,) = json.loads(done.out)["units"]
    values = np.nanmax(whole.layers[CELL_0].signals["h"][:, ::2, 1], axis=0)
    assert (row["signal"], row["stride"]) == ("h max", 2)
    np.testing.assert_allclose(row["values"], values, 1e-6)
    done = run("show", place / "s.h5", "--steps", "4:10")
    assert done.status == 0, done.err
    assert f"{CELL_0}: h max, over 4 sequences, steps 4:10:2" in done.out


def test_thinned_goldens(run: Run, place: Path, tmp_path: Path) -> None:
    assert record(run, place, "--stride", 5, "--units", "1:3").status == 0
    spec = place / "spec.toml"
    spec.write_text('version = 1\n[[golden]]\ninput = "x.npz"\ntrace = "t.h5"\n')
    done = run("check", place / "model" / "m", spec, "--golden")
    assert done.status == 0, done.out
    arrays = models.stack()
    arrays[f"{CELL_1}/bias"][18 + 2] += np.float32(0.5)  # of o, unit 2
    done = run("check", models.bundle(tmp_path / "after", arrays), spec, "--golden", "--json")
    (found,) = json.loads(done.out)["findings"]
    assert (found["layer"], found["what"]) == (CELL_1, "o")
    assert "first at sequence 0 (arr_0), step 0, unit 2:" in found["found"]
    # Where a token's row is another, the first kept step from its first place on differs.
    given = sequences(place)
    firsts = {
        token: [-(-int(np.argwhere(one == token)[0, 0]) // 5) * 5 for one in given if token in one]
        for token in range(11)
    }
    token, step = max(((token, min(steps)) for token, steps in firsts.items()), key=lambda pair: pair[1])
    assert 0 < step < 25
    arrays = models.stack()
    arrays["embedding"][token] += 1
    done = run("check", models.bundle(tmp_path / "row", arrays), spec, "--golden", "--json")
    (found,) = json.loads(done.out)["findings"]
    assert (found["layer"], f", step {step}, unit " in found["found"]) == (CELL_0, True)
    arrays = models.stack()
    arrays |= {f"{CELL_0}/kernel": np.ones((10, 20), "f4"), f"{CELL_0}/bias": np.ones(20, "f4")}
    arrays[f"{CELL_1}/kernel"] = np.ones((11, 24), "f4")
    done = run("check", models.bundle(tmp_path / "wider", arrays), spec, "--golden", "--json")
    (found,) = json.loads(done.out)["findings"]
    assert found["found"] == f"{CELL_0} c has [5] a step, and [4] in the trace"
    assert record(run, place, "--reduce", "mean").status == 0
    done = run("check", place / "model" / "m", spec, "--golden")
    assert (done.status, "holds reductions over time" in done.err) == (2, True)


def test_nothing_starts_from_some_units(run: Run, place: Path) -> None:
    for suffix in (".h5", ".npz"):
        assert record(run, place, "--units", "1:3", name=f"ends{suffix}").status == 0
        done = record(run, place, "--initial-state", place / f"ends{suffix}", name="next.h5")
        assert done.status == 2
        assert f"holds the final states of 2 units of {CELL_0}, and not of all" in done.err


def test_what_counts_as_saturated_is_said(run: Run) -> None:
    """In the help and in the README, the very bounds that are counted by."""
    low, high = MARGIN, 1 - MARGIN
    values = np.array([low - 0.01, low + 0.01, high - 0.01, high + 0.01, -high - 0.01])
    assert [near.tolist() for near in reductions.near(values, (0, 1))] == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert [near.tolist() for near in reductions.near(values, (-1, 1))] == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    said = " ".join(run("trace", "--help").out.split())
    assert f"sigmoid: below {low}, above {high}; tanh: beyond ±{high}" in said
    assert f"within {MARGIN} of a sigmoid's bounds 0 and 1" in (SAMPLES.parent / "README.md").read_text()
