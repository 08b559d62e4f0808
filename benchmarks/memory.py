"""Peak memory and time of `rnnprobe trace` against the length of the sequence: `python benchmarks/memory.py`.

An LSTM over one sequence of 100 thousand and one of 10 million steps, states and gates recorded to HDF5. A peak is the
largest resident size that the operating system counted in any one process of the command (`ru_maxrss`). The time of a
step is that of the command, less what it takes for one step: start-up. What takes seconds alone is run five times, and
the fastest run counts, which other work on the machine disturbs least. The trace of the long sequence takes 4 GB of
disk while it runs.

Status 1 where a goal is missed: the peak of the long sequence, and its time for each step, at most 10 % over those of
the short one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

FEATURES = 2
GOAL = 1.1


def model(path: Path, units: int, features: int) -> Path:
    """Weights of one Keras LSTM."""
    random = np.random.default_rng(0)
    shapes = {"kernel": (features, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
    with h5py.File(path, "w") as file:
        file.attrs.update({"layer_names": [b"lstm"], "keras_version": b"2.2.4", "backend": b"tensorflow"})
        group = file.create_group("lstm")
        group.attrs["weight_names"] = [f"lstm/{name}:0".encode() for name in shapes]
        for name, shape in shapes.items():
            group[f"lstm/{name}:0"] = random.normal(0, 0.1, shape).astype("f")
    return path


def traced(folder: Path, weights: Path, steps: int) -> tuple[float, float]:
    """Seconds and peak MB of tracing `steps` steps."""
    x = folder / "x.npy"
    np.save(x, np.random.default_rng(1).normal(size=(steps, FEATURES)).astype("f"))
    command = [sys.executable, "-m", "rnnprobe", "trace", str(weights), "--input", str(x)]
    command += ["-o", str(folder / "trace.h5"), "--force", "-q"]
    begin = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(_peak, (command,))
    seconds = time.perf_counter() - begin
    os.unlink(folder / "trace.h5")
    return seconds, peak


def fastest(folder: Path, weights: Path, steps: int, runs: int = 5) -> tuple[float, float]:
    """Seconds of the fastest of several runs, and the largest of their peaks."""
    seconds, peaks = zip(*(traced(folder, weights, steps) for _ in range(runs)), strict=True)
    return min(seconds), max(peaks)


def _peak(command: list[str]) -> float:
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> int:
    """Measures, prints, and says by the status whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--long", type=int, default=10_000_000)
    parser.add_argument("--short", type=int, default=100_000)
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--folder", help="on the disk to write to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        weights = model(folder / "weights.h5", given.units, FEATURES)
        begun, _ = fastest(folder, weights, 1)
        short = given.short, *fastest(folder, weights, given.short)
        rows = [short, (given.long, *traced(folder, weights, given.long))]
    each = [(seconds - begun) / steps for steps, seconds, _ in rows]
    for (steps, seconds, peak), one in zip(rows, each, strict=True):
        print(f"{steps:>10,} steps  {seconds:7.1f} s  {1e6 * one:6.2f} µs a step  peak {peak:7.1f} MB")
    shares = rows[1][2] / rows[0][2], each[1] / each[0]
    print(f"the long one against the short one: peak {shares[0]:.3f}, a step {shares[1]:.3f}    goal: at most {GOAL}")
    return int(max(shares) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
