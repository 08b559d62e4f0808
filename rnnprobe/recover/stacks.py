"""Which layers belong together, and what the user's input has to be for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from rnnprobe.cells.layers import passed_size, step_shape
from rnnprobe.errors import BadInput, Refused
from rnnprobe.types import Entry, Feed, Layer, Network, Transform

MEMORY = "memory"
"""What a layer attends to, where the user gives it and nothing calls it otherwise."""


def stacks(network: Network) -> tuple[tuple[Layer, ...], ...]:
    """The independent stacks of a network, each in the network's order.

    Layers belong together when one feeds the other, directly or through transforms, or when something better than an
    assumption says that they read the same input.
    """
    nodes = _nodes(network)
    groups: dict[str, set[str]] = {name: {name} for name in nodes}

    def join(one: str, other: str) -> None:
        merged = groups[one] | groups[other]
        for name in merged:
            groups[name] = merged

    readers: dict[str, str] = {}
    for name, node in nodes.items():
        for feed in node.feeds:
            for source in feed.sources:
                if source in groups:
                    join(name, source)
                elif feed.evidence != "assumed":
                    join(readers.setdefault(_input(network, source), name), name)
    unique = {min(groups[layer.name]): groups[layer.name] for layer in network.layers}
    ordered = [tuple(layer for layer in network.layers if layer.name in group) for group in unique.values()]
    return tuple(sorted(ordered, key=lambda stack: network.layers.index(stack[0])))


def select(
    network: Network, layers: Sequence[Layer] = (), *, own_input: bool = False, outputs: bool = False
) -> tuple[Network, tuple[Layer, ...]]:
    """The part of a network that runs from what the user gives, and the layers of it that were asked for.

    Args:
        network: the whole.
        layers: those that the user asked for; what feeds them comes along. If none, the only stack there is, or every
            one, where the graph shows what each of them reads.
        own_input: what enters `layers` is given: nothing that feeds them comes along, masks and states neither.
        outputs: the model's outputs are wanted too, and what leads to them comes along.

    Raises:
        BadInput: nothing recurrent, several stacks and no choice, inputs that nothing says belong together, or outputs
            of layers whose own input is given.
        Refused: layers, or outputs, are computed from a layer that is not on the list of those that are.
    """
    path = network.checkpoint.path
    if not network.layers:
        raise BadInput(
            "holds no recurrent layer that can be run",
            path=path,
            hint=f"`rnnprobe inspect {path}` says what is in it"
            + ("" if network.checkpoint.graph is None else "; `rnnprobe trace --engine original` records its graph"),
        )
    if not layers:
        found = stacks(network)
        if len(found) > 1 and not _shown(network):
            _between(network, found)
            choices = "\n".join(" ".join(f"--layer {layer.name}" for layer in stack) for stack in found)
            raise BadInput(
                f"{len(found)} independent stacks of layers, and nothing says that they read the same input",
                path=path,
                hint=f"choose one:\n{choices}",
            )
        layers = [layer for stack in found for layer in stack]
    wanted = {layer.name for layer in layers}
    if own_input and outputs:
        raise BadInput(
            "the model's output is computed from the model's own input",
            path=path,
            hint="leave out --own-input, or output in --record",
        )
    if own_input:
        network = replace(network, layers=tuple(_alone(layer, wanted) for layer in network.layers), shapes={})
    if not outputs:
        network = replace(network, outputs={}, results={})
    elif not network.outputs:
        raise Refused(
            "the model's output can't be computed: not all of the model is rebuilt",
            path=path,
            hint="\n".join(network.notes),
        )
    needed = _needed(network, wanted)
    selected = replace(
        network,
        layers=tuple(layer for layer in network.layers if layer.name in needed),
        embeddings=tuple(embedding for embedding in network.embeddings if embedding.name in needed),
        transforms=tuple(transform for transform in network.transforms if transform.name in needed),
    )
    if not own_input:
        _check(selected)
    return selected, tuple(layer for layer in selected.layers if layer.name in wanted)


def _shown(network: Network) -> bool:
    """Whether the graph shows what every layer reads: those that read the same from outside have one input there."""
    return all(layer.feed.evidence == "graph" for layer in network.layers)


def _between(network: Network, found: Sequence[Sequence[Layer]]) -> None:
    """Refuses to choose among stacks that something stands between which is not rebuilt.

    Raises:
        Refused: naming what it is, and how each stack can be run.
    """
    strange = [name for name in outside(network) if network.shapes and name not in network.shapes]
    if not strange:
        return
    choices = []
    for stack in found:
        read = _needed(network, [layer.name for layer in stack])
        own = " --own-input" if read & set(strange) else ""
        choices.append(" ".join(f"--layer {layer.name}" for layer in stack) + own)
    raise Refused(
        f"{', '.join(map(repr, strange))} can't be computed, and layers stand on both sides of it",
        path=network.checkpoint.path,
        hint="\n".join(["choose those before it, or those behind it, with what enters them:", *choices]),
    )


def unwired(whole: Network, selected: Network) -> list[str]:
    """What layers whose own input is given start from in the original model, and now don't: a line each."""
    found = []
    for layer in selected.layers:
        feeds = [feed for state, feed in whole[layer.name].initial.items() if state not in layer.initial]
        if feeds:
            givers = " and ".join(dict.fromkeys(source for feed in feeds for source in feed.sources))
            found.append(
                f"{layer.name} starts from the state in which {givers} ends in the original model; here from zeros, "
                f"unless an initial state is given"
            )
    return found


