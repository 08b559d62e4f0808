"""Layer normalisation over the units of a step: (a - mean)·γ / √(var + ε) + β, the variance biased.

Ba et al. 2016; `contrib.layers.layer_norm` of TensorFlow 1 and what else frameworks have in its place. They differ in
ε, which each family states.
"""

from __future__ import annotations

from typing import Any

from rnnprobe.types import Xp


def layer_norm(xp: Xp, a: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """`[..., n]` normalised along its last axis; `gamma` and `beta` are `[n]`, `beta` may be None."""
    width = float(a.shape[-1])
    centred = a - xp.sum(a) / width
    spread = xp.sqrt(xp.sum(centred * centred) / width + epsilon)
    normed = centred / spread * gamma
    return normed if beta is None else normed + beta
