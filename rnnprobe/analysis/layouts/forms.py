"""What a framework's layer of a family can be told, and a layer fitted to it: or the reason why it does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnprobe.analysis.layouts.plain import GATES, Blocks, Plain, described
from rnnprobe.types import Array, Cell

NEUTRAL: Mapping[str, Any] = {
    "forget_bias": 0.0,
    "cell_clip": None,
    "proj_clip": None,
    "hidden_clip": None,
    "state_clip": None,
    "leaky": 1.0,
}
"""The value with which an option changes nothing. What an unknown one does, nobody can say: it never fits."""


@dataclass(frozen=True, slots=True)
class Form:
    """A framework's layer of a family.

    Attributes:
        title: as its framework calls it.
        gates: in its order.
        spelled: its own letters for them.
        options: those that it can be told → the choices, empty where any value will do.
        parts: those that it has besides kernel, recurrent kernel and bias.
        biases: the gates that have a second bias, added to the product with h.
        bare: it can do without any bias.
    """

    title: str
    gates: tuple[str, ...]
    spelled: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    parts: frozenset[str] = frozenset()
    biases: frozenset[str] = frozenset()
    bare: bool = False


def form_of(cell: Cell, title: str) -> Form:
    """The form of a cell that is registered (`rnnprobe.cells`), from its tables."""
    parts = {part.name: part for weight in cell.weights for part in weight.parts}
    return Form(
        title,
        cell.gates,
        cell.spelled,
        {option.name: option.choices for option in cell.options},
        frozenset(parts),
        frozenset(parts["recurrent_bias"].gates) if "recurrent_bias" in parts else frozenset(),
        all(weight.optional for weight in cell.weights if any(part.name == "bias" for part in weight.parts)),
    )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A layer that a form can hold.

    Attributes:
        plain: the layer.
        form: what holds it.
        bias, second: gate → `[units]`, as the form wants them: folded, or split. Both are empty where there are none.
        origins: part → what it was made of; of the biases, with what was folded in.
        notes: what to know of it.
    """

    plain: Plain
    form: Form
    bias: Blocks
    second: Blocks
    origins: Mapping[str, str]
    notes: tuple[str, ...] = field(default=())

    @property
    def kernel(self) -> Array:
        """`[input_size, gates · units]`, in the form's order."""
        return self.joined(self.plain.parts["kernel"])

    @property
    def recurrent(self) -> Array:
        """`[output_size, gates · units]`, in the form's order."""
        return self.joined(self.plain.parts["recurrent_kernel"])

    @property
    def projection(self) -> Array | None:
        """`[units, output_size]`."""
        return self.plain.parts["projection"][""] if "projection" in self.plain.parts else None

    def origin(self, part: str, gates: tuple[str, ...] = ()) -> str:
        """What a part, or the block of its only gate, was made of."""
        own = f"{part}/{gates[0]}" if len(gates) == 1 and not part.endswith("bias") else part
        return self.origins.get(own, self.origins[part])

    def joined(self, blocks: Blocks) -> Array:
        """Blocks side by side, in the form's order."""
        return np.concatenate([blocks[gate] for gate in self.form.gates or ("",)], axis=-1)


def reason(layer: Plain, form: Form) -> str:
    """Why a form can't hold a layer exactly, or nothing."""
    for name, value in layer.options.items():
        choices = form.options.get(name)
        if choices is None and (name not in NEUTRAL or value.value != NEUTRAL[name]) and name != "forget_bias":
            return f"{name} = {described(value)}, and {form.title} has nothing like it"
        if choices and value.value not in choices:
            return f"{name} = {described(value)}, and {form.title} has {' or '.join(choices)} alone"
    for part in ("peephole", "projection"):
        if part in layer.parts and part not in form.parts:
            return f"it has a {part}, and {form.title} has none"
    return ""


def fit(layer: Plain, form: Form) -> Fitted:
    """A layer in a form that can hold it (`reason` found none)."""
    origins = dict(layer.origins)
    bias, second = _biases(layer, form, origins)
    notes = list(layer.notes)
    forget = layer.options.get("forget_bias")
    if forget is not None and forget.value:
        if "forget_bias" in form.options:
            notes.append(f"forget_bias = {described(forget)} is not in the bias: the cell adds it when it runs")
        else:
            notes.append(f"forget_bias = {described(forget)} is in the bias of f")
    return Fitted(layer, form, bias, second, origins, tuple(notes))


def _biases(layer: Plain, form: Form, origins: dict[str, str]) -> tuple[Blocks, Blocks]:
    """The one or two biases of each gate. What is folded is added in float64, and rounded once."""
    gates = GATES[layer.family]
    own, recurrent = layer.parts.get("bias", {}), layer.parts.get("recurrent_bias", {})
    folds = form.options.get("forget_bias") is None and bool(layer.setting("forget_bias"))
    if not (own or recurrent or folds) and form.bare:
        return {}, {}
    zeros = np.zeros(layer.units, layer.dtype)
    bias, second = {}, {}
    for gate in gates:
        terms = [own.get(gate, zeros)]
        if gate in form.biases:
            second[gate] = recurrent.get(gate, zeros).reshape(-1)
        elif gate in recurrent:
            terms.append(recurrent[gate])
        if folds and gate == "f":
            terms.append(np.asarray(layer.setting("forget_bias")))
        bias[gate] = _sum(terms, layer.dtype)
    made = [origins[part] for part in ("bias", "recurrent_bias") if part in origins and layer.parts.get(part)]
    kept = [origins["recurrent_bias"]] if recurrent and form.biases else []
    if kept and not set(recurrent) - form.biases:
        made.remove(kept[0])
    if folds:
        made.append(f"forget_bias {layer.setting('forget_bias')} in f")
    origins["bias"] = " + ".join(made) or "zeros"
    origins["recurrent_bias"] = kept[0] if kept else "zeros"
    return bias, second


def _sum(terms: list[Array], dtype: np.dtype[Any]) -> Array:
    if len(terms) == 1:
        return terms[0].reshape(-1)
    total: Array = sum((term.astype(np.float64).reshape(-1) for term in terms), np.zeros(1))
    return total.astype(dtype)
