"""Reports as text: golden files of fixed width, sums counted again, and nothing that a file can put into a terminal."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from rnnprobe.analysis.inspect import inspect
from rnnprobe.analysis.shapes import shapes
from rnnprobe.analysis.training import training
from rnnprobe.analysis.weights import weights
from rnnprobe.types import Column, Report
from rnnprobe.views.screen import Screen
from rnnprobe.views.terminal import abridge, render, show

from ..analysis import models
from ..conftest import DATA

WIDTHS = (80, 100, 140)
HOSTILE = [
    "[red]x[/red]",
    "[/]",
    "\x1b[31mx",
    "\x1b]8;;http://example.org\x1b\\x\x1b]8;;\x1b\\",
    "a\rb",
    "a\nb",
    "\x9b31mx",
    "\u202eabc",
    "\u2028",
    "\udc80",
    "\0",
    "x" * 3000,
    ":smile:",
    "=1+1",
    "名前",
]


def made(name: str):
    network = models.stack()
    if name == "inspect":
        return inspect(network)
    if name == "weights":
        return weights(network, network.layers)
    if name == "shapes":
        return shapes(network, network.layers)
    later = models.stack()
    for layer in later.layers:
        for held in layer.weights.values():
            held.load()[...] *= 1.5
    return training([network, later, later], (100, 200, 300))[1:]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["inspect", "weights", "shapes", "training"])
def test_golden(name, width):
    """`RNNPROBE_WRITE_GOLDENS=1 pytest tests/views` writes them anew: look at what changed."""
    text = render(made(name), Screen(width))
    golden = DATA / "reports" / f"{name}_{width}.txt"
    if os.environ.get("RNNPROBE_WRITE_GOLDENS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_totals_add_up_in_the_text(width):
    text = (DATA / "reports" / f"shapes_{width}.txt").read_text(encoding="utf-8")
    body, totals = text.split("Totals\n")
    parameters = [int(line.split()[-4].replace(",", "")) for line in body.splitlines() if line.endswith("float32")]
    rows = re.findall(r"^(\S.*?)  +(\d+)  +([\d,]+)  +[\d.]+ k?B$", totals, re.MULTILINE)
    groups = {name: int(number.replace(",", "")) for name, _, number in rows}
    whole = groups.pop("the whole file")
    assert len(groups) == 6
    assert sum(groups.values()) == whole
    assert sum(number for name, number in groups.items() if "cell" in name) == sum(parameters)
    tensors = [int(number) for name, number, _ in rows]
    assert sum(tensors[:-1]) == tensors[-1]


def text_report(*texts: str) -> Report:
    columns = (Column("name", "name"), Column("text", "text"), Column("number", "number", right=True))
    rows = tuple({"name": text, "text": text, "number": 1.5} for text in texts)
    return Report("rows", texts[0], columns, rows, texts)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(40, 200),
    rows=st.lists(st.lists(st.text(max_size=60), min_size=6, max_size=6), min_size=1, max_size=5),
    right=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_no_line_is_too_wide_and_nothing_is_cut(width, rows, right):
    columns = tuple(Column(f"k{k}", f"header {k}", right=flag) for k, flag in enumerate(right))
    report = Report("r", "", columns, tuple({f"k{k}": text for k, text in enumerate(row)} for row in rows))
    text = render([report], Screen(width))
    assert all(cell_len(line) <= width for line in text.splitlines())
    seen = re.sub(r"[\s─]", "", text)
    for row in rows:
        for value in row:
            letters = [char for char in value if char.isascii() and char.isalnum()]
            assert all(char in seen for char in letters)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("colour", [False, True])
def test_hostile_text_is_inert(text, colour):
    report = text_report(text)
    for one in (report, replace(report, rows=report.rows[:1], upright=True)):
        shown = render([one], Screen(100, "standard" if colour else None))
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown) if colour else shown
        assert not {char for char in plain if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char != "\n"}
        if text.isascii() and text.isprintable() and len(text) < 30:
            assert plain.count(text) == 4, "shown as it is: in the title, the cells and the note"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_in_json(text):
    stream = io.StringIO()
    show([text_report(text)], command="x", as_json=True, stream=stream)
    assert stream.getvalue().isascii()
    assert not set(stream.getvalue()) - {"\n"} & {chr(code) for code in range(32)}
    assert json.loads(stream.getvalue())["rows"][0]["name"] == text


def test_json_holds_whole_rows_at_full_precision():
    rows = ({"a": 0.1 + 0.2, "b": [math.nan, math.inf, -math.inf], "c": None, "hidden": True},)
    reports = [
        Report("r", "t", (Column("a", "a"),), rows, ("n",)),
        Report("r", "u", (), ({"a": 2},), ("n", "m")),
        Report("s", "", (), ()),
    ]
    stream = io.StringIO()
    show(reports, command="weights", as_json=True, stream=stream)

    def refuse(word):
        raise AssertionError(f"bare {word}")

    found = json.loads(stream.getvalue(), parse_constant=refuse)
    assert found == {
        "schema": "rnnprobe/weights/1",
        "r": [{"a": 0.1 + 0.2, "b": ["NaN", "Infinity", "-Infinity"], "c": None, "hidden": True}, {"a": 2}],
        "s": [],
        "notes": ["n", "m"],
    }


@pytest.mark.parametrize("name", ["inspect", "weights", "shapes", "training"])
def test_every_column_is_a_key_of_every_row(name):
    for report in made(name):
        assert all(column.key in row for row in report.rows for column in report.columns)


def through_terminal(monkeypatch, columns: str = "90", **environment: str) -> str:
    """What a terminal receives."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": columns, **environment}.items():
        monkeypatch.setenv(name, value)
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        show([text_report("assumed")], command="x", as_json=False, stream=stream)
    with os.fdopen(leader, "rb") as received:
        return received.read1(100_000).decode()


def test_colour_in_a_terminal(monkeypatch):
    assert "\x1b[33massumed" in through_terminal(monkeypatch)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_it_is_not_wanted(monkeypatch, environment):
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", through_terminal(monkeypatch, **environment))


def test_no_colour_and_a_fixed_width_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = {}
    for columns in ("", "60", "junk"):
        monkeypatch.setenv("COLUMNS", columns)
        stream = io.StringIO()
        show([text_report("word " * 100)], command="x", as_json=False, stream=stream)
        assert "\x1b" not in stream.getvalue()
        lines[columns] = max(map(len, stream.getvalue().splitlines()))
    assert 90 < lines[""] <= 100
    assert 50 < lines["60"] <= 60
    assert lines["junk"] == lines[""]


def test_an_encoding_without_the_characters():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    show([text_report("±")], command="x", as_json=False, stream=stream)
    stream.flush()
    assert b"?" in raw.getvalue()


def test_reports_without_anything_are_left_out():
    assert render([Report("r", "title", (), ())], Screen(80)) == ""
    assert render([Report("r", "title", (), (), ("note",))], Screen(80)) == "title\n  note\n"


def test_abridged_reports_say_so():
    report = text_report(*"abcdef")
    short = abridge(report, 2, "-v lists them")
    assert len(short.rows) == 2
    assert short.notes[0] == "and 4 more; -v lists them"
    assert abridge(report, 6, "") is report
