"""JANET, the LSTM with its forget gate alone:

    f = ψ(x·W_f + h·U_f + b_f)    i = 1 - ψ(x·W_f + h·U_f + b_f - β)
    g = φ(x·W_g + h·U_g + b_g)    c' = f·c + i·g    h' = c'

van der Westhuizen & Lasenby 2018, "The unreasonable effectiveness of the forget gate", as published for Keras:
https://github.com/titu1994/Keras-just-another-network-JANET, `janet.py`. Its two states differ only before the first
step. The bias of f is drawn by the number of steps (chrono initialisation), which changes nothing when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.lstm import SIGNALS, project
from rnnprobe.cells.options import ACTIVATION, RECURRENT_ACTIVATION
from rnnprobe.cells.storage import bias, kernels
from rnnprobe.types import Cell, Option, OptionValue, Signal, Xp

_GATES = ("f", "g")


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 2 · units]`, c and h `[batch, units]`."""
    psi, beta = options["recurrent_activation"], options["beta"]
    f_pre, g_pre = xp.split(z + xp.matmul(state["h"], w["recurrent_kernel"]), 2)
    f, g = activate(xp, psi, f_pre), activate(xp, options["activation"], g_pre)
    i = 1.0 - activate(xp, psi, f_pre - beta)
    c = f * state["c"] + i * g
    return {"c": c, "h": c, "f": f, "g": g, "i": i, "f_pre": f_pre, "g_pre": g_pre}


JANET = Cell(
    name="janet",
    title="JANET",
    framework="published",
    scopes=("janet", "janet_cell"),
    classes=("JANET", "JANETCell"),
    weights=(*kernels(_GATES), bias("bias", ("bias",), _GATES, optional=True)),
    gates=_GATES,
    spelled=("f", "c"),
    order=(_GATES,),
    signals=(
        Signal("c", "state"),
        Signal("h", "state"),
        *(signal for signal in SIGNALS if signal.name in ("f", "g", "f_pre", "g_pre")),
        Signal("i", "inner"),
    ),
    options=(
        ACTIVATION,
        RECURRENT_ACTIVATION,
        Option("beta", 1.0, help="JANET: the lead that i has over what f leaves."),
    ),
    project=project,
    step=step,
)
