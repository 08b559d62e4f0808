"""A published Keras model whose layers read several inputs, one layer after the other against the original's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe.types import Feed


@pytest.mark.parametrize("name", ["vad_gru", "noise_gru", "denoise_gru"])
def test_rnnoise_agrees_with_the_original(corpus: Path, name: str) -> None:
    network = rnnprobe.open(corpus / "rnnoise" / "training" / "weights.hdf5")
    assert {layer.name: layer.feed.sources for layer in network.layers} == {
        "vad_gru": ("input_dense",),
        "noise_gru": ("input_dense", "vad_gru", "input"),
        "denoise_gru": ("vad_gru", "noise_gru", "input"),
    }
    expected = np.load(corpus / "expected" / "rnnoise.npz")
    alone = replace(network, layers=(replace(network[name], feed=Feed()),), embeddings=())
    recorded = rnnprobe.trace(alone, expected[f"input/{name}"], lengths=expected["lengths"]).layers[name]
    inside = np.arange(30) < expected["lengths"][:, None]
    got, wanted = np.asarray(recorded.signals["h"])[inside], expected[f"h/{name}"][inside]
    assert np.abs(got - wanted).max() < 1e-4 * max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(recorded.final["h"], expected[f"final_h/{name}"], atol=1e-4)
