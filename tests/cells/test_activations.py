"""Each activation over both namespaces against Keras 3 and tf_keras, by the names that they give it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from rnnprobe.cells.activations import ACTIVATIONS, ALONG_UNITS, RANGES
from rnnprobe.cells.namespace import NumPy

EDGES = [-1e4, -100.0, -1.0, -0.5, -0.0, 0.5, 1.0, 3.0, 2.5, -3.0, -2.5, 6.0, 100.0, 1e4]

# By another name, or with an argument; all others are called as here.
KERAS_3 = {"hard_sigmoid_keras3": "hard_sigmoid", "gelu_approximate": ("gelu", {"approximate": True})}
TF_KERAS = {"gelu_approximate": ("gelu", {"approximate": True})}
OWN_MEANING = {"hard_sigmoid": "Keras 3 has another"}


def values() -> np.ndarray:
    """`[samples, units]`: all over the range, and where the pieces of the functions meet."""
    dense = np.linspace(-8, 8, 1601)
    return np.concatenate([dense, EDGES]).reshape(-1, 5).astype("f")


def genuine(name: str) -> list:
    """What the two Kerases call so."""
    import keras
    import tf_keras

    found = []
    for module, names in ((keras, KERAS_3), (tf_keras, TF_KERAS)):
        if module is keras and name in OWN_MEANING:
            continue
        called = names.get(name, name)
        word, arguments = called if isinstance(called, tuple) else (called, {})
        function = getattr(module.activations, word, None)
        if function is not None:
            found.append(partial(function, **arguments))
    return found


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_as_keras_computes_it(name):
    import tensorflow as tf

    from rnnprobe.engine.namespace import TensorFlow

    a = values()
    if name == "exponential":
        a = a[np.abs(a).max(axis=1) < 80]
    ours = [ACTIVATIONS[name](NumPy, a), np.asarray(ACTIVATIONS[name](TensorFlow, tf.constant(a)))]
    found = genuine(name)
    assert found or name == "relu6", "neither Keras knows it"
    for function in found or [tf.nn.relu6]:
        expected = np.asarray(function(tf.constant(a)))
        for one in ours:
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, expected, rtol=2e-6, atol=2e-6)


def test_no_name_of_either_keras_is_forgotten():
    """Those that are left out are so for a reason: see `rnnprobe.cells.activations`."""
    import keras
    import tf_keras

    names = {name for module in (keras, tf_keras) for name in dir(module.activations) if not name.startswith("_")}
    helpers = {"get", "serialize", "deserialize"}
    left_out = {"glu", "sparsemax", "threshold"}
    aliases = {"silu", "hard_swish"}
    assert names - helpers - left_out - aliases <= set(ACTIVATIONS)


@pytest.mark.parametrize("name", RANGES)
def test_bounds_hold_and_are_reached(name):
    low, high = RANGES[name]
    a = values()
    got = ACTIVATIONS[name](NumPy, a)
    assert low <= got.min() <= low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) <= got.max() <= high


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - ALONG_UNITS))
def test_the_others_look_at_one_unit_at_a_time(name):
    a = values()[100:200]
    apart = np.concatenate([ACTIVATIONS[name](NumPy, column) for column in np.split(a, 5, axis=-1)], axis=-1)
    np.testing.assert_array_equal(apart, ACTIVATIONS[name](NumPy, a))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_those_of_all_units_do_not(name):
    a = values()[100:200]
    apart = np.concatenate([ACTIVATIONS[name](NumPy, column) for column in np.split(a, 5, axis=-1)], axis=-1)
    assert np.abs(apart - ACTIVATIONS[name](NumPy, a)).min() > 0.01
