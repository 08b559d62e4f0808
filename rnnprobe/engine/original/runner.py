"""A session of an original graph: sequences in, states and gates at every step out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.engine.original.axes import separate
from rnnprobe.engine.original.built import Built
from rnnprobe.engine.original.copies import Copy
from rnnprobe.engine.original.given import Chunk, Given
from rnnprobe.engine.original.holding import hold
from rnnprobe.engine.original.inlets import Inlets
from rnnprobe.engine.original.joining import Found, Joining, Track
from rnnprobe.engine.original.placeholders import Placeholders
from rnnprobe.engine.original.probing import Probing
from rnnprobe.engine.original.session import Mismatch, Session
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.view import View
from rnnprobe.types import Array, Batch, Network

_ROOM = 2  # steps that a recorder has room for beyond those that are given
_MOST_STEPS = 100_000  # of loops with a clock of their own


class Runner:
    """Runs one copy of a network in its graph.

    Args:
        network: the layers.
        copy: the passes through them.
        built: the graph.
        view: of the graph.
        probing: what else is recorded, and where sequences go in.

    Raises:
        BadInput: the graph asks for something that nothing shows the meaning of.
    """

    def __init__(self, network: Network, copy: Copy, built: Built, view: View, probing: Probing) -> None:
        self._network, self._copy, self._built, self._probing = network, copy, built, probing
        self._given = Given(network, probing.entries if probing.loose else None)
        starts = {ref for use in copy.uses.values() for refs in use.starts.values() for ref in refs}
        owners = {**_reaching(network, copy, view), **probing.owners}
        self._placeholders = Placeholders(network, starts | probing.starts, built, view, owners)
        self._inlets = Inlets(built, self._given, network.checkpoint.path)
        self._ragged = self._placeholders.takes_lengths
        self._unsure: tuple[str, ...] = ()
        self._tracks = [
            *(Track(o.name, o.direction == "backward", o.cell.states, not probing.loose) for o in network.layers),
            *(Track(one.name, one.backward, one.states, False) for one in probing.wanted.groups),
        ]
        self._backward = any(track.backward for track in self._tracks)
        self._session = Session(built)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say of how the graph was run."""
        return (*self._inlets.notes, *self._unsure, *self._placeholders.notes, *self._built.notes)

    @property
    def told_lengths(self) -> bool:
        """Whether the graph is told how long the sequences are, and is given them padded."""
        return self._ragged

    def close(self) -> None:
        """Ends the session."""
        self._session.close()

    # Batches ---------------------------------------------------------------------------------------------------------

    def settle(self, batch: Batch) -> None:
        """Finds out how the graph wants the sequences, on the first of them.

        Raises:
            BadInput: no arrangement gives the cells what was given, or the graph does not compute the same twice.
        """
        choices = self._inlets.choices(batch)
        problem, ran = "", []
        for ragged in dict.fromkeys((self._ragged, False)):
            for forms in choices:
                self._inlets.forms, self._ragged = forms, ragged
                try:
                    chunk = next(self._chunks(batch))
                    found = self._run(chunk, {})
                except Mismatch as exc:
                    problem = problem or str(exc)
                    continue
                if self._built.random and not _alike(found, self._run(chunk, {})):
                    problem = problem or "what it computes is another each time"
                elif self._tells(chunk, found):
                    return
                else:
                    ran.append((forms, ragged))
        if ran:
            self._inlets.forms, self._ragged = ran[0]
            self._unsure = ("nothing shows in which order the graph wants the axes: this is the first that it takes",)
            return
        if self._built.random:
            problem = f"its graph draws random numbers (dropout, say) on the way to the states; {problem}"
        raise BadInput(
            f"can't be run: {problem or 'no arrangement of the input suits its graph'}",
            path=self._network.checkpoint.path,
        )

    def _tells(self, chunk: Chunk, found: Found) -> bool:
        """Whether a run shows that the sequences went in as they are wanted."""
        if not self._probing.loose or self._probing.reads_given(self._given, chunk, found):
            return True
        return separate(lambda one: self._run(one, {}), chunk, found, self._size(len(chunk.rows)))

    def join(self, batch: Batch) -> Joining:
        """Runs the chunks of a batch; those after a sequence's first start from where the one before it ended."""
        joined = Joining(self._tracks, batch)
        try:
            for chunk in self._chunks(batch):
                ends = joined.ends() if chunk.start and self._built.starts else {}
                states = {n: {s: a[chunk.rows] for s, a in of.items()} for n, of in ends.items()}
                found = self._run(chunk, states)
                joined.add(chunk, found, self._size(len(chunk.rows)), held=self._ragged)
        except Mismatch as exc:
            raise BadInput(f"can't be run: {exc}", path=self._network.checkpoint.path) from exc
        return joined

    def fed(self) -> Found:
        """What the graph computes of what the user feeds alone.

        Raises:
            BadInput: it does not take it.
        """
        if self._placeholders.takes_lengths:
            names = ", ".join(self._placeholders.lengths)
            raise BadInput(
                f"the graph asks for the lengths of the sequences, {names}",
                path=self._network.checkpoint.path,
                hint="\n".join(f"--feed {name}=FILE" for name in self._placeholders.lengths),
            )
        feed = dict(self._placeholders.feed(np.ones(1, np.int64), 1))
        feed.update(self._probing.feed(self._built.given, np.arange(1)))
        try:
            return self._session.run(feed, _MOST_STEPS)
        except Mismatch as exc:
            raise BadInput(f"can't be run: {exc}", path=self._network.checkpoint.path) from exc

    @property
    def tracks(self) -> list[Track]:
        """What is recorded."""
        return self._tracks

    # Chunks ----------------------------------------------------------------------------------------------------------

    def _fixed(self, axis: str) -> int | None:
        """How many sequences (`b`) or steps (`t`) the graph takes, where that is fixed."""
        sizes = [self._inlets.fixed(axis)]
        if axis == "t":
            sizes.append(self._copy.steps)
        else:
            sizes += [shape[0] for shape in self._built.beginnings() if shape]
        return next((size for size in sizes if size is not None), None)

    def _chunks(self, batch: Batch) -> Iterator[Chunk]:
        """The sequences of a batch that have steps, as the graph takes them; their stretches in order."""
        size, steps = self._fixed("b"), self._fixed("t")
        lengths = batch.lengths
        if self._ragged or steps is not None:
            groups = [np.flatnonzero(lengths)]
        else:
            groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths) if length]
        for group in groups:
            if not len(group):
                continue
            longest, shortest = int(lengths[group].max()), int(lengths[group].min())
            self._check_steps(steps, shortest, longest)
            for first in range(0, len(group), size or len(group)):
                rows = group[first : first + (size or len(group))]
                stretch = steps or longest
                for start in range(0, int(lengths[rows].max()), stretch):
                    left = rows[lengths[rows] > start]
                    yield self._given.chunk(batch, left, start, stretch)

    def _check_steps(self, steps: int | None, shortest: int, longest: int) -> None:
        """Holds lengths against a fixed number of steps.

        Raises:
            Mismatch: the graph can't be run for them.
        """
        if steps is None:
            return
        wanted = ""
        if longest > steps and not self._built.starts:
            wanted = f"up to {steps}" if self._ragged or not self._backward else f"{steps}"
        elif shortest < steps and self._backward and not self._ragged:
            wanted = f"{steps}"
        if wanted:
            found = longest if longest > steps else shortest
            raise Mismatch(f"its graph takes sequences of {wanted} steps, and one has {found}")

    # Runs ------------------------------------------------------------------------------------------------------------

    def _size(self, count: int) -> int:
        """How many sequences the graph is run for."""
        return self._fixed("b") or count

    def _run(self, chunk: Chunk, states: Mapping[str, Mapping[str, Array]]) -> Found:
        """Runs a chunk from the states, zeros where there are none.

        Raises:
            Mismatch: the graph does not take it, or its cells were given something else.
        """
        count = len(chunk.rows)
        size = self._size(count)
        # A graph of a fixed size is given the last sequence again and again.
        filled = np.minimum(np.arange(size), count - 1)
        feed: dict[str, Any] = dict(self._inlets.feed({name: one[filled] for name, one in chunk.values.items()}))
        feed.update(
            self._placeholders.feed(chunk.lengths[filled], size, {n: own[filled] for n, own in chunk.beside.items()})
        )
        for name, of in self._built.starts.items():
            for state, edge in of.items():
                zeros = np.zeros((count, *signal_shapes(self._network[name])[state]), self._given.dtype)
                feed[f"{edge}:0"] = states.get(name, {}).get(state, zeros)[filled]
        feed.update(self._probing.feed(self._built.given, chunk.numbers[filled]))
        bound = all(track.bound for track in self._tracks)
        found = self._session.run(feed, chunk.steps + _ROOM if bound else max(chunk.steps + _ROOM, _MOST_STEPS))
        if not self._probing.loose:
            hold(self._network, self._copy, self._given, chunk, found)
        return found


def _reaching(network: Network, copy: Copy, view: View) -> dict[str, str]:
    """The tensors that say how long what layers attend to is → the input that this is."""
    found = {}
    for layer in network.layers:
        reach = copy.uses[layer.name].reach if layer.name in copy.uses else None
        if layer.context is not None and len(layer.context.sources) == 1 and reach is not None:
            found[f"{view.node(reach).name}:{reach[1]}"] = layer.context.sources[0]
    return found


def _alike(one: Found, other: Found) -> bool:
    """Whether two runs gave the same."""
    return all(
        np.array_equal(array, again, equal_nan=True)
        for name in one.names
        for array, again in zip(one.along(name), other.along(name), strict=True)
    )
