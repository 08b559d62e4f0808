"""TensorFlow 1: `tf.compat.v1.nn.rnn_cell`, and contrib's cuDNN-compatible GRU, which resets after the product.

Names, order and shapes are those of the registered cells. The forget bias is an argument of the cell, and stays one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.analysis.layouts.forms import Form, form_of
from rnnprobe.analysis.layouts.module import Layout, Levels, Written
from rnnprobe.analysis.layouts.plain import Plain
from rnnprobe.analysis.layouts.stored import pack
from rnnprobe.cells.gru import CUDNN_GRU, GRU
from rnnprobe.cells.lstm import LSTM
from rnnprobe.cells.rnn import BASIC_RNN
from rnnprobe.types import Cell


def _cell(layer: Plain) -> tuple[Cell, str]:
    if layer.family == "lstm":
        return LSTM, "tf.nn.rnn_cell.LSTMCell"
    if layer.family == "rnn":
        return BASIC_RNN, "tf.nn.rnn_cell.BasicRNNCell"
    if layer.setting("reset") == "after":
        return CUDNN_GRU, "tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell"
    return GRU, "tf.nn.rnn_cell.GRUCell"


def _form(layer: Plain) -> Form:
    return form_of(*_cell(layer))


def _write(levels: Levels) -> Written:
    ((layer,),) = levels
    cell, title = _cell(layer.plain)
    turned = layer.plain.layer.direction == "backward"
    notes = ("it runs backward: as the cell_bw of bidirectional_dynamic_rnn",) if turned else ()
    return Written(title, _arguments(layer.plain, cell), pack(cell, layer), notes)


def _arguments(layer: Plain, cell: Cell) -> Mapping[str, Any]:
    arguments: dict[str, Any] = {"num_units": layer.units}
    if layer.family == "lstm":
        forget = layer.setting("forget_bias") or 0.0
        arguments |= {"use_peepholes": True} if "peephole" in layer.parts else {}
        arguments |= {"num_proj": layer.output_size} if "projection" in layer.parts else {}
        for clip in ("cell_clip", "proj_clip"):
            arguments |= {clip: layer.setting(clip)} if layer.setting(clip) is not None else {}
        arguments["forget_bias"] = forget
    chosen = len(next((option.choices for option in cell.options if option.name == "activation"), ())) > 1
    return {**arguments, "activation": layer.setting("activation")} if chosen else arguments


TF1 = Layout("tf1", "TensorFlow 1", _form, "layer", _write)
