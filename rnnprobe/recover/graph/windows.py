"""How a graph sweeps over the features of a step, and what else it says of a cell of `rnnprobe.cells.grid_lstm`.

Where the kernel meets x, a window of x is cut out beside the window's states: `Slice(x, [0, place], [-1, size])`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any

from rnnprobe.cells.options import BACKWARD_SLICE_OFFSET, CELL_CLIP, FORGET_BIAS, FREQUENCY_SKIP, FREQUENCY_WINDOWS
from rnnprobe.recover.graph.cell import Reader
from rnnprobe.recover.graph.loop_words import extent
from rnnprobe.recover.graph.paths import ADDS, activations, clips, combined, constants
from rnnprobe.recover.graph.values import Variables, array, joins, named
from rnnprobe.recover.graph.view import Ref, view
from rnnprobe.types import Layer, OptionValue, Tensor

_KERNELS = {"kernel": "bias", "kernel_freq": "bias_freq"}
_BACKWARD = "kernel_freq_bwd"
_ZEROS = {"Const", "Fill", "ZerosLike"}
INPUT_SIZE = "input_size"


def swept(graph: Any, tensors: Collection[str], layers: Collection[Layer]) -> dict[str, dict[str, OptionValue]]:
    """What a graph says of layers that sweep over windows.

    Args:
        graph: a MetaGraphDef or GraphDef.
        tensors: names of what is stored.
        layers: those of such cells.

    Returns:
        The layer's name → option → value, and `input_size`, how wide x is, where the graph says it; without the layers
        whose windows are not seen, or are not all equally far apart.
    """
    if not layers:
        return {}
    web = view(graph)
    reader = Reader(web, Variables(web, tensors))
    found = {layer.name: _options(reader, layer) for layer in layers}
    return {name: options for name, options in found.items() if options}


def _options(reader: Reader, layer: Layer) -> dict[str, OptionValue]:
    weights = layer.weights
    role = next(role for role in _KERNELS if role in weights)
    first, width = _starts(reader, named(weights, role))
    gaps = {after - before for before, after in pairwise(first)}
    if not first or first[0] or len(gaps) > 1:
        return {}
    found: dict[str, OptionValue] = {FREQUENCY_WINDOWS.name: len(first), FREQUENCY_SKIP.name: (gaps or {1}).pop()}
    if width:
        found[INPUT_SIZE] = width
    if _BACKWARD in weights:
        second, _ = _starts(reader, named(weights, _BACKWARD))
        if not second or [place - second[0] for place in second] != first:
            return {}
        found[BACKWARD_SLICE_OFFSET.name] = second[0]
    for product in _products(reader, named(weights, role)):
        found |= _read(reader, product, layer, role)
    return found


def _products(reader: Reader, kernel: str) -> Iterator[int]:
    nodes = reader.view.nodes
    return (number for number, node in enumerate(nodes) if not node.hidden and reader.takes(number, kernel))


def beginnings(reader: Reader, weights: Iterable[Tensor]) -> set[int]:
    """The zeros that a sweep over windows begins with, at each step anew: those made where its kernels are used.

    What the states of a layer start from is made outside of its cell's scope.
    """
    nodes = reader.view.nodes
    products = {number for weight in weights for number in _products(reader, weight.name)}
    scopes = {nodes[number].name.rpartition("/")[0] for number in products} - {""}
    return {k for k, node in enumerate(nodes) if node.op in _ZEROS and node.name.rpartition("/")[0] in scopes}


def _starts(reader: Reader, kernel: str) -> tuple[list[int], int]:
    """Where the windows start that meet a kernel, in order, and how wide x is, 0 where the graph does not say."""
    web = reader.view
    starts, widths = set(), set()
    for product in _products(reader, kernel):
        parts = joins(web, web.input(product, 0))
        node = web.node(parts[0]) if parts else web.nodes[0]
        begin = array(web, web.input(node, 1)) if node.op == "Slice" else None
        if begin is None or begin.shape != (2,):
            return [], 0
        front, x = _padded(reader, web.input(node, 0))
        starts.add(int(begin[1]) - front)
        shape = extent(web, x)
        widths.add((shape[-1] or 0) if shape else 0)
    return sorted(starts), widths.pop() if len(widths) == 1 else 0


def _padded(reader: Reader, ref: Ref) -> tuple[int, Ref]:
    """How many zeros stand in front of x, and x."""
    node = reader.view.node(ref)
    zeros = array(reader.view, reader.view.input(node, 1)) if node.op == "Pad" else None
    return (0, ref) if zeros is None or zeros.shape != (2, 2) else (int(zeros[1, 0]), reader.view.input(node, 0))


def _read(reader: Reader, product: int, layer: Layer, role: str) -> dict[str, OptionValue]:
    """What is added to f, and what c is clipped to, from one product on; nothing where this is not seen."""
    web, weights = reader.view, layer.weights
    total = reader.biased((product, 0), named(weights, _KERNELS[role]))
    count = weights[role].shape[-1] // layer.units
    blocks = reader.blocks(total, count) if total is not None else []
    found: dict[str, OptionValue] = {}
    if not blocks:
        return found
    if count == len("igfo"):
        for _, added in constants(web, blocks[2], ADDS):
            found[FORGET_BIAS.name] = added
    for name, g in activations(web, blocks[1]):
        for fresh, _ in combined(web, g, {"Mul"}) if name == "tanh" else ():
            for c, _ in combined(web, fresh, ADDS):
                bounds = [high for low, high, _ in clips(web, c) if low == -high]
                found[CELL_CLIP.name] = bounds[0] if bounds else None
    return found
