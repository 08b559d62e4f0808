"""The LSTM family.

    i = ψ(x·W_i + h·U_i + b_i + p_i·c)        f = ψ(x·W_f + h·U_f + b_f + p_f·c + forget_bias)
    g = φ(x·W_g + h·U_g + b_g)                c' = clip(f·c + i·g)
    o = ψ(x·W_o + h·U_o + b_o + p_o·c')       h' = o·φ(c'), projected and clipped where the cell says so

The cells of TensorFlow's contrib vary it (`block_lstm`, `norm_lstm`, `masked_lstm`, `indy_lstm`, `glstm`): the sums of
the gates are normalised in place of the bias, c is normalised before it is clipped, i is 1 - f, or the products are
others. What they all do with the sums of their gates is `gated`.

TensorFlow 1 `BasicLSTMCell` and `LSTMCell` (`rnn_cell_impl.py`), Keras `LSTM` (`recurrent.py`, `lstm.py`) and
`CuDNNLSTM` (`cudnn_recurrent.py`); cells.md, sections 1, 3 and 9.3. Peepholes p look at the old c, that of o at the
new, clipped one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.norms import layer_norm
from rnnprobe.cells.options import (
    ACTIVATION,
    CELL_CLIP,
    FORGET_BIAS,
    PROJ_CLIP,
    RECURRENT_ACTIVATION,
    SIGMOID,
    TANH,
)
from rnnprobe.cells.storage import bias, cudnn_bias, kernels, peepholes, projection, separate, stacked
from rnnprobe.types import Cell, OptionValue, Signal, Xp

EPSILON = 1e-12
"""Of the norms of TensorFlow 1's contrib cells."""


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
    return gated(xp, w, z + xp.matmul(state["h"], w["recurrent_kernel"]), state, options)


def gated(
    xp: Xp,
    w: Mapping[str, Any],
    total: Any,
    state: Mapping[str, Any],
    options: Mapping[str, OptionValue],
    epsilon: float = EPSILON,
) -> dict[str, Any]:
    """What becomes of the gates' sums: every LSTM, whatever made the sums.

    Args:
        xp, w, state, options: as in `Cell.step`. Of w, what is there takes part: `gamma`, `beta` (norms of the sums,
            a gate at a time), `state_gamma`, `state_beta` (of c), `peephole`, `projection`; and of what h alone sees of
            c `c_gamma`, `c_beta` (its norm), `c_scale`, `c_shift` (c·scale + shift), then `c_peephole` (times 1 + p).
        total: `[batch, 4 · units]`, gates i, f, g, o; or `[batch, 3 · units]`, gates f, g, o, and i is 1 - f.
        epsilon: of the norms.
    """
    phi, psi, units = options["activation"], options["recurrent_activation"], state["c"].shape[-1]
    letters = "ifgo"[-(total.shape[-1] // units) :]
    pre = dict(zip(letters, xp.split(total, len(letters)), strict=True))
    signals: dict[str, Any] = {}
    if "gamma" in w:
        pre = _normed(xp, w, pre, epsilon)
        signals |= {f"{gate}_norm": a for gate, a in pre.items()}
    if options.get("forget_bias"):
        pre["f"] = pre["f"] + options["forget_bias"]
    peephole = _peepholes(xp, w, letters, units)
    for gate in "if":
        if gate in peephole:
            pre[gate] = pre[gate] + peephole[gate] * state["c"]
    f, g = activate(xp, psi, pre["f"]), activate(xp, phi, pre["g"])
    i = activate(xp, psi, pre["i"]) if "i" in pre else 1.0 - f
    c = f * state["c"] + i * g
    if "state_gamma" in w:
        signals["c_unnormed"] = c
        c = layer_norm(xp, c, w["state_gamma"], w["state_beta"], epsilon)
    c = clipped(xp, c, options.get("cell_clip"))
    if "o" in peephole:
        pre["o"] = pre["o"] + peephole["o"] * c
    o, seen = activate(xp, psi, pre["o"]), c
    if "c_gamma" in w:
        seen = signals["c_norm"] = layer_norm(xp, c, w["c_gamma"], w["c_beta"], epsilon)
    if "c_scale" in w:
        seen = signals["c_norm"] = c * w["c_scale"] + w["c_shift"]
    if "c_peephole" in w:
        seen = signals["c_peeped"] = seen + w["c_peephole"] * seen
    h = o * activate(xp, phi, seen)
    signals |= {"i": i, "f": f, "g": g, "o": o, **{f"{gate}_pre": a for gate, a in pre.items()}}
    if "projection" in w:
        signals["h_unprojected"] = h
        h = clipped(xp, xp.matmul(h, w["projection"]), options.get("proj_clip"))
    return {"c": c, "h": h, **signals}


def _normed(xp: Xp, w: Mapping[str, Any], pre: Mapping[str, Any], epsilon: float) -> dict[str, Any]:
    """Each gate's sum, normalised by itself."""
    gammas, betas = xp.split(w["gamma"], len(pre)), xp.split(w["beta"], len(pre))
    return {
        gate: layer_norm(xp, a, gamma, beta, epsilon)
        for (gate, a), gamma, beta in zip(pre.items(), gammas, betas, strict=True)
    }


def _peepholes(xp: Xp, w: Mapping[str, Any], letters: str, units: int) -> dict[str, Any]:
    """The diagonals by gate: of i, f and o, or of the first so many of those that the cell has."""
    if "peephole" not in w:
        return {}
    count = w["peephole"].shape[-1] // units
    gates = [gate for gate in letters if gate != "g"][:count]
    return dict(zip(gates, xp.split(w["peephole"], count), strict=True))


def clipped(xp: Xp, a: Any, bound: OptionValue) -> Any:
    """`a` within ± the bound, where there is one."""
    return xp.clip(a, -bound, bound) if isinstance(bound, int | float) else a


SIGNALS = (
    Signal("c", "state"),
    Signal("h", "state", "output_size"),
    *(Signal(gate, "gate", activation="activation" if gate == "g" else "recurrent_activation") for gate in "ifgo"),
    *(Signal(f"{gate}_pre", "pre") for gate in "ifgo"),
)
UNPROJECTED = Signal("h_unprojected", "inner", needs="projection")
TF1_GATES = ("i", "g", "f", "o")
_KERAS_GATES = ("i", "f", "g", "o")
_KERAS1_GATES = ("i", "g", "f", "o")


BASIC_LSTM = Cell(
    name="basic_lstm",
    title="BasicLSTM",
    framework="tf1",
    scopes=("basic_lstm_cell", "BasicLSTMCell"),
    classes=("BasicLSTMCell",),
    weights=(
        stacked("kernel", ("kernel", "weights", "Linear/Matrix"), TF1_GATES, "output_size"),
        bias("bias", ("bias", "biases", "Linear/Bias"), TF1_GATES),
    ),
    gates=TF1_GATES,
    spelled=("i", "j", "f", "o"),
    order=(("i", "f", "g", "o"),),
    signals=SIGNALS,
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
        stacked("kernel", ("kernel", "weights", "W_0"), TF1_GATES, "output_size"),
        bias("bias", ("bias", "biases", "B"), TF1_GATES),
        *peepholes("ifo"),
        projection(),
    ),
    signals=(*SIGNALS, UNPROJECTED),
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
