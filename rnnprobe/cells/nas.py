"""NASCell: the recurrent cell that Zoph and Le (2017) found by architecture search.

Of x·W and h·U (with a bias, where there is one, on h·U alone), eight blocks a0 … a7 of units are combined two by two:

    a0 = σ(x + h)     a1 = relu(x + h)     a2 = σ(x + h)        a3 = relu(x·h)
    a4 = tanh(x + h)  a5 = σ(x + h)        a6 = tanh(x + h)     a7 = σ(x + h)
    l0 = tanh(a0·a1)  l1 = tanh(a2 + a3)   l2 = tanh(a4·a5)     l3 = σ(a6 + a7)
    c' = l1·tanh(l0 + c)                   h' = tanh(c'·tanh(l2 + l3)), projected where the cell says so

The gates have no names of their own; they go by their places. `contrib/rnn/python/ops/rnn_cell.py`, TensorFlow 1.1 and
later; cells.md, section 4; TensorFlow Addons `rnn/nas_cell.py`; section 10.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import SIGMOID, TANH
from rnnprobe.cells.storage import bias, columns, projection
from rnnprobe.types import Cell, Option, OptionValue, Part, Signal, Weight, Xp

_GATES = tuple(f"a{k}" for k in range(8))
_RELU = Option("rectifier", "relu", ("relu",), "NAS: activation of a1 and a3.")
_FIXED = (SIGMOID, _RELU, SIGMOID, _RELU, TANH, SIGMOID, TANH, SIGMOID)
_INNER = tuple(f"l{k}" for k in range(4))


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W, `[..., 8 · units]`."""
    return xp.matmul(x, w["kernel"])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 8 · units]`, c `[batch, units]` and h `[batch, output_size]`."""
    recurrent = xp.matmul(state["h"], w["recurrent_kernel"])
    if "bias" in w:
        recurrent = recurrent + w["bias"]
    pairs = zip(xp.split(z, 8), xp.split(recurrent, 8), strict=True)
    pre = [x * h if k == 3 else x + h for k, (x, h) in enumerate(pairs)]
    a = [activate(xp, options[fixed.name], one) for fixed, one in zip(_FIXED, pre, strict=True)]
    inner = (xp.tanh(a[0] * a[1]), xp.tanh(a[2] + a[3]), xp.tanh(a[4] * a[5]), xp.sigmoid(a[6] + a[7]))
    c = xp.tanh(inner[0] + state["c"]) * inner[1]
    h = xp.tanh(c * xp.tanh(inner[2] + inner[3]))
    signals = dict(zip(_GATES, a, strict=True)) | dict(zip(_INNER, inner, strict=True))
    signals |= {f"{gate}_pre": one for gate, one in zip(_GATES, pre, strict=True)}
    if "projection" in w:
        signals["h_unprojected"] = h
        h = xp.matmul(h, w["projection"])
    return {"c": c, "h": h, **signals}


NAS = Cell(
    name="nas",
    title="NAS",
    framework="tf1",
    scopes=("nas_cell", "nas_rnn"),
    classes=("NASCell",),
    weights=(
        # What TensorFlow 1.1 calls `weights` is the input's.
        Weight(
            "kernel", ("kernel", "weights"), ("input_size", columns(_GATES)), (Part("kernel", "input_size", _GATES),)
        ),
        Weight(
            "recurrent_kernel",
            ("recurrent_kernel", "recurrent_weights"),
            ("output_size", columns(_GATES)),
            (Part("recurrent_kernel", "output_size", _GATES),),
        ),
        bias("bias", ("bias",), _GATES, optional=True),
        projection("projection_weights"),
    ),
    gates=_GATES,
    spelled=tuple("01234567"),
    order=(_GATES,),
    signals=(
        Signal("c", "state"),
        Signal("h", "state", "output_size"),
        *(Signal(gate, "gate", activation=fixed.name) for gate, fixed in zip(_GATES, _FIXED, strict=True)),
        *(Signal(f"{gate}_pre", "pre") for gate in _GATES),
        *(Signal(name, "inner") for name in _INNER),
        Signal("h_unprojected", "inner", needs="projection"),
    ),
    options=(TANH, SIGMOID, _RELU),
    project=project,
    step=step,
)
