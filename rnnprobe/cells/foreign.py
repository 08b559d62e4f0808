"""A recurrence that no cell of ours rebuilds: an original graph computes it, and a trace holds what was seen of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rnnprobe.types import Cell, OptionValue, Signal, Xp

NAME = "graph"
"""The name and the framework of such a cell; it is none of `CELLS`."""


def foreign(title: str, signals: Iterable[Signal]) -> Cell:
    """The cell of a recurrence of an original graph.

    Args:
        title: what kind of recurrence it is: `dynamic_rnn`, `while loop` …
        signals: what is recorded of it; their sizes are numbers.
    """
    return Cell(
        name=NAME,
        title=title,
        framework="graph",
        scopes=(),
        classes=(),
        weights=(),
        gates=(),
        spelled=(),
        order=(),
        signals=tuple(signals),
        options=(),
        project=_project,
        step=_step,
    )


def _project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    raise TypeError("a recurrence of an original graph is not rebuilt")


def _step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    raise TypeError("a recurrence of an original graph is not rebuilt")
