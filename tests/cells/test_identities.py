"""What the signals of a cell owe each other by its equations, whatever made them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnnprobe.cells import CELLS
from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.layers import signal_shapes
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.types import Cell

from .made import layer, shape

OPEN = {option: None for option in ("cell_clip", "proj_clip", "hidden_clip", "state_clip")}
"""No clip, so that the equations hold as they stand."""


def ran(cell: Cell, optional: bool = True) -> tuple[list[dict[str, np.ndarray]], dict[str, object]]:
    """The signals of three steps from a state of random numbers, that state first; and the options."""
    known = {name: value for name, value in OPEN.items() if name in {option.name for option in cell.options}}
    made = layer(cell, optional=optional, **known)
    random = np.random.default_rng(7)
    w, shapes = assemble(made), signal_shapes(made)
    x = random.normal(size=(3, 2, *shape(made))).astype("f")
    steps = [{name: random.normal(size=(2, *shapes[name])).astype("f") for name in cell.states}]
    for z in cell.project(NumPy, w, x, made.settings):
        steps.append(cell.step(NumPy, w, z, {name: steps[-1][name] for name in cell.states}, made.settings))
    return steps, made.settings


def named(*signals: str) -> list[Cell]:
    return [cell for cell in CELLS if set(signals) <= {signal.name for signal in cell.signals}]


def over(*signals: str):
    return pytest.mark.parametrize("cell", named(*signals), ids=lambda cell: cell.name)


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def pairs(cell: Cell):
    """Each step with the one before it, with all weights and with none that is optional."""
    for optional in (True, False):
        steps, options = ran(cell, optional)
        for before, after in itertools.pairwise(steps):
            yield before, after, options


@over("c", "i", "f", "g")
def test_c_keeps_what_f_lets_and_takes_what_i_lets(cell):
    """c' = f·c + i·g, before its norm where it has one; of a PhasedLSTM the c of an open unit."""
    # What stands in c's place comes from the input in dimension 0 of a grid: its others keep the rule.
    dimension = "_1" if cell.name.startswith("grid") else ""
    names = [f"{name}{dimension}" for name in "cifg"]
    if names[0] not in cell.states:
        pytest.skip("a grid of one dimension keeps nothing")
    for before, after, _ in pairs(cell):
        c, i, f, g = (after[name] for name in names)
        c = after.get("c_unnormed", after.get("c_open", c))
        assert_same(c, f * before[names[0]] + i * g)


@over("c", "o", "g")
def test_h_is_what_o_lets_of_c(cell):
    """h' = o·φ(c'), before its projection; of c where h sees something else of it, that."""
    for _, after, options in pairs(cell):
        seen = after.get("c_peeped", after.get("c_norm", after.get("c_open", after["c"])))
        h = after.get("h_unprojected", after.get("h_open", after["h"]))
        assert_same(h, after["o"] * ACTIVATIONS[str(options["activation"])](NumPy, seen))


GATED = [(cell, signal.name, signal.activation) for cell in CELLS for signal in cell.signals if signal.kind == "gate"]


@pytest.mark.parametrize(("cell", "gate", "activation"), GATED, ids=lambda value: getattr(value, "name", value))
def test_a_gate_is_its_activation_of_what_it_was_before(cell, gate, activation):
    for _, after, options in pairs(cell):
        if f"{gate}_pre" in after:
            assert_same(after[gate], ACTIVATIONS[str(options[activation])](NumPy, after[f"{gate}_pre"]))
        else:
            # Of a pair that is coupled the one that has no sum of its own.
            other = {"i": "f", "f": "i"}[gate[0]] + gate[1:]
            assert cell.name.startswith("cifg") if gate == "i" else cell.name.endswith("coupled")
            assert_same(after[gate], 1.0 - after[other])


@over("l0")
def test_nas(cell):
    for before, after, _ in pairs(cell):
        assert_same(after["c"], after["l1"] * np.tanh(after["l0"] + before["c"]))
        h = after.get("h_unprojected", after["h"])
        assert_same(h, np.tanh(after["c"] * np.tanh(after["l2"] + after["l3"])))


