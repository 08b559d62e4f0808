"""IndyLSTM: an LSTM whose units see of h their own alone, so that U is a vector for each gate and h·U is elementwise.

`contrib/rnn/python/ops/rnn_cell.py`, TensorFlow 1.10 and later; Gonnet and Deselaers 2019; cells.md, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import BASIC_LSTM, TF1_GATES, gated
from rnnprobe.cells.rnn import recurrent
from rnnprobe.cells.storage import bias, columns
from rnnprobe.types import OptionValue, Part, Weight, Xp


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c and h `[batch, units]`; the recurrent kernel is `[1, 4 · units]`."""
    return gated(xp, w, z + recurrent(xp, state["h"], w["recurrent_kernel"]), state, options)


_WIDTH = columns(TF1_GATES)

INDY_LSTM = replace(
    BASIC_LSTM,
    name="indy_lstm",
    title="IndyLSTM",
    scopes=("indy_lstm_cell",),
    classes=("IndyLSTMCell",),
    weights=(
        Weight("kernel", ("kernel_w",), ("input_size", _WIDTH), (Part("kernel", "input_size", TF1_GATES),)),
        Weight("recurrent_kernel", ("kernel_u",), ("1", _WIDTH), (Part("recurrent_kernel", "1", TF1_GATES),)),
        bias("bias", ("bias",), TF1_GATES),
    ),
    step=step,
)
