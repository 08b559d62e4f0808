"""Owners that no reader follows op by op: told by numbers, of candidates and of layers, within a bound."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnprobe import formats
from rnnprobe.recover import graph, names
from rnnprobe.recover.graph.budget import Budget, Exhausted
from rnnprobe.recover.graph.identify import identify
from rnnprobe.recover.graph.numbers import numbers
from rnnprobe.recover.graph.owners import Fit
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import view
from rnnprobe.types import Checkpoint, Network

CASES = Path(__file__).parent.parent / "data" / "conformance"
told = importlib.import_module("rnnprobe.recover.graph.told")


def renamed(path: Path, old: str, new: str) -> Checkpoint:
    """A checkpoint with another scope in place of one."""
    checkpoint = formats.read(path)
    for node in checkpoint.graph.graph_def.node:
        node.name = node.name.replace(old, new)
        node.input[:] = [source.replace(old, new) for source in node.input]
        for value in node.attr.values():
            if value.HasField("tensor"):
                strings = [part.replace(old.encode(), new.encode()) for part in value.tensor.string_val]
                value.tensor.string_val[:] = strings
    tensors = {
        name.replace(old, new): replace(tensor, name=name.replace(old, new))
        for name, tensor in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=tensors)


CANDIDATES = [
    ("tf0.12/cifg_full", "CoupledInputForgetGateLSTMCell", "cifg", {"proj_clip": 0.2}),
    ("tf1.15/ugrnn", "ugrnn_cell", "ugrnn", {"forget_bias": 1.0}),
]


@pytest.mark.parametrize(("case", "scope", "cell", "options"), CANDIDATES, ids=[row[2] for row in CANDIDATES])
def test_a_candidate_is_the_cell_whose_numbers_the_graph_gives(
    case: str, scope: str, cell: str, options: dict[str, Any]
) -> None:
    network = names.recover(renamed(CASES / case / "model.ckpt", scope, "mine"))
    assert not network.layers
    assert cell in network.candidates[0].cells
    (layer,) = graph.refine(network).layers
    assert layer.cell.name == cell
    assert {name: (layer.options[name].value, layer.options[name].evidence) for name in options} == {
        name: (value, "graph") for name, value in options.items()
    }


def refined(case: str) -> Network:
    return graph.refine(names.recover(formats.read(CASES / case / "model.ckpt")))


def test_more_work_than_the_bound_leaves_a_layer_as_it_was_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnprobe.recover.graph.numbers.Budget", lambda: Budget(1e5))
    network = refined("tf0.12/cifg_full")
    (layer,) = network.layers
    assert layer.options["proj_clip"].evidence == "assumed"
    assert not network.places
    assert any("too large to look for it by numbers" in note for note in network.notes)


def test_the_bound_is_on_all_work_together() -> None:
    budget = Budget(10.0)
    budget.take(6)
    with pytest.raises(Exhausted):
        budget.take(6)


@pytest.mark.parametrize("case", ["tf1.15/drv_scan", "tf0.12/lstm_full", "tf1.15/gru_block"])
def test_what_the_readers_follow_is_not_looked_for_by_numbers(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "numbers", lambda *_: pytest.fail("the graph was evaluated"))
    assert refined(case).places


def test_states_that_start_from_one_tensor_of_zeros_are_two() -> None:
    """As in a loop written by hand: `c = h = tf.zeros(…)`."""
    checkpoint = formats.read(CASES / "tf1.0/drv_static_seq/model.ckpt")
    layer = names.recover(checkpoint).layers[0]
    fit = Fit(layer.cell, layer.weights, layer.sizes)

    def known(**shared: Any) -> Any:
        web = view(checkpoint.graph)
        for node in web.nodes:
            node.inputs = (
                [shared["h"] if web.resolve(ref) == shared["c"] else ref for ref in node.inputs]
                if shared
                else node.inputs
            )
        return numbers(web, Variables(web, checkpoint.tensors), checkpoint.tensors, layer.weights.values())

    apart = identify(known(), 0, [fit])
    assert apart is not None
    carried = apart.uses[0].carried
    assert carried["c"] != carried["h"]
    found = identify(known(**{name: tap.ref for name, tap in carried.items()}), 0, [fit])
    assert found is not None
    assert len(found.applications) == len(apart.applications)
    assert found.uses[0].carried == {"c": carried["h"], "h": carried["h"]}


def test_a_clip_of_the_old_states_is_found_before_anything_else_fits() -> None:
    (layer,) = refined("sonnet-1.36/lstm_full").layers
    found = {name: layer.options[name].value for name in ("hidden_clip", "state_clip", "forget_bias")}
    assert found == {"hidden_clip": 0.1, "state_clip": 0.3, "forget_bias": 0.5}


def test_every_state_of_an_attention_is_found() -> None:
    network = graph.refine(names.recover(formats.read(CASES.parent / "graph/tf1.15/attncell/model.ckpt")))
    (layer,) = network.layers
    (use,) = network.places[layer.name]
    assert {"memory", "alignments", *layer.cell.states} <= use.signals[0].keys()
