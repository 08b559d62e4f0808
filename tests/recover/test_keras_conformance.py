"""Genuine Keras files, replayed with NumPy from what was recovered, against what Keras itself computed.

`tests/data/keras/<release>/<case>/` is a small part of the conformance set: `case.json`, `data.npz` with `x` and
`y` (and the Dense head, where the model has one), and files that the release saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from rnnprobe.recover.keras.store import KERAS_CELLS
from rnnprobe.types import Array, Layer, Network

DATA = Path(__file__).parent.parent / "data" / "keras"
FORMATS: tuple[Format, ...] = (KERAS_ZIP, KERAS_HDF5)
MERGES: Mapping[str, Callable[[list[Array]], Array]] = {
    "concat": lambda arrays: np.concatenate(arrays, -1),
    "sum": lambda arrays: np.sum(arrays, 0),
    "mul": lambda arrays: np.prod(arrays, 0),
    "ave": lambda arrays: np.mean(arrays, 0),
}
SAVED = ("model.h5", "weights_only.h5", "m.keras", "model.weights.h5", "w.weights.h5")


def load(path: Path) -> Network:
    """The network in a file, whichever Keras format it is in."""
    return recover(next(format for format in FORMATS if format.matches(path)).read(path))


def run(layer: Layer, x: Array, mask: Array | None, initial: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """A layer's states over `x` `[batch, time, features]`, `[batch, time, size]`, at the time of their input."""
    w = assemble(layer)
    z = layer.cell.project(NumPy, w, x, layer.settings)
    batch, steps = x.shape[:2]
    widths = {"h": layer.output_size, "c": layer.units}
    state = dict(initial or {name: np.zeros((batch, widths[name]), x.dtype) for name in layer.cell.states})
    rows: dict[str, list[Any]] = {name: [None] * steps for name in state}
    for t in reversed(range(steps)) if layer.direction == "backward" else range(steps):
        new = layer.cell.step(NumPy, w, z[:, t], state, layer.settings)
        for name in state:
            kept = new[name] if mask is None else np.where(mask[:, t, None], new[name], state[name])
            rows[name][t] = state[name] = kept
    return {name: np.stack(found, 1) for name, found in rows.items()}


def replay(
    network: Network, given: Mapping[str, Array], starts: Mapping[str, str] | None = None
) -> dict[str, dict[str, Array]]:
    """Every layer's states.

    Args:
        network: what was recovered.
        given: what enters it from outside (`input` and other names).
        starts: layer → the layer from whose final state it starts.
    """
    values: dict[str, Array] = dict(given)
    for embedding in network.embeddings:
        values[embedding.name] = embedding.table.load()[given["input"].astype(int)]
    states: dict[str, dict[str, Array]] = {}
    for layer in network.layers:
        feeds = [values[source] for source in layer.feed.sources]
        joined = MERGES[layer.feed.merge](feeds)
        mask = None
        if layer.feed.mask is not None:
            ids = layer.feed.mask.source in {embedding.name for embedding in network.embeddings}
            seen = given["input"][..., None] if ids else values[layer.feed.mask.source]
            mask = np.any(seen != layer.feed.mask.value, -1)
        giver = states.get((starts or {}).get(layer.name, ""))
        initial = {name: rows[:, -1] for name, rows in giver.items()} if giver else None
        states[layer.name] = run(layer, joined, mask, initial)
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
    starts = {"decoder_lstm": "encoder_lstm"} if case["case"] == "seq2seq" else {}
    found = outputs(network, replay(network, {"input": x}, starts), case["config"])
    if case["case"] in ("emb_lstm_dense", "nested"):
        found = found @ data["kernel"] + data["bias"]
    old = case["version"] in ("1.2.2", "2.2.4")
    if case["case"] == "masking_zero" or (case["case"] == "masking_bi" and not old):
        # Here Keras puts zeros where rnnprobe holds the state.
        skipped = ~np.any(x != 0, -1)
        assert not np.any(y[skipped])
        found = np.where(skipped[..., None], 0, found)
    assert found.shape == y.shape
    return float(np.abs(found - y).max())


CASES = [
    pytest.param(folder, name, id=f"{folder.parent.name}-{folder.name}-{name}")
    for folder in sorted(DATA.glob("*/*/"))
    for name in SAVED
    if (folder / name).exists()
]


@pytest.mark.parametrize(("folder", "name"), CASES)
def test_replays_what_keras_computed(folder: Path, name: str) -> None:
    assert compare(folder, name) < 1e-5


def test_the_cases_cover_every_cell_and_kind_of_file() -> None:
    cells = {
        layer.cell.name for folder, name in (case.values for case in CASES) for layer in load(folder / name).layers
    }
    # Of cuDNN's own layouts there is no file so small; the corpus has one.
    assert cells == {cell.name for cell in KERAS_CELLS} - {"keras_cudnn_lstm", "keras_cudnn_gru"}
    assert {case.values[1] for case in CASES} == set(SAVED)


CORPUS = {
    "predictive-maintenance": "predictive-maintenance/Output/regression_model.h5",
    "predictive-maintenance-binary": "predictive-maintenance/Output/binary_model.h5",
    "rasa-policy1": "rasa/models/dialogue/policy_1_KerasPolicy/keras_model.h5",
    "rasa-policy2": "rasa/models/dialogue/policy_2_KerasPolicy/keras_model.h5",
    "emg": "emg/output/SavedModels/RNN2/Saved_models_150ms/model.keras",
    "emg-gru": "emg-gru/gru_model.keras",
    "mnist-lstm": "mnist-lstm/test/rnn_model/model.h5",
    "chem": "chem/experiments/2020-03-24/LSTM_Chem/checkpoints/LSTM_Chem-19-0.45.hdf5",
    "textgenrnn": "textgenrnn/textgenrnn/textgenrnn_weights.hdf5",
    "music-tagger": "music-tagger/data/music_tagger_crnn_weights_tensorflow.h5",
    "rnnoise": "rnnoise/training/weights.hdf5",
}


@pytest.mark.parametrize("name", CORPUS)
def test_agrees_with_the_original_computation_of_published_models(corpus: Path, name: str) -> None:
    network, expected = load(corpus / CORPUS[name]), dict(np.load(corpus / "expected" / f"{name}.npz"))
    given = {"input": expected["ids"] if network.embeddings else expected["input"]}
    given |= {"reshape": expected["input"], "reshape_1": expected["input"]}
    if name == "rnnoise":
        given = {"input": expected["model_input"], "input_dense": expected["input/vad_gru"]}
    states = replay(network, given)
    compared = 0
    for key, array in expected.items():
        signal, _, layer = key.partition("/")
        if signal in ("h", "c"):
            lengths = np.arange(array.shape[1])[None, :, None] < expected["lengths"][:, None, None]
            difference = np.abs(np.where(lengths, states[layer][signal] - array, 0)).max()
            assert difference < 1e-4 * max(1.0, float(np.abs(array).max())), key
            compared += 1
    assert compared >= len(network.layers)
