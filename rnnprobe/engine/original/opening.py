"""An original graph is opened in one of several ways: the first in which it takes the sequences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rnnprobe.engine.original.build import build
from rnnprobe.engine.original.copies import Copy, copies
from rnnprobe.engine.original.locate import Locator
from rnnprobe.engine.original.probing import Probing
from rnnprobe.engine.original.runner import Runner
from rnnprobe.errors import BadInput, Refused, RnnprobeError
from rnnprobe.recover.graph.view import view
from rnnprobe.types import Batch, Checkpoint, Layer, Network

Opened: TypeAlias = tuple[Runner, Sequence[Layer]]
"""What runs the graph, and the layers as they are run there."""
Way: TypeAlias = Callable[[], Opened]
"""Opens the graph for sequences that go in somewhere."""
Record: TypeAlias = Mapping[str, Collection[str]]
"""Layer → the signals that are wanted besides states, what is emitted and what enters."""


def opened(
    ways: Iterable[Way], batches: Sequence[Batch], path: Path, *, lesser: tuple[type[RnnprobeError], ...] = ()
) -> Opened:
    """The first way that works. Whoever takes it closes it; all others are closed.

    Args:
        ways: in which it may be opened.
        batches: the sequences.
        path: of the checkpoint, for messages.
        lesser: errors that are raised only where there are no others.

    Raises:
        BadInput, Refused: none works; what is wrong with the first.
    """
    filled = next((batch for batch in batches if np.any(batch.lengths)), None)
    problems: list[RnnprobeError] = []
    for way in ways:
        try:
            with ExitStack() as guard:
                runner, layers = way()
                guard.callback(runner.close)
                if filled is not None:
                    runner.settle(filled)
                guard.pop_all()
                return runner, layers
        except (BadInput, Refused) as exc:
            problems.append(exc)
    told = [one for one in problems if not isinstance(one, lesser)] or problems
    raise told[0] if told else BadInput("nothing of it can be run", path=path)


def by_roots(
    network: Network,
    layers: Sequence[Layer],
    batches: Sequence[Batch],
    locator: Locator,
    probing: Probing,
    record: Record | None,
) -> Iterator[Way]:
    """The ways in where the layers' input comes from, one for each copy of the network in its graph.

    Args:
        network: layers that run from what the user gives (`rnnprobe.recover.stacks.select`).
        layers: those of them that are recorded.
        batches: the sequences.
        locator: of the graph.
        probing: what else is recorded.
        record: what is wanted of layers; None: all of all.

    Raises:
        BadInput: no copy holds all the layers.
    """
    steps = max((batch.steps for batch in batches), default=0)
    for copy in copies(network, steps):
        carry = copy.steps is not None and steps > copy.steps

        def run(copy: Copy = copy, carry: bool = carry) -> Opened:
            return runner(network, copy, locator, probing, record, carry=carry), layers

        yield run


def runner(
    network: Network, copy: Copy, locator: Locator, probing: Probing, record: Record | None, *, carry: bool = False
) -> Runner:
    """What runs one copy of a network; its arguments as those of `by_roots` and `build`.

    Raises:
        BadInput, Refused: it can't be built.
    """
    built = build(network, copy, locator, carry=carry, also=probing.wanted, record=record)
    return Runner(network, copy, built, locator.view, probing)


def locator(checkpoint: Checkpoint) -> Locator:
    """Of the graph that came with a checkpoint."""
    graph = checkpoint.graph
    definition = graph.graph_def if hasattr(graph, "graph_def") else graph
    return Locator(view(graph), definition.library.function)
