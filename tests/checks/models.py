"""Models to change: a small bundle made here, and copies of the samples with something in them edited."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

from ..conftest import SAMPLES
from ..formats import forge

CELL_0 = "rnn/multi_rnn_cell/cell_0/basic_lstm_cell"
CELL_1 = "rnn/multi_rnn_cell/cell_1/basic_lstm_cell"

Arrays = dict[str, np.ndarray]
_CODES = {np.dtype("f4"): 1, np.dtype("f8"): 2, np.dtype("i8"): 9, np.dtype("f2"): 19, np.dtype(ml_dtypes.bfloat16): 14}


def stack() -> Arrays:
    """An embedding of 11 × 5, BasicLSTMs of 4 and 6 units, a softmax; a slot and a counter beside them."""
    random = np.random.default_rng(1)
    shapes = {
        f"{CELL_0}/kernel": (9, 16),
        f"{CELL_0}/bias": (16,),
        f"{CELL_1}/kernel": (10, 24),
        f"{CELL_1}/bias": (24,),
        "embedding": (11, 5),
        "softmax_w": (6, 11),
        "softmax_b": (11,),
    }
    arrays = {name: random.normal(0, 0.5, shape).astype("f4") for name, shape in shapes.items()}
    # The blocks of the gates differ, so that an exchange of two can be seen.
    for name in shapes:
        if name.startswith("rnn/"):
            units = arrays[name].shape[-1] // 4
            arrays[name] *= np.repeat(np.array([1, 2, 3, 4], "f4"), units)
    return {**arrays, f"{CELL_0}/kernel/Adam": np.zeros((9, 16), "f4"), "global_step": np.array(7, "i8")}


def bundle(folder: Path, arrays: Mapping[str, np.ndarray], shards: int = 1) -> Path:
    """The arrays as a bundle; with several shards they take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    data = [bytearray() for _ in range(shards)]
    entries = {}
    for number, (name, array) in enumerate(arrays.items()):
        raw, shard = array.tobytes(), number % shards
        entries[name.encode()] = forge.entry(
            raw, array.shape, _CODES[array.dtype], shard_id=shard, offset=len(data[shard])
        )
        data[shard] += raw
    ends = {f"{shard:05}-of-{shards:05}": bytes(held) for shard, held in enumerate(data)}
    return forge.bundle(folder, entries, ends)


def keras(folder: Path, change: Callable[[dict[str, Any], h5py.File], None] = lambda config, weights: None) -> Path:
    """The sample `gru_digits.keras`, its configuration and weights changed."""
    with zipfile.ZipFile(SAMPLES / "gru_digits.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = folder / "weights.h5"
    weights.write_bytes(members["model.weights.h5"])
    config = json.loads(members["config.json"])
    with h5py.File(weights, "a") as file:
        change(config, file)
    members["config.json"] = json.dumps(config).encode()
    members["model.weights.h5"] = weights.read_bytes()
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def layer_config(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The configuration of a layer."""
    return next(one for one in config["config"]["layers"] if one["config"]["name"] == name)["config"]


def variables(weights: h5py.File, name: str) -> h5py.Group:
    """Where the arrays of a layer's cell lie."""
    return weights[f"layers/{name}/cell/vars"]


def put(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """Another array in the place of one."""
    del group[name]
    group[name] = array


def hdf5(folder: Path, change: Callable[[dict[str, Any], h5py.File], None] = lambda config, weights: None) -> Path:
    """The sample `bilstm_source.h5`, likewise."""
    path = folder / "m.h5"
    shutil.copy(SAMPLES / "bilstm_source.h5", path)
    with h5py.File(path, "a") as file:
        stored = file.attrs["model_config"]
        config = json.loads(stored)
        change(config, file)
        file.attrs["model_config"] = json.dumps(config).encode()
    return path


def characters(folder: Path, change: Callable[[Any], None] | None = lambda graph: None) -> Path:
    """The sample `char_lstm`; `change` is given its graph, and None leaves that out."""
    for file in (SAMPLES / "char_lstm").glob("model.ckpt-6000.*"):
        shutil.copy(file, folder)
    meta = folder / "model.ckpt-6000.meta"
    if change is None:
        meta.unlink()
    else:
        graph = MetaGraphDef.FromString(meta.read_bytes())
        change(graph.graph_def)
        meta.write_bytes(graph.SerializeToString())
    return folder / "model.ckpt-6000"
