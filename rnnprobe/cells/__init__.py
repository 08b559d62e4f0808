"""The recurrent cells: one file a family, holding its stored layouts as tables and its equations.

`CELLS` is the registry. A cell is a `rnnprobe.types.Cell`; to add one, write it in its family's file (a new family is
one new file) and name it here. Being named is being tested: the suites are parametrised over this tuple, and one of
them asserts that each cell has a golden made by the genuine framework.
"""

from __future__ import annotations

from rnnprobe.cells.addons import ADDONS_LAYER_NORM_LSTM, ADDONS_PEEPHOLE_LSTM
from rnnprobe.cells.batch_norm_lstm import SONNET1_BATCH_NORM_LSTMS
from rnnprobe.cells.block_lstm import CUDNN_COMPATIBLE_LSTM, LSTM_BLOCK, LSTM_BLOCK_WRAPPER, LSTM_FUSED
from rnnprobe.cells.conv_lstm import CONV_LSTMS
from rnnprobe.cells.glstm import GLSTM, GLSTM_SHARED
from rnnprobe.cells.grid_lstm import GRID_LSTMS, TIME_FREQ_LSTM
from rnnprobe.cells.grid_rnn import GRID_RNNS
from rnnprobe.cells.gru import (
    CUDNN_GRU,
    GRU,
    GRU_BLOCK,
    INDY_GRU,
    KERAS1_GRU,
    KERAS_CUDNN_GRU,
    KERAS_GRU,
    KERAS_GRU_RESET_AFTER,
)
from rnnprobe.cells.highway_core import SONNET1_HIGHWAY
from rnnprobe.cells.indy_lstm import INDY_LSTM
from rnnprobe.cells.janet import JANET
from rnnprobe.cells.lstm import BASIC_LSTM, KERAS1_LSTM, KERAS_CUDNN_LSTM, KERAS_LSTM, LSTM
from rnnprobe.cells.magenta import (
    MAGENTA_HYPER_LSTM,
    MAGENTA_HYPER_LSTM_PLAIN,
    MAGENTA_LAYER_NORM_LSTM,
    MAGENTA_LSTM,
)
from rnnprobe.cells.masked_lstm import MASKED_BASIC_LSTM, MASKED_LSTM
from rnnprobe.cells.minimal import CFN, MINIMAL_RNN
from rnnprobe.cells.nas import NAS
from rnnprobe.cells.norm_lstm import (
    CIFG,
    CIFG_LAYER_NORM,
    LAYER_NORM_BASIC_LSTM,
    LAYER_NORM_BASIC_LSTM_OFF,
    LAYER_NORM_LSTM,
    LAYER_NORM_LSTM_OFF,
    WEIGHT_NORM_LSTM,
)
from rnnprobe.cells.phased_lstm import PHASED_LSTM, PHASED_LSTM_PEEPHOLES
from rnnprobe.cells.rnn import (
    ADDONS_ESN,
    ADDONS_LAYER_NORM_SIMPLE_RNN,
    BASIC_RNN,
    IND_RNN,
    KERAS_IND_RNN,
    KERAS_SIMPLE_RNN,
)
from rnnprobe.cells.sonnet import (
    SONNET1_GRU,
    SONNET1_VANILLA_RNN,
    SONNET_GRU,
    SONNET_LSTM,
    SONNET_VANILLA_RNN,
)
from rnnprobe.cells.sonnet1 import SONNET1_LAYER_NORM_LSTM, SONNET1_LSTM
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.cells.sru import SRU
from rnnprobe.cells.ugrnn import INTERSECTION_RNN, INTERSECTION_RNN_PROJECTED, UGRNN
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
    LSTM_BLOCK,
    LSTM_BLOCK_WRAPPER,
    LSTM_FUSED,
    CUDNN_COMPATIBLE_LSTM,
    LAYER_NORM_BASIC_LSTM,
    LAYER_NORM_BASIC_LSTM_OFF,
    LAYER_NORM_LSTM,
    LAYER_NORM_LSTM_OFF,
    CIFG_LAYER_NORM,
    CIFG,
    WEIGHT_NORM_LSTM,
    MASKED_BASIC_LSTM,
    MASKED_LSTM,
    INDY_LSTM,
    NAS,
    PHASED_LSTM,
    PHASED_LSTM_PEEPHOLES,
    GLSTM,
    GLSTM_SHARED,
    *GRID_RNNS,
    TIME_FREQ_LSTM,
    *GRID_LSTMS,
    SONNET1_LAYER_NORM_LSTM,
    SONNET1_LSTM,
    *SONNET1_BATCH_NORM_LSTMS,
    *SONNET1_CONV_LSTMS,
    MAGENTA_HYPER_LSTM,
    MAGENTA_HYPER_LSTM_PLAIN,
    MAGENTA_LAYER_NORM_LSTM,
    MAGENTA_LSTM,
    ADDONS_PEEPHOLE_LSTM,
    ADDONS_LAYER_NORM_LSTM,
    GRU_BLOCK,
    CUDNN_GRU,
    INDY_GRU,
    UGRNN,
    INTERSECTION_RNN_PROJECTED,
    INTERSECTION_RNN,
    SRU,
    MINIMAL_RNN,
    CFN,
    IND_RNN,
    SONNET1_GRU,
    SONNET1_VANILLA_RNN,
    SONNET1_HIGHWAY,
    ADDONS_LAYER_NORM_SIMPLE_RNN,
    ADDONS_ESN,
    JANET,
    KERAS_IND_RNN,
)
