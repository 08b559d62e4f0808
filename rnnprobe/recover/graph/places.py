"""Where in the graph each layer is: the tensors of its input, states and gates, for each pass over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.runs import Run
from rnnprobe.recover.graph.trace import Part
from rnnprobe.types import Tap, Use


def uses(
    numbers: Sequence[int],
    runs: Sequence[Run],
    feeds: Sequence[tuple[Part, ...]],
    memories: Mapping[int, tuple[Part, ...]],
    applications: Sequence[Application],
    known: Mapping[int, Use],
) -> tuple[Use, ...]:
    """The uses that a graph makes of one layer.

    Args:
        numbers: its runs.
        runs: every run.
        feeds: what enters each of them; a part of kind `run` names a run.
        memories: what those attend to that attend to something.
        applications: what the runs' steps are.
        known: the uses that are known already, but for what feeds them.
    """
    return tuple(
        replace(
            known.get(number) or _use(number, runs[number], applications),
            number=number,
            below=tuple(int(part.source) for part in (*feeds[number], *memories.get(number, ())) if part.kind == "run"),
            roots=tuple(part.root for part in feeds[number] if part.kind != "run"),
            memory=tuple(part.root for part in memories.get(number, ()) if part.kind != "run"),
        )
        for number in numbers
    )


def _use(number: int, run: Run, applications: Sequence[Application]) -> Use:
    steps = [applications[step] for step in run.steps]
    first = steps[0]
    carried, starts = {"h": Tap(first.h_in)}, {"h": run.initial}
    if first.c is not None:
        carried["c"], starts["c"] = Tap(first.c[0]), run.initial_c
    return Use(
        number,
        tuple(step.inputs for step in steps),
        tuple(_signals(step) for step in steps),
        carried,
        starts,
        run.looped,
        first.fused,
        reach=first.memory[1] if first.memory is not None else None,
    )


def _signals(step: Application) -> dict[str, Tap]:
    found = dict(step.inner)
    if step.h_out is not None:
        found["h"] = Tap(step.h_out)
    if step.c is not None:
        found["c"] = Tap(step.c[1])
    return found
