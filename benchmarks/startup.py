"""How long commands take from the shell, against `import tensorflow`.

    python benchmarks/startup.py [MODEL] [--runs 7]

`inspect`, `weights` and `shapes` do without it; `trace` of a small input, compared with its graph, needs it.

Every round starts each command once and, in between, `python -c "import tensorflow"`, so that whatever else the machine
does meets all of them alike. Printed are medians of the wall time and the share of TensorFlow's. Status 1 if one of the
three takes more than an eighth, or `trace` more than 1.25 times and half a second.
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
TRACE_GOAL = 1.25
TRACE_SECONDS = 0.5
SAMPLES = Path(__file__).parent.parent / "sample_models" / "char_lstm"
MODEL = SAMPLES / "model.ckpt-6000"
TRACED = ["--input", str(SAMPLES / "example.py"), "--vocab", str(SAMPLES / "vocab.json"), "--steps", "0:200"]


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
    started["rnnprobe trace"] = ["-m", "rnnprobe", "trace", str(MODEL), *TRACED]
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
    missed = []
    for name, taken in times.items():
        median = statistics.median(taken)
        limit = TRACE_GOAL * base + TRACE_SECONDS if name == "rnnprobe trace" else GOAL * base
        if median > limit and name != "import tensorflow":
            missed.append(name)
        print(f"{name:20}{median:9.3f}s{min(taken):9.3f}s{max(taken):9.3f}s{median / base:9.3f}")
    print(f"goals: {GOAL:.3f}, trace {TRACE_GOAL} and {TRACE_SECONDS} s; {', '.join(missed) or 'none'} missed")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
