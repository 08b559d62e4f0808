"""A cell that attends to what it passed on in the last L steps (TensorFlow 1 `contrib.rnn.AttentionCellWrapper`).

    p = [x, a]·W_p + b_p                        the cell inside is given p, and ends in the states s'
    q = s'·W_q + b_q                            of all its states side by side
    α = softmax over L of v·tanh(m·W_m + q)     m `[L, A]` are the last L outputs, zeros before there are any
    a' = Σ α·m
    y = [h, a']·W_y + b_y                       passed on; m' is m without its oldest row, y behind the others

`contrib/rnn/python/ops/rnn_cell.py`; Bahdanau et al. 2014 turned on a cell's own past; cells.md, section 6.
L, `attn_length`, is not among the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.options import ATTN_LENGTH
from rnnprobe.cells.wrappers import BIAS, KERNEL, buried, emitted_size, inside, product, renamed
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp


def attention(cell: Cell) -> Cell:
    """The cell inside an AttentionCellWrapper; `passed_size` is A, `vector_size` the width of q."""
    cell = inside(cell)
    query = " + ".join(signal.size for signal in cell.signals if signal.kind == "state")
    emitted = emitted_size(cell)
    inner = renamed(buried(cell, "y", "x_projected"), "input_size", "projected_size")

    def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
        return xp.matmul(x, w["attention_input"]) + w["attention_input_bias"]

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        p = z + xp.matmul(state["attns"], w["attention_recurrent"])
        signals = cell.step(xp, w, cell.project(xp, w, p, options), state, options)
        q = xp.matmul(xp.concatenate([signals[name] for name in cell.states]), w["attention_query"])
        q = q + w["attention_query_bias"]
        memory = state["memory"]
        scores = xp.sum(w["attention_vector"] * xp.tanh(xp.matmul(memory, w["attention_memory"][0, 0]) + q[:, None]))
        raised = xp.exp(scores[..., 0] - xp.max(scores[..., 0]))
        alignments = raised / xp.sum(raised)
        columns = xp.moveaxis(memory, -2, -1)
        attns = xp.sum(columns * alignments[:, None])[..., 0]
        y = xp.matmul(signals[cell.emits], w["attention_output"]) + xp.matmul(attns, w["attention_output_context"])
        y = y + w["attention_output_bias"]
        columns = xp.concatenate([columns[..., 1:], y[..., None]])
        return {
            **signals,
            "attns": attns,
            "memory": xp.moveaxis(columns, -1, -2),
            "y": y,
            "x_projected": p,
            "alignments": alignments,
        }

    states = tuple(signal for signal in inner.signals if signal.kind == "state")
    others = tuple(signal for signal in inner.signals if signal.kind != "state")
    return replace(
        inner,
        title=f"{cell.title} in AttentionCellWrapper",
        weights=(*inner.weights, *_weights(query, emitted)),
        signals=(
            *states,
            Signal("attns", "state", "passed_size"),
            Signal("memory", "state", "attn_length, passed_size"),
            Signal("y", "output", "passed_size"),
            *others,
            Signal("x_projected", "inner", "projected_size"),
            Signal("alignments", "inner", "attn_length"),
        ),
        options=(*cell.options, ATTN_LENGTH),
        project=project,
        step=step,
        emits="y",
        wraps=cell,
    )


def _weights(query: str, emitted: str) -> tuple[Weight, ...]:
    """The wrapper's own, below its scope; `query`, `emitted`: the widths of the states together and of h."""
    taken, taken_bias = product("attention_input", KERNEL, BIAS, "input_size", "projected_size")
    scopes = ("attn_output_projection", "AttnOutputProjection")
    output, output_bias = product(
        "attention_output", _below(scopes, KERNEL), _below(scopes, BIAS), emitted, "passed_size"
    )
    scopes = ("attention", "Attention")
    return (
        replace(
            taken,
            shape=("input_size + passed_size", "projected_size"),
            parts=(*taken.parts, Part("attention_recurrent", "passed_size")),
        ),
        taken_bias,
        Weight(
            "attention_memory",
            ("attention/attn_w", "Attention/AttnW"),
            ("1", "1", "passed_size", "vector_size"),
            (Part("attention_memory", "passed_size"),),
        ),
        Weight(
            "attention_vector",
            ("attention/attn_v", "Attention/AttnV"),
            ("vector_size",),
            (Part("attention_vector", "vector_size"),),
        ),
        *product("attention_query", _below(scopes, KERNEL), _below(scopes, BIAS), query, "vector_size"),
        replace(
            output,
            shape=(f"{emitted} + passed_size", "passed_size"),
            parts=(*output.parts, Part("attention_output_context", "passed_size")),
        ),
        output_bias,
    )


def _below(scopes: tuple[str, str], leaves: tuple[str, str, str]) -> tuple[str, ...]:
    """The names of each era below the scope that it has, the last of them that of TensorFlow 0.12."""
    new, old = scopes
    return (f"{new}/{leaves[0]}", f"{new}/{leaves[1]}", f"{old}/{leaves[2]}")
