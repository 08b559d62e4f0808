"""The cores of Sonnet 2, and of Sonnet 1 those of the GRU and basic recurrent families, as Sonnet stores them.

LSTM    gates i, f, g, o; the forget bias is in b from the start, and nothing is added when it runs
GRU     gates z, r, n; h' = (1 - z)·h + z·n, so that z lets the new in, where TensorFlow's and Keras's keeps the old
Vanilla h' = φ(x·W + h·U + b)

dm-sonnet 2.0.2, `recurrent.py`, whose weights are named after the attributes that hold them; dm-sonnet 1.36,
`gated_rnn.py` and `basic_rnn.py` under `python/modules`, whose variables lie below the core's own name (its LSTM is
`rnnprobe.cells.sonnet1`); cells.md, section 10.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells import gru
from rnnprobe.cells.gru import KERAS_GRU
from rnnprobe.cells.lstm import KERAS_LSTM, LSTM
from rnnprobe.cells.options import ACTIVATION, RESET, SIGMOID, TANH
from rnnprobe.cells.rnn import KERAS_SIMPLE_RNN
from rnnprobe.cells.sonnet1 import start, starts
from rnnprobe.cells.storage import bias, columns
from rnnprobe.types import OptionValue, Part, Weight, Xp

_LSTM_GATES = ("i", "f", "g", "o")
_GRU_GATES = ("z", "r", "n")


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step of the GRU from z `[batch, 3 · units]` and h `[batch, units]`."""
    signals = gru.step(xp, w, z, state, options)
    update = signals["z"]
    return {**signals, "h": (1.0 - update) * state["h"] + update * signals["n"]}


def _kernels(gates: tuple[str, ...], names: tuple[str, str], output: str = "units") -> tuple[Weight, Weight]:
    """The matrices that meet the input and h; `output` is the formula of h's width."""
    return (
        Weight("kernel", (names[0],), ("input_size", columns(gates)), (Part("kernel", "input_size", gates),)),
        Weight("recurrent_kernel", (names[1],), (output, columns(gates)), (Part("recurrent_kernel", output, gates),)),
    )


def _part(role: str, name: str, part: str, rows: str, gate: str) -> Weight:
    """A matrix of a single gate."""
    return Weight(role, (name,), (rows, "units"), (Part(part, rows, (gate,)),))


SONNET_LSTM = replace(
    LSTM,
    name="sonnet_lstm",
    title="Sonnet LSTM",
    framework="sonnet",
    scopes=("lstm", "unrolled_lstm"),
    classes=("LSTM", "UnrolledLSTM"),
    weights=(
        *_kernels(_LSTM_GATES, ("_w_i", "_w_h"), "output_size"),
        bias("bias", ("b",), _LSTM_GATES),
        Weight("projection", ("projection",), ("units", "output_size"), (Part("projection", "units"),), optional=True),
    ),
    gates=KERAS_LSTM.gates,
    spelled=("i", "f", "g", "o"),
    options=(TANH, SIGMOID),
)

SONNET_GRU = replace(
    KERAS_GRU,
    name="sonnet_gru",
    title="Sonnet GRU",
    framework="sonnet",
    scopes=("gru",),
    classes=("GRU",),
    weights=(*_kernels(_GRU_GATES, ("_w_i", "_w_h")), bias("bias", ("b",), _GRU_GATES)),
    gates=_GRU_GATES,
    spelled=("z", "r", "a"),
    options=(TANH, SIGMOID, replace(RESET, choices=("before",))),
    step=step,
)

SONNET_VANILLA_RNN = replace(
    KERAS_SIMPLE_RNN,
    name="sonnet_vanilla_rnn",
    title="Sonnet VanillaRNN",
    framework="sonnet",
    scopes=("vanilla_rnn",),
    classes=("VanillaRNN",),
    weights=(*_kernels((), ("_input_to_hidden/w", "_hidden_to_hidden/w")), bias("bias", ("_b",), ())),
    options=(ACTIVATION,),
)

_SONNET1_GRU_GATES = ("z", "r", "n")

SONNET1_GRU = replace(
    SONNET_GRU,
    name="sonnet1_gru",
    title="Sonnet 1 GRU",
    weights=(
        *(
            weight
            for gate, letter in zip(_SONNET1_GRU_GATES, "zrh", strict=True)
            for weight in (
                _part(f"kernel_{gate}", f"w{letter}", "kernel", "input_size", gate),
                _part(f"recurrent_kernel_{gate}", f"u{letter}", "recurrent_kernel", "units", gate),
                Weight(f"bias_{gate}", (f"b{letter}",), ("units",), (Part("bias", "units", (gate,)),)),
            )
        ),
        *starts({"h": "0"}),
    ),
    spelled=("z", "r", "h"),
    start=start,
)

SONNET1_VANILLA_RNN = replace(
    SONNET_VANILLA_RNN,
    name="sonnet1_vanilla_rnn",
    title="Sonnet 1 VanillaRNN",
    weights=(
        *_kernels((), ("in_to_hidden/w", "hidden_to_hidden/w")),
        bias("bias", ("in_to_hidden/b",), ()),
        Weight("recurrent_bias", ("hidden_to_hidden/b",), ("units",), (Part("recurrent_bias", "units"),)),
        *starts({"h": "0"}),
    ),
    start=start,
)
