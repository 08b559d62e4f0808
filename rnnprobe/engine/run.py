"""A network over its batches, stage by stage and block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.attention_wrapper import MEMORY_STEPS
from rnnprobe.cells.layers import handed_on, signal_shapes, taken_up
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.engine import transforms
from rnnprobe.engine.loop import OUTPUT, compile_pass
from rnnprobe.engine.passes import Pass, block_steps, plan
from rnnprobe.engine.source import Source
from rnnprobe.engine.spool import Spool
from rnnprobe.engine.transforms import Operation
from rnnprobe.engine.values import Values
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Block, Feed, Layer, Mask, Network, Outcome

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
) -> Iterator[Block]:
    """Runs every batch and yields what was recorded.

    Memory is bounded by the size of a block, but for transforms that see whole sequences: what enters and leaves them
    is there for a whole batch, and so is what the model gives in the end.

    Args:
        network: what runs from the inputs (`rnnprobe.recover.stacks.select`), as `extents` returned it.
        batches: the input (`rnnprobe.inputs.read`), as the network's entries want it.
        record: layer → signals; a layer that is not named runs where others need it, and is not recorded.
        initial: the states to start from, over what the network says; where neither says anything, what the cell starts
            from, which is zeros for most.
        carry: a batch starts from the states in which the one before it ended; batches then hold one sequence each.
        outcomes: those of the model's outputs, as `extents` returned them, that a block at the end of each batch holds.

    Yields:
        Blocks, `[time, batch, *shape]`; states of skipped steps are held, other signals of them NaN; NaN past a length.

    Raises:
        BadInput: a transform can't take the sequences.
    """
    dtype = stacks.compute_dtype(network.layers)
    wanted = {outcome.name: network.outputs[outcome.name] for outcome in outcomes}
    source = Source(network, dtype)
    work = [
        _Running(stage, compile_pass(stage.layers, record, set(stage.kept), dtype), record, dtype)
        if isinstance(stage, Pass)
        else Operation(stage, network, dtype)
        for stage in plan(network, record, tuple(wanted.values()))
    ]
    ends: dict[str, Mapping[str, Array]] = {}
    for batch in batches:
        with source.of(batch) as values:
            for stage in work:
                if isinstance(stage, Operation):
                    values.keep(stage.transform.name, transforms.run(stage, values))
                    continue
                begin = {
                    layer.name: _initial(layer, batch, values, initial or {}, ends if carry else {}, dtype)
                    for layer in stage.work.layers
                }
                for block in stage.over(batch, values, begin):
                    ends.update(block.final)
                    if record.keys() & block.signals.keys():
                        yield _recorded(block, record)
            if outcomes:
                found = {outcome.name: _outcome(outcome, wanted[outcome.name], values, dtype) for outcome in outcomes}
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


@dataclass(frozen=True, slots=True)
class _Running:
    """A pass that is ready to run.

    Attributes:
        work: its layers.
        run: what `compile_pass` made of them.
        record: layer → the signals to record.
        dtype: that it computes with.
    """

    work: Pass
    run: Callable[..., Any]
    record: Mapping[str, Sequence[str]]
    dtype: str

    def over(self, batch: Batch, values: Values, begin: Initial) -> Iterator[Block]:
        """One batch, a block at a time, from the end where the pass runs backward. `values` keeps what is left."""
        layers, backward = self.work.layers, self.work.direction == "backward"
        names = ", ".join(layer.name for layer in layers)
        lengths = values.lengths(names, *(layer.feed for layer in layers))
        spools = {name: Spool(lengths, self.dtype) for name in self.work.kept}
        for name, spool in spools.items():
            values.keep(name, spool)
        steps = int(lengths.max(initial=0))
        stretch = block_steps(self.work, self.record, len(lengths), np.dtype(self.dtype).itemsize)
        starts = list(range(0, steps, stretch)) or [0]
        turn = slice(None, None, -1 if backward else 1)
        shown = {layer.name: _Shown(layer.feed.mask, len(lengths)) for layer in layers}
        states: Any = {layer.name: begin[layer.name] for layer in layers}
        memories = {layer.name: _memory(layer, values, self.dtype) for layer in layers if layer.context is not None}
        for number, start in enumerate(reversed(starts) if backward else starts):
            stop = min(start + stretch, steps)
            inside = np.arange(start, stop)[:, None] < lengths[None, :]
            inputs = {
                name: np.ascontiguousarray(values.sequences[name].read(start, stop)[turn]) for name in self.work.reads
            }
            valid = _valid(layers, values, inside, start, stop)
            ragged = not all(rows.all() for rows in valid.values())
            recorded, states = self.run(
                inputs,
                {name: rows[turn] if ragged else None for name, rows in valid.items()},
                {name: shown[name].over(rows[turn]) for name, rows in valid.items()},
                states,
                memories,
            )
            signals = {
                layer: {name: array.numpy()[turn] for name, array in kept.items()} for layer, kept in recorded.items()
            }
            for name, spool in spools.items():
                spool.write(start, signals[name].pop(OUTPUT))
            final = {}
            if number == len(starts) - 1:
                final = {
                    name: {state: array.numpy() for state, array in after.items()} for name, after in states.items()
                }
                values.finals.update(
                    {
                        one.name: {name: handed_on(NumPy, one, a) for name, a in final[one.name].items()}
                        for one in layers
                    }
                )
            yield Block(
                batch,
                start,
                {layer.name: _blank(layer, signals[layer.name], valid[layer.name], inside) for layer in layers},
                {layer.name: begin[layer.name] for layer in layers} if number == 0 else {},
                final,
            )


def _memory(layer: Layer, values: Values, dtype: str) -> tuple[Array, Array]:
    """What a layer attends to, `[batch, memory_steps, memory_size]`, zeros past a length, and what is no such zero."""
    assert layer.context is not None
    lengths = values.lengths(f"what {layer.name} attends to", layer.context)
    reached = np.arange(layer.sizes[MEMORY_STEPS])[None, :] < lengths[:, None]
    memory = np.zeros((*reached.shape, layer.sizes["memory_size"]), dtype)
    longest = int(lengths.max(initial=0))
    memory[:, :longest] = values.block(layer.context, 0, longest).swapaxes(0, 1)
    memory[~reached] = 0.0
    return memory, reached


def _valid(
    layers: Sequence[Layer], values: Values, inside: Array, start: int, stop: int
) -> dict[str, NDArray[np.bool_]]:
    """Layer → `[time, batch]`: the steps that are run, those inside the lengths that the layer's mask leaves."""
    masks = dict.fromkeys(layer.feed.mask for layer in layers if layer.feed.mask is not None)
    left = {mask: inside & ~values.skipped(mask, start, stop) for mask in masks}
    return {layer.name: inside if layer.feed.mask is None else left[layer.feed.mask] for layer in layers}


class _Shown:
    """Where a layer with a mask passes on what it computed, and where zeros, block after block.

    At a skipped step it passes on what it did last, which before its first valid step is zeros whatever state it
    started from; or its state; or zeros at every skipped step.
    """

    def __init__(self, mask: Mask | None, batch: int) -> None:
        self._mask = mask
        self._begun = np.zeros(batch, bool)

    def over(self, valid: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """`[time, batch]` for a block whose valid steps are given, in the order in which they are run."""
        if self._mask is None or self._mask.emits == "state":
            return None
        if self._mask.emits == "zeros":
            return valid
        shown: NDArray[np.bool_] = np.logical_or.accumulate([self._begun, *valid], axis=0)[1:]
        self._begun = shown[-1] if len(shown) else self._begun
        return shown


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
            over = gone.reshape(*gone.shape, *[1] * (array.ndim - 2))
            signals[name] = np.where(over, np.array(np.nan, array.dtype), array)
    return signals


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
