"""Small Keras models for the tests: configurations as JSON, saved beside weights of the shapes that they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rnnprobe.formats.keras_hdf5 import KERAS_HDF5
from rnnprobe.formats.keras_zip import KERAS_ZIP
from rnnprobe.recover.keras import recover
from rnnprobe.types import Network

DATA = Path(__file__).parent.parent / "data" / "keras"
Json = dict[str, Any]


def cell(kind: str, inputs: int, units: int, rows: tuple[int, ...] = (1,)) -> dict[str, tuple[int, ...]]:
    """Leaf → shape of a Keras 2 layer; `rows` are the bias's, as multiples of the gates' width."""
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind] * units
    bias = (*rows[:-1], rows[-1] * gates)
    return {"kernel": (inputs, gates), "recurrent_kernel": (units, gates), "bias": bias}


def layer(class_name: str, name: str, inbound: Any = None, **config: Any) -> Json:
    found: Json = {"class_name": class_name, "config": {"name": name, **config}, "name": name}
    if inbound is not None:
        found["inbound_nodes"] = [[[source, 0, 0, {}] for source in inbound]] if inbound else []
    return found


def rnn(class_name: str, name: str, units: int, inbound: Any = None, **config: Any) -> Json:
    options = {"units": units, "activation": "tanh", "return_sequences": True, **config}
    if class_name != "SimpleRNN":
        options = {"recurrent_activation": "sigmoid", **options}
    return layer(class_name, name, inbound, **options)


def sequential(*layers: Json) -> Json:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def functional(*layers: Json) -> Json:
    inputs = [[value["name"], 0, 0] for value in layers if value["class_name"] == "InputLayer"]
    config = {"name": "model", "layers": list(layers), "input_layers": inputs}
    return {"class_name": "Model", "config": {**config, "output_layers": [[layers[-1]["name"], 0, 0]]}}


def save(
    folder: Path,
    weights: Mapping[str, Mapping[str, tuple[int, ...]]],
    config: Json | None = None,
    version: str = "2.2.4",
) -> Network:
    """What is recovered from a `model.h5` with these weights (layer → leaf → shape) and this configuration."""
    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        base = file.create_group("model_weights") if config else file
        base.attrs["layer_names"] = np.array([name.encode() for name in weights], dtype="S")
        if version:
            file.attrs["keras_version"] = version
        if config:
            file.attrs["model_config"] = json.dumps(config)
        for name, shapes in weights.items():
            group = base.create_group(name)
            leaves = [leaf if "_W" in leaf or "/" in leaf else f"{name}/{leaf}" for leaf in shapes]
            group.attrs["weight_names"] = np.array([f"{leaf}:0".encode() for leaf in leaves], dtype="S")
            for leaf, shape in zip(leaves, shapes.values(), strict=True):
                group[f"{leaf}:0"] = np.zeros(shape, "f")
    return recover(KERAS_HDF5.read(path))


def recover_case(name: str) -> Network:
    """What is recovered from a file of `tests/data/keras`."""
    path = DATA / name
    return recover((KERAS_ZIP if KERAS_ZIP.matches(path) else KERAS_HDF5).read(path))
