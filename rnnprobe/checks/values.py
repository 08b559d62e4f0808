"""Comparisons of what is in a layer's weights, as a specification writes them.

    forget.bias.mean >= 0.5             a figure of a gate's block
    kernel.norm == 12.5 +- 5 %          of the block of every gate, each by itself; +- 0.1 is an absolute tolerance
    0 <= reset.recurrent_kernel.radius < 2
    projection.zeros <= 0.9             of a part that has no gates

A comparison is `[gate.]part.figure`, with a number on one side or on both. Nothing of it is evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import ge, gt, le, lt

FIGURES = ("norm", "radius", "min", "mean", "max", "std", "zeros")
"""Attributes of `rnnprobe.analysis.figures.Figures`."""

GATES = {
    "input": ("i",),
    "forget": ("f",),
    "output": ("o",),
    "reset": ("r",),
    "update": ("z",),
    "candidate": ("g", "n"),
}
"""Gates in words; their letters go as well."""

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_PLACE = r"(?:(?P<gate>\w+)\.)?(?P<part>\w+)\.(?P<figure>\w+)"
_SIGN = r"<=|>=|<|>"
_ONE = re.compile(rf"\s*{_PLACE}\s*(?P<sign>{_SIGN})\s*(?P<number>{_NUMBER})\s*", re.ASCII)
_TWO = re.compile(
    rf"\s*(?P<low>{_NUMBER})\s*(?P<left><=?)\s*{_PLACE}\s*(?P<right><=?)\s*(?P<high>{_NUMBER})\s*", re.ASCII
)
_NEAR = re.compile(
    rf"\s*{_PLACE}\s*==\s*(?P<number>{_NUMBER})\s*(?:(?:\+-|±)\s*(?P<tolerance>{_NUMBER})\s*(?P<percent>%?))?\s*"
)
_SIGNS = {"<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure of some blocks, and the bounds that it must be in.

    Attributes:
        text: as it was written.
        gates: the letters that the gate may have; empty for the block of every gate.
        part: `kernel`, `recurrent_kernel`, `bias` …
        figure: one of `FIGURES`.
        bounds: signs and numbers: `(">=", 0.5)`.
    """

    text: str
    gates: tuple[str, ...]
    part: str
    figure: str
    bounds: tuple[tuple[str, float], ...]

    def holds(self, value: float) -> bool:
        """Whether a figure is in the bounds; what is no number is in none."""
        return all(_SIGNS[sign](value, number) for sign, number in self.bounds)


def bound(text: str) -> Bound:
    """A comparison from its text.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    found = _ONE.fullmatch(text) or _TWO.fullmatch(text) or _NEAR.fullmatch(text)
    if found is None:
        raise ValueError(f'expected a comparison such as "forget.bias.mean >= 0.5", found {text!r}')
    words = found.groupdict()
    if words["figure"] not in FIGURES:
        raise ValueError(f"{words['figure']!r} is no figure; known are {', '.join(FIGURES)}")
    gate = words["gate"] or ""
    letters = GATES.get(gate, (gate,) if gate else ())
    return Bound(text, letters, words["part"], words["figure"], _bounds(words))


def _bounds(words: dict[str, str | None]) -> tuple[tuple[str, float], ...]:
    if "low" in words:
        signs = {"<": ">", "<=": ">="}
        return (signs[words["left"] or ""], float(words["low"] or "")), (
            words["right"] or "",
            float(words["high"] or ""),
        )
    number = float(words["number"] or "")
    if "sign" in words:
        return ((words["sign"] or "", number),)
    tolerance = abs(float(words["tolerance"] or 0))
    if words["percent"]:
        tolerance *= abs(number) / 100
    return (">=", number - tolerance), ("<=", number + tolerance)


def near(gate: str, part: str, figure: str, value: float, tolerance: str) -> str:
    """The text of a comparison: `f.bias.mean == 0.98 +- 0.1`."""
    place = f"{gate}.{part}" if gate else part
    return f"{place}.{figure} == {value:.6g} +- {tolerance}"


def unknown(wanted: Bound, parts: Iterable[tuple[str, str]]) -> str:
    """Why a comparison speaks of none of a layer's blocks, `(part, gate)` each."""
    there = list(parts)
    if wanted.part not in {part for part, _ in there}:
        return f"no {wanted.part}; there are {', '.join(dict.fromkeys(part for part, _ in there))}"
    gates = [gate for part, gate in there if part == wanted.part and gate]
    return f"no gate {' or '.join(wanted.gates)} in its {wanted.part}, which has {', '.join(gates) or 'none'}"
