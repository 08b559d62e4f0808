"""Running a command in this process, up to its exit status."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from rnnprobe import cli


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys) -> Iterator[Callable[..., Done]]:
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
