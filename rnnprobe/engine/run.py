"""A network over its batches, stage by stage and block by block."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from rnnprobe.cells.layers import signal_shapes, taken_up
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.engine import transforms
from rnnprobe.engine.abreast import abreast, most_at_once
from rnnprobe.engine.compilation import Compilation
from rnnprobe.engine.passes import Pass, plan
from rnnprobe.engine.running import Running
from rnnprobe.engine.source import Source
from rnnprobe.engine.transforms import Operation
from rnnprobe.engine.values import Values
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Block, Feed, Layer, Network, Outcome

Initial: TypeAlias = Mapping[str, Mapping[str, Array]]
"""Layer → state → `[sequences, *shape]`, for all sequences of the input."""


def trace(
    network: Network,
    batches: Sequence[Batch],
    record: Mapping[str, Sequence[str]],
    *,
    initial: Initial | None = None,
    carry: bool = False,
    outcomes: Sequence[Outcome] = (),
    compilation: Compilation | None = None,
    ordered: bool = False,
) -> Generator[Block]:
    """Runs every batch and yields what was recorded: as `Engine`, once.

    Args:
        network, record, outcomes: as `Engine` takes them.
        batches, initial, carry, ordered: as `Engine.over` takes them.
        compilation: how the run is cut and compiled; None: as suits these batches (`rnnprobe.engine.compilation`).
    """
    compilation = compilation if compilation is not None else Compilation.of(network, batches)
    engine = Engine(network, record, outcomes=outcomes, compilation=compilation)
    return engine.over(batches, initial=initial, carry=carry, ordered=ordered)


class Engine:
    """A network that is ready to run, again and again: what is compiled stays so.

    Args:
        network: what runs from the inputs (`rnnprobe.recover.stacks.select`), as `extents` returned it.
        record: layer → signals; a layer that is not named runs where others need it, and is not recorded.
        outcomes: those of the model's outputs, as `extents` returned them, that a block at the end of each batch holds.
        compilation: how the run is cut and compiled.
    """

    def __init__(
        self,
        network: Network,
        record: Mapping[str, Sequence[str]],
        *,
        outcomes: Sequence[Outcome] = (),
        compilation: Compilation,
    ) -> None:
        self._record, self._outcomes = record, outcomes
        self._dtype = stacks.compute_dtype(network.layers)
        self._wanted = {outcome.name: network.outputs[outcome.name] for outcome in outcomes}
        self._source = Source(network, self._dtype)
        self._work = [
            [
                Running.of(stage, record, self._dtype, compilation)
                if isinstance(stage, Pass)
                else Operation(stage, network, self._dtype)
                for stage in together
            ]
            for together in plan(network, record, tuple(self._wanted.values()))
        ]

    def over(
        self,
        batches: Sequence[Batch],
        *,
        initial: Initial | None = None,
        carry: bool = False,
        ordered: bool = False,
    ) -> Generator[Block]:
        """Runs every batch and yields what was recorded: of batches that run at once a block of each in turn.

        Memory is bounded by the size of a block, but for transforms that see whole sequences: what enters and leaves
        them is there for a whole batch, and so is what the model gives in the end.

        Args:
            batches: the input (`rnnprobe.inputs.read`), as the network's entries want it.
            initial: the states to start from, over what the network says; where neither says anything, what the cell
                starts from, which is zeros for most.
            carry: a batch starts from the states in which the one before it ended; batches then hold one sequence
                each, and run one by one.
            ordered: one batch is through before the next begins.

        Yields:
            Blocks, `[time, batch, *shape]`; states of skipped steps are held, other signals of them NaN; NaN past a
            length.

        Raises:
            BadInput: a transform can't take the sequences.
        """
        ends: dict[str, Mapping[str, Array]] = {}
        at_once = 1 if carry or ordered else most_at_once()
        # The two directions of a batch that runs by itself run at once.
        within = most_at_once() if min(at_once, len(batches)) < 2 else 1
        work = [partial(self._batch, batch, initial or {}, ends, within, carry=carry) for batch in batches]
        return abreast(work, at_once)

    def _batch(
        self, batch: Batch, initial: Initial, ends: dict[str, Mapping[str, Array]], at_once: int, *, carry: bool
    ) -> Generator[Block]:
        """One batch, `at_once` of its passes at a time; what it ends in is left in `ends` where another wants it."""
        with self._source.of(batch) as values:
            for together in self._work:
                passes = []
                for stage in together:
                    if isinstance(stage, Operation):
                        values.keep(stage.transform.name, transforms.run(stage, values))
                        continue
                    begin = {
                        layer.name: _initial(layer, batch, values, initial, ends, self._dtype)
                        for layer in stage.work.layers
                    }
                    passes.append(partial(stage.over, batch, values, begin))
                # They end before what they read is closed.
                with closing(abreast(passes, at_once)) as blocks:
                    for block in blocks:
                        if carry:
                            ends.update(block.final)
                        if self._record.keys() & block.signals.keys():
                            yield _recorded(block, self._record)
            if self._outcomes:
                found = {one.name: _outcome(one, self._wanted[one.name], values, self._dtype) for one in self._outcomes}
                yield Block(batch, 0, {}, outcomes=found)


def _initial(layer: Layer, batch: Batch, values: Values, given: Initial, ends: Initial, dtype: str) -> dict[str, Array]:
    """The states of a layer before the first step of a batch, `[batch, *shape]`: the strongest that speaks of each."""
    size = len(batch.names)
    shapes = signal_shapes(layer)
    own = layer.cell.start(assemble(layer), shapes) if layer.cell.start is not None else {}
    states: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name not in layer.cell.states:
            continue
        if layer.name in ends:
            state = ends[layer.name][name]
        elif name in given.get(layer.name, {}):
            state = given[layer.name][name][batch.rows]
        elif name in layer.initial:
            state = taken_up(NumPy, layer, values.stacked(layer.initial[name]))
        else:
            state = np.broadcast_to(own.get(name, np.zeros((), dtype)), (size, *shape))
        states[name] = state.astype(dtype)
    return states


def _recorded(block: Block, record: Mapping[str, Sequence[str]]) -> Block:
    """The block without the layers that ran only because others needed them."""
    signals, initial, final = (
        {name: part[name] for name in part if name in record} for part in (block.signals, block.initial, block.final)
    )
    return replace(block, signals=signals, initial=initial, final=final)


def _outcome(outcome: Outcome, feed: Feed, values: Values, dtype: str) -> Array:
    """What the model gives in the end: `[batch, time, *shape]`, NaN where a sequence has less; or `[batch, *shape]`."""
    if outcome.lengths is None:
        return values.stacked(feed).astype(dtype)
    rows = values.rows(feed)
    steps = max((len(row) for row in rows), default=0)
    whole = np.full((len(rows), steps, *outcome.shape), np.nan, dtype)
    for k, row in enumerate(rows):
        whole[k][tuple(slice(size) for size in row.shape)] = row
    return whole
