"""A cell that attends to a memory (TensorFlow 1 `contrib.seq2seq.AttentionWrapper`).

The memory m `[S, memory_size]`, an encoder's outputs, zeros past its own length, is there as a whole before the first
step, and its keys k = m·W_m are computed once (`Cell.attend`). At each step

    o = what the cell inside emits, given [x, a]; a is the attention of the step before, zeros at first
    score = Σ v·tanh(k + o·W_q)              Bahdanau et al. 2014; normalised: g·v/‖v‖ for v, and + b within tanh
          = Σ k·o, or g times that           Luong et al. 2015
    α = softmax over S of the score, which is -∞ past the memory's length
    context = Σ α·m
    a' = [o, context]·W_a, or the context itself

and a', or o, is passed on. Monotonic mechanisms (Raffel et al. 2017) add a bias to the score and let α go on from the α
of the step before, which begins as all at the first place:

    p = σ(score);  q = the product of 1 - p over the places before;  α' = p·q·(the running sum of α/q)
    hard: p = 1 where the score is above 0, else 0;  p' = p·(the running sum of α);  α' = p'·(the product of 1 - p')

Noise that training adds to a score is left out. `contrib/seq2seq/python/ops/attention_wrapper.py`; cells.md, section
6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnprobe.cells.options import MONOTONIC
from rnnprobe.cells.wrappers import buried, emitted_size, inside, renamed
from rnnprobe.types import Array, Cell, OptionValue, Part, Signal, Weight, Xp

MEMORY_STEPS = "memory_steps"
"""The size of `Layer.sizes` that the memory's longest sequence decides; 0 until that is known."""

TOP_SIZE = "top_size"
"""The width of o, where a wrapper lies around several cells and this is the lowest of them."""

