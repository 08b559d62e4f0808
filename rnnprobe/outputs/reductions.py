"""What may be stored in place of the signals, and of which signals it can be.

Over time there is a figure for each sequence and unit, over sequences one for each step and unit. What is NaN counts
nowhere: steps past a sequence's length, and gates at steps that a mask skips.

    count        how many values there were; always stored, so that figures of several traces can be put together
    mean, std    the standard deviation is that of the values themselves, divided by their count
    min, max
    low, high    of gates whose activation has bounds (`saturation`): the shares of values near either, by
                 `MARGIN`
    histogram    counts between the `edges`, the lower of them included: `GATE_BINS` bins of one width between the
                 bounds of a gate, what lies outside in the outermost; of the other signals steps of 0.1 up to ±1, from
                 there 2, 4, 8, 16, and what lies beyond

Figures are NaN where the count is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.activations import RANGES
from rnnprobe.types import Array, Layer, Signal

NAMES = ("mean", "std", "min", "max", "histogram", "saturation")
OVER = ("time", "sequences")
MARGIN = 0.05
"""A gate counts as saturated within this share of its activation's larger bound from either of them: a sigmoid below
0.05 and above 0.95, a tanh below -0.95 and above 0.95."""
GATE_BINS = 20
COUNT, HISTOGRAM, EDGES = "count", "histogram", "edges"
FIGURES = ("mean", "std", "min", "max", "low", "high")
PARTS = (COUNT, *FIGURES, HISTOGRAM, EDGES)
"""What the arrays of a signal's reductions are called behind `<signal>_`; none has an underscore, so that no two are
called alike."""

_OUTWARD = (2.0, 4.0, 8.0, 16.0, np.inf)
Stored = TypeVar("Stored")


@dataclass(frozen=True, slots=True)
class Part:
    """An array of a signal's reductions.

    Attributes:
        name: one of `PARTS`.
        kind: a figure, how many values, or the edges of bins.
        edges: of a histogram and of its edges, where the bins begin and where the last one ends; else none.
    """

    name: str
    kind: Literal["figure", "count", "edges"] = "figure"
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def parts(layer: Layer, signal: Signal, names: Sequence[str]) -> tuple[Part, ...]:
    """The arrays that `names` mean for a signal; none where they mean none."""
    found = [Part(name) for name in FIGURES if name in names]
    limits = bounds(layer, signal)
    if "saturation" in names and limits is not None:
        found += [Part("low"), Part("high")]
    if HISTOGRAM in names:
        between = edges(limits)
        found += [Part(HISTOGRAM, "count", between), Part(EDGES, "edges", between)]
    return (Part(COUNT, "count"), *found) if found else ()


def bounds(layer: Layer, signal: Signal) -> tuple[float, float] | None:
    """The bounds of the activation that a gate went through; None where there are none, or it is no gate."""
    return RANGES.get(str(layer.settings.get(signal.activation, "")))


def edges(limits: tuple[float, float] | None) -> NDArray[np.float64]:
    """Where the bins of a histogram begin, and where the last one ends."""
    if limits is not None:
        return np.linspace(*limits, GATE_BINS + 1)
    return np.array([*(-edge for edge in reversed(_OUTWARD)), *(np.arange(-10, 11) / 10), *_OUTWARD])


def parts_in(arrays: Mapping[str, Stored], array: str) -> dict[str, Stored]:
    """Of the arrays of a layer, the reductions of the signal whose array would be called `array`."""
    return {part: arrays[f"{array}_{part}"] for part in PARTS if f"{array}_{part}" in arrays}


def near(values: Array, limits: tuple[float, float]) -> tuple[Array, Array]:
    """Which values are near the lower, and which near the upper of two bounds, by `MARGIN`."""
    bottom, top = limits
    margin = MARGIN * max(abs(bottom), abs(top))
    return values < bottom + margin, values > top - margin
