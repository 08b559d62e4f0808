"""A layer's weights as its family's equations have them, whatever they were stored as.

    LSTM    i, f, g, o as in `rnnprobe.cells.lstm`
    GRU     r, z, n as in `rnnprobe.cells.gru`; z keeps the old h
    RNN     h' = φ(x·W + h·U + b)

What only another spelling of these is put into their words here: masks and gains are multiplied in, a unit's one weight
for its own h stands on a diagonal, i = 1 - σ(a) is σ(-a), and so is a z that lets the new in. Which columns are which
gate is for `rnnprobe.cells.slices` to say; a layout never asks how a layer was stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from rnnprobe.analysis import words
from rnnprobe.analysis.weights import leaf
from rnnprobe.cells import gru, indy_lstm, lstm, rnn, sonnet, sonnet1
from rnnprobe.cells.slices import assemble
from rnnprobe.errors import BadInput
from rnnprobe.types import Array, Cell, Layer, Value

Family: TypeAlias = Literal["lstm", "gru", "rnn"]
Blocks: TypeAlias = Mapping[str, Array]
"""Gate → its block; in a basic RNN, which has no gates, under the empty name."""

GATES: Mapping[Family, tuple[str, ...]] = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n"), "rnn": ("",)}
PARTS = ("kernel", "recurrent_kernel", "bias", "recurrent_bias", "peephole", "projection")
"""What these equations take."""

# A cell is of a family if these functions compute it: a variant of it is data (`rnnprobe.cells`).
_PROJECTS: Mapping[Any, Family] = {
    lstm.project: "lstm",
    sonnet1.project: "lstm",
    gru.project: "gru",
    rnn.project: "rnn",
}
_STEPS: Mapping[Any, Family] = {
    lstm.step: "lstm",
    indy_lstm.step: "lstm",
    sonnet1.step: "lstm",
    gru.step: "gru",
    sonnet.step: "gru",
    rnn.step: "rnn",
}
_APPLIED = ("_mask", "_gain")
"""How the parts end that `Cell.prepare` multiplies into others."""
_STARTS = "initial_"
"""How the parts begin that states start from; the rest is the state's name."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A layer in the words of its family.

    Attributes:
        layer: whose weights these are.
        cell: the layer's, or the one inside its wrappers.
        family: whose equations they take part in.
        parts: part → gate → block, as `rnnprobe.cells.slices` shapes it: `[rows, units]`, `[units]`; those of `PARTS`
            that there are, in float32 or wider.
        options: those of the cell that its weights don't hold.
        origins: part → what it was made of; part/gate likewise, where a gate's block of a part has a tensor of its own.
        notes: what the weights leave out, and how they were put into the family's words.
    """

    layer: Layer
    cell: Cell
    family: Family
    parts: Mapping[str, Blocks]
    options: Mapping[str, Value]
    origins: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def units(self) -> int:
        """The width of a gate."""
        return int(self._any("kernel").shape[-1])

    @property
    def input_size(self) -> int:
        """Features per step that enter the cell."""
        return int(self._any("kernel").shape[0])

    @property
    def output_size(self) -> int:
        """The width of h."""
        return int(self._any("recurrent_kernel").shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the kernel."""
        return self._any("kernel").dtype

    def _any(self, part: str) -> Array:
        return next(iter(self.parts[part].values()))

    def setting(self, name: str) -> Any:
        """The value of an option, None where the cell has no such option."""
        return self.options[name].value if name in self.options else None


def plain(layer: Layer) -> Plain:
    """The layer in the words of its family; its tensors are read here.

    Raises:
        BadInput: the layer is of none of the families, or has weights that their equations don't take; or values can't
            be read.
    """
    cell = layer.cell
    while cell.wraps is not None:
        cell = cell.wraps
    family = _PROJECTS.get(cell.project)
    if family is None or _STEPS.get(cell.step) != family:
        raise BadInput(
            f"layer {layer.name}: {cell.title} is neither the LSTM, the GRU nor the basic RNN of other frameworks",
            hint="without --layout, -o writes the blocks of any cell; --layer chooses layers",
        )
    problem = next((tensor.problem for tensor in layer.weights.values() if tensor.problem), "")
    if problem:
        raise BadInput(f"layer {layer.name}: {problem}")
    held = _of_cell(cell, _by_gate(layer))
    strange = next((p for p in held if p not in PARTS and not p.endswith(_APPLIED) and not p.startswith(_STARTS)), "")
    if strange:
        raise BadInput(
            f"layer {layer.name}: {cell.title} has {strange}, which the LSTM, GRU and basic RNN of other frameworks "
            f"have not",
            hint="without --layout, -o writes the blocks of any cell; --layer chooses layers",
        )
    parts = {part: dict(blocks) for part, blocks in held.items() if part in PARTS}
    options = {option.name: layer.options[option.name] for option in cell.options if option.name in layer.options}
    notes = [*_left_out(layer, cell), *_said_otherwise(parts, family, cell, options)]
    return Plain(layer, cell, family, parts, options, _origins(layer, cell), tuple(notes))


