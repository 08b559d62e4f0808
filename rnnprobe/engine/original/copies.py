"""The passes that an original graph makes through the layers, and which of them go together.

A graph may hold a network several times over: for training, for validation, for one step at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rnnprobe.errors import BadInput
from rnnprobe.recover import stacks
from rnnprobe.recover.graph.view import Ref
from rnnprobe.types import Layer, Network, Use


class Unfed(BadInput):
    """What enters the layers is made where the graph can't be fed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Tensors that take an input of the network.

    Attributes:
        source: the input.
        roots: one for the sequence, or one for each of its steps.
        whole: it is something to attend to, `[batch, time, …]`, whose steps are not those that the layers run over.
        beside: which of how many tensors it is that hold the input's features side by side: times and values.
    """

    source: str
    roots: tuple[Ref, ...]
    whole: bool = False
    beside: tuple[int, int] = (0, 1)


@dataclass(frozen=True, slots=True)
class Copy:
    """One pass through every layer.

    Attributes:
        uses: layer → its pass.
        entries: where the network's inputs go in.
    """

    uses: dict[str, Use]
    entries: tuple[Entry, ...]

    @property
    def steps(self) -> int | None:
        """How many steps the graph writes out; None where loops repeat them."""
        written = [len(use.inputs) for use in self.uses.values() if not use.looped]
        return written[0] if written else None


def copies(network: Network, steps: int) -> list[Copy]:
    """Every copy that has all the layers, those first that suit sequences of `steps`.

    Raises:
        BadInput: there is none.
    """
    found = list(_copies(network))
    if not found:
        names = ", ".join(layer.name for layer in network.layers if not network.places.get(layer.name))
        what = (
            f"the graph does not show how it runs {names}" if names else "no pass of the graph goes through all layers"
        )
        raise BadInput(
            f"can't be run: {what}",
            path=network.checkpoint.path,
            hint="`rnnprobe trace --engine original` records the graph's own loops",
        )
    return sorted(found, key=lambda copy: (copy.steps not in (None, steps), -(copy.steps or 0)))


def _copies(network: Network) -> Iterator[Copy]:
    """From each pass of the last layer back to those that feed it, and along what they read to the others."""
    places = network.places
    order = [layer.name for layer in reversed(network.layers)]
    if not all(places.get(name) for name in order):
        return
    seen: list[dict[str, Use]] = []
    for top in places[order[0]]:
        chosen: dict[str, Use] = {}
        fed, roots = set(top.below), set[Ref]()
        for name in order:
            options = (top,) if name == order[0] else places[name]
            below = [use for use in options if use.number in fed]
            beside = [use for use in options if roots & {root for group in use.roots for root in group}]
            use = (below or beside or list(options))[0]
            chosen[name] = use
            fed |= set(use.below)
            roots |= {root for group in use.roots for root in group}
        if len({len(use.inputs) for use in chosen.values() if not use.looped}) <= 1 and chosen not in seen:
            seen.append(chosen)
            yield Copy(chosen, _entries(network, chosen))


def _entries(network: Network, uses: dict[str, Use]) -> tuple[Entry, ...]:
    """Where each input of the network goes in."""
    names = {layer.name for layer in network.layers}
    ids = {embedding.name: embedding.ids for embedding in network.embeddings}
    inputs = stacks.outside(network)
    found: dict[Entry, None] = {}
    for layer in network.layers:
        sources = [ids.get(source, source) for source in layer.feed.sources if source not in names]
        roots = uses[layer.name].roots
        if not sources and not roots:
            continue
        parts = [(0, 1)] * len(roots)
        if len(sources) == 1 < len(roots):
            sources, parts = sources * len(roots), [(place, len(roots)) for place in range(len(roots))]
        if len(sources) != len(roots) or not all(source in inputs for source in sources):
            raise Unfed(
                f"can't be run: what enters {layer.name} is put together in the graph from {len(roots)} tensors, "
                f"and {len(sources)} are given",
                path=network.checkpoint.path,
            )
        entering = zip(sources, roots, parts, strict=True)
        found.update({Entry(source, group, beside=part): None for source, group, part in entering})
        found.update({entry: None for entry in _memory(layer, uses[layer.name], names, network)})
    return tuple(found)


def _memory(layer: Layer, use: Use, names: Collection[str], network: Network) -> tuple[Entry, ...]:
    """Where what a layer attends to goes in, where the user gives it."""
    if layer.context is None or set(layer.context.sources) <= set(names):
        return ()
    if len(layer.context.sources) != 1 or len(use.memory) != 1:
        raise Unfed(
            f"can't be run: what {layer.name} attends to is put together in the graph",
            path=network.checkpoint.path,
            hint="`rnnprobe trace --engine original` records the graph's own loops",
        )
    return (Entry(layer.context.sources[0], use.memory[0], whole=True),)
