"""The simple recurrent unit (Lei et al. 2017): nothing but c comes back, and no product waits for it.

    f = σ(x·W_f + b_f)      g = x·W_g           c' = f·c + (1 - f)·g
    r = σ(x·W_r + b_r)      skip = x·W_skip     h  = r·φ(c') + (1 - r)·skip

TensorFlow 1.6 and later, contrib `SRUCell` (`contrib/rnn/python/ops/rnn_cell.py`; its x̃ is g); cells.md, section 4.
What it emits, h, is no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.activations import activate
from rnnprobe.cells.options import ACTIVATION, SIGMOID
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """Everything but what c takes part in, `[..., 4 · units]`: g, the gates f and r before their activation, skip."""
    g, f_pre, r_pre, skip = xp.split(xp.matmul(x, w["kernel"]), 4)
    b_f, b_r = xp.split(w["bias"], 2)
    return xp.concatenate([g, f_pre + b_f, r_pre + b_r, skip])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]` and c `[batch, units]`."""
    g, f_pre, r_pre, skip = xp.split(z, 4)
    f, r = xp.sigmoid(f_pre), xp.sigmoid(r_pre)
    c = f * state["c"] + (1.0 - f) * g
    h = r * activate(xp, options["activation"], c) + (1.0 - r) * skip
    return {"c": c, "h": h, "f": f, "r": r, "f_pre": f_pre, "r_pre": r_pre, "g": g, "skip": skip}


_BLOCKS = ("g", "f", "r", "skip")

SRU = Cell(
    name="sru",
    title="SRU",
    framework="tf1",
    scopes=("sru_cell",),
    classes=("SRUCell",),
    weights=(
        Weight("kernel", ("kernel",), ("input_size", "4 * units"), (Part("kernel", "input_size", _BLOCKS),)),
        Weight("bias", ("bias",), ("2 * units",), (Part("bias", "2 * units", ("f", "r")),)),
    ),
    gates=_BLOCKS,
    spelled=("x̃", "f", "r", "x"),
    order=(_BLOCKS,),
    signals=(
        Signal("c", "state"),
        Signal("h", "output"),
        *(Signal(gate, "gate", activation="recurrent_activation") for gate in "fr"),
        *(Signal(f"{gate}_pre", "pre") for gate in "fr"),
        *(Signal(block, "inner") for block in ("g", "skip")),
    ),
    options=(ACTIVATION, SIGMOID),
    project=project,
    step=step,
)
