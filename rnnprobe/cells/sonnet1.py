"""The LSTM of Sonnet 1; `batch_norm_lstm` and `sonnet1_conv_lstm` are the others.

Of what it is given, h and c are clipped first; then as `rnnprobe.cells.lstm`, but that its norm is one over the sums of
all gates together, before the bias, and that in place of a peephole of o it is φ(c'·(1 + p)) that o lets through.

dm-sonnet 1.36, `python/modules/gated_rnn.py`; cells.md, section 10.2. Its variables lie below the scope that was open
when the core was made, under the core's own name; those that its states start from, where they were trained, beside
them (`rnnprobe.recover.beside`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import BASIC_LSTM, SIGNALS, TF1_GATES, UNPROJECTED, clipped, gated
from rnnprobe.cells.norms import layer_norm
from rnnprobe.cells.options import FORGET_BIAS, SIGMOID, TANH
from rnnprobe.cells.storage import bias, columns, projection, stacked
from rnnprobe.types import Option, OptionValue, Part, Signal, Weight, Xp

EPSILON = 1e-5
"""Of Sonnet's `LayerNorm`."""

_WIDTH = columns(TF1_GATES)
_HIDDEN_CLIP = Option("hidden_clip", None, help="Sonnet 1: h is clipped to ± this before a step begins.")
_STATE_CLIP = Option("state_clip", None, help="Sonnet 1: c is clipped to ± this before a step begins.")


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W, `[..., 4 · units]`, gates i, f, g, o; the bias comes after the norm."""
    return xp.matmul(x, w["kernel"])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c `[batch, units]` and h `[batch, output_size]`."""
    before = entering(xp, state, options)
    total = z + xp.matmul(before["h"], w["recurrent_kernel"])
    normed = {}
    if "norm_gamma" in w:
        total = layer_norm(xp, total, w["norm_gamma"], w["norm_beta"], EPSILON)
        normed = {f"{gate}_norm": a for gate, a in zip("ifgo", xp.split(total, 4), strict=True)}
    return gated(xp, w, total + w["bias"], before, options) | normed


def entering(xp: Xp, state: Mapping[str, Any], options: Mapping[str, OptionValue]) -> dict[str, Any]:
    """h and c as a step begins with them."""
    return {
        "h": clipped(xp, state["h"], options["hidden_clip"]),
        "c": clipped(xp, state["c"], options["state_clip"]),
    }


def starts(names: Mapping[str, str], space: tuple[str, ...] = ()) -> tuple[Weight, ...]:
    """What the states start from: state → the end of its name. `space`: the symbols of a convolution's extent."""
    return tuple(
        Weight(
            f"initial_{state}",
            (f"initial_state_{name}/w",),
            ("1", "1", *space, "units"),
            (Part(f"initial_{state}", space[-1] if space else "1"),),
            optional=True,
        )
        for state, name in names.items()
    )


def start(w: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Of each state that does not start from zeros, what it starts from, `[*shape]`."""
    return {state: w[f"initial_{state}"][0, 0] for state in shapes if f"initial_{state}" in w}


def _peephole(gate: str, part: Part) -> Weight:
    return Weight(f"peephole_{gate}", (f"w_{gate}_diag",), ("units",), (part,), optional=True)


SONNET1_LSTM = replace(
    BASIC_LSTM,
    name="sonnet1_lstm",
    title="Sonnet 1 LSTM",
    framework="sonnet",
    scopes=("lstm",),
    classes=("LSTM",),
    weights=(
        stacked("kernel", ("w_gates",), TF1_GATES, "output_size"),
        bias("bias", ("b_gates",), TF1_GATES),
        *(_peephole(gate, Part("peephole", "units", (gate,))) for gate in "if"),
        _peephole("o", Part("c_peephole", "units")),
        projection("w_h_projection"),
        *(
            replace(weight, shape=(*weight.shape[:-1], "output_size")) if weight.role == "initial_h" else weight
            for weight in starts({"h": "hidden", "c": "cell"})
        ),
    ),
    signals=(
        Signal("h", "state", "output_size"),
        Signal("c", "state"),
        *SIGNALS[2:],
        UNPROJECTED,
        Signal("c_peeped", "inner", needs="peephole_o"),
    ),
    options=(FORGET_BIAS, TANH, SIGMOID, _HIDDEN_CLIP, _STATE_CLIP),
    project=project,
    step=step,
    start=start,
)

SONNET1_LAYER_NORM_LSTM = replace(
    SONNET1_LSTM,
    name="sonnet1_layer_norm_lstm",
    title="Sonnet 1 LSTM, use_layer_norm=True",
    weights=(
        *SONNET1_LSTM.weights,
        Weight("norm_gamma", ("layer_norm/gamma",), (_WIDTH,), (Part("norm_gamma", _WIDTH, TF1_GATES),)),
        Weight("norm_beta", ("layer_norm/beta",), (_WIDTH,), (Part("norm_beta", _WIDTH, TF1_GATES),)),
    ),
    signals=(*SONNET1_LSTM.signals, *(Signal(f"{gate}_norm", "inner") for gate in "ifgo")),
)
