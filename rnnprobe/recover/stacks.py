"""Which layers belong together, and what the user's input has to be for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from rnnprobe.errors import BadInput
from rnnprobe.types import Entry, Feed, Layer, Network


def stacks(network: Network) -> tuple[tuple[Layer, ...], ...]:
    """The independent stacks of a network, each in the network's order.

    Layers belong together when one feeds the other, or when something better than an assumption says that they read the
    same input.
    """
    groups: dict[str, set[str]] = {layer.name: {layer.name} for layer in network.layers}

    def join(one: str, other: str) -> None:
        merged = groups[one] | groups[other]
        for name in merged:
            groups[name] = merged

    readers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for source in layer.feed.sources:
            if source in groups:
                join(layer.name, source)
            elif layer.feed.evidence != "assumed":
                readers.setdefault(source, []).append(layer)
    for together in readers.values():
        for layer in together[1:]:
            join(together[0].name, layer.name)
    unique = {min(group): group for group in groups.values()}
    ordered = [tuple(layer for layer in network.layers if layer.name in group) for group in unique.values()]
    return tuple(sorted(ordered, key=lambda stack: network.layers.index(stack[0])))


def select(
    network: Network, layers: Sequence[Layer] = (), *, own_input: bool = False
) -> tuple[Network, tuple[Layer, ...]]:
    """The part of a network that can run from one input, and the layers of it that were asked for.

    Args:
        network: the whole.
        layers: those that the user asked for; what feeds them comes along. If none, the only stack there is.
        own_input: what enters `layers` is given: nothing that feeds them comes along, masks neither.

    Raises:
        BadInput: nothing recurrent, several stacks and no choice, or layers that need different inputs.
    """
    path = network.checkpoint.path
    if not network.layers:
        raise BadInput(
            "holds no recurrent layer that can be run",
            path=path,
            hint=f"`rnnprobe inspect {path}` says what is in it",
        )
    if not layers:
        found = stacks(network)
        if len(found) > 1:
            choices = "\n".join(" ".join(f"--layer {layer.name}" for layer in stack) for stack in found)
            raise BadInput(
                f"{len(found)} independent stacks of layers, and nothing says that they read the same input",
                path=path,
                hint=f"choose one:\n{choices}",
            )
        layers = found[0]
    wanted = {layer.name for layer in layers}
    if own_input:
        network = replace(network, layers=tuple(_alone(layer, wanted) for layer in network.layers))
    needed = set(wanted)
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed |= {source for source in layer.feed.sources if source in {other.name for other in network.layers}}
    chosen = tuple(layer for layer in network.layers if layer.name in needed)
    sources = {source for layer in chosen for source in layer.feed.sources} - needed
    if len(sources) > 1:
        readers = "\n".join(f"{source}: read by {_readers(chosen, source)}" for source in sorted(sources))
        raise BadInput(
            f"the layers read {len(sources)} different inputs",
            path=path,
            hint=f"choose layers of one with --layer, or give a layer what enters it with --own-input:\n{readers}",
        )
    tables = tuple(embedding for embedding in network.embeddings if embedding.name in sources)
    selected = replace(network, layers=chosen, embeddings=tables)
    return selected, tuple(layer for layer in chosen if layer.name in wanted)


def _alone(layer: Layer, wanted: Collection[str]) -> Layer:
    """A layer whose input is given, unless all that feeds it is wanted too."""
    inside = set(layer.feed.sources) <= set(wanted)
    return layer if inside else replace(layer, feed=Feed(("input",), evidence="flag"))


def _readers(layers: Iterable[Layer], source: str) -> str:
    return ", ".join(layer.name for layer in layers if source in layer.feed.sources)


def outside(network: Network) -> str:
    """The one name outside of the layers that a selected network reads: an embedding, or what the user gives."""
    names = {layer.name for layer in network.layers}
    return next(source for layer in network.layers for source in layer.feed.sources if source not in names)


def entry(network: Network) -> Entry:
    """What a selected network takes from the user.

    Raises:
        BadInput: the layers at the front disagree about the width of their input.
    """
    source = outside(network)
    widths = {layer.name: _width(layer, network) for layer in network.layers if source in layer.feed.sources}
    if len(set(widths.values())) > 1:
        listed = "\n".join(f"{name}: {width}" for name, width in widths.items())
        raise BadInput(
            "the layers at the front want inputs of different widths",
            path=network.checkpoint.path,
            hint=f"choose one with --layer:\n{listed}",
        )
    features, dtype = next(iter(widths.values())), compute_dtype(network.layers)
    if network.embeddings:
        return Entry(features, network.embeddings[0].table.shape[0], True, dtype)
    return Entry(features, features, False, dtype)


def _width(layer: Layer, network: Network) -> int:
    """The features that a layer takes from outside, where other layers may stand beside it."""
    if layer.feed.merge != "concat":
        return layer.input_size
    return layer.input_size - sum(network[s].output_size for s in layer.feed.sources if s != outside(network))


def compute_dtype(layers: Iterable[Layer]) -> str:
    """`float64` where a weight is stored so, else `float32`: smaller floats are computed with as float32."""
    stored = {tensor.dtype for layer in layers for tensor in layer.weights.values()}
    return "float64" if "float64" in stored else "float32"
