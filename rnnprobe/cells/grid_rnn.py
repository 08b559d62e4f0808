"""grid_rnn: a cell for each dimension of a grid, whose inputs are what the cells of the other dimensions emit.

Of dimensions 0 … N - 1, each with an h, and with LSTM cells a c, the input takes the place of dimension 0's:

    h0 = x·M      c0 = x·C
    h_d' = cell_d([h0, …, h_(N-2)], state c_d, h_(N-1))         for each d but 0, all from the old h
    h_0' = cell_0([h0, h_1', …, h_(N-2)'], state c0, h_(N-1)')

With one dimension there is nothing else to see, and nothing of a step reaches the next. Dimension 0's signals have
their plain names, those of dimension d are called after it: `c_1`, `h_1`, `i_1`, `i_1_pre`.

`contrib/grid_rnn/python/ops/grid_rnn_cell.py`, TensorFlow 0.12 to 1.15; Kalchbrenner et al. 2015; cells.md, section 5.
Not here: weights that the dimensions share (`tied`), and dimensions without a recurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.gru import GRU
from rnnprobe.cells.lstm import BASIC_LSTM, LSTM
from rnnprobe.cells.options import ACTIVATION, RECURRENT_ACTIVATION, SIGMOID, TANH
from rnnprobe.cells.rnn import BASIC_RNN
from rnnprobe.types import Cell, OptionValue, Part, Signal, Weight, Xp

_Step = Callable[[Xp, Mapping[str, Any], Any, Mapping[str, Any], Mapping[str, OptionValue]], dict[str, Any]]


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """What the input puts in place of h0 and, with LSTM cells, of c0: `[..., units]` or `[..., 2 · units]`."""
    projections = [xp.matmul(x, w[part]) for part in ("input_projection", "cell_projection") if part in w]
    return xp.concatenate(projections)


def _step(cell: Cell, dimensions: int) -> _Step:
    """One step of a grid of such cells."""

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        """One step from z, and c and h `[batch, units]` of each dimension."""
        entered = dict(zip(("h", "c"), xp.split(z, len(cell.states)), strict=False))
        h = [entered["h"], *(state[f"h_{d}"] for d in range(1, dimensions))]
        signals: dict[str, Any] = {}
        after = list(h)
        for d in (*range(1, dimensions), 0):
            seen = h if d else after
            own = {"h": seen[-1], "c": entered.get("c") if d == 0 else state.get(f"c_{d}")}
            part = _weights_of(cell, d, dimensions, w)
            inputs = cell.project(xp, part, xp.concatenate(seen[:-1]), options) if dimensions > 1 else part["bias"]
            made = cell.step(xp, part, inputs, own, options)
            after[d] = made["h"]
            signals |= {_name(name, d): value for name, value in made.items()}
        return signals

    return step


def _name(name: str, dimension: int) -> str:
    """The name of something that is dimension 0's, for another: `i_1`, `i_1_pre`."""
    letter, pre, _ = name.partition("_pre")
    return f"{letter}_{dimension}{pre}" if dimension else name


def _weights_of(cell: Cell, dimension: int, dimensions: int, w: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of one dimension's cell, by the names that its own equations know them by."""
    several = dimensions * len(cell.order) > 1
    found = {}
    for part in {part.name for weight in cell.weights for part in weight.parts}:
        for group in cell.order or ((),):
            letters = "".join(_name(gate, dimension) for gate in group)
            stored = f"{_name(part, dimension)}_{letters}" if several and group else _name(part, dimension)
            if stored in w:
                found[f"{part}_{''.join(group)}" if len(cell.order) > 1 else part] = w[stored]
    return found


def _weights(cell: Cell, dimensions: int) -> Iterator[Weight]:
    """What the cells of all dimensions store, and the projections in front of dimension 0."""
    for state, part in (("m", "input_projection"), ("c", "cell_projection")):
        if state == "m" or "c" in cell.states:
            yield Weight(part, (f"project_{state}_0",), ("input_size", "units"), (Part(part, "input_size"),))
    widths = {"input_size": f"{dimensions - 1} * units", "output_size": "units"}
    for d in range(dimensions):
        for weight in cell.weights:
            if weight.role == "projection":
                continue
            parts = tuple(
                Part(
                    _name(part.name, d), widths.get(part.rows, part.rows), tuple(_name(gate, d) for gate in part.gates)
                )
                for part in weight.parts
                if dimensions > 1 or part.rows != "input_size"
            )
            rows = f"{dimensions} * units" if len(weight.shape) > 1 else weight.shape[0]
            names = tuple(f"recurrent/cell_{d}/{scope}/{name}" for scope in cell.scopes for name in weight.names)
            yield replace(weight, role=_name(weight.role, d), names=names, shape=(rows, *weight.shape[1:]), parts=parts)


def _signals(cell: Cell, dimensions: int) -> Iterator[Signal]:
    """The cell's signals for each dimension; of a grid no h is narrower than its gates."""
    for kind in ("state", "gate", "pre"):
        for d in range(dimensions):
            for signal in cell.signals:
                if signal.kind == kind:
                    yield replace(signal, name=_name(signal.name, d), size="units")


def _grid(cell: Cell, dimensions: int) -> Cell:
    """The class of `contrib.grid_rnn` with this many dimensions of this cell."""
    called = f"Grid{dimensions}{cell.classes[0]}"
    fixed = {ACTIVATION.name: TANH, RECURRENT_ACTIVATION.name: SIGMOID}
    clips = ("cell_clip", "proj_clip")
    return Cell(
        name=f"grid{dimensions}_{cell.name}",
        title=f"Grid{dimensions}{cell.title}",
        framework="tf1",
        scopes=(called,),
        classes=(called,),
        weights=tuple(_weights(cell, dimensions)),
        gates=tuple(_name(gate, d) for d in range(dimensions) for gate in cell.gates),
        spelled=tuple(_name(letter, d) for d in range(dimensions) for letter in cell.spelled),
        order=tuple(tuple(_name(gate, d) for gate in group) for d in range(dimensions) for group in cell.order),
        signals=tuple(_signals(cell, dimensions)),
        options=tuple(fixed.get(option.name, option) for option in cell.options if option.name not in clips),
        project=project,
        step=_step(cell, dimensions),
    )


GRID_RNNS = (
    _grid(BASIC_RNN, 1),
    _grid(BASIC_RNN, 2),
    _grid(BASIC_LSTM, 1),
    _grid(BASIC_LSTM, 2),
    _grid(LSTM, 1),
    _grid(LSTM, 2),
    _grid(LSTM, 3),
    _grid(GRU, 2),
)
