"""Peak memory and time of `rnnprobe trace` against the length of the sequence: `python benchmarks/memory.py`.

An LSTM over one sequence of 100 thousand and one of 10 million steps, states and gates recorded to HDF5. A peak is the
largest resident size that the operating system counted in any one process of the command (`ru_maxrss`). The time of a
step is that of computing and writing from the second block on, since start-up and compiling would drown the steps of
the short one: the median of eight runs of the short one, half of them before and half after the long one, and the
median of the stretches of the long one that are as long. The trace of the long sequence takes 4 GB of disk.

Status 1 where a goal is missed: the peak of the long sequence, and its time for each step, at most 10 % over those of
the short one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
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


def peak(weights: Path, x: Path, output: Path) -> float:
    """The MB of the command at its largest."""
    command = [sys.executable, "-m", "rnnprobe", "trace", str(weights), "--input", str(x), "-o", str(output), "-q"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_peak, (command,))
    output.unlink()
    return found


def _peak(command: list[str]) -> float:
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def stretches(weights: Path, x: Path, output: Path, size: int) -> list[float]:
    """The seconds of a step in each stretch of so many steps."""
    # Not in the process that starts the command whose peak is measured.
    import rnnprobe
    from rnnprobe import engine, inputs, outputs
    from rnnprobe.recover import stacks
    from rnnprobe.types import Recording

    network = rnnprobe.open(weights)
    batches = inputs.read(x, stacks.entries(network), say=print)
    network = engine.extents(network, batches).network
    (layer,) = network.layers
    record = {layer.name: tuple(signal.name for signal in layer.cell.signals if signal.kind in ("state", "gate"))}
    blocks = engine.trace(network, batches, record)
    first = next(blocks)
    found, steps, begin = [], 0, time.perf_counter()
    with outputs.open(output, Recording(network.layers, record, batches)) as sink:
        sink.write(first)
        for block in blocks:
            sink.write(block)
            steps += next(iter(block.signals[layer.name].values())).shape[0]
            if steps >= 0.9 * size:  # the first block is not counted
                found.append((time.perf_counter() - begin) / steps)
                steps, begin = 0, time.perf_counter()
    output.unlink()
    return found


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
        lengths = given.short, given.long
        x = [folder / f"{steps}.npy" for steps in lengths]
        for path, steps in zip(x, lengths, strict=True):
            np.save(path, np.random.default_rng(1).normal(size=(steps, FEATURES)).astype("f"))
        output = folder / "trace.h5"
        peaks = [peak(weights, path, output) for path in x]
        short, long = [], []
        for path, found in [(x[0], short)] * 4 + [(x[1], long)] + [(x[0], short)] * 4:
            found += stretches(weights, path, output, given.short)
    each = [statistics.median(found) for found in (short, long)]
    for steps, one, most in zip(lengths, each, peaks, strict=True):
        print(f"{steps:>10,} steps  {1e6 * one:6.2f} µs a step  peak {most:7.1f} MB")
    shares = peaks[1] / peaks[0], each[1] / each[0]
    print(f"the long one against the short one: peak {shares[0]:.3f}, a step {shares[1]:.3f}    goal: at most {GOAL}")
    return int(max(shares) > GOAL)


if __name__ == "__main__":
    sys.exit(main())
