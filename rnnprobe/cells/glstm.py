"""GLSTM: an LSTM in groups, each of which sees its own slice of x and of h alone.

    [i, g, f, o] of a group = [x of the group, h of the group]·K of the group

The groups' gates side by side get their bias, and go on as in `rnnprobe.cells.lstm.gated`.
`contrib/rnn/python/ops/rnn_cell.py`, TensorFlow 1.2 and later; Kuchaiev and Ginsburg 2017; cells.md, section 4.
Up to TensorFlow 1.6 a group's slice of x is as wide as its slice of h: what x has beyond the width of h is never looked
at, and `input_size` is without it. From 1.4 to 1.6 there is one kernel, which all groups share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.lstm import LSTM, SIGNALS, TF1_GATES, UNPROJECTED, gated
from rnnprobe.cells.options import ACTIVATION, FORGET_BIAS, SIGMOID
from rnnprobe.cells.storage import projection
from rnnprobe.types import OptionValue, Part, Weight, Xp


def _products(xp: Xp, a: Any, kernels: Any, groups: int) -> Any:
    """Each group's slice of a `[..., width]` by its kernel, `[..., 4 · units]`: gates i, f, g, o of all groups."""
    kernels = [kernels[k if kernels.shape[0] > 1 else 0] for k in range(groups)]
    found = [xp.split(xp.matmul(one, k), 4) for one, k in zip(xp.split(a, groups), kernels, strict=True)]
    return xp.concatenate([gates[k] for k in range(4) for gates in found])


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W + b, `[..., 4 · units]`, gates i, f, g, o."""
    return _products(xp, x, w["kernel"], _groups(w)) + w["bias"]


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c `[batch, units]` and h `[batch, output_size]`."""
    total = z + _products(xp, state["h"], w["recurrent_kernel"], _groups(w))
    return gated(xp, w, total, state, options)


def _groups(w: Mapping[str, Any]) -> int:
    return int(w["bias"].shape[-1]) // int(w["kernel"].shape[-1])


_KERNEL = Weight(
    "kernel",
    ("group#/kernel",),
    ("groups", "group_input + group_output", "4 * group_units"),
    (Part("kernel", "group_input", TF1_GATES), Part("recurrent_kernel", "group_output", TF1_GATES)),
)

GLSTM = replace(
    LSTM,
    name="glstm",
    title="GLSTM",
    scopes=("glstm_cell",),
    classes=("GLSTMCell",),
    weights=(
        _KERNEL,
        *(
            Weight(f"bias_{gate}", (f"bias_{letter}",), ("units",), (Part("bias", "units", (gate,)),))
            for gate, letter in zip(TF1_GATES, "ijfo", strict=True)
        ),
        projection("projection/kernel"),
    ),
    signals=(*SIGNALS, UNPROJECTED),
    options=(FORGET_BIAS, ACTIVATION, SIGMOID),
    project=project,
    step=step,
    relations=(
        ("units", "groups * group_units"),
        ("input_size", "groups * group_input"),
        ("output_size", "groups * group_output"),
    ),
)

GLSTM_SHARED = replace(
    GLSTM,
    name="glstm_shared",
    title="GLSTM, one kernel for all groups",
    weights=(replace(_KERNEL, shape=("1", *_KERNEL.shape[1:])), *GLSTM.weights[1:]),
)
