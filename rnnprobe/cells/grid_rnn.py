"""grid_rnn: a cell for each dimension of a grid, whose inputs are what the cells of the other dimensions emit.

Of dimensions 0 … N - 1, each with an h, and with LSTM cells a c, the input takes the place of dimension 0's:

    h0 = x·M      c0 = x·C
    h_d' = cell_d([h0, …, h_(N-2)], state c_d, h_(N-1))         for each d but 0, all from the old h
    h_0' = cell_0([h0, h_1', …, h_(N-2)'], state c0, h_(N-1)')

With one dimension there is nothing else to see, and nothing of a step reaches the next. Dimension 0's signals have
their plain names, those of dimension d are called after it: `c_1`, `h_1`, `i_1`, `i_1_pre`.

All dimensions may share one cell's weights (`tied`); or dimension 0 has no recurrence (`non_recurrent_fn`), and
h_0' = fn([h0, h_1', …, h_(N-1)']·W + b) is what the grid emits, and no state. c0 is then looked at by nothing.

`contrib/grid_rnn/python/ops/grid_rnn_cell.py`, TensorFlow 0.12 to 1.15; Kalchbrenner et al. 2015; cells.md, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rnnprobe.cells.activations import ACTIVATIONS, activate
from rnnprobe.cells.gru import GRU
from rnnprobe.cells.lstm import BASIC_LSTM, LSTM
from rnnprobe.cells.options import ACTIVATION, RECURRENT_ACTIVATION, SIGMOID, TANH
from rnnprobe.cells.rnn import BASIC_RNN
from rnnprobe.types import Cell, Option, OptionValue, Part, Signal, Weight, Xp

_Step = Callable[[Xp, Mapping[str, Any], Any, Mapping[str, Any], Mapping[str, OptionValue]], dict[str, Any]]


_STRAIGHT = Option(
    "non_recurrent_activation",
    "relu",
    tuple(ACTIVATIONS),
    "grid_rnn: what dimension 0 without a recurrence goes through.",
)


def project(xp: Xp, w: Mapping[str, Any], x: Any, options: Mapping[str, OptionValue]) -> Any:
    """What the input puts in place of h0 and, with LSTM cells, of c0: `[..., units]` or `[..., 2 · units]`."""
    projections = [xp.matmul(x, w[part]) for part in ("input_projection", "cell_projection") if part in w]
    return xp.concatenate(projections)


def _step(cell: Cell, dimensions: int, *, tied: bool, straight: bool) -> _Step:
    """One step of a grid of such cells, the first dimension of which may have no recurrence."""

    def step(
        xp: Xp, w: Mapping[str, Any], z: Any, state: Mapping[str, Any], options: Mapping[str, OptionValue]
    ) -> dict[str, Any]:
        """One step from z, and c and h `[batch, units]` of each dimension."""
        entered = {"h": z} if straight else dict(zip(("h", "c"), xp.split(z, len(cell.states)), strict=False))
        h = [entered["h"], *(state[f"h_{d}"] for d in range(1, dimensions))]
        signals: dict[str, Any] = {}
        after = list(h)
        for d in (*range(1, dimensions), *([] if straight else [0])):
            seen = h if d else after
            own = {"h": seen[-1], "c": entered.get("c") if d == 0 else state.get(f"c_{d}")}
            part = w if tied else _weights_of(cell, d, range(int(straight), dimensions), w)
            inputs = cell.project(xp, part, xp.concatenate(seen[:-1]), options) if dimensions > 1 else part["bias"]
            made = cell.step(xp, part, inputs, own, options)
            after[d] = made["h"]
            signals |= {_name(name, d): value for name, value in made.items()}
        if straight:
            signals["h_pre"] = xp.matmul(xp.concatenate(after), w["non_recurrent_kernel"]) + w["non_recurrent_bias"]
            signals["h"] = activate(xp, options[_STRAIGHT.name], signals["h_pre"])
        return signals

    return step


def _name(name: str, dimension: int) -> str:
    """The name of something that is dimension 0's, for another: `i_1`, `i_1_pre`."""
    letter, pre, _ = name.partition("_pre")
    return f"{letter}_{dimension}{pre}" if dimension else name


