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

Several mechanisms attend to one memory side by side, each with weights, alignments and a context of its own
(`alignments_0`, `alignments_1` …); a' is what they give, joined. TensorFlow 1.1's DynamicAttentionWrapper has a bias in
each of W_m, W_q and W_a, adds a scalar r to a normalised score, and leaves the scores past the memory's length as they
are: what a sequence attends to depends on how far the memory is filled up with zeros.

Noise that training adds to a score is left out. `contrib/seq2seq/python/ops/attention_wrapper.py`,
`dynamic_attention_wrapper.py`; cells.md, section 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
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
        name: its scope below the wrapper's; empty where it has none.
        title: of its class.
        additive: after Bahdanau, with a query layer; else after Luong.
        monotonic: alignments go on from those of the step before.
        dynamic: of TensorFlow 1.1's DynamicAttentionWrapper.
    """

    name: str
    title: str
    additive: bool
    monotonic: bool = False
    dynamic: bool = False

    def weights(self, emitted: str, mark: str = "", scope: str = "") -> tuple[Weight, ...]:
        """The tensors in its scope.

        Args:
            emitted: the width of what the cell inside emits.
            mark: what its roles and sizes have behind them.
            scope: its scope, numbered.
        """
        key_size = f"key_size{mark}"

        def own(leaf: str, shape: tuple[str, ...], rows: str = "1", *, optional: bool = False) -> Weight:
            role = leaf.removesuffix("/kernel").replace("/", "_")
            role = f"{role if role.startswith('attention') else f'attention_{role}'}{mark}"
            return Weight(role, (f"{scope}/{leaf}" if scope else leaf,), shape, (Part(role, rows),), optional)

        found = []
        if self.additive:
            found.append(own("query_layer/kernel", (emitted, key_size), emitted))
            if self.dynamic:
                found.append(own("query_layer/bias", (key_size,), key_size))
            found.append(own("attention_v", (key_size,), key_size))
            found.append(own("attention_b", (key_size,), key_size, optional=True))
        found.append(own("attention_g", (), optional=True))
        if self.monotonic:
            found.append(own("attention_score_bias", ()))
        if self.dynamic:
            found.append(own("attention_r", (), optional=True))
        return tuple(found)


MECHANISMS = (
    Mechanism("bahdanau_attention", "BahdanauAttention", additive=True),
    Mechanism("bahdanau_monotonic_attention", "BahdanauMonotonicAttention", additive=True, monotonic=True),
    Mechanism("luong_monotonic_attention", "LuongMonotonicAttention", additive=False, monotonic=True),
    Mechanism("luong_attention", "LuongAttention", additive=False),
)
"""The one that may have no tensor of its own comes last."""

DYNAMIC = (
    Mechanism("", "BahdanauAttention", additive=True, dynamic=True),
    Mechanism("", "LuongAttention", additive=False, dynamic=True),
)
"""Those of TensorFlow 1.1's DynamicAttentionWrapper, which takes one."""


def marks(count: int) -> list[str]:
    """What the names of each of several mechanisms have behind them."""
    return [""] if count == 1 else [f"_{number}" for number in range(count)]


def mechanisms(roles: Collection[str]) -> tuple[Mechanism, ...]:
    """Those whose weights have these roles."""
    count = max(1, sum(re.fullmatch(r"memory_layer_\d+", role) is not None for role in roles))
    wanted = [
        (f"attention_query_layer{mark}" in roles, f"attention_score_bias{mark}" in roles) for mark in marks(count)
    ]
    known = DYNAMIC if "memory_layer_bias" in roles else MECHANISMS
    return tuple(next(one for one in known if (one.additive, one.monotonic) == pair) for pair in wanted)


def attention_wrapper(*mechanisms: Mechanism, mixed: bool, emitted: str = "") -> Callable[[Cell], Cell]:
    """What puts a cell into an AttentionWrapper.

    Args:
        mechanisms: how it attends; of several, each has an attention of its own, and they lie side by side.
        mixed: it has an attention layer, W_a, for each; else the attention is the context.
        emitted: the width of o, where another cell than this one emits it.
    """
    return lambda cell: _wrapped(cell, mechanisms, mixed=mixed, emitted=emitted)


