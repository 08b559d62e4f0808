"""Did every step of every layer come?"""

from __future__ import annotations

from collections import Counter

from rnnprobe.outputs.output import Sink
from rnnprobe.types import Block, Recording


class Tally:
    """Counts the steps of blocks, so that a gap is a fault and not a stretch of NaN.

    Args:
        recording: what they must add up to.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._steps: Counter[tuple[int, str]] = Counter()

    def add(self, block: Block) -> None:
        """Counts a block."""
        for layer, recorded in block.signals.items():
            self._steps[block.batch.start, layer] += max((values.shape[0] for values in recorded.values()), default=0)

    def check(self) -> None:
        """Raises `RuntimeError` where steps are missing or came twice."""
        for batch in self._recording.batches:
            for layer in self._recording.layers:
                found = self._steps[batch.start, layer.name]
                if self._recording.signals[layer.name] and found != batch.steps:
                    raise RuntimeError(
                        f"{layer.name}: {found} steps recorded of the batch at {batch.start}, expected {batch.steps}"
                    )


class Tallied:
    """A sink that counts what it passes on.

    Args:
        sink: takes the blocks.
        tally: counts them.
    """

    def __init__(self, sink: Sink, tally: Tally) -> None:
        self._sink = sink
        self._tally = tally

    def write(self, block: Block) -> None:
        """Counts and passes on."""
        self._tally.add(block)
        self._sink.write(block)
