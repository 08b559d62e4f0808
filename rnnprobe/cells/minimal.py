"""Cells made so simple that their dynamics can be told: without input they come to rest.

MinimalRNN  n = φ(x·W_n)                            h' = z·h + (1 - z)·n
            z = σ(n·V_z + h·U_z + b_z)
CFN         t = σ(x·W_t + h·U_t + b_t)              h' = t·φ(h) + (1 - e)·n
            e = σ(x·W_e + h·U_e + b_e)              n  = φ(x·W_n)

Chen 2017 and Laurent & von Brecht 2016 (chaos-free network). TensorFlow 1.13 and later, contrib `MinimalRNNCell` (its
u is z, its z is n) and `CFNCell` (its θ, η are t, e) in `contrib/rnn/python/ops/rnn_cell.py`; cells.md, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import ACTIVATION, SIGMOID
from rnnprobe.cells.storage import bias
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """Of the MinimalRNN: n before and after its activation, and z_pre but for h's share, `[..., 3 · units]`."""
    n_pre = xp.matmul(x, w["kernel"])
    n = activate(xp, options["activation"], n_pre)
    return xp.concatenate([n_pre, n, xp.matmul(n, w["candidate_kernel"]) + w["bias"]])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of the MinimalRNN from z `[batch, 3 · units]` and h `[batch, units]`."""
    n_pre, n, z_pre = xp.split(z, 3)
    z_pre = z_pre + xp.matmul(state["h"], w["recurrent_kernel"])
    gate = xp.sigmoid(z_pre)
    return {"h": gate * state["h"] + (1.0 - gate) * n, "z": gate, "n": n, "z_pre": z_pre, "n_pre": n_pre}


def project_cfn(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """Of the CFN: x·W + b, `[..., 3 · units]`, gates t, e, n; n has no bias."""
    x_t, x_e, n_pre = xp.split(xp.matmul(x, w["kernel"]), 3)
    return xp.concatenate([xp.concatenate([x_t, x_e]) + w["bias"], n_pre])


def step_cfn(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of the CFN from z `[batch, 3 · units]` and h `[batch, units]`."""
    phi, h = options["activation"], state["h"]
    x_t, x_e, n_pre = xp.split(z, 3)
    h_t, h_e = xp.split(xp.matmul(h, w["recurrent_kernel"]), 2)
    t_pre, e_pre = x_t + h_t, x_e + h_e
    t, e, n = xp.sigmoid(t_pre), xp.sigmoid(e_pre), activate(xp, phi, n_pre)
    pre = {"t_pre": t_pre, "e_pre": e_pre, "n_pre": n_pre}
    return {"h": t * activate(xp, phi, h) + (1.0 - e) * n, "t": t, "e": e, "n": n, **pre}


def _signals(gates: tuple[str, ...]) -> tuple[Signal, ...]:
    return (
        Signal("h", "state"),
        *(Signal(gate, "gate", activation="activation" if gate == "n" else "recurrent_activation") for gate in gates),
        *(Signal(f"{gate}_pre", "pre") for gate in gates),
    )


MINIMAL_RNN = Cell(
    name="minimal_rnn",
    title="MinimalRNN",
    framework="tf1",
    scopes=("minimal_rnn_cell",),
    classes=("MinimalRNNCell",),
    weights=(
        Weight(
            "kernel",
            ("kernel",),
            ("input_size + 2 * units", "units"),
            (
                Part("kernel", "input_size", ("n",)),
                Part("candidate_kernel", "units", ("z",)),
                Part("recurrent_kernel", "units", ("z",)),
            ),
        ),
        bias("bias", ("bias",), ("z",)),
    ),
    gates=("n", "z"),
    spelled=("z", "u"),
    order=(("n", "z"),),
    signals=_signals(("z", "n")),
    options=(ACTIVATION, SIGMOID),
    project=project,
    step=step,
)

_CFN_GATES = ("t", "e", "n")
_CFN_RECURRENT = ("t", "e")

CFN = replace(
    MINIMAL_RNN,
    name="cfn",
    title="CFN",
    scopes=("cfn_cell",),
    classes=("CFNCell",),
    weights=(
        Weight("kernel", ("kernel",), ("input_size", "3 * units"), (Part("kernel", "input_size", _CFN_GATES),)),
        Weight(
            "recurrent_kernel",
            ("recurrent_kernel",),
            ("units", "2 * units"),
            (Part("recurrent_kernel", "units", _CFN_RECURRENT),),
        ),
        bias("bias", ("bias",), _CFN_RECURRENT),
    ),
    gates=_CFN_GATES,
    spelled=("θ", "η", "w"),
    order=(_CFN_GATES,),
    signals=_signals(_CFN_GATES),
    project=project_cfn,
    step=step_cfn,
)
