"""How long a run will take: its beginning is run and timed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from rnnprobe.cells.layers import products
from rnnprobe.recover import stacks
from rnnprobe.types import Batch, Block, Network, Recording

_PIECE = 0.2
"""Seconds that are timed in one piece: many a call, and few a compilation."""

_ENOUGH = 2.0
"""Seconds that are timed once the first block, for which everything is compiled, is there."""

_PRODUCTS = 5e10
"""Multiplications of weights in what is run, a second or two of them; no more than `_STEPS` steps, no fewer than
`_FEWEST`: where a layer is not recorded, no block comes before it is through a sequence."""

_STEPS = 50_000
_FEWEST = 64


@dataclass(frozen=True, slots=True)
class Pace:
    """What a run will take.

    Attributes:
        seconds: of the whole run.
        steps: that were run to tell (`Recording.work`).
    """

    seconds: float
    steps: int


def beginning(network: Network, batches: Sequence[Batch]) -> tuple[Batch, ...] | None:
    """The batches, long ones cut to what runs in seconds; None where they can't be cut, since a network with transforms
    may want the whole of a sequence."""
    rows = max((len(batch.rows) for batch in batches), default=1)
    steps = max(_FEWEST, min(_STEPS, int(_PRODUCTS / max(1, products(network.layers) * rows))))
    if all(batch.steps <= steps for batch in batches):
        return tuple(batches)
    return tuple(_cut(batch, steps) for batch in batches) if stacks.plain(network) else None


def _cut(batch: Batch, steps: int) -> Batch:
    lengths = np.minimum(batch.lengths, steps)
    return replace(batch, lengths=lengths, steps=int(lengths.max(initial=0)))


def pace(blocks: Iterator[Block], recording: Recording, clock: Callable[[], float] = perf_counter) -> Pace:
    """Runs for a few seconds, and takes it that the rest goes on like that.

    What is compiled on the way is no rule for the rest: of the pieces that were timed, the one of middling speed is.

    Args:
        blocks: of the run over its `beginning`; none is kept, and the run is ended.
        recording: all of it.
        clock: in seconds.
    """
    begun = first = before = now = clock()
    done = since = 0
    speeds: list[float] = []
    try:
        for number, block in enumerate(blocks):
            now = clock()
            done += block.work
            if not number:
                first = before = now
                continue
            since += block.work
            if since and now - before >= _PIECE:
                speeds.append(since / (now - before))
                before, since = now, 0
            if now - first >= _ENOUGH:
                break
    finally:
        if isinstance(blocks, Generator):
            blocks.close()
    left = max(0, recording.work() - done)
    if not done or not left:
        return Pace(now - begun, done)
    if not speeds:  # all of it took less than a piece: the first block counts where there is no other
        speeds.append(since / (now - before) if since and now > before else done / max(now - begun, 1e-9))
    return Pace(now - begun + left / median(speeds), done)
