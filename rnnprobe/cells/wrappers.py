"""Wrappers with weights of their own: a cell inside a wrapper is a cell again, which has the wrapper's weights besides.

InputProjection   the cell is given  p = φ(x·W + b)
OutputProjection  passes on          y = φ(h·W + b)
Highway           passes on          y = c·x + t·h,  c = σ(x·W_c + b_c),  t = 1 - c or σ(x·W_t + b_t)
AttentionCell     see `rnnprobe.cells.attention`

x is what enters the wrapper, h what the cell inside passes on. The states are the cell's own: a wrapper changes what a
layer passes on, and `Cell.emits` says which signal that is. Wrappers without weights are an option of a layer
(`residual`) or nothing at all.

TensorFlow 1 `contrib.rnn` (`core_rnn_cell.py`, `rnn_cell.py`); cells.md, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import INPUT_PROJECTION_ACTIVATION, OUTPUT_PROJECTION_ACTIVATION
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

KERNEL = ("kernel", "weights", "Linear/Matrix")
BIAS = ("bias", "biases", "Linear/Bias")
"""What a wrapper's product is called below its scope, in each era."""


def input_projection(cell: Cell, kernel: tuple[str, ...] = KERNEL, bias: tuple[str, ...] = BIAS) -> Cell:
    """The cell, given a projection of its input. `projected_size` is the width of that."""

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        a = xp.matmul(x, w["input_projection"]) + w["input_projection_bias"]
        p = activate(xp, options.get(INPUT_PROJECTION_ACTIVATION.name, "linear"), a)
        return xp.concatenate([cell.project(xp, w, p, options), p])

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        width = w["input_projection"].shape[-1]
        return {**cell.step(xp, w, z[..., :-width], state, options), "x_projected": z[..., -width:]}

    cell = inside(cell)
    inner = renamed(buried(cell, "x_projected"), "input_size", "projected_size")
    return replace(
        inner,
        title=f"{cell.title} in InputProjectionWrapper",
        weights=(*inner.weights, *product("input_projection", kernel, bias, "input_size", "projected_size")),
        signals=(*inner.signals, Signal("x_projected", "inner", "projected_size")),
        options=(*cell.options, INPUT_PROJECTION_ACTIVATION),
        project=project,
        step=step,
        wraps=cell,
    )


def output_projection(cell: Cell) -> Cell:
    """The cell, passing on a projection of what it emits. `passed_size` is the width of that."""

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        signals = cell.step(xp, w, z, state, options)
        a = xp.matmul(signals[cell.emits], w["output_projection"]) + w["output_projection_bias"]
        return {**signals, "y": activate(xp, options[OUTPUT_PROJECTION_ACTIVATION.name], a)}

    cell = inside(cell)
    inner = buried(cell, "y")
    return replace(
        inner,
        title=f"{cell.title} in OutputProjectionWrapper",
        weights=(*inner.weights, *product("output_projection", KERNEL, BIAS, emitted_size(cell), "passed_size")),
        signals=(*inner.signals, Signal("y", "output", "passed_size")),
        options=(*cell.options, OUTPUT_PROJECTION_ACTIVATION),
        step=step,
        emits="y",
        wraps=cell,
    )


def highway(cell: Cell) -> Cell:
    """The cell, passing on its input and what it emits, each as far as a gate lets it."""
    width = emitted_size(cell)
    inner = buried(cell, "y")

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        gates = [xp.matmul(x, w[gate]) + w[f"{gate}_bias"] for gate in ("carry", "transform") if gate in w]
        return xp.concatenate([cell.project(xp, w, x, options), x, *gates])

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        own = w["carry"].shape[-1] * (3 if "transform" in w else 2)
        x, *pre = xp.split(z[..., -own:], 3 if "transform" in w else 2)
        gates = [xp.sigmoid(a) for a in pre]
        signals = cell.step(xp, w, z[..., :-own], state, options)
        carry, transform = gates[0], gates[1] if len(gates) > 1 else 1.0 - gates[0]
        names = ("carry", "transform")[: len(gates)]
        return {
            **signals,
            "y": x * carry + signals[cell.emits] * transform,
            **dict(zip(names, gates, strict=True)),
            **{f"{name}_pre": a for name, a in zip(names, pre, strict=True)},
        }

    return replace(
        inner,
        title=f"{cell.title} in HighwayWrapper",
        weights=(
            *inner.weights,
            *product("carry", ("carry_w",), ("carry_b",), "input_size", width),
            *product("transform", ("transform_w",), ("transform_b",), "input_size", width, optional=True),
        ),
        signals=(
            *inner.signals,
            Signal("y", "output", width),
            *(
                signal
                for gate, needs in (("carry", ""), ("transform", "transform"))
                for signal in (Signal(gate, "gate", width, needs), Signal(f"{gate}_pre", "pre", width, needs))
            ),
        ),
        project=project,
        step=step,
        relations=(*inner.relations, ("input_size", width)),
        emits="y",
        wraps=cell,
    )


def product(
    role: str, kernel: tuple[str, ...], bias: tuple[str, ...], rows: str, width: str, *, optional: bool = False
) -> tuple[Weight, Weight]:
    """A matrix, called as its part is, and its bias."""
    return (
        Weight(role, kernel, (rows, width), (Part(role, rows),), optional),
        Weight(f"{role}_bias", bias, (width,), (Part(f"{role}_bias", width),), optional),
    )


def emitted_size(cell: Cell) -> str:
    """The formula of the width of what a cell passes on."""
    return next(signal.size for signal in cell.signals if signal.name == cell.emits)


def renamed(cell: Cell, size: str, name: str) -> Cell:
    """The cell's tables with another name for a size."""

    def formula(text: str) -> str:
        return " ".join(name if word == size else word for word in text.split(" "))

    return replace(
        cell,
        weights=tuple(
            replace(
                weight,
                shape=tuple(map(formula, weight.shape)),
                parts=tuple(replace(part, rows=formula(part.rows)) for part in weight.parts),
            )
            for weight in cell.weights
        ),
        signals=tuple(replace(signal, size=formula(signal.size)) for signal in cell.signals),
        relations=tuple((formula(one), formula(other)) for one, other in cell.relations),
    )


def inside(cell: Cell) -> Cell:
    """The cell with the sizes that a wrapper gave it called `inner_…`, so that a second wrapper can have the names."""
    for size in ("projected_size", "passed_size"):
        cell = renamed(cell, size, f"inner_{size}")
    return cell


def buried(cell: Cell, *names: str) -> Cell:
    """The cell without signals that a wrapper around it has by the same name."""
    return replace(cell, signals=tuple(signal for signal in cell.signals if signal.name not in names))
