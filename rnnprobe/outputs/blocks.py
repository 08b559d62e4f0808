"""Did every step of every layer come, and every output?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

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
        self._outcomes: Counter[tuple[int, str]] = Counter()

    def add(self, block: Block) -> None:
        """Counts a block."""
        for layer, recorded in block.signals.items():
            self._steps[block.batch.first, layer] += max((values.shape[0] for values in recorded.values()), default=0)
        for name in block.outcomes:
            self._outcomes[block.batch.first, name] += 1

    def check(self) -> None:
        """Raises `RuntimeError` where steps or outputs are missing or came twice."""
        for layer in self._recording.layers:
            lengths = self._recording.lengths.get(layer.name)
            for batch in self._recording.batches:
                expected = batch.steps if lengths is None else int(lengths[batch.rows].max(initial=0))
                found = self._steps[batch.first, layer.name]
                if self._recording.signals[layer.name] and found != expected:
                    raise RuntimeError(
                        f"{layer.name}: {found} steps recorded of the batch at {batch.first}, expected {expected}"
                    )
        for outcome in self._recording.outcomes:
            for batch in self._recording.batches:
                if (times := self._outcomes[batch.first, outcome.name]) != 1:
                    raise RuntimeError(
                        f"{outcome.name}: the batch at {batch.first} gave this output {times} times, expected once"
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

    def verified(self, verification: Mapping[str, str | float | int]) -> None:
        """Passes it on."""
        self._sink.verified(verification)
