"""PhasedLSTM: an LSTM whose units are open for a part of a period of their own, and hold their state else.

    i, f = σ(K·[x, h, c])       n = tanh(K·[x, h])       ĉ = f·c + i·n
    o    = σ(K·[x, h, ĉ])       ĥ = o·tanh(ĉ)
    s    = mod(t - phase, period) / period
    k    = 2·s / r where s < r/2, 2 - 2·s / r where s < r, leak·s beyond; r is ratio_on
    c'   = k·ĉ + (1 - k)·c      h' = k·ĥ + (1 - k)·h

c and ĉ take part in the products only where the cell was made with `use_peepholes`. The candidate n goes by g, as in
every LSTM. No forget bias. Time enters with the features: the first feature of a step is t, the others are x, so that
`input_size` is one more than the width of x. `contrib/rnn/python/ops/rnn_cell.py`, TensorFlow 1.2 and later; Neil et
al. 2016; cells.md, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.options import SIGMOID, TANH
from rnnprobe.cells.storage import bias, columns
from rnnprobe.types import Cell, Option, OptionValue, Part, Signal, Weight, Xp

_GATES = ("i", "f", "g", "o")
_LEAK = Option("leak", 0.001, help="PhasedLSTM: what passes through while a unit is closed.")


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b for i, f, g, o, with t put in front; `[..., 1 + 4 · units]`."""
    t, x = x[..., :1], x[..., 1:]
    return xp.concatenate([t, xp.matmul(x, w["kernel"]) + w["bias"]])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 1 + 4 · units]`, c and h `[batch, units]`."""
    t, total = z[..., :1], z[..., 1:]
    c, h = state["c"], state["h"]
    i_pre, f_pre, g_pre, o_pre = xp.split(total + xp.matmul(h, w["recurrent_kernel"]), 4)
    if "peephole_kernel" in w:
        p_i, p_f, p_o = xp.split(w["peephole_kernel"], 3)
        i_pre, f_pre = i_pre + xp.matmul(c, p_i), f_pre + xp.matmul(c, p_f)
    i, f, g = xp.sigmoid(i_pre), xp.sigmoid(f_pre), xp.tanh(g_pre)
    open_c = f * c + i * g
    if "peephole_kernel" in w:
        o_pre = o_pre + xp.matmul(open_c, p_o)
    o = xp.sigmoid(o_pre)
    open_h = o * xp.tanh(open_c)
    s, k = _openness(xp, w, t, options["leak"])
    return {
        "c": k * open_c + (1.0 - k) * c,
        "h": k * open_h + (1.0 - k) * h,
        **{"i": i, "f": f, "g": g, "o": o, "i_pre": i_pre, "f_pre": f_pre, "g_pre": g_pre, "o_pre": o_pre},
        **{"s": s, "k": k, "c_open": open_c, "h_open": open_h},
    }


def _openness(xp: Xp, w: Mapping[str, Any], t: Any, leak: Any) -> tuple[Any, Any]:
    """Where each unit is in its period, from 0 to 1, and how far it is open; t `[batch, 1]`."""
    period, ratio = w["period"], w["ratio_on"]
    s = xp.mod(t - w["phase"], period) / period
    k = xp.where(s < 0.5 * ratio, 2.0 * s / ratio, xp.where(s < ratio, 2.0 - 2.0 * s / ratio, leak * s))
    return s, k


def _pair(name: str, gates: tuple[str, ...], *, peeps: bool) -> tuple[Weight, Weight]:
    """The kernel and bias of one of its products."""
    rows = "features + 2 * units" if peeps else "features + units"
    parts = [Part("kernel", "features", gates), Part("recurrent_kernel", "units", gates)]
    if peeps:
        parts.append(Part("peephole_kernel", "units", gates))
    return (
        Weight(f"{name}_kernel", (f"{name}/kernel",), (rows, columns(gates)), tuple(parts)),
        bias(f"{name}_bias", (f"{name}/bias",), gates),
    )


def _weights(*, peeps: bool) -> tuple[Weight, ...]:
    return (
        *_pair("mask_gates", ("i", "f"), peeps=peeps),
        *_pair("new_input", ("g",), peeps=False),
        *_pair("output_gate", ("o",), peeps=peeps),
        *(Weight(name, (name,), ("units",), (Part(name, "units"),)) for name in ("period", "phase", "ratio_on")),
    )


PHASED_LSTM = Cell(
    name="phased_lstm",
    title="PhasedLSTM",
    framework="tf1",
    scopes=("phased_lstm_cell",),
    classes=("PhasedLSTMCell",),
    weights=_weights(peeps=False),
    gates=_GATES,
    spelled=("i", "f", "n", "o"),
    order=(_GATES,),
    signals=(
        Signal("c", "state"),
        Signal("h", "state"),
        *(Signal(gate, "gate", activation="activation" if gate == "g" else "recurrent_activation") for gate in _GATES),
        *(Signal(f"{gate}_pre", "pre") for gate in _GATES),
        *(Signal(name, "inner") for name in ("s", "k", "c_open", "h_open")),
    ),
    options=(TANH, SIGMOID, _LEAK),
    project=project,
    step=step,
    relations=(("input_size", "features + 1"),),
)

PHASED_LSTM_PEEPHOLES = replace(
    PHASED_LSTM,
    name="phased_lstm_peepholes",
    title="PhasedLSTM, use_peepholes=True",
    weights=_weights(peeps=True),
)
