"""Cells inside TensorFlow 1 wrappers with weights of their own, by where these lie (cells.md, section 6).

Up to TensorFlow 1.1 the scope of a projection lies beside that of the cell, later around it; an AttentionCellWrapper
always lies around it; a HighwayWrapper has no scope, and its weights lie beside what it wraps. What an AttentionWrapper
has been given lies where that was made: each mechanism's memory layer, and all dense layers of TensorFlow 1.1's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, product, takewhile

from rnnprobe.cells.attention import attention
from rnnprobe.cells.attention_wrapper import (
    DYNAMIC,
    MECHANISMS,
    MEMORY_STEPS,
    TOP_SIZE,
    Mechanism,
    attention_wrapper,
)
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.cells.ntm import ntm
from rnnprobe.cells.wrappers import highway, input_projection, output_projection
from rnnprobe.formats.natural import natural
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
        apart: the scopes of weights that lie where they were made, before or around the wrapper.
        count: how many there are of each of these; 0: any, of which one fits.
    """

    scopes: tuple[str, ...]
    wrap: Callable[[Cell], Cell]
    around: bool = False
    flat: bool = False
    apart: tuple[str, ...] = ()
    count: int = 0


_MEMORY = "memory_layer"
_DENSE = (_MEMORY, "query_layer", "dense")
_MOST = 4
"""Mechanisms in one wrapper; their order is tried."""


@cache
def _attention(mechanisms: tuple[Mechanism, ...], mixed: bool, emitted: str = "") -> _Wrapper:
    """An AttentionWrapper: one and the same for the same mechanisms."""
    wrap = attention_wrapper(*mechanisms, mixed=mixed, emitted=emitted)
    if mechanisms[0].dynamic:
        return _Wrapper((), wrap, apart=_DENSE)
    count = len(mechanisms) if len(mechanisms) > 1 else 0
    return _Wrapper(_ATTENTION, wrap, around=True, apart=(_MEMORY,), count=count)


_ATTENTION = ("attention_wrapper",)
_WRAPPERS = (
    _Wrapper(("input_projection_wrapper", "InputProjectionWrapper"), input_projection),
    _Wrapper(("output_projection_wrapper", "OutputProjectionWrapper"), output_projection),
    _Wrapper(("attention_cell_wrapper", "AttentionCellWrapper"), attention, flat=True),
    _Wrapper(("ntm_cell",), ntm),
    *(_attention((mechanism,), mixed) for mechanism in MECHANISMS for mixed in (True, False)),
    *(_attention((mechanism,), True) for mechanism in DYNAMIC),
    _Wrapper((), highway),
)
_OVER_SEVERAL = (
    *(_attention((mechanism,), mixed, TOP_SIZE) for mechanism in MECHANISMS for mixed in (True, False)),
    *(_attention((mechanism,), True, TOP_SIZE) for mechanism in DYNAMIC),
)
_COUNTER = re.compile(r"_\d+$")
_MADE: dict[tuple[int, int], tuple[Cell, Cell]] = {}
"""By what they are rather than what they hold, which is much to compare: a wrapper and a cell → both cells."""


