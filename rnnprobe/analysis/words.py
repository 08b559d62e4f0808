"""How values are written in the reports' tables. JSON has the values themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rnnprobe.types import OptionValue

_BARS = "▁▂▃▄▅▆▇█"


def number(value: float, digits: int = 3) -> str:
    """Three significant digits: `0.125`, `-12.5`, `1.25e-05`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    return f"{value:#.{digits}g}".removesuffix(".")


def precise(value: float) -> str:
    """Four significant digits."""
    return number(value, 4)


def share(value: float) -> str:
    """A share of one in percent; what is not nothing never reads as 0 %, nor what is not all as 100 %."""
    if value == 0:
        return "0 %"
    if value == 1:
        return "100 %"
    if value < 0.001:
        return "<0.1 %"
    return ">99.9 %" if value > 0.999 else percent(value)


def percent(value: float) -> str:
    """Any ratio in percent."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else number(value)


def count(value: int) -> str:
    """`1,234,567`."""
    return f"{value:,}"


def size(nbytes: int) -> str:
    """Bytes as people write them, decimal: `870.7 kB`."""
    if nbytes < 1000:
        return f"{nbytes} B"
    amount = float(nbytes)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95 or unit == "TB":
            break
    return f"{amount:.1f} {unit}"


def duration(seconds: float) -> str:
    """A time as people say it: `about 3 min`."""
    if seconds < 1:
        return "less than 1 s"
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < length * most:
            return f"about {seconds / length:.2g} {unit}"
    return f"about {seconds / 86400:,.3g} days"


def shape(sizes: Sequence[int]) -> str:
    """`193 × 512`; of a scalar, `scalar`."""
    return " × ".join(str(number) for number in sizes) or "scalar"


def formula(text: str) -> str:
    """A shape formula as the reports print it: `4 * units` → `4 · units`."""
    return text.replace("*", "·")


def formulas(texts: Sequence[str]) -> str:
    """The formulas of each axis: `(input_size + units) × 4 · units`."""
    if len(texts) == 1:
        return texts[0]
    return " × ".join(f"({text})" if "+" in text else text for text in texts)


def sparkline(counts: Sequence[int]) -> str:
    """A bar for each bin; a bin that holds anything has a bar that can be seen, an empty one is blank."""
    most = max(counts, default=0)
    return "".join(
        _BARS[min(math.ceil(count / most * len(_BARS)), len(_BARS)) - 1] if count else " " for count in counts
    )


def option(value: OptionValue) -> str:
    """The value of an option: `none` where it is off, `2 × 1` where it has a number for each axis."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return shape(value)
    return str(value)


_FLAGS = {"padding": "--conv-padding"}
"""Where the plain word means something else: `verify --padding`."""


def flag(name: str) -> str:
    """The flag that sets an option: `--forget-bias`."""
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def few(names: Iterable[str], most: int = 4) -> str:
    """Names one after another, the first few of them."""
    names = list(names)
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def counted(amount: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{amount:,} {noun if amount == 1 else noun + 's'}"


def curve(values: Sequence[float], most: int = 24) -> str:
    """A line of bars from the lowest to the highest of some values, at most `most` of them, evenly spread."""
    if len(values) > most:
        values = [values[round(k * (len(values) - 1) / (most - 1))] for k in range(most)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else "?" for value in values)
