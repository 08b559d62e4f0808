"""A neural Turing machine: a cell, its controller, that reads and writes a memory of N rows (Graves et al. 2014).

The controller is given [x, what was read]; of what it emits, one product makes each head's
    key tanh, strength softplus, interpolation σ, shift softmax, sharpness softplus + 1
and each writing head's erase σ and add tanh. A head's address a over the rows m of the memory follows from
    content = softmax(strength · cos(key, m))
    mixed   = interpolation·content + (1 - interpolation)·a
    shifted = Σ over d of shift(d)·(mixed, d rows further round)
    a'      = shifted^sharpness, divided by its sum
Heads read Σ a'·m of the memory as it was before this step; then m' = m·(1 - a'·erase) + a'·add, head after head.
y = [h, what is read now]·W + b is passed on. The product of the heads, and y, are clipped.

TensorFlow 1.14 and later, contrib `NTMCell` (`contrib/rnn/python/ops/rnn_cell.py`); cells.md, section 4. It starts from
the stored memory, from reads tanh(initial_read_vector) and addresses softmax(initial_address_weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnnprobe.cells.activations import activate
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.options import CLIP_VALUE
from rnnprobe.cells.wrappers import buried, emitted_size, inside, product, renamed
from rnnprobe.types import Array, Cell, OptionValue, Part, Signal, Weight, Xp

_SMALL = 1e-8

READS, ADDRESSES = "initial_read_vector_#", "initial_address_weights_#"
"""What heads start from; a number for each, which `rnnprobe.recover.numbered` puts together."""


def ntm(cell: Cell) -> Cell:
    """The machine whose controller is `cell`; `passed_size` is the width of y."""
    cell = inside(cell)
    emitted = emitted_size(cell)
    inner = renamed(buried(cell, "y"), "input_size", "controller_size")

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        number = w["initial_reads"].shape[0]
        given = xp.concatenate([z, *(state["reads"][:, k] for k in range(number))])
        signals = cell.step(xp, w, cell.project(xp, w, given, options), state, options)
        told = _clipped(xp, xp.matmul(signals[cell.emits], w["heads"]) + w["heads_bias"], options)
        heads, writes = _told(xp, w, told)
        memory = state["memory"]
        addresses = [_address(xp, head, memory, state["addresses"][:, k]) for k, head in enumerate(heads)]
        rows = xp.moveaxis(memory, -2, -1)
        reads = [xp.sum(rows * address[:, None])[..., 0] for address in addresses[:number]]
        for address, (erase, add) in zip(addresses[number:], writes, strict=True):
            place = address[..., None]
            memory = memory * (1.0 - place * erase[:, None]) + place * add[:, None]
        y = xp.matmul(signals[cell.emits], w["output"]) + xp.matmul(xp.concatenate(reads), w["output_reads"])
        return {
            **signals,
            "reads": _stacked(xp, reads),
            "addresses": _stacked(xp, addresses),
            "memory": memory,
            "y": _clipped(xp, y + w["output_bias"], options),
            **{name: _stacked(xp, [head[name] for head in heads]) for name in _HEAD},
            "erase": _stacked(xp, [erase for erase, _ in writes]),
            "add": _stacked(xp, [add for _, add in writes]),
        }

    states = tuple(signal for signal in inner.signals if signal.kind == "state")
    others = tuple(signal for signal in inner.signals if signal.kind != "state")
    return replace(
        inner,
        title=f"NTM with {cell.title}",
        weights=(*inner.weights, *_weights(emitted)),
        signals=(
            *states,
            Signal("reads", "state", "read_heads, memory_width"),
            Signal("addresses", "state", "heads, memory_size"),
            Signal("memory", "state", "memory_size, memory_width"),
            Signal("y", "output", "passed_size"),
            *others,
            *(Signal(name, "inner", size) for name, size in _HEAD.items()),
            *(Signal(name, "inner", "write_heads, memory_width") for name in ("erase", "add")),
        ),
        options=(*cell.options, CLIP_VALUE),
        project=lambda xp, w, x, options: x,
        step=step,
        relations=(
            *inner.relations,
            ("heads", "read_heads + write_heads"),
            ("controller_size", "input_size + read_heads * memory_width"),
        ),
        start=_start,
        emits="y",
        wraps=cell,
    )


_HEAD = {
    "key": "heads, memory_width",
    "strength": "heads, 1",
    "interpolation": "heads, 1",
    "shift": "heads, 2 * shift_range + 1",
    "sharpness": "heads, 1",
}


def _start(w: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """What the states start from, `[*shape]` each."""
    return {
        "reads": np.tanh(w["initial_reads"][:, 0]),
        "addresses": activate(NumPy, "softmax", w["initial_addresses"][:, 0]),
        "memory": w["initial_memory"],
    }


def _told(xp: Xp, w: Mapping[str, Any], told: Any) -> tuple[list[dict[str, Any]], list[tuple[Any, Any]]]:
    """What each head is told, and each writing head's erase and add; all `[batch, width]`."""
    reading, heads, width = w["initial_reads"].shape[0], w["initial_addresses"].shape[0], w["initial_memory"].shape[-1]
    each = (told.shape[-1] - 2 * width * (heads - reading)) // heads
    found = []
    for k in range(heads):
        own = told[:, k * each : (k + 1) * each]
        found.append(
            {
                "key": xp.tanh(own[:, :width]),
                "strength": activate(xp, "softplus", own[:, width : width + 1]),
                "interpolation": xp.sigmoid(own[:, width + 1 : width + 2]),
                "shift": activate(xp, "softmax", own[:, width + 2 : -1]),
                "sharpness": activate(xp, "softplus", own[:, -1:]) + 1.0,
            }
        )
    vectors = xp.split(told[:, heads * each :], 2 * (heads - reading))
    writes = [(xp.sigmoid(vectors[k]), xp.tanh(vectors[k + 1])) for k in range(0, len(vectors), 2)]
    return found, writes


