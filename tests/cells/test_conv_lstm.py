"""Convolutional layers against genuine ones: every signal at every step, and what genuine frameworks stored."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnprobe
from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.conv_lstm import CONV_LSTMS, KERAS_CONV_LSTM_1D, KERAS_CONV_LSTM_2D, KERAS_CONV_LSTM_3D
from rnnprobe.cells.layers import handed_on, output_shape, signal_shapes, step_shape, taken_up
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble, slices
from rnnprobe.cells.sonnet1_conv_lstm import SONNET1_CONV_LSTMS
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.cells import layer as from_config
from rnnprobe.recover.keras.config import era
from rnnprobe.recover.keras.store import CellWeights
from rnnprobe.types import Candidate, Feed, Layer, Value

from ..conftest import DATA
from .made import layer, shape

RANDOM = np.random.default_rng(11)
KERAS = {1: KERAS_CONV_LSTM_1D, 2: KERAS_CONV_LSTM_2D, 3: KERAS_CONV_LSTM_3D}


def run(made: Layer, x: np.ndarray) -> dict[str, np.ndarray]:
    """The layer over `x` `[batch, time, *shape]` in NumPy: signal → `[batch, time, *space, units]`."""
    made = replace(made, space=made.cell.space(x.shape[2:], made.sizes, made.settings))
    w, options, cell = assemble(made), made.settings, made.cell
    z = cell.project(NumPy, w, x.swapaxes(0, 1), options)
    shapes = {name: shape for name, shape in signal_shapes(made).items() if name in cell.states}
    begin = cell.start(w, shapes) if cell.start else {}
    state = {name: np.zeros((len(x), *shape), "f") + begin.get(name, 0) for name, shape in shapes.items()}
    steps = []
    for one in z:
        steps.append(cell.step(NumPy, w, one, state, options))
        state = {name: steps[-1][name] for name in cell.states}
    return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}


# convolve ------------------------------------------------------------------------------------------------------------


# Axes of space, stride and dilation (Keras allows no dilation beside a stride), padding.
CONVOLUTIONS = [
    (axes, stride, dilation, padding)
    for axes in (1, 2, 3)
    for stride, dilation in ((1, 1), (2, 1), (3, 1), (1, 2))
    for padding in ("same", "valid")
]


@pytest.mark.parametrize(("axes", "stride", "dilation", "padding"), CONVOLUTIONS)
def test_convolve_over_both_namespaces(axes, stride, dilation, padding):
    """Against TensorFlow's own convolution, with time and batch in front, and inside a graph of unknown extents."""
    import tensorflow as tf

    from rnnprobe.engine.namespace import TensorFlow

    a = RANDOM.normal(size=(2, 3, *(7, 6, 5)[:axes], 2)).astype("f")
    kernel = RANDOM.normal(size=(*(3, 2, 2)[:axes], 2, 4)).astype("f")
    steps, spread = (stride,) * axes, (dilation,) * axes
    whole = a.reshape(6, *a.shape[2:])
    expected = np.asarray(tf.nn.convolution(whole, kernel, steps, padding.upper(), dilations=spread))
    expected = expected.reshape(2, 3, *expected.shape[1:])
    np.testing.assert_allclose(NumPy.convolve(a, kernel, steps, padding, spread), expected, rtol=0, atol=1e-5)

    def graph(a: Any) -> Any:
        return TensorFlow.convolve(a, tf.constant(kernel), steps, padding, spread)

    open_graph = tf.function(graph, input_signature=[tf.TensorSpec([None] * (axes + 2) + [2])], autograph=False)
    for function in (graph, open_graph):
        np.testing.assert_allclose(function(tf.constant(a)), expected, rtol=0, atol=1e-5)
    assert graph(tf.constant(a)).shape == expected.shape


def test_the_other_functions_of_both_namespaces():
    import tensorflow as tf

    from rnnprobe.engine.namespace import TensorFlow

    a = RANDOM.normal(size=(2, 3, 4, 5)).astype("f")
    for source, destination in itertools.product(range(-4, 4), repeat=2):
        expected = NumPy.moveaxis(a, source, destination)
        np.testing.assert_array_equal(TensorFlow.moveaxis(tf.constant(a), source, destination), expected)
    for name in ("sum", "max"):
        expected = getattr(NumPy, name)(a)
        assert expected.shape == (2, 3, 4, 1)
        np.testing.assert_allclose(getattr(TensorFlow, name)(tf.constant(a)), expected, rtol=1e-6)


# Genuine layers ------------------------------------------------------------------------------------------------------

ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"padding": "same"},
    {"strides": 2},
    {"strides": 2, "padding": "same"},
    {"dilation_rate": 2},
    {"dilation_rate": 2, "padding": "same"},
    {"data_format": "channels_first"},
    {"data_format": "channels_first", "padding": "same", "strides": 2},
    {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
    {"use_bias": False},
]


# Keras 3 compiles each convolution with channels first anew, for seconds in three axes; tf_keras stands in for it.
GENUINE = [
    (module, axes, arguments)
    for module in ("keras", "tf_keras")
    for axes in (1, 2, 3)
    for arguments in ARGUMENTS
    if (module, axes, arguments.get("data_format")) != ("keras", 3, "channels_first")
]


