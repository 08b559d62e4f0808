"""The original graph, run as it stands on what the file holds: what rebuilt TensorFlow layers are compared with.

Of the graph that came with the weights, what leads to the recurrent layers is kept and checked against a list of
operations; the weights are fed, the user's sequences go in where the recurrence's input comes from outside, and states
and gates are recorded inside its loops. What enters the cells is recorded too, and has to be what was given.

A probe (`Probe`) records any recurrence, also one that nothing rebuilds, and any tensor; sequences then go in at the
graph's placeholders where they must, and whatever else it asks for is fed by name. `entering` takes from such a run
what enters the layers that are rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnnprobe.engine.original.copies import Unfed
from rnnprobe.engine.original.entering import Entered, entering
from rnnprobe.engine.original.joining import Extents
from rnnprobe.engine.original.opening import Record, by_roots, locator, opened
from rnnprobe.engine.original.probe import Probe
from rnnprobe.engine.original.probing import Probing
from rnnprobe.errors import BadInput
from rnnprobe.types import Batch, Block, Network

__all__ = ["Entered", "OriginalGraph", "Probe", "entering"]


class OriginalGraph:
    """A network's original graph, ready to run over batches.

    Args:
        network: layers that run from what the user gives (`rnnprobe.recover.stacks.select`), of a checkpoint that came
            with its graph.
        batches: the input; the first sequences of it show how the graph wants them.
        record: layer → its signals that are wanted besides the states and what is emitted; None: all of all layers.

    Raises:
        BadInput: it can't be run on these sequences, and why.
        Refused: it would have to run an operation that is not on the list.
    """

    def __init__(self, network: Network, batches: Sequence[Batch], *, record: Record | None = None) -> None:
        path = network.checkpoint.path
        if any(layer.feed.evidence == "flag" for layer in network.layers):
            raise BadInput(
                "can't be run: the layers are given an input of their own; the graph computes what enters them",
                path=path,
                hint="leave --own-input out",
            )
        _one_clock(network, batches)
        self._batches = batches
        ways = by_roots(network, network.layers, batches, locator(network.checkpoint), Probing(), record)
        self._runner, _ = opened(ways, batches, path)

    def blocks(self) -> Iterator[Block]:
        """One block for each batch, laid out as those of `rnnprobe.engine.trace`."""
        try:
            for batch in self._batches:
                yield self._runner.join(batch).block(Extents())
        finally:
            self.close()

    def close(self) -> None:
        """Ends the session, if it has not ended; the end of `blocks` does so too."""
        self._runner.close()

    @property
    def told_lengths(self) -> bool:
        """Whether the graph is told how long the sequences are, and is given them padded."""
        return self._runner.told_lengths

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say of how it was run."""
        return self._runner.notes


def _one_clock(network: Network, batches: Sequence[Batch]) -> None:
    """Refuses inputs that are read step by step and have lengths of their own.

    Raises:
        Unfed: a probe, which records every layer along its own steps, takes them.
    """
    whole = {source for layer in network.layers if layer.context is not None for source in layer.context.sources}
    for batch in batches:
        for name, beside in batch.beside.items():
            if name not in whole and not np.array_equal(beside.lengths, batch.lengths):
                raise Unfed(f"can't be run: {name!r} has lengths of its own", path=network.checkpoint.path)
