"""Cells inside TensorFlow 1 wrappers with weights of their own, by where these lie (cells.md, section 6).

Up to TensorFlow 1.1 the scope of a projection lies beside that of the cell, later around it; an AttentionCellWrapper
always lies around it; a HighwayWrapper has no scope, and its weights lie beside what it wraps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnprobe.cells.attention import attention
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.ntm import ntm
from rnnprobe.cells.wrappers import highway, input_projection, output_projection
from rnnprobe.types import Cell, Layer, Tensor


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A wrapper: the scopes that it had, none where it has none, and what makes the wrapped cell."""

    scopes: tuple[str, ...]
    wrap: Callable[[Cell], Cell]


_WRAPPERS = (
    _Wrapper(("input_projection_wrapper", "InputProjectionWrapper"), input_projection),
    _Wrapper(("output_projection_wrapper", "OutputProjectionWrapper"), output_projection),
    _Wrapper(("attention_cell_wrapper", "AttentionCellWrapper"), attention),
    _Wrapper(("ntm_cell",), ntm),
    _Wrapper((), highway),
)
_COUNTER = re.compile(r"_\d+$")


def wrapped(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> list[Layer]:
    """The layers, each inside of the wrappers that lie around it; its scope and its name are then the outermost's.

    Where several cells lie in one scope, weights beside them are nobody's.
    """
    around = [layer.scope.rpartition("/")[0] for layer in layers]
    return [
        _wrapped(layer, tensors, alone=around.count(layer.scope.rpartition("/")[0]) == 1)
        if layer.cell.framework == "tf1" and not layer.cell.space
        else layer
        for layer in layers
    ]


def _wrapped(layer: Layer, tensors: Mapping[str, Tensor], *, alone: bool) -> Layer:
    """The layer inside of every wrapper found, from the inside to the outside."""
    found: Layer | None = layer
    while found is not None:
        layer, found = found, None
        for wrapper in _WRAPPERS:
            for scope, below in _places(layer.scope, wrapper.scopes, alone):
                found = found or _inside(layer, wrapper, scope, below, tensors)
    return layer


def _places(inner: str, scopes: Collection[str], alone: bool) -> Iterator[tuple[str, str]]:
    """Where a wrapper's weights may lie: the scope that the layer then has, and the scope that they are below."""
    parent, _, _ = inner.rpartition("/")
    if scopes and _COUNTER.sub("", parent.rpartition("/")[2]) in scopes:
        yield parent, parent
    if alone and scopes:
        yield from ((inner, f"{parent}/{scope}" if parent else scope) for scope in scopes)
    elif alone:
        yield inner, parent


def _inside(layer: Layer, wrapper: _Wrapper, scope: str, below: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    """The layer inside of a wrapper, or None where the wrapper's weights don't lie there or don't fit."""
    cell = wrapper.wrap(layer.cell)
    weights = dict(layer.weights)
    for weight in cell.weights[len(layer.cell.weights) :]:
        # Once around a cell is as often as it has names for.
        if weight.role in layer.weights:
            return None
        names = [f"{below}/{name}" if below else name for name in weight.names]
        stored = next((tensors[name] for name in names if name in tensors), None)
        if stored is not None:
            weights[weight.role] = stored
        elif not weight.optional:
            return None
    sizes = fit(cell, weights)
    if sizes is None:
        return None
    return replace(
        layer,
        name=scope if layer.name == layer.scope else layer.name,
        scope=scope,
        cell=cell,
        weights=weights,
        sizes=sizes,
        options=defaults(cell, layer.options),
    )