@pytest.mark.parametrize(("module", "axes", "arguments"), GENUINE, ids=str)
def test_every_signal_of_an_instrumented_keras_layer(module, axes, arguments):
    """The layer's own cell is stepped; its activations are wrapped, and note what they are given and return."""
    genuine = pytest.importorskip(module)
    noted: list[tuple[np.ndarray, np.ndarray]] = []

    def noting(name: str) -> Any:
        function = genuine.activations.get(name)

        def wrapped(a: Any) -> Any:
            noted.append((np.asarray(a), np.asarray(function(a))))
            return function(a)

        return wrapped

    psi, phi = arguments.get("recurrent_activation", "sigmoid"), arguments.get("activation", "tanh")
    own = {**arguments, "activation": noting(phi), "recurrent_activation": noting(psi)}
    keras_layer = getattr(genuine.layers, f"ConvLSTM{axes}D")(4, (2, 3, 2)[-axes:], return_sequences=True, **own)
    options = {key: value for key, value in arguments.items() if key != "use_bias"}
    if module == "keras" and psi == "hard_sigmoid":
        options["recurrent_activation"] = "hard_sigmoid_keras3"
    made = layer(KERAS[axes], optional="use_bias" not in arguments, **{"recurrent_activation": psi} | options)
    x = RANDOM.normal(size=(2, 3, *shape(made))).astype("f")
    keras_layer.build(x.shape)
    keras_layer.set_weights([w.load() for w in made.weights.values()])
    ours = run(made, x)
    assert ours["h"].shape[2:-1] == made.space
    states = [np.zeros((2, *output_shape(made)), "f")] * 2
    for t in range(3):
        noted.clear()
        output, states = keras_layer.cell(x[:, t], states)
        (i_pre, i), (f_pre, f), (g_pre, g), (o_pre, o), _ = noted
        given = {"i": i, "f": f, "g": g, "o": o, "i_pre": i_pre, "f_pre": f_pre, "g_pre": g_pre, "o_pre": o_pre}
        for name, array in {**given, "h": output, "c": states[1]}.items():
            np.testing.assert_allclose(
                handed_on(NumPy, made, ours[name][:, t]), np.asarray(array), rtol=0, atol=5e-6, err_msg=f"{name} at {t}"
            )


def test_data_formats_are_each_other_undone():
    made = layer(KERAS_CONV_LSTM_2D, data_format="channels_first")
    assert shape(made) == (3, 5, 4)
    a = RANDOM.normal(size=(2, 7, *made.space, 4)).astype("f")
    assert handed_on(NumPy, made, a).shape == (2, 7, 4, *made.space) == (2, 7, *output_shape(made))
    np.testing.assert_array_equal(taken_up(NumPy, made, handed_on(NumPy, made, a)), a)
    last = layer(KERAS_CONV_LSTM_2D)
    assert handed_on(NumPy, last, a) is a
    assert step_shape(last) == (None, None, 3)


def test_steps_smaller_than_the_kernel():
    made = layer(KERAS_CONV_LSTM_2D)
    with pytest.raises(BadInput, match="2 × 4 are smaller than the kernel, which spans 3 × 2"):
        made.cell.space((2, 4, 3), made.sizes, made.settings)


@pytest.mark.parametrize("value", [0, -1, 1.5, (2,), (1, 2, 2), (1, 0), "2", float("inf")])
def test_what_is_no_number_for_each_axis(value):
    made = layer(KERAS_CONV_LSTM_2D)
    with pytest.raises(BadInput, match="expected a positive whole number, or one for each of 2 axes"):
        made.cell.space((5, 4, 3), made.sizes, {**made.settings, "strides": value})


def test_strides_beside_dilation():
    made = layer(KERAS_CONV_LSTM_2D)
    with pytest.raises(BadInput, match="strides are 2 × 1 and dilation_rate is 1 × 2"):
        made.cell.space((5, 4, 3), made.sizes, {**made.settings, "strides": (2, 1), "dilation_rate": (1, 2)})


# What was stored -----------------------------------------------------------------------------------------------------

CASES = sorted(path.parent for path in (DATA / "conformance").glob("*/conv*/case.json"))


FILES = [
    pytest.param(path.with_suffix("") if path.suffix == ".index" else path, id="-".join(path.parts[-3:]))
    for case in CASES
    for path in sorted(case.iterdir())
    if path.suffix in (".h5", ".keras", ".index")
]


def test_every_cell_has_a_golden():
    held = {la.cell.name for param in FILES for la in rnnprobe.open(param.values[0]).layers}
    assert held == {cell.name for cell in (*CONV_LSTMS, *SONNET1_CONV_LSTMS)}


