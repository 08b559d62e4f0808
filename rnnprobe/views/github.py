"""Findings as the annotation lines of GitHub Actions, at the line of the specification that asks for it.

    ::error file=spec.toml,line=12,col=1,title=rnnprobe check%3A units::model.ckpt: …

The grammar is that of "Workflow commands for GitHub Actions": `::command name=value,…::message`, in which a message has
%, CR and LF, and a value also `:` and `,`, as `%` and two hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnnprobe.checks.verdict import Checked, Verdict
from rnnprobe.views.escape import plain

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def lines(checked: Sequence[Checked]) -> str:
    """A line for each finding; a notice for a model without any."""
    return "".join(f"{line}\n" for each in checked for line in _lines(each))


def _lines(each: Checked) -> Iterator[str]:
    for one in each.findings:
        yield _command(one.level, _properties(each, one), f"{each.model}: {one.message}")
    if not each.findings:
        yield _command("notice", {"title": "rnnprobe check"}, f"{each.model}: {len(each.verdicts)} rules hold")


def _properties(each: Checked, one: Verdict) -> dict[str, str]:
    found: dict[str, str] = {}
    path, spot = each.specification.path, each.where(one)
    if path is not None:
        found["file"] = path.as_posix()
        if spot is not None:
            found |= {"line": str(spot[0]), "col": str(spot[1])}
    return {**found, "title": f"rnnprobe check: {one.rule}"}


def _command(name: str, properties: dict[str, str], message: str) -> str:
    given = ",".join(f"{key}={_escaped(value, _PROPERTY)}" for key, value in properties.items())
    return f"::{name} {given}::{_escaped(message, _DATA)}"


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(char, char) for char in plain(text))
