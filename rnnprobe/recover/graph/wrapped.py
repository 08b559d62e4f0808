"""How a graph applies a cell inside of wrappers: what enters the outermost and what it passes on (cells.md, section 6).

A cell is found by its own kernel; from there the wrappers' products are followed outwards, those that give the cell its
input and those that take what it emits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from rnnprobe.cells.attention_wrapper import emitting
from rnnprobe.cells.layers import defaults, fit
from rnnprobe.recover.graph.attending import attending
from rnnprobe.recover.graph.cell import Application, Reader
from rnnprobe.recover.graph.paths import ADDS, activations, clips, combined, without_dropout
from rnnprobe.recover.graph.values import array, joins, named
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.recover.stacked import MULTI
from rnnprobe.types import Cell, Layer, Tap, Tensor


def own(layer: Layer) -> tuple[Cell, dict[str, Tensor]]:
    """The cell inside of all wrappers, and its weights."""
    cell = layer.cell
    while cell.wraps is not None:
        cell = cell.wraps
    roles = {weight.role for weight in cell.weights}
    return cell, {role: tensor for role, tensor in layer.weights.items() if role in roles}


def unwrap(reader: Reader, layers: Sequence[Layer | None], applications: Sequence[Application]) -> None:
    """Sets what applications of wrapped cells take and pass on to what their wrappers take and pass on.

    Args:
        reader: of the graph.
        layers: by owner, None where it is no layer.
        applications: read to the end; changed here.
    """
    for app in applications:
        layer = layers[app.owner]
        for added in _levels(layer.cell) if layer is not None else ():
            if layer is None or app.problem:
                break
            if any(role.startswith("memory_layer") for role in added):
                app.problem = _attending(reader, app, layer, _top(reader.view, app, layers, applications))
                continue
            outwards = next(_OUTWARDS[role] for role in _OUTWARDS if role in added)
            app.problem = outwards(reader, app, layer.weights)


def rewrapped(layer: Layer, app: Application) -> Layer:
    """The layer with the wrappers that an application of it shows."""
    cell = app.cell or layer.cell
    if app.weights is None:
        return replace(layer, cell=cell)
    sizes = fit(cell, app.weights)
    assert sizes is not None  # such weights are those of this cell
    options = defaults(cell, layer.options)
    return replace(layer, cell=cell, weights=app.weights, sizes={**layer.sizes, **sizes}, options=options)


def _attending(reader: Reader, app: Application, layer: Layer, top: Application) -> str:
    problem = attending(reader, app, layer, top)
    if not problem and top is app and app.passed is None:
        app.cell = emitting(app.cell or layer.cell, attention=False)
    return problem


def _top(
    view: View, app: Application, layers: Sequence[Layer | None], applications: Sequence[Application]
) -> Application:
    """The last cell of the stack in a wrapper whose lowest this is: the one that no other of them reads."""
    scopes = [layer.scope if layer is not None else "" for layer in layers]
    stack, several, _ = scopes[app.owner].partition(f"/{MULTI}/")
    within = [other for other in applications if several and scopes[other.owner].startswith(f"{stack}/{MULTI}/")]
    top = app
    for _ in within:
        above = [other for other in within if other is not app and len(other.inputs) == 1]
        top = next((one for one in above if without_dropout(view, one.inputs[0]) == top.emitted), top)
    return top


def _levels(cell: Cell) -> list[set[str]]:
    """The roles that each wrapper adds, from the inside to the outside."""
    found: list[set[str]] = []
    while cell.wraps is not None:
        inside = {weight.role for weight in cell.wraps.weights}
        found.insert(0, {weight.role for weight in cell.weights} - inside)
        cell = cell.wraps
    return found


def _products(reader: Reader, weights: Mapping[str, Tensor], role: str) -> Iterator[tuple[Ref, Ref]]:
    """Where the graph multiplies something with a stored weight: what, and the product with the bias added."""
    stored = named(weights, role)
    for number, node in enumerate(reader.view.nodes):
        if not node.hidden and node.op == "MatMul" and reader.takes(number, stored):
            out = reader.biased((number, 0), named(weights, f"{role}_bias"))
            if out is not None:
                yield reader.view.input(number, 0), out


def _input_projection(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> str:
    for x, out in _products(reader, weights, "input_projection"):
        for name, p in [("linear", out), *activations(reader.view, out)]:
            if app.inputs == (p,):
                app.inputs = (x,)
                app.inner["x_projected"] = Tap(p)
                app.options["input_projection_activation"] = name
                return ""
    return "what enters it is not its projected input"


def _output_projection(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> str:
    for h, out in _products(reader, weights, "output_projection"):
        if h == app.emitted:
            activated = list(activations(reader.view, out))
            # Where anything else reads the projection, that is what is passed on.
            alone = len(reader.view.consumers(out)) == 1 and len(activated) == 1
            name, app.passed = activated[0] if alone else ("linear", out)
            app.inner["y"] = Tap(app.passed)
            app.options["output_projection_activation"] = name
            return ""
    return "its projection is not applied to what it emits"


def _highway(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> str:
    view = reader.view
    if app.emitted is not None and len(app.inputs) == 1:
        carried = {out for out, _ in combined(view, app.inputs[0], {"Mul"})}
        for transformed, _ in combined(view, app.emitted, {"Mul"}):
            for total, with_ref in combined(view, transformed, ADDS):
                if with_ref in carried:
                    app.passed = total
                    app.inner["y"] = Tap(total)
                    _gates(reader, app, weights)
                    return ""
    return "its input and what it emits are not combined as a highway does"


def _gates(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> None:
    """A highway's gates as tensors of the graph."""
    for gate in {"carry", "transform"} & weights.keys():
        for x, out in _products(reader, weights, gate):
            for name, activated in activations(reader.view, out):
                if app.inputs == (x,) and name == "sigmoid":
                    app.inner |= {f"{gate}_pre": Tap(out), gate: Tap(activated)}


