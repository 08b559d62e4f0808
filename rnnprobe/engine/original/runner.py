"""A session of an original graph: sequences in, states and gates at every step out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.engine.original.arrange import Form, forms
from rnnprobe.engine.original.axes import separate
from rnnprobe.engine.original.build import Built
from rnnprobe.engine.original.copies import Copy, Entry
from rnnprobe.engine.original.given import Chunk, Given
from rnnprobe.engine.original.joining import Found, Joining, Track, in_time
from rnnprobe.engine.original.placeholders import Placeholders
from rnnprobe.engine.original.probing import Probing
from rnnprobe.engine.original.session import Mismatch, Session
from rnnprobe.engine.original.wanted import ENTERING
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.view import View
from rnnprobe.types import Array, Batch, Network

_CLOSE = 1e-5
_MOST_TRIALS = 48
_ROOM = 2  # steps that a recorder has room for beyond those that are given
_MOST_STEPS = 100_000  # of loops with a clock of their own


class Runner:
    """Runs one copy of a network in its graph.

    Args:
        network: the layers.
        copy: the passes through them.
        built: the graph.
        view: of the graph.
        probing: what else is recorded, where the graph is not run beside rebuilt layers alone.

    Raises:
        BadInput: the graph asks for something that nothing shows the meaning of.
    """

    def __init__(self, network: Network, copy: Copy, built: Built, view: View, probing: Probing | None = None) -> None:
        self._network, self._copy, self._built, self._probing = network, copy, built, probing
        self._given = Given(network, probing.entries if probing and probing.loose else None)
        starts = {ref for use in copy.uses.values() for refs in use.starts.values() for ref in refs}
        self._placeholders = Placeholders(
            network,
            starts | (probing.starts if probing else set()),
            built,
            view,
            {**_reaching(network, copy, view), **(probing.owners if probing else {})},
        )
        self._session = Session(built)
        self._forms: dict[Entry, Form] = {}
        self._ragged = self._placeholders.takes_lengths
        self._loose = probing is not None and probing.loose
        self._unsure: tuple[str, ...] = ()
        groups = probing.wanted.groups if probing else []
        self._tracks = [
            *(Track(one.name, one.direction == "backward", one.cell.states, not self._loose) for one in network.layers),
            *(Track(one.name, one.backward, one.states, False) for one in groups),
        ]
        self._backward = any(track.backward for track in self._tracks)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say of how the graph was run."""
        found = [
            f"{entry.source} went into the graph as {form.words}"
            + ("" if len(entry.roots) == 1 else f", in {len(entry.roots)} tensors, one for each step")
            for entry, form in self._forms.items()
        ]
        return (*found, *self._unsure, *self._placeholders.notes, *self._built.notes)

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
        choices = [list(self._choices(entry, batch)) for entry in self._built.entries]
        problem, ran = "", []
        for ragged in dict.fromkeys((self._ragged, False)):
            for chosen in list(product(*choices))[:_MOST_TRIALS]:
                self._forms = dict(zip(self._built.entries, chosen, strict=True))
                self._ragged = ragged
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
                    ran.append((self._forms, ragged))
        if ran:
            self._forms, self._ragged = ran[0]
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
        if self._probing is None or not self._loose or self._probing.reads_given(self._given, chunk, found):
            return True
        return separate(lambda one: self._run(one, {}), chunk, found, self._size(len(chunk.rows)))

    def _choices(self, entry: Entry, batch: Batch) -> Iterator[Form]:
        """The arrangements of one entry that its static shape allows."""
        edge = self._built.entries[entry][0]
        ids = self._takes_ids(edge)
        one = self._given.chunk(batch, np.flatnonzero(batch.lengths)[:1], 0, 1)
        values = self._own(entry, self._given.taken(entry.source, one.values[entry.source], ids=ids))
        width = values.shape[-1] if values.ndim > 2 else 1
        space = max(values.ndim - 3, 0)
        found = forms(self._built.shape(edge), width, ids=ids, single=len(entry.roots) > 1, space=space)
        # What is attended to has no steps of the loop's, by which another order would be told.
        yield from (form for form in found if not entry.whole or form.axes == ("b", "t", "d"))

    def _own(self, entry: Entry, values: Array) -> Array:
        """The features that one of several tensors holds, of those side by side in the input.

        Raises:
            BadInput: nothing shows how many each of them holds.
        """
        place, count = entry.beside
        if count == 1:
            return values
        group = sorted(
            (other for other in self._built.entries if (other.source, other.beside[1]) == (entry.source, count)),
            key=lambda other: other.beside,
        )
        shapes = [self._built.shape(self._built.entries[other][0]) for other in group]
        known = [shape[-1] if shape else None for shape in shapes]
        rest = values.shape[-1] - sum(width or 0 for width in known)
        widths = [rest if width is None else width for width in known]
        if len(group) != count or known.count(None) > 1 or sum(widths) != values.shape[-1] or min(widths) < 1:
            raise BadInput(
                f"can't be run: the {values.shape[-1]} features of {entry.source!r} go into {count} tensors of the "
                f"graph, and nothing shows which into which",
                path=self._network.checkpoint.path,
            )
        return values[..., sum(widths[:place]) : sum(widths[: place + 1])]

    def _takes_ids(self, edge: str) -> bool:
        return np.dtype(self._built.dtype(edge)).kind in "iu"

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
        assert self._probing is not None
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
        sizes = [
            form.fixed(self._built.shape(self._built.entries[entry][0]), axis)
            for entry, form in self._forms.items()
            if axis == "b" or not entry.whole
        ]
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
        feed: dict[str, Any] = {}
        for entry, form in self._forms.items():
            feed.update(self._fed(entry, form, chunk.values[entry.source][filled]))
        feed.update(
            self._placeholders.feed(chunk.lengths[filled], size, {n: own[filled] for n, own in chunk.beside.items()})
        )
        for name, of in self._built.starts.items():
            for state, edge in of.items():
                zeros = np.zeros((count, *signal_shapes(self._network[name])[state]), self._given.dtype)
                feed[f"{edge}:0"] = states.get(name, {}).get(state, zeros)[filled]
        if self._probing:
            feed.update(self._probing.feed(self._built.given, chunk.rows[filled] + chunk.first))
        found = self._session.run(
            feed, chunk.steps + _ROOM if self._probing is None else max(chunk.steps + _ROOM, _MOST_STEPS)
        )
        if not self._loose:
            self._hold(chunk, found)
        return found

    def _fed(self, entry: Entry, form: Form, values: Array) -> dict[str, Array]:
        names = self._built.entries[entry]
        taken = self._own(entry, self._given.taken(entry.source, values, ids=self._takes_ids(names[0])))
        dtype = self._built.dtype(names[0])
        if entry.whole:
            taken = self._padded(form, names[0], taken)
        if len(names) == 1:
            return {f"{names[0]}:0": form(taken).astype(dtype)}
        order = names[::-1] if form.turned else names
        return {f"{name}:0": form(taken[:, k : k + 1]).astype(dtype) for k, name in enumerate(order)}

    def _padded(self, form: Form, edge: str, values: Array) -> Array:
        """What is attended to, with zeros up to as many steps as its tensor has.

        Raises:
            Mismatch: it has more.
        """
        steps = form.fixed(self._built.shape(edge), "t")
        if steps is None or steps == values.shape[1]:
            return values
        if steps < values.shape[1]:
            raise Mismatch(f"its graph attends to up to {steps} steps, and {values.shape[1]} were given")
        return np.pad(values, [(0, 0), (0, steps - values.shape[1]), (0, 0)])

    def _hold(self, chunk: Chunk, found: Found) -> None:
        """Holds what entered the cells against what was given."""
        known = {layer.name for layer in self._network.layers}
        for layer in self._network.layers:
            signals = found.signals[layer.name]
            names = [f"{ENTERING}{place})" for place in range(len(self._copy.uses[layer.name].inputs[0]))]
            parts = [signals[name][:, : len(chunk.rows)] for name in names if name in signals]
            if known & set(layer.feed.sources):
                continue
            if len(parts) != len(names):
                raise Mismatch(f"what enters {layer.name} in its graph can't be recorded and held against the input")
            expected = self._given.entering(layer, chunk).swapaxes(0, 1)
            entered = np.concatenate(parts, axis=-1)
            timed = in_time(entered, chunk.lengths, layer.direction == "backward")
            valid = np.arange(chunk.steps)[:, None] < chunk.lengths[None, :]
            room = np.full((chunk.steps, *timed.shape[1:]), np.nan)
            room[: len(timed)] = timed[: chunk.steps]
            if room.shape != expected.shape or not np.allclose(room[valid], expected[valid], _CLOSE, _CLOSE):
                raise Mismatch(f"what enters {layer.name} in its graph is not what was given for it")


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
        np.array_equal(array, other.signals[name][signal], equal_nan=True)
        for name, signals in one.signals.items()
        for signal, array in signals.items()
    )
