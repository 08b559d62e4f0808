"""Which block is which gate: the pieces make the whole again, for every cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.analysis.weights import blocks
from rnnprobe.cells import CELLS
from rnnprobe.errors import BadInput

from . import models


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_concatenated_blocks_give_the_stored_tensors_back(cell, data):
    size = st.integers(1, 5)
    layer = models.layer(
        cell,
        "scope",
        input_size=data.draw(size),
        units=data.draw(size),
        output_size=data.draw(size),
        optional=data.draw(st.booleans()),
        dtype=data.draw(st.sampled_from(["float32", "float64", "float16"])),
    )
    rebuilt = {held.name: np.full(held.shape, np.nan) for held in layer.weights.values()}
    for block in blocks([layer])[layer.name]:
        place = rebuilt[block.tensor.name]
        at = block.rows if place.ndim == 1 else (..., block.rows, block.columns)
        assert np.isnan(place[at]).all(), "two blocks claim the same elements"
        loaded = block.load()
        assert loaded.shape == block.shape
        place[at] = models.undo(block, loaded)
    cut = {weight.role for weight in cell.weights if weight.parts}
    for held in (tensor for role, tensor in layer.weights.items() if role in cut):
        np.testing.assert_array_equal(rebuilt[held.name], held.load())


def test_gates_and_parts_choose():
    layers = [models.layer("basic_lstm", "a"), models.layer("basic_rnn", "b")]
    chosen = blocks(layers, gates=["f"])
    assert [(block.part, block.gate) for block in chosen["a"]] == [
        ("kernel", "f"),
        ("recurrent_kernel", "f"),
        ("bias", "f"),
    ]
    assert chosen["b"] == ()
    chosen = blocks(layers, parts=["bias"])
    assert [(block.part, block.gate) for block in chosen["b"]] == [("bias", "")]
    assert len(chosen["a"]) == 4
    assert len(blocks(layers, ["i", "o"], ["kernel"])["a"]) == 2


@pytest.mark.parametrize(("gates", "parts", "listed"), [(["q"], [], "i, g, f, o"), ([], ["peephole"], "kernel")])
def test_an_unknown_gate_or_part_lists_those_that_there_are(gates, parts, listed):
    with pytest.raises(BadInput) as caught:
        blocks([models.layer("basic_lstm", "a")], gates, parts, Path("x.ckpt"))
    assert listed in caught.value.hint
    assert caught.value.path == Path("x.ckpt")
