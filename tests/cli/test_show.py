"""`rnnprobe show`: what it prints, as data and as a picture, and what it says of a slip."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.types import Kept

from ..conftest import Done
from ..outputs.recordings import blocks, foreign, layer, outcome, recording, unseen, whole

Run = Callable[..., Done]
WHAT = recording(
    [layer("rnn/cell_0", units=20), layer("rnn/cell_1", "gru", 5, "backward"), layer("simple", "keras_simple_rnn", 2)],
    [[700, 30], [12]],
    vocabulary=("a", "b", "\n", "\x1b[31m"),
)
ARRAYS = whole(WHAT)


@pytest.fixture(scope="module", params=[".h5", ".npz"])
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / f"t{request.param}"
    with outputs.open(path, WHAT) as sink:
        for block in blocks(WHAT, ARRAYS, 100):
            sink.write(block)
    return path


def test_a_picture_of_every_layer(trace: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    done = run("show", trace)
    assert (done.status, done.err) == (0, "")
    assert "\x1b" not in done.out
    pictures = done.out.split("\n\n")[1:]
    assert [picture.partition(":")[0] for picture in pictures] == ["rnn/cell_0", "rnn/cell_1", "simple"]
    rows = [re.findall(r"^ +(\d+) (?!more)\S", picture, re.MULTILINE) for picture in pictures]
    variances = np.nanvar(ARRAYS["rnn/cell_0"]["h"][0], axis=0)
    assert rows[0] == [str(unit) for unit in np.argsort(-variances)[:8]]
    assert "12 more units" in pictures[0]
    assert all(len(line) <= 90 for line in done.out.splitlines())


def test_json_holds_the_values_themselves(trace: Path, run: Run) -> None:
    done = run(
        "show", trace, "--json", "--layer", "cell_0", "--unit", 3, "--unit", 7, "--signal", "c", "--steps", "10:14"
    )
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["schema"] == "rnnprobe/show/1"
    assert [row["layer"] for row in document["layers"]] == ["rnn/cell_0", "rnn/cell_1", "simple"]
    assert (document["layers"][1]["cell"], document["layers"][1]["title"]) == ("gru", "GRU")
    for row, unit in zip(document["units"], (3, 7), strict=True):
        values = ARRAYS["rnn/cell_0"]["c"][0, 10:14, unit]
        assert (row["layer"], row["signal"], row["unit"]) == ("rnn/cell_0", "c", unit)
        assert (row["start"], row["stop"]) == (10, 14)
        assert row["values"] == values.tolist()
        assert row["edges"] is None
        assert row["variance"] == pytest.approx(values.astype(float).var())
        assert (row["min"], row["max"]) == (values.min(), values.max())
    assert len(document["tokens"][0]["tokens"]) == 4


def test_a_sequence_by_number_and_by_name(trace: Path, run: Run) -> None:
    for given in (2, "s2"):
        row = json.loads(run("show", trace, "--json", "--sequence", given, "--layer", "simple").out)["units"][0]
        assert (row["sequence"], row["stop"]) == (2, 12)


def test_a_unit_on_its_text(trace: Path, run: Run) -> None:
    done = run("show", trace, "--layer", "rnn/cell_1", "--unit", 2)
    assert done.status == 0
    assert "h of unit 2, sequence 0 (s0), steps 0:700" in done.out
    ids = np.asarray(outputs.load(trace).inputs["ids"])[0, :700]
    assert done.out.count("↵") == (ids == 2).sum()
    assert "\x1b" not in done.out


def test_the_top_units_and_a_range(trace: Path, run: Run) -> None:
    units = [
        row["unit"] for row in json.loads(run("show", trace, "--json", "--layer", "cell_0", "--top", 3).out)["units"]
    ]
    assert units == np.argsort(-np.nanvar(ARRAYS["rnn/cell_0"]["h"][0], axis=0))[:3].tolist()
    document = json.loads(run("show", trace, "--json", "--layer", "cell_0", "--units", "-3:").out)
    assert [row["unit"] for row in document["units"]] == [17, 18, 19]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--layer", "cell_9"), "no layer is called 'cell_9'", "rnn/cell_0"),
        (("--signal", "q"), "no signal 'q'", "c, h, i, f"),
        (("--unit", "20", "--layer", "cell_0"), "no unit 20", "0 … 19"),
        (("--unit", "1", "--top", "3"), "exclude each other", "one of them"),
        (("--sequence", "3"), "no sequence 3: the trace has 3", "s0, s1, s2"),
        (("--steps", "5:3"), "--steps 5:3 is empty", "0:700"),
        (("--steps", "x"), "--steps x is no A:B", "0:700"),
        (("--units", "40:", "--layer", "cell_0"), "--units 40: is empty", "0:20"),
    ],
)
def test_slips(arguments: tuple[str, ...], message: str, hint: str, trace: Path, run: Run) -> None:
    done = run("show", trace, *arguments)
    assert (done.status, done.out) == (2, "")
    first, *rest = done.err.splitlines()
    assert first.startswith(f"rnnprobe: {trace}: ")
    assert message in first
    assert hint in "\n".join(rest)


RICH = recording(
    [layer("encoder", "gru", 4), layer("pooled", "gru", 3), layer("conv", "gru", 2, space=(3, 4))],
    [[30, 12]],
    record=["h"],
    vocabulary=("a", "b"),
    own={"pooled": [7, 3]},
    outcomes=[outcome("dense", (5,)), outcome("tags", (2,), [30, 12])],
    attributes={"first_step": "100"},
)
RICH_ARRAYS = whole(RICH)


@pytest.fixture(scope="module", params=[".h5", ".npz"])
def rich(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rich") / f"t{request.param}"
    with outputs.open(path, RICH) as sink:
        for block in blocks(RICH, RICH_ARRAYS):
            sink.write(block)
    return path


def test_outputs_and_timelines_are_listed(rich: Path, run: Run) -> None:
    document = json.loads(run("show", rich, "--json").out)
    assert [(row["output"], row["shape"], row["steps"]) for row in document["outputs"]] == [
        ("dense", [2, 5], None),
        ("tags", [2, 30, 2], 30),
    ]
    assert [(row["steps"], row["own_steps"], row["space"]) for row in document["layers"]] == [
        (30, False, []),
        (7, True, []),
        (30, False, [3, 4]),
    ]
    assert {(row["layer"], row["start"], row["stop"]) for row in document["units"]} == {
        ("encoder", 100, 130),
        ("pooled", 0, 7),
        ("conv", 100, 130),
    }
    done = run("show", rich)
    assert (done.status, done.err) == (0, "")
    for word in ("dense", "2 × 30 × 2", "3 × 4", "the steps of pooled are not those of the input"):
        assert word in done.out
    assert "steps 100:130" in done.out
    assert "mean over 3 × 4 places" in done.out


@pytest.mark.parametrize(
    ("steps", "span"),
    [
        ("105:110", range(5, 10)),
        ("-4:", range(26, 30)),
        ("129", range(29, 30)),
        (":103", range(3)),
        ("0:103", range(3)),
    ],
)
def test_steps_have_the_numbers_of_the_input(steps: str, span: range, rich: Path, run: Run) -> None:
    document = json.loads(run("show", rich, "--json", "--layer", "encoder", "--unit", 1, "--steps", steps).out)
    (row,) = document["units"]
    assert row["values"] == RICH_ARRAYS["encoder"]["h"][0, span.start : span.stop, 1].tolist()
    assert (row["start"], row["stop"]) == (100 + span.start, 100 + span.stop)
    (tokens,) = document["tokens"]
    assert (tokens["start"], tokens["stop"], len(tokens["tokens"])) == (row["start"], row["stop"], len(span))
    done = run("show", rich, "--layer", "encoder", "--unit", 1, "--steps", steps)
    assert f"steps {row['start']}:{row['stop']}" in done.out


def test_a_timeline_of_its_own_has_no_tokens(rich: Path, run: Run) -> None:
    document = json.loads(run("show", rich, "--json", "--layer", "pooled", "--unit", 1, "--steps", "2:5").out)
    (row,) = document["units"]
    assert row["values"] == RICH_ARRAYS["pooled"]["h"][0, 2:5, 1].tolist()
    assert (row["start"], document["tokens"]) == (2, [])
    done = run("show", rich, "--layer", "pooled", "--unit", 1)
    assert "steps 0:7" in done.out
    assert "h of unit" not in done.out


def test_a_place_of_a_convolution(rich: Path, run: Run) -> None:
    words = ("show", rich, "--layer", "conv", "--unit", 1, "--steps", "100:104", "--json")
    (row,) = json.loads(run(*words, "--at", "2,3").out)["units"]
    assert row["values"] == RICH_ARRAYS["conv"]["h"][0, :4, 2, 3, 1].tolist()
    assert row["at"] == [2, 3]
    (row,) = json.loads(run(*words).out)["units"]
    assert row["values"] == pytest.approx(RICH_ARRAYS["conv"]["h"][0, :4, :, :, 1].mean(axis=(1, 2)).tolist())
    assert row["at"] is None


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--steps", "10:20", "--layer", "encoder"), "--steps 10:20 is empty: there are 30", "100:130"),
        (("--steps", "100:110"), "--steps 100:110 is empty: there are 7 in pooled", "0:7"),
        (("--layer", "conv", "--at", "3,0"), "conv has no place 3,0", "3 × 4"),
        (("--layer", "encoder", "--at", "3,0"), "encoder has no place 3,0", "do not extend in space"),
        (("--layer", "conv", "--at", "x"), "--at x is no place", "--at 3,4"),
    ],
)
def test_slips_of_places_and_steps(arguments: tuple[str, ...], message: str, hint: str, rich: Path, run: Run) -> None:
    done = run("show", rich, *arguments)
    assert (done.status, done.out) == (2, "")
    first, *rest = done.err.splitlines()
    assert message in first
    assert hint in "\n".join(rest)


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_an_output_over_its_steps(rich: Path, run: Run, extra: tuple[str, ...]) -> None:
    done = run("show", rich, "--output", "tags", "--steps", "105:110", *extra)
    assert (done.status, done.err) == (0, "")
    if not extra:
        assert "tags: output, sequence 0 (s0), steps 105:110" in done.out
        assert "encoder:" not in done.out
        return
    document = json.loads(done.out)
    assert [(row["layer"], row["signal"], row["start"], row["stop"]) for row in document["units"]] == [
        ("tags", "output", 105, 110)
    ] * 2
    values = RICH_ARRAYS[""]["tags"][0, 5:10]
    assert {row["unit"]: row["values"] for row in document["units"]} == {
        unit: values[:, unit].tolist() for unit in range(2)
    }
    assert len(document["tokens"][0]["tokens"]) == 5


def test_a_unit_of_an_output_on_its_text(rich: Path, run: Run) -> None:
    done = run("show", rich, "--output", "tags", "--unit", 1)
    assert "tags: output of unit 1, sequence 0 (s0), steps 100:130" in done.out


def test_an_output_without_steps(rich: Path, run: Run) -> None:
    done = run("show", rich, "--output", "dense", "--sequence", "s1")
    assert (done.status, done.err) == (0, "")
    assert "dense: output, sequence 1 (s1)\n" in done.out
    values = RICH_ARRAYS[""]["dense"][1]
    shown = [line.split() for line in done.out.splitlines()[-5:]]
    order = np.argsort(-np.abs(values))
    assert [int(words[0]) for words in shown] == order.tolist()
    assert [float(words[-1]) for words in shown] == pytest.approx(values[order].tolist(), rel=1e-3)
    (row,) = json.loads(run("show", rich, "--output", "dense", "--unit", 3, "--json").out)["units"]
    assert row["values"] == [RICH_ARRAYS[""]["dense"][0, 3]]


def test_a_picture_alone(rich: Path, run: Run) -> None:
    whole_text, picture = (run("show", rich, "--layer", "pooled", *more).out for more in ((), ("-q",)))
    assert picture.lstrip("\n").startswith("pooled: h")
    assert whole_text.endswith(picture)
    assert json.loads(run("show", rich, "-q", "--json").out)["layers"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--output", "x"), "no output is called 'x'", "dense\ntags"),
        (("--output", "dense", "--layer", "conv"), "--output shows no layers", "leave --layer"),
        (("--output", "dense", "--signal", "h"), "--output shows no layers", "leave --layer"),
        (("--output", "dense", "--unit", "5"), "dense has no unit 5", "0 … 4"),
    ],
)
def test_slips_of_outputs(arguments: tuple[str, ...], message: str, hint: str, rich: Path, run: Run) -> None:
    done = run("show", rich, *arguments)
    assert (done.status, done.out) == (2, "")
    first, *rest = done.err.splitlines()
    assert message in first
    assert all(word in "\n".join(rest) for word in hint.split("\n"))


@pytest.fixture(scope="module", params=[".h5", ".npz"])
def loop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrence of a graph without h, and with names and shapes of its own; of its input nothing is known."""
    path = tmp_path_factory.mktemp("loop") / f"t{request.param}"
    what = unseen(recording([foreign("loop", {"count": (), "memory": (2, 3), "unit": (4,)}), layer("lstm")], [[6, 2]]))
    with outputs.open(path, what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
        sink.verified({"status": "differs", "reason": "lstm c first at sequence 0, step 3", "largest": 0.5})
    return path


def test_a_recurrence_of_a_graph(loop: Path, run: Run) -> None:
    done = run("show", loop)
    assert (done.status, done.err) == (0, "")
    assert "loop: count, sequence 0 (s0), steps 0:6" in done.out
    assert "lstm: h, sequence 0" in done.out
    assert "differs: lstm c first at sequence 0, step 3" in done.out
    assert "while loop" in done.out
    document = json.loads(run("show", loop, "--signal", "memory", "--at", 1, "--json").out)
    assert [row["units"] for row in document["layers"]] == [None, 3]
    assert [(row["signal"], row["unit"], row["at"]) for row in document["units"]] == [
        ("memory", row["unit"], [1]) for row in document["units"]
    ]
    assert document["verification"] == [
        {"status": "differs", "reason": "lstm c first at sequence 0, step 3", "largest": 0.5}
    ]
    assert run("show", loop, "--signal", "unit", "--unit", 3).status == 0
    done = run("show", loop, "--signal", "count", "--unit", 1)
    assert (done.status, "loop has no unit 1" in done.err) == (2, True)


def test_outputs_alone(tmp_path: Path, run: Run) -> None:
    for kept in ((), RICH.layers):
        what = replace(RICH, layers=kept, signals={each.name: () for each in kept})
        path = tmp_path / f"{len(kept)}.h5"
        with outputs.open(path, what) as sink:
            for block in blocks(what, RICH_ARRAYS):
                sink.write(block)
        done = run("show", path)
        assert (done.status, done.err) == (0, "")
        assert "dense" in done.out


def test_other_files(tmp_path: Path, run: Run) -> None:
    done = run("show", tmp_path / "nothing.h5")
    assert (done.status, done.err) == (2, f"rnnprobe: {tmp_path}/nothing.h5: no such file\n")
    (tmp_path / "t.h5").write_bytes(b"hello")
    done = run("show", tmp_path / "t.h5")
    assert done.status == 2
    assert done.err.startswith(f"rnnprobe: {tmp_path}/t.h5: is no trace")


def test_it_stays_light(trace: Path) -> None:
    program = (
        "import sys\nfrom rnnprobe.cli import rnnprobe\n"
        f"rnnprobe(['show', {str(trace)!r}], standalone_mode=False)\n"
        "sys.exit(bool({'tensorflow', 'keras', 'matplotlib', 'xarray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


@pytest.fixture(scope="module", params=["time", "sequences"])
def figures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Reductions of a convolutional layer, and of a recurrence with scalars."""
    layers = [layer("conv", "gru", 3, space=(2, 4)), foreign("loop", {"h": (2,), "count": (), "pairs": (3, 2)})]
    what = replace(recording(layers, [[30, 12]]), kept=Kept(reduced=("mean", "max"), over=request.param))
    path = tmp_path_factory.mktemp("figures") / "t.h5"
    with outputs.open(path, what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
    return request.param, path


def test_figures_at_a_place(figures: tuple[str, Path], run: Run) -> None:
    over, path = figures
    done = run("show", path, "--layer", "conv", "--at", "1,3", "--json")
    assert (done.status, done.err) == (0, "")
    rows = json.loads(done.out)["reduced" if over == "time" else "units"]
    assert [row["unit"] for row in rows] in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
    assert {tuple(row["at"]) for row in rows} == {(1, 3)}
    done = run("show", path, "--layer", "conv", "--at", "2,0")
    assert (done.status, "conv has no place 2,0" in done.err) == (2, True)


def test_figures_of_scalars(figures: tuple[str, Path], run: Run) -> None:
    over, path = figures
    done = run("show", path, "--layer", "loop", "--signal", "count", "--json")
    assert (done.status, done.err) == (0, "")
    (row,) = json.loads(done.out)["reduced" if over == "time" else "units"]
    assert (row["unit"], row["at"]) == (0, None)


def test_what_figures_do_not_have(figures: tuple[str, Path], run: Run) -> None:
    over, path = figures
    done = run("show", path, "--layer", "loop", *(("--steps", "0:5") if over == "time" else ("--sequence", "1")))
    assert (done.status, f"is reduced over {over}" in done.err) == (2, True)
    if over == "time":
        done = run("show", path, "--layer", "loop", "--signal", "pairs")
        assert (done.status, "was reduced at each of 3 places" in done.err, "--at 0" in done.err) == (2, True, True)
