"""A model held against a specification: the rules of `rnnprobe check`, and their findings as data.

    specification = read(Path("spec.toml"))            # or draft(network) of another model
    checked = check(Path("model.ckpt-100"), specification)
    checked.findings

Only headers are read, unless a rule needs values; then the tensors that it speaks of, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rnnprobe import formats, recover
from rnnprobe.analysis.account import account
from rnnprobe.checks import layers, tensors
from rnnprobe.checks.draft import draft
from rnnprobe.checks.read import read
from rnnprobe.checks.sizes import Sizes
from rnnprobe.checks.specification import Specification
from rnnprobe.checks.text import toml
from rnnprobe.checks.verdict import Checked, Verdict
from rnnprobe.errors import BadInput
from rnnprobe.recover import Overrides
from rnnprobe.types import Network

__all__ = ["Checked", "Specification", "Verdict", "check", "draft", "examine", "read", "toml"]

_NOTHING = Overrides()


def check(model: Path, spec: Specification, overrides: Overrides = _NOTHING, *, golden: bool = False) -> Checked:
    """Holds the model in a file against a specification.

    Args:
        model: the file.
        spec: what it must hold.
        overrides: what the user says of the model.
        golden: also run the inputs whose traces were recorded, which needs TensorFlow.

    Raises:
        BadInput: the file can't be read; or `overrides` don't fit it.
        Refused: it asks for something that rnnprobe does not do for a file; or a golden needs a layer that is none of
            those that are run.
    """
    checkpoint = formats.read(model)
    try:
        network = recover.network(checkpoint, overrides)
    except BadInput as exc:
        if overrides != _NOTHING:
            raise
        return Checked(model, spec, (_contradictory(spec, exc),), checkpoint.notes)
    verdicts = list(examine(network, spec))
    if golden and spec.goldens:
        from rnnprobe.checks.golden import goldens

        verdicts += goldens(network, spec)
    return Checked(model, spec, tuple(verdicts), checkpoint.notes)


def examine(network: Network, spec: Specification) -> Iterator[Verdict]:
    """Everything that a specification says of a network, but its goldens."""
    held = account(network)
    sizes = Sizes(spec.sizes)
    sizes.settle(
        claimed.claim
        for one in spec.layers
        for layer in layers.matched(network, one)
        for claimed in layers.claims(one, layer)
    )
    sizes.settle(
        claimed.claim
        for one in spec.tensors
        for tensor in tensors.matched(network, one)
        for claimed in tensors.claims(one, tensor)
    )
    yield from layers.layers(network, spec, sizes)
    yield from tensors.tensors(network, spec, held, sizes)
    yield from tensors.checkpoint(network, spec, held)


def _contradictory(spec: Specification, error: BadInput) -> Verdict:
    """A file whose configuration its tensors contradict: nothing in it can be held against anything."""
    named = next((one for one in spec.layers if one.name and repr(one.name) in error.message), None)
    key = named.key if named else ("checkpoint",)
    expected = "tensors and a configuration that agree"
    return Verdict("recovered", False, expected, error.message, "error", key, named.name if named else "")
