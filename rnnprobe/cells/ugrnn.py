"""Cells in which one gate says how much of the state stays, as Collins et al. 2016 have them.

UGRNN            z = σ(x·W_z + h·U_z + b_z + forget_bias)       h' = z·h + (1 - z)·n
                 n = φ(x·W_n + h·U_n + b_n)
IntersectionRNN  z, n of the state s, and e, m of what is emitted, all from x and s
                 s' = z·s + (1 - z)·tanh(n_pre)                 h  = e·x + (1 - e)·φ(m_pre)

TensorFlow 1.2 and later, contrib `UGRNNCell` (its g is z, its c is n) and `IntersectionRNNCell` (its gh, h, gy, y are
z, n, e, m) in `contrib/rnn/python/ops/rnn_cell.py`; cells.md, section 4. The forget bias is added to e as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import ACTIVATION, FORGET_BIAS, SIGMOID, TANH
from rnnprobe.cells.storage import bias, stacked
from rnnprobe.cells.wrappers import input_projection
from rnnprobe.types import Cell, Option, OptionValue, Signal, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., 2 · units]`, gates z, n."""
    return xp.matmul(x, w["kernel"]) + w["bias"]


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of the UGRNN from z `[batch, 2 · units]` and h `[batch, units]`."""
    z_pre, n_pre = xp.split(z + xp.matmul(state["h"], w["recurrent_kernel"]), 2)
    z_pre = z_pre + options["forget_bias"]
    gate, n = xp.sigmoid(z_pre), activate(xp, options["activation"], n_pre)
    return {"h": gate * state["h"] + (1.0 - gate) * n, "z": gate, "n": n, "z_pre": z_pre, "n_pre": n_pre}


def project_with_input(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b and x itself, `[..., 5 · units]`, gates z, n, e, m."""
    return xp.concatenate([project(xp, w, x, options), x])


def step_intersection(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of the IntersectionRNN from z `[batch, 5 · units]` and s `[batch, units]`."""
    *shares, x = xp.split(z, 5)
    from_s = xp.split(xp.matmul(state["s"], w["recurrent_kernel"]), 4)
    z_pre, n_pre, e_pre, m_pre = (a + b for a, b in zip(shares, from_s, strict=True))
    z_pre, e_pre = z_pre + options["forget_bias"], e_pre + options["forget_bias"]
    gate, e = xp.sigmoid(z_pre), xp.sigmoid(e_pre)
    n, m = activate(xp, options["activation"], n_pre), activate(xp, options["y_activation"], m_pre)
    return {
        "s": gate * state["s"] + (1.0 - gate) * n,
        "h": e * x + (1.0 - e) * m,
        **{"z": gate, "n": n, "e": e, "m": m},
        **{"z_pre": z_pre, "n_pre": n_pre, "e_pre": e_pre, "m_pre": m_pre},
    }


_GATES = ("z", "n")
_FOUR = ("z", "n", "e", "m")
_ACTIVATIONS = {"z": "recurrent_activation", "n": "activation", "e": "recurrent_activation", "m": "y_activation"}


def _gates(gates: tuple[str, ...]) -> tuple[Signal, ...]:
    return (
        *(Signal(gate, "gate", activation=_ACTIVATIONS[gate]) for gate in gates),
        *(Signal(f"{gate}_pre", "pre") for gate in gates),
    )


UGRNN = Cell(
    name="ugrnn",
    title="UGRNN",
    framework="tf1",
    scopes=("ugrnn_cell",),
    classes=("UGRNNCell",),
    weights=(stacked("kernel", ("kernel", "weights"), _GATES), bias("bias", ("bias", "biases"), _GATES)),
    gates=_GATES,
    spelled=("g", "c"),
    order=(_GATES,),
    signals=(Signal("h", "state"), *_gates(_GATES)),
    options=(FORGET_BIAS, ACTIVATION, SIGMOID),
    project=project,
    step=step,
)

INTERSECTION_RNN = replace(
    UGRNN,
    name="intersection_rnn",
    title="IntersectionRNN",
    scopes=("intersection_rnn_cell",),
    classes=("IntersectionRNNCell",),
    weights=(stacked("kernel", ("kernel", "weights"), _FOUR), bias("bias", ("bias", "biases"), _FOUR)),
    gates=_FOUR,
    spelled=("gh", "h", "gy", "y"),
    order=(_FOUR,),
    signals=(Signal("s", "state"), Signal("h", "output"), *_gates(_FOUR)),
    options=(
        FORGET_BIAS,
        TANH,
        SIGMOID,
        Option("y_activation", "relu", ACTIVATION.choices, "Activation of the candidate of what is emitted."),
    ),
    project=project_with_input,
    step=step_intersection,
    relations=(("input_size", "units"),),
)

INTERSECTION_RNN_PROJECTED = replace(
    input_projection(INTERSECTION_RNN, ("in_projection/kernel",), ("in_projection/bias",)),
    name="intersection_rnn_projected",
    title="IntersectionRNN, projected input",
    options=INTERSECTION_RNN.options,
    wraps=None,
)
"""Where the input has another width than the state, a linear product makes it as wide."""
