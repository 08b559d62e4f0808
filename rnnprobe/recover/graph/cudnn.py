"""The ops of cuDNN in a graph: which stored buffer they read, and the sizes of the layers that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from rnnprobe.recover.graph.values import Variables, number
from rnnprobe.recover.graph.view import Node, View, attribute, view

_Told: TypeAlias = tuple[str, int, int, int, int]
"""The mode, layers, units, inputs of the first layer, directions."""

_CANONICAL = {"CudnnRNNParamsToCanonical", "CudnnRNNParamsToCanonicalV2"}
_RUNS = {"CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}


def buffers(graph: Any, stored: Mapping[str, Any]) -> Iterator[tuple[str, _Told]]:
    """Every stored tensor that an op of cuDNN's reads as its weights, and what that op says of it.

    Of layers that don't have a matrix for their input (`skip_input`) or have a projection nothing is said.

    Args:
        graph: a MetaGraphDef or GraphDef.
        stored: by the names of the stored tensors.
    """
    web = view(graph)
    variables = Variables(web, stored)
    for node in web.nodes:
        if node.op not in _CANONICAL | _RUNS or node.hidden or len(node.inputs) < 4:
            continue
        name = variables.name(web.input(node, 3))
        told = _told(web, node) if _word(node, "input_mode") != "skip_input" and not _projects(node) else None
        if name is not None and told is not None:
            yield name, told


def _told(web: View, node: Node) -> _Told | None:
    directions = 2 if _word(node, "direction") == "bidirectional" else 1
    mode = _word(node, "rnn_mode") or "lstm"
    if node.op in _CANONICAL:
        layers, units, inputs = (number(web, web.input(node, slot)) for slot in range(3))
        if layers is None or units is None or inputs is None:
            return None
        return mode, int(layers), int(units), int(inputs), directions
    entering, state = (_last_and_first(web, node, slot) for slot in (0, 1))
    if entering is None or state is None or state[0] % directions:
        return None
    return mode, state[0] // directions, state[1], entering[1], directions


def _last_and_first(web: View, node: Node, slot: int) -> tuple[int, int] | None:
    """The first and the last extent of what enters, where the graph says them; the first is 0 where it is open."""
    source, port = web.input(node, slot)
    shapes = attribute(web.nodes[source], "_output_shapes")
    if shapes is None or len(shapes.list.shape) <= port or len(shapes.list.shape[port].dim) != 3:
        return None
    first, _, last = (dim.size for dim in shapes.list.shape[port].dim)
    return (max(first, 0), last) if last > 0 else None


def _projects(node: Node) -> bool:
    value = attribute(node, "num_proj")
    return value is not None and value.i > 0


def _word(node: Node, name: str) -> str:
    value = attribute(node, name)
    return "" if value is None else value.s.decode("utf-8", "replace")
