"""How many cores this process may use."""

from __future__ import annotations

import os

CORES = "RNNPROBE_CORES"
"""The environment variable that says so, where that is fewer than the process has."""


def cores(processes: int = 1) -> int:
    """The share of each of so many processes, at least 1."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get(CORES, "")
    own = min(own, int(told)) if told.isdecimal() else own
    return max(1, own // processes)
