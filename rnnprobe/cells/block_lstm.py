"""The LSTMs that TensorFlow computes with one op for a step, or for all steps, and cuDNN's as TensorFlow stores them.

Their equations are those of `rnnprobe.cells.lstm`; i, ci, f, o is their word for the order i, g, f, o. Up to
TensorFlow 1.3 they clip c to ±3 unless told otherwise, later they don't (`contrib/rnn/python/ops/lstm_ops.py`;
cells.md, section 2). From TensorFlow 1.0 on LSTMBlockCell's names are those of LSTMCell, and only a graph tells them
apart; here are the names that no other cell has.

CudnnCompatibleLSTMCell, and the weights that contrib's CudnnLSTM saves beside its opaque buffer, have no forget bias
(`contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py`; section 3): the buffer itself, `opaque_kernel`, is laid out as the
cuDNN of its day wanted it, and is none of a cell's weights.
"""

from __future__ import annotations

from dataclasses import replace

from rnnprobe.cells.lstm import BASIC_LSTM, LSTM, SIGNALS, TF1_GATES
from rnnprobe.cells.options import CELL_CLIP, FORGET_BIAS, SIGMOID, TANH
from rnnprobe.cells.storage import bias, peepholes, stacked
from rnnprobe.types import Part, Weight

_BLOCK_CLIP = replace(CELL_CLIP, default=3.0)

LSTM_BLOCK = replace(
    LSTM,
    name="lstm_block",
    title="LSTMBlock",
    scopes=("LSTMBlockCell",),
    classes=("LSTMBlockCell",),
    weights=(
        stacked("kernel", ("W",), TF1_GATES),
        bias("bias", ("b",), TF1_GATES),
        *(
            Weight(f"peephole_{gate}", (f"wc{gate}",), ("units",), (Part("peephole", "units", (gate,)),), optional=True)
            for gate in "ifo"
        ),
    ),
    spelled=("i", "ci", "f", "o"),
    signals=SIGNALS,
    options=(FORGET_BIAS, TANH, SIGMOID, _BLOCK_CLIP),
)

LSTM_BLOCK_WRAPPER = replace(
    LSTM_BLOCK,
    name="lstm_block_wrapper",
    title="LSTMBlockFused",
    # Up to TensorFlow 1.4, the only one of these that does not clip.
    scopes=("lstm_block_wrapper", "LSTMBlockFusedCell"),
    classes=("LSTMBlockFusedCell",),
    weights=(
        stacked("kernel", ("kernel", "weights", "W_0"), TF1_GATES),
        bias("bias", ("bias", "biases", "B"), TF1_GATES),
        *peepholes("ifo"),
    ),
)

LSTM_FUSED = replace(
    LSTM_BLOCK_WRAPPER,
    name="lstm_fused",
    scopes=("lstm_fused_cell",),
    options=(FORGET_BIAS, TANH, SIGMOID, CELL_CLIP),
)

CUDNN_COMPATIBLE_LSTM = replace(
    BASIC_LSTM,
    name="cudnn_compatible_lstm",
    title="CudnnCompatibleLSTM",
    scopes=("cudnn_compatible_lstm_cell",),
    classes=("CudnnCompatibleLSTMCell", "CudnnLSTM"),
    options=(replace(FORGET_BIAS, default=0.0), TANH, SIGMOID),
)
