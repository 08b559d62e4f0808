"""What each command imports, and that the light ones work where TensorFlow is absent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .conftest import DATA

MODEL = DATA / "conformance" / "tf1.15" / "lstm_full" / "model.ckpt"
KERAS = DATA / "conformance" / "tf_keras-2.21" / "cudnnlstm" / "model.h5"

_BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "tf_keras"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Absent())
"""

_HEAVY = """
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "keras", "tf_keras", "matplotlib"})
assert not heavy, heavy
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}
    )


def command(*arguments: object) -> str:
    words = [str(argument) for argument in arguments]
    return f"""
import sys
sys.argv = ["rnnprobe", *{words!r}]
from rnnprobe.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
"""


@pytest.mark.parametrize("model", [MODEL, KERAS], ids=["tf1", "keras"])
@pytest.mark.parametrize("name", ["inspect", "weights", "shapes"])
def test_light_commands_work_without_tensorflow(name, model):
    done = run(_BLOCKED + command(name, model) + _HEAVY)
    assert done.returncode == 0, done.stderr
    assert "lstm" in done.stdout.lower()


def test_check_works_without_tensorflow(tmp_path):
    spec = tmp_path / "spec.toml"
    done = run(_BLOCKED + command("shapes", MODEL, "--save", spec, "--values") + _HEAVY)
    assert done.returncode == 0, done.stderr
    for form in ("text", "json", "junit", "github", "markdown"):
        done = run(_BLOCKED + command("check", MODEL, spec, "--format", form) + _HEAVY)
        assert done.returncode == 0, done.stderr
    done = run(_BLOCKED + command("check", MODEL, "--against", MODEL) + _HEAVY)
    assert done.returncode == 0, done.stderr


def test_the_package_imports_without_tensorflow():
    done = run(_BLOCKED + "import rnnprobe\nrnnprobe.open" + f"({str(MODEL)!r})" + _HEAVY)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy():
    heavy = '{"tensorflow", "keras", "tf_keras", "matplotlib", "rich", "h5py", "google"}'
    done = run(command("--help") + _HEAVY.replace('{"tensorflow", "keras", "tf_keras", "matplotlib"}', heavy))
    assert done.returncode == 0, done.stderr


def test_trace_without_tensorflow_says_what_is_missing(tmp_path):
    code = (
        _BLOCKED
        + f"""
import sys
sys.argv = ["rnnprobe", "trace", {str(MODEL)!r}, "--input", {str(tmp_path / "x.npy")!r}]
import numpy
numpy.save({str(tmp_path / "x.npy")!r}, numpy.zeros((1, 2, 3), "f"))
from rnnprobe.cli import main
main()
"""
    )
    done = run(code)
    assert done.returncode == 2
    assert "TensorFlow" in done.stderr
    assert "Traceback" not in done.stderr
