"""The weights of a layer in another framework's order compute what the layer computes, or they are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.analysis.layouts import LAYOUTS, convert, reported
from rnnprobe.cells import CELLS
from rnnprobe.cells.wrappers import output_projection
from rnnprobe.errors import BadInput
from rnnprobe.types import Feed, Layer, Mask, Value

from ..cells.made import layer, network, reads, tensor
from . import targets

NAMES = [layout.name for layout in LAYOUTS]
OPEN = {option: None for option in ("cell_clip", "proj_clip", "hidden_clip", "state_clip")}
BY_NAME = {cell.name: cell for cell in CELLS}


def made(cell: str, name: str = "layer", *, optional: bool = True, seed: int = 3, **options: object) -> Layer:
    known = {option.name for option in BY_NAME[cell].options}
    clips = {name: value for name, value in OPEN.items() if name in known}
    return layer(BY_NAME[cell], name, optional=optional, seed=seed, **(clips | options))


def x(features: int = 3, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(6, 2, features)).astype("f")


def same(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=5e-6)


def converted(one: Layer, layout: str):
    (module,) = convert(network(one), [one], layout)
    return module


def able(one: Layer) -> set[str]:
    """The layouts that a layer is not refused for."""
    found = set()
    for layout in NAMES:
        try:
            converted(one, layout)
        except BadInput:
            continue
        found.add(layout)
    return found


@pytest.mark.parametrize("optional", [True, False], ids=["all", "least"])
@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("cell", BY_NAME)
def test_a_cell_computes_the_same_or_is_refused(cell, layout, optional):
    one = made(cell, optional=optional)
    if layout not in able(one):
        with pytest.raises(BadInput, match="layer layer") as refused:
            converted(one, layout)
        assert "--layout" in refused.value.hint
        return
    same(targets.ran(converted(one, layout), layout, x(one.input_size)), targets.computed(one, x(one.input_size)))


EVERY = {"tf1", "keras", "torch", "cudnn", "onnx"}
EXACT = {
    "basic_rnn": EVERY,
    "keras_simple_rnn": EVERY,
    "sonnet1_vanilla_rnn": EVERY,
    "ind_rnn": EVERY,
    "basic_lstm": EVERY,
    "keras_lstm": EVERY,
    "keras1_lstm": EVERY,
    "keras_cudnn_lstm": EVERY,
    "cudnn_compatible_lstm": EVERY,
    "masked_basic_lstm": EVERY,
    "indy_lstm": EVERY,
    "layer_norm_basic_lstm_off": EVERY,
    "magenta_lstm": EVERY,
    "lstm": {"tf1"},  # with peepholes and a projection
    "weight_norm_lstm": {"tf1"},
    "cifg": {"tf1"},
    "sonnet_lstm": {"tf1", "torch", "cudnn"},  # with a projection
    "lstm_block": {"tf1", "onnx"},
    "addons_peephole_lstm": {"tf1", "onnx"},
    "gru": {"tf1", "keras", "onnx"},
    "indy_gru": {"tf1", "keras", "onnx"},
    "sonnet_gru": {"tf1", "keras", "onnx"},
    "sonnet1_gru": {"tf1", "keras", "onnx"},
    "keras_gru_reset_after": EVERY,
    "keras_cudnn_gru": EVERY,
    "cudnn_compatible_gru": EVERY,
    "sonnet1_lstm": set(),  # what h sees of c
    "layer_norm_lstm": set(),
    "conv_lstm": set(),
    "nas": set(),
    "phased_lstm": set(),
    "addons_esn": EVERY,  # as long as it forgets at once
}


@pytest.mark.parametrize("cell", sorted(EXACT.keys() & BY_NAME.keys()))
def test_what_is_exact(cell):
    assert able(made(cell)) == EXACT[cell]


@pytest.mark.parametrize(
    ("cell", "options", "layouts"),
    [
        ("keras_lstm", {"recurrent_activation": "hard_sigmoid"}, {"keras", "onnx"}),
        ("keras_lstm", {"recurrent_activation": "hard_sigmoid_keras3", "activation": "elu"}, {"keras", "onnx"}),
        ("keras_lstm", {"activation": "softsign"}, {"tf1", "keras", "onnx"}),
        ("keras_lstm", {"activation": "gelu"}, {"tf1", "keras"}),
        ("keras_gru", {"reset": "after"}, EVERY),
        ("keras_gru", {"reset": "before", "recurrent_activation": "hard_sigmoid"}, {"keras", "onnx"}),
        ("keras_gru_reset_after", {"activation": "relu"}, {"keras", "onnx"}),
        ("keras_simple_rnn", {"activation": "relu"}, EVERY),
        ("basic_rnn", {"activation": "linear"}, {"tf1", "keras", "onnx"}),
        ("basic_rnn", {"activation": "leaky_relu"}, {"tf1", "keras", "onnx"}),
        ("basic_lstm", {"forget_bias": 0.0}, EVERY),
        ("basic_lstm", {"forget_bias": 2.5}, EVERY),
        ("lstm_fused", {"cell_clip": 0.5}, {"tf1"}),
        ("sonnet1_lstm", {"hidden_clip": 0.5, "optional": False}, set()),
        ("addons_esn", {"leaky": 0.5}, set()),
    ],
)
def test_options(cell, options, layouts):
    one = made(cell, **options)
    assert able(one) == layouts
    for layout in layouts:
        same(targets.ran(converted(one, layout), layout, x()), targets.computed(one, x()))


@pytest.mark.parametrize(
    ("cell", "options", "layout", "says", "hint"),
    [
        ("lstm", {"cell_clip": 3.0, "optional": False}, "torch", "cell_clip = 3.0 (flag)", "tf1"),
        (
            "keras_lstm",
            {"recurrent_activation": "hard_sigmoid"},
            "torch",
            "recurrent_activation = hard_sigmoid",
            "onnx",
        ),
        ("gru", {}, "torch", "reset = before (cell), and torch.nn.GRU has after alone", "tf1 or keras or onnx"),
        ("gru", {}, "cudnn", "reset = before", "onnx"),
        ("lstm_block", {}, "torch", "it has a peephole", "tf1 or onnx"),
        ("lstm", {}, "onnx", "it has a projection", "tf1"),
        ("addons_esn", {"leaky": 0.5}, "keras", "leaky = 0.5", "none of the layouts"),
        ("nas", {}, "tf1", "is neither the LSTM, the GRU nor the basic RNN", "--layer"),
        ("layer_norm_lstm", {}, "keras", "LayerNormLSTM has", "--layer"),
    ],
)
def test_refusals_name_layer_option_and_target(cell, options, layout, says, hint):
    one = made(cell, "some/rnn", **options)
    with pytest.raises(BadInput) as refused:
        convert(network(one), [one], layout)
    assert "layer some/rnn" in refused.value.message
    assert says in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.path is not None
    assert refused.value.status == 2


def test_a_projection_that_does_not_narrow_is_none_for_torch():
    from . import models

    wide = models.layer("sonnet_lstm", "wide", units=3, output_size=5)
    with pytest.raises(BadInput, match="wants less than 3 units"):
        convert(network(wide), [wide], "torch")
    assert convert(network(wide), [wide], "cudnn")


# Round trips ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    forget=st.sampled_from([0.0, 1.0, -0.5, 3.25]),
    cell=st.sampled_from(["basic_lstm", "gru", "basic_rnn", "cudnn_compatible_gru"]),
)
def test_from_tf1_to_keras_and_back(seed, forget, cell):
    options = {"forget_bias": forget} if cell == "basic_lstm" else {}
    one = made(cell, seed=seed, **options)
    there = targets.layer_of(converted(one, "keras"))
    back = converted(there, "tf1")
    before = targets.arrays(converted(one, "tf1"))
    after = targets.arrays(back)
    assert before.keys() == after.keys()
    if cell == "basic_lstm":
        assert back.written.arguments["forget_bias"] == 0.0
        before["bias"][8:12] += np.float32(forget)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
        assert after[name].dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), cell=st.sampled_from(["keras_lstm", "keras_gru_reset_after", "keras_simple_rnn"])
)
def test_from_keras_to_keras(seed, cell):
    one = made(cell, seed=seed)
    held = targets.arrays(converted(one, "keras"))
    assert held.keys() == {"kernel", "recurrent_kernel", "bias"}
    for name, values in held.items():
        np.testing.assert_array_equal(values, one.weights[name].load())


@pytest.mark.parametrize("cell", ["lstm", "gru", "cudnn_compatible_gru", "basic_rnn"])
def test_tf1_of_tf1_is_what_was_stored(cell):
    one = made(cell)
    held = targets.arrays(converted(one, "tf1"))
    assert held.keys() == {stored.name for stored in one.weights.values()}
    for stored in one.weights.values():
        np.testing.assert_array_equal(held[stored.name], stored.load())


# Shapes, names, notes ------------------------------------------------------------------------------------------------


def shapes(module) -> dict[str, tuple[int, ...]]:
    return {entry.name: entry.values.shape for entry in module.written.entries}


def test_the_names_and_shapes_of_each_target():
    one, gru = made("basic_lstm"), made("keras_gru_reset_after")
    assert shapes(converted(one, "tf1")) == {"kernel": (7, 16), "bias": (16,)}
    assert shapes(converted(one, "keras")) == {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    assert shapes(converted(gru, "keras"))["bias"] == (2, 12)
    assert shapes(converted(one, "torch")) == {
        "weight_ih_l0": (16, 3),
        "weight_hh_l0": (16, 4),
        "bias_ih_l0": (16,),
        "bias_hh_l0": (16,),
    }
    assert shapes(converted(gru, "onnx")) == {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}
    assert shapes(converted(made("lstm_block"), "onnx"))["P"] == (1, 12)
    canonical = [f"{name}_{gate}_l0" for name in ("W", "R", "b_W", "b_R") for gate in "ifco"]
    assert list(shapes(converted(one, "cudnn"))) == [*canonical, "params"]
    assert [entry.spelled for entry in converted(one, "tf1").written.entries] == [tuple("ijfo")] * 2


def test_the_flat_buffer_is_laid_out_as_keras_does_for_cudnn():
    """tf_keras's own function, on the arrays of a Keras layer."""
    gru_lstm_utils = pytest.importorskip("tf_keras.src.layers.rnn.gru_lstm_utils")
    tf = pytest.importorskip("tensorflow")
    one = made("keras_lstm")
    kernel, recurrent, bias = (one.weights[role].load() for role in ("kernel", "recurrent_kernel", "bias"))
    weights = [*np.split(kernel, 4, axis=1), *np.split(recurrent, 4, axis=1)]
    # Keras's LSTM has one bias and puts zeros beside it: it gives h the bias and x the zeros, the sum is the same.
    biases = np.split(np.concatenate([bias, np.zeros_like(bias)]), 8)
    expected = gru_lstm_utils.canonical_to_params(weights, biases, tf.constant([-1]), transpose_weights=True)
    np.testing.assert_array_equal(targets.arrays(converted(one, "cudnn"))["params"], expected)


