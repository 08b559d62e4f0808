"""Findings as tables for the comment on a pull request, in GitHub's Markdown.

Whatever comes from a file stands in `<code>` with its punctuation as character references: these never start anything
in Markdown, be it a column, a link, a mention or a tag.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnprobe.analysis import words
from rnnprobe.checks.specification import Level
from rnnprobe.checks.verdict import Checked
from rnnprobe.views.escape import plain

_MOST = 100
"""Findings listed of a model; a comment on GitHub holds 65,536 characters."""


def document(checked: Sequence[Checked], fail_on: Level) -> str:
    """A heading and, for each model, what was found."""
    failed = sum(bool(each.failures(fail_on)) for each in checked)
    verdict = f"{failed} of {words.counted(len(checked), 'model')} failed" if failed else "the check holds"
    parts = [f"### rnnprobe check: {verdict}", *(_model(each) for each in checked)]
    return "\n\n".join(parts) + "\n"


def _model(each: Checked) -> str:
    levels = [one.level for one in each.findings]
    counts = ", ".join(words.counted(levels.count(level), level) for level in ("error", "warning") if level in levels)
    head = f"**{_code(str(each.model))}**: {counts or 'nothing found'} ({words.counted(len(each.verdicts), 'rule')})"
    if not levels:
        return head
    rows = [
        f"| {one.level} | {_code(one.place)} | {one.rule} | {_code(one.expected)} | {_code(one.found)} |"
        for one in each.findings[:_MOST]
    ]
    table = "\n".join(["| level | place | rule | expected | found |", "| --- | --- | --- | --- | --- |", *rows])
    left = len(each.findings) - _MOST
    return f"{head}\n\n{table}" + (f"\n\nand {left} more" if left > 0 else "")


def _code(text: str) -> str:
    return f"<code>{''.join(_character(char) for char in plain(text))}</code>"


def _character(char: str) -> str:
    return char if char in " /-,()=+" or char.isalnum() or not char.isascii() else f"&#{ord(char)};"