def _address(xp: Xp, head: Mapping[str, Any], memory: Any, address: Any) -> Any:
    """A head's new address `[batch, memory_size]`, from the memory `[batch, memory_size, memory_width]` and the old."""
    key, shift = head["key"], head["shift"]
    lengths = xp.sqrt(xp.sum(memory * memory))[..., 0] * xp.sqrt(xp.sum(key * key))
    likeness = xp.sum(memory * key[:, None])[..., 0] / (lengths + _SMALL)
    content = activate(xp, "softmax", head["strength"] * likeness)
    mixed = head["interpolation"] * content + (1.0 - head["interpolation"]) * address
    count = shift.shape[-1]
    # The first half of the shifts, none among them, are forward; the others backward, the last by one.
    distances = [d if d <= count // 2 else d - count for d in range(count)]
    turned = [shift[:, d : d + 1] * _turned(xp, mixed, distance) for d, distance in enumerate(distances)]
    shifted = turned[0]
    for one in turned[1:]:
        shifted = shifted + one
    sharp = shifted ** head["sharpness"]
    return sharp / xp.sum(sharp)


def _turned(xp: Xp, a: Any, distance: int) -> Any:
    """With everything so many places further, and round the end."""
    return xp.concatenate([a[:, -distance:], a[:, :-distance]]) if distance else a


def _stacked(xp: Xp, arrays: list[Any]) -> Any:
    """`[batch, width]` each, as `[batch, count, width]`."""
    return xp.moveaxis(xp.concatenate([a[..., None] for a in arrays]), -1, -2)


def _clipped(xp: Xp, a: Any, options: Mapping[str, OptionValue]) -> Any:
    bound = options[CLIP_VALUE.name]
    return xp.clip(a, -bound, bound) if isinstance(bound, int | float) else a


def _weights(emitted: str) -> tuple[Weight, ...]:
    """The machine's own, beside its controller's scope; `emitted` is the width of what that emits."""
    told = "heads * memory_width + 2 * heads * shift_range + 4 * heads + 2 * write_heads * memory_width"
    output, output_bias = product("output", ("output_kernel",), ("output_bias",), emitted, "passed_size")
    return (
        *product("heads", ("parameters_kernel",), ("parameters_bias",), emitted, told),
        replace(
            output,
            shape=(f"{emitted} + read_heads * memory_width", "passed_size"),
            parts=(*output.parts, Part("output_reads", "read_heads * memory_width")),
        ),
        output_bias,
        Weight("initial_reads", (READS,), ("read_heads", "1", "memory_width"), (Part("initial_reads", "1"),)),
        Weight("initial_addresses", (ADDRESSES,), ("heads", "1", "memory_size"), (Part("initial_addresses", "1"),)),
        Weight(
            "initial_memory", ("memory",), ("memory_size", "memory_width"), (Part("initial_memory", "memory_size"),)
        ),
    )
