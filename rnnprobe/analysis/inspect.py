"""What is in a file: the reports of `rnnprobe inspect`.

Reports and the keys of their rows, in JSON as here:

    file        path, format, writer, sources (what came with the weights), tensors, parameters and bytes (of all that
                is not set apart), set_apart (how many tensors), unavailable (how many whose values can't be read)
    layers      number, layer, scope, cell, title, input_size, units, output_size, direction, fed_by, merge, mask,
                feed_evidence, feed (these four in words), starts_from (state → what; zeros where it is not named),
                gate_order (as stored), spelled (the writer's letters for the gates), dtype, parameters, stack (its
                number; layers of different stacks don't feed each other)
    options     option, value, setting (the value in words), evidence, layers (those for which it holds), flag (which
                settles it; null where the cell leaves no choice), meaning
    embeddings  embedding, vocabulary, size, dtype, evidence, feeds
    candidates  scope, cells, reason
    other       tensor, shape, dtype, parameters, bytes, problem
    set_apart   kind, tensors, parameters, bytes, names

of a Keras model with its configuration those of `rnnprobe.analysis.surroundings`, and of what came with a graph those
of `rnnprobe.analysis.entrances`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rnnprobe.analysis import words
from rnnprobe.analysis.account import Account, account, nbytes, parameters
from rnnprobe.analysis.entrances import entrances
from rnnprobe.analysis.surroundings import named, readers, surroundings
from rnnprobe.cells import CELLS
from rnnprobe.cells.options import RESIDUAL
from rnnprobe.recover.stacks import stacks
from rnnprobe.types import Column, Layer, Network, Report, Value

Row = Mapping[str, Any]


def inspect(network: Network, layers: tuple[Layer, ...] | None = None) -> tuple[Report, ...]:
    """The reports on a file.

    Args:
        network: what was recovered from it.
        layers: those to report on; all of them if not given.
    """
    layers = network.layers if layers is None else layers
    held = account(network)
    return (
        _file(network, held),
        _layers(network, layers),
        _options(network, layers),
        _embeddings(network),
        *surroundings(network, _numbers(network)),
        *_entrances(network),
        _candidates(network),
        _other(held),
        _set_apart(network, held),
    )


def _entrances(network: Network) -> tuple[Report, ...]:
    """Where values enter the graph, where one came along."""
    if network.checkpoint.graph is None:
        return ()
    from rnnprobe.recover.graph.entrances import entrances as found

    return entrances(*found(network.checkpoint.graph))


def missing(network: Network) -> tuple[str, ...]:
    """Why values can't be read, for how many tensors: a line for each reason that the reader's notes don't give."""
    reasons: dict[str, list[str]] = {}
    for tensor in network.checkpoint.tensors.values():
        if tensor.problem:
            reasons.setdefault(tensor.problem, []).append(tensor.name)
    total = len(network.checkpoint.tensors)
    said = "\n".join(network.checkpoint.notes)
    return tuple(
        f"{reason} ({f'all {total} tensors' if len(names) == total else words.few(names)}): "
        f"shapes are known, values are not"
        for reason, names in reasons.items()
        if reason.partition(";")[0] not in said
    )


def _file(network: Network, held: Account) -> Report:
    checkpoint = network.checkpoint
    own = (*held.recurrent, *held.embeddings, *held.transforms, *held.other)
    sources = {"a graph": checkpoint.graph, "a Keras configuration": checkpoint.config}
    row = {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "writer": checkpoint.writer or None,
        "sources": [source for source, value in sources.items() if value is not None],
        "tensors": len(own),
        "parameters": parameters(own),
        "bytes": nbytes(own),
        "set_apart": len(held.set_apart),
        "unavailable": sum(bool(tensor.problem) for tensor in checkpoint.tensors.values()),
    }
    columns = (
        Column("path", "path"),
        Column("format", "format"),
        Column("writer", "written by"),
        Column("sources", "came with", lambda found: " and ".join(found) or "no graph and no configuration"),
        Column("tensors", "tensors", words.count),
        Column("parameters", "parameters", words.count),
        Column("bytes", "size", words.size),
        Column("set_apart", "set apart", lambda number: f"{words.counted(number, 'more tensor')}, see below"),
        Column("unavailable", "no values", lambda number: words.counted(number, "tensor")),
    )
    shown = tuple(column for column in columns if row[column.key] not in (0, None) or column.key == "tensors")
    return Report("file", "File", shown, (row,), (*missing(network), *checkpoint.notes), upright=True)


