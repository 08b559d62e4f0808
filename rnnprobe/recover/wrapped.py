"""Cells inside TensorFlow 1 wrappers with weights of their own, by where these lie (cells.md, section 6).

Up to TensorFlow 1.1 the scope of a projection lies beside that of the cell, later around it; an AttentionCellWrapper
always lies around it; a HighwayWrapper has no scope, and its weights lie beside what it wraps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from rnnprobe.cells.attention import attention
from rnnprobe.cells.attention_wrapper import MECHANISMS, MEMORY_STEPS, TOP_SIZE, attention_wrapper
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.ntm import ntm
from rnnprobe.cells.wrappers import highway, input_projection, output_projection
from rnnprobe.recover.stacks import MEMORY
from rnnprobe.types import Cell, Feed, Layer, Tensor, Weight


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A wrapper.

    Attributes:
        scopes: that it had; none where it has none.
        wrap: makes the wrapped cell.
        around: it always lies around the cell, and nothing else lies in it; its user may have called it otherwise, and
            then some of its weights lie there.
        flat: it looks at all states side by side: each has one axis.
    """

    scopes: tuple[str, ...]
    wrap: Callable[[Cell], Cell]
    around: bool = False
    flat: bool = False


_ATTENTION = ("attention_wrapper",)
_WRAPPERS = (
    _Wrapper(("input_projection_wrapper", "InputProjectionWrapper"), input_projection),
    _Wrapper(("output_projection_wrapper", "OutputProjectionWrapper"), output_projection),
    _Wrapper(("attention_cell_wrapper", "AttentionCellWrapper"), attention, flat=True),
    _Wrapper(("ntm_cell",), ntm),
    *(
        _Wrapper(_ATTENTION, attention_wrapper(mechanism, mixed=mixed), around=True)
        for mechanism in MECHANISMS
        for mixed in (True, False)
    ),
    _Wrapper((), highway),
)
_OVER_SEVERAL = tuple(
    _Wrapper(_ATTENTION, attention_wrapper(mechanism, mixed=mixed, emitted=TOP_SIZE), around=True)
    for mechanism in MECHANISMS
    for mixed in (True, False)
)
_COUNTER = re.compile(r"_\d+$")
_MEMORY = "memory_layer"
_MADE: dict[tuple[int, int], tuple[Cell, Cell]] = {}
"""By what they are rather than what they hold, which is much to compare: a wrapper and a cell → both cells."""


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


def attending(layer: Layer, scope: str, tensors: Mapping[str, Tensor], beside: Collection[str]) -> Layer | None:
    """The lowest of several cells, inside of the AttentionWrapper of this scope, in which `beside` lies too.

    What the wrapper's weights meet is `top_size` wide: the last of the cells emits it.
    """
    stored = {name: tensor for name, tensor in tensors.items() if name not in beside}
    made = (_inside(layer, wrapper, layer.scope, scope, stored) for wrapper in _OVER_SEVERAL)
    return next((found for found in made if found is not None), None)


def _wrapped(layer: Layer, tensors: Mapping[str, Tensor], *, alone: bool) -> Layer:
    """The layer inside of every wrapper found, from the inside to the outside."""
    found: Layer | None = layer
    while found is not None:
        layer, found = found, None
        for wrapper in _WRAPPERS:
            parent = layer.scope.rpartition("/")[0]
            places = [(parent, parent)] if wrapper.around else _places(layer.scope, wrapper.scopes, alone)
            for scope, below in places:
                found = found or _inside(layer, wrapper, scope, below, tensors)
    return layer


def _around(wrapper: _Wrapper, cell: Cell) -> Cell:
    """The cell inside of a wrapper: made once, so that two layers of it have one and the same."""
    key = id(wrapper), id(cell)
    if key not in _MADE:
        _MADE[key] = cell, wrapper.wrap(cell)
    return _MADE[key][1]


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
    if wrapper.flat and any("," in signal.size for signal in layer.cell.signals if signal.kind == "state"):
        return None
    cell = _around(wrapper, layer.cell)
    weights = dict(layer.weights)
    for weight in cell.weights[len(layer.cell.weights) :]:
        # Once around a cell is as often as it has names for.
        if weight.role in layer.weights:
            return None
        if weight.role == _MEMORY:
            stored = _memory_layer(below, weight, tensors)
        else:
            names = [f"{below}/{name}" if below else name for name in weight.names]
            stored = next((tensors[name] for name in names if name in tensors), None)
        if stored is not None:
            weights[weight.role] = stored
        elif not weight.optional:
            return None
    sizes = fit(cell, weights)
    if sizes is None:
        return None
    known = {tensor.name for tensor in weights.values()}
    if wrapper.around:
        inside = {name for name in tensors if name.startswith(f"{below}/")}
        own = inside - {tensor.name for tensor in layer.weights.values()}
        if inside - known or not (own or _COUNTER.sub("", below.rpartition("/")[2]) in wrapper.scopes):
            return None
    context = None
    if cell.attend is not None:
        sizes, context = {**sizes, MEMORY_STEPS: 0}, Feed((MEMORY,))
    return replace(
        layer,
        context=context,
        name=scope if layer.name == layer.scope else layer.name,
        scope=scope,
        cell=cell,
        weights=weights,
        sizes=sizes,
        options=defaults(cell, layer.options),
    )


def _memory_layer(below: str, weight: Weight, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The memory layer of a mechanism, which lies in the scope in which that was made: the nearest, where one is."""
    (leaf,) = weight.names
    shared: dict[int, list[Tensor]] = {}
    for name, tensor in tensors.items():
        scope, _, last = name.removesuffix("/kernel").rpartition("/")
        if name.endswith("/kernel") and f"{_COUNTER.sub('', last)}/kernel" == leaf:
            pairs = zip(scope.split("/"), below.split("/"), strict=False)
            shared.setdefault(sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)), []).append(tensor)
    nearest = shared[max(shared)] if shared else []
    return nearest[0] if len(nearest) == 1 else None
