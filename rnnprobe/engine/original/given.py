"""What the user gave, as an original graph takes it, and as it should enter the cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Layer, Network


@dataclass(slots=True)
class Chunk:
    """Sequences that are run together, for a stretch of their time.

    Attributes:
        rows: their numbers in the batch.
        start: the first step.
        lengths: `[rows]`, the steps that are left of each, at most `steps`; at least 1.
        steps: that the graph is run for; past its length a sequence is zeros.
        values: input → `[rows, steps, …]` floats, or ids, as the user gave them.
    """

    rows: Array
    start: int
    lengths: Array
    steps: int
    values: Mapping[str, Array]


class Given:
    """The inputs of a network."""

    def __init__(self, network: Network) -> None:
        self.dtype = stacks.compute_dtype(network.layers)
        self._path = network.checkpoint.path
        self._entries = stacks.entries(network)
        self._embeddings = {one.name: one for one in network.embeddings}
        self._tables = {one.name: one.table.load().astype(self.dtype) for one in network.embeddings}

    def chunk(self, batch: Batch, rows: Array, start: int, steps: int) -> Chunk:
        """A stretch of some sequences of a batch."""
        lengths = np.minimum(batch.lengths[rows] - start, steps)
        values = {}
        for name in self._entries:
            one = batch.beside.get(name, batch)
            stop = min(start + steps, one.steps)
            loaded = one.load(start, stop)[rows]
            past = np.arange(start, stop)[None, :] >= one.lengths[rows][:, None]
            loaded[past] = 0
            room = [(0, 0), (0, steps - loaded.shape[1]), *[(0, 0)] * (loaded.ndim - 2)]
            values[name] = np.pad(loaded, room)
        return Chunk(rows, start, lengths, steps, values)

    def taken(self, source: str, values: Array, *, ids: bool) -> Array:
        """An input as a tensor of ids or of floats takes it: `[rows, steps]` or `[rows, steps, features]`.

        Raises:
            BadInput: floats, where the graph takes ids.
        """
        given_ids = values.dtype.kind in "iu"
        if ids and not given_ids:
            raise BadInput(
                f"can't be verified: its graph takes ids as {source!r}, and floats were given",
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
