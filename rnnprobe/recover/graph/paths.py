"""Small patterns of ops that a cell is made of: activations, clips, added constants, dropout."""

from __future__ import annotations

from collections.abc import Iterator

from rnnprobe.recover.graph.values import number, other
from rnnprobe.recover.graph.view import Ref, View, attribute

ADDS = {"Add", "AddV2"}
SELECTS = {"Select", "SelectV2"}
_DIVIDES = {"RealDiv", "Div"}
_ACTIVATIONS = {
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Relu": "relu",
    "Relu6": "relu6",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exponential",
}
_RANDOM = {"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2", "RandomStandardNormal"}
_CLOSE = 1e-6


def combined(view: View, ref: Ref, ops: set[str]) -> Iterator[tuple[Ref, Ref]]:
    """For each op of these kinds with two inputs that reads a tensor: its output, and its other input."""
    for consumer, slot in view.consumers(ref):
        if view.nodes[consumer].op in ops and len(view.nodes[consumer].inputs) == 2:
            yield (consumer, 0), other(view, consumer, slot)


def constants(view: View, ref: Ref, ops: set[str]) -> Iterator[tuple[Ref, float]]:
    """For each op of these kinds that combines a tensor with a constant: its output, and the constant."""
    for out, with_ref in combined(view, ref, ops):
        value = number(view, with_ref)
        if value is not None:
            yield out, value


def activations(view: View, ref: Ref) -> Iterator[tuple[str, Ref]]:
    """The activations applied to a tensor: the name that rnnprobe knows each by, and its output."""
    for consumer, slot in view.consumers(ref):
        op = view.nodes[consumer].op
        if op in _ACTIVATIONS:
            yield _ACTIVATIONS[op], (consumer, 0)
            if op == "Sigmoid":
                products = combined(view, (consumer, 0), {"Mul"})
                yield from (("swish", out) for out, with_ref in products if with_ref == ref)
        elif op == "Mul":
            yield from _hard_sigmoid(view, consumer, slot)
        elif op in ADDS and _near(number(view, other(view, consumer, slot)), 3.0):
            for inner, _ in view.consumers((consumer, 0)):
                if view.nodes[inner].op == "Relu6":
                    for scaled, value in constants(view, (inner, 0), {"Mul", *_DIVIDES}):
                        if _near(value, 6.0) or _near(value, 1 / 6):
                            yield "hard_sigmoid_keras3", scaled


def _hard_sigmoid(view: View, scaled: int, slot: int) -> Iterator[tuple[str, Ref]]:
    """clip(slope · a + 0.5, 0, 1), from its multiplication on."""
    slope = number(view, other(view, scaled, slot))
    name = "hard_sigmoid" if _near(slope, 0.2) else "hard_sigmoid_keras3" if _near(slope, 1 / 6) else ""
    if name:
        for shifted, value in constants(view, (scaled, 0), ADDS):
            if _near(value, 0.5):
                yield from ((name, out) for low, high, out in clips(view, shifted) if (low, high) == (0.0, 1.0))


def clips(view: View, ref: Ref) -> Iterator[tuple[float, float, Ref]]:
    """The clips applied to a tensor: lower bound, upper bound, output."""
    for consumer, slot in view.consumers(ref):
        node = view.nodes[consumer]
        if node.op == "ClipByValue" and slot == 0 and len(node.inputs) == 3:
            low, high = (number(view, bound) for bound in view.inputs(node)[1:])
            if low is not None and high is not None:
                yield low, high, (consumer, 0)
    for out, high in constants(view, ref, {"Minimum"}):
        yield from ((low, high, clipped) for clipped, low in constants(view, out, {"Maximum"}))
    for out, low in constants(view, ref, {"Maximum"}):
        yield from ((low, high, clipped) for clipped, high in constants(view, out, {"Minimum"}))


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) < _CLOSE


def plain_product(view: View, consumer: int) -> bool:
    """Whether a node is a MatMul that takes neither input transposed."""
    node = view.nodes[consumer]
    flags = (attribute(node, "transpose_a"), attribute(node, "transpose_b"))
    return node.op == "MatMul" and len(node.inputs) == 2 and not any(flag is not None and flag.b for flag in flags)


def plain_convolution(view: View, consumer: int) -> int:
    """How many axes of space a node convolves over, keeping their extent and with the channels last; 0 for others.

    A convolution along one axis is one of two axes (`Conv2D`), the first of which has the extent 1.
    """
    node = view.nodes[consumer]
    axes = {"Conv2D": 2, "Conv3D": 3}.get(node.op, 0)
    padding, order = attribute(node, "padding"), attribute(node, "data_format")
    steps = [attribute(node, name) for name in ("strides", "dilations")]
    plain = all(step is None or set(step.list.i) <= {1} for step in steps)
    last = order is None or order.s in (b"", b"NHWC", b"NDHWC")
    if not axes or len(node.inputs) != 2 or not plain or not last or padding is None or padding.s != b"SAME":
        return 0
    return 1 if axes == 2 and all(view.node(source).op == "ExpandDims" for source in view.inputs(node)) else axes


def without_dropout(view: View, ref: Ref) -> Ref:
    """What dropout was applied to, where a tensor is the outcome of one; else the tensor itself, resolved."""
    ref = view.resolve(ref)
    for _ in range(8):
        kept = _dropped(view, ref)
        if kept is None:
            return ref
        ref = kept
    return ref


def _dropped(view: View, ref: Ref) -> Ref | None:
    """The input of a dropout: mask · (x / keep), mask · (x · scale) or select(mask, x / keep, 0)."""
    node = view.node(ref)
    sources = view.inputs(node)
    if node.op == "Mul" and len(sources) == 2:
        masks = [k for k in (0, 1) if _is_mask(view, sources[k])]
        if len(masks) == 1:
            return _unscaled(view, sources[1 - masks[0]])
    if node.op in SELECTS and len(sources) == 3 and number(view, sources[2]) == 0.0 and _is_random(view, sources[0]):
        return _unscaled(view, sources[1])
    return None


def _unscaled(view: View, ref: Ref) -> Ref:
    node = view.node(ref)
    if node.op in _DIVIDES and len(node.inputs) == 2:
        return view.input(node, 0)
    if node.op == "Mul" and len(node.inputs) == 2:
        return view.input(node, 1 if number(view, view.input(node, 0)) is not None else 0)
    return ref


def _is_mask(view: View, ref: Ref) -> bool:
    """Whether a tensor is a mask of zeros and ones drawn at random."""
    return view.node(ref).op in ("Floor", "Cast") and _is_random(view, ref)


def _is_random(view: View, ref: Ref) -> bool:
    """Whether random numbers stand closely behind a tensor."""
    front = [ref]
    for _ in range(6):
        front = [source for at in front for source in view.inputs(at[0])][:24]
        if any(view.node(source).op in _RANDOM for source in front):
            return True
    return False