def _weights_of(cell: Cell, dimension: int, dimensions: range, w: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of one dimension's cell, of those that have one, by the names that its own equations know them by."""
    several = len(dimensions) * len(cell.order) > 1
    found = {}
    for part in {part.name for weight in cell.weights for part in weight.parts}:
        for group in cell.order or ((),):
            letters = "".join(_name(gate, dimension) for gate in group)
            stored = f"{_name(part, dimension)}_{letters}" if several and group else _name(part, dimension)
            if stored in w:
                found[f"{part}_{''.join(group)}" if len(cell.order) > 1 else part] = w[stored]
    return found


def _weights(cell: Cell, dimensions: int, *, tied: bool, straight: bool) -> Iterator[Weight]:
    """What the cells of all dimensions store, and the projections in front of dimension 0."""
    for state, part in (("m", "input_projection"), ("c", "cell_projection")):
        if state == "m" or "c" in cell.states:
            used = not straight or state == "m"
            held = (Part(part, "input_size"),) if used else ()
            yield Weight(part, (f"project_{state}_0",), ("input_size", "units"), held)
    if straight:
        rows = f"{dimensions} * units"
        layer = "non_recurrent/cell_0/fully_connected"
        kernel = Part("non_recurrent_kernel", rows)
        yield Weight("non_recurrent_kernel", (f"{layer}/weights",), (rows, "units"), (kernel,))
        biases = (f"{layer}/biases", f"{layer}/bias")
        yield Weight("non_recurrent_bias", biases, ("units",), (Part("non_recurrent_bias", "units"),))
    widths = {"input_size": f"{dimensions - 1} * units", "output_size": "units"}
    for d in (0,) if tied else range(int(straight), dimensions):
        place = "recurrent" if tied else f"recurrent/cell_{d}"
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
            names = tuple(f"{place}/{scope}/{name}" for scope in cell.scopes for name in weight.names)
            yield replace(weight, role=_name(weight.role, d), names=names, shape=(rows, *weight.shape[1:]), parts=parts)


def _signals(cell: Cell, dimensions: int, *, straight: bool) -> Iterator[Signal]:
    """The cell's signals for each dimension that has one; of a grid no h is narrower than its gates."""
    for kind in ("state", "output", "gate", "pre"):
        if straight and kind in ("output", "pre"):
            yield Signal("h" if kind == "output" else "h_pre", kind)
        for d in range(int(straight), dimensions):
            for signal in cell.signals:
                if signal.kind == kind:
                    yield replace(signal, name=_name(signal.name, d), size="units")


def _grid(cell: Cell, dimensions: int, *, tied: bool = False, straight: bool = False) -> Cell:
    """The class of `contrib.grid_rnn` with this many dimensions of this cell.

    Args:
        cell: the cell.
        dimensions: how many there are.
        tied: they share its weights.
        straight: the first of them has no recurrence.
    """
    called = f"Grid{dimensions}{cell.classes[0]}"
    fixed = {ACTIVATION.name: TANH, RECURRENT_ACTIVATION.name: SIGMOID}
    options = [
        fixed.get(option.name, option) for option in cell.options if option.name not in ("cell_clip", "proj_clip")
    ]
    stored = (0,) if tied else range(int(straight), dimensions)
    variant = "_tied" if tied else "_non_recurrent" if straight else ""
    return Cell(
        name=f"grid{dimensions}_{cell.name}{variant}",
        title=f"Grid{dimensions}{cell.title}{', tied=True' if tied else ', with non_recurrent_fn' if straight else ''}",
        framework="tf1",
        scopes=(called,),
        classes=(called,),
        weights=tuple(_weights(cell, dimensions, tied=tied, straight=straight)),
        gates=tuple(_name(gate, d) for d in stored for gate in cell.gates),
        spelled=tuple(_name(letter, d) for d in stored for letter in cell.spelled),
        order=tuple(tuple(_name(gate, d) for gate in group) for d in stored for group in cell.order),
        signals=tuple(_signals(cell, dimensions, straight=straight)),
        options=(*options, _STRAIGHT) if straight else tuple(options),
        project=project,
        step=_step(cell, dimensions, tied=tied, straight=straight),
    )


_SEVERAL = ((BASIC_RNN, 2), (BASIC_LSTM, 2), (LSTM, 2), (LSTM, 3), (GRU, 2))
GRID_RNNS = (
    *(_grid(cell, 1) for cell in (BASIC_RNN, BASIC_LSTM, LSTM)),
    *(_grid(cell, dimensions) for cell, dimensions in _SEVERAL),
    *(_grid(cell, dimensions, tied=True) for cell, dimensions in _SEVERAL),
    *(_grid(cell, dimensions, straight=True) for cell, dimensions in _SEVERAL),
)
