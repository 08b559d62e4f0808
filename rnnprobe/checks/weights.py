"""The rules that need values: they read the tensors that they speak of, and no others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.analysis.figures import Figures, figures
from rnnprobe.cells.slices import GateSlice, slices
from rnnprobe.checks.specification import LayerSpec, TensorSpec
from rnnprobe.checks.values import Bound, unknown
from rnnprobe.checks.verdict import Verdict
from rnnprobe.types import Layer, Tensor

_STRETCH = 1 << 22
"""Elements of a tensor that are held at a time."""


def finite(layer: Layer, one: LayerSpec) -> Iterator[Verdict]:
    """Whether the values of each tensor of a layer are finite; the block that holds the first that is not is named."""
    for tensor in layer.weights.values():
        holds, found, place = whole(tensor)
        block = _block(layer, tensor, place)
        yield Verdict(
            "finite",
            holds,
            "finite values",
            found,
            one.level,
            (*one.key, "finite"),
            layer.name,
            tensor.name,
            block.part if block else "",
            block.gate if block else "",
        )


def finite_tensor(tensor: Tensor, one: TensorSpec) -> Verdict:
    """Whether the values of a tensor are finite."""
    holds, found, _ = whole(tensor)
    return Verdict("finite", holds, "finite values", found, one.level, (*one.key, "finite"), tensor=tensor.name)


def whole(tensor: Tensor) -> tuple[bool, str, tuple[int, ...]]:
    """Whether all values are finite, what was found in words, and where the first lies that is not.

    Raises:
        BadInput: the file is damaged.
    """
    if tensor.problem:
        return False, f"values that can't be read: {tensor.problem}", ()
    if not _floating(tensor):
        return True, f"{tensor.dtype} values", ()
    total = 0
    first: tuple[int, ...] = ()
    rows = tensor.shape[0] if tensor.shape else 1
    step = max(_STRETCH // max(math.prod(tensor.shape[1:]), 1), 1)
    for start in range(0, rows, step):
        values = tensor.load(slice(start, start + step)) if tensor.shape else tensor.load().reshape(1)
        bad = ~np.isfinite(values)
        if bad.any():
            if not total:
                at = [int(place) for place in np.argwhere(bad)[0]]
                first = (at[0] + start, *at[1:])
            total += int(bad.sum())
    if not total:
        return True, "finite values", ()
    return False, f"{words.counted(total, 'value')} NaN or infinite, the first at {list(first)}", first


def _floating(tensor: Tensor) -> bool:
    """Whether values of this dtype can be other than finite; NumPy has no kind for bfloat16 and float8."""
    return "float" in tensor.dtype or tensor.dtype.startswith("complex")


def _block(layer: Layer, tensor: Tensor, place: Sequence[int]) -> GateSlice | None:
    """The gate's block in which an element of a tensor lies."""
    if not place or not tensor.shape:
        return None
    row = place[-2] if len(place) > 1 else place[0]
    for block in slices(layer):
        columns = block.columns.indices(tensor.shape[-1])
        inside = len(place) == 1 or columns[0] <= place[-1] < columns[1]
        if block.tensor.name == tensor.name and block.rows.start <= row < block.rows.stop and inside:
            return block
    return None


def values(layer: Layer, one: LayerSpec) -> Iterator[Verdict]:
    """The comparisons of a layer's figures."""
    every = list(slices(layer)) if one.values else []
    wanted = {id(compared): [block for block in every if _means(compared, block)] for compared in one.values}
    found = _figures(one.values, wanted)
    for number, compared in enumerate(one.values):
        key = (*one.key, "values", number)
        blocks = wanted[id(compared)]
        if not blocks:
            what = unknown(compared, [(block.part, block.gate) for block in every])
            yield Verdict("value", False, compared.text.strip(), what, one.level, key, layer.name, what=compared.part)
        for block in blocks:
            holds, what = _compared(compared, block, found)
            yield Verdict(
                "value",
                holds,
                compared.text.strip(),
                what,
                one.level,
                key,
                layer.name,
                block.tensor.name,
                block.part,
                block.gate,
            )


def _means(compared: Bound, block: GateSlice) -> bool:
    return block.part == compared.part and (not compared.gates or block.gate in compared.gates)


def _figures(compared: Sequence[Bound], wanted: dict[int, list[GateSlice]]) -> dict[int, Figures]:
    """The figures of the blocks that are asked for, by the block's id; eigenvalues only where they are."""
    found: dict[int, Figures] = {}
    for radius in (True, False):
        blocks = {
            id(block): block
            for one in compared
            for block in wanted[id(one)]
            if (one.figure == "radius") == radius and not block.tensor.problem and id(block) not in found
        }
        found |= {id(block): values for block, values in figures(blocks.values(), radius=radius)}
    return found


def _compared(compared: Bound, block: GateSlice, found: dict[int, Figures]) -> tuple[bool, str]:
    if block.tensor.problem:
        return False, f"values that can't be read: {block.tensor.problem}"
    value: float | None = getattr(found[id(block)], compared.figure)
    if value is None:
        return False, f"no {compared.figure}: the block is {words.shape(block.shape)}, no square that meets h"
    return compared.holds(value), f"{compared.figure} = {value:.6g}"
