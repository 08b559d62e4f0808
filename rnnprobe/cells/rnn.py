"""The basic recurrent cell: h' = (1 - leaky)·h + leaky·φ(x·W + h·U + b), where leaky is 1 but in an echo state network.

In an independently recurrent network each unit has one weight for its own h, and U is a row or a vector u; with layer
norm, h' = φ(norm(x·W + h·U) + b).

TensorFlow 1 `BasicRNNCell` (`rnn_cell_impl.py`), `contrib.rnn.IndRNNCell` (`rnn_cell.py`), Keras `SimpleRNN`
(`recurrent.py`), TensorFlow Addons `ESNCell` (`rnn/esn_cell.py`) and `LayerNormSimpleRNNCell`
(`rnn/layer_norm_simple_rnn_cell.py`); cells.md, sections 1, 4, 9.3 and 10.1. The IndRNN published for Keras
(https://github.com/titu1994/Keras-IndRNN, `ind_rnn.py`) clips u when it runs, and stores it unclipped: what counts is
clip(u, min, max); where min is not 0, clip(sign(u)·max(|u|, |min|), min, max).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.norms import layer_norm
from rnnprobe.cells.options import ACTIVATION, RECURRENT_CLIP_MAX, RECURRENT_CLIP_MIN
from rnnprobe.cells.storage import bias, kernels, stacked
from rnnprobe.types import Cell, Option, OptionValue, Part, Signal, Weight, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., units]`; with layer norm x·W alone."""
    z = xp.matmul(x, w["kernel"])
    if "norm_gamma" not in w:
        for part in ("bias", "recurrent_bias"):
            if part in w:
                z = z + w[part]
    return z


def recurrent(xp: Xp, h: Any, kernel: Any) -> Any:
    """h·U, `[batch, k · units]`; a row `[1, k · units]` or a vector holds each unit's weights for its own h."""
    if len(kernel.shape) == 1:
        return h * kernel
    if kernel.shape[0] > 1:
        return xp.matmul(h, kernel)
    return xp.concatenate([h] * (kernel.shape[-1] // h.shape[-1])) * kernel


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, units]` and h `[batch, units]`."""
    kernel = w["recurrent_kernel"]
    if options.get("recurrent_clip_max") is not None:
        kernel = _clipped(xp, kernel, _number(options["recurrent_clip_min"]), _number(options["recurrent_clip_max"]))
    h_pre = z + recurrent(xp, state["h"], kernel)
    if "norm_gamma" in w:
        h_pre = layer_norm(xp, h_pre, w["norm_gamma"], w.get("bias"), _number(options["epsilon"]))
    h = activate(xp, options["activation"], h_pre)
    if "leaky" in options:
        leaky = _number(options["leaky"])
        h = (1.0 - leaky) * state["h"] + leaky * h
    return {"h": h, "h_pre": h_pre}


def _clipped(xp: Xp, u: Any, low: float, high: float) -> Any:
    """The weights `[units]` that an IndRNN goes by; a lowest one keeps them from 0, on either side of it."""
    if low:
        size = xp.maximum(xp.abs(u), abs(low))
        u = xp.where(u > 0, size, xp.where(u < 0, -size, u))
    return xp.clip(u, low, high)


def _number(value: OptionValue) -> float:
    assert isinstance(value, int | float)
    return value


_SIGNALS = (Signal("h", "state"), Signal("h_pre", "pre"))

BASIC_RNN = Cell(
    name="basic_rnn",
    title="BasicRNN",
    framework="tf1",
    scopes=("basic_rnn_cell", "BasicRNNCell"),
    classes=("BasicRNNCell",),
    weights=(
        stacked("kernel", ("kernel", "weights", "Linear/Matrix"), ()),
        bias("bias", ("bias", "biases", "Linear/Bias"), ()),
    ),
    gates=(),
    spelled=(),
    order=(),
    signals=_SIGNALS,
    options=(ACTIVATION,),
    project=project,
    step=step,
)
"""Of cuDNN's tanh and relu layers too, whose saved weights go by its names."""

KERAS_SIMPLE_RNN = replace(
    BASIC_RNN,
    name="keras_simple_rnn",
    title="Keras SimpleRNN",
    framework="keras",
    scopes=("simple_rnn_cell",),
    classes=("SimpleRNN", "SimpleRNNCell"),
    weights=(*kernels(()), bias("bias", ("bias", "b"), (), optional=True)),
)

IND_RNN = replace(
    BASIC_RNN,
    name="ind_rnn",
    title="IndRNN",
    scopes=("ind_rnn_cell",),
    classes=("IndRNNCell",),
    weights=(
        Weight("kernel", ("kernel_w",), ("input_size", "units"), (Part("kernel", "input_size"),)),
        Weight("recurrent_kernel", ("kernel_u",), ("1", "units"), (Part("recurrent_kernel", "1"),)),
        bias("bias", ("bias",), ()),
    ),
)

KERAS_IND_RNN = replace(
    IND_RNN,
    name="keras_ind_rnn",
    title="IndRNN for Keras",
    framework="published",
    scopes=("ind_rnn", "ind_rnn_cell"),
    classes=("IndRNN", "IndRNNCell"),
    weights=(
        Weight("kernel", ("input_kernel",), ("input_size", "units"), (Part("kernel", "input_size"),)),
        Weight("recurrent_kernel", ("recurrent_kernel",), ("units",), (Part("recurrent_kernel", "units"),)),
        bias("bias", ("bias",), (), optional=True),
    ),
    options=(replace(ACTIVATION, default="relu"), RECURRENT_CLIP_MIN, RECURRENT_CLIP_MAX),
)
"""Up to 1, the greatest weight of a cell of its own; a layer that knows its steps has 2^(1/steps)."""

ADDONS_ESN = replace(
    KERAS_SIMPLE_RNN,
    name="addons_esn",
    title="Addons ESN",
    framework="addons",
    scopes=("esn_cell",),
    classes=("ESN", "ESNCell"),
    options=(ACTIVATION, Option("leaky", 1.0, help="The share of the new h; the rest stays as it was.")),
)
"""Its matrices are never trained; `spectral_radius` and `connectivity` only tell how they were drawn."""

ADDONS_LAYER_NORM_SIMPLE_RNN = replace(
    KERAS_SIMPLE_RNN,
    name="addons_layer_norm_simple_rnn",
    title="Addons LayerNormSimpleRNN",
    framework="addons",
    scopes=("layer_norm_simple_rnn_cell",),
    classes=("LayerNormSimpleRNN", "LayerNormSimpleRNNCell"),
    weights=(
        *KERAS_SIMPLE_RNN.weights,
        Weight("norm_gamma", ("layernorm/gamma", "gamma"), ("units",), (Part("norm_gamma", "units"),)),
    ),
    options=(ACTIVATION, Option("epsilon", 1e-5, help="Added to the variance where a layer norm divides by it.")),
)
