"""Sonnet 1's batch-normalised and convolutional LSTMs by their definitions, and the extents that are a layer's own."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe.cells.batch_norm_lstm import EPSILON, SONNET1_BATCH_NORM_LSTMS
from rnnprobe.cells.layers import fit
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.errors import BadInput
from rnnprobe.types import Cell, Layer

from .made import layer, shape

STEPS = 5
PLAIN, NORMED = SONNET1_CONV_LSTMS[1], SONNET1_CONV_LSTMS[4]


def ran(made: Layer, x: np.ndarray) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """The states before the first step, and the signals of each."""
    cell, w = made.cell, assemble(made)
    random = np.random.default_rng(5)
    state = {name: random.normal(size=(2, made.units)).astype("f") for name in "hc"}
    if "count" in cell.states:
        state["count"] = np.zeros(2, "f")
    before, steps = dict(state), []
    for z in cell.project(NumPy, w, x, made.settings):
        steps.append(cell.step(NumPy, w, z, state, made.settings))
        state = {name: steps[-1][name] for name in cell.states}
    return before, steps


def normed(made: Layer, name: str, a: np.ndarray, step: int) -> np.ndarray:
    """What a norm makes of `[batch, width]`, its columns in stored order, by Sonnet's own formula."""
    stored = {kind: made.weights[f"{kind}_{name}"].load() for kind in ("mean", "variance", "gamma")}
    mean, variance = (stored[kind][min(step, len(stored[kind]) - 1), 0] for kind in ("mean", "variance"))
    beta = made.weights[f"beta_{name}"].load() if name == "c" else 0.0
    return stored["gamma"] * (a - mean) / np.sqrt(variance + EPSILON) + beta


@pytest.mark.parametrize("cell", SONNET1_BATCH_NORM_LSTMS, ids=lambda cell: cell.name)
def test_each_step_is_normalised_by_its_own_statistics_and_those_beyond_by_the_last(cell: Cell):
    made = layer(cell)
    x = np.random.default_rng(7).normal(size=(STEPS, 2, made.input_size)).astype("f")
    before, steps = ran(made, x)
    if "kernel" in made.weights and "recurrent_kernel" in made.weights:
        kernels = {"x": made.weights["kernel"].load(), "h": made.weights["recurrent_kernel"].load()}
    else:
        rows = made.weights["kernel"].load()
        kernels = {"x": rows[: made.input_size], "h": rows[made.input_size :]}
    for t, after in enumerate(steps):
        shares = {"x": x[t] @ kernels["x"], "h": before["h"] @ kernels["h"]}
        for name in [name for name in shares if f"gamma_{name}" in made.weights]:
            shares[name] = normed(made, name, shares[name], t)
            for gate, block in zip("igfo", np.split(shares[name], 4, axis=-1), strict=True):
                np.testing.assert_allclose(after[f"{gate}_{name}_norm"], block, rtol=1e-5, atol=1e-5)
        total = shares["x"] + shares["h"] + made.weights["bias"].load()
        g, o = np.split(total, 4, axis=-1)[1::2]
        np.testing.assert_allclose(after["g_pre"], g, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(after["o_pre"], o, rtol=1e-5, atol=1e-5)
        if "gamma_c" in made.weights:
            np.testing.assert_allclose(after["c_norm"], normed(made, "c", after["c"], t), rtol=1e-5, atol=1e-5)
        if "count" in after:
            np.testing.assert_array_equal(after["count"], np.full(2, t + 1))
        before = after


def test_a_norm_is_there_as_a_whole_or_not_at_all():
    cell = SONNET1_BATCH_NORM_LSTMS[0]
    made = layer(cell)
    own = [weight.role for weight in cell.weights if weight.role.endswith("_c") and weight.joint]
    assert sorted(own) == ["beta_c", "gamma_c", "mean_c", "variance_c"]
    for role in own:
        assert fit(cell, {name: held for name, held in made.weights.items() if name != role}) is None
    assert fit(cell, {name: held for name, held in made.weights.items() if name not in own}) is not None


def test_a_layer_norm_of_convolutions_is_over_space_and_gates_together():
    made = layer(NORMED)
    w = assemble(made) | {"norm_gamma": np.ones(20 * 16, "f"), "norm_beta": np.zeros(20 * 16, "f")}
    random = np.random.default_rng(3)
    state = {name: random.normal(size=(2, *made.space, made.units)).astype("f") for name in "hc"}
    x = random.normal(size=(2, *shape(made))).astype("f")
    after = made.cell.step(NumPy, w, made.cell.project(NumPy, w, x, made.settings), state, made.settings)
    every = np.concatenate([after[f"{gate}_norm"] for gate in "ifgo"], axis=-1).reshape(2, -1)
    np.testing.assert_allclose(every.mean(axis=-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(every.var(axis=-1), 1.0, atol=1e-3)


def test_each_place_has_its_own_gain_in_the_order_that_it_was_stored_in():
    made = layer(NORMED)
    stored = made.weights["norm_gamma"].load().reshape(*made.space, 4, made.units)
    used = assemble(made)["norm_gamma"].reshape(*made.space, 4, made.units)
    for place, gate in enumerate("ifgo"):
        np.testing.assert_array_equal(used[..., place, :], stored[..., "igfo".index(gate), :])


@pytest.mark.parametrize("cell", [PLAIN, NORMED], ids=lambda cell: cell.name)
def test_both_convolutions_are_dilated(cell: Cell):
    made = layer(cell, dilation_rate=2, optional=False)
    w = assemble(made)
    state = {name: np.zeros((1, *made.space, made.units), "f") for name in "hc"}
    state["h"][0, 2, 1] = 1.0
    silent = np.zeros((1, *shape(made)), "f")
    plain = {part: a for part, a in w.items() if not part.startswith("norm")}
    z = cell.project(NumPy, plain, silent, made.settings)
    reached = cell.step(NumPy, plain, z, state, made.settings)["g_pre"][0].any(axis=-1)
    # A kernel of 3 × 2, two places apart from row to row.
    assert sorted(map(tuple, np.argwhere(reached))) == [(0, 0), (0, 2), (2, 0), (2, 2), (4, 0), (4, 2)]


def test_steps_of_an_extent_that_the_weights_are_not_for():
    normed, started = layer(NORMED, optional=False), layer(PLAIN)
    assert normed.cell.space is not None
    assert started.cell.space is not None
    with pytest.raises(BadInput, match="steps of 4 × 6 have 24 places, and the layer norm has gains for 20"):
        normed.cell.space((4, 6, 3), normed.sizes, normed.settings)
    assert normed.cell.space((4, 5, 3), normed.sizes, normed.settings) == (4, 5)
    with pytest.raises(BadInput, match="steps are 4 × 5, and the layer starts from states of 5 × 4"):
        started.cell.space((4, 5, 3), started.sizes, started.settings)
    bare = layer(PLAIN, optional=False)
    assert bare.cell.space is not None
    assert bare.cell.space((7, 2, 3), bare.sizes, bare.settings) == (7, 2)
