"""A network over its batches, pass by pass and block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.cells.layers import signal_sizes
from rnnprobe.engine.loop import OUTPUT, compile_pass
from rnnprobe.engine.passes import Pass, block_steps, plan
from rnnprobe.engine.spool import Spool
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Block, Layer, Mask, Network

Initial = Mapping[str, Mapping[str, Array]]
"""Layer → state → `[sequences, size]`, for all sequences of the input."""


def trace(
    network: Network,
    batches: Sequence[Batch],
    record: Mapping[str, Sequence[str]],
    *,
    initial: Initial | None = None,
    carry: bool = False,
) -> Iterator[Block]:
    """Runs every batch and yields what was recorded, in memory bounded by the size of a block.

    Args:
        network: layers that read one input (`rnnprobe.recover.stacks.select`).
        batches: the input (`rnnprobe.inputs.read`), of the width or vocabulary of the network's entry.
        record: layer → signals; a layer that is not named runs where others need it, and is not recorded.
        initial: the states to start from; zeros where it says nothing.
        carry: a batch starts from the states in which the one before it ended; batches then hold one sequence each.

    Yields:
        Blocks, `[time, batch, size]`; states of skipped steps are held, other signals of them NaN; NaN past a length.
    """
    dtype = stacks.compute_dtype(network.layers)
    source = _Source(network, dtype)
    work = [(one, compile_pass(one.layers, record, set(one.kept), dtype)) for one in plan(network.layers)]
    ends: dict[str, dict[str, Array]] = {}
    for batch in batches:
        size = len(batch.names)
        begin = {
            layer.name: _initial(layer, batch, initial, ends.get(layer.name) if carry else None, dtype)
            for layer in network.layers
        }
        with ExitStack() as stack:
            spools = {
                layer.name: stack.enter_context(Spool(size, layer.output_size, dtype))
                for one, _ in work
                for layer in one.layers
                if layer.name in one.kept
            }
            for one, run in work:
                for block in _run_pass(one, run, batch, source, spools, record, begin, dtype):
                    ends.update({name: dict(states) for name, states in block.final.items()})
                    if record.keys() & block.signals.keys():
                        yield _recorded(block, record)


def _initial(
    layer: Layer, batch: Batch, initial: Initial | None, end: Mapping[str, Array] | None, dtype: str
) -> dict[str, Array]:
    """The states of a layer before the first step of a batch, `[batch, size]`."""
    sizes = signal_sizes(layer)
    states = {}
    for name in layer.cell.states:
        if end is not None:
            states[name] = end[name]
        elif initial is not None and name in initial.get(layer.name, {}):
            states[name] = initial[layer.name][name][batch.start : batch.start + len(batch.names)]
        else:
            states[name] = np.zeros((len(batch.names), sizes[name]), dtype)
        states[name] = states[name].astype(dtype)
    return states


class _Source:
    """The user's input as the front of the network takes it."""

    def __init__(self, network: Network, dtype: str) -> None:
        self._dtype = dtype
        self._features = stacks.entry(network).features
        self.name = stacks.outside(network)
        self._table = network.embeddings[0].table.load().astype(dtype) if network.embeddings else None

    def load(self, batch: Batch, start: int, stop: int) -> tuple[Array, _Valid]:
        """Steps `start … stop`: x `[time, batch, features]`, and which of them are run."""
        steps = batch.load(start, stop).swapaxes(0, 1)
        inside = np.arange(start, stop)[:, None] < batch.lengths[None, :]
        return self._embed(steps), _Valid(steps, inside, self._table is not None)

    def _embed(self, steps: Array) -> Array:
        if steps.ndim == 3:
            return steps.astype(self._dtype)
        if self._table is not None:
            return self._table[steps]
        one_hot = np.zeros((*steps.shape, self._features), self._dtype)
        np.put_along_axis(one_hot, steps[..., None], 1.0, axis=-1)
        return one_hot


class _Valid:
    """Which steps of a stretch are run, `[time, batch]` bool: those inside the lengths that a layer's mask leaves."""

    def __init__(self, steps: Array, inside: Array, ids: bool) -> None:
        self.inside = inside
        self._steps = steps
        self._ids = ids
        self._known: dict[Mask, Array] = {}

    def of(self, layer: Layer) -> Array:
        """For one layer. A mask of ids says nothing of floats that were given in the place of the embedding."""
        mask = layer.feed.mask
        if mask is None or self._ids != (self._steps.ndim == 2):
            return self.inside
        if mask not in self._known:
            same = self._steps == mask.value
            self._known[mask] = self.inside & ~(same if self._ids else same.all(axis=-1))
        return self._known[mask]


def _run_pass(
    one: Pass,
    run: Callable[..., Any],
    batch: Batch,
    source: _Source,
    spools: Mapping[str, Spool],
    record: Mapping[str, Sequence[str]],
    begin: Mapping[str, Mapping[str, Array]],
    dtype: str,
) -> Iterator[Block]:
    """One pass over one batch, a block at a time, from the end where the pass runs backward."""
    stretch = block_steps(one, record, len(batch.names), np.dtype(dtype).itemsize)
    starts = list(range(0, batch.steps, stretch)) or [0]
    if one.direction == "backward":
        starts.reverse()
    turn = slice(None, None, -1 if one.direction == "backward" else 1)
    names = {layer.name for layer in one.layers}
    states: Any = {name: begin[name] for name in names}
    for number, start in enumerate(starts):
        stop = min(start + stretch, batch.steps)
        x, masks = source.load(batch, start, stop)
        inputs = {name: np.ascontiguousarray(spools[name].read(start, stop)[turn]) for name in one.reads}
        inputs[source.name] = np.ascontiguousarray(x[turn])
        valid = {layer.name: masks.of(layer) for layer in one.layers}
        ragged = not all(rows.all() for rows in valid.values())
        recorded, states = run(inputs, {name: rows[turn] if ragged else None for name, rows in valid.items()}, states)
        signals = {
            layer: {name: array.numpy()[turn] for name, array in kept.items()} for layer, kept in recorded.items()
        }
        for name in one.kept:
            spools[name].write(start, signals[name].pop(OUTPUT))
        last = number == len(starts) - 1
        yield Block(
            batch,
            start,
            {layer.name: _blank(layer, signals[layer.name], valid[layer.name], masks.inside) for layer in one.layers},
            {name: begin[name] for name in names} if number == 0 else {},
            {name: {state: a.numpy() for state, a in states[name].items()} for name in names} if last else {},
        )


def _recorded(block: Block, record: Mapping[str, Sequence[str]]) -> Block:
    """The block without the layers that ran only because others needed them."""
    signals, initial, final = (
        {name: part[name] for name in part if name in record} for part in (block.signals, block.initial, block.final)
    )
    return replace(block, signals=signals, initial=initial, final=final)


def _blank(layer: Layer, signals: dict[str, Array], valid: Array, inside: Array) -> dict[str, Array]:
    """NaN past a length; at a skipped step the states stay, and what was not computed is NaN."""
    if valid.all():
        return signals
    for name, array in signals.items():
        gone = ~inside if name in layer.cell.states else ~valid
        if gone.any():
            signals[name] = array = np.where(gone[..., None], np.array(np.nan, array.dtype), array)
    return signals