@over("k")
def test_a_phased_unit_keeps_its_state_as_far_as_it_is_closed(cell):
    for before, after, _ in pairs(cell):
        k = after["k"]
        for name in "ch":
            assert_same(after[name], k * after[f"{name}_open"] + (1.0 - k) * before[name])
        assert ((after["s"] >= 0) & (after["s"] <= 1)).all()


@over("hyper_h")
def test_the_smaller_lstm_of_a_hyper_lstm_is_one(cell):
    for before, after, _ in pairs(cell):
        gates = (after[f"hyper_{gate}"] for gate in "fig")
        f, i, g = gates
        assert_same(after["hyper_c"], f * before["hyper_c"] + i * g)
        seen = after.get("hyper_c_norm", after["hyper_c"])
        assert_same(after["hyper_h"], after["hyper_o"] * np.tanh(seen))


NORMED = [cell for cell in CELLS if any(signal.name.endswith("c_unnormed") for signal in cell.signals)]


@pytest.mark.parametrize("cell", NORMED, ids=lambda cell: cell.name)
def test_a_norm_of_gain_one_and_shift_none_has_mean_none_and_spread_one(cell):
    made = layer(cell)
    w = assemble(made)
    w["state_gamma"], w["state_beta"] = np.ones_like(w["state_gamma"]), np.zeros_like(w["state_beta"])
    state = {name: np.ones((2, *signal_shapes(made)[name]), "f") for name in cell.states}
    z = cell.project(NumPy, w, np.ones((1, 2, *shape(made)), "f"), made.settings)
    after = cell.step(NumPy, w, z[0], state, made.settings)
    assert_same(after["c"].mean(axis=-1), np.zeros(2))
    spread = after["c_unnormed"].var(axis=-1)
    epsilon = float(made.settings.get("epsilon", 1e-12))
    assert_same(after["c"].var(axis=-1), spread / (spread + epsilon))


@over("z", "n")
def test_z_keeps_the_old_state_and_lets_the_new_in(cell):
    """h' = z·h + (1 - z)·n; of Sonnet the other way round, of an IntersectionRNN the state that it does not emit."""
    name = "s" if "s" in cell.states else "h"
    if cell.name.startswith("grid") or name not in cell.states:
        pytest.skip("its states are those of several cells")
    for before, after, _ in pairs(cell):
        z = 1.0 - after["z"] if cell.framework == "sonnet" else after["z"]
        assert_same(after[name], z * before[name] + (1.0 - z) * after["n"])


def test_what_an_intersection_rnn_emits_lies_between_its_input_and_m():
    for cell in named("e", "m"):
        made = layer(cell)
        x = np.random.default_rng(3).normal(size=(1, 2, *shape(made))).astype("f")
        w, state = assemble(made), {"s": np.ones((2, made.units), "f")}
        after = cell.step(NumPy, w, cell.project(NumPy, w, x, made.settings)[0], state, made.settings)
        entering = after.get("x_projected", x[0])
        assert_same(after["h"], after["e"] * entering + (1.0 - after["e"]) * after["m"])


@over("f", "r", "skip")
def test_an_sru(cell):
    for before, after, _ in pairs(cell):
        assert_same(after["c"], after["f"] * before["c"] + (1.0 - after["f"]) * after["g"])
        assert_same(after["h"], after["r"] * np.tanh(after["c"]) + (1.0 - after["r"]) * after["skip"])


@over("t", "e", "n")
def test_a_chaos_free_network(cell):
    for before, after, _ in pairs(cell):
        assert_same(after["h"], after["t"] * np.tanh(before["h"]) + (1.0 - after["e"]) * after["n"])


@over("h_pre")
def test_h_is_its_activation_of_what_it_was_before(cell):
    for before, after, options in pairs(cell):
        if not cell.name.startswith("grid"):
            leaky = options.get("leaky", 1.0)
            h = ACTIVATIONS[str(options["activation"])](NumPy, after["h_pre"])
            assert_same(after["h"], (1.0 - leaky) * before["h"] + leaky * h)
