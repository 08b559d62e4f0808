"""Genuine Keras files, replayed with NumPy from what was recovered, against what Keras itself computed.

`tests/data/keras/<release>/<case>/` is a small part of the conformance set: `case.json`, `data.npz` with `x`, `y` and the
weights in Keras's order, and every file that the release saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.slices import assemble
from rnnprobe.formats.format import Format
from rnnprobe.formats.keras_hdf5 import KERAS_HDF5
from rnnprobe.formats.keras_zip import KERAS_ZIP
from rnnprobe.recover.keras import recover
from rnnprobe.types import Array, Layer, Network

DATA = Path(__file__).parent.parent / "data" / "keras"
FORMATS: tuple[Format, ...] = (KERAS_ZIP, KERAS_HDF5)
SAVED = ("model.h5", "weights_only.h5", "m.keras", "model.weights.h5", "w.weights.h5")


def load(path: Path) -> Network:
    """The network in a file, whichever Keras format it is in."""
    return recover(next(format for format in FORMATS if format.matches(path)).read(path))


def run(layer: Layer, x: Array, mask: Array | None) -> dict[str, Array]:
    """A layer's states over `x` `[batch, time, features]`, `[batch, time, size]`, at the time of their input."""
    w = assemble(layer)
    z = layer.cell.project(NumPy, w, x, layer.settings)
    batch, steps = x.shape[:2]
    widths = {"h": layer.output_size, "c": layer.units}
    state = {name: np.zeros((batch, widths[name]), x.dtype) for name in layer.cell.states}
    rows: dict[str, list[Any]] = {name: [None] * steps for name in state}
    for t in reversed(range(steps)) if layer.direction == "backward" else range(steps):
        new = layer.cell.step(NumPy, w, z[:, t], state, layer.settings)
        for name in state:
            kept = new[name] if mask is None else np.where(mask[:, t, None], new[name], state[name])
            rows[name][t] = state[name] = kept
    return {name: np.stack(found, 1) for name, found in rows.items()}


def replay(network: Network, given: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Every layer's states, from what enters the network from outside (`input` and other names)."""
    values: dict[str, Array] = {name: array for name, array in given.items()}
    for embedding in network.embeddings:
        values[embedding.name] = embedding.table.load()[given["input"].astype(int)]
    states = {}
    for layer in network.layers:
        feeds = [values[source] for source in layer.feed.sources]
        joined = {
            "concat": lambda: np.concatenate(feeds, -1),
            "sum": lambda: np.sum(feeds, 0),
            "mul": lambda: np.prod(feeds, 0),
            "ave": lambda: np.mean(feeds, 0),
        }[layer.feed.merge]()
        mask = None
        if layer.feed.mask is not None:
            ids = layer.feed.mask.source in {embedding.name for embedding in network.embeddings}
            seen = given["input"][..., None] if ids else values[layer.feed.mask.source]
            mask = np.any(seen != layer.feed.mask.value, -1)
        states[layer.name] = run(layer, joined, mask)
        values[layer.name] = states[layer.name]["h"]
    return states


def outputs(network: Network, states: Mapping[str, Mapping[str, Array]], config: Mapping[str, Any]) -> Array:
    """The model's output as Keras gives it: merged, in its order of steps, the last step alone where it says so."""
    inner = config["config"]
    last = [x for x in (inner["layers"] if isinstance(inner, dict) else inner) if x["class_name"] != "Dense"][-1]
    while last["class_name"] in ("Sequential", "Functional", "Model"):
        nested = last["config"]
        last = (nested["layers"] if isinstance(nested, dict) else nested)[-1]
    options = last["config"]
    bidirectional = last["class_name"] == "Bidirectional"
    names = [layer.name for layer in network.layers][-2 if bidirectional else -1 :]
    arrays = []
    for name in names:
        h = states[name]["h"]
        backward = network[name].direction == "backward"
        if not (options["layer"]["config"] if bidirectional else options)["return_sequences"]:
            arrays.append(h[:, 0] if backward else h[:, -1])
        else:
            arrays.append(h[:, ::-1] if backward and not bidirectional else h)
    if not bidirectional:
        return arrays[0]
    return arrays[0] + arrays[1] if options["merge_mode"] == "sum" else np.concatenate(arrays, -1)


def compare(folder: Path, name: str) -> float:
    """The largest difference from what Keras computed, of one file of one case."""
    case, data = json.loads((folder / "case.json").read_text()), np.load(folder / "data.npz")
    network = load(folder / name)
    assert network.layers, network
    assert not network.candidates
    x, y = data["x"], data["y"]
    found = outputs(network, replay(network, {"input": x}), case["config"])
    if case["case"] in ("emb_lstm_dense", "nested"):
        kernel, bias = (data[key] for key in sorted((k for k in data if k[0] == "w"), key=lambda k: int(k[1:]))[-2:])
        found = found @ kernel + bias
    if case["case"] in ("masking_bi", "masking_zero") and case["version"][0] not in "12" or _zeroes(case):
        # Here Keras puts zeros where rnnprobe holds the state.
        skipped = ~np.any(x != 0, -1)
        assert not np.any(y[skipped])
        found = np.where(skipped[..., None], 0, found)
    assert found.shape == y.shape
    return float(np.abs(found - y).max())


def _zeroes(case: Mapping[str, Any]) -> bool:
    tf_keras = case["version"] not in ("1.2.2", "2.2.4")
    return case["case"] == "masking_zero" or (case["case"] == "masking_bi" and tf_keras)


CASES = [
    pytest.param(folder, name, id=f"{folder.parent.name}-{folder.name}-{name}")
    for folder in sorted(DATA.glob("*/*/"))
    for name in SAVED
    if (folder / name).exists()
]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_replays_what_keras_computed(folder: Path, name: str) -> None:
    assert compare(folder, name) < 1e-5
