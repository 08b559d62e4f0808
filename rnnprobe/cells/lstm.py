"""The LSTM family.

    i = ψ(x·W_i + h·U_i + b_i + p_i·c)        f = ψ(x·W_f + h·U_f + b_f + p_f·c + forget_bias)
    g = φ(x·W_g + h·U_g + b_g)                c' = clip(f·c + i·g)
    o = ψ(x·W_o + h·U_o + b_o + p_o·c')       h' = o·φ(c'), projected and clipped where the cell says so

TensorFlow 1 `BasicLSTMCell` and `LSTMCell` (`rnn_cell_impl.py`), Keras `LSTM` (`recurrent.py`, `lstm.py`) and
`CuDNNLSTM` (`cudnn_recurrent.py`); cells.md, sections 1, 3 and 9.3. Peepholes p look at the old c, that of o at the
new, clipped one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import (
    ACTIVATION,
    CELL_CLIP,
    FORGET_BIAS,
    PROJ_CLIP,
    RECURRENT_ACTIVATION,
    SIGMOID,
    TANH,
)
from rnnprobe.cells.storage import bias, cudnn_bias, kernels, separate, stacked
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., 4 · units]`, gates i, f, g, o."""
    z = xp.matmul(x, w["kernel"])
    for part in ("bias", "recurrent_bias"):
        if part in w:
            z = z + w[part]
    return z


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c `[batch, units]` and h `[batch, output_size]`."""
    phi, psi = options["activation"], options["recurrent_activation"]
    i_pre, f_pre, g_pre, o_pre = xp.split(z + xp.matmul(state["h"], w["recurrent_kernel"]), 4)
    if options.get("forget_bias"):
        f_pre = f_pre + options["forget_bias"]
    if "peephole" in w:
        p_i, p_f, p_o = xp.split(w["peephole"], 3)
        i_pre = i_pre + p_i * state["c"]
        f_pre = f_pre + p_f * state["c"]
    i, f, g = activate(xp, psi, i_pre), activate(xp, psi, f_pre), activate(xp, phi, g_pre)
    c = f * state["c"] + i * g
    clip = options.get("cell_clip")
    if isinstance(clip, int | float):
        c = xp.clip(c, -clip, clip)
    if "peephole" in w:
        o_pre = o_pre + p_o * c
    o = activate(xp, psi, o_pre)
    h = o * activate(xp, phi, c)
    signals = {"i": i, "f": f, "g": g, "o": o, "i_pre": i_pre, "f_pre": f_pre, "g_pre": g_pre, "o_pre": o_pre}
    if "projection" in w:
        signals["h_unprojected"] = h
        h = xp.matmul(h, w["projection"])
        clip = options.get("proj_clip")
        if isinstance(clip, int | float):
            h = xp.clip(h, -clip, clip)
    return {"c": c, "h": h, **signals}


_SIGNALS = (
    Signal("c", "state"),
    Signal("h", "state", "output_size"),
    *(Signal(gate, "gate", activation="activation" if gate == "g" else "recurrent_activation") for gate in "ifgo"),
    *(Signal(f"{gate}_pre", "pre") for gate in "ifgo"),
)
_TF1_GATES = ("i", "g", "f", "o")
_KERAS_GATES = ("i", "f", "g", "o")
_KERAS1_GATES = ("i", "g", "f", "o")


BASIC_LSTM = Cell(
    name="basic_lstm",
    title="BasicLSTM",
    framework="tf1",
    scopes=("basic_lstm_cell", "BasicLSTMCell"),
    classes=("BasicLSTMCell",),
    weights=(
        stacked("kernel", ("kernel", "weights", "Linear/Matrix"), _TF1_GATES, "output_size"),
        bias("bias", ("bias", "biases", "Linear/Bias"), _TF1_GATES),
    ),
    gates=_TF1_GATES,
    spelled=("i", "j", "f", "o"),
    order=(("i", "f", "g", "o"),),
    signals=_SIGNALS,
    options=(FORGET_BIAS, ACTIVATION, SIGMOID),
    project=project,
    step=step,
)

LSTM = replace(
    BASIC_LSTM,
    name="lstm",
    title="LSTM",
    scopes=("lstm_cell", "LSTMCell"),
    classes=("LSTMCell",),
    weights=(
        stacked("kernel", ("kernel", "weights", "W_0"), _TF1_GATES, "output_size"),
        bias("bias", ("bias", "biases", "B"), _TF1_GATES),
        *(
            Weight(
                f"peephole_{gate}",
                (f"w_{gate}_diag", f"W_{gate.upper()}_diag"),
                ("units",),
                (Part("peephole", "units", (gate,)),),
                optional=True,
            )
            for gate in "ifo"
        ),
        Weight(
            "projection",
            ("projection/kernel", "projection/weights", "W_P_0"),
            ("units", "output_size"),
            (Part("projection", "units"),),
            optional=True,
        ),
    ),
    signals=(*_SIGNALS, Signal("h_unprojected", "inner", needs="projection")),
    options=(FORGET_BIAS, ACTIVATION, SIGMOID, CELL_CLIP, PROJ_CLIP),
)

KERAS_LSTM = replace(
    BASIC_LSTM,
    name="keras_lstm",
    title="Keras LSTM",
    framework="keras",
    scopes=("lstm_cell",),
    classes=("LSTM", "LSTMCell"),
    weights=(*kernels(_KERAS_GATES), bias("bias", ("bias", "b"), _KERAS_GATES, optional=True)),
    gates=_KERAS_GATES,
    spelled=("i", "f", "c", "o"),
    options=(ACTIVATION, RECURRENT_ACTIVATION),
)

KERAS1_LSTM = replace(
    KERAS_LSTM,
    name="keras1_lstm",
    title="Keras 1 LSTM, an array a gate",
    scopes=(),
    weights=separate(_KERAS1_GATES, "icfo"),
    gates=_KERAS1_GATES,
    spelled=("i", "c", "f", "o"),
)

KERAS_CUDNN_LSTM = replace(
    KERAS_LSTM,
    name="keras_cudnn_lstm",
    title="Keras CuDNNLSTM",
    scopes=(),
    classes=("CuDNNLSTM",),
    weights=(*kernels(_KERAS_GATES, cudnn=True), cudnn_bias(_KERAS_GATES)),
    options=(TANH, SIGMOID),
)
