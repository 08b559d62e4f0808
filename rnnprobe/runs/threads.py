"""How many threads TensorFlow gives one operation."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rnnprobe.cells.layers import wide
from rnnprobe.types import Layer

VARIABLE = "TF_NUM_INTRAOP_THREADS"
"""TensorFlow reads it when it begins to compute."""


def choose(layers: Sequence[Layer]) -> None:
    """One thread for an operation, unless the user has said how many or a layer is wide.

    Batches run at once, a core each (`rnnprobe.engine.abreast`): two batches of 16 sequences through 256 units took
    0.6 of the time of one batch of 32 whose products use both cores. It depends on the layers alone, so that every part
    of a run computes alike.
    """
    if not wide(layers):
        os.environ.setdefault(VARIABLE, "1")


def become(number: str | None) -> str:
    """Gives an operation as many threads as in another process, where this one runs one job after the other.

    Args:
        number: what `VARIABLE` is there; None: nothing, which is as many as there are cores.

    Returns:
        Why that can't be: TensorFlow has begun, and with another number, for which a new process helps. Empty where it
        is so.
    """
    before = os.environ.get(VARIABLE)
    if before == number:
        return ""
    if "tensorflow" in sys.modules:
        return f"has begun to compute with {VARIABLE} {before or 'not set'}; this trace wants it {number or 'not set'}"
    if number is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = number
    return ""
