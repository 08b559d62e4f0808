"""Question 4, of Keras: a model that today's Keras no longer opens is inspected and traced without the old code."""

from __future__ import annotations

import json
import os
import tarfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tf_keras

import rnnprobe

GENUINE = Path(__file__).parent.parent / "genuine" / "data"
CLOSE = {"rtol": 0, "atol": 1e-5}


def refused_by_keras_3(path):
    """Keras 3 can't load it: whatever it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ValueError, TypeError, AttributeError, KeyError, NotImplementedError)) as caught:
            keras.models.load_model(path, compile=False)
    return str(caught.value)


def case(release, name, folder):
    """A model that this release made, and what it computed."""
    with tarfile.open(GENUINE / f"{release}.tar.xz", "r:xz") as archive:
        wanted = [member for member in archive.getmembers() if member.name.startswith(f"{name}/")]
        archive.extractall(folder, members=wanted, filter="data")
    with np.load(folder / name / "expected.npz") as stored:
        return folder / name / "model.h5", dict(stored)


def test_4_time_major_in_an_old_configuration(tmp_path, run):
    """tf.keras wrote `time_major` into every LSTM; Keras 3 does not know the word."""
    model = tf_keras.Sequential(
        [
            tf_keras.layers.LSTM(4, return_sequences=True, name="below", input_shape=(5, 3)),
            tf_keras.layers.LSTM(3, name="above"),
            tf_keras.layers.Dense(2, name="head"),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that .h5 is legacy
        model.save(tmp_path / "old.h5")
    assert "time_major" in refused_by_keras_3(tmp_path / "old.h5")
    done = run("inspect", tmp_path / "old.h5", "--json")
    assert done.status == 0, done.err
    assert [row["layer"] for row in json.loads(done.out)["layers"]] == ["below", "above"]
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f")
    trace = rnnprobe.trace(tmp_path / "old.h5", x, record="all,output")
    np.testing.assert_allclose(trace.outputs["head"], model.predict(x, verbose=0), **CLOSE)


@pytest.mark.parametrize(
    ("release", "name", "writer", "cells"),
    [
        ("keras1.0.8", "nested", "Keras 1.0.8", ["keras1_lstm", "keras1_gru"]),
        ("keras1.2.2", "embedding_lstm_dense", "Keras 1.2.2", ["keras1_lstm", "keras1_lstm"]),
        ("keras2.2.4", "cudnn", "Keras 2.2.4", ["keras_cudnn_lstm", "keras_cudnn_gru", "keras_cudnn_gru"]),
        ("tf.keras-1.15", "stacked_cells", "Keras 2.2.4-tf", None),
    ],
)
def test_4_layers_that_are_gone(tmp_path, run, release, name, writer, cells):
    """Separate gate arrays of Keras 1, cuDNN layers, the cells of TensorFlow 1.15: read, and run, as they are."""
    path, expected = case(release, name, tmp_path)
    refused_by_keras_3(path)
    done = run("inspect", path, "--json")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert writer in json.dumps(report["file"])
    if cells is not None:
        assert sorted(row["cell"] for row in report["layers"]) == sorted(cells)
    x = next(array for key, array in expected.items() if key.startswith("x/"))
    y = next(array for key, array in expected.items() if key.startswith("y/"))
    trace = rnnprobe.trace(path, x, record="h,output")
    (got,) = trace.outputs.values()
    np.testing.assert_allclose(got, y, **CLOSE)
