"""Cells inside wrappers: the tables are consistent, and what is passed on follows from what is recorded."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe.cells.attention import attention
from rnnprobe.cells.gru import GRU
from rnnprobe.cells.layers import defaults, fit, passed_size, signal_shapes
from rnnprobe.cells.lstm import BASIC_LSTM, LSTM
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.ntm import ntm
from rnnprobe.cells.shapes import evaluate
from rnnprobe.cells.slices import assemble, slices
from rnnprobe.cells.sru import SRU
from rnnprobe.cells.ugrnn import UGRNN
from rnnprobe.cells.wrappers import highway, input_projection, output_projection
from rnnprobe.types import Layer, Value

from .made import tensor

INNER = pytest.mark.parametrize("inner", [BASIC_LSTM, LSTM, GRU, UGRNN, SRU], ids=lambda cell: cell.name)
WRAPS = {
    "input": input_projection,
    "output": output_projection,
    "highway": highway,
    "attention": attention,
    "ntm": ntm,
    "highway of output": lambda cell: highway(output_projection(cell)),
    "output of highway": lambda cell: output_projection(highway(cell)),
    "attention of input": lambda cell: attention(input_projection(cell)),
    "input of attention": lambda cell: input_projection(attention(cell)),
    "attention of output": lambda cell: attention(output_projection(cell)),
}
LENGTH = 3


def made(cell, seed=5):
    """A layer of a wrapped cell with random weights, sizes as far as its relations leave them open."""
    random = np.random.default_rng(seed)
    sizes = {"input_size": 4, "units": 4, "output_size": 4, "passed_size": 4, "projected_size": 5, "vector_size": 2}
    sizes |= {"inner_passed_size": 4, "inner_projected_size": 6}
    sizes |= {"heads": 3, "read_heads": 2, "write_heads": 1, "memory_size": 6, "memory_width": 2, "shift_range": 2}
    if not cell.relations or "heads" in dict(cell.relations):
        sizes |= {"input_size": 3, "passed_size": 6, "controller_size": 3 + 2 * 2}
    weights = {
        weight.role: tensor(
            weight.names[0], random.normal(0, 0.6, [evaluate(d, sizes) for d in weight.shape]).astype("f")
        )
        for weight in cell.weights
        if weight.role != "projection"
    }
    found = fit(cell, weights)
    assert found is not None
    assert found.items() <= sizes.items()
    return Layer("layer", "layer", cell, weights, found, defaults(cell, {"attn_length": Value(LENGTH, "flag")}))


def stepped(layer, seed=6):
    """x `[2, input_size]`, the states before a step, and everything that the step returned."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, layer.input_size)).astype("f")
    shapes = signal_shapes(layer)
    state = {name: random.normal(size=(2, *shapes[name])).astype("f") for name in layer.cell.states}
    state |= {name: np.abs(array) for name, array in state.items() if name == "addresses"}  # shares, never negative
    w = assemble(layer)
    z = layer.cell.project(NumPy, w, x[None], layer.settings)[0]
    return x, state, layer.cell.step(NumPy, w, z, state, layer.settings), w


@INNER
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_step_returns_exactly_the_declared_signals(inner, wrap):
    layer = made(wrap(inner))
    _, _, got, _ = stepped(layer)
    assert len({signal.name for signal in layer.cell.signals}) == len(layer.cell.signals)
    assert {name: array.shape[1:] for name, array in got.items()} == signal_shapes(layer)
    assert all(array.dtype == np.float32 for array in got.values())
    assert got[layer.cell.emits].shape == (2, passed_size(layer))
    assert set(layer.cell.states) >= set(inner.states)
    assert layer.cell.name == inner.name


@INNER
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_the_parts_account_for_every_element(inner, wrap):
    layer = made(wrap(inner))
    held = {role: 0 for role in layer.weights}
    roles = {id(tensor): role for role, tensor in layer.weights.items()}
    for block in slices(layer):
        held[roles[id(block.tensor)]] += block.load().size
    assert held == {role: tensor.size for role, tensor in layer.weights.items()}


