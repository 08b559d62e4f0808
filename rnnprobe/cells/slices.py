"""The blocks of a layer's stored tensors, gate by gate, and the arrays that its equations take.

Everything that needs to know which columns are which gate asks here, and `Part` is where that is written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnprobe.cells.shapes import evaluate
from rnnprobe.types import ALL, Array, Layer, Tensor


@dataclass(frozen=True, slots=True)
class GateSlice:
    """One gate's block of one part, or a part without gates.

    Attributes:
        part: `kernel`, `recurrent_kernel`, `bias` …
        gate: `i`, `f` …, or empty.
        tensor: where it is stored.
        rows: along the last axis but one; for a vector, its elements.
        columns: along the last axis; all for a vector.
        shape: what `load` returns.
        cudnn: stored transposed, as cuDNN wants it; `load` puts it right.
    """

    part: str
    gate: str
    tensor: Tensor
    rows: slice
    columns: slice
    shape: tuple[int, ...]
    cudnn: bool = False

    @property
    def stretch(self) -> slice:
        """What has to be read of the tensor, along its first axis."""
        return self.rows if len(self.tensor.shape) < 3 else slice(0, self.tensor.shape[0])

    def cut(self, stored: Array) -> Array:
        """The block's share of a stretch of the tensor."""
        if stored.ndim > 2:
            stored = stored[..., self.rows, :]
        return stored[..., self.columns] if stored.ndim > 1 else stored

    def load(self) -> Array:
        """The block, `[rows, units]`, `[units]` or, of a convolution's kernel, `[*extents, rows, units]`."""
        stored = self.cut(self.tensor.load(self.stretch))
        if self.cudnn:
            return np.ascontiguousarray(stored).reshape(self.shape[1], self.shape[0]).T
        return stored.reshape(self.shape)


def slices(layer: Layer) -> Iterator[GateSlice]:
    """Every block of a layer, in stored order."""
    for weight in layer.cell.weights:
        tensor = layer.weights.get(weight.role)
        if tensor is None:
            continue
        if not tensor.shape:
            yield from (GateSlice(part.name, "", tensor, ALL, ALL, ()) for part in weight.parts)
            continue
        start = 0
        for part in weight.parts:
            extent = evaluate(part.rows, layer.sizes)
            stop = start + extent
            if len(tensor.shape) == 1:
                width = extent // max(len(part.gates), 1)
                for k, gate in enumerate(part.gates or ("",)):
                    rows = slice(start + k * width, start + (k + 1) * width)
                    yield GateSlice(part.name, gate, tensor, rows, ALL, (width,))
            else:
                width = tensor.shape[-1] // max(len(part.gates), 1)
                shape = (width,) if part.name.endswith("bias") else (*tensor.shape[:-2], extent, width)
                for k, gate in enumerate(part.gates or ("",)):
                    columns = slice(k * width, (k + 1) * width)
                    yield GateSlice(part.name, gate, tensor, slice(start, stop), columns, shape, part.cudnn)
            start = stop


def assemble(layer: Layer) -> dict[str, Array]:
    """The parts of a layer as its equations take them; its tensors are read here, each byte once.

    Returns:
        Part name → `[rows, gates · units]`, of a convolution `[*extents, rows, gates · units]`, of a bias
        `[gates · units]`; the gates in the order of `Cell.order`, those of them that the part has. Where `Cell.order`
        has several groups, each is an array of its own, named `kernel_rz`, `kernel_n` and so on. Where the cell has
        `prepare`, what it makes of them.
    """
    blocks: dict[str, dict[str, Array]] = {}
    for block in slices(layer):
        blocks.setdefault(block.part, {})[block.gate] = block.load()
    groups = layer.cell.order
    arrays = {}
    for part, gates in blocks.items():
        if "" in gates:
            arrays[part] = gates[""]
            continue
        for group in groups:
            name = part if len(groups) == 1 else f"{part}_{''.join(group)}"
            held = [gates[gate] for gate in group if gate in gates]
            if held:
                arrays[name] = np.concatenate(held, axis=-1)
    prepare = layer.cell.prepare
    return arrays if prepare is None else prepare(arrays)
