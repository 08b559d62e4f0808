"""Sequences padded to one length, as a model without lengths is given them; and what it made of them, cut again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Batch, Block, Network, Outcome


def padded(network: Network, batches: Sequence[Batch]) -> tuple[Batch, ...]:
    """Every sequence as long as the longest of all, filled with what the model masks, zeros where it masks nothing.

    Raises:
        BadInput: all sequences are of one length, so that there is nothing to pad.
    """
    steps = max((batch.steps for batch in batches), default=0)
    if all(np.all(batch.lengths == steps) for batch in batches):
        raise BadInput(
            f"can't be compared: every sequence has {steps} steps, and none needs padding",
            path=network.checkpoint.path,
            hint="give sequences of different lengths, or --lengths",
        )
    ids = {embedding.name: embedding.ids for embedding in network.embeddings}
    masks = [layer.feed.mask for layer in network.layers if layer.feed.mask is not None]
    fillings = {ids.get(mask.source, mask.source): mask.value for mask in masks}
    return tuple(_filled(batch, fillings, steps) for batch in batches)


def _filled(batch: Batch, fillings: Mapping[str, float], steps: int) -> Batch:
    """A batch of full lengths; that of the main input is filled with the value for whichever name is no other input."""
    main = next((value for name, value in fillings.items() if name not in batch.beside), 0.0)
    beside = {name: _full(one, fillings.get(name, 0.0), one.steps) for name, one in batch.beside.items()}
    return replace(_full(batch, main, steps), beside=beside)


def _full(batch: Batch, value: float, steps: int) -> Batch:
    def load(start: int, stop: int) -> Array:
        found = batch.load(min(start, batch.steps), min(stop, batch.steps))
        room = np.zeros((len(found), stop - start, *found.shape[2:]), found.dtype)
        room[:, : found.shape[1]] = found
        room[np.arange(start, stop)[None, :] >= batch.lengths[:, None]] = value
        return room

    return replace(batch, lengths=np.full_like(batch.lengths, steps), steps=steps, load=load)


def cut(
    blocks: Iterable[Block], batches: Sequence[Batch], lengths: Mapping[str, Array], outcomes: Sequence[Outcome]
) -> Iterator[Block]:
    """The blocks of padded batches as those of the batches themselves: NaN past a length; what is final stays.

    Args:
        blocks: one for each batch.
        batches: as they were before they were padded.
        lengths: layer → `[sequences]`, for layers whose steps are not those of the input.
        outcomes: of the run of these batches.
    """
    ends = {outcome.name: outcome.lengths for outcome in outcomes if outcome.lengths is not None}
    for block, batch in zip(blocks, batches, strict=True):
        rows = batch.rows
        signals = {
            layer: {
                name: _until(array, lengths[layer][rows] if layer in lengths else batch.lengths)
                for name, array in of.items()
            }
            for layer, of in block.signals.items()
        }
        left = {
            name: _until(array.swapaxes(0, 1), ends[name][rows]).swapaxes(0, 1) if name in ends else array
            for name, array in block.outcomes.items()
        }
        yield replace(block, batch=batch, signals=signals, outcomes=left)


def _until(array: Array, lengths: Array) -> Array:
    """`[time, batch, …]`, as long as the longest, NaN past a length."""
    found = array[: int(lengths.max(initial=0))].copy()
    found[np.arange(len(found))[:, None] >= lengths[None, :]] = np.nan
    return found
