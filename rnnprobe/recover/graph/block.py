"""The ops that hold a whole cell: `LSTMBlockCell`, `BlockLSTM`, `GRUBlockCell` (cells.md, section 2).

They keep forget_bias and the clip of c as attributes. A clip that is not positive is none; an absent attribute stands
for the op's default, which is a clip at 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnprobe.recover.graph.cell import Application
from rnnprobe.recover.graph.values import Variables, shortest
from rnnprobe.recover.graph.view import Node, Ref, View, attribute
from rnnprobe.types import OptionValue, Tap


@dataclass(frozen=True, slots=True)
class _Block:
    """Where an op has its operands.

    Attributes:
        cell: the name of the cell that it computes.
        x, h, c: the slots of the input and the old states.
        weights: role → slot.
        h_out: which output is h.
        fused: it runs over all steps.
        inner: signal → output.
        defaults: attribute → its value where it is absent.
    """

    cell: str
    x: int
    h: int
    weights: Mapping[str, int]
    h_out: int
    c: int | None = None
    fused: bool = False
    inner: Mapping[str, int] | None = None
    defaults: Mapping[str, float] | None = None


_LSTM = {"kernel": 3, "peephole_i": 4, "peephole_f": 5, "peephole_o": 6, "bias": 7}
_LSTM_INNER = {"i": 0, "f": 2, "o": 3, "g": 4}
_NEW_C = 1
_ATTRIBUTES = {"forget_bias": 1.0, "cell_clip": 3.0}
_BLOCKS = {
    "LSTMBlockCell": _Block("lstm", 0, 2, _LSTM, 6, c=1, inner=_LSTM_INNER, defaults=_ATTRIBUTES),
    "BlockLSTM": _Block(
        "lstm",
        1,
        3,
        {role: slot + 1 for role, slot in _LSTM.items()},
        6,
        c=2,
        fused=True,
        inner=_LSTM_INNER,
        defaults=_ATTRIBUTES,
    ),
    "GRUBlockCell": _Block(
        "gru",
        0,
        1,
        {"gates_kernel": 2, "candidate_kernel": 3, "gates_bias": 4, "candidate_bias": 5},
        3,
        inner={"r": 0, "z": 1, "n": 2},
    ),
}


def is_block(node: Node) -> bool:
    """Whether a node holds a whole cell that is known here."""
    return node.op in _BLOCKS and not node.hidden


def block_cell(node: Node) -> str:
    """The name of the cell that a block op computes."""
    return _BLOCKS[node.op].cell


def block_weights(view: View, variables: Variables, node: Node) -> dict[str, str]:
    """Role → the stored name of the variable that a block op reads there."""
    found = {}
    for role, slot in _BLOCKS[node.op].weights.items():
        flag = attribute(node, "use_peephole")
        name = variables.name(view.input(node, slot))
        if name and (not role.startswith("peephole") or (flag is not None and flag.b)):
            found[role] = name
    return found


def read_block(view: View, variables: Variables, owner: int, number: int) -> Application:
    """The application that a block op is."""
    node = view.nodes[number]
    block = _BLOCKS[node.op]
    h_out: Ref = (number, block.h_out)
    app = Application(owner, number, (view.input(node, block.x),), view.input(node, block.h), h_out)
    app.c = None if block.c is None else (view.input(node, block.c), (number, _NEW_C))
    app.used = frozenset(block_weights(view, variables, node))
    app.fused, app.kind = block.fused, node.op
    app.inner = {name: Tap((number, output)) for name, output in (block.inner or {}).items()}
    options: dict[str, OptionValue] = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    for name, default in (block.defaults or {}).items():
        value = attribute(node, name)
        options[name] = shortest(value.f) if value is not None else default
    clip = options.get("cell_clip")
    if isinstance(clip, float) and clip <= 0:
        options["cell_clip"] = None
    app.options = options | ({"proj_clip": None} if block.cell == "lstm" else {"reset": "before"})
    return app
