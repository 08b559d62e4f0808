"""A session of an original graph: sequences in, states and gates at every step out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.engine.original.arrange import Form, forms
from rnnprobe.engine.original.build import Built, Fetch
from rnnprobe.engine.original.copies import Copy, Entry
from rnnprobe.engine.original.given import Chunk, Given
from rnnprobe.engine.original.placeholders import Placeholders
from rnnprobe.errors import BadInput, OutOfResources
from rnnprobe.recover.graph.view import View
from rnnprobe.types import Array, Batch, Block, Layer, Network

_CLOSE = 1e-5
_MOST_TRIALS = 48
_ROOM = 2  # steps that a recorder has room for beyond those that are given


class _Mismatch(Exception):
    """A run that did not come about with one arrangement of the input, or whose cells were given something else."""


@dataclass(slots=True)
class _Found:
    """What a run of the graph gave: layer → signal → `[step, rows, …]` as the layer runs; what its loops leave."""

    signals: dict[str, dict[str, Array]]
    finals: dict[str, dict[str, Array]]


class Runner:
    """Runs one copy of a network in its graph.

    Args:
        network: the layers.
        copy: the passes through them.
        built: the graph.
        view: of the graph.

    Raises:
        BadInput: the graph asks for something that nothing shows the meaning of.
    """

    def __init__(self, network: Network, copy: Copy, built: Built, view: View) -> None:
        self._network, self._copy, self._built = network, copy, built
        self._given = Given(network)
        self._placeholders = Placeholders(network, copy, built, view)
        self._session = tf.compat.v1.Session(graph=built.graph)
        self._forms: dict[Entry, Form] = {}
        self._ragged = self._placeholders.takes_lengths
        self._backward = any(layer.direction == "backward" for layer in network.layers)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report has to say of how the graph was run."""
        found = [
            f"{entry.source} went into the graph as {form.words}"
            + ("" if len(entry.roots) == 1 else f", in {len(entry.roots)} tensors, one for each step")
            for entry, form in self._forms.items()
        ]
        return (*found, *self._placeholders.notes)

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
        problem = ""
        for ragged in dict.fromkeys((self._ragged, False)):
            for chosen in list(product(*choices))[:_MOST_TRIALS]:
                self._forms = dict(zip(self._built.entries, chosen, strict=True))
                self._ragged = ragged
                try:
                    chunk = next(self._chunks(batch))
                    found = self._run(chunk, {})
                except _Mismatch as exc:
                    problem = problem or str(exc)
                    continue
                if not self._built.random or _alike(found, self._run(chunk, {})):
                    return
                problem = problem or "what it computes is another each time"
        if self._built.random:
            problem = f"its graph draws random numbers (dropout, say) on the way to the states; {problem}"
        raise BadInput(
            f"can't be verified: {problem or 'no arrangement of the input suits its graph'}",
            path=self._network.checkpoint.path,
        )

    def _choices(self, entry: Entry, batch: Batch) -> Iterator[Form]:
        """The arrangements of one entry that its static shape allows."""
        edge = self._built.entries[entry][0]
        ids = self._takes_ids(edge)
        one = self._given.chunk(batch, np.flatnonzero(batch.lengths)[:1], 0, 1)
        values = self._given.taken(entry.source, one.values[entry.source], ids=ids)
        width = values.shape[-1] if values.ndim == 3 else 1
        yield from forms(self._built.shape(edge), width, ids=ids, single=len(entry.roots) > 1)

    def _takes_ids(self, edge: str) -> bool:
        return np.dtype(self._built.dtype(edge)).kind in "iu"

    def block(self, batch: Batch) -> Block:
        """What the graph computes of a batch."""
        layers, count = self._network.layers, len(batch.names)
        signals: dict[str, dict[str, Array]] = {layer.name: {} for layer in layers}
        finals: dict[str, dict[str, Array]] = {layer.name: {} for layer in layers}
        for chunk, found in self._each(batch, finals):
            for layer in layers:
                for name, array in found.signals[layer.name].items():
                    empty = np.full((batch.steps, count, *array.shape[2:]), np.nan, array.dtype)
                    timed = _in_time(array, chunk.lengths, layer.direction == "backward")
                    stop = min(chunk.start + len(timed), batch.steps)
                    whole = signals[layer.name].setdefault(name, empty)
                    whole[chunk.start : stop, chunk.rows] = timed[: stop - chunk.start]
                for state in layer.cell.states:
                    if state in found.signals[layer.name]:
                        empty = np.zeros((count, *signal_shapes(layer)[state]), self._given.dtype)
                        last = self._final(layer, state, chunk, found)
                        finals[layer.name].setdefault(state, empty)[chunk.rows] = last
        return Block(batch, 0, signals, {}, finals)

    def _each(self, batch: Batch, finals: Mapping[str, Mapping[str, Array]]) -> Iterator[tuple[Chunk, _Found]]:
        """Runs the chunks of a batch; those after a sequence's first start from `finals`, which its reader fills."""
        try:
            for chunk in self._chunks(batch):
                states = finals if chunk.start else {}
                yield (
                    chunk,
                    self._run(chunk, {n: {s: a[chunk.rows] for s, a in of.items()} for n, of in states.items()}),
                )
        except _Mismatch as exc:
            raise BadInput(f"can't be verified: {exc}", path=self._network.checkpoint.path) from exc

    def _final(self, layer: Layer, state: str, chunk: Chunk, found: _Found) -> Array:
        """A state in the end: what the loop leaves; where it ran on over padding, that after the last valid step."""
        left = found.finals[layer.name].get(state)
        if left is not None and (self._ragged or bool(np.all(chunk.lengths == chunk.steps))):
            return left
        steps = found.signals[layer.name][state]
        last: Array = steps[np.minimum(chunk.lengths, len(steps)) - 1, np.arange(len(chunk.rows))]
        return last

    # Chunks ----------------------------------------------------------------------------------------------------------

    def _fixed(self, axis: str) -> int | None:
        """How many sequences (`b`) or steps (`t`) the graph takes, where that is fixed."""
        sizes = [
            form.fixed(self._built.shape(self._built.entries[entry][0]), axis) for entry, form in self._forms.items()
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
            _Mismatch: the graph can't be run for them.
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
            raise _Mismatch(f"its graph takes sequences of {wanted} steps, and one has {found}")

    # Runs ------------------------------------------------------------------------------------------------------------

    def _run(self, chunk: Chunk, states: Mapping[str, Mapping[str, Array]]) -> _Found:
        """Runs a chunk from the states, zeros where there are none.

        Raises:
            _Mismatch: the graph does not take it, or its cells were given something else.
        """
        count = len(chunk.rows)
        size = self._fixed("b") or count
        # A graph of a fixed size is given the last sequence again and again.
        filled = np.minimum(np.arange(size), count - 1)
        feed: dict[str, Any] = {f"{name}:0": array for name, array in self._built.variables.items()}
        for entry, form in self._forms.items():
            feed.update(self._fed(entry, form, chunk.values[entry.source][filled]))
        feed.update(self._placeholders.feed(chunk.lengths[filled], size))
        for name, of in self._built.starts.items():
            for state, edge in of.items():
                zeros = np.zeros((count, *signal_shapes(self._network[name])[state]), self._given.dtype)
                feed[f"{edge}:0"] = states.get(name, {}).get(state, zeros)[filled]
        if self._built.limit:
            feed[f"{self._built.limit}:0"] = chunk.steps + _ROOM
        wanted = {name: {s: list(f.edges) for s, f in of.items()} for name, of in self._built.signals.items()}
        try:
            got, left = self._session.run((_named(wanted), _named(self._built.finals)), feed)
        except tf.errors.ResourceExhaustedError as exc:
            raise OutOfResources("the original graph asks for more memory than there is") from exc
        except (tf.errors.OpError, ValueError, TypeError) as exc:
            raise _Mismatch(f"its graph does not take the sequences: {_first_line(exc)}") from exc
        found = _Found(
            {
                name: {s: _steps(self._built.signals[name][s], arrays)[:, :count] for s, arrays in of.items()}
                for name, of in got.items()
            },
            {name: {s: a[:count] for s, a in of.items()} for name, of in left.items()},
        )
        self._hold(chunk, found)
        return found

    def _fed(self, entry: Entry, form: Form, values: Array) -> dict[str, Array]:
        names = self._built.entries[entry]
        taken = self._given.taken(entry.source, values, ids=self._takes_ids(names[0]))
        dtype = self._built.dtype(names[0])
        if len(names) == 1:
            return {f"{names[0]}:0": form(taken).astype(dtype)}
        order = names[::-1] if form.turned else names
        return {f"{name}:0": form(taken[:, k : k + 1]).astype(dtype) for k, name in enumerate(order)}

    def _hold(self, chunk: Chunk, found: _Found) -> None:
        """Holds what entered the cells against what was given; takes it out of what was found."""
        known = {layer.name for layer in self._network.layers}
        for layer in self._network.layers:
            signals = found.signals[layer.name]
            names = [f"x{place}" for place in range(len(self._copy.uses[layer.name].inputs[0]))]
            parts = [signals.pop(name) for name in names if name in signals]
            if known & set(layer.feed.sources):
                continue
            if len(parts) != len(names):
                raise _Mismatch(f"what enters {layer.name} in its graph can't be recorded and held against the input")
            expected = self._given.entering(layer, chunk).swapaxes(0, 1)
            entered = np.concatenate(parts, axis=-1)
            timed = _in_time(entered, chunk.lengths, layer.direction == "backward")
            valid = np.arange(chunk.steps)[:, None] < chunk.lengths[None, :]
            room = np.full((chunk.steps, *timed.shape[1:]), np.nan)
            room[: len(timed)] = timed[: chunk.steps]
            if room.shape != expected.shape or not np.allclose(room[valid], expected[valid], _CLOSE, _CLOSE):
                raise _Mismatch(f"what enters {layer.name} in its graph is not what was given for it")


def _first_line(exc: Exception) -> str:
    """What TensorFlow says, without what it says around it."""
    lines = [line.strip() for line in str(exc).splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(exc).__name__)


def _named(wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Edges as a session wants them."""
    return {name: {s: _edge(edges) for s, edges in of.items()} for name, of in wanted.items()}


def _edge(edge: Any) -> Any:
    if isinstance(edge, list):
        return [_edge(one) for one in edge]
    return edge if ":" in edge else f"{edge}:0"


def _steps(fetch: Fetch, arrays: list[Array]) -> Array:
    """`[step, rows, …]`, the columns that were asked for."""
    whole: Array = arrays[0] if fetch.whole else np.stack(arrays)
    if fetch.tap.blocks > 1:
        whole = np.split(whole, fetch.tap.blocks, axis=-1)[fetch.tap.block]
    return whole


def _in_time(array: Array, lengths: Array, backward: bool) -> Array:
    """Steps as a layer runs → steps at the time of the input that was read; NaN past a length."""
    timed = np.full(array.shape, np.nan, array.dtype if array.dtype.kind == "f" else np.float64)
    for row, length in enumerate(lengths):
        steps = array[:length, row]
        timed[: len(steps), row] = steps[::-1] if backward else steps
    return timed


def _alike(one: _Found, other: _Found) -> bool:
    """Whether two runs gave the same."""
    return all(
        np.array_equal(array, other.signals[name][signal], equal_nan=True)
        for name, signals in one.signals.items()
        for signal, array in signals.items()
    )
