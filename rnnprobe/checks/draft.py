"""A model → the specification that it meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from rnnprobe.analysis.account import Account, account, nbytes, parameters
from rnnprobe.analysis.figures import figures
from rnnprobe.cells.slices import slices
from rnnprobe.checks.layers import stored
from rnnprobe.checks.sizes import OWN, symbols
from rnnprobe.checks.specification import (
    Amount,
    CheckpointSpec,
    LayerSpec,
    OptionSpec,
    SizeName,
    Specification,
    TensorSpec,
)
from rnnprobe.checks.tensors import own
from rnnprobe.checks.values import Bound, bound, near
from rnnprobe.errors import BadInput
from rnnprobe.types import Layer, Network, Tensor, Value

_CERTAIN = ("config", "graph")
"""Evidence that must not be lost: a value that was read off the file, and not assumed."""


def draft(network: Network, layers: Sequence[Layer] | None = None, *, values: bool = False) -> Specification:
    """What a model is, as a specification; the sizes that a layer takes over from another are symbols.

    Args:
        network: the model.
        layers: those to speak of; if not given, all of them, the other tensors, and the file as a whole.
        values: also what is in the weights: that it is finite, and for each gate its norm and the mean of its bias,
            within a tolerance. Reads every tensor spoken of.

    Raises:
        BadInput: values can't be read; or they are not finite, so that nothing can be said of them.
    """
    sizes = _symbols(network)
    held = account(network)
    tables = {embedding.table.name: embedding.name for embedding in network.embeddings}
    tensors = own(held) if layers is None else ()
    return Specification(
        path=None,
        sizes={symbol: size for symbol, size in sizes.values()},
        checkpoint=_checkpoint(network, held) if layers is None else CheckpointSpec(),
        layers=tuple(
            _layer(network, layer, number, sizes, values)
            for number, layer in enumerate(network.layers if layers is None else layers)
        ),
        tensors=tuple(
            _tensor(tensor, number, sizes.get(tables.get(tensor.name, "")), values)
            for number, tensor in enumerate(tensors)
        ),
    )


def _checkpoint(network: Network, held: Account) -> CheckpointSpec:
    weights = (*held.recurrent, *own(held))
    return CheckpointSpec(
        layers=_exactly(len(network.layers)),
        parameters=_exactly(parameters(weights)),
        bytes=_exactly(nbytes(weights)),
        complete=not any(tensor.problem for tensor in network.checkpoint.tensors.values()),
        unlisted_layers="error",
        unlisted_tensors="error",
    )


def _exactly(number: int) -> Amount:
    return Amount(number, number)


def _symbols(network: Network) -> dict[str, tuple[str, int]]:
    """A layer or embedding whose width another layer takes over → the symbol for it, and the width."""
    read = {
        source for layer in network.layers if _formula_of(network, layer) is not None for source in layer.feed.sources
    }
    found = {}
    for number, layer in enumerate(network.layers, 1):
        if layer.name in read:
            found[layer.name] = (f"width_{number}", layer.output_size)
    for number, embedding in enumerate(network.embeddings, 1):
        if embedding.name in read and embedding.name not in found:
            found[embedding.name] = (f"embedding_{number}", embedding.table.shape[-1])
    return found


def _formula_of(network: Network, layer: Layer) -> tuple[str, ...] | None:
    """The sources whose widths make up the layer's input; None where something else does."""
    feed = layer.feed
    widths = {one.name: one.output_size for one in network.layers}
    widths |= {embedding.name: embedding.table.shape[-1] for embedding in network.embeddings}
    if feed.final or any(source not in widths for source in feed.sources):
        return None
    sources = feed.sources if feed.merge == "concat" else feed.sources[:1]
    return sources if sum(widths[source] for source in sources) == layer.input_size else None


def _layer(
    network: Network, layer: Layer, number: int, symbols: Mapping[str, tuple[str, int]], values: bool
) -> LayerSpec:
    dtypes = {tensor.dtype for tensor in layer.weights.values()}
    return LayerSpec(
        key=("layer", number),
        name=layer.name,
        cell=layer.cell.name,
        sizes=_sizes(network, layer, symbols),
        direction=layer.direction,
        dtype=next(iter(dtypes)) if len(dtypes) == 1 else None,
        gates=layer.cell.gates or None,
        fed_by=layer.feed.sources if layer.feed.evidence in _CERTAIN else None,
        weights=tuple(_shapes(layer)),
        shapes=_shapes(layer),
        options={name: _option(value) for name, value in layer.options.items()},
        finite=values,
        values=tuple(_values(network, layer)) if values else (),
    )


def _sizes(network: Network, layer: Layer, symbols: Mapping[str, tuple[str, int]]) -> dict[SizeName, str]:
    sources = _formula_of(network, layer)
    sizes: dict[SizeName, str] = {"input_size": str(layer.input_size), "units": str(layer.units)}
    if sources is not None:
        sizes["input_size"] = " + ".join(symbols[source][0] for source in sources)
    symbol = symbols[layer.name][0] if layer.name in symbols else None
    if layer.output_size != layer.units:
        sizes["output_size"] = symbol or str(layer.output_size)
    elif symbol is not None:
        sizes["units"] = symbol
    return sizes


def _shapes(layer: Layer) -> dict[str, tuple[str, ...]]:
    """The formulas of the stored tensors; a number where one speaks of a size that only a wrapped cell has.

    Without a projection h is as wide as the gates, and they say so.
    """
    output = "output_size" if layer.output_size != layer.units else "units"
    return {
        weight.role: tuple(
            formula.replace("output_size", output) if OWN.issuperset(symbols(formula)) else str(size)
            for formula, size in zip(weight.shape, layer.weights[weight.role].shape, strict=True)
        )
        for weight in layer.cell.weights
        if weight.role in layer.weights
    }


def _option(value: Value) -> OptionSpec:
    evidence = (value.evidence,) if value.evidence in _CERTAIN else None
    return OptionSpec(stored(value), evidence)


def _tensor(tensor: Tensor, number: int, width: tuple[str, int] | None, values: bool) -> TensorSpec:
    shape = [str(size) for size in tensor.shape]
    if width is not None:
        shape[-1] = width[0]
    return TensorSpec(
        ("tensor", number), tensor.name, shape=tuple(shape), dtype=tensor.dtype, finite=values and not tensor.problem
    )


def _values(network: Network, layer: Layer) -> Iterator[Bound]:
    """For each block its norm, and of a bias its mean too."""
    path = network.checkpoint.path
    for block, found in figures(slices(layer), path, radius=False):
        if found.nonfinite:
            raise BadInput(
                f"{block.tensor.name} holds {found.nonfinite} values that are NaN or infinite: nothing can be asked of "
                "them",
                path=path,
                hint="leave --values out",
            )
        yield bound(near(block.gate, block.part, "norm", found.norm, "5 %"))
        if block.part.endswith("bias"):
            spread = 0.1 * found.norm / max(prod(block.shape), 1) ** 0.5
            yield bound(near(block.gate, block.part, "mean", found.mean, f"{spread:.3g}"))
