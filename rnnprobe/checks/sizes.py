"""Sizes in words: formulas whose symbols bind across the layers of a model.

A formula is a sum of products: `4 * units`, `input_size + units`, `hidden_1 + hidden_2`. `input_size`, `units`,
`output_size` and the extents of a convolution's kernel are the layer's own; every other symbol is declared under
`[sizes]`, with a number, or with "?", which the first formula that it stands in alone settles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnprobe.analysis import words as reports
from rnnprobe.cells import CELLS
from rnnprobe.cells.shapes import evaluate

ANY = "?"
_SYMBOL = re.compile(r"[A-Za-z_]\w*")
_FACTOR = r"(?:\d{1,9}|[A-Za-z_]\w*)"
_PRODUCT = rf"{_FACTOR}(?:\s*[*·]\s*{_FACTOR})*"
_FORMULA = re.compile(rf"\s*{_PRODUCT}(?:\s*\+\s*{_PRODUCT})*\s*", re.ASCII)

OWN = frozenset(
    {"input_size", "units", "output_size"}
    | {
        symbol
        for cell in CELLS
        for weight in cell.weights
        for formula in weight.shape
        for symbol in _SYMBOL.findall(formula)
    }
)
"""The symbols that mean sizes of the layer itself."""


def problem(formula: str, known: Iterable[str]) -> str:
    """What is wrong with a formula whose symbols may be these, or empty."""
    if formula == ANY:
        return ""
    if _FORMULA.fullmatch(formula) is None:
        return f'expected a whole number, a formula such as "4 * units", or "?"; found {formula!r}'
    strange = [symbol for symbol in symbols(formula) if symbol not in known]
    if strange:
        return f"no size is called {strange[0]!r}; [sizes] declares those that are not the layer's own"
    return ""


def symbols(formula: str) -> tuple[str, ...]:
    """The symbols of a formula, each once."""
    return tuple(dict.fromkeys(_SYMBOL.findall(formula)))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a specification says of some sizes that were found.

    Attributes:
        formulas: one for each.
        found: the sizes.
        own: the sizes of the layer itself.
        by: whose sizes these are, in words.
    """

    formulas: tuple[str, ...]
    found: tuple[int, ...]
    own: Mapping[str, int]
    by: str


class Sizes:
    """What the symbols of a specification stand for, as far as its claims about one model settle it."""

    def __init__(self, declared: Mapping[str, int | str]) -> None:
        self.known = {name: size for name, size in declared.items() if isinstance(size, int)}
        self.settled_by: dict[str, str] = {}

    def settle(self, claims: Iterable[Claim]) -> None:
        """Binds the open symbols: each by the first formula in which nothing else is open."""
        open_ones = [
            (formula, size, claim)
            for claim in claims
            if len(claim.formulas) == len(claim.found)
            for formula, size in zip(claim.formulas, claim.found, strict=True)
            if formula != ANY
        ]
        while any([self._bind(*one) for one in open_ones]):
            pass

    def _bind(self, formula: str, size: int, claim: Claim) -> bool:
        values = {**self.known, **claim.own}
        unknown = [symbol for symbol in symbols(formula) if symbol not in values]
        if len(unknown) != 1 or unknown[0] in OWN:
            return False
        plain = formula.replace("·", "*")
        constant = evaluate(plain, {**values, unknown[0]: 0})
        factor = evaluate(plain, {**values, unknown[0]: 1}) - constant
        found = (size - constant) // factor if factor else 0
        if found < 1 or evaluate(plain, {**values, unknown[0]: found}) != size:
            return False
        self.known[unknown[0]] = found
        self.settled_by[unknown[0]] = claim.by
        return True

    def holds(self, claim: Claim) -> bool:
        """Whether a claim is true. One with a symbol that nothing settles is not."""
        if len(claim.formulas) != len(claim.found):
            return False
        pairs = zip(claim.formulas, claim.found, strict=True)
        return all(formula == ANY or self.value(formula, claim.own) == size for formula, size in pairs)

    def value(self, formula: str, own: Mapping[str, int]) -> int | None:
        """What a formula comes to, or None where a symbol is open."""
        values = {**self.known, **own}
        if formula == ANY or any(symbol not in values for symbol in symbols(formula)):
            return None
        return evaluate(formula.replace("·", "*"), values)

    def words(self, formulas: Sequence[str], own: Mapping[str, int]) -> str:
        """Formulas as a message says them: `144 × 448 (input_size + units × 4 · units)`."""
        values = [self.value(formula, own) for formula in formulas]
        numbers = [
            ANY if formula == ANY else formula if value is None else str(value)
            for formula, value in zip(formulas, values, strict=True)
        ]
        named = [formula for formula, number in zip(formulas, numbers, strict=True) if formula != number]
        text = " × ".join(numbers) or "a scalar"
        why = f" ({reports.formulas([reports.formula(formula) for formula in formulas])})" if named else ""
        return "; ".join([text + why, *self._reasons(formulas, own)])

    def _reasons(self, formulas: Sequence[str], own: Mapping[str, int]) -> Iterator[str]:
        for symbol in dict.fromkeys(symbol for formula in formulas for symbol in symbols(formula)):
            if symbol in self.settled_by and symbol not in own:
                yield f"{symbol} = {self.known[symbol]} from {self.settled_by[symbol]}"
            elif symbol not in self.known and symbol not in own:
                yield f"nothing settles {symbol}"
