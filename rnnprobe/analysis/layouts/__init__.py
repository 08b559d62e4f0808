"""Weights in the gate order and shapes of another framework: `rnnprobe weights --layout`.

`plain` reads a layer in its family's words, `forms` fits it to what the target has or says why it does not fit,
`grouping` finds pairs and stacks, and a file for each target writes its arrays. `LAYOUTS` is the registry; a
`rnnprobe.analysis.layouts.module.Layout` is named here, and being named is being tested.

The rows of `reported`, in JSON as here, one for each array:

    module        what the target has for one or more layers; the arrays lie below it in a file
    name          the target's own
    shape, dtype  of the array
    gates         rnnprobe's letters in the target's order, along the axis that holds the gates; empty where none does
    spelled       the target's own letters
    from          what it was made of: part and stored tensor, what was folded in; or zeros

and of `modules`, one for each:

    module, layers
    call          how the target is made, with the arguments that the weights don't hold
    title, arguments
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnprobe.analysis import words
from rnnprobe.analysis.layouts.cudnn import CUDNN
from rnnprobe.analysis.layouts.forms import Fitted, fit, reason
from rnnprobe.analysis.layouts.grouping import grouped, named
from rnnprobe.analysis.layouts.keras import KERAS
from rnnprobe.analysis.layouts.module import Layout, Module
from rnnprobe.analysis.layouts.onnx import ONNX
from rnnprobe.analysis.layouts.plain import Plain, plain
from rnnprobe.analysis.layouts.tf1 import TF1
from rnnprobe.analysis.layouts.torch import TORCH
from rnnprobe.analysis.weights import NOTHING
from rnnprobe.errors import BadInput
from rnnprobe.types import Column, Layer, Network, Report

LAYOUTS: tuple[Layout, ...] = (TF1, KERAS, TORCH, CUDNN, ONNX)

_COLUMNS = (
    Column("name", "name"),
    Column("shape", "shape", words.shape, right=True),
    Column("spelled", "gates", ", ".join),
    Column("from", "from"),
)
_MODULES = (Column("module", "module"), Column("layers", "layers", ", ".join), Column("call", "made by"))


def convert(network: Network, layers: Sequence[Layer], name: str) -> tuple[Module, ...]:
    """The weights of some layers of a network as the framework of a layout has them; the tensors are read here.

    Args:
        network: how the layers feed each other.
        layers: those wanted, in the network's order.
        name: of the layout.

    Raises:
        BadInput: the layout can't hold a layer exactly; the message names the layer, the option and the target, the
            hint the layouts that can.
    """
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    try:
        fitted = [_fitted(plain(layer), layout) for layer in layers]
    except BadInput as error:
        error.path = error.path or network.checkpoint.path
        raise
    modules = grouped(network, fitted, layout.holds)
    made = []
    for title, levels in zip(named(modules), modules, strict=True):
        held = [layer for level in levels for layer in level]
        written = layout.write(levels)
        notes = dict.fromkeys((*(_note(layer, note, held) for layer in held for note in layer.notes), *written.notes))
        names = tuple(layer.plain.layer.name for layer in held)
        several = (f"it holds {', '.join(names)}",) if len(names) > 1 else ()
        made.append(Module(title, names, written, (*several, *notes)))
    return tuple(made)


def reported(modules: Sequence[Module]) -> tuple[Report, ...]:
    """What `convert` made, as reports: the arrays of each module, and how each is made."""
    arrays = tuple(
        Report("layout", f"{module.name}: {module.call}", _COLUMNS, tuple(_rows(module)), module.notes)
        for module in modules
    )
    calls = tuple(
        {
            "module": module.name,
            "layers": list(module.layers),
            "call": module.call,
            "title": module.written.title,
            "arguments": dict(module.written.arguments),
        }
        for module in modules
    )
    table = Report("modules", "Modules", _MODULES, calls)
    return (*(arrays or (Report("layout", "", _COLUMNS, (), NOTHING),)), table)


def _rows(module: Module) -> Sequence[dict[str, object]]:
    return [
        {
            "module": module.name,
            "name": entry.name,
            "shape": list(entry.values.shape),
            "dtype": str(entry.values.dtype),
            "gates": list(entry.gates),
            "spelled": list(entry.spelled),
            "from": entry.origin,
        }
        for entry in module.written.entries
    ]


def _note(layer: Fitted, note: str, held: Sequence[Fitted]) -> str:
    """A note, with the layer's name where others of the module have another one."""
    return note if all(note in other.notes for other in held) else f"{layer.plain.layer.name}: {note}"


def _fitted(layer: Plain, layout: Layout) -> Fitted:
    why = _why(layer, layout)
    if not why:
        return fit(layer, layout.form(layer))
    able = [other.name for other in LAYOUTS if not _why(layer, other)]
    hint = f"exact as --layout {' or '.join(able)}; --layer chooses layers"
    raise BadInput(
        f"layer {layer.layer.name} can't be written for {layout.title}: {why}",
        hint=hint if able else "exact in none of the layouts; without --layout, -o writes the blocks of any cell",
    )


def _why(layer: Plain, layout: Layout) -> str:
    return reason(layer, layout.form(layer)) or layout.amiss(layer)