def _attention(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> str:
    view = reader.view
    for joined, out in _products(reader, weights, "attention_output"):
        parts = joins(view, joined)
        if len(parts) == 2 and parts[0] == app.emitted:
            app.passed = out
            app.inner |= {"y": Tap(out), "attns": Tap(parts[1])}
    for joined, p in _products(reader, weights, "attention_input"):
        parts = joins(view, joined)
        if app.inputs == (p,) and len(parts) > 1:
            app.inputs = tuple(parts[:-1])
            app.inner["x_projected"] = Tap(p)
    length = next(_lengths(reader, named(weights, "attention_memory")), None)
    if "y" not in app.inner or "x_projected" not in app.inner or length is None:
        return "it does not attend as an AttentionCellWrapper does"
    app.options["attn_length"] = length
    return ""


def _machine(reader: Reader, app: Application, weights: Mapping[str, Tensor]) -> str:
    view = reader.view
    for joined, out in _products(reader, weights, "output"):
        parts = joins(view, joined)
        for low, high, clipped in clips(view, out) if parts and parts[0] == app.emitted else ():
            if low == -high:
                app.passed = clipped
                app.inner["y"] = Tap(clipped)
                app.options["clip_value"] = high
    entering = joins(view, app.inputs[0]) if len(app.inputs) == 1 else list(app.inputs)
    reads = weights["initial_reads"].shape[0]
    if "y" not in app.inner or len(entering) != 1 + reads:
        return "it does not read and write as an NTMCell does"
    app.inputs = tuple(entering[:1])
    return ""


def _lengths(reader: Reader, stored: str) -> Iterator[int]:
    """How many rows the memories have that are convolved with a stored weight."""
    view = reader.view
    for node in view.nodes:
        if node.op == "Conv2D" and not node.hidden and reader.variables.name(view.input(node, 1)) == stored:
            reshape = view.node(view.input(node, 0))
            shape = array(view, view.input(reshape, 1)) if reshape.op == "Reshape" else None
            if shape is not None and shape.shape == (4,):
                yield int(shape[1])


_OUTWARDS: dict[str, Callable[[Reader, Application, Mapping[str, Tensor]], str]] = {
    "input_projection": _input_projection,
    "output_projection": _output_projection,
    "carry": _highway,
    "attention_input": _attention,
    "heads": _machine,
}
"""The weight that tells a wrapper → what follows it; returns why it could not, or nothing."""
