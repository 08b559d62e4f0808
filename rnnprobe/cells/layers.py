"""Cells with weights: does a set of stored tensors fit a cell, and what does a layer of it record?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnprobe.cells.options import COUNTS, RESIDUAL
from rnnprobe.cells.shapes import evaluate, formulas, solve
from rnnprobe.errors import BadInput
from rnnprobe.types import Cell, Layer, Signal, Tensor, Value, Xp


def fit(cell: Cell, weights: Mapping[str, Tensor], counts: Mapping[str, int] | None = None) -> dict[str, int] | None:
    """The sizes for which the tensors satisfy a cell's shape formulas.

    Args:
        cell: the cell.
        weights: role → tensor.
        counts: sizes that are options. One that other sizes follow from is 1 where nothing tells it.

    Returns:
        `input_size`, `units`, `output_size` and, of a convolution, `kernel_height` and the like; or None where a weight
        is missing, or that which goes with it, or a shape does not fit.
    """
    shapes = []
    for weight in cell.weights:
        tensor = weights.get(weight.role)
        if tensor is not None:
            shapes.append((weight.shape, tensor.shape))
        elif not weight.optional:
            return None
        if weight.joint and (weight.role in weights) != (weight.joint in weights):
            return None
    sizes = solve(shapes, cell.relations, counts, dict.fromkeys(deciding(cell), 1))
    # Nothing but a projection makes h another width than the gates.
    narrowed = sizes is not None and sizes["output_size"] != sizes["units"]
    return None if narrowed and "projection" not in weights else sizes


def deciding(cell: Cell) -> list[str]:
    """The options that are sizes which other sizes follow from."""
    relations = " ".join(f"{one} {other}" for one, other in cell.relations).split(" ")
    return [option.name for option in cell.options if option.name in COUNTS and option.name in relations]


def defaults(cell: Cell, known: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """Every option of a layer of this cell: what is known, and for the rest the framework's default, assumed."""
    known = known or {}
    values = {
        option.name: Value(option.default, "cell" if len(option.choices) == 1 else "assumed")
        for option in (*cell.options, RESIDUAL)
    }
    return values | {name: value for name, value in known.items() if name in values}


def signals(layer: Layer) -> tuple[Signal, ...]:
    """What a layer records: the cell's signals that its weights allow."""
    return tuple(s for s in layer.cell.signals if not s.needs or s.needs in layer.weights)


def signal_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Signal → its shape at one step of one sequence: its width, behind the extent of a convolutional cell in space."""
    # What the weights don't hold of the sizes are options (`attn_length`).
    counts = {name: value for name, value in layer.settings.items() if name in COUNTS and isinstance(value, int)}
    sizes = {**layer.sizes, **counts}
    return {
        signal.name: (*layer.space, *(evaluate(formula, sizes) for formula in formulas(signal.size)))
        for signal in signals(layer)
    }


def space_axes(cell: Cell) -> int:
    """How many axes of space the steps of a convolutional cell have; 0 for any other."""
    return len(cell.weights[0].shape) - 2 if cell.space else 0


def step_shape(layer: Layer) -> tuple[int | None, ...]:
    """The shape of a step that enters a layer, in its data format; None for an extent in space, which is open."""
    extent = (None,) * space_axes(layer.cell)
    return (layer.input_size, *extent) if _channels_first(layer) else (*extent, layer.input_size)


def output_shape(layer: Layer) -> tuple[int, ...]:
    """The shape of a step of what a layer hands on, in its data format."""
    width = passed_size(layer)
    return (width, *layer.space) if _channels_first(layer) else (*layer.space, width)


def passed_size(layer: Layer) -> int:
    """The width of what a layer hands on: that of h, unless a wrapper makes it another."""
    if layer.cell.emits == "h":
        return layer.output_size
    return next(evaluate(signal.size, layer.sizes) for signal in signals(layer) if signal.name == layer.cell.emits)


def handed_on(xp: Xp, layer: Layer, a: Any) -> Any:
    """h or c `[..., *space, units]` as the original layer hands it on: in its data format."""
    return xp.moveaxis(a, -1, -space_axes(layer.cell) - 1) if _channels_first(layer) else a


def taken_up(xp: Xp, layer: Layer, a: Any) -> Any:
    """A state as the original layer is given it, in its data format, as `[..., *space, units]`."""
    return xp.moveaxis(a, -space_axes(layer.cell) - 1, -1) if _channels_first(layer) else a


def _channels_first(layer: Layer) -> bool:
    return layer.settings.get("data_format") == "channels_first"


_GROUPS = {"states": ("state", "output"), "gates": ("gate",), "pre": ("pre",), "inner": ("inner",)}


def chosen(layers: Sequence[Layer], words: str | Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Layer → the signals that `words` name, in the cell's order.

    Args:
        layers: the layers traced.
        words: names of signals, `states`, `gates`, `pre`, `inner` or `all`, in one string with commas or each by
            itself; a word may fit some of the layers only.

    Raises:
        BadInput: a name that fits none of the layers, or words that name nothing at all.
    """
    words = words.replace(",", " ").split() if isinstance(words, str) else words
    named = {
        layer.name: tuple(s.name for s in signals(layer) if any(_means(word, s) for word in words)) for layer in layers
    }
    unknown = [word for word in words if word not in ("all", *_GROUPS) and not any(word in n for n in named.values())]
    if unknown or not any(named.values()):
        names = dict.fromkeys(signal.name for layer in layers for signal in signals(layer))
        raise BadInput(
            f"no signal is called {unknown[0]!r}" if unknown else f"{', '.join(words)} names no signal of these layers",
            hint=f"the layers have {', '.join(names)}; or states, gates, pre, inner, all; or output",
        )
    return named


def _means(word: str, signal: Signal) -> bool:
    return word in ("all", signal.name) or signal.kind in _GROUPS.get(word, ())


WIDE = 512
"""Units from which on one product keeps several cores busy."""


def products(layers: Sequence[Layer]) -> int:
    """The multiplications with weights in a step of one sequence, those at several places in space not counted."""
    return sum(tensor.size for layer in layers for tensor in layer.weights.values())


def wide(layers: Sequence[Layer]) -> bool:
    """Whether one product keeps several cores busy."""
    return any(layer.sizes.get("units", WIDE) >= WIDE for layer in layers)