def emitting(cell: Cell, *, attention: bool) -> Cell:
    """A cell in an AttentionWrapper that passes on the attention, or what the cell inside emits."""
    assert cell.wraps is not None
    return replace(cell, emits="attention" if attention else cell.wraps.emits)


def _wrapped(cell: Cell, mechanisms: Sequence[Mechanism], *, mixed: bool, emitted: str) -> Cell:
    cell = inside(cell)
    emitted = emitted or emitted_size(cell)
    marked = list(zip(mechanisms, marks(len(mechanisms)), strict=True))
    width = " + ".join(f"attention_size{mark}" if mixed else "memory_size" for _, mark in marked)
    taken = [f"{name}{mark}" for _, mark in marked for name in ("alignments", "context")]
    inner = renamed(buried(cell, "attention", *taken), "input_size", "joined_size")

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        return x

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        entering = cell.project(xp, w, xp.concatenate([z, state["attention"]]), options)
        found = cell.step(xp, w, entering, state, options)
        o = found[cell.emits]
        attentions = []
        for mechanism, mark in marked:
            scores = _scores(xp, w, o, mechanism, mark)
            if mechanism.monotonic:
                hard = options[MONOTONIC.name] == "hard"
                alignments = _monotonic(xp, scores, state[f"alignments{mark}"], hard=hard)
            else:
                raised = xp.exp(scores - xp.max(scores))
                alignments = raised / xp.sum(raised)
            context = xp.sum(w["values"] * alignments[:, None])[..., 0]
            attentions.append(_attention(xp, w, o, context, mark) if mixed else context)
            found = {**found, f"alignments{mark}": alignments, f"context{mark}": context}
        return {**found, "attention": attentions[0] if len(attentions) == 1 else xp.concatenate(attentions)}

    states = tuple(signal for signal in inner.signals if signal.kind == "state")
    others = tuple(signal for signal in inner.signals if signal.kind != "state")
    monotonic = any(mechanism.monotonic for mechanism in mechanisms)
    relations = [*inner.relations, ("joined_size", f"input_size + {width}")]
    relations += [(f"key_size{mark}", emitted) for mechanism, mark in marked if not mechanism.additive]
    titles = ", ".join(mechanism.title for mechanism in mechanisms)
    wrapper = "DynamicAttentionWrapper" if mechanisms[0].dynamic else "AttentionWrapper"
    return replace(
        inner,
        title=f"{cell.title} in {wrapper} ({titles})",
        weights=(*inner.weights, *_weights(mechanisms, emitted, mixed=mixed)),
        signals=(
            *states,
            Signal("attention", "state", width),
            *(Signal(f"alignments{mark}", "state", MEMORY_STEPS) for of, mark in marked if of.monotonic),
            *others,
            *(Signal(f"alignments{mark}", "inner", MEMORY_STEPS) for of, mark in marked if not of.monotonic),
            *(Signal(f"context{mark}", "inner", "memory_size") for _, mark in marked),
        ),
        options=(*cell.options, MONOTONIC) if monotonic else cell.options,
        project=project,
        step=step,
        attend=_attending(marked),
        relations=tuple(relations),
        emits="attention",
        wraps=cell,
        start=_starting(cell, [mark for of, mark in marked if of.monotonic]) if monotonic else cell.start,
    )