def test_the_flat_buffer_of_a_gru():
    """Likewise; Keras changes z, r to cuDNN's r, z (`gpu_gru` in its `gru.py`)."""
    gru_lstm_utils = pytest.importorskip("tf_keras.src.layers.rnn.gru_lstm_utils")
    tf = pytest.importorskip("tensorflow")
    one = made("keras_gru_reset_after")
    kernel, recurrent = (np.split(one.weights[role].load(), 3, axis=1) for role in ("kernel", "recurrent_kernel"))
    bias = np.split(one.weights["bias"].load().reshape(-1), 6)
    weights = [side[k] for side in (kernel, recurrent) for k in (1, 0, 2)]
    biases = [bias[k] for k in (1, 0, 2, 4, 3, 5)]
    expected = gru_lstm_utils.canonical_to_params(weights, biases, tf.constant([-1]), transpose_weights=True)
    np.testing.assert_array_equal(targets.arrays(converted(one, "cudnn"))["params"], expected)


def test_half_precision_is_widened_before_anything_is_folded():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from . import models

    one = models.layer("basic_lstm", "rnn", dtype=ml_dtypes.bfloat16)
    held = targets.arrays(converted(one, "keras"))
    assert {values.dtype for values in held.values()} == {np.dtype("f")}
    stored = one.weights["bias"].load().astype("f")
    np.testing.assert_array_equal(held["bias"][4:8], stored[8:12] + np.float32(1))


