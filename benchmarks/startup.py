"""How long `inspect`, `weights` and `shapes` take, against the import of TensorFlow that they do without.

    python benchmarks/startup.py [MODEL] [--runs 7]

Every round starts each command once and, in between, `python -c "import tensorflow"`, so that whatever else the machine
does meets all of them alike. Printed are medians of the wall time and the share of TensorFlow's. Status 1 if a command
takes more than an eighth.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("inspect", "weights", "shapes")
GOAL = 1 / 8
MODEL = Path(__file__).parent.parent / "sample_models" / "char_lstm" / "model.ckpt-6000"


# Bytecode is kept, as it is for installed packages; the round that does not count writes it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(arguments: list[str]) -> float:
    """The wall time of a Python process, start to end."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return time.perf_counter() - start


def measure(model: Path, runs: int) -> dict[str, list[float]]:
    """Name → the times of each run; a first round, which fills the caches of the disk, does not count."""
    started = {f"rnnprobe {command}": ["-m", "rnnprobe", command, str(model)] for command in COMMANDS}
    started["import tensorflow"] = ["-c", "import tensorflow"]
    times: dict[str, list[float]] = {name: [] for name in started}
    for run in range(runs + 1):
        for name, arguments in started.items():
            took = seconds(arguments)
            if run:
                times[name].append(took)
    return times


def main() -> int:
    """Measures, prints, and says by the status whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    times = measure(given.model, given.runs)
    base = statistics.median(times["import tensorflow"])
    print(f"{'':20}{'median':>10}{'fastest':>10}{'slowest':>10}{'share':>9}")
    worst = 0.0
    for name, taken in times.items():
        median = statistics.median(taken)
        if name != "import tensorflow":
            worst = max(worst, median / base)
        print(f"{name:20}{median:9.3f}s{min(taken):9.3f}s{max(taken):9.3f}s{median / base:9.3f}")
    print(f"goal: at most {GOAL:.3f}; {'met' if worst <= GOAL else 'missed'}")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
