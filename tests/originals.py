"""What the stored graph of a conformance case shows: does it reproduce the case, and do the rebuilt layers agree?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rnnprobe
from rnnprobe.analysis.verification import first_beyond

from .engine.test_probe import tried

SAME = 1e-6
"""Within which a graph reproduces what an older release computed of it; that may round a little differently."""
ROUNDED = 5e-6


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a case: `ok`, `rounds` (within `ROUNDED`), `FAILED`, or `-` where there is nothing to hold; why."""

    result: str
    reason: str

    def __str__(self) -> str:
        return f"{self.result} ({self.reason})"


def original(case: Path) -> Shown:
    """`trace --engine original` against the outputs and states that the release computed."""
    try:
        found, largest, _ = tried(case)
    except rnnprobe.RnnprobeError as error:
        return Shown("FAILED", error.message)
    lost = [name[1:] for name in found if name.startswith("!")]
    if lost:
        return Shown("FAILED", f"not recorded: {' '.join(lost)}")
    if not found:
        return Shown("-", "the release computed nothing to compare with")
    result = "ok" if largest <= SAME else "rounds" if largest <= ROUNDED else "FAILED"
    return Shown(result, f"{len(found)} arrays, {largest:.1e}")


def verified(case: Path, x: Any, lengths: Any) -> Shown:
    """`verify` on the case's own input."""
    try:
        found = rnnprobe.verify(case / "model.ckpt", x, lengths=lengths)
    except rnnprobe.RnnprobeError as error:
        return Shown("FAILED", error.message)
    if not found.agrees:
        return Shown("FAILED", first_beyond(found) or "nothing was compared")
    largest = max(one.largest for one in found.differences)
    return Shown("ok", f"{len(found.differences)} signals, {largest:.1e}")


def both(case: Path, x: Any, lengths: Any = None) -> tuple[Shown, Shown]:
    """The original, and the rebuilt layers beside it, for a case of a layer's input `x`."""
    data = dict(np.load(case / "data.npz"))
    kind = json.loads((case / "case.json").read_text())["kind"]
    if kind in ("dynseq", "raw", "revfused") or case.name.endswith("_seq"):
        lengths = data["lens"]
    return original(case), verified(case, x, lengths)
