"""The convolutional LSTM family: the LSTM's equations, its products with W and U being convolutions.

    i = ψ(x∗W_i + h∗U_i + b_i)        f = ψ(x∗W_f + h∗U_f + b_f + forget_bias)
    g = φ(x∗W_g + h∗U_g + b_g)        c' = f·c + i·g
    o = ψ(x∗W_o + h∗U_o + b_o)        h' = o·φ(c')

Of a step `[batch, *space, input_size]`, states are `[batch, *space', units]`. The input's convolution has the layer's
strides, padding and dilation, which make space' of space; that of h is padded to keep its extent and has neither, but
Sonnet 1 dilates it as well (`rnnprobe.cells.sonnet1_conv_lstm`).

Keras `ConvLSTM1D/2D/3D` (`convolutional_recurrent.py`, `conv_lstm.py`), TensorFlow 1.4 and later
`contrib.rnn.Conv1D/2D/3DLSTMCell` (`contrib/rnn/python/ops/rnn_cell.py`), Sonnet 2 `Conv1D/2D/3DLSTM`
(`recurrent.py`); cells.md, sections 4, 9.3 and 10.2. Xingjian et al. 2015, without their peepholes, which none has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import BASIC_LSTM, gated
from rnnprobe.cells.options import (
    ACTIVATION,
    DATA_FORMAT,
    DILATION,
    FORGET_BIAS,
    PADDING,
    RECURRENT_ACTIVATION,
    SIGMOID,
    STRIDES,
    TANH,
)
from rnnprobe.cells.storage import bias, columns
from rnnprobe.errors import BadInput
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

EXTENTS = {
    1: ("kernel_width",),
    2: ("kernel_height", "kernel_width"),
    3: ("kernel_depth", "kernel_height", "kernel_width"),
}
"""The axes of space → the symbols of the kernels' extents in it."""


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x∗W + b, `[..., *space', 4 · units]`, of x `[..., *space, input_size]`, its axes in the layer's data format."""
    axes = len(w["kernel"].shape) - 2
    if options.get("data_format") == "channels_first":
        x = xp.moveaxis(x, -axes - 1, -1)
    z = xp.convolve(
        x,
        w["kernel"],
        each(options, "strides", axes),
        str(options.get("padding", "same")),
        each(options, "dilation_rate", axes),
    )
    for part in ("bias", "recurrent_bias"):
        if part in w:
            z = z + w[part]
    return z


