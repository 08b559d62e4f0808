"""The LSTM-like cells of TensorFlow Addons, which store kernels as Keras does.

PeepholeLSTMCell    as `rnnprobe.cells.lstm`, with its peepholes
LayerNormLSTMCell   norm(x·W) + norm(h·U) + b, each norm over the sums of all gates; c' = norm(f·c + i·g) is the state

tensorflow-addons 0.20, `rnn/peephole_lstm_cell.py`, `layer_norm_lstm_cell.py`; cells.md, section 10.1. No forget bias
is added when they run: it is in b from the start. Addons' NASCell is `rnnprobe.cells.nas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import KERAS_LSTM, SIGNALS, gated
from rnnprobe.cells.norms import layer_norm
from rnnprobe.cells.options import ACTIVATION, RECURRENT_ACTIVATION
from rnnprobe.cells.storage import columns
from rnnprobe.types import Option, OptionValue, Part, Signal, Weight, Xp

_GATES = KERAS_LSTM.gates
_WIDTH = columns(_GATES)
_EPSILON = Option("epsilon", 1e-3, help="Of the norms.")
_STATES_FIRST_H = (SIGNALS[1], SIGNALS[0], *SIGNALS[2:])

ADDONS_PEEPHOLE_LSTM = replace(
    KERAS_LSTM,
    name="addons_peephole_lstm",
    title="Addons PeepholeLSTM",
    framework="addons",
    scopes=("peephole_lstm_cell",),
    classes=("PeepholeLSTMCell",),
    weights=(
        *KERAS_LSTM.weights,
        *(
            Weight(
                f"peephole_{gate}",
                (f"{word}_gate_peephole_weights",),
                ("units",),
                (Part("peephole", "units", (gate,)),),
            )
            for gate, word in (("i", "input"), ("f", "forget"), ("o", "output"))
        ),
    ),
    signals=_STATES_FIRST_H,
)


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """norm(x·W) + b, `[..., 4 · units]`, gates i, f, g, o."""
    epsilon = float(str(options["epsilon"]))
    z = layer_norm(xp, xp.matmul(x, w["kernel"]), w["kernel_gamma"], w["kernel_beta"], epsilon)
    return z + w["bias"] if "bias" in w else z


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c and h `[batch, units]`."""
    epsilon = float(str(options["epsilon"]))
    recurrent = xp.matmul(state["h"], w["recurrent_kernel"])
    total = z + layer_norm(xp, recurrent, w["recurrent_gamma"], w["recurrent_beta"], epsilon)
    return gated(xp, w, total, state, options, epsilon)


def _norm(name: str) -> tuple[Weight, ...]:
    """The gains and shifts of one of the norms over all gates."""
    return tuple(
        Weight(f"{name}_{what}", (f"{name}_norm/{what}",), (_WIDTH,), (Part(f"{name}_{what}", _WIDTH, _GATES),))
        for what in ("gamma", "beta")
    )


ADDONS_LAYER_NORM_LSTM = replace(
    ADDONS_PEEPHOLE_LSTM,
    name="addons_layer_norm_lstm",
    title="Addons LayerNormLSTM",
    scopes=("layer_norm_lstm_cell",),
    classes=("LayerNormLSTMCell",),
    weights=(
        *KERAS_LSTM.weights,
        *_norm("kernel"),
        *_norm("recurrent"),
        *(
            Weight(f"state_{what}", (f"state_norm/{what}",), ("units",), (Part(f"state_{what}", "units"),))
            for what in ("gamma", "beta")
        ),
    ),
    signals=(*_STATES_FIRST_H, Signal("c_unnormed", "inner")),
    options=(ACTIVATION, RECURRENT_ACTIVATION, _EPSILON),
    project=project,
    step=step,
)
