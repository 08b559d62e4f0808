"""How a graph applies a cell inside of an AttentionWrapper: what enters beside the attention, what it attends to.

The context is a product of the alignments with the values, which a loop takes from outside; the attention is what comes
back to the cell beside its input (cells.md, section 6.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnprobe.cells.attention_wrapper import TOP_SIZE, attention_wrapper, marks, mechanisms
from rnnprobe.cells.layers import fit
from rnnprobe.cells.options import MONOTONIC, OUTPUT_ATTENTION
from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.runs import behind
from rnnprobe.recover.graph.values import joins, named
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, View
from rnnprobe.types import Layer, Tap, Tensor

_PRODUCTS = {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"}
_SHAPED = {"Squeeze", "Reshape"}
_BIASED = {"BiasAdd", "BiasAddV1", "Add", "AddV2"}
_HANDED = {*SELECTS, "Merge", "Switch"}
_CARRIED = {LOOP_VARIABLE, "NextIteration", "Exit", "LoopCond"}
_MASKS = {"Cast", "ExpandDims", "Less", "Reshape", "Tile", "Pack", "LogicalNot"}
_PROBABILITIES = {"Sigmoid": "parallel", "Greater": "hard"}
_WAYS = {"Mul", "Cast", "Cumsum", "Cumprod", "Exp", "Log", "RealDiv", "Sub", "Minimum", "Maximum", "ClipByValue"}
_FAR = 12


@dataclass(frozen=True, slots=True)
class _Slot:
    """What one mechanism gives.

    Attributes:
        attention: its share of what comes back to the cell.
        context: the product of the alignments with the values.
        alignments, values: these.
        mixing: the stored name of W_a, or empty.
    """

    attention: Ref
    context: Ref
    alignments: Ref
    values: Ref
    mixing: str = ""


def attending(reader: Reader, app: Application, layer: Layer, top: Application) -> str:
    """Sets what the wrapper around an application takes, attends to and passes on.

    Args:
        reader: of the graph.
        app: of the cell that is given the attention; changed here.
        layer: with the wrapper's weights.
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
    found = _attention(reader, top, ends, layer.weights)
    if found is None:
        return "it does not attend as an AttentionWrapper does"
    attention, slots = found
    memories = {_memory(view, slot.values) for slot in slots}
    if len(memories) > 1:
        return "its mechanisms attend to different memories, and one for all of them is what is rebuilt"
    modes = {mode for slot in slots if (mode := _mode(view, slot.alignments))}
    others = {op for slot in slots if not _mode(view, slot.alignments) and (op := view.node(slot.alignments).op)}
    if others - {"Softmax"}:
        return f"its alignments come of {', '.join(sorted(others - {'Softmax'}))}, and not of a softmax"
    if len(modes) > 1:
        return f"some of its mechanisms are monotonic in the {' and some in the '.join(sorted(modes))} way"
    problem = _ordered(reader, app, layer, slots, top) if len(slots) > 1 else ""
    if problem:
        return problem
    (app.memory,) = memories
    app.options[OUTPUT_ATTENTION.name] = _is_passed_on(view, attention, joined)
    if app.options[OUTPUT_ATTENTION.name]:
        top.passed = attention
    app.inputs = tuple(parts[:-1])
    if modes:
        app.options[MONOTONIC.name] = modes.pop()
    app.inner["attention"] = Tap(attention)
    for slot, mark in zip(slots, marks(len(slots)), strict=True):
        app.inner |= {f"context{mark}": Tap(slot.context), f"alignments{mark}": Tap(slot.alignments)}
    return ""


def _attention(
    reader: Reader, top: Application, ends: set[Ref], weights: Mapping[str, Tensor]
) -> tuple[Ref, list[_Slot]] | None:
    """The attention that comes back to the cell, and of what mechanisms it comes."""
    count = len(mechanisms(weights))
    slots = {slot.attention: slot for slot in _slots(reader, top, ends, weights)}
    for attention, slot in slots.items():
        if count == 1:
            return attention, [slot]
        for consumer, _ in reader.view.consumers(attention):
            joined = [slots[part] for part in joins(reader.view, (consumer, 0)) if part in slots]
            if len(joined) == count == len(joins(reader.view, (consumer, 0))):
                return (consumer, 0), joined
    return None


def _slots(reader: Reader, top: Application, ends: set[Ref], weights: Mapping[str, Tensor]) -> Iterator[_Slot]:
    """What comes back to the cell and is an attention, as far as it can be told by itself."""
    view = reader.view
    mixing = {
        weights[role].name: named(weights, role.replace("layer", "layer_bias"))
        for mark in marks(len(mechanisms(weights)))
        if (role := f"attention_layer{mark}") in weights
    }
    for end in ends:
        if not mixing and view.node(end).op in _PRODUCTS:
            for shaped, _ in view.consumers(end):
                if (product := _product(view, (shaped, 0))) is not None:
                    yield _Slot((shaped, 0), (shaped, 0), *product)
        for kernel, bias in mixing.items():
            mixed = view.input(end[0], 0) if bias and view.node(end).op in _BIASED else end
            if not reader.takes(mixed[0], kernel) or (bias and reader.biased(mixed, bias) != end):
                continue
            joined = joins(view, view.input(mixed[0], 0))
            if len(joined) == 2 and without_dropout(view, joined[0]) == top.emitted:
                product = _product(view, joined[1])
                if product is not None:
                    yield _Slot(end, joined[1], *product, kernel)


def _ordered(reader: Reader, app: Application, layer: Layer, slots: Sequence[_Slot], top: Application) -> str:
    """Holds several mechanisms against the weights that each of them reads; where names say otherwise, sets these."""
    inner = layer.cell.wraps
    assert inner is not None
    within = {weight.role for weight in inner.weights}
    own = {tensor.name: role for role, tensor in layer.weights.items() if role not in within}
    weights = {role: tensor for role, tensor in layer.weights.items() if role in within}
    for slot, mark in zip(slots, marks(len(slots)), strict=True):
        read = _stored(reader, slot, top)
        weights |= {f"{own[name].rpartition('_')[0]}{mark}": layer.weights[own[name]] for name in own if name in read}
    held = {tensor.name for tensor in weights.values()}
    if len(weights) != len(layer.weights) or held != {tensor.name for tensor in layer.weights.values()}:
        return "its mechanisms do not share out its weights as those of an AttentionWrapper do"
    if weights == dict(layer.weights):
        return ""
    emitted = TOP_SIZE if TOP_SIZE in layer.sizes else ""
    cell = attention_wrapper(*mechanisms(weights), mixed=bool(slots[0].mixing), emitted=emitted)(inner)
    known = {option.name for option in cell.options}
    options = (*cell.options, *(option for option in layer.cell.options if option.name not in known))
    app.cell = replace(cell, options=options, emits=layer.cell.emits)
    app.weights = weights
    return "" if fit(app.cell, weights) is not None else "the weights of its mechanisms do not fit each other"


def _stored(reader: Reader, slot: _Slot, top: Application) -> set[str]:
    """The stored weights that a mechanism reads."""
    view, found = reader.view, {slot.mixing}
    front = [slot.alignments]
    seen = {slot.alignments, slot.values, top.emitted}
    while front:
        at = front.pop()
        name = reader.variables.name(at)
        if name:
            found.add(name)
        elif view.node(at).op not in (LOOP_VARIABLE, "Merge", "Exit"):
            sources = [ref for ref in map(view.resolve, view.inputs(at[0])) if ref not in seen]
            seen.update(sources)
            front += sources
    return found


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
