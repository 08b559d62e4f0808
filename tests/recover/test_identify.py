"""Cells told by numbers: held against what the generator built, and against the readers that follow ops."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnprobe import formats
from rnnprobe.cells.layers import signals
from rnnprobe.recover import graph, names
from rnnprobe.recover.graph.evaluate import Evaluator
from rnnprobe.recover.graph.identify import Identified, identify
from rnnprobe.recover.graph.numbers import Numbers, Pool, numbers
from rnnprobe.recover.graph.owners import Fit
from rnnprobe.recover.graph.values import Variables
from rnnprobe.recover.graph.view import view
from rnnprobe.types import Layer, Tap

DATA = Path(__file__).parent.parent / "data"
PATHS = sorted(path.with_suffix("") for kind in ("graph", "conformance") for path in DATA.glob(f"{kind}/tf*/*/*.meta"))
# What the generator built otherwise than the framework's defaults.
BUILT: dict[str, dict[str, Any]] = {
    "basic_lstm_fb": {"forget_bias": 0.25},
    "basic_rnn_relu": {"activation": "relu"},
    "lstm_relu": {"activation": "relu"},
    "lstm_full": {"forget_bias": 0.5, "cell_clip": 0.3, "proj_clip": 0.2},
    "lstm_block_clip": {"cell_clip": 0.3},
    "cifg_full": {"proj_clip": 0.2},
}

# Of a cell that sweeps over windows the graph has each window's states apart; what cuDNN's ops give is not evaluated.
SWEPT = re.compile(r"timefreq|(bi)?grid_.*|cudnn_\w+_opaque|cudnn_params")
# Up to TensorFlow 1.6 a GLSTM looks at slices of a wider tensor, so that its input is none of the graph; of an NTM's
# states none is told from the others by its shape.
UNFOUND = {("tf1.2", "glstm_proj"), ("tf1.4", "glstm_proj"), ("tf1.15", "ntm"), ("tf1.15", "ntm_heads")}


def found(path: Path) -> tuple[Numbers, list[tuple[Layer, Identified | None]]]:
    """The layers of a checkpoint, by name, and what its graph computes with them."""
    checkpoint = formats.read(path)
    network = names.recover(checkpoint)
    web = view(checkpoint.graph)
    layers = [layer for layer in network.layers if layer.cell.attend is None]
    weights = [tensor for layer in layers for tensor in layer.weights.values()]
    known = numbers(web, Variables(web, checkpoint.tensors), checkpoint.tensors, weights)
    return known, [
        (layer, identify(known, k, [Fit(layer.cell, layer.weights, layer.sizes)])) for k, layer in enumerate(layers)
    ]


def is_unfound(path: Path) -> bool:
    return path.parts[-3:-1] in UNFOUND or SWEPT.fullmatch(path.parent.name) is not None


def is_fused(known: Numbers) -> bool:
    return any(node.op.startswith("BlockLSTM") for node in known.view.nodes)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_every_layer_is_found_with_the_states_and_the_options_it_was_built_with(path: Path) -> None:
    known, layers = found(path)
    if is_fused(known):
        pytest.skip("one op computes all steps: read by `block`")
    for layer, got in layers:
        if is_unfound(path):
            assert got is None
            continue
        assert got is not None, layer.name
        assert got.uses
        for name, value in BUILT.get(path.parent.name, {}).items():
            assert got.options[name] == value
        for use in got.uses:
            assert all({*layer.cell.states, layer.cell.emits} <= step.keys() for step in use.signals)


READ = ["tf0.12/lstm_full", "tf1.2/multi_shared", "tf1.4/lstm_concat_proj", "tf1.15/drv_scan", "tf1.15/multi_named"]
READ += [
    "tf0.12/drv_bidyn_seq",
    "tf1.0/drv_static_seq",
    "tf2.21-v2-control-flow/gru",
    "tf1.2/drv_raw",
    "tf0.12/gru",
]


@pytest.mark.parametrize("case", READ)
def test_the_places_are_those_that_following_the_ops_gives(case: str) -> None:
    path = DATA / "conformance" / case / "model.ckpt"
    network = graph.refine(names.recover(formats.read(path)))
    by_scope: dict[str, list[Any]] = {}
    for layer in network.layers:
        by_scope.setdefault(layer.scope, []).extend(network.places[layer.name])
    for layer, got in found(path)[1]:
        assert got is not None
        mine = sorted(got.uses, key=lambda use: use.inputs)
        theirs = sorted(by_scope[layer.scope], key=lambda use: use.inputs)
        assert [use.inputs for use in mine] == [use.inputs for use in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one.looped == other.looped
            assert one.carried == other.carried
            assert one.starts == other.starts
            assert_taps(one.signals, other.signals)


def assert_taps(mine: Sequence[Mapping[str, Tap]], theirs: Sequence[Mapping[str, Tap]]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        assert {name: one.get(name) for name in other} == other


def test_a_conformance_case_of_every_cell_is_found_whole(conformance: Path) -> None:
    """TensorFlow 1.15 had nearly every cell; what one op computes, and what is no tensor of its own, is left out."""
    missed = []
    for path in sorted(conformance.glob("tf1.15/*/model.ckpt.meta")):
        known, layers = found(path.with_suffix(""))
        if is_fused(known) or is_unfound(path):
            continue
        for layer, got in layers:
            inside = [signal.name for signal in signals(layer) if signal.kind in ("state", "output")]
            if got is None or not all(set(inside) <= step.keys() for use in got.uses for step in use.signals):
                missed.append(f"{path.parent.name}: {layer.name}")
    assert missed == []


def test_a_graph_whose_numbers_are_another_cell_s_is_not_claimed() -> None:
    """A GRU with its gates in the other order has the same ops and other numbers."""
    path = DATA / "conformance/tf0.12/gru/model.ckpt"
    checkpoint = formats.read(path)
    layer = names.recover(checkpoint).layers[0]
    web = view(checkpoint.graph)
    known = numbers(web, Variables(web, checkpoint.tensors), checkpoint.tensors, layer.weights.values())
    split = next(node for node in web.nodes if node.op == "Split" and not node.hidden)
    axis = known.before[web.nodes.index(split)][0]
    number = web.nodes.index(split)
    for consumer in {after for after in known.after[number]}:
        node = web.nodes[consumer]
        node.inputs = [(ref[0], 1 - ref[1]) if web.resolve(ref)[0] == number else ref for ref in node.inputs]
    assert axis != (0, 0)
    turned = numbers(web, Variables(web, checkpoint.tensors), checkpoint.tensors, layer.weights.values())
    assert identify(turned, 0, [Fit(layer.cell, layer.weights, layer.sizes)]) is None


def test_nothing_is_loaded_and_equal_names_have_equal_numbers() -> None:
    checkpoint = formats.read(DATA / "conformance/tf0.12/gru/model.ckpt")
    web = view(checkpoint.graph)
    shapes = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
    one, two = (Evaluator(web, Variables(web, checkpoint.tensors), shapes) for _ in range(2))
    name = next(iter(shapes))
    np.testing.assert_array_equal(one.weight(name), two.weight(name))
    assert not np.array_equal(one.weight(name), checkpoint.tensors[name].load())


def test_a_pool_finds_a_tensor_and_a_block_of_its_columns() -> None:
    checkpoint = formats.read(DATA / "conformance/tf0.12/gru/model.ckpt")
    web = view(checkpoint.graph)
    known = numbers(web, Variables(web, checkpoint.tensors), checkpoint.tensors, ())
    sigmoid = next((number, 0) for number, node in enumerate(web.nodes) if node.op == "Sigmoid" and not node.hidden)
    values = known.values(sigmoid)
    assert values is not None
    pool = Pool(known, [sigmoid])
    assert pool.find(values) == Tap(sigmoid)
    half = values[0].shape[-1] // 2
    assert pool.find([value[..., half:] for value in values]) == Tap(sigmoid, 1, 2)
    assert pool.find([value[..., 1 : half + 1] for value in values]) is None
    assert pool.find([value + 1e-3 for value in values]) is None
