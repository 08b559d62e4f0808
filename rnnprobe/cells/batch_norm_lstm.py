"""The LSTM of Sonnet 1 with batch normalisation, as it runs at inference.

What is normalised is what h or x bring to the gates, or c on its way to h, each where its statistics are stored:

    [i, g, f, o] = norm_x(x·W) + norm_h(h·U) + b        h' = o·tanh(norm_c(c')·(1 + p_o))
    norm(a) = γ·(a - mean) / √(variance + ε) + β        β of c alone

with the moving mean and variance that training left. Where the first steps have statistics of their own
(`max_unique_stats`), step t takes those of number t, and all steps beyond the last of them take these; the number of
the step is a state. Otherwise as `rnnprobe.cells.sonnet1`.

dm-sonnet 1.36, `BatchNormLSTM` in `python/modules/gated_rnn.py`; Cooijmans et al. 2016; cells.md, section 10.2. The
norms are modules of their own, whose variables lie beside the core's (`rnnprobe.recover.beside`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.cells.lstm import TF1_GATES, gated
from rnnprobe.cells.sonnet1 import SONNET1_LSTM, entering, starts
from rnnprobe.cells.storage import columns
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

EPSILON = 1e-3
"""Of Sonnet's `BatchNorm`."""

_WIDTH = columns(TF1_GATES)
FURTHER_STATISTICS = "further_statistics"
"""The size that says how many steps after the first have statistics of their own."""


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """x·W, `[..., 4 · units]`, gates i, f, g, o; its norm, which may be another at each step, comes after."""
    return xp.matmul(x, w["kernel"])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 4 · units]`, c and h `[batch, units]` and, where there is one, count `[batch]`."""
    before = entering(xp, state, options)
    shares = {"x": z, "h": xp.matmul(before["h"], w["recurrent_kernel"])}
    signals: dict[str, Any] = {}
    for name, a in shares.items():
        if f"scale_{name}" in w:
            shares[name] = _at(xp, w, f"scale_{name}", state) * a + _at(xp, w, f"shift_{name}", state)
            blocks = xp.split(shares[name], 4)
            signals |= {f"{gate}_{name}_norm": block for gate, block in zip("ifgo", blocks, strict=True)}
    if "scale_c" in w:
        w = {**w, **{f"c_{part}": _at(xp, w, f"{part}_c", state) for part in ("scale", "shift")}}
    made = gated(xp, w, shares["h"] + shares["x"] + w["bias"], before, options) | signals
    return {**made, "count": state["count"] + 1.0} if "count" in state else made


def _at(xp: Xp, w: Mapping[str, Any], part: str, state: Mapping[str, Any]) -> Any:
    """The row of `[statistics, width]` that a step takes, `[batch, width]`; `[1, width]` where there is one."""
    if "count" not in state:
        return w[part]
    numbers = w["numbers"]
    number = xp.minimum(state["count"], numbers.shape[0] - 1.0)[..., None]
    return xp.matmul(xp.maximum(1.0 - xp.abs(number - numbers), 0.0), w[part])


def prepare(w: dict[str, Any]) -> dict[str, Any]:
    """Each norm as a·scale + shift, `[statistics, width]`, in place of its statistics, its gain and its shift."""
    made = {part: a for part, a in w.items() if not part.startswith(("gamma_", "beta_", "mean_", "variance_"))}
    for name in "xhc":
        if f"gamma_{name}" in w:
            scale = w[f"gamma_{name}"] / np.sqrt(w[f"variance_{name}"][:, 0] + w["bias"].dtype.type(EPSILON))
            made[f"scale_{name}"] = scale
            made[f"shift_{name}"] = w.get(f"beta_{name}", 0) - scale * w[f"mean_{name}"][:, 0]
            made["numbers"] = np.arange(len(scale), dtype=scale.dtype)
    return made


def _norm(name: str, gates: tuple[str, ...], count: str, *, optional: bool) -> tuple[Weight, ...]:
    """What is stored of one norm."""
    width = columns(gates) if gates else "units"
    vectors = ("gamma", "beta") if name == "c" else ("gamma",)
    return (
        *(
            Weight(
                f"{part}_{name}",
                (f"{part}_{name}",),
                (width,),
                (Part(f"{part}_{name}", width, gates),),
                optional,
                joint=f"mean_{name}",
            )
            for part in vectors
        ),
        *(
            Weight(
                f"{part}_{name}",
                (f"batch_norm_{name}/batch_norm#/moving_{part}",),
                (count, "1", width),
                (Part(f"{part}_{name}", "1", gates),),
                optional,
                joint=f"gamma_{name}",
            )
            for part in ("mean", "variance")
        ),
    )


def _core(first: str, title: str, *, several: bool) -> Cell:
    """A core of which x, h or c is normalised for certain, and which of the norms it may have besides.

    Args:
        first: of h, x and c the first that is.
        title: what the reports call it.
        several: the first steps have statistics of their own.
    """
    kernel, bias, *rest = SONNET1_LSTM.weights
    kernels = (
        Weight("kernel", ("w_gates_X",), ("input_size", _WIDTH), (Part("kernel", "input_size", TF1_GATES),)),
        Weight("recurrent_kernel", ("w_gates_H",), ("units", _WIDTH), (Part("recurrent_kernel", "units", TF1_GATES),)),
    )
    joined = replace(kernel, shape=("input_size + units", _WIDTH), parts=(kernel.parts[0], kernels[1].parts[0]))
    count = f"1 + {FURTHER_STATISTICS}" if several else "1"
    norms = "hxc"["hxc".index(first) :]
    hidden, *others = (signal for signal in SONNET1_LSTM.signals if not signal.needs)
    return replace(
        SONNET1_LSTM,
        name=f"sonnet1_batch_norm_lstm_{first}{'_steps' if several else ''}",
        title=f"Sonnet 1 BatchNormLSTM{title}{', max_unique_stats above 1' if several else ''}",
        scopes=("batch_norm_lstm",),
        classes=("BatchNormLSTM",),
        weights=(
            *((joined,) if first == "c" else kernels),
            bias,
            *(weight for weight in rest if weight.role.startswith("peephole")),
            *(
                weight
                for name in norms
                for weight in _norm(name, () if name == "c" else TF1_GATES, count, optional=name != first)
            ),
            *starts({"h": "0", "c": "1"}),
        ),
        signals=(
            replace(hidden, size="units"),
            others[0],
            *((Signal("count", "state", ""),) if several else ()),
            *others[1:],
            *(
                Signal(f"{gate}_{name}_norm", "inner", needs=f"gamma_{name}")
                for name in norms
                if name != "c"
                for gate in "ifgo"
            ),
            Signal("c_norm", "inner", needs="gamma_c"),
            Signal("c_peeped", "inner", needs="peephole_o"),
        ),
        project=project,
        step=step,
        prepare=prepare,
    )


_NORMS = {"h": "", "x": ", use_batch_norm_h=False", "c": ", use_batch_norm_c=True alone"}
SONNET1_BATCH_NORM_LSTMS = tuple(
    _core(first, title, several=several) for several in (False, True) for first, title in _NORMS.items()
)
