"""The options that cells share. A cell with another default says so with `dataclasses.replace`."""

from __future__ import annotations

from dataclasses import replace

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.types import Option

ACTIVATION = Option("activation", "tanh", tuple(ACTIVATIONS), "Activation of the candidate, and of c on its way to h.")
RECURRENT_ACTIVATION = Option("recurrent_activation", "sigmoid", tuple(ACTIVATIONS), "Activation of the other gates.")
TANH = replace(ACTIVATION, choices=("tanh",))
SIGMOID = replace(RECURRENT_ACTIVATION, choices=("sigmoid",))
FORGET_BIAS = Option("forget_bias", 1.0, help="Added to the forget gate at run time (TensorFlow 1 cells).")
CELL_CLIP = Option("cell_clip", None, help="c is clipped to ± this, before h is computed from it.")
PROJ_CLIP = Option("proj_clip", None, help="The projected h is clipped to ± this.", needs="projection")
RESET = Option("reset", "before", ("before", "after"), "GRU: whether r is applied before or after the product.")
STRIDES = Option("strides", 1, help="Of the input's convolution: a number for every axis of space.")
PADDING = Option("padding", "valid", ("valid", "same"), "Of the input's convolution.")
DILATION = Option("dilation_rate", 1, help="Of the input's convolution: a number for every axis of space.")
DATA_FORMAT = Option(
    "data_format",
    "channels_last",
    ("channels_last", "channels_first"),
    "Where a convolutional layer has the channels of what it is given and passes on.",
)
SPATIAL = frozenset({STRIDES.name, DILATION.name})
"""Options that take a number, or one for each axis of space."""
RESIDUAL = Option("residual", False, help="The layer's input is added to what it passes on.")
"""Of a layer rather than a cell: every layer has it."""
INPUT_PROJECTION_ACTIVATION = Option(
    "input_projection_activation", "linear", tuple(ACTIVATIONS), "Of an InputProjectionWrapper."
)
OUTPUT_PROJECTION_ACTIVATION = replace(
    INPUT_PROJECTION_ACTIVATION, name="output_projection_activation", help="Of an OutputProjectionWrapper."
)
ATTN_LENGTH = Option("attn_length", None, help="AttentionCellWrapper: to how many of its last outputs it attends.")
CLIP_VALUE = Option("clip_value", 20.0, help="NTMCell: what its heads are told, and y, are clipped to ± this.")
MONOTONIC = Option("monotonic", "parallel", ("parallel", "hard"), "The mode of a monotonic AttentionWrapper.")
FREQUENCY_WINDOWS = Option(
    "frequency_windows", None, help="TimeFreqLSTMCell, GridLSTMCell: how many windows of features a step has."
)
FREQUENCY_SKIP = Option(
    "frequency_skip", None, help="TimeFreqLSTMCell, GridLSTMCell: how many features further the next window starts."
)
BACKWARD_SLICE_OFFSET = Option(
    "backward_slice_offset", 0, help="BidirectionalGridLSTMCell: how many features later its backward windows start."
)
OUTPUT_ATTENTION = Option("output_attention", True, help="AttentionWrapper: the attention is what is passed on.")
WRAPPING = (INPUT_PROJECTION_ACTIVATION, OUTPUT_PROJECTION_ACTIVATION, ATTN_LENGTH, CLIP_VALUE, MONOTONIC)
"""Of wrapped cells (`rnnprobe.cells.wrappers`)."""
RECURRENT_CLIP_MIN = Option("recurrent_clip_min", 0.0, help="IndRNN: the least weight of a unit for its own h.")
RECURRENT_CLIP_MAX = Option("recurrent_clip_max", 1.0, help="IndRNN: the greatest weight of a unit for its own h.")
BOUNDS = frozenset({RECURRENT_CLIP_MAX.name})
"""Options that `none` turns off, besides those that are off by default."""
COUNTS = frozenset({ATTN_LENGTH.name, FREQUENCY_WINDOWS.name, FREQUENCY_SKIP.name})
"""Options that are a size which the weights don't hold: without it a layer can't be run."""
