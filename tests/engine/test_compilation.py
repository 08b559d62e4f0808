"""Loops compiled by XLA, in blocks of fixed shapes, and batches that run at once: the same numbers."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from rnnprobe.cells import CELLS, LSTM
from rnnprobe.engine import compilation, loop, passes
from rnnprobe.engine import run as engine
from rnnprobe.engine.abreast import most_at_once
from rnnprobe.engine.compilation import Compilation, filled_steps
from rnnprobe.types import Feed, Mask

from ..cells.made import layer, network, reads, shape, tensor
from .networks import batch, replay, run

RANDOM = np.random.default_rng(5)
GRU = next(cell for cell in CELLS if cell.name == "keras_gru")
FUSED = Compilation(fused=True, rows=5)


def floats(*sizes):
    return RANDOM.normal(size=sizes).astype("f")


MATHEMATICS = list({(cell.step.__code__, cell.project.__code__): cell for cell in reversed(CELLS)}.values())
"""One cell of each mathematics: the others are the same functions on other names."""


@pytest.mark.parametrize("inside", [False, True], ids=["projected ahead", "projected in the loop"])
@pytest.mark.parametrize("cell", MATHEMATICS, ids=lambda cell: cell.name)
def test_every_mathematics_compiled(monkeypatch, cell, inside):
    monkeypatch.setattr(loop, "projects_in_loop", lambda layer, rows: inside)
    made = layer(cell)
    x, lengths = floats(3, 7, *shape(made)), [7, 3, 0]
    expected, final = replay(made, x, lengths)
    ((joined, _, last),) = run(network(made), batch(x, lengths), compilation=FUSED)
    off = 2e-5 if cell.space else 2e-6  # a convolution sums up to 135 products, in another order
    for name, array in expected.items():
        np.testing.assert_allclose(joined["layer"][name], array, rtol=2e-6, atol=off, err_msg=name)
    for name, array in final.items():
        np.testing.assert_allclose(last["layer"][name], array, rtol=0, atol=off)


def stack(direction):
    """Two layers over ids with a mask, the one above residual."""
    below = replace(layer(GRU, "below"), direction=direction)
    above = reads(layer(GRU, "above", seed=9, residual=True), "below", direction=direction)
    kernel = tensor("k", floats(4, 12))
    above = replace(above, weights={**above.weights, "kernel": kernel}, sizes={**above.sizes, "input_size": 4})
    mask = Mask("input", -1.0)
    return network(
        replace(below, feed=Feed(("input",), mask=mask)), replace(above, feed=replace(above.feed, mask=mask))
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("lengths", [None, [20, 9, 0]])
def test_compiled_blocks_give_what_others_give(monkeypatch, direction, lengths):
    """Blocks of seven steps, the last of them filled up; rows filled up; steps that are skipped."""
    net, x = stack(direction), floats(3, 20, 3)
    x[0, 4:6] = x[2, 19] = -1
    plain = run(net, batch(x, lengths))
    monkeypatch.setattr(passes, "_MOST_STEPS", 7)
    fused = run(net, batch(x, lengths), compilation=FUSED)
    for (ours, begin, last), (theirs, other_begin, other_last) in zip(fused, plain, strict=True):
        for name in ("below", "above"):
            for signal, array in theirs[name].items():
                np.testing.assert_allclose(ours[name][signal], array, rtol=0, atol=1e-6)
            np.testing.assert_array_equal(begin[name]["h"], other_begin[name]["h"])
            np.testing.assert_allclose(last[name]["h"], other_last[name]["h"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_batches_at_once_and_parts_of_the_input_give_the_same_bits(monkeypatch, fused):
    """Whatever else runs beside a batch, or is left to another run."""
    made = layer(LSTM, optional=False)
    batches = [batch(floats(rows, 9, 3), [9, *range(rows - 1)], start) for start, rows in ((0, 3), (3, 4), (7, 2))]
    whole = Compilation.of(network(made), batches)
    compilation = replace(whole, fused=fused)
    one_by_one = run(network(made), *batches, compilation=compilation, ordered=True)
    monkeypatch.setattr(engine, "most_at_once", lambda: 3)
    at_once = run(network(made), *batches, compilation=compilation)
    apart = [run(network(made), one, compilation=compilation)[0] for one in batches]
    for others in (at_once, apart):
        for (ours, _, last), (theirs, _, other_last) in zip(others, one_by_one, strict=True):
            for signal, array in theirs["layer"].items():
                np.testing.assert_array_equal(ours["layer"][signal], array)
            for state, array in other_last["layer"].items():
                np.testing.assert_array_equal(last["layer"][state], array)


def test_both_directions_of_one_batch_at_once(monkeypatch):
    monkeypatch.setattr(engine, "most_at_once", lambda: 2)
    forward, backward = layer(GRU, "fw"), reads(layer(GRU, "bw", seed=4), "input", direction="backward")
    x = floats(2, 9, 3)
    for how in (Compilation(), Compilation(fused=True, rows=2)):
        ((joined, _, _),) = run(network(forward, backward), batch(x, [9, 4]), compilation=how, ordered=True)
        for made in (forward, backward):
            expected = replay(made, x, [9, 4])[0]
            for signal, array in expected.items():
                np.testing.assert_allclose(joined[made.name][signal], array, rtol=0, atol=2e-6)


def test_what_is_compiled(monkeypatch):
    """Where so many steps come that it pays; no convolutions."""
    lstm, flat = network(layer(LSTM)), [batch(floats(2, 30, 3), start=start) for start in (0, 2)]
    conv = next(cell for cell in CELLS if cell.space)
    assert not Compilation.of(lstm, flat).fused
    monkeypatch.setattr(compilation, "_WORTH", 60)
    assert Compilation.of(lstm, flat).fused
    assert Compilation.of(lstm, flat).rows == 2
    assert not Compilation.of(lstm, flat[:1]).fused
    assert not Compilation.of(network(layer(conv)), flat).fused
    broad = layer(LSTM)
    broad = network(replace(broad, sizes={**broad.sizes, "units": 1024}))
    assert Compilation.of(broad, flat).fused
    assert not Compilation.of(broad, [batch(floats(16, 60, 3))]).fused


def test_as_many_run_at_once_as_there_are_cores_and_no_more_than_eight(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64))
    assert most_at_once() == 8
    monkeypatch.setenv("RNNPROBE_CORES", "1")
    assert most_at_once() == 1


def test_the_sizes_of_compiled_blocks():
    """Few of them, none much larger than what it holds."""
    assert [filled_steps(count, 100) for count in (100, 26, 25, 8, 7, 3, 2, 1)] == [100, 100, 25, 25, 7, 7, 2, 1]
    for stretch in (1, 2, 17, 100, 4096):
        sizes = {filled_steps(count, stretch) for count in range(stretch + 1)}
        assert len(sizes) <= 7
        assert all(count <= filled_steps(count, stretch) <= stretch for count in range(stretch + 1))
