"""Keras's own layers made from plain data: every class of the table, and everything that must be refused."""

from __future__ import annotations

import numpy as np
import pytest

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.namespace import NumPy
from rnnprobe.engine.builtin import Runner
from rnnprobe.engine.keras_classes import activation, keras, tf
from rnnprobe.errors import BadInput
from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.types import KerasCall, KerasLayer

from ..cells.made import tensor

RANDOM = np.random.default_rng(8)
KERNEL = RANDOM.normal(size=(3, 4)).astype("f")
BIAS = RANDOM.normal(size=4).astype("f")
X = RANDOM.normal(size=(2, 5, 3)).astype("f")

_CONV = {"filters": 2, "activation": "relu", "padding": "same"}
_RUN = {"units": 4, "return_sequences": True, "zero_output_for_mask": True, "go_backwards": False}
# Class → arguments and the shapes of its inputs, the batch's axis left out.
CASES: dict[str, tuple[dict, list[tuple[int, ...]]]] = {
    "Embedding": ({"input_dim": 5, "output_dim": 2, "mask_zero": True}, [(5,)]),
    "Masking": ({"mask_value": 0.0}, [(5, 3)]),
    "Identity": ({}, [(5, 3)]),
    "Dense": ({"units": 4, "activation": "tanh", "use_bias": True}, [(5, 3)]),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": [None, 4], "bias_axes": "d"}, [(5, 3)]),
    "Activation": ({"activation": "swish"}, [(5, 3)]),
    "Softmax": ({"axis": -1}, [(5, 3)]),
    "LeakyReLU": ({"negative_slope": 0.3}, [(5, 3)]),
    "PReLU": ({"shared_axes": [1]}, [(5, 3)]),
    "ELU": ({"alpha": 0.5}, [(5, 3)]),
    "ReLU": ({"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.2}, [(5, 3)]),
    "ThresholdedReLU": ({"theta": 0.5}, [(5, 3)]),
    "Conv1D": ({**_CONV, "kernel_size": [3], "groups": 1}, [(5, 3)]),
    "Conv2D": ({**_CONV, "kernel_size": [3, 2], "data_format": "channels_last"}, [(5, 4, 3)]),
    "Conv3D": ({**_CONV, "kernel_size": 2}, [(5, 4, 4, 3)]),
    "Conv1DTranspose": ({**_CONV, "kernel_size": 3, "strides": 2}, [(5, 3)]),
    "Conv2DTranspose": ({**_CONV, "kernel_size": 3, "strides": 2}, [(5, 4, 3)]),
    "Conv3DTranspose": ({**_CONV, "kernel_size": 2}, [(3, 3, 3, 2)]),
    "SeparableConv1D": ({**_CONV, "kernel_size": 3, "depth_multiplier": 2}, [(5, 3)]),
    "SeparableConv2D": ({**_CONV, "kernel_size": 3}, [(5, 4, 3)]),
    "DepthwiseConv1D": ({"kernel_size": 3, "depth_multiplier": 2}, [(5, 3)]),
    "DepthwiseConv2D": ({"kernel_size": [3, 3]}, [(5, 4, 3)]),
    **{f"{kind}Pooling1D": ({"pool_size": 2, "strides": None}, [(5, 3)]) for kind in ("Max", "Average")},
    **{f"{kind}Pooling2D": ({"pool_size": [2, 2]}, [(5, 4, 3)]) for kind in ("Max", "Average")},
    **{f"{kind}Pooling3D": ({"pool_size": 2}, [(4, 4, 4, 3)]) for kind in ("Max", "Average")},
    **{f"Global{kind}Pooling1D": ({"keepdims": False}, [(5, 3)]) for kind in ("Max", "Average")},
    **{f"Global{kind}Pooling2D": ({}, [(5, 4, 3)]) for kind in ("Max", "Average")},
    **{f"Global{kind}Pooling3D": ({}, [(4, 4, 4, 3)]) for kind in ("Max", "Average")},
    "BatchNormalization": ({"axis": -1, "epsilon": 1e-3, "center": True, "scale": True}, [(5, 3)]),
    "LayerNormalization": ({"axis": [-1]}, [(5, 3)]),
    "GroupNormalization": ({"groups": 3}, [(5, 3)]),
    "UnitNormalization": ({"axis": -1}, [(5, 3)]),
    "RMSNormalization": ({"epsilon": 1e-6}, [(5, 3)]),
    "Normalization": ({"axis": -1}, [(5, 3)]),
    "Rescaling": ({"scale": 0.5, "offset": [1.0, 2.0, 3.0]}, [(5, 3)]),
    "Flatten": ({"data_format": "channels_last"}, [(5, 3)]),
    "Reshape": ({"target_shape": [3, 5]}, [(5, 3)]),
    "Permute": ({"dims": [2, 1]}, [(5, 3)]),
    "RepeatVector": ({"n": 4}, [(3,)]),
    "Cropping1D": ({"cropping": [1, 1]}, [(5, 3)]),
    "Cropping2D": ({"cropping": [[1, 1], [0, 1]]}, [(5, 4, 3)]),
    "Cropping3D": ({"cropping": 1}, [(4, 4, 4, 3)]),
    "UpSampling1D": ({"size": 2}, [(5, 3)]),
    "UpSampling2D": ({"size": [2, 2], "interpolation": "bilinear"}, [(5, 4, 3)]),
    "UpSampling3D": ({"size": 2}, [(2, 2, 2, 3)]),
    "ZeroPadding1D": ({"padding": [1, 0]}, [(5, 3)]),
    "ZeroPadding2D": ({"padding": [[1, 0], [0, 2]]}, [(5, 4, 3)]),
    "ZeroPadding3D": ({"padding": 1}, [(2, 2, 2, 3)]),
    "Concatenate": ({"axis": -1}, [(5, 3), (5, 2)]),
    **{name: ({}, [(5, 3), (5, 3)]) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    "Dot": ({"axes": [2, 2], "normalize": False}, [(5, 3), (4, 3)]),
    "Attention": ({"use_scale": True, "score_mode": "dot"}, [(5, 3), (4, 3)]),
    "AdditiveAttention": ({"use_scale": True}, [(5, 3), (4, 3)]),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, [(5, 4), (6, 4)]),
    "SimpleRNN": ({**_RUN, "activation": "relu"}, [(5, 3)]),
    "LSTM": ({**_RUN, "recurrent_activation": "hard_sigmoid"}, [(5, 3)]),
    "GRU": ({**_RUN, "reset_after": False}, [(5, 3)]),
    "ConvLSTM1D": ({"filters": 2, "kernel_size": 3}, [(5, 6, 3)]),
    "ConvLSTM2D": ({"filters": 2, "kernel_size": [3, 3], "padding": "same"}, [(5, 6, 4, 3)]),
    "ConvLSTM3D": ({"filters": 2, "kernel_size": 2}, [(3, 4, 4, 4, 2)]),
}
WRAPPERS = {
    "TimeDistributed",
    "Model",
    "RNN",
    "Bidirectional",
    "SimpleRNNCell",
    "LSTMCell",
    "GRUCell",
    "StackedRNNCells",
}


def dense(**config) -> KerasLayer:
    return KerasLayer("Dense", {"units": 4, **config}, (tensor("kernel", KERNEL), tensor("bias", BIAS)))


def run(layer: KerasLayer, *inputs, mask=None, dtype="float32"):
    return Runner(layer, dtype)(inputs, mask)[0].numpy()


def weights(layer: KerasLayer, inputs) -> list[np.ndarray]:
    """Positive weights of the shapes that Keras asks for."""
    runner = Runner(layer, "float32")
    runner.made(inputs[0] if len(inputs) == 1 else list(inputs)) if layer.class_name != "MultiHeadAttention" else (
        runner.made(*inputs)
    )
    return [RANDOM.uniform(0.2, 0.8, w.shape).astype("f") for w in runner.made.weights]


def test_every_class_of_the_table_is_tried():
    assert set(CASES) | WRAPPERS == set(KINDS)


@pytest.mark.parametrize("name", CASES)
def test_every_class_runs_with_stored_weights(name):
    config, shapes = CASES[name]
    inputs = [RANDOM.normal(size=(2, *shape)).astype("f") for shape in shapes]
    inputs = [RANDOM.integers(0, 5, (2, 5))] if name == "Embedding" else inputs
    stored = weights(KerasLayer(name, config), inputs)
    layer = KerasLayer(name, config, tuple(tensor(str(k), array) for k, array in enumerate(stored)))
    runner = Runner(layer, "float32")
    (shape,) = runner.output_shapes([one.shape for one in inputs])
    result = runner(inputs)[0]
    assert tuple(result.shape) == shape
    assert np.isfinite(result).all()
    for held, array in list(zip(runner.made.weights, stored, strict=True))[: 2 if name == "Normalization" else None]:
        np.testing.assert_array_equal(held.numpy(), array)


def test_dense_and_wrappers_in_numpy():
    expected = X @ KERNEL + BIAS
    np.testing.assert_allclose(run(dense(), X), expected, atol=1e-6)
    np.testing.assert_allclose(run(KerasLayer("TimeDistributed", {}, inner=(dense(),)), X), expected, atol=1e-6)
    shared = dense()
    calls = (
        KerasCall("a", shared, (("x", 0),)),
        KerasCall("b", shared, (("y", 0),)),
        KerasCall("both", KerasLayer("Subtract", {}), (("a", 0), ("b", 0))),
    )
    model = KerasLayer("Model", {}, calls=calls, results=(("both", 0), ("a", 0)), inputs=("x", "y"))
    both, first = Runner(model, "float32")([X, X[::-1]])
    np.testing.assert_allclose(both, expected - expected[::-1], atol=1e-6)
    np.testing.assert_allclose(first, expected, atol=1e-6)
    assert Runner(model, "float32").output_shapes([(None, 5, 3), (None, 5, 3)]) == [(None, 5, 4), (None, 5, 4)]
    each = KerasLayer("Model", {}, calls=calls[:1], results=(("a", 0),), inputs=("x",))
    np.testing.assert_allclose(run(KerasLayer("TimeDistributed", {}, inner=(each,)), X), expected, atol=1e-6)


def test_normalizations_in_numpy():
    gamma, beta, mean = (RANDOM.normal(size=3).astype("f") for _ in range(3))
    variance = RANDOM.uniform(0.5, 2, 3).astype("f")
    names = ("gamma", "beta", "mean", "variance")
    stored = tuple(tensor(n, a) for n, a in zip(names, (gamma, beta, mean, variance), strict=True))
    layer = KerasLayer("BatchNormalization", {"epsilon": 0.01}, stored)
    np.testing.assert_allclose(run(layer, X), gamma * (X - mean) / np.sqrt(variance + 0.01) + beta, atol=1e-5)
    # Keras 2 stored a count behind the mean and the variance.
    layer = KerasLayer("Normalization", {"axis": -1}, (*stored[2:], tensor("count", np.array(3))))
    np.testing.assert_allclose(run(layer, X), (X - mean) / np.sqrt(variance), atol=1e-5)


def test_float64_is_computed_as_such():
    x = RANDOM.normal(size=(2, 3))
    kernel = RANDOM.normal(size=(3, 4))
    layer = KerasLayer("Dense", {"units": 4, "use_bias": False}, (tensor("kernel", kernel),))
    np.testing.assert_allclose(run(layer, x, dtype="float64"), x @ kernel, rtol=0, atol=1e-14)


def test_the_mask_reaches_what_takes_one():
    mask = np.array([[True, True, False, False, False], [True] * 5])
    mean = run(KerasLayer("GlobalAveragePooling1D", {}), X, mask=mask)
    np.testing.assert_allclose(mean, [X[0, :2].mean(0), X[1].mean(0)], atol=1e-6)
    np.testing.assert_array_equal(run(KerasLayer("Flatten", {}), X, mask=mask), X.reshape(2, 15))
    pooling = KerasLayer("GlobalAveragePooling1D", {})
    inside = KerasLayer("Model", {}, calls=(KerasCall("a", pooling, (("x", 0),)),), results=(("a", 0),), inputs=("x",))
    np.testing.assert_allclose(run(inside, X, mask=[mask]), mean, atol=1e-6)
    query = RANDOM.normal(size=(2, 4, 3)).astype("f")
    attention = KerasLayer("Attention", {"use_scale": False})
    masked = run(attention, query, X, mask=[None, mask])
    np.testing.assert_allclose(masked[:1], run(attention, query[:1], X[:1, :2]), atol=1e-5)


def test_identity_gives_its_input():
    np.testing.assert_array_equal(run(KerasLayer("Identity", {}), X), X)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_the_cells(name):
    x = np.linspace(-4, 4, 41, dtype="f").reshape(1, 41)
    expected = ACTIVATIONS[name](NumPy, x)
    np.testing.assert_allclose(np.asarray(activation(name)(tf.constant(x))), expected, rtol=1e-5, atol=1e-5)


def test_hard_sigmoid_is_that_of_the_release():
    x = tf.constant([1.0])
    assert float(activation("hard_sigmoid")(x)[0]) == pytest.approx(0.7)
    assert float(activation("hard_sigmoid_keras3")(x)[0]) == pytest.approx(1 / 6 + 0.5)


def test_axes_of_one_element_may_be_missing():
    """Keras 1 stored the kernel of a one-dimensional convolution with an axis more."""
    kernel = RANDOM.normal(size=(3, 3, 2)).astype("f")
    config = {"filters": 2, "kernel_size": 3, "use_bias": False}
    now = run(KerasLayer("Conv1D", config, (tensor("k", kernel),)), X)
    then = run(KerasLayer("Conv1D", config, (tensor("k", kernel[:, None]),)), X)
    np.testing.assert_array_equal(now, then)


def test_a_runner_in_a_function_of_tensorflow():
    runner = Runner(dense(), "float32")
    result = tf.function(lambda x: runner([x])[0])(X)
    np.testing.assert_allclose(result, X @ KERNEL + BIAS, atol=1e-6)


def test_no_name_of_the_file_becomes_one_of_keras():
    runner = Runner(KerasLayer("Dense", {"units": 4}, (tensor("evil/../name", KERNEL), tensor("b", BIAS))), "float32")
    runner([X])
    assert "evil" not in runner.made.name + "".join(weight.path for weight in runner.made.weights)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (KerasLayer("Lambda", {"function": "x"}), "'Lambda' is none of the Keras layers"),
        (KerasLayer("__init__", {}), "none of the Keras layers"),
        (KerasLayer("StringLookup", {"vocabulary": "/etc/passwd"}), "none of the Keras layers"),
        (dense(kernel_initializer="zeros"), "is given 'kernel_initializer'"),
        (dense(name="x"), "is given 'name'"),
        (KerasLayer("Dense", {"units": {"class_name": "Lambda"}}), "expected numbers, words and lists"),
        (KerasLayer("Dense", {"units": 4, "activation": "subprocess.run"}), "no activation is called"),
        (KerasLayer("Dense", {"units": 4, "activation": "__import__"}), "no activation is called"),
        (KerasLayer("Dense", {"units": -1}), "makes no Dense"),
        (KerasLayer("Conv1D", {"filters": 2, "kernel_size": "big"}), "makes no Conv1D"),
    ],
)
def test_what_is_refused(layer, message):
    with pytest.raises(BadInput, match=message):
        Runner(layer, "float32")


def test_wrong_weights_and_inputs_are_refused():
    with pytest.raises(BadInput, match=r"expected \[\[3, 4\], \[4\]\], found \[\[3, 4\]\]"):
        run(KerasLayer("Dense", {"units": 4}, (tensor("k", KERNEL),)), X)
    with pytest.raises(BadInput, match=r"expected \[\[3, 4\], \[4\]\], found \[\[4, 3\], \[4\]\]"):
        run(KerasLayer("Dense", {"units": 4}, (tensor("k", KERNEL.T.copy()), tensor("b", BIAS))), X)
    with pytest.raises(BadInput, match="Conv1D can't run on this"):
        run(KerasLayer("Conv1D", {"filters": 2, "kernel_size": 3}), X[0])


def test_keras_runs_on_tensorflow():
    assert keras.config.backend() == "tensorflow"
