"""What `rnnprobe check` found, in every form in which it is written.

`FORMATS` is the registry: a new form is one function and one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rnnprobe.checks.reports import reports
from rnnprobe.checks.specification import Level
from rnnprobe.checks.verdict import Checked
from rnnprobe.views import github, json_text, junit, markdown, terminal
from rnnprobe.views.screen import Screen

Render: TypeAlias = Callable[[Sequence[Checked], Level, Sequence[str]], str]
"""The models; from which level on a finding makes the check fail; notes, for the forms that have a place for them."""


def _text(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str]) -> str:
    return terminal.render(reports(checked, fail_on, notes), Screen())


def _json(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str]) -> str:
    return json_text.document("check", reports(checked, fail_on, notes))


def _junit(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str]) -> str:
    return junit.document(checked, fail_on)


def _github(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str]) -> str:
    return github.lines(checked)


def _markdown(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str]) -> str:
    return markdown.document(checked, fail_on)


@dataclass(frozen=True, slots=True)
class Format:
    """A form in which findings are written.

    Attributes:
        name: in `--format`.
        suffix: of the files that are written in it, with the dot; empty where it is for standard output alone.
        render: the text.
    """

    name: str
    suffix: str
    render: Render


FORMATS = (
    Format("text", ".txt", _text),
    Format("json", ".json", _json),
    Format("junit", ".xml", _junit),
    Format("github", "", _github),
    Format("markdown", ".md", _markdown),
)
BY_NAME = {form.name: form for form in FORMATS}
BY_SUFFIX = {form.suffix: form for form in FORMATS if form.suffix}