def test_a_wrapper_is_left_out_and_that_is_said():
    one = made("basic_lstm")
    more = {"output_projection": tensor("projection", np.ones((4, 2), "f"))}
    wrapper = output_projection(one.cell)
    wrapped = replace(one, cell=wrapper, weights={**one.weights, **more}, sizes={**one.sizes, "passed_size": 2})
    module = converted(wrapped, "torch")
    assert "what makes it BasicLSTM in OutputProjectionWrapper is not among them" in " ".join(module.notes)
    same(targets.ran(module, "torch", x()), targets.computed(one, x()))


def test_what_the_weights_leave_out_is_said():
    one = made("basic_lstm", residual=True)
    one = replace(one, feed=replace(one.feed, mask=Mask("input", 0.0)), direction="backward")
    notes = " ".join(converted(one, "torch").notes)
    for word in ("residual", "masked", "runs backward", "forget_bias = 1 (assumed) is in the bias of f"):
        assert word.replace("1 ", "1.0 ") in notes
    assert "is not in the bias" in " ".join(converted(one, "tf1").notes)


def test_the_reports_hold_what_is_written():
    one = made("basic_lstm", "rnn/cell")
    modules = convert(network(one), [one], "torch")
    arrays, calls = reported(modules)
    assert [(row["name"], tuple(row["shape"])) for row in arrays.rows] == list(shapes(modules[0]).items())
    assert arrays.rows[2]["from"] == "bias + forget_bias 1.0 in f"
    assert arrays.rows[3]["from"] == "zeros"
    assert calls.rows[0]["call"] == "torch.nn.LSTM(input_size=3, hidden_size=4)"
    assert calls.rows[0]["arguments"] == {"input_size": 3, "hidden_size": 4}


