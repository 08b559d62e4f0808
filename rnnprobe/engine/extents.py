"""How long and how wide everything is, known from the lengths of the input before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.cells.attention_wrapper import MEMORY_STEPS
from rnnprobe.cells.layers import handed_on, output_shape, signal_shapes, step_shape
from rnnprobe.cells.namespace import NumPy
from rnnprobe.engine.passes import Node, ordered
from rnnprobe.engine.transforms import Operation
from rnnprobe.engine.values import UNEVEN_HINT, unequal, uneven
from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.types import Batch, Entry, Feed, Layer, Network, Outcome
from rnnprobe.types.run import lengths_of

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Extents:
    """What a trace of some batches is going to be like.

    Attributes:
        network: with the extent in space of each convolutional layer, and the steps of what layers attend to.
        lengths: layer → `[sequences]`, int64: its valid steps, for layers whose steps are not those of the main input.
        outcomes: of `network.outputs`.
    """

    network: Network
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()


def extents(network: Network, batches: Sequence[Batch]) -> Extents:
    """The extents of a network over its input. Builds the layers of Keras that stand in it, and runs nothing.

    Args:
        network: what runs from the inputs (`rnnprobe.recover.stacks.select`).
        batches: the input (`rnnprobe.inputs.read`).

    Raises:
        BadInput: a transform or a layer can't take what reaches it; what is read together differs in length.
    """
    if stacks.plain(network):
        return Extents(network)
    shapes = _Shapes(network, batches)
    for node in ordered(network):
        shapes.add(node)
    network = replace(network, layers=tuple(shapes.layers[layer.name] for layer in network.layers))
    main = lengths_of(batches)
    own = {layer.name: np.array([row[0] for row in shapes.rows[layer.name]], np.int64) for layer in network.layers}
    return Extents(
        network,
        {name: lengths for name, lengths in own.items() if not np.array_equal(lengths, main)},
        tuple(shapes.outcome(name, feed) for name, feed in network.outputs.items()),
    )


class _Shapes:
    """Node → the shape of each sequence there, `(length, *step)` where it has steps, gathered node after node.

    Attributes:
        rows: by name of a node, an input or an embedding.
        layers: by name, with their extents in space.
    """

    def __init__(self, network: Network, batches: Sequence[Batch]) -> None:
        self._network = network
        self._path = network.checkpoint.path
        self._dtype = stacks.compute_dtype(network.layers)
        order = np.argsort(np.concatenate([np.zeros(0, np.int64), *(batch.rows for batch in batches)]))
        names = [name for batch in batches for name in batch.names]
        self._names = [names[k] for k in order]
        self._whole = {transform.name for transform in network.transforms if not transform.stepwise}
        self.layers: dict[str, Layer] = {}
        self.rows: dict[str, list[Shape]] = {}
        for number, (name, entry) in enumerate(stacks.entries(network).items()):
            own = [batch if number == 0 else batch.beside[name] for batch in batches]
            rows = list(_given(own, entry))
            self.rows[name] = [rows[k] for k in order]
        for one in network.embeddings:
            step = one.table.shape[1:]
            # Floats may be given in the place of what the embedding makes of ids.
            self.rows[one.name] = [row if len(row) > 1 else (*row, *step) for row in self.rows[one.ids]]

    def add(self, node: Node) -> None:
        """What a layer or a transform gives of each sequence.

        Raises:
            BadInput: it can't take what reaches it.
        """
        if isinstance(node, Layer):
            self.rows[node.name] = self._layer(node)
            return
        operation = Operation(node, self._network, self._dtype)
        taken = [self._fed(node.name, feed) for feed in node.feeds]
        if not node.stepwise:
            self.rows[node.name] = [operation.shape(rows) for rows in zip(*taken, strict=True)]
            return
        self.rows[node.name] = []
        for k, rows in enumerate(zip(*taken, strict=True)):
            if len({row[0] for row in rows}) > 1:
                sources = [", ".join(feed.sources) for feed in node.feeds]
                raise unequal(node.name, sources, [row[0] for row in rows], self._names[k], self._path)
            step = operation.shape([(1, *row[1:]) for row in rows])[1:]
            self.rows[node.name].append((rows[0][0], *step))

    def _layer(self, layer: Layer) -> list[Shape]:
        rows = self._fed(layer.name, layer.feed)
        steps = list(dict.fromkeys(row[1:] for row in rows))
        if len(steps) > 1:
            raise BadInput(uneven(", ".join(layer.feed.sources), steps), path=self._path, hint=UNEVEN_HINT)
        if steps:
            layer = self._fitted(layer, steps[0])
        if layer.context is not None:
            layer = self._attending(layer, layer.context)
        self.layers[layer.name] = layer
        for state, feed in layer.initial.items():
            self._starts(layer, state, feed)
        return [(row[0], *output_shape(layer)) for row in rows]

    def _fitted(self, layer: Layer, step: Shape) -> Layer:
        """The layer, with its extent in space where it has one, for steps of this shape."""
        expected = step_shape(layer)
        if len(step) != len(expected) or any(size not in (None, n) for n, size in zip(step, expected, strict=True)):
            raise BadInput(
                f"{layer.name} takes steps of shape {_listed(expected)}; what reaches it from "
                f"{', '.join(layer.feed.sources)} has steps of shape {_listed(step)}",
                path=self._path,
                hint="the length of the sequences decides what reaches it: --steps cuts them, --select chooses",
            )
        if layer.cell.space is None:
            return layer
        try:
            return replace(layer, space=tuple(layer.cell.space(step, layer.sizes, layer.settings)))
        except BadInput as error:
            raise BadInput(f"{layer.name}: {error.message}", path=self._path, hint=error.hint) from error

    def _attending(self, layer: Layer, context: Feed) -> Layer:
        """The layer, with the steps of the longest of the sequences that it attends to."""
        rows = self._fed(layer.name, context)
        wrong = next((row[1:] for row in rows if row[1:] != (layer.sizes["memory_size"],)), None)
        if wrong is not None:
            raise BadInput(
                f"{layer.name} attends to steps of shape [{layer.sizes['memory_size']}]; those of "
                f"{', '.join(context.sources)} have the shape {_listed(wrong)}",
                path=self._path,
            )
        return replace(layer, sizes={**layer.sizes, MEMORY_STEPS: max((row[0] for row in rows), default=0)})

    def _starts(self, layer: Layer, state: str, feed: Feed) -> None:
        """Checks that a layer can start from what is wired there."""
        expected = _state_shape(layer, state)
        for found in dict.fromkeys(self._fed(layer.name, feed)):
            if found != expected:
                raise BadInput(
                    f"{layer.name} starts with {state} from {', '.join(feed.sources)}, which has the shape "
                    f"{_listed(found)}; expected {_listed(expected)}",
                    path=self._path,
                    hint="--initial-state says where it starts instead",
                )

    def _fed(self, reader: str, feed: Feed) -> list[Shape]:
        """The shape of what a feed gives of each sequence."""
        if feed.final:
            final = [_state_shape(self.layers[source], feed.final) for source in feed.sources]
            return [_merged(feed, final)] * len(self._names)
        parts = [self.rows[source] for source in feed.sources]
        if len(parts) == 1:
            return parts[0]
        for k, together in enumerate(zip(*parts, strict=True)):
            if len({row[0] for row in together}) > 1:
                raise unequal(reader, feed.sources, [row[0] for row in together], self._names[k], self._path)
        return [_merged(feed, together) for together in zip(*parts, strict=True)]

    def outcome(self, name: str, feed: Feed) -> Outcome:
        """One of the model's outputs.

        What comes of whole sequences as one vector each, of the same width in all of them, has no steps.
        """
        rows = self._fed(name, feed)
        different = dict.fromkeys(rows)
        vector = all(len(row) < 2 for row in rows) and len(different) < 2
        if feed.final or (vector and self._whole.issuperset(feed.sources)):
            return Outcome(name, next(iter(different), ()))
        lengths = np.array([row[0] for row in rows], np.int64)
        # Where steps differ in shape (attention over a sequence's own steps), the largest has room.
        return Outcome(name, tuple(max(sizes) for sizes in zip(*(row[1:] for row in different), strict=True)), lengths)


def _given(batches: Sequence[Batch], entry: Entry) -> Iterator[Shape]:
    one_hot = () if entry.embedded or entry.features is None else (entry.features,)
    for batch in batches:
        step = one_hot if batch.shape is None else batch.shape
        yield from ((int(length), *step) for length in batch.lengths)


def _state_shape(layer: Layer, state: str) -> Shape:
    """The shape of a state as the original layer hands it on."""
    return tuple(handed_on(NumPy, layer, np.empty(signal_shapes(layer)[state], bool)).shape)


def _listed(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _merged(feed: Feed, shapes: Sequence[Shape]) -> Shape:
    if feed.merge != "concat" or len(shapes) == 1:
        return shapes[0]
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
