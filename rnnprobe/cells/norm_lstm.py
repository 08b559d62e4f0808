"""LSTMs of TensorFlow's contrib with normalised gates, a coupled input gate, or normalised weights.

    LayerNormBasicLSTMCell           f = ψ(norm(x·W_f + h·U_f) + forget_bias), i, g, o alike; c' = norm(f·c + i·g)
    LayerNormLSTMCell                the same with peepholes, clips and a projection; c' is clipped after its norm
    CoupledInputForgetGateLSTMCell   i = 1 - f; with norms or without
    WeightNormLSTMCell               W and U are divided by the lengths of their columns, times a gain a column

Where a gate is normalised no bias is added: that of LayerNormLSTMCell and CoupledInputForgetGateLSTMCell is stored all
the same and takes no part. What is normalised of c is the state itself. `contrib/rnn/python/ops/rnn_cell.py`; cells.md,
section 4. The equations are `rnnprobe.cells.lstm.gated`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.cells.lstm import BASIC_LSTM, LSTM, SIGNALS, TF1_GATES, UNPROJECTED
from rnnprobe.cells.options import ACTIVATION, FORGET_BIAS, PROJ_CLIP, SIGMOID
from rnnprobe.cells.storage import bias, columns, norms, peepholes, projection, stacked
from rnnprobe.types import Part, Signal, Weight

_CIFG_GATES = ("g", "f", "o")
_KERNEL = ("kernel", "weights", "linear/weights")


def _signals(gates: str) -> tuple[Signal, ...]:
    """What the norms of these gates and of c see and give."""
    return (*(Signal(f"{gate}_norm", "inner") for gate in gates), Signal("c_unnormed", "inner"))


def _unused(name: str, gates: tuple[str, ...]) -> Weight:
    """A bias that is stored, and that nothing adds."""
    return Weight("unused_bias", (name,), (columns(gates),), (Part("unused_bias", columns(gates), gates),))


LAYER_NORM_BASIC_LSTM = replace(
    BASIC_LSTM,
    name="layer_norm_basic_lstm",
    title="LayerNormBasicLSTM",
    scopes=("layer_norm_basic_lstm_cell", "LayerNormBasicLSTMCell"),
    classes=("LayerNormBasicLSTMCell",),
    weights=(stacked("kernel", _KERNEL, TF1_GATES), *norms(TF1_GATES)),
    signals=(*SIGNALS, *_signals("ifgo")),
)

LAYER_NORM_BASIC_LSTM_OFF = replace(
    LAYER_NORM_BASIC_LSTM,
    name="layer_norm_basic_lstm_off",
    title="LayerNormBasicLSTM, layer_norm=False",
    weights=(stacked("kernel", _KERNEL, TF1_GATES), bias("bias", ("bias", "biases", "linear/b"), TF1_GATES)),
    signals=SIGNALS,
)

LAYER_NORM_LSTM_OFF = replace(
    LSTM,
    name="layer_norm_lstm_off",
    title="LayerNormLSTM, layer_norm=False",
    scopes=("layer_norm_lstm_cell",),
    classes=("LayerNormLSTMCell",),
)

LAYER_NORM_LSTM = replace(
    LAYER_NORM_LSTM_OFF,
    name="layer_norm_lstm",
    title="LayerNormLSTM",
    weights=(
        stacked("kernel", ("kernel",), TF1_GATES, "output_size"),
        _unused("bias", TF1_GATES),
        *peepholes("ifo"),
        *norms(TF1_GATES),
        projection(),
    ),
    signals=(*SIGNALS, UNPROJECTED, *_signals("ifgo")),
)

CIFG = replace(
    BASIC_LSTM,
    name="cifg",
    title="CoupledInputForgetGateLSTM",
    scopes=("coupled_input_forget_gate_lstm_cell", "CoupledInputForgetGateLSTMCell"),
    classes=("CoupledInputForgetGateLSTMCell",),
    weights=(
        stacked("kernel", ("W_0",), _CIFG_GATES, "output_size"),
        bias("bias", ("B",), _CIFG_GATES),
        *peepholes("fo"),
        projection(),
    ),
    gates=_CIFG_GATES,
    spelled=("j", "f", "o"),
    order=(("f", "g", "o"),),
    signals=(*(signal for signal in SIGNALS if signal.name != "i_pre"), UNPROJECTED),
    options=(FORGET_BIAS, ACTIVATION, SIGMOID, PROJ_CLIP),
)

CIFG_LAYER_NORM = replace(
    CIFG,
    name="cifg_layer_norm",
    title="CoupledInputForgetGateLSTM, layer_norm=True",
    weights=(
        stacked("kernel", ("W_0",), _CIFG_GATES, "output_size"),
        _unused("B", _CIFG_GATES),
        *peepholes("fo"),
        *norms(_CIFG_GATES),
        projection(),
    ),
    signals=(*CIFG.signals, *_signals("fgo")),
)


def _scaled(matrix: Any, gain: Any) -> Any:
    """Each column `[rows]` of a matrix with the length that its gain says; `[rows, columns]`, `[columns]`."""
    return matrix / np.sqrt(np.maximum(np.sum(matrix * matrix, axis=0), 1e-12)) * gain


def prepare(w: dict[str, Any]) -> dict[str, Any]:
    """The kernels with their columns scaled by their gains."""
    return {part: _scaled(a, w[f"{part}_gain"]) if f"{part}_gain" in w else a for part, a in w.items()}


_WIDTH = columns(TF1_GATES)

WEIGHT_NORM_LSTM = replace(
    LSTM,
    name="weight_norm_lstm",
    title="WeightNormLSTM",
    scopes=("wn_lstm_cell",),
    classes=("WeightNormLSTMCell",),
    weights=(
        stacked("kernel", ("kernel",), TF1_GATES, "output_size"),
        bias("bias", ("bias",), TF1_GATES),
        Weight("kernel_gain", ("norm_0",), (_WIDTH,), (Part("kernel_gain", _WIDTH, TF1_GATES),)),
        Weight("recurrent_gain", ("norm_1",), (_WIDTH,), (Part("recurrent_kernel_gain", _WIDTH, TF1_GATES),)),
        *peepholes("ifo"),
        projection("projection/kernel"),
        Weight(
            "projection_gain",
            ("projection/norm_0",),
            ("output_size",),
            (Part("projection_gain", "output_size"),),
            optional=True,
        ),
    ),
    prepare=prepare,
)
