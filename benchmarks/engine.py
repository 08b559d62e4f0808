"""What recording everything costs, against what people run today: `python benchmarks/engine.py [--full]`.

Every line is a cell, a batch, a width and a number of steps. Each lane (`benchmarks/lanes.py`) is a process of its own
that has compiled and run twice before; then all of them run in turn, round after round, and the fastest run of each
counts, which other work on the machine disturbs least. Printed are the milliseconds of rnnprobe and its share of each
lane's: below 1 rnnprobe is the faster one, although it records every gate and state.

Status 1 where a goal is missed: with 256 units at most 1.0 of (a) and (b) and 1.3 of (f) at batch 32, and 0.5 of (a) at
batch 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from lanes import LANES, Case, offered

FEATURES = 64
CASES = (
    Case(1, 256, FEATURES, 1_000, "lstm"),
    Case(32, 256, FEATURES, 200, "lstm"),
    Case(256, 256, FEATURES, 100, "lstm"),
    Case(32, 64, FEATURES, 1_000, "lstm"),
    Case(32, 1_024, FEATURES, 100, "lstm"),
    Case(1, 256, FEATURES, 1_000, "gru"),
    Case(32, 256, FEATURES, 200, "gru"),
)
MORE = (
    Case(1, 64, FEATURES, 100_000, "lstm"),
    Case(1, 256, FEATURES, 10_000, "lstm"),
    Case(1, 1_024, FEATURES, 1_000, "lstm"),
    Case(32, 256, FEATURES, 10_000, "lstm"),
    Case(256, 64, FEATURES, 1_000, "lstm"),
    Case(256, 1_024, FEATURES, 100, "lstm"),
)
GOALS = {(1, "a"): 0.5, (32, "a"): 1.0, (32, "b"): 1.0, (32, "f"): 1.3}


class Lane:
    """A lane's process."""

    def __init__(self, name: str, case: Case) -> None:
        sizes = [str(n) for n in (case.batch, case.units, case.features, case.steps)]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("lanes.py")), name, *sizes, case.cell],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if self._answer() != "ready":
            raise RuntimeError(f"lane {name} did not begin")

    def seconds(self) -> float:
        """One run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def measured(case: Case, rounds: int) -> dict[str, float]:
    """Lane → the seconds of its fastest run."""
    with ExitStack() as stack:
        lanes = {}
        for name in offered(case.cell):
            lanes[name] = Lane(name, case)
            stack.callback(lanes[name].close)
        found: dict[str, list[float]] = {name: [] for name in lanes}
        for _ in range(rounds):
            for name, lane in lanes.items():
                time.sleep(0.02)  # threads of the one before spin a while
                found[name].append(lane.seconds())
    return {name: min(times) for name, times in found.items()}


def table(cases: tuple[Case, ...], rounds: int) -> Iterator[tuple[Case, dict[str, float]]]:
    """Prints a row a case, and yields it."""
    print(
        "| cell | batch | units | steps | rnnprobe, ms | "
        + " | ".join(f"÷ ({name})" for name in list(LANES)[1:])
        + " |"
    )
    print("| --- |" + " ---: |" * (3 + len(LANES)))
    for case in cases:
        times = measured(case, rounds)
        own = times["rnnprobe"]
        shares = [f"{own / times[name]:.2f}" if name in times else "" for name in list(LANES)[1:]]
        print(
            f"| {case.cell} | {case.batch} | {case.units:,} | {case.steps:,} | {1000 * own:.1f} | "
            + " | ".join(shares)
            + " |",
            flush=True,
        )
        yield case, times


def main() -> int:
    """Measures, prints, and says by the status whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="wider, longer and larger cases, too")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    missed = 0
    for case, times in table((*CASES, *(MORE if given.full else ())), given.rounds):
        for (batch, lane), goal in GOALS.items():
            if (case.batch, case.units, case.cell) == (batch, 256, "lstm") and times["rnnprobe"] > goal * times[lane]:
                print(f"goal missed: batch {batch}, at most {goal} of ({lane})", file=sys.stderr)
                missed += 1
    for name in list(LANES)[1:]:
        print(f"({name}) {LANES[name][0]}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