def _alone(layer: Layer, wanted: Collection[str]) -> Layer:
    """A layer whose input is given, unless all that feeds it is wanted too."""
    if layer.context is not None and not _within(layer.context, wanted):
        layer = replace(layer, context=Feed((MEMORY,), evidence="flag"))
    if set(layer.feed.sources) <= set(wanted):
        return replace(layer, initial={state: feed for state, feed in layer.initial.items() if _within(feed, wanted)})
    return replace(layer, feed=Feed(("input",), evidence="flag"), initial={})


def _within(feed: Feed, wanted: Collection[str]) -> bool:
    return set(feed.sources) <= set(wanted)


def _needed(network: Network, wanted: Iterable[str]) -> set[str]:
    """The names of everything that the wanted layers, and the outputs, are computed from."""
    nodes = _nodes(network)
    needed = set(wanted)
    waiting = [*needed, *(source for feed in network.outputs.values() for source in feed.sources)]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        if name in nodes:
            waiting += [source for source in _sources(nodes[name]) if source not in needed]
    return needed


def _check(network: Network) -> None:
    """Refuses to run layers that are fed by what is not rebuilt.

    Raises:
        BadInput, Refused: naming what it is and who reads it.
    """
    inputs = outside(network)
    strange = [name for name in inputs if network.shapes and name not in network.shapes]
    memories = {source for layer in network.layers if layer.context is not None for source in layer.context.sources}
    several = len([name for name in inputs if name not in memories]) > 1
    assumed = not network.shapes and several and not _shown(network)
    if not strange and not assumed:
        return
    path = network.checkpoint.path
    readers = "\n".join(f"{name}: read by {_readers(network, name)}" for name in (inputs if assumed else strange))
    if assumed:
        raise BadInput(
            f"the layers read {len(inputs)} different inputs",
            path=path,
            hint=f"choose layers of one with --layer, or give a layer what enters it with --own-input:\n{readers}",
        )
    raise Refused(
        f"{', '.join(map(repr, strange))} can't be computed, and what enters the layers comes from there",
        path=path,
        hint=f"choose the layers with --layer, and give what enters them with --own-input:\n{readers}",
    )


def _readers(network: Network, source: str) -> str:
    nodes = _nodes(network)
    return ", ".join(name for name in nodes if source in map(lambda s: _input(network, s), _sources(nodes[name])))


def _nodes(network: Network) -> dict[str, Layer | Transform]:
    """Layers and transforms by name."""
    nodes: tuple[Layer | Transform, ...] = (*network.layers, *network.transforms)
    return {node.name: node for node in nodes}