def keeping(xp: Xp, a: Any, kernel: Any, dilation: tuple[int, ...] | None = None) -> Any:
    """A convolution that keeps the extent."""
    ones = (1,) * (len(kernel.shape) - 2)
    return xp.convolve(a, kernel, ones, "same", dilation or ones)


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, *space', 4 · units]`, c and h `[batch, *space', units]`."""
    return gated(xp, w, z + keeping(xp, state["h"], w["recurrent_kernel"]), state, options)


def space(shape: tuple[int, ...], sizes: Mapping[str, int], options: Mapping[str, OptionValue]) -> tuple[int, ...]:
    """The extent of the states for input steps of `shape`, in the layer's data format.

    Raises:
        BadInput: the steps are smaller than the kernel, or an option is no such number as it should be.
    """
    axes = len(shape) - 1
    extent = shape[1:] if options.get("data_format") == "channels_first" else shape[:-1]
    strides, dilation = each(options, "strides", axes), each(options, "dilation_rate", axes)
    if max(strides) > 1 and max(dilation) > 1:
        raise BadInput(
            f"strides are {times(strides)} and dilation_rate is {times(dilation)}; Keras has one of them or the other"
        )
    if options.get("padding", "same") == "valid":
        reach = [(sizes[name] - 1) * d + 1 for name, d in zip(EXTENTS[axes], dilation, strict=True)]
        if any(r > n for r, n in zip(reach, extent, strict=True)):
            raise BadInput(
                f"steps of {times(extent)} are smaller than the kernel, which spans {times(reach)} without padding"
            )
        extent = tuple(n - r + 1 for r, n in zip(reach, extent, strict=True))
    return tuple(-(-n // s) for n, s in zip(extent, strides, strict=True))


def each(options: Mapping[str, OptionValue], name: str, axes: int) -> tuple[int, ...]:
    """An option's number for each axis of space.

    Raises:
        BadInput: it is something else.
    """
    value = options.get(name, 1)
    numbers = value if isinstance(value, tuple) else (value,) * axes
    whole = [int(n) for n in numbers if isinstance(n, int | float) and float(n).is_integer() and n >= 1]
    if len(whole) != axes or len(numbers) != axes:
        raise BadInput(f"{name} is {value}, expected a positive whole number, or one for each of {axes} axes")
    return tuple(whole)


def times(extent: tuple[int, ...] | list[int]) -> str:
    return " × ".join(map(str, extent))


def kernel(role: str, names: tuple[str, ...], axes: int, rows: str, gates: tuple[str, ...]) -> Weight:
    """One kernel, of the same name as its part but for the gate's letter."""
    part = "recurrent_kernel" if role.startswith("recurrent") else "kernel"
    return Weight(role, names, (*EXTENTS[axes], rows, columns(gates)), (Part(part, rows, gates),))


_SIGNALS = tuple(Signal(signal.name, signal.kind, activation=signal.activation) for signal in BASIC_LSTM.signals)
_TF1_GATES = ("i", "g", "f", "o")
_KERAS_GATES = ("i", "f", "g", "o")
_KERAS1_GATES = ("i", "g", "f", "o")
_SONNET_GATES = ("i", "f", "g", "o")


def _contrib(axes: int) -> Cell:
    """TensorFlow 1's: one kernel for input and h together."""
    rows = (Part("kernel", "input_size", _TF1_GATES), Part("recurrent_kernel", "units", _TF1_GATES))
    shape = (*EXTENTS[axes], "input_size + units", columns(_TF1_GATES))
    return replace(
        BASIC_LSTM,
        name=f"conv_lstm_{axes}d",
        title=f"Conv{axes}DLSTM",
        # Up to TensorFlow 1.6, one name for all of them.
        scopes=(f"conv_{axes}d_lstm_cell", "conv_lstm_cell"),
        classes=(f"Conv{axes}DLSTMCell", "ConvLSTMCell"),
        # Without biases its lone kernel is that of any convolution, and its scope or a graph has to tell.
        weights=(Weight("kernel", ("kernel",), shape, rows), bias("bias", ("biases",), _TF1_GATES, optional=True)),
        signals=_SIGNALS,
        options=(FORGET_BIAS, TANH, SIGMOID),
        project=project,
        step=step,
        space=space,
    )


def _keras(axes: int) -> Cell:
    """Keras's, of Keras 2 and later."""
    return replace(
        BASIC_LSTM,
        name=f"keras_conv_lstm_{axes}d",
        title=f"Keras ConvLSTM{axes}D",
        framework="keras",
        scopes=("conv_lstm_cell",),
        classes=(f"ConvLSTM{axes}D", f"ConvLSTM{axes}DCell", "ConvLSTMCell"),
        weights=(
            kernel("kernel", ("kernel",), axes, "input_size", _KERAS_GATES),
            kernel("recurrent_kernel", ("recurrent_kernel",), axes, "units", _KERAS_GATES),
            bias("bias", ("bias",), _KERAS_GATES, optional=True),
        ),
        gates=_KERAS_GATES,
        spelled=("i", "f", "c", "o"),
        signals=_SIGNALS,
        options=(
            ACTIVATION,
            # That of Keras 3 is sigmoid, that of every release before it hard_sigmoid.
            replace(RECURRENT_ACTIVATION, default="hard_sigmoid"),
            STRIDES,
            PADDING,
            DILATION,
            DATA_FORMAT,
        ),
        project=project,
        step=step,
        space=space,
    )


def _sonnet(axes: int) -> Cell:
    """Sonnet's; the forget bias is in b from the start."""
    return replace(
        _keras(axes),
        name=f"sonnet_conv_lstm_{axes}d",
        title=f"Sonnet Conv{axes}DLSTM",
        framework="sonnet",
        scopes=(f"conv{axes}_dlstm",),
        classes=(f"Conv{axes}DLSTM",),
        weights=(
            kernel("kernel", ("_input_to_hidden/w",), axes, "input_size", _SONNET_GATES),
            kernel("recurrent_kernel", ("_hidden_to_hidden/w",), axes, "units", _SONNET_GATES),
            bias("bias", ("b",), _SONNET_GATES),
        ),
        gates=_SONNET_GATES,
        spelled=("i", "f", "g", "o"),
        options=(TANH, SIGMOID, DATA_FORMAT),
    )


CONV_LSTM_1D, CONV_LSTM_2D, CONV_LSTM_3D = (_contrib(axes) for axes in EXTENTS)
KERAS_CONV_LSTM_1D, KERAS_CONV_LSTM_2D, KERAS_CONV_LSTM_3D = (_keras(axes) for axes in EXTENTS)
SONNET_CONV_LSTM_1D, SONNET_CONV_LSTM_2D, SONNET_CONV_LSTM_3D = (_sonnet(axes) for axes in EXTENTS)

KERAS1_CONV_LSTM_2D = replace(
    KERAS_CONV_LSTM_2D,
    name="keras1_conv_lstm_2d",
    title="Keras 1 ConvLSTM2D, an array a gate",
    scopes=(),
    classes=("ConvLSTM2D",),
    weights=tuple(
        weight
        for gate, letter in zip(_KERAS1_GATES, "icfo", strict=True)
        for weight in (
            kernel(f"kernel_{gate}", (f"W_{letter}",), 2, "input_size", (gate,)),
            kernel(f"recurrent_kernel_{gate}", (f"U_{letter}",), 2, "units", (gate,)),
            Weight(f"bias_{gate}", (f"b_{letter}",), ("units",), (Part("bias", "units", (gate,)),)),
        )
    ),
    gates=_KERAS1_GATES,
    spelled=("i", "c", "f", "o"),
    options=tuple(option for option in KERAS_CONV_LSTM_2D.options if option is not DILATION),
)

CONV_LSTMS = (
    CONV_LSTM_1D,
    CONV_LSTM_2D,
    CONV_LSTM_3D,
    KERAS_CONV_LSTM_1D,
    KERAS_CONV_LSTM_2D,
    KERAS_CONV_LSTM_3D,
    KERAS1_CONV_LSTM_2D,
    SONNET_CONV_LSTM_1D,
    SONNET_CONV_LSTM_2D,
    SONNET_CONV_LSTM_3D,
)
