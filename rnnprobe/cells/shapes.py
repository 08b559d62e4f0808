"""Shape formulas: `"input_size + output_size"`, `"4 * units"`, written as the reports print them, and solved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache


@cache
def _terms(formula: str) -> tuple[dict[str, int], int]:
    """A formula as coefficients by symbol and a constant."""
    coefficients: dict[str, int] = {}
    constant = 0
    for term in formula.split("+"):
        factors = [factor.strip() for factor in term.split("*")]
        number = 1
        symbol = ""
        for factor in factors:
            if factor.isdigit():
                number *= int(factor)
            else:
                symbol = factor
        if symbol:
            coefficients[symbol] = coefficients.get(symbol, 0) + number
        else:
            constant += number
    return coefficients, constant


def evaluate(formula: str, sizes: Mapping[str, int]) -> int:
    """The number that a formula comes to.

    Raises:
        KeyError: a symbol of it is not in `sizes`.
    """
    coefficients, constant = _terms(formula)
    return constant + sum(number * sizes[symbol] for symbol, number in coefficients.items())


def solve(shapes: Iterable[tuple[tuple[str, ...], tuple[int, ...]]]) -> dict[str, int] | None:
    """The sizes for which every formula gives the stored shape.

    Args:
        shapes: pairs of a shape in formulas and the stored shape.

    Returns:
        `input_size`, `units` and `output_size` (which is `units` where no shape decides it), and every other symbol,
        each at least 1; or None where no such sizes exist.
    """
    equations: list[tuple[str, int]] = []
    for formulas, shape in shapes:
        if len(formulas) != len(shape):
            return None
        equations += zip(formulas, shape, strict=True)
    sizes: dict[str, int] = {}
    while equations:
        left = []
        for formula, number in equations:
            coefficients, constant = _terms(formula)
            unknown = [symbol for symbol in coefficients if symbol not in sizes]
            if len(unknown) > 1:
                left.append((formula, number))
                continue
            rest = number - constant - sum(n * sizes[s] for s, n in coefficients.items() if s in sizes)
            if not unknown:
                if rest:
                    return None
                continue
            size, remainder = divmod(rest, coefficients[unknown[0]])
            if remainder or size < 1:
                return None
            sizes[unknown[0]] = size
        if len(left) == len(equations):
            if "units" not in sizes or "output_size" in sizes:
                return None
            sizes["output_size"] = sizes["units"]
        equations = left
    if "units" in sizes:
        sizes.setdefault("output_size", sizes["units"])
    return sizes if {"input_size", "units", "output_size"} <= sizes.keys() else None