def _layers(network: Network, layers: tuple[Layer, ...]) -> Report:
    numbers = _numbers(network)
    groups = stacks(network)
    stack = {layer.name: number for number, group in enumerate(groups, 1) for layer in group}
    rows = tuple(_layer(layer, numbers[layer.name], stack[layer.name]) for layer in layers)
    for row in rows:
        layer = network[row["layer"]]
        row["feed"] = _feed(layer, numbers)
        row["starts_from"] = {state: named(feed, numbers) for state, feed in layer.initial.items()}
        if layer.context is not None:
            row["attends_to"] = f"{named(layer.context, numbers)} ({layer.context.evidence})"
    columns = [
        Column("number", "#", right=True),
        Column("layer", "layer"),
        Column("title", "cell"),
        Column("input_size", "input", words.count, right=True),
        Column("units", "units", words.count, right=True),
    ]
    if any(layer.output_size != layer.units for layer in layers):
        columns.append(Column("output_size", "output", words.count, right=True))
    if any(layer.direction == "backward" for layer in layers):
        columns.append(Column("direction", "direction"))
    columns.append(Column("feed", "fed by"))
    if any(layer.initial for layer in layers):
        columns.append(Column("starts_from", "starts from", _starts))
    if any(layer.context is not None for layer in layers):
        columns.append(Column("attends_to", "attends to"))
    columns.append(Column("dtype", "dtype"))
    if len(groups) > 1:
        columns.append(Column("stack", "stack", right=True))
    notes = (*_found(network, len(groups)), *_sharing(network), *network.notes)
    return Report("layers", "Recurrent layers", tuple(columns), rows, notes)


def _numbers(network: Network) -> dict[str, int]:
    """The number by which the tables speak of a layer."""
    return {layer.name: number for number, layer in enumerate(network.layers, 1)}


def _layer(layer: Layer, number: int, stack: int) -> dict[str, Any]:
    mask = layer.feed.mask
    return {
        "number": number,
        "layer": layer.name,
        "scope": layer.scope,
        "cell": layer.cell.name,
        "title": layer.cell.title,
        "input_size": layer.input_size,
        "units": layer.units,
        "output_size": layer.output_size,
        "direction": layer.direction,
        "fed_by": list(layer.feed.sources),
        "merge": layer.feed.merge if len(layer.feed.sources) > 1 else None,
        "mask": None if mask is None else f"{mask.source} = {mask.value:g}",
        "feed_evidence": layer.feed.evidence,
        "gate_order": list(layer.cell.gates),
        "spelled": list(layer.cell.spelled),
        "dtype": "/".join(dict.fromkeys(tensor.dtype for tensor in layer.weights.values())),
        "parameters": parameters(layer.weights.values()),
        "stack": stack,
    }


def _feed(layer: Layer, numbers: Mapping[str, int]) -> str:
    """`#1 + #2 (config)`: the layers by their numbers, anything else by its name."""
    feed = layer.feed
    merged = named(feed, numbers)
    mask = "" if feed.mask is None else f", skips {feed.mask.value:g}"
    return f"{'an input of its own' if merged == f'input of {layer.name}' else merged}{mask} ({feed.evidence})"


def _starts(states: Mapping[str, str]) -> str:
    """`final h of #1, final c of #1`, or zeros."""
    return ", ".join(states.values()) or "zeros"


def _found(network: Network, groups: int) -> tuple[str, ...]:
    if groups > 1:
        return (f"{groups} stacks of layers that don't feed each other: --layer chooses by name",)
    if network.layers:
        return ()
    if network.candidates:
        return (
            f"no layer is claimed; {words.counted(len(network.candidates), 'scope')} of tensors may be recurrent, "
            f"see below",
        )
    weights = words.counted(len(network.checkpoint.weights), "weight")
    found = f"nothing recurrent was found by name and shape: {weights}, none like those of the {len(CELLS)} known cells"
    if network.checkpoint.graph is None:
        return (found,)
    return (found, "the graph may hold recurrences all the same: --loops lists them, `trace --engine original` runs it")


def _sharing(network: Network) -> tuple[str, ...]:
    """Which layers have the same weights."""
    numbers = _numbers(network)
    holders: dict[str, list[str]] = {}
    for layer in network.layers:
        holders.setdefault(layer.scope, []).append(f"#{numbers[layer.name]}")
    return tuple(
        f"{' and '.join(holding)} share their weights, stored under {scope}"
        for scope, holding in holders.items()
        if len(holding) > 1
    )


