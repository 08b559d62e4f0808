"""What the user gave, as an original graph takes it, and as it should enter the cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Entry, Layer, Network


@dataclass(slots=True)
class Chunk:
    """Sequences that are run together, for a stretch of their time.

    Attributes:
        rows: their numbers in the batch.
        start: the first step.
        lengths: `[rows]`, the steps that are left of each, at most `steps`; at least 1.
        steps: that the graph is run for; past its length a sequence is zeros.
        values: input → `[rows, steps, …]` floats, or ids, as the user gave them.
        numbers: `[rows]`, those in the whole input.
        beside: input → `[rows]`, its own lengths where these are others.
    """

    rows: Array
    start: int
    lengths: Array
    steps: int
    values: Mapping[str, Array]
    numbers: Array
    beside: Mapping[str, Array] = field(default_factory=dict)


class Given:
    """The inputs of a network.

    Args:
        network: the layers.
        entries: where the input goes in otherwise than as the layers take it; sequences keep their own lengths there.
    """

    def __init__(self, network: Network, entries: Mapping[str, Entry] | None = None) -> None:
        self.dtype = stacks.compute_dtype(network.layers)
        self._path = network.checkpoint.path
        self._entries = stacks.entries(network) if entries is None else entries
        self._loose = entries is not None
        self._whole = {source for one in network.layers if one.context is not None for source in one.context.sources}
        self._embeddings = {one.name: one for one in network.embeddings}
        self._tables = {one.name: one.table.load().astype(self.dtype) for one in network.embeddings}

    def chunk(self, batch: Batch, rows: Array, start: int, steps: int) -> Chunk:
        """A stretch of some sequences of a batch."""
        lengths = np.minimum(batch.lengths[rows] - start, steps)
        values = {}
        for name in self._entries:
            one = batch.beside.get(name, batch)
            whole = name in self._whole
            own = one.steps if whole or (self._loose and one is not batch and one.steps != batch.steps) else steps
            first = 0 if whole else start
            stop = min(first + own, one.steps)
            loaded = one.load(first, stop)[rows]
            past = np.arange(first, stop)[None, :] >= one.lengths[rows][:, None]
            loaded[past] = 0
            room = [(0, 0), (0, own - loaded.shape[1]), *[(0, 0)] * (loaded.ndim - 2)]
            values[name] = np.pad(loaded, room)
        own_lengths = {n: one.lengths[rows] for n, one in batch.beside.items() if self._loose or n in self._whole}
        return Chunk(rows, start, lengths, steps, values, batch.rows[rows], own_lengths)

    def taken(self, source: str, values: Array, *, ids: bool) -> Array:
        """An input as a tensor of ids or of floats takes it: `[rows, steps]` or `[rows, steps, features]`.

        Raises:
            BadInput: floats, where the graph takes ids.
        """
        given_ids = values.dtype.kind in "iu"
        if ids and not given_ids:
            raise BadInput(
                f"can't be run: its graph takes ids as {source!r}, and floats were given",
                path=self._path,
                hint="give ids or text",
            )
        return values if ids else self._floats(source, values)

    def _floats(self, source: str, values: Array) -> Array:
        if values.dtype.kind not in "iu":
            return values.astype(self.dtype)
        one_hot = np.zeros((*values.shape, self._entries[source].vocabulary), self.dtype)
        np.put_along_axis(one_hot, values[..., None], 1.0, axis=-1)
        return one_hot

    def readings(self, source: str, values: Array) -> Iterator[Array]:
        """What a loop may read of an input that it takes unchanged: the values, or what an embedding makes of ids."""
        yield values
        if values.dtype.kind in "iu":
            yield from (table[np.minimum(values, len(table) - 1)] for table in self._tables.values())
        if values.dtype.kind not in "iu" or self._entries[source].vocabulary:
            yield self._floats(source, values)

    def entering(self, layer: Layer, chunk: Chunk) -> Array:
        """What should enter a layer that reads nothing but the user's input, `[rows, steps, features]`."""
        return np.concatenate(list(self._sources(layer, chunk)), axis=-1)

    def _sources(self, layer: Layer, chunk: Chunk) -> Iterator[Array]:
        for source in layer.feed.sources:
            embedding = self._embeddings.get(source)
            values = chunk.values[embedding.ids if embedding else source]
            if embedding is not None and values.dtype.kind in "iu":
                yield self._tables[source][values]
            else:
                yield self._floats(source, values)