def _sources(node: Layer | Transform) -> Iterator[str]:
    """The names that a layer or a transform reads, those of its masks among them."""
    for feed in node.feeds:
        yield from feed.sources
        if feed.mask is not None:
            yield feed.mask.source


def _input(network: Network, source: str) -> str:
    """The input that a name outside of the layers and transforms means: an embedding takes its ids from one."""
    return next((embedding.ids for embedding in network.embeddings if embedding.name == source), source)


def outside(network: Network) -> tuple[str, ...]:
    """The names of the inputs that a selected network reads, the main one first: as the model orders them."""
    nodes = _nodes(network)
    feeds = [*(feed for node in nodes.values() for feed in node.feeds), *network.outputs.values()]
    read = [source for feed in feeds for source in feed.sources]
    read += [feed.mask.source for feed in feeds if feed.mask is not None]
    found = dict.fromkeys(_input(network, source) for source in read if source not in nodes)
    order = {name: number for number, name in enumerate(network.shapes)}
    return tuple(sorted(found, key=lambda name: order.get(name, len(order))))


def entries(network: Network) -> dict[str, Entry]:
    """What a selected network takes from the user as each of its inputs, the main one first.

    Raises:
        BadInput: the layers at the front disagree about the width of their input.
    """
    dtype = compute_dtype(network.layers)
    return {name: _entry(network, name, dtype) for name in outside(network)}


def plain(network: Network) -> bool:
    """Whether the input's lengths are those of every layer of a selected network, and nothing else is asked of it."""
    measured = any(layer.cell.space is not None or layer.context is not None for layer in network.layers)
    return not (network.transforms or network.outputs or measured) and len(outside(network)) == 1


def _entry(network: Network, name: str, dtype: str) -> Entry:
    tables = [embedding for embedding in network.embeddings if embedding.ids == name]
    widths = _widths(network, {name, *(table.name for table in tables)})
    shape = network.shapes.get(name)
    if tables:
        width = next(iter(widths.values()), tables[0].table.shape[-1])
        return Entry((width,), min(table.table.shape[0] for table in tables), True, dtype)
    if len(set(widths.values())) > 1:
        listed = "\n".join(f"{layer}: {width}" for layer, width in widths.items())
        raise BadInput(
            "the layers at the front want inputs of different widths",
            path=network.checkpoint.path,
            hint=f"choose one with --layer:\n{listed}",
        )
    if widths:
        width = next(iter(widths.values()))
        return Entry((width,), width, False, dtype)
    if shape:
        step = shape[1:]
        return Entry(step, (step[0] or 0) if len(step) == 1 else 0, False, dtype, None if step else shape[0])
    convolving = next((layer for layer in network.layers if name in layer.feed.sources), None)
    if convolving is None:
        return Entry((None,), 0, False, dtype)
    return Entry(step_shape(convolving), 0, False, dtype)


def _widths(network: Network, names: Collection[str]) -> dict[str, int]:
    """Layer → the features that it takes from one of `names`, where other layers may stand beside it."""
    known = {layer.name: passed_size(layer) for layer in network.layers}
    found = {}
    for layer in network.layers:
        if layer.context is not None and len(layer.context.sources) == 1 and layer.context.sources[0] in names:
            found[f"the memory of {layer.name}"] = layer.sizes["memory_size"]
        sources = layer.feed.sources
        if not set(names) & set(sources) or layer.cell.space is not None:
            continue
        if layer.feed.merge != "concat":
            found[layer.name] = layer.input_size
        elif all(source in known or source in names for source in sources):
            found[layer.name] = layer.input_size - sum(known.get(source, 0) for source in sources)
    return found


def compute_dtype(layers: Iterable[Layer]) -> str:
    """`float64` where a weight is stored so, else `float32`: smaller floats are computed with as float32."""
    stored = {tensor.dtype for layer in layers for tensor in layer.weights.values()}
    return "float64" if "float64" in stored else "float32"
