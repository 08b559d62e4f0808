"""Traces in the terminal: golden files of a fixed width, and what never reaches a terminal."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.outputs import Trace
from rnnprobe.views import heatmap, summary
from rnnprobe.views import trace as views
from rnnprobe.views.heatmap import Scale
from rnnprobe.views.screen import Screen, screen

from ..outputs.recordings import blocks, foreign, layer, outcome, recording, whole

GOLDEN = Path(__file__).parent.parent / "data" / "traces"
TEXT = 'def f(x):\n\treturn "a\\tb"  # café\n\nprint(f("x"))\n'
WORDS = ("the", "internationalisation", "of", "\x1b[31m", "", "猫", "[red]")


def over(tokens: tuple[str, ...], ids: list[int], units: int = 5) -> Trace:
    """A trace over these tokens; unit 3 follows the quotes of `TEXT`."""
    what = recording([layer("rnn", units=units)], [[len(ids), 3]], vocabulary=tokens)
    batch = what.batches[0]
    rows = np.array([ids, ids[:3] + [0] * (len(ids) - 3)])
    what = replace(what, batches=(replace(batch, load=lambda start, stop: rows[:, start:stop]),))
    arrays = whole(what)
    steps = np.arange(len(ids))
    for unit in range(units):
        arrays["rnn"]["h"][0, :, unit] = np.sin(steps / (unit + 2)) * 0.9 / (unit + 1)
        arrays["rnn"]["f"][0, :, unit] = (steps + unit) % 11 / 10
    arrays["rnn"]["h"][0, :, 3] = np.where(np.cumsum([tokens[number] == '"' for number in ids]) % 2, 0.95, -0.5)
    arrays["rnn"]["h"][0, 5, 1] = np.nan
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    return sink.trace


@pytest.fixture
def text() -> Trace:
    tokens = tuple(sorted(set(TEXT)))
    return over(tokens, [tokens.index(char) for char in TEXT])


@pytest.fixture
def phrase() -> Trace:
    return over(WORDS, [0, 1, 2, 3, 4, 5, 6, 0, 2, 1])


def drawn(trace: Trace, how: str, where: Screen) -> str:
    one = next(iter(trace.layers.values()))
    span = range(int(trace.lengths[0]))
    if how == "unit":
        return heatmap.render(views.over_text(trace, one, "h", 0, span, 3, where), where)
    signal, _, steps = how.partition(" ")
    return heatmap.render(views.over_steps(trace, one, signal, 0, span[: int(steps or 99)], (), 4, where), where)


def check(golden: str, found: str) -> None:
    """`RNNPROBE_WRITE_GOLDENS=1 pytest tests/views` writes them anew: look at what changed."""
    path = GOLDEN / f"{golden}.txt"
    if os.environ.get("RNNPROBE_WRITE_GOLDENS"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("golden", "tokens", "how", "where"),
    [
        ("text_steps", "text", "h", Screen(60)),
        ("text_gate", "text", "f", Screen(80)),
        ("text_binned", "text", "h", Screen(20)),
        ("text_unit", "text", "unit", Screen(40)),
        ("text_unit_colour", "text", "unit", Screen(40, "truecolor")),
        ("text_unit_ascii", "text", "unit", Screen(40, None, "ascii")),
        ("words_steps", "phrase", "h", Screen(60)),
        ("words_colour", "phrase", "h 4", Screen(60, "truecolor")),
        ("words_unit", "phrase", "unit", Screen(50)),
    ],
)
def test_golden(golden: str, tokens: str, how: str, where: Screen, request: pytest.FixtureRequest) -> None:
    found = drawn(request.getfixturevalue(tokens), how, where)
    check(golden, found)


def test_no_line_is_wider_than_the_screen(text: Trace, phrase: Trace) -> None:
    from rich.cells import cell_len

    for trace in (text, phrase):
        for width in (30, 61, 200):
            for how in ("h", "c", "f"):
                lines = drawn(trace, how, Screen(width)).splitlines()
                assert all(cell_len(line) <= width for line in lines if not re.search("sequence|more unit", line))


def test_nothing_of_a_file_reaches_the_terminal_as_it_is(phrase: Trace) -> None:
    for how in ("h", "unit"):
        for where in (Screen(60), Screen(60, None, "ascii")):
            found = drawn(phrase, how, where)
            assert "\x1b" not in found
            assert "\\x1b" in found
            assert "[red]" in found
            assert found.isascii() == where.ascii


def test_shades_tell_low_from_high() -> None:
    scale = Scale(-1.0, 1.0, Screen())
    assert "".join(map(scale.shade, (-9.0, -1.0, -0.5, 0.0, 0.5, 1.0, 9.0, np.nan))) == "≡≡=·▒██ "
    assert "".join(map(Scale(0.0, 1.0, Screen()).shade, (0.0, 0.3, 0.5, 0.7, 1.0))) == "·░▒▓█"
    assert Scale(-1.0, 1.0, Screen()).style(np.nan) == ""
    assert Scale(-1.0, 1.0, Screen()).style(1.0) == "white on rgb(178,24,43)"


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert screen(Terminal()).colour == "256"
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert screen(Terminal()).colour == "truecolor"
    monkeypatch.setenv("NO_COLOR", "1")
    assert screen(Terminal()).colour is None
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert screen(Terminal()).colour is None
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM")
    assert screen(Terminal()).colour == "standard"
    assert not screen(Terminal()).paints
    monkeypatch.setenv("COLUMNS", "133")
    assert screen(io.StringIO()) == Screen(133)
    assert screen(io.TextIOWrapper(io.BytesIO(), "ascii")).ascii


def test_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    what = recording([layer("rnn", units=6), layer("b", "gru", 3, "backward")], [[150, 0, 31], [97]])
    with outputs.summarise(what) as sink:
        for block in blocks(what, whole(what), 50):
            sink.write(block)
    stream = io.StringIO()
    summary.show(sink.summaries, {"status": "not verified"}, as_json=False, stream=stream)
    check("summary", stream.getvalue())
    stream = io.StringIO()
    summary.show(sink.summaries, {"status": "not verified"}, as_json=True, stream=stream)
    document = json.loads(stream.getvalue())
    rows = {(row["layer"], row["signal"]): row for row in document["signals"]}
    assert rows["rnn", "i"]["shape"] == [4, 150, 6]
    assert rows["rnn", "h"]["saturated_min"] is None
    assert rows["b", "z"]["values"] == (150 + 31 + 97) * 3


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ({"status": "verified", "reason": "compared", "largest": 1.25e-7, "compared": 12000}, ["verified", "1.25e-07"]),
        ({"status": "not verified", "reason": "it was long"}, ["not verified", "it was long"]),
        ({"status": "differs", "reason": "rnn c first at sequence 3"}, ["differs", "rnn c first at sequence 3"]),
    ],
)
def test_a_summary_says_whether_it_was_verified(said: dict[str, str | float | int], lines: list[str]) -> None:
    what = recording([foreign("loop", {"count": (), "memory": (2, 3), "h": (4,)}, {"h": "output"})], [[6, 2]])
    with outputs.summarise(what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
        sink.verified(said)
    stream = io.StringIO()
    summary.show(sink.summaries, sink.verification, as_json=False, stream=stream)
    found = stream.getvalue()
    assert all(line in found.rpartition("status")[2] for line in lines)
    assert found.startswith("loop (sequences × steps × what a step has)")
    assert "\nh  -" in found
    stream = io.StringIO()
    summary.show(sink.summaries, sink.verification, as_json=True, stream=stream)
    assert json.loads(stream.getvalue())["verification"] == [said]


def test_summary_of_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    what = recording(
        [layer("conv", "gru", 6, space=(4, 4))],
        [[15, 0, 3], [9]],
        record=["h", "z"],
        own={"conv": [7, 0, 1, 4]},
        outcomes=[outcome("dense", (3,)), outcome("steps", (2,), [15, 0, 3, 9])],
    )
    with outputs.summarise(what) as sink:
        for block in blocks(what, whole(what)):
            sink.write(block)
    stream = io.StringIO()
    verified = {"status": "not verified"}
    summary.show(sink.summaries, verified, as_json=False, outcomes=sink.outcomes, stream=stream)
    check("summary_outputs", stream.getvalue())
    stream = io.StringIO()
    summary.show(sink.summaries, verified, as_json=True, outcomes=sink.outcomes, stream=stream)
    document = json.loads(stream.getvalue())
    assert [(row["output"], row["shape"]) for row in document["outputs"]] == [("dense", [4, 3]), ("steps", [4, 15, 2])]
    assert [row["shape"] for row in document["signals"]] == [[4, 7, 4, 4, 6]] * 2
    stream = io.StringIO()
    summary.show((), verified, as_json=False, outcomes=sink.outcomes, stream=stream)
    assert stream.getvalue().startswith("the model's outputs")


@pytest.mark.parametrize(("golden", "at"), [("space_mean", ()), ("space_place", (1, 0))])
def test_a_convolution(golden: str, at: tuple[int, ...]) -> None:
    what = recording([layer("conv", units=3, space=(2, 2))], [[20]], attributes={"first_step": "40"})
    arrays = whole(what)
    for unit in range(3):
        for row in range(2):
            arrays["conv"]["h"][0, :, row, 0, unit] = np.sin(np.arange(20) / (unit + 1)) * 0.8
            arrays["conv"]["h"][0, :, row, 1, unit] = row
    with outputs.collect(what) as sink:
        for block in blocks(what, arrays):
            sink.write(block)
    one, where = sink.trace.layers["conv"], Screen(60)
    lines = views.over_steps(sink.trace, one, "h", 0, range(5, 20), (), 4, where, at)
    check(golden, heatmap.render(lines, where))
