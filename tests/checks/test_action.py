"""Where CI lives: the action's own script, and the packages of an installation without TensorFlow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from . import models

ROOT = Path(__file__).parent.parent.parent
ACTION = (ROOT / "action.yml").read_text()


def script() -> str:
    """The last `run` of the action."""
    return textwrap.dedent(ACTION.rpartition("run: |\n")[2])


def act(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Runs the action's script as its runner does."""
    command = folder / "temp" / "rnnprobe" / "bin" / "rnnprobe"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rnnprobe "$@"\n')
    command.chmod(0o755)
    given = {"MODELS": "", "SPEC": "", "AGAINST": "", "FAIL_ON": "error", "GOLDEN": "false", "JUNIT": "", **inputs}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script()],
        cwd=folder,
        env={
            **os.environ,
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            **given,
        },
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(run, tmp_path):
    good = models.bundle(tmp_path / "a good one", models.stack())
    arrays = models.stack()
    arrays["softmax_b"] = arrays["softmax_b"][:-1]
    models.bundle(tmp_path / "bad", arrays)
    assert run("shapes", good, "--save", tmp_path / "spec.toml").status == 0
    return tmp_path


def test_a_model_that_matches(folder):
    done = act(folder, MODELS="a good one/m\n", SPEC="spec.toml", JUNIT="report.xml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::notice title=rnnprobe check::a good one/m: ")
    assert (folder / "summary").read_text().startswith("### rnnprobe check: the check holds")
    assert 'failures="0"' in (folder / "report.xml").read_text()


def test_globs_and_a_model_that_does_not(folder):
    done = act(folder, MODELS="*/m.index\n", SPEC="spec.toml", JUNIT="report.xml")
    assert done.returncode == 1
    assert "::error file=spec.toml,line=" in done.stdout
    assert "1 of 2 models failed" in (folder / "summary").read_text()
    assert 'failures="3"' in (folder / "report.xml").read_text()


def test_against_and_a_model_that_is_not_there(folder):
    done = act(folder, MODELS="none/m", SPEC="spec.toml")
    assert done.returncode == 2
    assert not (folder / "summary").exists()
    assert act(folder, MODELS="bad/m", AGAINST="a good one/m").returncode == 1
    assert "1 of 1 model failed" in (folder / "summary").read_text()


def test_inputs_never_become_script(folder):
    done = act(folder, MODELS="$(touch pwned)`touch pwned`;touch pwned", SPEC="spec.toml")
    assert done.returncode == 2
    assert not (folder / "pwned").exists()
    for run in re.findall(r"run: \|\n((?: {8}.*\n|\n)+)", ACTION):
        assert "${{" not in run


def names(lines: list[str]) -> dict[str, str]:
    """Package → the least version."""
    found = (re.match(r"([\w-]+)>=([\d.]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_the_light_installation_has_all_but_tensorflow():
    light = names((ROOT / "requirements-light.txt").read_text().splitlines())
    whole = names(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    of_rich = {"markdown-it-py", "mdurl", "pygments"}
    assert light.keys() - of_rich == whole.keys() - {"tensorflow"}
    assert all(light[name] == whole[name] for name in light.keys() - of_rich)
