"""Where the tests find their data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnprobe import cli

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


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys) -> Iterator[Callable[..., Done]]:
    """Runs a command in this process, up to its exit status."""

    def command(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["rnnprobe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Done(end.value.code, out, err)

    monkeypatch.delenv("COLUMNS", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    yield command
    signal.signal(signal.SIGTERM, handler)
