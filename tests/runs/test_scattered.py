"""Batches of like length hold sequences that do not follow each other: nothing may depend on that."""

from __future__ import annotations

import numpy as np
import pytest

import rnnprobe
from rnnprobe import inputs, outputs, runs
from rnnprobe.runs.proof import Compared
from rnnprobe.runs.run import prepare
from rnnprobe.types import Recording

from ..conftest import DATA, SAMPLES

TF1 = DATA / "conformance" / "tf1.0" / "drv_static_seq"


def traced(model, x, lengths, size, verify, **ask):
    """The trace of a run in batches of so many sequences."""

    def read(entries):
        return inputs.read(x, entries, say=lambda line: None, lengths=lengths, batch_size=size)

    run = prepare(rnnprobe.open(model), runs.Ask(**ask), read, lambda lines: None)
    signals = run.signals(["states"])
    recording = Recording(run.layers, signals, run.batches, lengths=run.lengths, outcomes=run.outcomes)
    compared = Compared(run, verify, signals)
    with outputs.collect(recording) as sink:
        for block in compared.over(run.blocks(signals)):
            sink.write(block)
        sink.verified(compared.verification)
    return sink.trace, run.batches


@pytest.mark.parametrize(
    ("model", "x", "ask"),
    [
        (SAMPLES / "gru_digits.keras", str(SAMPLES / "gru_digits.npy"), {"outputs": True}),
        (TF1, f"{TF1}/data.npz:x", {}),
        (TF1, f"{TF1}/data.npz:x", {"engine": "original"}),
    ],
    ids=["keras", "graph", "original"],
)
def test_scattered_batches_give_the_same_trace(model, x, ask):
    values = np.load(x.partition(":")[0])
    values = values if isinstance(values, np.ndarray) else values["x"]
    values = np.concatenate([values] * 6)[:11]
    lengths = np.random.default_rng(1).integers(1, values.shape[1] + 1, len(values)).tolist()
    whole, one = traced(model, values, lengths, 11, False, **ask)
    parts, many = traced(model, values, lengths, 3, "engine" not in ask, **ask)
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