@INNER
def test_the_cell_is_given_the_projected_input(inner):
    layer = made(input_projection(inner))
    x, state, got, w = stepped(layer)
    np.testing.assert_allclose(got["x_projected"], x @ w["input_projection"] + w["input_projection_bias"], atol=1e-6)
    z = inner.project(NumPy, w, got["x_projected"], layer.settings)
    alone = inner.step(NumPy, w, z, state, layer.settings)
    for name, array in alone.items():
        np.testing.assert_allclose(got[name], array, atol=1e-6, err_msg=name)


@INNER
def test_what_is_emitted_is_projected(inner):
    layer = made(output_projection(inner))
    _, _, got, w = stepped(layer)
    expected = got["h"] @ w["output_projection"] + w["output_projection_bias"]
    np.testing.assert_allclose(got["y"], expected, atol=1e-6)


@INNER
@pytest.mark.parametrize("coupled", [True, False], ids=["coupled", "uncoupled"])
def test_a_highway_carries_its_input(inner, coupled):
    layer = made(highway(inner))
    if coupled:
        kept = {role: t for role, t in layer.weights.items() if not role.startswith("transform")}
        layer = Layer("layer", "layer", layer.cell, kept, layer.sizes, layer.options)
    x, _, got, _ = stepped(layer)
    assert ("transform" in got) is not coupled
    transform = 1 - got["carry"] if coupled else got["transform"]
    np.testing.assert_allclose(got["y"], x * got["carry"] + got["h"] * transform, atol=1e-6)
    np.testing.assert_allclose(got["carry"], 1 / (1 + np.exp(-got["carry_pre"])), atol=1e-6)


@INNER
def test_an_attention_reads_its_memory_and_appends_what_it_passes_on(inner):
    layer = made(attention(inner))
    _, state, got, w = stepped(layer)
    np.testing.assert_allclose(got["alignments"].sum(-1), 1, atol=1e-6)
    expected = np.einsum("bl,bla->ba", got["alignments"], state["memory"])
    np.testing.assert_allclose(got["attns"], expected, atol=1e-6)
    np.testing.assert_array_equal(got["memory"][:, :-1], state["memory"][:, 1:])
    np.testing.assert_array_equal(got["memory"][:, -1], got["y"])
    both = np.concatenate([got["h"], got["attns"]], -1)
    stored = layer.weights["attention_output"].load()
    np.testing.assert_allclose(got["y"], both @ stored + w["attention_output_bias"], atol=1e-5)


def test_a_highway_of_another_width_than_its_cell_does_not_fit():
    layer = made(highway(BASIC_LSTM))
    weights = dict(layer.weights)
    for role, shape in (("kernel", (3 + 4, 16)), ("carry", (3, 3)), ("carry_bias", (3,))):
        weights[role] = tensor(role, np.zeros(shape, "f"))
    kept = {role: t for role, t in weights.items() if not role.startswith("transform")}
    assert fit(layer.cell, kept) is None


@INNER
def test_the_heads_of_a_turing_machine(inner):
    layer = made(ntm(inner))
    shapes = signal_shapes(layer)
    start = layer.cell.start(assemble(layer), shapes)
    assert {name: array.shape for name, array in start.items()} == {name: shapes[name] for name in start}
    _, state, got, _ = stepped(layer)
    np.testing.assert_allclose(got["shift"].sum(-1), 1, atol=1e-6)
    assert (got["sharpness"] >= 1).all()
    # An address that is one to begin with stays one.
    state["addresses"] = np.broadcast_to(start["addresses"], state["addresses"].shape)
    w = assemble(layer)
    z = layer.cell.project(NumPy, w, np.ones((1, 2, 3), "f"), layer.settings)[0]
    got = layer.cell.step(NumPy, w, z, state, layer.settings)
    np.testing.assert_allclose(got["addresses"].sum(-1), 1, atol=1e-5)
    read = np.einsum("bhn,bnm->bhm", got["addresses"][:, :2], state["memory"])
    np.testing.assert_allclose(got["reads"], read, atol=1e-5)
    place = got["addresses"][:, 2, :, None]
    written = state["memory"] * (1 - place * got["erase"]) + place * got["add"]
    np.testing.assert_allclose(got["memory"], written, atol=1e-5)
