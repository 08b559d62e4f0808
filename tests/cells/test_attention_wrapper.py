"""Cells in an AttentionWrapper, and stacks of cells: consistent tables, and steps that are what the equations say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe.cells.attention_wrapper import DYNAMIC, MECHANISMS, MEMORY_STEPS, attention_wrapper, emitting
from rnnprobe.cells.gru import GRU
from rnnprobe.cells.layers import defaults, fit, passed_size, signal_shapes
from rnnprobe.cells.lstm import BASIC_LSTM, LSTM
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.rnn import BASIC_RNN
from rnnprobe.cells.shapes import evaluate
from rnnprobe.cells.slices import assemble, slices
from rnnprobe.cells.stacked import stacked
from rnnprobe.types import Layer, Value

from .made import tensor

PLACES = 7
REACH = np.arange(PLACES)[None, :] < np.array([[4], [PLACES]])
SIZES = {"input_size": 3, "units": 4, "output_size": 4, "memory_size": 6, "key_size": 4, "attention_size": 2}
SIZES |= {f"{size}_{k}": 4 if size == "key_size" else 2 for size in ("key_size", "attention_size") for k in range(3)}
SIZES |= {"units_0": 5, "output_size_0": 5, "units_1": 3, "output_size_1": 3, "input_size_1": 5, "input_size_2": 3}

INNER = pytest.mark.parametrize(
    "inner",
    [BASIC_LSTM, GRU, BASIC_RNN, stacked([GRU, BASIC_RNN, LSTM], [False, False, False])],
    ids=lambda cell: cell.title,
)
MECHANISM = pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.title)
MIXED = pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "context alone"])


def made(cell, *, optional=True, seed=5, **options):
    """A layer with random weights, of a memory of `PLACES` steps."""
    random = np.random.default_rng(seed)
    sizes = dict(SIZES)
    for _ in range(2):
        sizes |= {name: evaluate(formula, sizes) for name, formula in cell.relations if _known(formula, sizes)}
    weights = {
        weight.role: tensor(
            weight.names[0], np.array(random.normal(0, 0.6, [evaluate(d, sizes) for d in weight.shape]), "f")
        )
        for weight in cell.weights
        if "projection" not in weight.role and (optional or not weight.optional)
    }
    found = fit(cell, weights)
    assert found is not None
    assert found.items() <= sizes.items()
    known = {name: Value(value, "flag") for name, value in options.items()}
    return Layer("layer", "layer", cell, weights, {**found, MEMORY_STEPS: PLACES}, defaults(cell, known))


def _known(formula, sizes):
    return all(word in sizes for word in formula.replace("+", " ").replace("*", " ").split() if not word.isdigit())


def stepped(layer, seed=6, *, before=None):
    """The memory, the states before a step, and everything that the step returned."""
    random = np.random.default_rng(seed)
    shapes = signal_shapes(layer)
    state = {name: random.normal(size=(2, *shapes[name])).astype("f") for name in layer.cell.states}
    for name in [name for name in state if name.startswith("alignments")]:
        state[name] = (random.dirichlet(np.ones(PLACES), 2) if before is None else before).astype("f")
    memory = np.where(REACH[..., None], random.normal(size=(2, PLACES, 6)), 0).astype("f")
    w = assemble(layer)
    w |= layer.cell.attend(NumPy, w, memory, REACH)
    x = random.normal(size=(2, layer.input_size)).astype("f")
    z = layer.cell.project(NumPy, w, x[None], layer.settings)[0]
    return memory, state, layer.cell.step(NumPy, w, z, state, layer.settings)


@INNER
@MECHANISM
@MIXED
@pytest.mark.parametrize("optional", [True, False], ids=["normalised", "plain"])
def test_a_step_returns_exactly_the_declared_signals(inner, mechanism, mixed, optional):
    layer = made(attention_wrapper(mechanism, mixed=mixed)(inner), optional=optional)
    memory, _, got = stepped(layer)
    assert len({signal.name for signal in layer.cell.signals}) == len(layer.cell.signals)
    assert {name: array.shape[1:] for name, array in got.items()} == signal_shapes(layer)
    assert all(array.dtype == np.float32 for array in got.values())
    assert got[layer.cell.emits].shape == (2, passed_size(layer))
    assert not got["alignments"][~REACH].any()
    np.testing.assert_allclose(got["context"], np.einsum("bs,bsm->bm", got["alignments"], memory), atol=1e-5)
    if not mechanism.monotonic:
        np.testing.assert_allclose(got["alignments"].sum(-1), 1, atol=1e-6)
    if not mixed:
        np.testing.assert_array_equal(got["attention"], got["context"])


@INNER
@MECHANISM
def test_the_parts_account_for_every_element(inner, mechanism):
    layer = made(attention_wrapper(mechanism, mixed=True)(inner))
    held = dict.fromkeys(layer.weights, 0)
    roles = {id(one): role for role, one in layer.weights.items()}
    for block in slices(layer):
        held[roles[id(block.tensor)]] += block.load().size
    assert held == {role: one.size for role, one in layer.weights.items()}


@INNER
@MIXED
def test_of_several_mechanisms_each_attends_as_it_does_alone(inner, mixed):
    several = made(attention_wrapper(MECHANISMS[0], MECHANISMS[2], MECHANISMS[3], mixed=mixed)(inner))
    memory, state, got = stepped(several)
    assert {name: array.shape[1:] for name, array in got.items()} == signal_shapes(several)
    assert [name for name in several.cell.states if name.startswith("alignments")] == ["alignments_1"]
    attentions = []
    for k, mechanism in enumerate((MECHANISMS[0], MECHANISMS[2], MECHANISMS[3])):
        cell = attention_wrapper(mechanism, mixed=mixed)(inner)
        w = {role.removesuffix(f"_{k}"): array for role, array in assemble(several).items()}
        w |= cell.attend(NumPy, w, memory, REACH)
        before = {name: state[name] for name in inner.states} | {"attention": state["attention"]}
        if mechanism.monotonic:
            before["alignments"] = state[f"alignments_{k}"]
        z = np.random.default_rng(7).normal(size=(2, 3)).astype("f")
        alone = cell.step(NumPy, w, z, before, several.settings)
        beside = several.cell.step(NumPy, {**assembled(several, memory)}, z, state, several.settings)
        for name in ("alignments", "context"):
            np.testing.assert_allclose(beside[f"{name}_{k}"], alone[name], atol=1e-6)
        attentions.append(alone["attention"])
    np.testing.assert_allclose(beside["attention"], np.concatenate(attentions, -1), atol=1e-6)


def assembled(layer, memory):
    w = assemble(layer)
    return w | layer.cell.attend(NumPy, w, memory, REACH)


@pytest.mark.parametrize("mechanism", DYNAMIC, ids=lambda mechanism: mechanism.title)
def test_the_first_wrapper_attends_beyond_the_length(mechanism):
    layer = made(attention_wrapper(mechanism, mixed=True)(GRU))
    _, _, got = stepped(layer)
    assert {name: array.shape[1:] for name, array in got.items()} == signal_shapes(layer)
    assert got["alignments"][~REACH].all()
    np.testing.assert_allclose(got["alignments"].sum(-1), 1, atol=1e-6)


def test_what_is_passed_on_may_be_what_the_cell_inside_emits():
    cell = emitting(attention_wrapper(MECHANISMS[0], mixed=True)(GRU), attention=False)
    assert (cell.emits, passed_size(made(cell))) == ("h", 4)


@pytest.mark.parametrize("mechanism", MECHANISMS[1:3], ids=lambda mechanism: mechanism.title)
def test_hard_alignments_never_go_back(mechanism):
    """Certain of its place at each step, a monotonic mechanism is at one place at most, and never before the last."""
    layer = made(attention_wrapper(mechanism, mixed=True)(GRU), monotonic="hard")
    start = layer.cell.start(assemble(layer), signal_shapes(layer))
    assert start["alignments"].tolist() == [1, *[0] * (PLACES - 1)]
    random = np.random.default_rng(3)
    memory = random.normal(size=(2, PLACES, 6)).astype("f")
    w = assemble(layer)
    w |= layer.cell.attend(NumPy, w, memory, np.ones_like(REACH))
    shapes = signal_shapes(layer)
    state = {name: np.zeros((2, *shapes[name]), "f") for name in layer.cell.states}
    state["alignments"] = np.tile(start["alignments"], (2, 1))
    place = np.zeros(2)
    for _ in range(20):
        z = layer.cell.project(NumPy, w, random.normal(size=(2, 3)).astype("f"), layer.settings)
        got = layer.cell.step(NumPy, w, z, state, layer.settings)
        assert set(np.unique(got["alignments"].round(6))) <= {0.0, 1.0}
        there = got["alignments"].sum(-1).round() > 0
        assert (got["alignments"].argmax(-1) >= place)[there].all()
        place = np.where(there, got["alignments"].argmax(-1), PLACES)
        state = {name: got[name] for name in layer.cell.states}
    assert (place > 0).any()


def test_a_parallel_mechanism_that_is_certain_is_a_hard_one():
    layer = made(attention_wrapper(MECHANISMS[2], mixed=True)(GRU))
    large = {**layer.weights, "attention_g": tensor("g", np.array(1e4, "f"))}
    layer = replace(layer, weights=large)
    hard = replace(layer, options={**layer.options, "monotonic": Value("hard", "flag")})
    before = np.eye(PLACES)[[0, 0]]
    first, second = stepped(layer, before=before)[2], stepped(hard, before=before)[2]
    np.testing.assert_allclose(first["alignments"], second["alignments"], atol=1e-4)


@pytest.mark.parametrize("projected", [True, False])
def test_a_stack_is_its_cells_one_after_the_other(projected):
    cells = [LSTM, GRU, BASIC_RNN]
    whole = stacked(cells, [projected, False, False])
    random = np.random.default_rng(4)
    sizes = {"input_size": 3, "units_0": 5, "output_size_0": 2 if projected else 5, "units_1": 3, "units": 4}
    sizes |= {"input_size_1": sizes["output_size_0"], "input_size_2": 3, "output_size_1": 3, "output_size": 4}
    weights = {
        w.role: tensor(w.role, random.normal(0, 0.6, [evaluate(d, sizes) for d in w.shape]).astype("f"))
        for w in whole.weights
        if projected or not w.role.startswith("projection")
    }
    assert fit(whole, weights) == sizes
    layer = Layer("layer", "layer", whole, weights, sizes, defaults(whole))
    assert ("proj_clip" in layer.options) is projected
    x = random.normal(size=(2, 3)).astype("f")
    state = {name: random.normal(size=(2, *signal_shapes(layer)[name])).astype("f") for name in whole.states}
    w = assemble(layer)
    got = whole.step(NumPy, w, whole.project(NumPy, w, x, layer.settings), state, layer.settings)
    assert {name: array.shape[1:] for name, array in got.items()} == signal_shapes(layer)
    for number, cell in enumerate(cells):
        behind = "" if number == 2 else f"_{number}"
        own = {w.role: weights[f"{w.role}{behind}"] for w in cell.weights if f"{w.role}{behind}" in weights}
        alone = Layer("one", "one", cell, own, fit(cell, own), defaults(cell))
        w = assemble(alone)
        states = {name: state[f"{name}{behind}"] for name in cell.states}
        expected = cell.step(NumPy, w, cell.project(NumPy, w, x, alone.settings), states, alone.settings)
        for name, array in expected.items():
            np.testing.assert_allclose(got[f"{name}{behind}"], array, atol=1e-6, err_msg=name)
        x = expected["h"]
