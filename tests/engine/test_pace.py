"""How long a run will take, as its beginning tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnprobe.engine import pace as measured
from rnnprobe.engine.pace import beginning, pace
from rnnprobe.types import Block, Checkpoint, Feed, Network, Recording

from ..cells.made import layer as made
from ..outputs.recordings import BY_NAME, layer, outcome, recording


class Clock:
    """Seconds that pass as a run says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(what: Recording, steps: int, seconds: list[float], clock: Clock, ended: list[bool]) -> Iterator[Block]:
    """Blocks of so many steps of each layer, each after so long."""
    try:
        for each in seconds:
            clock.now += each
            signals = {one.name: {"h": np.zeros((steps, 1, 3), "f4")} for one in what.layers}
            yield Block(what.batches[0], 0, signals)
    finally:
        ended.append(True)


@pytest.mark.parametrize(
    ("seconds", "expected", "blocks"),
    [
        # 1,000 blocks of 10 steps; the first compiles for 5 s, then 0.1 s each.
        ([5.0] + [0.1] * 999, 5 + 99.9, 21),
        # A second compilation on the way is no rule.
        ([5.0, 0.1, 0.1, 1.3] + [0.1] * 996, 5 + 0.1 * 998 + 1.3, 9),
        # Blocks that take long.
        ([5.0] + [3.0] * 999, 5 + 3.0 * 999, 2),
        # Quicker than the clock: all of it was run.
        ([1.0] + [0.0001] * 999, 1.0999, 1000),
    ],
)
def test_the_rest_goes_on_like_the_beginning(seconds: list[float], expected: float, blocks: int) -> None:
    what = recording([layer("a"), layer("b", "gru")], [[10_000]], record=["h"])
    clock, ended = Clock(), []
    found = pace(run(what, 10, seconds, clock, ended), what, clock)
    assert found.seconds == pytest.approx(expected, rel=0.02)
    assert found.steps == pytest.approx(2 * 10 * blocks, abs=40)
    assert ended == [True]


def test_a_beginning_of_one_block() -> None:
    what = recording([layer("a")], [[1000]], record=["h"])
    clock = Clock()
    assert pace(run(what, 100, [2.0], clock, []), what, clock).seconds == pytest.approx(20.0)
    assert pace(run(what, 100, [2.0, 0.1], clock, []), what, clock).seconds == pytest.approx(2.1 + 0.8)
    nothing = recording([layer("a")], [[0]], record=["h"])
    assert pace(run(nothing, 0, [0.5], clock, []), nothing, clock).seconds == pytest.approx(0.5)


def test_outputs_alone() -> None:
    what = recording([], [[5], [5], [5], [5]], outcomes=[outcome("y", (2,))])
    clock = Clock()

    def blocks() -> Iterator[Block]:
        clock.now += 1
        yield Block(what.batches[0], 0, {}, outcomes={"y": np.zeros((1, 2))})

    assert pace(blocks(), what, clock).seconds == pytest.approx(4.0)


def test_the_beginning_is_cut_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    what = recording([], [[300, 5], [40, 80]])
    one = replace(made(BY_NAME["basic_lstm"]), feed=Feed(("input",)))
    network = Network(Checkpoint(Path("m"), "made", {}), (one,))
    assert beginning(network, what.batches) == what.batches
    monkeypatch.setattr(measured, "_STEPS", 64)
    cut = beginning(network, what.batches)
    assert cut is not None
    assert [batch.steps for batch in cut] == [64, 64]
    assert [batch.lengths.tolist() for batch in cut] == [[64, 5], [40, 64]]
    np.testing.assert_array_equal(cut[0].load(3, 9), what.batches[0].load(3, 9))
    whole = replace(network, outputs={"y": network.layers[0].feed})
    assert beginning(whole, what.batches) is None
