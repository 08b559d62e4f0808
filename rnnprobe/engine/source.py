"""The user's input as the front of a network takes it: floats, ids made one-hot, ids through an embedding."""

from __future__ import annotations

from threading import Lock

import numpy as np

from rnnprobe.engine.values import Value, Values
from rnnprobe.recover import stacks
from rnnprobe.types import Array, Batch, Network


class Input(Value):
    """One input of a batch.

    Args:
        batch: of this input.
        features: of a one-hot step, or None where ids stay numbers.
        dtype: the floats to give.
        one: held while it is read: two passes may read at once.
    """

    def __init__(self, batch: Batch, features: int | None, dtype: str, one: Lock) -> None:
        super().__init__(batch.lengths)
        self._batch = batch
        self._features = features
        self._dtype = dtype
        self._one = one
        self._last: tuple[int, int, Array] | None = None
        self.ids = batch.shape is None
        if batch.shape is not None:
            self.shape = batch.shape
        elif features is not None:
            self.shape = (features,)

    def raw(self, start: int, stop: int) -> Array:
        """What the user gave, `[time, batch, …]`. The last stretch is kept, since masks look at it again."""
        with self._one:
            if self._last is None or self._last[:2] != (start, stop):
                self._last = None
                self._last = (start, stop, self._batch.load(start, stop).swapaxes(0, 1))
            return self._last[2]

    def read(self, start: int, stop: int) -> Array:
        steps = self.raw(start, stop)
        if not self.ids or self._features is None:
            return steps.astype(self._dtype)
        one_hot = np.zeros((*steps.shape, self._features), self._dtype)
        np.put_along_axis(one_hot, steps[..., None], 1.0, axis=-1)
        return one_hot


class Embedded(Value):
    """An input behind an embedding. Floats are taken for what the embedding would give.

    Args:
        given: the input.
        table: `[vocabulary, size]`.
    """

    def __init__(self, given: Input, table: Array) -> None:
        super().__init__(given.lengths)
        self._given = given
        self._table = table
        self.shape = table.shape[1:] if given.ids else given.shape

    def read(self, start: int, stop: int) -> Array:
        return self._table[self._given.raw(start, stop)] if self._given.ids else self._given.read(start, stop)

    def skipped(self, value: float, start: int, stop: int) -> Array:
        """As `Value.skipped`, by the ids; a mask of ids says nothing of floats."""
        steps = self._given.raw(start, stop)
        return steps == value if self._given.ids else np.zeros(steps.shape[:2], bool)


class Source:
    """The inputs and embeddings of a network, for one batch after the other."""

    def __init__(self, network: Network, dtype: str) -> None:
        self._dtype = dtype
        self._one = Lock()
        self._path = network.checkpoint.path
        self._entries = stacks.entries(network)
        stored = {embedding.table.name: embedding.table for embedding in network.embeddings}
        tables = {name: table.load().astype(dtype) for name, table in stored.items()}
        self._embeddings = [(one.name, one.ids, tables[one.table.name]) for one in network.embeddings]

    def of(self, batch: Batch) -> Values:
        """What there is of a batch before anything is computed."""
        given = {}
        for number, (name, entry) in enumerate(self._entries.items()):
            features = None if entry.embedded else entry.features
            given[name] = Input(batch if number == 0 else batch.beside[name], features, self._dtype, self._one)
        embedded = {name: Embedded(given[ids], table) for name, ids, table in self._embeddings}
        return Values(batch.names, {**given, **embedded}, self._path)