@pytest.mark.parametrize("path", FILES)
def test_what_the_release_computed(path, tmp_path):
    """The states of every step, and the outputs, in NumPy."""
    data = dict(np.load(path.parent / "data.npz"))
    network = rnnprobe.open(path)
    if path.name in ("weights_only.h5", "w.weights.h5", "tfw"):
        spatial = [option for la in network.layers for name, option in la.options.items() if name != "residual"]
        assert {option.evidence for option in spatial} == {"assumed"}
        case = json.loads((path.parent / "case.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(case["config"]))
        network = rnnprobe.open(path, config=tmp_path / "config.json")
    x = data["x"]
    for made in network.layers:
        recorded = run(made, x[:, ::-1] if made.direction == "backward" else x)
        emitted = recorded[made.cell.emits]
        x = handed_on(NumPy, replace(made, space=emitted.shape[3:]), emitted)
    expected = data["y"] if "y" in data else data["out0"]
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-5)
    for name, array in data.items():
        if name.startswith("step"):
            t, k = (int(number) for number in re.findall(r"\d+", name))
            state = network.layers[-1].cell.states[k]
            np.testing.assert_allclose(recorded[state][:, t], array, rtol=0, atol=1e-5, err_msg=name)


def test_a_kernel_is_cut_by_gate_along_its_last_axes():
    made = layer(CONV_LSTMS[1])
    assert made.cell.name == "conv_lstm_2d"
    stored = made.weights["kernel"].load()
    blocks = {(block.part, block.gate): block for block in slices(made)}
    np.testing.assert_array_equal(blocks["kernel", "g"].load(), stored[:, :, :3, 4:8])
    np.testing.assert_array_equal(blocks["recurrent_kernel", "f"].load(), stored[:, :, 3:, 8:12])
    assembled = assemble(made)
    assert assembled["kernel"].shape == (3, 2, 3, 16)
    np.testing.assert_array_equal(assembled["recurrent_kernel"][..., 4:8], stored[:, :, 3:, 8:12])


def test_the_option_without_numbers_for_each_axis():
    """What the engine gets for `--strides 2` and for a configuration's list is the same."""
    one, each = (layer(KERAS_CONV_LSTM_2D, strides=value) for value in (2.0, (2, 2)))
    x = RANDOM.normal(size=(2, 2, *shape(one))).astype("f")
    np.testing.assert_array_equal(run(one, x)["h"], run(each, x)["h"])
    assert set(ACTIVATIONS) >= set(one.cell.options[0].choices)


# Configurations ------------------------------------------------------------------------------------------------------


def configured(config: dict[str, Any], class_name: str = "ConvLSTM2D", version: str = "3.3.3") -> Layer | Candidate:
    """The layer of a configuration beside the weights of a kernel of 3 × 2, 3 channels and 4 units."""
    made = layer(KERAS_CONV_LSTM_2D)
    held = CellWeights("scope", {weight.role: made.weights[weight.role] for weight in made.cell.weights})
    return from_config("x", class_name, config, held, era(version), "forward", Feed())


def test_the_defaults_of_each_era():
    for version, expected in {"1.2.2": "hard_sigmoid", "2.9.0": "hard_sigmoid", "3.15.0": "sigmoid"}.items():
        made = configured({}, version=version)
        assert made.options["recurrent_activation"] == Value(expected, "assumed")
        assert made.options["padding"] == Value("valid", "assumed")
    made = configured({"recurrent_activation": "hard_sigmoid", "strides": [2, 1], "padding": "same"})
    assert made.settings["recurrent_activation"] == "hard_sigmoid_keras3"
    assert made.options["strides"] == Value((2, 1), "config")
    assert configured({"strides": 2}).settings["strides"] == (2, 2)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"filters": 5}, "5 units, its weights .* are of 4"),
        ({"kernel_size": [3, 3]}, r"kernel_size of \[3, 3\], its weights .* have \[3, 2\]"),
        ({"kernel_size": [3]}, r"kernel_size of \[3\]"),
        ({"build_config": {"input_shape": [None, 5, 8, 8, 7]}}, "7 features, its weights .* take 3"),
        (
            {"build_config": {"input_shape": [None, 5, 7, 8, 8]}, "data_format": "channels_first"},
            "7 features, its weights .* take 3",
        ),
    ],
)
def test_contradictions(config, words):
    with pytest.raises(BadInput, match=words):
        configured(config)


def test_another_rank():
    with pytest.raises(BadInput, match=r"ConvLSTM3D, whose shapes kernel .* are not"):
        configured({}, "ConvLSTM3D")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"strides": [2]}, r"its strides is \[2\], expected 2 positive numbers"),
        ({"strides": [0, 1]}, r"its strides is \[0, 1\]"),
        ({"dilation_rate": "two"}, "its dilation_rate is 'two'"),
        ({"padding": "causal"}, "its padding is 'causal', expected valid, same"),
        ({"data_format": ["x"]}, r"its data_format is \['x'\]"),
        ({"data_format": "channels_first", "activation": "softmax"}, "along the last axis of space"),
        ({"dim_ordering": "th"}, "which way round they are meant"),
    ],
)
def test_what_is_not_rebuilt(config, words):
    found = configured(config)
    assert isinstance(found, Candidate)
    assert re.search(words, found.reason)
