"""`rnnprobe.testing`, as tests of other people use it."""

from __future__ import annotations

import shutil

import pytest

from rnnprobe.testing import assert_matches_spec

from . import models

pytest_plugins = ["pytester"]


@pytest.fixture
def spec(run, tmp_path):
    run("shapes", models.bundle(tmp_path, models.stack()), "--save", tmp_path / "spec.toml")
    return tmp_path / "spec.toml"


def test_a_model_that_matches(spec):
    assert_matches_spec(spec.parent / "m", spec)
    assert_matches_spec(str(spec.parent / "m"), str(spec), fail_on="warning")


def test_a_model_that_does_not(spec):
    arrays = models.stack()
    arrays["softmax_b"] = arrays["softmax_b"][:-1]
    prefix = models.bundle(spec.parent / "after", arrays)
    with pytest.raises(AssertionError) as error:
        assert_matches_spec(prefix, spec)
    first, *lines = str(error.value).splitlines()
    assert first == f"{prefix} is not what {spec} says:"
    assert "  softmax_b: shape: expected 11; found 10" in lines


def test_warnings(spec):
    spec.write_text('version = 1\n[[tensor]]\nname = "softmax_b"\nlevel = "warning"\nshape = [3]\n')
    assert_matches_spec(spec.parent / "m", spec)
    with pytest.raises(AssertionError, match="expected 3; found 11"):
        assert_matches_spec(spec.parent / "m", spec, fail_on="warning")


def test_the_fixture_takes_paths_from_the_test_s_folder(pytester, spec):
    folder = pytester.path / "inner"
    folder.mkdir()
    for file in spec.parent.glob("m.*"):
        shutil.copy(file, folder)
    shutil.copy(spec, folder)
    (pytester.path / "conftest.py").write_text('pytest_plugins = ["rnnprobe.testing"]\n')
    (folder / "test_model.py").write_text('def test_it(matches_spec):\n    matches_spec("m", "spec.toml")\n')
    pytester.runpytest_inprocess("inner").assert_outcomes(passed=1)
