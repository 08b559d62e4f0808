"""Peak memory of `rnnprobe trace` against the length of the sequence: `python benchmarks/memory.py`.

An LSTM of 128 units over one sequence of 10,000 and one of 1,000,000 steps, every signal recorded to HDF5. A peak is
the largest resident size that the operating system counted in any one process of the command (`ru_maxrss`). The trace
of the long sequence takes 6 GB of disk while it runs.
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

UNITS, FEATURES = 128, 16


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
    command += ["--record", "all", "-o", str(folder / "trace.h5"), "--force", "-q"]
    begin = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(_peak, (command,))
    seconds = time.perf_counter() - begin
    os.unlink(folder / "trace.h5")
    return seconds, peak


def _peak(command: list[str]) -> float:
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--short", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = model(folder / "weights.h5", arguments.units, FEATURES)
        rows = [(steps, *traced(folder, weights, steps)) for steps in (arguments.short, arguments.long)]
    for steps, seconds, peak in rows:
        print(f"{steps:>10,} steps  {seconds:7.1f} s  peak {peak:7.1f} MB")
    print(f"difference of the peaks: {rows[1][2] - rows[0][2]:.1f} MB")


if __name__ == "__main__":
    main()
