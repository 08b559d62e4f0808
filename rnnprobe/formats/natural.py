"""Names in the order in which people count: `cell_10` after `cell_9`."""

from __future__ import annotations

import re


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key: runs of digits count as numbers, of any length, and come after other text."""
    return [_key(run) for run in re.split(r"(\d+)", name)]


def _key(run: str) -> tuple[int, str]:
    # Compared by length, then digit by digit: int() refuses numbers as long as a hostile name may hold.
    digits = run.lstrip("0")
    return (len(digits), digits) if run.isdecimal() else (-1, run)
