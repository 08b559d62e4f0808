"""Checkpoints made and run by the genuine TensorFlow 1 API, `tf.compat.v1` over tf_keras."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def saved(folder: Path, build: Callable[[], Any], feed: dict[str, Any] | None = None, seed: int = 7) -> Any:
    """Builds a graph, gives its variables seeded random values, saves `folder/model.ckpt`, and runs what was built.

    Args:
        folder: an existing directory.
        build: makes the graph and returns the tensors to fetch.
        feed: placeholder name → value.
        seed: of the random values.

    Returns:
        The fetched values, in the structure that `build` returned.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        fetches = build()
        random = np.random.default_rng(seed)
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            if variable.dtype.base_dtype.is_floating:
                variable.load(random.normal(0, 0.5, variable.shape).astype(variable.dtype.as_numpy_dtype), session)
        v1.train.Saver().save(session, str(folder / "model.ckpt"))
        return session.run(fetches, {f"{name}:0": value for name, value in (feed or {}).items()})


def sequences(batch: int, steps: int, features: int, seed: int = 1) -> np.ndarray:
    """Random floats `[batch, steps, features]`."""
    return np.random.default_rng(seed).normal(size=(batch, steps, features)).astype("f")