def _by_gate(layer: Layer) -> dict[str, dict[str, Array]]:
    """Part → gate → block: what `assemble` returns, cut again."""
    arrays = {name: _wide(a) for name, a in assemble(layer).items()}
    gates: dict[str, list[str]] = {}
    for weight in layer.cell.weights:
        for held in weight.parts if weight.role in layer.weights else ():
            gates.setdefault(held.name, []).extend(held.gates or ("",))
    groups = layer.cell.order
    found: dict[str, dict[str, Array]] = {}
    for part, letters in gates.items():
        if "" in letters:
            found[part] = {"": arrays[part]}
            continue
        for group in groups:
            name = part if len(groups) == 1 else f"{part}_{''.join(group)}"
            of_group = [gate for gate in group if gate in letters]
            if of_group:
                blocks = np.split(arrays[name], len(of_group), axis=-1)
                found.setdefault(part, {}).update(zip(of_group, blocks, strict=True))
    return found


def _wide(a: Array) -> Array:
    """float32 in place of what NumPy does not know, and of halves, in which nothing can be folded."""
    return a if a.dtype.isbuiltin == 1 and a.dtype.itemsize > 2 else a.astype(np.float32)


def _of_cell(cell: Cell, parts: Mapping[str, dict[str, Array]]) -> dict[str, dict[str, Array]]:
    """The parts of a cell, without those of the wrappers around it."""
    own = {part.name for weight in cell.weights for part in weight.parts}
    return {part: blocks for part, blocks in parts.items() if part in own}


def _origins(layer: Layer, cell: Cell) -> dict[str, str]:
    """`recurrent_kernel of kernel`, for each part, and for each gate that has a tensor of its own."""
    tensors: dict[str, list[str]] = {}
    for weight in cell.weights:
        tensor = layer.weights.get(weight.role)
        for part in weight.parts if tensor is not None else ():
            assert tensor is not None
            alone = [f"{part.name}/{part.gates[0]}"] if len(part.gates) == 1 else []
            for key in (part.name, *alone):
                tensors.setdefault(key, []).append(leaf(layer, tensor))
    return {key: _origin(key.partition("/")[0], list(dict.fromkeys(names))) for key, names in tensors.items()}


def _origin(part: str, tensors: list[str]) -> str:
    return part if tensors == [part] else f"{part} of {', '.join(tensors)}"


def _left_out(layer: Layer, cell: Cell) -> Iterator[str]:
    """What belongs to the layer and is no part of the weights of a cell."""
    if cell is not layer.cell:
        yield f"the weights are those of the cell inside: what makes it {layer.cell.title} is not among them"
    if layer.options["residual"].value:
        yield "the layer's input is added to what it passes on (residual); that is no matter of weights"
    if layer.feed.mask is not None:
        yield "steps are skipped where the input is masked; that is no matter of weights"
    starts = [state for state in cell.states if f"{_STARTS}{state}" in layer.weights]
    if starts:
        yield f"{' and '.join(starts)} start from stored states; that is no matter of a cell's weights"
    if layer.initial:
        yield f"{' and '.join(layer.initial)} start from other layers; that is no matter of weights"


def _said_otherwise(
    parts: dict[str, dict[str, Array]], family: Family, cell: Cell, options: Mapping[str, Value]
) -> Iterator[str]:
    """Puts the blocks into the family's words, and says where these are others than the cell's."""
    if any(part.endswith(_APPLIED) for weight in cell.weights for p in weight.parts if (part := p.name)):
        yield "the kernels are written as the cell uses them, with its masks or gains multiplied in"
    kernels = parts["recurrent_kernel"]
    if any(block.ndim < 2 or block.shape[0] == 1 < block.shape[-1] for block in kernels.values()):
        parts["recurrent_kernel"] = {gate: np.diag(block.reshape(-1)) for gate, block in kernels.items()}
        yield "a unit sees of h its own alone: these weights stand on the diagonal of the recurrent kernel"
    if family == "lstm" and "i" not in kernels:
        forget = options.get("forget_bias")
        for blocks in parts.values():
            if "f" in blocks:
                blocks["i"] = -blocks["f"]
        if forget is not None and forget.value:
            parts["bias"]["i"] = parts["bias"]["i"] - np.asarray(forget.value, parts["bias"]["i"].dtype)
        yield "i is 1 - f: its weights are those of f with the opposite sign"
    if cell.step is sonnet.step:
        for part, blocks in parts.items():
            parts[part] = {gate: -block if gate == "z" else block for gate, block in blocks.items()}
        yield "z lets the new in here and keeps the old elsewhere: its weights have the opposite sign"


def described(value: Value) -> str:
    """`3.0 (graph)`."""
    return f"{words.option(value.value)} ({value.evidence})"
