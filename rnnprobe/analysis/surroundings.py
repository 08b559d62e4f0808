"""What stands around the recurrent layers of a Keras model: its inputs, the layers between, its outputs.

Reports and the keys of their rows, in JSON as here:

    inputs      input, shape (of one sequence; null for a size that is open), ids (how many there are; null for floats),
                feeds
    transforms  transform, class (Keras's own, which computes it), fed_by, stepwise (it computes each step by itself),
                parameters
    outputs     output, given_by
"""

from __future__ import annotations

from collections.abc import Mapping

from rnnprobe.analysis import words
from rnnprobe.analysis.account import held, parameters
from rnnprobe.recover.stacks import entries
from rnnprobe.types import Column, Feed, KerasLayer, Layer, Network, Report, Transform


def surroundings(network: Network, numbers: Mapping[str, int]) -> tuple[Report, ...]:
    """The reports on what a Keras configuration tells of a model around its recurrent layers.

    Args:
        network: the whole.
        numbers: layer → the number by which the tables speak of it.
    """
    if not network.shapes:
        return ()
    return _inputs(network, numbers), _transforms(network, numbers), _outputs(network, numbers)


def named(feed: Feed, numbers: Mapping[str, int]) -> str:
    """`#1 + #2`, `final h of #1`: the layers by their numbers, anything else by its name."""
    sign = {"concat": ", ", "sum": " + ", "mul": " × "}.get(feed.merge, ", ")
    names = [f"#{numbers[source]}" if source in numbers else source for source in feed.sources]
    merged = sign.join(names) if feed.merge != "ave" or len(names) < 2 else f"mean of {', '.join(names)}"
    return f"final {feed.final} of {merged}" if feed.final else merged


def readers(network: Network, names: set[str]) -> list[str]:
    """The layers and transforms that read one of `names`, or start from it."""
    nodes: tuple[Layer | Transform, ...] = (*network.layers, *network.transforms)
    return [node.name for node in nodes if any(names & set(feed.sources) for feed in node.feeds)]


def _which(numbers: Mapping[str, int], names: list[str]) -> str:
    return ", ".join(f"#{numbers[name]}" if name in numbers else name for name in names)


def _inputs(network: Network, numbers: Mapping[str, int]) -> Report:
    takes = entries(network)
    rows = []
    for name, shape in network.shapes.items():
        tables = {embedding.name for embedding in network.embeddings if embedding.ids == name}
        entry = takes.get(name)
        rows.append(
            {
                "input": name,
                "shape": None if shape is None else list(shape),
                "ids": entry.vocabulary if entry is not None and entry.embedded else None,
                "feeds": readers(network, {name, *tables}),
            }
        )
    columns = (
        Column("input", "input"),
        Column("shape", "shape", _shape),
        Column("ids", "takes", lambda ids: "floats" if ids is None else f"ids 0…{ids - 1}"),
        Column("feeds", "feeds", lambda names: _which(numbers, names)),
    )
    return Report("inputs", "The model's inputs", columns, tuple(rows))


def _shape(sizes: list[int | None] | None) -> str:
    return "not said" if sizes is None else " × ".join("any" if size is None else str(size) for size in sizes)


def _transforms(network: Network, numbers: Mapping[str, int]) -> Report:
    rows = tuple(
        {
            "transform": transform.name,
            "class": _class(transform.layer),
            "fed_by": [source for feed in transform.feeds for source in feed.sources],
            "feeds": [named(feed, numbers) for feed in transform.feeds],
            "stepwise": transform.stepwise,
            "parameters": parameters({tensor.name: tensor for tensor in held(transform.layer)}.values()),
        }
        for transform in network.transforms
    )
    columns = (
        Column("transform", "layer"),
        Column("class", "computed by"),
        Column("feeds", "fed by", lambda feeds: "; ".join(feeds)),
        Column("stepwise", "sees", lambda stepwise: "each step" if stepwise else "whole sequences"),
        Column("parameters", "parameters", words.count, right=True),
    )
    return Report("transforms", "Before, between and behind them: layers that Keras computes", columns, rows)


def _class(layer: KerasLayer) -> str:
    """`TimeDistributed(Dense)`."""
    inner = ", ".join(_class(wrapped) for wrapped in layer.inner)
    return f"{layer.class_name}({inner})" if inner else layer.class_name


def _outputs(network: Network, numbers: Mapping[str, int]) -> Report:
    rows = tuple(
        {"output": name, "fed_by": list(feed.sources), "given_by": named(feed, numbers)}
        for name, feed in network.outputs.items()
    )
    return Report("outputs", "The model's outputs", (Column("output", "output"), Column("given_by", "given by")), rows)
