"""Question 18: encoder and decoder in one file: which is which, and what state passes between them?"""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tf_keras

import rnnprobe

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves

APIS = {"keras": keras, "tf_keras": tf_keras}
CLOSE = {"rtol": 0, "atol": 1e-5}
SOURCE, TARGET = 6, 4


def random_weights(model: Any, seed: int = 7) -> Any:
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.5, w.shape).astype("f") for w in model.get_weights()])
    return model


def translator(api: Any) -> tuple[Any, Any, Any]:
    """The model of the Keras tutorial, over ids; with it its encoder's final states and its decoder's h and c."""
    layers = api.layers
    source, target = api.Input((SOURCE,), name="source"), api.Input((TARGET,), name="target")
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(layers.Embedding(9, 3, name="words")(source))
    decoder = layers.LSTM(4, return_sequences=True, return_state=True, name="decoder")
    y, end_h, end_c = decoder(layers.Embedding(8, 3, name="signs")(target), initial_state=[h, c])
    model = random_weights(api.Model([source, target], layers.Dense(5, activation="softmax", name="next")(y)))
    return model, api.Model(source, [h, c]), api.Model([source, target], [y, end_h, end_c])


def ids(seed: int = 1) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.integers(0, 9, (3, SOURCE)), random.integers(0, 8, (3, TARGET))


@pytest.mark.parametrize("api", APIS)
def test_18_which_is_which_and_what_passes(tmp_path, run, api):
    """Two commands: `inspect` says who starts from whom, `trace` takes both inputs and records both, and the output."""
    model, encoder, decoder = translator(APIS[api])
    path = tmp_path / "translator.keras"
    model.save(path)
    done = run("inspect", path, "--json")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    rows = {row["layer"]: row for row in report["layers"]}
    assert rows.keys() == {"encoder", "decoder"}
    assert rows["encoder"]["starts_from"] == {}
    number = rows["encoder"]["number"]
    assert rows["decoder"]["starts_from"] == {"h": f"final h of #{number}", "c": f"final c of #{number}"}
    assert [rows[name]["fed_by"] for name in ("encoder", "decoder")] == [["words"], ["signs"]]
    assert {row["input"] for row in report["inputs"]} == {"source", "target"}

    source, target = ids()
    np.save(tmp_path / "source.npy", source)
    np.save(tmp_path / "target.npy", target)
    inputs = ("--input", f"source={tmp_path / 'source.npy'}", "--input", f"target={tmp_path / 'target.npy'}")
    done = run("trace", path, *inputs, "--record", "states,gates,output", "-o", tmp_path / "trace.h5")
    assert done.status == 0, done.err
    trace = rnnprobe.load_trace(tmp_path / "trace.h5")
    h, c = (np.asarray(state) for state in encoder(source))
    y, end_h, end_c = (np.asarray(value) for value in decoder([source, target]))
    for state, expected in (("h", h), ("c", c)):
        np.testing.assert_allclose(trace.layers["encoder"].final[state], expected, **CLOSE)
        np.testing.assert_allclose(trace.layers["decoder"].initial[state], expected, **CLOSE)
    np.testing.assert_allclose(trace.layers["decoder"].signals["h"], y, **CLOSE)
    assert trace.layers["encoder"].signals["h"].shape == (3, SOURCE, 4)
    np.testing.assert_allclose(trace.layers["decoder"].final["h"], end_h, **CLOSE)
    np.testing.assert_allclose(trace.layers["decoder"].final["c"], end_c, **CLOSE)
    np.testing.assert_allclose(trace.outputs["next"], np.asarray(model([source, target])), **CLOSE)


@pytest.mark.parametrize("api", APIS)
def test_18_the_decoder_alone_from_states_of_ones_own(tmp_path, api):
    """As at inference: the decoder without its encoder, started from given states, one step after the other."""
    model, encoder, decoder = translator(APIS[api])
    model.save(tmp_path / "translator.keras")
    source, target = ids()
    h, c = (np.asarray(state) for state in encoder(source))
    y = np.asarray(decoder([source, target])[0])
    network = rnnprobe.open(tmp_path / "translator.keras")
    vectors = np.asarray(model.get_layer("signs")(target))
    for t in range(TARGET):
        step = rnnprobe.trace(
            network, vectors[:, t : t + 1], layers=["decoder"], own_input=True, initial_state={"h": h, "c": c}
        ).layers["decoder"]
        np.testing.assert_allclose(np.asarray(step.signals["h"])[:, 0], y[:, t], **CLOSE)
        h, c = np.asarray(step.final["h"]), np.asarray(step.final["c"])


@pytest.mark.parametrize("api", APIS)
def test_18_states_that_are_computed_on_the_way(tmp_path, run, api):
    """Both directions' states, joined by a Dense, are what the decoder starts from: the report names it, the trace has
    it."""
    layers = APIS[api].layers
    source, target = APIS[api].Input((SOURCE, 2), name="source"), APIS[api].Input((TARGET, 3), name="target")
    both = layers.Bidirectional(layers.GRU(2, return_state=True), name="encoder")(source)
    start = layers.Dense(3, activation="tanh", name="bridge")(layers.Concatenate(name="ends")(both[1:]))
    y = layers.GRU(3, return_sequences=True, name="decoder")(target, initial_state=start)
    model = random_weights(APIS[api].Model([source, target], y))
    model.save(tmp_path / "bridged.keras")
    done = run("inspect", tmp_path / "bridged.keras", "--json")
    assert done.status == 0, done.err
    rows = {row["layer"]: row for row in json.loads(done.out)["layers"]}
    assert rows.keys() == {"encoder/forward", "encoder/backward", "decoder"}
    assert list(rows["decoder"]["starts_from"]) == ["h"]
    assert "bridge" in rows["decoder"]["starts_from"]["h"]
    random = np.random.default_rng(2)
    given = {"source": random.normal(size=(3, SOURCE, 2)), "target": random.normal(size=(3, TARGET, 3))}
    given = {name: x.astype("f") for name, x in given.items()}
    trace = rnnprobe.trace(tmp_path / "bridged.keras", given, record="all,output")
    expected = np.asarray(model([given["source"], given["target"]]))
    np.testing.assert_allclose(trace.layers["decoder"].signals["h"], expected, **CLOSE)
    initial = APIS[api].Model(source, start)(given["source"])
    np.testing.assert_allclose(trace.layers["decoder"].initial["h"], np.asarray(initial), **CLOSE)
