"""The recurrent cells: one file a family, holding its stored layouts as tables and its equations.

`CELLS` is the registry. A cell is a `rnnprobe.types.Cell`; to add one, write it in its family's file (a new family is
one new file) and name it here. Being named is being tested: the suites are parametrised over this tuple, and one of
them asserts that each cell has a golden made by the genuine framework.
"""

from __future__ import annotations

from rnnprobe.cells.conv_lstm import CONV_LSTMS
from rnnprobe.cells.gru import GRU, KERAS1_GRU, KERAS_CUDNN_GRU, KERAS_GRU, KERAS_GRU_RESET_AFTER
from rnnprobe.cells.lstm import BASIC_LSTM, KERAS1_LSTM, KERAS_CUDNN_LSTM, KERAS_LSTM, LSTM
from rnnprobe.cells.rnn import BASIC_RNN, KERAS_SIMPLE_RNN
from rnnprobe.cells.sonnet import SONNET_GRU, SONNET_LSTM, SONNET_VANILLA_RNN
from rnnprobe.types import Cell

CELLS: tuple[Cell, ...] = (
    BASIC_RNN,
    BASIC_LSTM,
    LSTM,
    GRU,
    KERAS_SIMPLE_RNN,
    KERAS_LSTM,
    KERAS1_LSTM,
    KERAS_CUDNN_LSTM,
    KERAS_GRU,
    KERAS_GRU_RESET_AFTER,
    KERAS1_GRU,
    KERAS_CUDNN_GRU,
    SONNET_VANILLA_RNN,
    SONNET_LSTM,
    SONNET_GRU,
    *CONV_LSTMS,
)
