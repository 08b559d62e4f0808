"""`rnnprobe check` inside pytest.

    from rnnprobe.testing import assert_matches_spec

    def test_the_exported_model():
        assert_matches_spec("export/model.keras", "export/spec.toml")

In a `conftest.py`, `pytest_plugins = ["rnnprobe.testing"]` makes the fixture `matches_spec`, the same with paths that
are relative to the test's own file. Nothing is registered with pytest unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from rnnprobe.checks.specification import Level

AnyPath: TypeAlias = str | Path


def assert_matches_spec(model: AnyPath, spec: AnyPath, *, golden: bool = False, fail_on: Level = "error") -> None:
    """Fails where a model is not what a specification says, with a line for each finding.

    Args:
        model: a checkpoint, as for `rnnprobe.open`.
        spec: a TOML file, as `rnnprobe shapes --save` writes one.
        golden: also run the recorded inputs; needs TensorFlow.
        fail_on: `warning` makes warnings fail too.

    Raises:
        AssertionError: the check found something.
        BadInput: the model can't be read, or the specification is none.
    """
    __tracebackhide__ = True
    from rnnprobe import checks
    from rnnprobe.views.escape import plain

    checked = checks.check(Path(model), checks.read(Path(spec)), golden=golden)
    failures = checked.failures(fail_on)
    if failures:
        lines = "\n".join(f"  {plain(one.message)}" for one in failures)
        raise AssertionError(f"{plain(str(model))} is not what {plain(str(spec))} says:\n{lines}")


@pytest.fixture
def matches_spec(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`assert_matches_spec`, for paths relative to the folder of the test."""
    folder = request.path.parent

    def matches(model: AnyPath, spec: AnyPath, **options: bool | Level) -> None:
        __tracebackhide__ = True
        assert_matches_spec(folder / model, folder / spec, **options)  # type: ignore[arg-type]

    return matches