def wrapped(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> list[Layer]:
    """The layers, each inside of the wrappers that lie around it; its scope and its name are then the outermost's.

    Where several cells lie in one scope, weights beside them are nobody's.
    """
    around = [layer.scope.rpartition("/")[0] for layer in layers]
    return [
        _wrapped(layer, tensors, [*around[:number], *around[number + 1 :]])
        if layer.cell.framework == "tf1" and not layer.cell.space
        else layer
        for number, layer in enumerate(layers)
    ]


def attending(
    layer: Layer, scope: str, tensors: Mapping[str, Tensor], beside: Collection[str], others: Collection[str]
) -> Layer | None:
    """The lowest of several cells, inside of the AttentionWrapper of this scope, in which `beside` lies too.

    What the wrapper's weights meet is `top_size` wide: the last of the cells emits it. `others` are the scopes around
    the cells of other layers.
    """
    stored = {name: tensor for name, tensor in tensors.items() if name not in beside}
    wrappers = [wrapper for wrapper in _OVER_SEVERAL if wrapper.around or _given(scope, others, tensors)]
    wrappers += _several(scope, tensors, TOP_SIZE)
    made = (_inside(layer, wrapper, layer.scope, scope, stored) for wrapper in wrappers)
    return next((found for found in made if found is not None), None)


def _wrapped(layer: Layer, tensors: Mapping[str, Tensor], others: Collection[str]) -> Layer:
    """The layer inside of every wrapper found, from the inside to the outside.

    Args:
        layer: the layer.
        tensors: all that is stored.
        others: the scopes around the cells of other layers.
    """
    found: Layer | None = layer
    alone = layer.scope.rpartition("/")[0] not in others
    while found is not None:
        layer, found = found, None
        parent = layer.scope.rpartition("/")[0]
        for wrapper in (*_WRAPPERS, *_several(parent, tensors)):
            places = [(parent, parent)] if wrapper.around else _places(layer.scope, wrapper.scopes, alone)
            for scope, below in places:
                if not wrapper.apart or wrapper.around or _given(below, others, tensors):
                    found = found or _inside(layer, wrapper, scope, below, tensors)
    return layer


def _given(below: str, others: Collection[str], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a DynamicAttentionWrapper, which has no scope, lies there: no other cell is as near to a memory layer."""
    if any(f"{below}/attention_{leaf}" in tensors for leaf in "vgr"):
        return True
    near = {_shared(below, scope) for scope in _nearest(_MEMORY, below, tensors)}
    far = [_shared(other, scope) for other in others for scope in _nearest(_MEMORY, other, tensors)]
    return len(near) == 1 and max(far, default=-1) < max(near)


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


def _several(below: str, tensors: Mapping[str, Tensor], emitted: str = "") -> Iterator[_Wrapper]:
    """AttentionWrappers of several mechanisms whose weights may lie below a scope, in every order of these.

    There are as many as memory layers; those of one class are numbered in their order.
    """
    count = len(_nearest(_MEMORY, below, tensors))
    if not 1 < count <= _MOST:
        return
    named: list[Mechanism] = []
    for mechanism in MECHANISMS:
        pattern = re.compile(rf"{re.escape(below)}/{mechanism.name}(?:_(\d+))?/.+")
        numbers = [int(found[1] or 0) for name in tensors if (found := pattern.fullmatch(name))]
        named += [mechanism] * (max(numbers) + 1 if numbers else 0)
    named += [MECHANISMS[-1]] * (count - len(named))
    mixed = f"{below}/attention_layer/kernel" in tensors
    for order in dict.fromkeys(permutations(named)) if len(named) == count else ():
        yield _attention(order, mixed, emitted)


def _inside(layer: Layer, wrapper: _Wrapper, scope: str, below: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    """The layer inside of a wrapper, or None where the wrapper's weights don't lie there or don't fit."""
    if wrapper.flat and any("," in signal.size for signal in layer.cell.signals if signal.kind == "state"):
        return None
    cell = _around(wrapper, layer.cell)
    held = _held(layer, cell, wrapper, below, tensors)
    fits = [(weights, sizes) for weights in held if (sizes := fit(cell, weights))]
    if len(fits) != 1:
        return None
    weights, sizes = fits[0]
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


def _held(
    layer: Layer, cell: Cell, wrapper: _Wrapper, below: str, tensors: Mapping[str, Tensor]
) -> Iterator[dict[str, Tensor]]:
    """The weights of a cell inside of a wrapper, for each choice among those that lie apart."""
    own = cell.weights[len(layer.cell.weights) :]
    # Once around a cell is as often as it has names for.
    if any(weight.role in layer.weights for weight in own):
        return
    heads = list(dict.fromkeys(head for weight in own if (head := _apart(weight, wrapper))))
    places = [_places_of(head, wrapper.count, below, tensors) for head in heads]
    for chosen in product(*places):
        scopes = dict(zip(heads, chosen, strict=True))
        weights = dict(layer.weights)
        for weight in own:
            head = _apart(weight, wrapper)
            leaves = [name.removeprefix(f"{head}/") for name in weight.names]
            around = scopes[head] if head else below
            names = [f"{around}/{leaf}" if around else leaf for leaf in leaves]
            stored = next((tensors[name] for name in names if name in tensors), None)
            if stored is not None:
                weights[weight.role] = stored
            elif not weight.optional:
                break
        else:
            yield weights


def _apart(weight: Weight, wrapper: _Wrapper) -> str:
    """The scope of a weight that lies apart, numbered; empty for one that lies below the wrapper's."""
    head = weight.names[0].partition("/")[0]
    return head if _COUNTER.sub("", head) in wrapper.apart else ""


def _places_of(head: str, count: int, below: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Where weights may lie whose scope is `head`; one of several has its number there."""
    base = _COUNTER.sub("", head)
    nearest = _nearest(base, below, tensors)
    if not count:
        return nearest
    number = int(head[len(base) + 1 :] or 0)
    return nearest[number : number + 1] if len(nearest) == count else []


def _nearest(base: str, below: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """The scopes of this name, whatever their number, that have most components in common with one; by number."""
    shared: dict[int, list[str]] = {}
    for name in tensors:
        scope, _, leaf = name.rpartition("/")
        if leaf == "kernel" and _COUNTER.sub("", scope.rpartition("/")[2]) == base:
            shared.setdefault(_shared(scope.rpartition("/")[0], below), []).append(scope)
    return sorted(shared[max(shared)], key=natural) if shared else []


def _shared(one: str, other: str) -> int:
    """How many components two scopes begin with alike."""
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
