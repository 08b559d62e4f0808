"""The loop against the same equations over NumPy, and the promises of blocks, lengths, masks and carrying."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnprobe.cells import CELLS, LSTM
from rnnprobe.engine import passes
from rnnprobe.engine.passes import plan
from rnnprobe.types import Embedding, Feed, Mask

from ..cells.made import layer, network, reads, shape, tensor
from .networks import batch, replay, run

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_every_cell_as_in_numpy(cell, direction):
    made = replace(layer(cell), direction=direction)
    # Small, so that the sums of the widest convolutions round alike.
    x, lengths = RANDOM.normal(0, 0.5, (3, 7, *shape(made))).astype("f"), [7, 3, 0]
    expected, final = replay(made, x, lengths)
    ((joined, initial, last),) = run(network(made), batch(x, lengths))
    for name, array in expected.items():
        np.testing.assert_allclose(joined["layer"][name], array, rtol=2e-6, atol=2e-6, err_msg=name)
    for name, array in final.items():
        np.testing.assert_allclose(last["layer"][name], array, rtol=0, atol=2e-6)
        # No step of the last one is valid: it stays as it starts.
        np.testing.assert_array_equal(initial["layer"][name], np.broadcast_to(final[name][2], array.shape))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("lengths", [None, [20, 9, 1]])
def test_blocks_do_not_change_anything(monkeypatch, direction, lengths):
    """One block, or one of three steps after the other: the same to the last bit but that of the products."""
    below = replace(layer(LSTM, "below", optional=False), direction=direction)
    above = reads(layer(LSTM, "above", optional=False, seed=9, input_size=None), "below", direction=direction)
    above = replace(above, weights={**above.weights, "kernel": tensor("k", RANDOM.normal(size=(8, 16)).astype("f"))})
    above = replace(above, sizes={"input_size": 4, "units": 4, "output_size": 4})
    x = RANDOM.normal(size=(3, 20, 3)).astype("f")
    whole = run(network(below, above), batch(x, lengths))
    monkeypatch.setattr(passes, "_MOST_STEPS", 3)
    pieces = run(network(below, above), batch(x, lengths))
    for name in ("below", "above"):
        for signal, array in whole[0][0][name].items():
            np.testing.assert_allclose(pieces[0][0][name][signal], array, rtol=0, atol=1e-6)
        for state in ("c", "h"):
            np.testing.assert_allclose(pieces[0][2][name][state], whole[0][2][name][state], rtol=0, atol=1e-6)


def test_passes_of_a_stacked_bidirectional_network():
    """Both directions of the layer above wait for both directions below."""
    fw, bw = layer(LSTM, "fw"), reads(layer(LSTM, "bw"), "input", direction="backward")
    top_fw = reads(layer(LSTM, "top_fw"), "fw", "bw")
    top_bw = reads(layer(LSTM, "top_bw"), "fw", "bw", direction="backward")
    work = plan(network(fw, bw, top_fw, top_bw), {"top_fw", "top_bw"})
    names = [[[one.name for one in p.layers] for p in level] for level in work]
    assert names == [[["fw"], ["bw"]], [["top_fw"], ["top_bw"]]]
    assert [[p.kept for p in level] for level in work] == [[{"fw"}, {"bw"}], [set(), set()]]
    chain = plan(network(fw, reads(layer(LSTM, "next"), "fw")), {"next"})
    assert [[len(p.layers) for p in level] for level in chain] == [[2]]


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_merging_two_directions(merge):
    plain = next(cell for cell in CELLS if cell.name == "keras_gru")
    fw, bw = layer(plain, "fw"), reads(layer(plain, "bw", seed=4), "input", direction="backward")
    width = 8 if merge == "concat" else 4
    top = layer(plain, "top", seed=6)
    kernel = tensor("k", RANDOM.normal(size=(width, 12)).astype("f"))
    top = replace(
        top,
        weights={**top.weights, "kernel": kernel},
        sizes={**top.sizes, "input_size": width},
        feed=Feed(("fw", "bw"), merge),
    )
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    ((joined, _, _),) = run(network(fw, bw, top), batch(x))
    one, other = (replay(made, x)[0]["h"].swapaxes(0, 1) for made in (fw, bw))
    merged = {
        "concat": np.concatenate([one, other], -1),
        "sum": one + other,
        "mul": one * other,
        "ave": (one + other) / 2,
    }[merge]
    np.testing.assert_allclose(joined["top"]["h"], replay(top, merged)[0]["h"], rtol=0, atol=2e-6)


def test_a_residual_layer_passes_its_input_on():
    gru = next(cell for cell in CELLS if cell.name == "gru")
    wide = {"input_size": 4, "units": 4, "output_size": 4}

    def square(name, seed, **options):
        made = layer(gru, name, seed=seed, **options)
        kernels = {
            role: tensor(role, RANDOM.normal(size=(8, t.shape[1])).astype("f")) if t.shape[0] == 7 else t
            for role, t in made.weights.items()
        }
        return replace(made, weights=kernels, sizes=wide)

    below, above = square("below", 1, residual=True), reads(square("above", 2), "below")
    x = RANDOM.normal(size=(2, 5, 4)).astype("f")
    ((joined, _, _),) = run(network(below, above), batch(x))
    h = replay(below, x)[0]["h"].swapaxes(0, 1)
    np.testing.assert_allclose(joined["below"]["h"].swapaxes(0, 1), h, rtol=0, atol=2e-6)
    np.testing.assert_allclose(joined["above"]["h"], replay(above, h + x)[0]["h"], rtol=0, atol=2e-6)


def test_masked_steps_hold_the_states():
    made = reads(layer(LSTM, optional=False), "input")
    made = replace(made, feed=Feed(("input",), mask=Mask("input", -1.0)))
    x = RANDOM.normal(size=(1, 6, 3)).astype("f")
    x[0, 2] = x[0, 5] = -1
    ((joined, _, final),) = run(network(made), batch(x))
    h = joined["layer"]["h"][:, 0]
    np.testing.assert_array_equal(h[2], h[1])
    np.testing.assert_array_equal(h[5], h[4])
    assert np.isnan(joined["layer"]["f"][[2, 5]]).all()
    expected, last = replay(replace(made, feed=Feed()), x[:, [0, 1, 3, 4]])
    np.testing.assert_allclose(h[[0, 1, 3, 4]], expected["h"][:, 0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(final["layer"]["c"], last["c"], rtol=0, atol=2e-6)


def test_ids_go_through_the_embedding_or_become_one_hot():
    table = RANDOM.normal(size=(11, 3)).astype("f")
    made = replace(layer(LSTM, optional=False), feed=Feed(("table",), mask=Mask("table", 0)))
    net = replace(network(made), embeddings=(Embedding("table", tensor("table", table), "config"),))
    ids = np.array([[4, 0, 10, 1]])
    ((joined, _, _),) = run(net, batch(ids))
    np.testing.assert_array_equal(joined["layer"]["h"][1], joined["layer"]["h"][0])
    ((floats, _, _),) = run(net, batch(table[ids]))
    assert np.abs(floats["layer"]["h"][1] - floats["layer"]["h"][0]).max() > 1e-3, "floats are not masked by an id"
    bare = layer(LSTM, optional=False)
    ((one_hot, _, _),) = run(network(bare), batch(np.array([[0, 2, 1]])))
    np.testing.assert_allclose(
        one_hot["layer"]["h"],
        run(network(bare), batch(np.eye(3, dtype="f")[[[0, 2, 1]]]))[0][0]["layer"]["h"],
        atol=1e-7,
    )


def test_carried_and_given_states():
    made = layer(LSTM, optional=False)
    x = RANDOM.normal(size=(1, 8, 3)).astype("f")
    halves = [batch(x[:, :4]), batch(x[:, 4:], start=1)]
    expected, final = replay(made, x)
    first, second = run(network(made), *halves, carry=True)
    np.testing.assert_allclose(second[0]["layer"]["h"], expected["h"][4:], rtol=0, atol=2e-6)
    np.testing.assert_array_equal(second[1]["layer"]["c"], first[2]["layer"]["c"])
    given = {"layer": {name: array[None, 0] for name, array in first[2]["layer"].items()}}
    given = {"layer": {name: array.reshape(1, -1).repeat(2, 0) for name, array in given["layer"].items()}}
    ((again, _, last),) = run(network(made), halves[1], initial=given)
    np.testing.assert_allclose(again["layer"]["c"], expected["c"][4:], rtol=0, atol=2e-6)
    np.testing.assert_allclose(last["layer"]["c"], final["c"], rtol=0, atol=2e-6)
