"""Where the tests find their data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
SAMPLES = Path(__file__).parent.parent / "sample_models"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real published checkpoints, which are no part of the project: `RNNPROBE_CORPUS` says where they lie."""
    folder = os.environ.get("RNNPROBE_CORPUS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RNNPROBE_CORPUS does not name a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The project's own sample models."""
    return SAMPLES


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Small checkpoints made by genuine frameworks, with what they computed: `tests/data/conformance`."""
    return DATA / "conformance"
