"""Findings as reports, before they are text.

Reports and the keys of their rows, in JSON as here:

    findings  model, rule (`rnnprobe.checks.verdict.Rule`), level, place (in words), layer, tensor, what (the role,
              part, option or signal), gate (each null where it does not apply), expected, found, specification (the
              file; null where another model is the specification), line, column (where it says so)
    models    model, holds, rules (how many things were looked at), errors, warnings
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.checks.specification import Level
from rnnprobe.checks.verdict import Checked, Verdict
from rnnprobe.types import Column, Report

_FINDINGS = (
    Column("level", "level"),
    Column("place", "place"),
    Column("rule", "rule"),
    Column("expected", "expected"),
    Column("found", "found"),
)
_MODELS = (
    Column("model", "model"),
    Column("holds", "holds", lambda value: "yes" if value else "NO"),
    Column("rules", "rules", words.count, right=True),
    Column("errors", "errors", words.count, right=True),
    Column("warnings", "warnings", words.count, right=True),
)


def reports(checked: Sequence[Checked], fail_on: Level, notes: Sequence[str] = ()) -> tuple[Report, ...]:
    """A table of findings for each model that has some, and what it comes to for each.

    Args:
        checked: the models.
        fail_on: from which level on a finding makes the check fail.
        notes: what is said below.
    """
    tables = [
        Report("findings", str(each.model), _FINDINGS, tuple(finding(each, one) for one in each.findings))
        for each in checked
    ]
    summary = Report("models", "Check", _MODELS, tuple(_model(each, fail_on) for each in checked), tuple(notes))
    return *tables, summary


def finding(each: Checked, one: Verdict) -> dict[str, Any]:
    """The row of a finding."""
    line, column = each.where(one) or (None, None)
    path = each.specification.path
    return {
        "model": str(each.model),
        "rule": one.rule,
        "level": one.level,
        "place": one.place,
        "layer": one.layer or None,
        "tensor": one.tensor or None,
        "what": one.what or None,
        "gate": one.gate or None,
        "expected": one.expected,
        "found": one.found,
        "specification": None if path is None else str(path),
        "line": line,
        "column": column,
    }


def _model(each: Checked, fail_on: Level) -> dict[str, Any]:
    levels = [one.level for one in each.findings]
    return {
        "model": str(each.model),
        "holds": not each.failures(fail_on),
        "rules": len(each.verdicts),
        "errors": levels.count("error"),
        "warnings": levels.count("warning"),
    }
