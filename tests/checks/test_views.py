"""Findings for CI servers: JUnit XML by its schema, GitHub's lines by their grammar, a table in Markdown."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rnnprobe.checks.specification import CheckpointSpec, Specification
from rnnprobe.checks.verdict import Checked, Verdict
from rnnprobe.views import github, junit, markdown

HOSTILE = [
    "plain/name",
    "a::b,c=d%0A%25",
    "x\r\n::error::y",
    "\x1b[31mred\x00\ufffe\ud800\u202e",
    "]]></failure><script>&amp;\"'",
    "a|b\\|c`d`` <b>*_[l](http://e.org)_* @user #12 www.e.org",
    "##[error]x",
    "é" * 300,
]


def checked(name: str, *, level: str = "error", spec: Path | None = Path("dir/sp,ec:1.toml")) -> Checked:
    """A rule that holds, one that does not, and a warning."""
    key = ("layer", 0, "units")
    spots = {("layer", 0): (3, 1), key: (5, 1)} if spec else {}
    verdicts = (
        Verdict("cell", True, "lstm", "lstm", "error", ("layer", 0, "cell"), name),
        Verdict("value", False, name, f"found {name}", level, key, name, "tensor", "bias", "f"),
        Verdict("unlisted", False, "nothing", name, "warning", ("checkpoint",), tensor=name),
    )
    return Checked(Path("m.ckpt"), Specification(spec, {}, CheckpointSpec(), (), (), (), spots), verdicts)


# junit-10.xsd of Jenkins's xUnit plugin: element → attributes that must be and that may be, children, text allowed.
SCHEMA = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}, False),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        False,
    ),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
        False,
    ),
    "failure": (set(), {"type", "message"}, set(), True),
    "system-out": (set(), set(), set(), True),
    "properties": (set(), set(), {"property"}, False),
    "property": ({"name", "value"}, set(), set(), False),
}


def valid(element: ET.Element) -> None:
    must, may, children, text = SCHEMA[element.tag]
    assert must <= set(element.attrib) <= must | may, element.attrib
    assert text or not (element.text or "").strip()
    assert not (element.tail or "").strip()
    for child in element:
        assert child.tag in children, (element.tag, child.tag)
        valid(child)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("fail_on", ["error", "warning"])
def test_junit(name, fail_on):
    text = junit.document([checked(name), checked(name, spec=None)], fail_on)
    assert text.isascii()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    valid(root)
    suite = root[0]
    cases = suite.findall("testcase")
    failures = 1 if fail_on == "error" else 2
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", str(failures), "0")
    assert (root.get("tests"), root.get("failures")) == ("6", str(2 * failures))
    assert len(cases) == 3
    assert len(suite.findall("testcase/failure")) == failures
    assert len(suite.findall("testcase/system-out")) == 2 - failures
    assert all(case.get("classname") == "m.ckpt" for case in cases)
    failure = cases[1].find("failure")
    assert failure.get("type") == "value"
    assert "sp,ec:1.toml, line 5, column 1" in failure.text
    assert failure.text.splitlines()[0].endswith(", bias f")


# "Workflow commands for GitHub Actions": `::command name=value,name=value::message`; the runner undoes these escapes.
COMMAND = re.compile(r"::(?P<command>error|warning|notice) (?P<properties>[^:\r\n]*)::(?P<message>[^\r\n]*)")
KNOWN = {"file", "line", "endLine", "col", "endColumn", "title"}


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    found = COMMAND.fullmatch(line)
    assert found, line
    properties = dict(pair.split("=", 1) for pair in found["properties"].split(","))
    assert set(properties) <= KNOWN
    assert all(not re.search(r"%(?!0A|0D|25|2C|3A)", value) for value in properties.values())
    assert not re.search(r"%(?!0A|0D|25)", found["message"])
    undone = {name: unescaped(value) for name, value in properties.items()}
    return found["command"], undone, unescaped(found["message"])


def unescaped(text: str) -> str:
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, char)
    return text


@pytest.mark.parametrize("name", HOSTILE)
def test_github(name):
    lines = github.lines([checked(name)]).split("\n")
    assert lines.pop() == ""
    assert [parsed(line)[0] for line in lines] == ["error", "warning"]
    _, properties, message = parsed(lines[0])
    where = {"file": "dir/sp,ec:1.toml", "line": "5", "col": "1"}
    assert properties == {**where, "title": "rnnprobe check: value"}
    assert message.startswith("m.ckpt: ")
    assert name not in message or name.isprintable()
    if name.isprintable():
        assert f"found {name}" in message


def test_github_of_what_holds_and_of_another_model():
    held = Checked(Path("m%.ckpt"), checked("x").specification, checked("x").verdicts[:1])
    assert parsed(github.lines([held]).rstrip("\n")) == ("notice", {"title": "rnnprobe check"}, "m%.ckpt: 1 rules hold")
    line = github.lines([checked("x", spec=None)]).split("\n")[0]
    assert parsed(line)[1] == {"title": "rnnprobe check: value"}


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown(name):
    text = markdown.document([checked(name)], "error")
    lines = text.split("\n")
    assert lines[0] == "### rnnprobe check: 1 of 1 model failed"
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4
    for row in rows[2:]:
        # Columns, and within them nothing but words of ours and code made of references.
        assert len(row.split("|")) == 7
        inside = re.sub(r"</?code>", "", row)
        assert not re.search(r"[<>`*_\[\]\\@!~]|#(?!\d+;)|&(?!#\d+;)|:|\.", inside), row


def test_a_long_table_is_cut():
    many = Checked(Path("m"), checked("x").specification, checked("x").verdicts[1:2] * 250)
    text = markdown.document([many], "error")
    assert text.count("\n| error") == 100
    assert text.endswith("and 150 more\n")
    assert len(text) < 65_536
