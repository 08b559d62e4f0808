"""Steps that a graph skips: Keras's masks, where they are made of what enters (`Masking`, `Embedding(mask_zero=True)`).

Keras computes every step and selects, where the mask says so, what comes of it, else what was there before. The mask is
`x ≠ value`, true of any feature of a step, or `ids ≠ 0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.paths import SELECTS
from rnnprobe.recover.graph.runs import Run
from rnnprobe.recover.graph.trace import Part, Tracer, in_order
from rnnprobe.recover.graph.values import number
from rnnprobe.recover.graph.view import Ref, View
from rnnprobe.types import Layer, Mask, Tap, Use

_SPREAD = {"Tile", "BroadcastTo", "Reshape", "ExpandDims"}
_FAR = 6


@dataclass(frozen=True, slots=True)
class Masked:
    """The steps that a run skips.

    Attributes:
        roots: the tensors outside of the network whose values say which; none where that could not be read.
        value: the one that is skipped.
        reversed: the order of time was reversed on the mask's way.
        emits: as `Mask` has it.
        computed: the node that says which steps are taken.
    """

    roots: tuple[Ref, ...]
    value: float
    reversed: bool
    emits: Literal["last", "state", "zeros"]
    computed: str

    def mask(self, source: str, *, backward: bool) -> Mask:
        """As a layer has it whose time runs backward or not."""
        return Mask(source, self.value, self.emits, self.reversed is not backward)


def masked(tracer: Tracer, applications: Sequence[Application], run: Run) -> Masked | None:
    """What a run skips, or None where it takes every step."""
    view = tracer.view
    steps = [applications[number] for number in run.steps]
    found = [_selected(view, step.h_out) for step in steps]
    if not all(found):
        return None
    conditions = [tracer.parts(selects[0][0]) for selects in found]
    parts = conditions[0] if run.looped or len(steps) == 1 else in_order(conditions)
    if len(parts) != 1:
        return None
    (part,) = parts
    made = _compared(view, part)
    if made is None:
        return None
    values, value = made
    roots = tuple(root for one in tracer.parts(values) for root in one.root)
    return Masked(roots, value, part.reversed, _emits(view, steps[-1], found[-1]), view.node(part.root[0]).name)


def skipping(
    layer: Layer, backward: bool | None, masks: Sequence[Masked], named: Mapping[Ref, str]
) -> tuple[Layer, list[str]]:
    """The layer with the mask that its graph has for it, and notes where the mask is not followed.

    Args:
        layer: as it stands in the network.
        backward: whether time runs backward through it; None where that is open.
        masks: those of its runs, which are copies of each other.
        named: the inputs and tables of the network by their tensors.
    """
    if not masks or backward is None:
        return layer, []
    sources = {named.get(root, "") for root in masks[0].roots}
    if len(sources) != 1 or "" in sources:
        return layer, [
            f"{layer.name}: the graph skips steps by a mask that is not made of what enters the network "
            f"({masks[0].computed}); here none is skipped"
        ]
    mask = masks[0].mask(sources.pop(), backward=backward)
    return replace(layer, feed=replace(layer.feed, mask=mask)), []


def _selected(view: View, ref: Ref | None) -> list[tuple[Ref, Ref, Ref]]:
    """What selects a tensor, where something is true: the condition, the output, and what is there else."""
    found = []
    for consumer, slot in view.consumers(ref) if ref is not None else ():
        if view.nodes[consumer].op in SELECTS and slot == 1:
            condition, _, other = view.inputs(consumer)
            for _ in range(_FAR):
                if view.node(condition).op in _SPREAD:
                    condition = view.input(condition[0], 0)
            found.append((condition, (consumer, 0), other))
    return found


def holding(view: View, use: Use, steps: Sequence[Application]) -> Use:
    """A use of a masked cell, whose states are those that are carried on: held where a step is skipped."""
    signals = [{**taps, **_held(view, step)} for taps, step in zip(use.signals, steps, strict=True)]
    return replace(use, signals=tuple(signals))


def _held(view: View, app: Application) -> dict[str, Tap]:
    """The states of a step as they are carried on."""
    pairs = [("h", app.h_in, app.h_out), *([("c", *app.c)] if app.c is not None else [])]
    return {
        name: Tap(out)
        for name, old, new in pairs
        for _, out, other in _selected(view, new)
        if view.resolve(other) == view.resolve(old)
    }


def _compared(view: View, part: Part) -> tuple[Ref, float] | None:
    """What a mask is made of: `x ≠ value`, any feature of it."""
    at = part.root[0] if len(part.root) == 1 and part.kind == "outside" else None
    if at is not None and view.node(at).op == "Any":
        at = view.input(at[0], 0)
    if at is None or view.node(at).op != "NotEqual":
        return None
    values, other = view.inputs(at[0])
    value = number(view, other)
    return None if value is None else (values, float(value))


def _emits(view: View, app: Application, selects: Sequence[tuple[Ref, Ref, Ref]]) -> Literal["last", "state", "zeros"]:
    """What is passed on at a skipped step, by what is selected there besides the state."""
    others = {view.resolve(other) for _, _, other in selects} - {view.resolve(app.h_in)}
    if not others:
        return "state"
    constant = all(view.node(other).op in ("ZerosLike", "Fill", "Const") for other in others)
    return "zeros" if constant else "last"
