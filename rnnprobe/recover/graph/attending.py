"""How a graph applies a cell inside of an AttentionWrapper: what enters beside the attention, what it attends to.

The context is a product of the alignments with the values, which a loop takes from outside; the attention is what comes
back to the cell beside its input (cells.md, section 6.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnprobe.cells.options import MONOTONIC, OUTPUT_ATTENTION
from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.runs import behind
from rnnprobe.recover.graph.values import joins, named
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View
from rnnprobe.types import Tap, Tensor

_PRODUCTS = {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"}
_SHAPED = {"Squeeze", "Reshape"}
_HANDED = {*SELECTS, "Merge", "Switch"}
_CARRIED = {LOOP_VARIABLE, "NextIteration", "Exit", "LoopCond"}
_MASKS = {"Cast", "ExpandDims", "Less", "Reshape", "Tile", "Pack", "LogicalNot"}
_PROBABILITIES = {"Sigmoid": "parallel", "Greater": "hard"}
_WAYS = {"Mul", "Cast", "Cumsum", "Cumprod", "Exp", "Log", "RealDiv", "Sub", "Minimum", "Maximum", "ClipByValue"}
_FAR = 12


def attending(reader: Reader, app: Application, weights: Mapping[str, Tensor], top: Application) -> str:
    """Sets what the wrapper around an application takes, attends to and passes on.

    Args:
        reader: of the graph.
        app: of the cell that is given the attention; changed here.
        weights: the wrapper's among them.
        top: of the cell whose output it goes by, which passes on what the wrapper does: the same, but in a stack.

    Returns:
        Why it could not, or nothing.
    """
    view = reader.view
    joined = without_dropout(view, app.inputs[0])
    parts = joins(view, joined) if len(app.inputs) == 1 else []
    if len(parts) < 2:
        return "what enters it is not its input beside an attention"
    ends, _ = behind(view, parts[-1], {})
    for attention, context in _attentions(reader, top, ends, mixed=named(weights, "attention_layer")):
        product = _product(view, context)
        if product is None:
            continue
        alignments, values = product
        app.memory = _memory(view, values)
        app.options[OUTPUT_ATTENTION.name] = _is_passed_on(view, attention, joined)
        if app.options[OUTPUT_ATTENTION.name]:
            top.passed = attention
        app.inputs = tuple(parts[:-1])
        mode = _mode(view, alignments)
        if mode:
            app.options[MONOTONIC.name] = mode
        app.inner |= {"attention": Tap(attention), "context": Tap(context), "alignments": Tap(alignments)}
        return ""
    return "it does not attend as an AttentionWrapper does"


def _attentions(reader: Reader, top: Application, ends: set[Ref], *, mixed: str) -> Iterator[tuple[Ref, Ref]]:
    """The attention that comes back to the cell, and its context; `mixed` is the name of W_a, or empty."""
    view = reader.view
    for end in ends:
        if not mixed and view.node(end).op in _PRODUCTS:
            for shaped, _ in view.consumers(end):
                if view.nodes[shaped].op in _SHAPED:
                    yield (shaped, 0), (shaped, 0)
        elif mixed and reader.takes(end[0], mixed):
            joined = joins(view, view.input(end[0], 0))
            if len(joined) == 2 and without_dropout(view, joined[0]) == top.emitted:
                yield end, joined[1]


def _product(view: View, context: Ref) -> tuple[Ref, Ref] | None:
    """The alignments and the values whose product a context is."""
    node = view.node(context)
    if node.op not in _SHAPED:
        return None
    node = view.node(view.input(node, 0))
    if node.op not in _PRODUCTS:
        return None
    expanded, values = view.inputs(node)
    spread = view.node(expanded)
    return (view.input(spread, 0), values) if spread.op in ("ExpandDims", "Reshape") else None


def _memory(view: View, values: Ref) -> tuple[Ref, Ref | None]:
    """The memory that values are, and what masks it past its length: the tensor that says how long it is."""
    node = view.node(values)
    if node.op == "Mul" and len(node.inputs) == 2:
        memory, mask = view.inputs(node)
        for _ in range(_FAR):
            at = view.node(mask)
            if at.op not in _MASKS:
                return memory, mask
            # Of places and lengths that are compared, the lengths come second.
            mask = view.input(at, 1 if at.op == "Less" else 0)
        return memory, None
    return values, None


def _mode(view: View, alignments: Ref) -> str:
    """How the probabilities of a monotonic mechanism come about; empty where the alignments are no product of such."""
    front, seen = [alignments], {alignments}
    for _ in range(_FAR):
        for at in front:
            node = view.node(at)
            if node.op in _PROBABILITIES:
                return _PROBABILITIES[node.op]
        sources = [source for at in front if view.node(at).op in _WAYS for source in view.inputs(at[0])]
        front = [source for source in dict.fromkeys(sources) if source not in seen]
        seen.update(front)
    return ""


def _is_passed_on(view: View, attention: Ref, joined: Ref) -> bool:
    """Whether anything but the next step reads an attention."""
    front, seen = [attention], {attention}
    while front:
        for consumer, _ in view.consumers(front.pop()):
            op, out = view.nodes[consumer].op, (consumer, 0)
            if op in _HANDED:
                if out not in seen:
                    seen.add(out)
                    front.append(out)
            elif op not in _CARRIED and out != joined:
                return True
    return False
