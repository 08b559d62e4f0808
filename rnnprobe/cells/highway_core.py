"""A recurrent highway network: each step goes through several layers, all of which see the state, the first x as well.

    t = σ(s·W_t + b_t)        n = tanh(s·W_n + b_n)        s' = (1 - t)·s + t·n        layer after layer; of the first
    t = σ(x·V_t + s·W_t + b_t) and likewise n; h is the last s'.

Zilly et al. 2017, with 1 - t as the carry gate. dm-sonnet 1.36, `HighwayCore` in `python/modules/gated_rnn.py`;
cells.md, section 10.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnprobe.cells.sonnet1 import start, starts
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

_WORDS = {"t": "transform", "n": "candidate"}


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """The input's share of the first layer, `[..., 2 · units]`: of t, of n."""
    return xp.concatenate([xp.matmul(x, w["transform_kernel"]), xp.matmul(x, w["candidate_kernel"])])


def step(
    xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
) -> dict[str, Any]:
    """One step from z `[batch, 2 · units]` and h `[batch, units]`."""
    s = state["h"]
    seen: dict[str, list[Any]] = {name: [] for name in ("t", "n", "t_pre", "n_pre", "s")}
    entering = dict(zip("tn", xp.split(z, 2), strict=True))
    for depth in range(w["transform_recurrent"].shape[0]):
        pre = {
            gate: xp.matmul(s, w[f"{word}_recurrent"][depth]) + w[f"{word}_shift"][depth]
            for gate, word in _WORDS.items()
        }
        if depth == 0:
            pre = {gate: a + entering[gate] for gate, a in pre.items()}
        t, n = xp.sigmoid(pre["t"]), xp.tanh(pre["n"])
        s = s * (1.0 - t) + n * t
        for name, a in (("t", t), ("n", n), ("t_pre", pre["t"]), ("n_pre", pre["n"]), ("s", s)):
            seen[name].append(a)
    stacked = {
        name: xp.moveaxis(xp.concatenate([a[..., None] for a in arrays]), -1, -2) for name, arrays in seen.items()
    }
    return {"h": s, **stacked}


def _weights(letter: str, word: str) -> tuple[Weight, ...]:
    """What makes one of the gates; those of each layer lie by their numbers."""
    return (
        Weight(f"{word}_kernel", (f"w{letter}",), ("input_size", "units"), (Part(f"{word}_kernel", "input_size"),)),
        Weight(
            f"{word}_recurrent", (f"w{letter}#",), ("depth", "units", "units"), (Part(f"{word}_recurrent", "units"),)
        ),
        Weight(f"{word}_shift", (f"b{letter}#",), ("depth", "units"), (Part(f"{word}_shift", "depth"),)),
    )


SONNET1_HIGHWAY = Cell(
    name="sonnet1_highway",
    title="Sonnet 1 HighwayCore",
    framework="sonnet",
    scopes=("highwaycore",),
    classes=("HighwayCore",),
    weights=(*_weights("t", "transform"), *_weights("h", "candidate"), *starts({"h": "0"})),
    gates=(),
    spelled=(),
    order=(),
    signals=(
        Signal("h", "state"),
        *(Signal(name, "inner", "depth, units") for name in ("t", "n", "t_pre", "n_pre", "s")),
    ),
    options=(),
    project=project,
    step=step,
    start=start,
)