_TINY = float(np.finfo(np.float32).tiny)
_SMALL = 1e-10


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How scores come about.

    Attributes:
        name: its scope below the wrapper's.
        title: of its class.
        additive: after Bahdanau, with a query layer; else after Luong.
        monotonic: alignments go on from those of the step before.
    """

    name: str
    title: str
    additive: bool
    monotonic: bool

    def weights(self, emitted: str) -> tuple[Weight, ...]:
        """The tensors in its scope; `emitted` is the width of what the cell inside emits."""

        def own(leaf: str, shape: tuple[str, ...], rows: str = "1", *, optional: bool = False) -> Weight:
            role = leaf.removesuffix("/kernel")
            role = role if role.startswith("attention") else f"attention_{role}"
            return Weight(role, (f"{self.name}/{leaf}",), shape, (Part(role, rows),), optional)

        found = []
        if self.additive:
            found.append(own("query_layer/kernel", (emitted, "key_size"), emitted))
            found.append(own("attention_v", ("key_size",), "key_size"))
            found.append(own("attention_b", ("key_size",), "key_size", optional=True))
        found.append(own("attention_g", (), optional=True))
        if self.monotonic:
            found.append(own("attention_score_bias", ()))
        return tuple(found)


MECHANISMS = (
    Mechanism("bahdanau_attention", "BahdanauAttention", additive=True, monotonic=False),
    Mechanism("bahdanau_monotonic_attention", "BahdanauMonotonicAttention", additive=True, monotonic=True),
    Mechanism("luong_monotonic_attention", "LuongMonotonicAttention", additive=False, monotonic=True),
    Mechanism("luong_attention", "LuongAttention", additive=False, monotonic=False),
)
"""The one that may have no tensor of its own comes last."""


def attention_wrapper(mechanism: Mechanism, *, mixed: bool, emitted: str = "") -> Callable[[Cell], Cell]:
    """What puts a cell into an AttentionWrapper.

    Args:
        mechanism: how it attends.
        mixed: it has an attention layer, W_a; else the attention is the context.
        emitted: the width of o, where another cell than this one emits it.
    """
    return lambda cell: _wrapped(cell, mechanism, mixed=mixed, emitted=emitted)


def emitting(cell: Cell, *, attention: bool) -> Cell:
    """A cell in an AttentionWrapper that passes on the attention, or what the cell inside emits."""
    assert cell.wraps is not None
    return replace(cell, emits="attention" if attention else cell.wraps.emits)


def _wrapped(cell: Cell, mechanism: Mechanism, *, mixed: bool, emitted: str) -> Cell:
    cell = inside(cell)
    emitted = emitted or emitted_size(cell)
    width = "attention_size" if mixed else "memory_size"
    inner = renamed(buried(cell, "attention", "alignments", "context"), "input_size", "joined_size")

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        return x

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        entering = cell.project(xp, w, xp.concatenate([z, state["attention"]]), options)
        signals = cell.step(xp, w, entering, state, options)
        o = signals[cell.emits]
        scores = _scores(xp, w, o, additive=mechanism.additive)
        if mechanism.monotonic:
            alignments = _monotonic(xp, scores, state["alignments"], hard=options[MONOTONIC.name] == "hard")
        else:
            raised = xp.exp(scores - xp.max(scores))
            alignments = raised / xp.sum(raised)
        context = xp.sum(w["values"] * alignments[:, None])[..., 0]
        attention = context
        if mixed:
            attention = xp.matmul(o, w["attention_layer"]) + xp.matmul(context, w["attention_layer_context"])
        return {**signals, "attention": attention, "alignments": alignments, "context": context}

    states = tuple(signal for signal in inner.signals if signal.kind == "state")
    others = tuple(signal for signal in inner.signals if signal.kind != "state")
    alignments = Signal("alignments", "state" if mechanism.monotonic else "inner", MEMORY_STEPS)
    relations = (*inner.relations, ("joined_size", f"input_size + {width}"))
    return replace(
        inner,
        title=f"{cell.title} in AttentionWrapper ({mechanism.title})",
        weights=(*inner.weights, *_weights(mechanism, emitted, mixed=mixed)),
        signals=(
            *states,
            Signal("attention", "state", width),
            *([alignments] if mechanism.monotonic else []),
            *others,
            *([] if mechanism.monotonic else [alignments]),
            Signal("context", "inner", "memory_size"),
        ),
        options=(*cell.options, MONOTONIC) if mechanism.monotonic else cell.options,
        project=project,
        step=step,
        attend=_attend,
        relations=relations if mechanism.additive else (*relations, ("key_size", emitted)),
        emits="attention",
        wraps=cell,
        start=_starting(cell) if mechanism.monotonic else cell.start,
    )


def _weights(mechanism: Mechanism, emitted: str, *, mixed: bool) -> tuple[Weight, ...]:
    """The wrapper's own, below its scope; the memory layer's lie where its mechanism was made."""
    parts: tuple[Part, ...] = (Part("memory_layer", "memory_size"),)
    found = [
        Weight("memory_layer", ("memory_layer/kernel",), ("memory_size", "key_size"), parts),
        *mechanism.weights(emitted),
    ]
    if mixed:
        parts = (Part("attention_layer", emitted), Part("attention_layer_context", "memory_size"))
        shape = (f"{emitted} + memory_size", "attention_size")
        found.append(Weight("attention_layer", ("attention_layer/kernel",), shape, parts))
    return tuple(found)


def _attend(xp: Xp, w: Mapping[str, Any], memory: Any, reached: Any) -> dict[str, Any]:
    """The keys, with all that is done to them or to v at every step alike; the values with their places last."""
    keys = xp.matmul(memory, w["memory_layer"])
    found = {"values": xp.moveaxis(memory, -1, -2), "reached": reached}
    if "attention_v" not in w:
        return {**found, "keys": keys * w["attention_g"] if "attention_g" in w else keys}
    v = w["attention_v"]
    if "attention_g" in w:
        v = w["attention_g"] * v / xp.sqrt(xp.sum(v * v))
    return {**found, "keys": keys + w["attention_b"] if "attention_b" in w else keys, "attention_v": v}


def _scores(xp: Xp, w: Mapping[str, Any], o: Any, *, additive: bool) -> Any:
    """`[batch, S]`."""
    if additive:
        query = xp.matmul(o, w["attention_query_layer"])
        found = xp.sum(w["attention_v"] * xp.tanh(w["keys"] + query[:, None]))[..., 0]
    else:
        found = xp.sum(w["keys"] * o[:, None])[..., 0]
    if "attention_score_bias" in w:
        found = found + w["attention_score_bias"]
    # No score is near this; -∞ itself would make NaN of a memory without a step.
    return xp.where(w["reached"], found, found * 0.0 - 1e30)


def _monotonic(xp: Xp, scores: Any, before: Any, *, hard: bool) -> Any:
    """The alignments after those of the step before, `[batch, S]`."""
    if hard:
        chosen = xp.where(scores > 0.0, scores * 0.0 + 1.0, scores * 0.0) * xp.cumsum(before)
        return chosen * _before(xp, 1.0 - chosen)
    p = xp.sigmoid(scores)
    left = _before(xp, 1.0 - p)
    return p * left * xp.cumsum(before / xp.clip(left, _SMALL, 1.0))


def _before(xp: Xp, shares: Any) -> Any:
    """The product of the shares at all places before each, as TensorFlow computes it: over their logarithms."""
    logs = xp.log(xp.clip(shares, _TINY, 1.0))
    return xp.exp(xp.cumsum(xp.concatenate([logs[..., :1] * 0.0, logs[..., :-1]])))


def _starting(cell: Cell) -> Callable[[Mapping[str, Any], Mapping[str, tuple[int, ...]]], dict[str, Array]]:
    """`Cell.start`: the alignments all at the first place, beside what the cell inside says."""

    def start(w: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        first = np.zeros(shapes["alignments"], w["memory_layer"].dtype)
        first[:1] = 1.0
        return {**(cell.start(w, shapes) if cell.start is not None else {}), "alignments": first}

    return start
