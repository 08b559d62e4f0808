"""LSTMs with pruned weights: the kernel is multiplied by a mask of its shape that is stored beside it.

`contrib/model_pruning/python/layers/rnn_cells.py`, TensorFlow 1.5 and later; cells.md, section 4. The threshold decided
in training which weights the mask lets through; it takes no part in a step. With a projection, whose width the mask's
shape does not know, MaskedLSTMCell can't be made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import BASIC_LSTM, LSTM, SIGNALS, TF1_GATES
from rnnprobe.cells.options import PROJ_CLIP
from rnnprobe.cells.storage import columns
from rnnprobe.types import Cell, Part, Weight


def prepare(w: dict[str, Any]) -> dict[str, Any]:
    """The kernels with their masks applied."""
    return {part: a * w[f"{part}_mask"] if f"{part}_mask" in w else a for part, a in w.items()}


def _masked(cell: Cell, scope: str, name: str) -> Cell:
    mask = Weight(
        "mask",
        ("mask",),
        ("input_size + units", columns(TF1_GATES)),
        (Part("kernel_mask", "input_size", TF1_GATES), Part("recurrent_kernel_mask", "units", TF1_GATES)),
    )
    threshold = Weight("threshold", ("threshold",), (), ())
    return replace(
        cell,
        name=f"masked_{cell.name}",
        title=f"Masked{cell.title}",
        scopes=(scope,),
        classes=(name,),
        weights=(*(weight for weight in cell.weights if weight.role != "projection"), mask, threshold),
        signals=SIGNALS,
        options=tuple(option for option in cell.options if option != PROJ_CLIP),
        prepare=prepare,
    )


MASKED_BASIC_LSTM = _masked(BASIC_LSTM, "masked_basic_lstm_cell", "MaskedBasicLSTMCell")
MASKED_LSTM = _masked(LSTM, "masked_lstm_cell", "MaskedLSTMCell")
