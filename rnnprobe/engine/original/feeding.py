"""What goes into a graph that is run as it stands: sequences at its placeholders, and what the user feeds by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnprobe.engine.original.arrange import forms
from rnnprobe.engine.original.given import Chunk
from rnnprobe.engine.original.joining import Found, Joining
from rnnprobe.engine.original.locate import Locator, Spot
from rnnprobe.engine.original.runner import Runner
from rnnprobe.engine.original.wanted import Group, Wanted
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.entries import Place, described, fed
from rnnprobe.recover.graph.loop_words import extent
from rnnprobe.recover.graph.loops import survey
from rnnprobe.types import Array, Batch, GraphTensor, Layer, Network


def spots(network: Network, feeds: Mapping[str, Any], locator: Locator, sequences: int) -> dict[Spot, Any]:
    """The tensors that are fed, and what with.

    Args:
        network: the whole.
        feeds: name → value.
        locator: of the graph.
        sequences: how many there are beside; a value may have a row for each.

    Raises:
        BadInput: a name that nothing has, or a value of another dtype or shape than its placeholder's.
    """
    found: dict[Spot, Any] = {}
    for name, tensor in fed(network, feeds).items():
        node, _, port = tensor.name.rpartition(":")
        if not port.isdecimal():
            node, port = tensor.name, "0"
        number = locator.numbers.get(node)
        spot = None if number is None else locator.find((number, int(port)))
        if spot is None or spot.kind != "graph":
            raise BadInput(
                f"{name!r} can't be fed: the graph has no tensor {tensor.name!r}", path=network.checkpoint.path
            )
        found[spot] = _fitting(name, tensor, feeds[name], network, sequences)
    return found


def _fitting(name: str, tensor: GraphTensor, value: Any, network: Network, sequences: int) -> Any:
    """The value, in the dtype of the placeholder."""
    path = network.checkpoint.path
    if tensor.dtype == "string":
        array = np.asarray(value, object)
        if not all(isinstance(one, bytes | str) for one in array.flat):
            raise BadInput(f"{name!r} takes text or bytes, and numbers were given", path=path)
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise BadInput(f"{name!r} takes {described(tensor)}, and {array.dtype} was given", path=path)
        kind = np.dtype(tensor.dtype or "float32")
        if array.dtype.kind == "f" and kind.kind in "iu" and not np.array_equal(array, np.rint(array)):
            raise BadInput(f"{name!r} takes {described(tensor)}, and fractions were given", path=path)
        array = array.astype(kind)
    if tensor.shape is not None and (tensor.shape or not array.ndim or tensor.op == ""):
        fits = len(tensor.shape) == array.ndim and all(
            size in (None, given) or (place == 0 and given == sequences)
            for place, (size, given) in enumerate(zip(tensor.shape, array.shape, strict=True))
        )
        if not fits:
            raise BadInput(
                f"{name!r} takes {described(tensor)}, and {list(array.shape)} was given",
                path=path,
                hint=f"`rnnprobe inspect {path} --loops` lists the placeholders",
            )
    return array if array.ndim or tensor.dtype != "string" else array.item()


def taken(network: Network, open_: Sequence[Place], batches: Sequence[Batch], locator: Locator) -> list[Place]:
    """The placeholders that the batches go into.

    Raises:
        BadInput: there is none for them, or one that nothing is given for.
    """
    if not batches:
        return []
    path = network.checkpoint.path
    beside = {name for batch in batches for name in batch.beside}
    named = [place for place in open_ if place.name in beside]
    free = [place for place in open_ if place.name not in beside]
    fitting = [place for place in free if _suits(place, batches[0], locator)]
    if not fitting:
        listed = ", ".join(place.name for place in free) or "none"
        given = "ids" if batches[0].shape is None else f"steps of shape {list(batches[0].shape)}"
        raise BadInput(f"no placeholder of the graph takes {given} (there are: {listed})", path=path)
    main = next((place for place in fitting if not place.optional), fitting[0])
    lost = [place.name for place in free if place is not main and not place.optional]
    if lost:
        raise BadInput(
            f"the graph asks for {', '.join(lost)} too",
            path=path,
            hint="\n".join(f"--feed {name}=FILE, or --input {name}=FILE" for name in lost),
        )
    return [main, *named]


def _suits(place: Place, batch: Batch, locator: Locator) -> bool:
    """Whether the sequences of a batch can lie in a placeholder in some order of the axes."""
    takes_ids = place.entry.embedded
    if takes_ids and batch.shape is not None:
        return False
    shape = extent(locator.view, place.ref)
    shape = None if shape == () else shape
    width = place.entry.vocabulary if batch.shape is None else (batch.shape[-1] if batch.shape else 1)
    space = max(len(batch.shape or ()) - 1, 0)
    found = forms(shape, width, ids=takes_ids, single=False, space=space)
    # Steps of another width are no steps in the other order.
    return any(takes_ids or form.fixed(shape, "d") is not None or form.fixed(shape, "t") is None for form in found)


class Fed:
    """A run on what the user feeds alone.

    Args:
        runner: of the graph.
        wanted: what is recorded.
        network: the whole.
        layers: the recovered layers among what is recorded.

    Attributes:
        batch: made from what enters.
        joined: what the run gave.
        notes: what a report has to say of it.
    """

    def __init__(self, runner: Runner, wanted: Wanted, network: Network, layers: Sequence[Layer]) -> None:
        self._wanted, self._network = wanted, network
        self.notes: tuple[str, ...] = ()
        found = runner.fed()
        count = self._count(found, layers)
        steps = self._steps(found, layers)
        entered = self._entered(found, layers, count, steps)
        told = self._told(found, count)
        names = [*(layer.name for layer in layers), *(group.name for group in self._wanted.groups)]
        lengths = told.get(names[0], np.full(count, steps, np.int64)) if names else np.full(count, steps, np.int64)
        self.batch = Batch(
            np.arange(count),
            tuple(str(k) for k in range(count)),
            lengths,
            steps,
            entered.shape[2:],
            lambda start, stop: entered[:, start:stop].copy(),
            str(entered.dtype),
        )
        chunk = Chunk(self.batch.rows, 0, lengths, steps, {}, self.batch.rows)
        self.joined = Joining(runner.tracks, self.batch)
        self.joined.add(chunk, found, count, held=True, told=told)

    def _count(self, found: Found, layers: Sequence[Layer]) -> int:
        """How many sequences there are: of a recovered layer the second axis says it, else most states do."""
        for layer in layers:
            for array in found.signals[layer.name].values():
                return int(array.shape[1])
        sizes = Counter(
            int(array.shape[1]) for group in self._wanted.groups for array in _telling(group, found) if array.ndim > 2
        )
        if not sizes:
            sizes = Counter(int(a.shape[0]) for a in found.outcomes.values() if a.ndim > 1)
        return sizes.most_common(1)[0][0] if sizes else 1

    def _steps(self, found: Found, layers: Sequence[Layer]) -> int:
        names = [*(layer.name for layer in layers), *(group.name for group in self._wanted.groups)]
        return next((found.steps(name) for name in names if found.along(name)), 1)

    def _told(self, found: Found, count: int) -> dict[str, Array]:
        """Layer → `[sequences]`: what is fed as the lengths of its recurrence."""
        given = {spot.edge: np.asarray(value) for spot, value in self._wanted.fed.items()}
        told: dict[str, Array] = {}
        for recurrence in survey(self._network).recurrences:
            lengths = [given[tensor] for tensor in recurrence.lengths if tensor in given]
            if not lengths or lengths[0].shape != (count,) or lengths[0].dtype.kind not in "iu":
                continue
            for name in (recurrence.name, *recurrence.layers):
                told[name] = np.clip(lengths[0], 0, found.steps(name)).astype(np.int64)
        return told

    def _entered(self, found: Found, layers: Sequence[Layer], count: int, steps: int) -> Array:
        """`[batch, time, …]`: what enters the first layer; where that is not known, the numbers of the steps."""
        names = [*(layer.name for layer in layers), *(group.name for group in self._wanted.groups)]
        for name in names:
            read = [a for a in found.entering.get(name, ()) if a.ndim == 3]
            parts = [a for a in read if a.shape[:2] == (steps, count)]
            if parts and len(parts) == len(read):
                return np.concatenate(parts, axis=-1).swapaxes(0, 1)
        self.notes = ("what enters at each step is not seen: in its place stands the number of the step",)
        return np.tile(np.arange(steps, dtype=np.float32)[None], (count, 1))


def _telling(group: Group, found: Found) -> list[Array]:
    """What of a recurrence tells how many sequences there are: its states, or all of it where none was seen."""
    signals = found.signals[group.name]
    return [signals[name] for name in group.states if name in signals] if group.states else found.along(group.name)
