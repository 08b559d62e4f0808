"""Findings as JUnit XML: a suite for each model, a case for everything that was looked at.

The elements and attributes are those of the schema that Jenkins's xUnit plugin validates with (junit-10.xsd), which
GitLab, GitHub's test reporters, Azure and CircleCI read as well. JUnit knows no warnings: a finding that does not make
the check fail stands in `system-out` of a case that passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from rnnprobe.checks.specification import Level
from rnnprobe.checks.verdict import Checked, Verdict
from rnnprobe.views.escape import plain

_FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What an XML 1.0 document can't hold, not even escaped."""


def document(checked: Sequence[Checked], fail_on: Level) -> str:
    """The XML document, in ASCII."""
    suites = ET.Element("testsuites", name="rnnprobe check")
    for each in checked:
        suites.append(_suite(each, fail_on))
    for name in ("tests", "failures", "errors"):
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="us-ascii"?>\n{ET.tostring(suites, encoding="us-ascii").decode("ascii")}\n'


def _suite(each: Checked, fail_on: Level) -> ET.Element:
    failures = each.failures(fail_on)
    suite = ET.Element(
        "testsuite",
        name=_text(str(each.model)),
        tests=str(len(each.verdicts)),
        failures=str(len(failures)),
        errors="0",
        skipped="0",
    )
    if each.specification.path is not None:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="specification", value=_text(str(each.specification.path)))
    for one in each.verdicts:
        suite.append(_case(each, one, failed=one in failures))
    return suite


def _case(each: Checked, one: Verdict, *, failed: bool) -> ET.Element:
    # Two comparisons may speak of one block.
    name = f"{one.place}: {one.expected if one.rule == 'value' else one.rule}"
    case = ET.Element("testcase", classname=_text(str(each.model)), name=_text(name))
    if one.holds:
        return case
    spot = each.where(one)
    at = f"{each.specification.path}, line {spot[0]}, column {spot[1]}" if spot else ""
    lines = [one.place, f"rule: {one.rule}", f"expected: {one.expected}", f"found: {one.found}", at]
    text = "\n".join(_text(line) for line in lines if line)
    if failed:
        failure = ET.SubElement(case, "failure", type=one.rule, message=_text(one.message))
        failure.text = text
    else:
        ET.SubElement(case, "system-out").text = f"{one.level}: {text}"
    return case


def _text(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", plain(text))
