"""Sizes of layers that no weight tells: by the graph, by the user, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnprobe.cells.layers import deciding, fit
from rnnprobe.cells.options import COUNTS
from rnnprobe.recover.wiring import wire
from rnnprobe.types import Candidate, Layer, Network, OptionValue, Value


def told(found: Network, options: Mapping[str, OptionValue]) -> Network:
    """The network with the sizes that follow from what its graph and the user say of such layers, wired anew.

    Args:
        found: what names and shapes gave; in it a size that nothing told is 1.
        options: what the user says.
    """
    open_ = [layer for layer in found.layers if deciding(layer.cell)]
    if not open_:
        return found
    shown: Mapping[str, Mapping[str, OptionValue]] = {}
    if found.checkpoint.graph is not None:
        from rnnprobe.recover.graph.windows import swept

        shown = swept(found.checkpoint.graph, found.checkpoint.tensors, open_)
    sized = {layer.name: _sized(layer, shown.get(layer.name, {}), options) for layer in open_}
    return wire(replace(found, layers=tuple(sized.get(layer.name, layer) for layer in found.layers)))


def _sized(layer: Layer, shown: Mapping[str, OptionValue], options: Mapping[str, OptionValue]) -> Layer:
    """The layer with what the graph shows, and its sizes by that and by what the user says."""
    known = {name: Value(value, "graph") for name, value in shown.items() if name in layer.options}
    values = {name: value.value for name, value in {**layer.options, **known}.items()} | dict(options)
    counts = {name: value for name in deciding(layer.cell) if isinstance(value := values[name], int)}
    sizes = fit(layer.cell, layer.weights, counts)
    if sizes is None:
        return layer
    # What x has behind its last window is shown by the graph alone; of a wrapped cell it is none of the layer's input.
    width = shown.get("input_size") if layer.cell.wraps is None else None
    if isinstance(width, int) and all(options.get(name, value) == value for name, value in shown.items()):
        sizes["input_size"] = max(width, sizes["input_size"])
    return replace(layer, sizes={**layer.sizes, **sizes}, options={**layer.options, **known})


def counted(found: Network) -> Network:
    """Without the layers of which a size is nowhere told; they are candidates."""
    layers, candidates = [], list(found.candidates)
    for layer in found.layers:
        unknown = sorted(name for name in COUNTS & layer.options.keys() if layer.options[name].value is None)
        if not unknown:
            layers.append(layer)
            continue
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in unknown)
        are, settle = ("are", "settle") if len(unknown) > 1 else ("is", "settles")
        missing = f"its {' and '.join(unknown)} {are} not among the weights"
        reason = f"a {layer.cell.title}, but {missing}; {flags} {settle} it"
        candidates.append(Candidate(layer.scope, (layer.cell.name,), reason))
    return replace(found, layers=tuple(layers), candidates=tuple(candidates))