def _weights(mechanisms: Sequence[Mechanism], emitted: str, *, mixed: bool) -> tuple[Weight, ...]:
    """The wrapper's own, below its scope; the memory layers lie where their mechanisms were made."""
    found = []
    for number, (mechanism, mark) in enumerate(zip(mechanisms, marks(len(mechanisms)), strict=True)):
        same = sum(other.name == mechanism.name for other in mechanisms[:number])
        layer, biased = f"memory_layer{f'_{number}' if number else ''}", mechanism.dynamic
        key_size, width = f"key_size{mark}", f"attention_size{mark}"
        kernel: tuple[Part, ...] = (Part(f"memory_layer{mark}", "memory_size"),)
        found.append(Weight(f"memory_layer{mark}", (f"{layer}/kernel",), ("memory_size", key_size), kernel))
        if biased:
            found.append(_bias(f"memory_layer_bias{mark}", f"{layer}/bias", key_size))
        found += mechanism.weights(emitted, mark, f"{mechanism.name}_{same}" if same else mechanism.name)
        if mixed:
            layer = "dense" if biased else f"attention_layer{f'_{number}' if number else ''}"
            role, shape = f"attention_layer{mark}", (f"{emitted} + memory_size", width)
            kernel = (Part(role, emitted), Part(f"attention_layer_context{mark}", "memory_size"))
            found.append(Weight(role, (f"{layer}/kernel",), shape, kernel))
            if biased:
                found.append(_bias(f"attention_layer_bias{mark}", f"{layer}/bias", width))
    return tuple(found)


def _bias(role: str, name: str, size: str) -> Weight:
    return Weight(role, (name,), (size,), (Part(role, size),))


def _attending(marked: Sequence[tuple[Mechanism, str]]) -> Callable[[Xp, Mapping[str, Any], Any, Any], dict[str, Any]]:
    """`Cell.attend`."""

    def attend(xp: Xp, w: Mapping[str, Any], memory: Any, reached: Any) -> dict[str, Any]:
        """The keys, with all that is done to them or to v at every step alike; the values with their places last."""
        found = {"values": xp.moveaxis(memory, -1, -2), "reached": reached}
        for mechanism, mark in marked:
            keys = xp.matmul(memory, w[f"memory_layer{mark}"])
            keys = keys + w[f"memory_layer_bias{mark}"] if mechanism.dynamic else keys
            g = w.get(f"attention_g{mark}")
            if mechanism.additive:
                v = w[f"attention_v{mark}"]
                found[f"attention_v{mark}"] = v if g is None else g * v / xp.sqrt(xp.sum(v * v))
                keys = keys + w[f"attention_b{mark}"] if f"attention_b{mark}" in w else keys
                keys = keys + w[f"attention_query_layer_bias{mark}"] if mechanism.dynamic else keys
            elif g is not None:
                keys = keys * g
            found[f"keys{mark}"] = keys
        return found

    return attend


def _scores(xp: Xp, w: Mapping[str, Any], o: Any, mechanism: Mechanism, mark: str) -> Any:
    """`[batch, S]`."""
    keys = w[f"keys{mark}"]
    if mechanism.additive:
        query = xp.matmul(o, w[f"attention_query_layer{mark}"])
        found = xp.sum(w[f"attention_v{mark}"] * xp.tanh(keys + query[:, None]))[..., 0]
    else:
        found = xp.sum(keys * o[:, None])[..., 0]
    for bias in (f"attention_score_bias{mark}", f"attention_r{mark}"):
        found = found + w[bias] if bias in w else found
    # No score is near this; -∞ itself would make NaN of a memory without a step.
    return found if mechanism.dynamic else xp.where(w["reached"], found, found * 0.0 - 1e30)


def _attention(xp: Xp, w: Mapping[str, Any], o: Any, context: Any, mark: str) -> Any:
    """`[batch, attention_size]`."""
    found = xp.matmul(o, w[f"attention_layer{mark}"]) + xp.matmul(context, w[f"attention_layer_context{mark}"])
    bias = f"attention_layer_bias{mark}"
    return found + w[bias] if bias in w else found


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


def _starting(
    cell: Cell, monotonic: Sequence[str]
) -> Callable[[Mapping[str, Any], Mapping[str, tuple[int, ...]]], dict[str, Array]]:
    """`Cell.start`: the alignments all at the first place, beside what the cell inside says."""

    def start(w: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        found = {} if cell.start is None else cell.start(w, shapes)
        for mark in monotonic:
            first = np.zeros(shapes[f"alignments{mark}"], w[f"memory_layer{mark}"].dtype)
            first[:1] = 1.0
            found[f"alignments{mark}"] = first
        return found

    return start
