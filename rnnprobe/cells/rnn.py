"""The basic recurrent cell: h' = φ(x·W + h·U + b).

TensorFlow 1 `BasicRNNCell` (`rnn_cell_impl.py`) and Keras `SimpleRNN` (`recurrent.py`); cells.md, sections 1 and 9.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import ACTIVATION
from rnnprobe.cells.storage import bias, kernels, stacked
from rnnprobe.types import Cell, OptionValue, Signal, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., units]`."""
    z = xp.matmul(x, w["kernel"])
    return z + w["bias"] if "bias" in w else z


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, units]` and h `[batch, units]`."""
    h_pre = z + xp.matmul(state["h"], w["recurrent_kernel"])
    return {"h": activate(xp, options["activation"], h_pre), "h_pre": h_pre}


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

KERAS_SIMPLE_RNN = Cell(
    name="keras_simple_rnn",
    title="Keras SimpleRNN",
    framework="keras",
    scopes=("simple_rnn_cell",),
    classes=("SimpleRNN", "SimpleRNNCell"),
    weights=(*kernels(()), bias("bias", ("bias", "b"), (), optional=True)),
    gates=(),
    spelled=(),
    order=(),
    signals=_SIGNALS,
    options=(ACTIVATION,),
    project=project,
    step=step,
)