# Pairs and stacks ----------------------------------------------------------------------------------------------------

KNOWN = Feed(evidence="config")


def directions(name: str, cell: str = "keras_lstm", seed: int = 1, *sources: str, width: int = 3) -> list[Layer]:
    from . import models

    both = [
        models.layer(cell, f"{name}/{way}", input_size=width, seed=seed + k, feed=replace(KNOWN, sources=sources))
        if sources
        else models.layer(cell, f"{name}/{way}", input_size=width, seed=seed + k, feed=KNOWN)
        for k, way in enumerate(("forward", "backward"))
    ]
    return [both[0], replace(both[1], direction="backward")]


def through(layers: list[list[Layer]], given: np.ndarray) -> np.ndarray:
    for level in layers:
        given = np.concatenate([targets.computed(one, given) for one in level], axis=-1)
    return given


@pytest.mark.parametrize("layout", ["torch", "cudnn", "onnx"])
@pytest.mark.parametrize("cell", ["keras_lstm", "keras_gru_reset_after", "keras_simple_rnn"])
def test_a_pair_is_one_module(cell, layout):
    pair = directions("both", cell)
    (module,) = convert(network(*pair), pair, layout)
    assert (module.name, module.layers) == ("both", ("both/forward", "both/backward"))
    same(targets.ran(module, layout, x()), through([pair], x()))


@pytest.mark.parametrize("layout", ["torch", "cudnn"])
def test_a_stack_of_pairs_is_one_module(layout):
    below = directions("a")
    above = directions("b", "keras_lstm", 9, "a/forward", "a/backward", width=8)
    layers = [*below, *above]
    (module,) = convert(network(*layers), layers, layout)
    assert len(module.layers) == 4
    same(targets.ran(module, layout, x()), through([below, above], x()))
    assert [one.layers for one in convert(network(*layers), layers, "onnx")] == [
        ("a/forward", "a/backward"),
        ("b/forward", "b/backward"),
    ]
    assert len(convert(network(*layers), layers, "keras")) == 4


def stacked(**changes: object) -> list[Layer]:
    one = made("basic_lstm", "rnn/cell_0")
    from . import models

    two = models.layer("basic_lstm", "rnn/cell_1", input_size=4, seed=9)
    return [one, reads(two, one.name, **changes)]


@pytest.mark.parametrize("layout", ["torch", "cudnn"])
def test_a_stack_is_one_module(layout):
    layers = stacked()
    (module,) = convert(network(*layers), layers, layout)
    assert module.name == "rnn"
    assert any(name.endswith("_l1") for name in targets.arrays(module))
    same(targets.ran(module, layout, x()), through([[one] for one in layers], x()))
    backward = [replace(one, direction="backward") for one in layers]
    (module,) = convert(network(*backward), backward, layout)
    same(targets.ran(module, layout, x()), through([[one] for one in backward], x()))


def test_what_is_no_stack_stays_apart():
    one, two = stacked()
    residual = replace(one, options={**one.options, "residual": Value(True, "graph")})
    other = replace(two, options={**two.options, "activation": Value("relu", "flag")})
    reader = reads(replace(two, name="third"), one.name)
    turned = replace(two, direction="backward")
    for layers in ([residual, two], [one, turned], [one, two, reader]):
        assert len(convert(network(*layers), layers, "torch")) == len(layers)
    assert len(convert(network(one, other), [one], "torch")) == 1


def test_directions_that_are_read_apart_are_no_pair():
    """`bidirectional_dynamic_rnn` over stacks: each direction goes on by itself, and is a stack of its own."""
    forward, backward = directions("rnn")
    from . import models

    up, down = (
        models.layer("keras_lstm", f"rnn/{way}_1", input_size=4, feed=replace(KNOWN, sources=(f"rnn/{way}",)))
        for way in ("forward", "backward")
    )
    layers = [forward, backward, up, replace(down, direction="backward")]
    modules = convert(network(*layers), layers, "torch")
    assert [module.layers for module in modules] == [
        ("rnn/forward", "rnn/forward_1"),
        ("rnn/backward", "rnn/backward_1"),
    ]
    assert len({module.name for module in modules}) == 2


def test_two_layers_of_unknown_input_are_no_pair():
    one = made("keras_lstm", "encoder/lstm")
    other = replace(made("keras_lstm", "decoder/first/lstm"), direction="backward")
    assert len(convert(network(one, other), [one, other], "torch")) == 2
