"""Every registered cell: its table is consistent, and its equations return what it declares."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe.cells import CELLS
from rnnprobe.cells.layers import chosen, fit, signal_shapes
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.shapes import evaluate, solve
from rnnprobe.cells.slices import assemble, slices
from rnnprobe.errors import BadInput

from .made import layer, shape, tensor

EACH = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
BOTH = pytest.mark.parametrize("optional", [True, False], ids=["all weights", "no optional weight"])


def test_names_are_unique():
    assert len({cell.name for cell in CELLS}) == len(CELLS)


@EACH
def test_order_holds_the_gates(cell):
    assert sorted(gate for group in cell.order for gate in group) == sorted(cell.gates)
    assert len(cell.spelled) == len(cell.gates)
    kinds = {signal.name: signal.kind for signal in cell.signals}
    assert set(cell.gates) <= kinds.keys()
    assert all(kinds[f"{gate}_pre"] == "pre" for gate in cell.gates if kinds[gate] == "gate")


@EACH
@BOTH
def test_a_step_returns_exactly_the_declared_signals(cell, optional):
    made = layer(cell, optional=optional)
    w, options, shapes = assemble(made), made.settings, signal_shapes(made)
    state = {name: np.ones((2, *shapes[name]), "f") for name in cell.states}
    z = cell.project(NumPy, w, np.ones((5, 2, *shape(made)), "f"), options)
    got = cell.step(NumPy, w, z[0], state, options)
    assert {name: array.shape for name, array in got.items()} == {name: (2, *one) for name, one in shapes.items()}
    assert all(array.dtype == np.float32 for array in got.values())


@EACH
def test_the_parts_account_for_every_element(cell):
    made = layer(cell)
    counted = dict.fromkeys(made.weights, 0)
    by_name = {id(tensor): role for role, tensor in made.weights.items()}
    for block in slices(made):
        counted[by_name[id(block.tensor)]] += block.load().size
    cut = {weight.role for weight in cell.weights if weight.parts}
    assert counted == {role: tensor.size if role in cut else 0 for role, tensor in made.weights.items()}


@EACH
def test_a_missing_weight_does_not_fit(cell):
    made = layer(cell)
    for weight in cell.weights:
        if not weight.optional:
            assert fit(cell, {role: t for role, t in made.weights.items() if role != weight.role}) is None


@EACH
@BOTH
def test_one_more_along_an_axis_does_not_fit_or_is_another_size(cell, optional):
    """A kernel of one more row is that of a wider input; all else contradicts the other weights."""
    made = layer(cell, optional=optional)
    refused = 0
    for role, stored in made.weights.items():
        for axis, length in enumerate(stored.shape):
            shape = (*stored.shape[:axis], length + 1, *stored.shape[axis + 1 :])
            weights = {**made.weights, role: tensor(stored.name, np.zeros(shape, "f"))}
            sizes = fit(cell, weights)
            if sizes is None:
                refused += 1
                continue
            assert sizes != made.sizes
            for weight in cell.weights:
                if weight.role in weights:
                    assert weights[weight.role].shape == tuple(evaluate(formula, sizes) for formula in weight.shape)
    assert refused >= len(made.weights), "no weight could have a last axis of its own"


def test_formulas():
    assert evaluate("input_size + 2 * units", {"input_size": 3, "units": 4}) == 11
    shapes = [(("input_size + output_size", "4 * units"), (5, 16)), (("units", "output_size"), (4, 2))]
    assert solve(shapes) == {"input_size": 3, "units": 4, "output_size": 2}
    assert solve([(("input_size + units", "4 * units"), (5, 18))]) is None
    assert solve([(("input_size + units", "4 * units"), (4, 16))]) is None


def test_sizes_that_no_shape_tells_are_given_or_guessed():
    shapes, relations = [(("units", "rest"), (4, 2))], [("input_size + skip", "rest + skip * windows")]
    ones = {"skip": 1, "windows": 1}
    assert solve(shapes, relations) is None
    found = solve(shapes, relations, {"windows": 3, "skip": 2}, ones)
    assert found is not None
    assert found["input_size"] == 2 + 2 * 2
    guessed = solve(shapes, relations, guesses=ones)
    assert guessed is not None
    assert (guessed["input_size"], guessed["windows"]) == (2, 1)
    told = solve([*shapes, (("input_size",), (5,))], relations, guesses=ones)
    assert told is not None
    assert told["windows"] == 4, "what follows from a shape is not guessed"


def test_the_words_of_record():
    made = layer(next(cell for cell in CELLS if cell.name == "lstm"), optional=False)
    assert chosen([made], ["h", "gates"]) == {"layer": ("h", "i", "f", "g", "o")}
    assert chosen([made], ["states", "f_pre"]) == {"layer": ("c", "h", "f_pre")}
    with pytest.raises(BadInput) as caught:
        chosen([made], ["x"])
    assert "c, h, i, f, g, o" in caught.value.hint
