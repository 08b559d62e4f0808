"""Shape formulas: `"input_size + output_size"`, `"4 * units"`, written as the reports print them, and solved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from math import prod
from typing import TypeAlias

_Terms: TypeAlias = tuple[tuple[int, tuple[str, ...]], ...]
"""A sum of products: each a number and the symbols that it is multiplied with."""


@cache
def _terms(formula: str) -> _Terms:
    found = []
    for term in formula.split("+"):
        factors = [factor.strip() for factor in term.split("*")]
        number = prod(int(factor) for factor in factors if factor.isdigit())
        found.append((number, tuple(factor for factor in factors if not factor.isdigit())))
    return tuple(found)


def evaluate(formula: str, sizes: Mapping[str, int]) -> int:
    """The number that a formula comes to.

    Raises:
        KeyError: a symbol of it is not in `sizes`.
    """
    return sum(number * prod(sizes[symbol] for symbol in symbols) for number, symbols in _terms(formula))


def formulas(size: str) -> list[str]:
    """The formulas of a `Signal.size`, one for each axis; none where a step is one number."""
    return [formula for one in size.split(",") if (formula := one.strip())]


def solve(
    shapes: Iterable[tuple[tuple[str, ...], tuple[int, ...]]],
    relations: Iterable[tuple[str, str]] = (),
    known: Mapping[str, int] | None = None,
    guesses: Mapping[str, int] | None = None,
) -> dict[str, int] | None:
    """The sizes for which every formula gives the stored shape.

    Args:
        shapes: pairs of a shape in formulas and the stored shape.
        relations: pairs of formulas that are equal besides.
        known: sizes that no shape tells.
        guesses: what sizes are that nothing tells and others follow from; the first one first.

    Returns:
        `input_size`, `units` and `output_size` (which is `units` where no shape decides it), and every other symbol,
        each at least 1; or None where no such sizes exist.
    """
    equations = [(_terms(other) + _negative(_terms(one)), 0) for one, other in relations]
    for formulas, shape in shapes:
        if len(formulas) != len(shape):
            return None
        equations += [(_terms(formula), number) for formula, number in zip(formulas, shape, strict=True)]
    sizes = dict(known or {})
    while equations:
        left = []
        for terms, number in equations:
            coefficients, constant = _reduced(terms, sizes)
            rest = number - constant
            unknown = {symbol for symbols in coefficients for symbol in symbols}
            if not unknown:
                if rest:
                    return None
                continue
            if len(unknown) > 1 or any(len(symbols) > 1 for symbols in coefficients):
                left.append((terms, number))
                continue
            ((symbol,), coefficient) = next(iter(coefficients.items()))
            size, remainder = divmod(rest, coefficient)
            if remainder or size < 1:
                return None
            sizes[symbol] = size
        if len(left) == len(equations):
            guess = next((name for name in guesses or {} if name not in sizes), None)
            if guesses and guess is not None:
                sizes[guess] = guesses[guess]
                continue
            if "units" not in sizes or "output_size" in sizes:
                return None
            sizes["output_size"] = sizes["units"]
        equations = left
    if "units" in sizes:
        sizes.setdefault("output_size", sizes["units"])
    return sizes if {"input_size", "units", "output_size"} <= sizes.keys() else None


def _negative(terms: _Terms) -> _Terms:
    return tuple((-number, symbols) for number, symbols in terms)


def _reduced(terms: _Terms, sizes: Mapping[str, int]) -> tuple[dict[tuple[str, ...], int], int]:
    """A formula with the known sizes put in: the numbers before what is unknown, and the constant."""
    coefficients: dict[tuple[str, ...], int] = {}
    constant = 0
    for number, symbols in terms:
        unknown = tuple(sorted(symbol for symbol in symbols if symbol not in sizes))
        value = number * prod(sizes[symbol] for symbol in symbols if symbol in sizes)
        if unknown:
            coefficients[unknown] = coefficients.get(unknown, 0) + value
        else:
            constant += value
    return {symbols: value for symbols, value in coefficients.items() if value}, constant
