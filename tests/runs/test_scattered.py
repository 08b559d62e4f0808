"""Batches of like length hold sequences that do not follow each other: nothing may depend on that."""

from __future__ import annotations

import numpy as np
import pytest

import rnnprobe
from rnnprobe import outputs, runs

from ..conftest import DATA, SAMPLES

TF1 = DATA / "conformance" / "tf1.0" / "drv_static_seq"


class Few(runs.Given):
    """Batches of three sequences."""

    def read(self, entries, **how):
        return super().read(entries, **how | {"batch_size": 3})


def traced(model, source, **job):
    """The trace of a run."""
    ready = runs.ready(runs.Job(model, source, **job), rnnprobe.open(model), lambda lines: None)
    done = []
    with outputs.collect(ready.recording) as sink:
        ready.record(sink, done.append)
    assert sum(done) == ready.recording.work()
    return sink.trace, ready.run.batches


@pytest.mark.parametrize(
    ("model", "x", "ask"),
    [
        (SAMPLES / "gru_digits.keras", str(SAMPLES / "gru_digits.npy"), {"record": ("states", "output")}),
        (TF1, f"{TF1}/data.npz:x", {"record": "states"}),
        (TF1, f"{TF1}/data.npz:x", {"record": "states", "engine": "original"}),
    ],
    ids=["keras", "graph", "original"],
)
def test_scattered_batches_give_the_same_trace(model, x, ask):
    values = np.load(x.partition(":")[0])
    values = values if isinstance(values, np.ndarray) else values["x"]
    values = np.concatenate([values] * 6)[:11]
    lengths = np.random.default_rng(1).integers(1, values.shape[1] + 1, len(values)).tolist()
    whole, one = traced(model, runs.Given(values, lengths), verify=False, **ask)
    parts, many = traced(model, Few(values, lengths), verify="engine" not in ask, **ask)
    assert len(one) == 1
    assert any(np.any(np.diff(batch.rows) > 1) for batch in many)
    assert "engine" in ask or parts.verification["status"] == "verified"
    assert whole.names == parts.names
    np.testing.assert_array_equal(whole.lengths, parts.lengths)
    for name, layer in whole.layers.items():
        for signal, array in layer.signals.items():
            np.testing.assert_allclose(array[:], parts.layers[name].signals[signal][:], atol=2e-6)
    for name, array in whole.outputs.items():
        np.testing.assert_allclose(array[:], parts.outputs[name][:], atol=2e-6)
