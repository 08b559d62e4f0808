"""Buffers of cuDNN's: cut where the graph tells the sizes, and named where it does not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe import recover
from rnnprobe.recover.opaque import Sizes, cut, left
from rnnprobe.types import Checkpoint

from ..cells.made import tensor
from ..conftest import DATA

FOLDER = DATA / "conformance" / "tf1.15"
CASES = sorted(path.parent for path in FOLDER.glob("cudnn_*_opaque/case.json"))


def named(case: Path) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_buffer_is_cut_into_the_tensors_that_lie_beside_it_elsewhere(case):
    checkpoint = rnnprobe.open(case / "model.ckpt").checkpoint
    (name,) = checkpoint.tensors
    whole = rnnprobe.open(FOLDER / case.name.removesuffix("_opaque") / "model.ckpt").checkpoint
    canonical = {other: one for other, one in whole.tensors.items() if other != name}
    made, notes = cut(checkpoint.weights, checkpoint.graph)
    assert made.keys() == canonical.keys()
    assert len(notes) == 1
    assert "by the sizes that the graph tells: 2 layers of 4 units for 3 inputs" in notes[0]
    for other, expected in canonical.items():
        assert (made[other].shape, made[other].pieces) == (expected.shape, (name,))
        np.testing.assert_allclose(made[other].load(), expected.load(), atol=1e-6, err_msg=other)
        np.testing.assert_array_equal(made[other].load(slice(1, 3)), made[other].load()[1:3])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_tensor_reads_its_own_cell_alone(case):
    checkpoint = rnnprobe.open(case / "model.ckpt").checkpoint
    ((name, buffer),) = checkpoint.weights.items()
    seen: list[slice] = []

    def read(rows: slice) -> np.ndarray:
        seen.append(rows)
        return buffer.read(rows)

    made, _ = cut({name: replace(buffer, read=read)}, checkpoint.graph)
    read_in_all = 0
    for one in made.values():
        seen.clear()
        one.load(slice(0, 1))
        numbers = sum(rows.stop - rows.start for rows in seen)
        assert 0 < numbers < buffer.size / 2
        read_in_all += numbers
    assert read_in_all >= buffer.size


@pytest.mark.parametrize("case", CASES, ids=named)
def test_without_a_graph_the_candidates_are_named(case, tmp_path):
    for file in case.glob("model.ckpt.[di]*"):
        shutil.copyfile(file, tmp_path / file.name)
    network = rnnprobe.open(tmp_path / "model.ckpt")
    (candidate,) = network.candidates
    assert network.layers == ()
    assert "cuDNN's own buffer" in candidate.reason
    both = ", both ways" if "bidirectional" in case.name else ""
    assert f"2 layers of 4 units for 3 inputs{both}" in candidate.reason


def test_a_buffer_of_another_length_is_not_cut():
    checkpoint = rnnprobe.open(CASES[0] / "model.ckpt").checkpoint
    (name,) = checkpoint.tensors
    longer = {name: tensor(name, np.zeros(checkpoint.tensors[name].size + 1, "f"))}
    assert cut(longer, checkpoint.graph) == (longer, [])
    network = recover.network(replace(checkpoint, tensors=longer))
    assert network.layers == ()
    assert [candidate.scope for candidate in network.candidates] == [name.partition("/")[0]]


def test_a_buffer_beside_its_canonical_tensors_is_left():
    case = FOLDER / "cudnn_gru_bidirectional"
    checkpoint = rnnprobe.open(case / "model.ckpt").checkpoint
    graph = rnnprobe.open(FOLDER / "cudnn_gru_bidirectional_opaque" / "model.ckpt").checkpoint.graph
    made, notes = cut(checkpoint.weights, graph)
    assert (made.keys(), notes) == (checkpoint.weights.keys(), [])
    notes, candidates = left(checkpoint.weights)
    assert candidates == []
    assert "holds the same weights" in notes[0]


def test_a_buffer_of_any_name_is_known_by_the_op_that_reads_it():
    network = rnnprobe.open(DATA / "graph" / "tf1.1" / "cudnn_params" / "model.ckpt")
    assert [(layer.cell.name, layer.input_size, layer.units) for layer in network.layers] == [
        ("cudnn_compatible_lstm", 3, 4),
        ("cudnn_compatible_lstm", 4, 4),
    ]
    assert network.layers[1].feed.sources == (network.layers[0].name,)


@pytest.mark.parametrize("sizes", [Sizes("lstm", 2, 4, 3, 1), Sizes("gru", 3, 5, 2, 2), Sizes("rnn_tanh", 1, 1, 1, 1)])
def test_the_cells_share_out_the_buffer(sizes):
    """Each cell's matrices and biases begin where those of the one before end."""
    weights = [sizes.gates * sizes.units * (sizes.width(k) + sizes.units) for k in range(sizes.passes)]
    assert [sizes.matrices(k) for k in range(sizes.passes)] == [sum(weights[:k]) for k in range(sizes.passes)]
    assert sizes.length == sum(weights) + sizes.passes * 2 * sizes.gates * sizes.units


def test_a_buffer_that_says_nothing_of_its_cells_is_named_as_one():
    made = Checkpoint(Path("made"), "made", {"opaque_kernel": tensor("opaque_kernel", np.zeros(7, "f"))})
    (candidate,) = recover.network(made).candidates
    assert "its cells' kind" in candidate.reason