def _options(network: Network, layers: tuple[Layer, ...]) -> Report:
    holders: dict[tuple[str, str, Value], list[Layer]] = {}
    for layer in layers:
        for name, value in layer.options.items():
            # The value alone would not do as a key: 1.0 and True are one.
            holders.setdefault((name, words.option(value.value), value), []).append(layer)
    rows = tuple(
        {
            "option": name,
            "value": value.value,
            "setting": setting,
            "evidence": value.evidence,
            "layers": [layer.name for layer in holding],
            "flag": None if value.evidence == "cell" else words.flag(name),
            "meaning": _meaning(name, holding[0]),
        }
        for (name, setting, value), holding in sorted(holders.items(), key=lambda item: _place(layers, item[0][0]))
    )
    columns = (
        Column("option", "option"),
        Column("setting", "value"),
        Column("evidence", "evidence"),
        Column("layers", "layers", _which(network, layers)),
        Column("flag", "flag"),
        Column("meaning", "meaning"),
    )
    return Report("options", "Options", columns, rows, _assumed(rows))


def _place(layers: tuple[Layer, ...], name: str) -> int:
    """Where an option stands among those of the layers, so that its values come one after another."""
    names = list(dict.fromkeys(option for layer in layers for option in layer.options))
    return names.index(name)


def _which(network: Network, layers: tuple[Layer, ...]) -> Callable[[list[str]], str]:
    numbers = _numbers(network)

    def text(names: list[str]) -> str:
        return "all" if len(names) == len(layers) else ", ".join(f"#{numbers[name]}" for name in names)

    return text


def _meaning(name: str, layer: Layer) -> str:
    return next((option.help for option in (*layer.cell.options, RESIDUAL) if option.name == name), "")


def _assumed(rows: tuple[Row, ...]) -> tuple[str, ...]:
    if not any(row["evidence"] == "assumed" for row in rows):
        return ()
    return ("assumed: nothing in the file says it, and the value is the framework's own default",)


def _embeddings(network: Network) -> Report:
    rows = tuple(
        {
            "embedding": embedding.name,
            "vocabulary": embedding.table.shape[0],
            "size": embedding.table.shape[-1],
            "dtype": embedding.table.dtype,
            "evidence": embedding.evidence,
            "feeds": readers(network, {embedding.name}),
        }
        for embedding in network.embeddings
    )
    numbers = _numbers(network)
    columns = (
        Column("embedding", "embedding"),
        Column("vocabulary", "vocabulary", words.count, right=True),
        Column("size", "size", words.count, right=True),
        Column("feeds", "feeds", lambda names: ", ".join(f"#{numbers[n]}" if n in numbers else n for n in names)),
        Column("dtype", "dtype"),
        Column("evidence", "evidence"),
    )
    return Report("embeddings", "Embeddings in front", columns, rows)


def _candidates(network: Network) -> Report:
    rows = tuple(
        {"scope": candidate.scope, "cells": list(candidate.cells), "reason": candidate.reason}
        for candidate in network.candidates
    )
    columns = (Column("scope", "scope"), Column("cells", "could be", ", ".join), Column("reason", "why not claimed"))
    return Report("candidates", "Perhaps recurrent", columns, rows)


def _other(held: Account) -> Report:
    rows = tuple(
        {
            "tensor": tensor.name,
            "shape": list(tensor.shape),
            "dtype": tensor.dtype,
            "parameters": parameters((tensor,)),
            "bytes": tensor.nbytes,
            "problem": tensor.problem or None,
        }
        for tensor in held.other
    )
    columns = (
        Column("tensor", "tensor"),
        Column("shape", "shape", words.shape, right=True),
        Column("parameters", "parameters", words.count, right=True),
        Column("dtype", "dtype"),
    )
    return Report("other", "Other tensors", columns, rows)


def _set_apart(network: Network, held: Account) -> Report:
    kinds: dict[str, list[Any]] = {}
    for tensor in held.set_apart:
        kind = network.checkpoint.set_apart[tensor.name].partition(" of ")[0]
        kinds.setdefault(kind, []).append(tensor)
    rows = tuple(
        {
            "kind": kind,
            "tensors": len(tensors),
            "parameters": parameters(tensors),
            "bytes": nbytes(tensors),
            "names": [tensor.name for tensor in tensors],
        }
        for kind, tensors in kinds.items()
    )
    columns = (
        Column("kind", "set apart"),
        Column("tensors", "tensors", words.count, right=True),
        Column("parameters", "parameters", words.count, right=True),
        Column("bytes", "size", words.size, right=True),
        Column("names", "for example", lambda names: words.few(names, 1)),
    )
    return Report("set_apart", "Set apart: no weights", columns, rows)
