"""Every command and every Python block of the README runs, in their order, and prints what the README shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnprobe.cli

from .conftest import DATA, SAMPLES

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, list[str]]]:
    """`(command, lines shown)` of each console block."""
    found: list[tuple[str, list[str]]] = []
    for kind, text in BLOCKS:
        if kind == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append((line[2:], []))
                else:
                    found[-1][1].append(line)
    return found


def first_trace() -> str:
    """The trace in the block that a newcomer types first."""
    assert BLOCKS[0][0] == "sh"
    text = BLOCKS[0][1].replace("\\\n", " ")
    return " ".join(shlex.split(next(part for part in text.split("&&") if "rnnprobe trace" in part)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("readme")
    (place / "sample_models").symlink_to(SAMPLES)
    (place / "tests").symlink_to(DATA.parent)
    (place / "lengths.txt").write_text("8 5 2 1 " * 5)
    (place / "short.txt").write_text("160 90 40 " * 4)
    (place / "corpus").mkdir()
    for number, x in enumerate(np.load(SAMPLES / "gru_digits.npy")[:11]):
        np.save(place / "corpus" / f"day{number}.npy", x)
    np.save(place / "vectors.npy", np.zeros((2, 7, 12), np.float32))
    done = run(first_trace(), place)
    assert done.returncode == 0, done.stderr
    return place


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line)
    assert words[0] == "rnnprobe"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**environment, "COLUMNS": "100"},
    )


@pytest.mark.xdist_group("readme")
def test_the_console_blocks(folder):
    for line, shown in commands():
        done = run(line, folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        printed = iter((done.stdout + done.stderr).splitlines())
        for expected in shown:
            if expected.strip() not in ("…", ""):
                assert any(expected.rstrip() in got for got in printed), f"{line}\ndoes not print: {expected}"


@pytest.mark.xdist_group("readme")
def test_the_python_blocks(folder):
    for kind, text in BLOCKS:
        if kind == "python":
            done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout


def test_the_test_command_is_what_ci_runs():
    command = BLOCKS[1][1].split("&&")[-1].strip()
    assert command in (README.parent / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("name", rnnprobe.cli.COMMANDS)
def test_every_command_is_documented(name):
    assert f"### {name}" in README.read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "rnnprobe", name, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Example" in done.stdout


def test_what_the_package_exports():
    assert set(rnnprobe.__all__) == {
        "AnswerIsNo",
        "BadInput",
        "CannotWrite",
        "OutOfResources",
        "Refused",
        "RnnprobeError",
        "layers",
        "load_trace",
        "open",
        "trace",
        "verify",
        "weights",
    }
    assert all(getattr(rnnprobe, name).__doc__ for name in rnnprobe.__all__)
