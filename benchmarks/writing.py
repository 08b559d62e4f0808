"""What limits the way out to HDF5: `python benchmarks/writing.py [shapes] [writer] [whole]`.

    shapes   an array cut in several shapes: the time to write it, to read one sequence over all its steps, one unit of
             all sequences, and one step of them, each as a share of the time that the first shape takes
    writer   blocks that are ready, of an LSTM's h, c and gates, written by rnnprobe and by plain `os.pwrite`: the same
             bytes to the same disk, with and without `fsync` at the end
    whole    an LSTM traced into HDF5, against computing alone and against plain writes of the same bytes. What is
             compiled is so before the clock starts: it does when the first block is there

Each is run in turn, round after round, and the fastest of each counts, which other work on the machine disturbs least.
Status 1 where the goal is missed: the whole at 70 % or more of the slower of computing alone and writing alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from memory import model

import rnnprobe
from rnnprobe import inputs, outputs
from rnnprobe.outputs.chunking import Chunks
from rnnprobe.outputs.field import Field
from rnnprobe.outputs.pieces import Piece
from rnnprobe.outputs.slabs import Slabs
from rnnprobe.recover import stacks
from rnnprobe.types import Batch, Block, Layer, Recording

GOAL = 0.7
UNITS, FEATURES = 256, 64
SHAPES = (
    (1, 256, 256), (1, 64, 256), (1, 16, 256), (1, 1024, 64), (1, 512, 64), (1, 256, 64), (1, 64, 64), (1, 1024, 32),
    (4, 256, 64), (16, 64, 64), (16, 16, 256), (32, 128, 16),
)  # fmt: skip


def fastest(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Runs each in turn, so many times, and returns the fewest seconds of each."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return {name: min(each) for name, each in found.items()}


def timed(work: Callable[[], object]) -> float:
    """The seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def batches(count: int, size: int, steps: int) -> tuple[Batch, ...]:
    """Sequences of one length, with an input of one number a step, all zeros."""
    return tuple(
        Batch(
            np.arange(start, start + size),
            tuple(f"s{number}" for number in range(start, start + size)),
            np.full(size, steps),
            steps,
            (1,),
            lambda first, last: np.zeros((size, last - first, 1), "f"),
            "float32",
        )
        for start in range(0, count, size)
    )


class Shape:
    """An array of 128 sequences of 1,024 steps, 256 units each, cut in chunks of one shape.

    Args:
        path: of a file for it.
        chunk: sequences, steps and units of a chunk.
    """

    sequences, steps, batch, stretch = 128, 1024, 32, 64

    def __init__(self, path: Path, chunk: tuple[int, int, int]) -> None:
        self._path, self._chunk = path, chunk
        self._extent = (self.sequences, self.steps, UNITS)
        self._block = np.random.default_rng(0).normal(size=(self.stretch, self.batch, UNITS)).astype("f")
        self._batches = batches(self.sequences, self.batch, self.steps)

    def write(self) -> None:
        """Blocks of 64 steps of 32 sequences."""
        lengths = np.full(self.sequences, self.steps)
        field = Field("h", ("sequence", "time", "unit"), self._extent, "float32", lengths=lengths)
        together, steps, units = self._chunk
        cut = Chunks(together, steps, units, UNITS // units, self.batch if together > 1 else 0)
        with h5py.File(self._path, "w") as file:
            array = file.create_dataset("h", self._extent, "f", chunks=self._chunk, fillvalue=np.nan)
            slabs = Slabs(field, cut, self._batches, lambda offset, chunk: array.id.write_direct_chunk(offset, chunk))
            for batch in self._batches:
                for start in range(0, self.steps, self.stretch):
                    slabs.put(Piece(("", "h"), batch.rows, start, self._block.swapaxes(0, 1)))

    def read(self, *keys: tuple[slice | int, ...]) -> float:
        """The seconds that it takes to read these, one after the other."""
        with h5py.File(self._path) as file:
            array = file["h"]
            return timed(lambda: [array[key] for key in keys])


def compare_shapes(folder: Path, rounds: int) -> None:
    """Prints the table of shapes."""
    full = slice(None)
    print(f"{Shape.sequences} sequences of {Shape.steps} steps, {UNITS} units; times as shares of the first line's")
    print("chunk            KiB    write  one sequence  one unit  one step")
    first: dict[str, float] = {}
    for chunk in SHAPES:
        shape = Shape(folder / "shape.h5", chunk)
        ways: dict[str, Callable[[], float]] = {
            "write": lambda shape=shape: timed(shape.write),
            "sequence": lambda shape=shape: shape.read(*((row,) for row in range(3, 128, 8))),
            "unit": lambda shape=shape: shape.read((full, full, 77)),
            "step": lambda shape=shape: shape.read((full, 555)),
        }
        found = fastest(ways, rounds)
        first = first or found
        shares = [found[name] / first[name] for name in ways]
        print(
            f"{','.join(map(str, chunk)):14s} {int(np.prod(chunk)) * 4 >> 10:5d}  "
            "{:7.2f} {:13.2f} {:9.2f} {:9.2f}".format(*shares),
            flush=True,
        )


def lstm(folder: Path) -> rnnprobe.types.Network:
    """A Keras LSTM of 256 units."""
    return rnnprobe.open(model(folder / "weights.h5", UNITS, FEATURES))


def recorded(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Its states and gates."""
    return {layer.name: tuple(signal.name for signal in layer.cell.signals if signal.kind in ("state", "gate"))}


def plain(path: Path, arrays: Sequence[np.ndarray], *, sync: bool) -> float:
    """The seconds that `os.pwrite` takes for these, one after the other."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def work() -> None:
        offset = 0
        for array in arrays:
            offset += os.pwrite(descriptor, array.data.cast("B"), offset)
        if sync:
            os.fsync(descriptor)

    seconds = timed(work)
    os.close(descriptor)
    path.unlink()
    return seconds


def into_hdf5(path: Path, recording: Recording, blocks: Iterator[Block], *, sync: bool) -> float:
    """The seconds that rnnprobe takes for these blocks."""
    kept = os.fsync
    if not sync:
        os.fsync = lambda descriptor: None

    def work() -> None:
        with outputs.open(path, recording) as sink:
            for block in blocks:
                sink.write(block)

    try:
        return timed(work)
    finally:
        os.fsync = kept
        path.unlink()


def compare_writers(folder: Path, rounds: int, batch: int = 16, steps: int = 6144, stretch: int = 64) -> None:
    """Prints how rnnprobe's writer stands against plain writes."""
    (layer,) = lstm(folder).layers
    signals = recorded(layer)
    names = signals[layer.name]
    random = np.random.default_rng(0)
    pool = [{name: random.normal(size=(stretch, batch, UNITS)).astype("f") for name in names} for _ in range(12)]
    what = Recording((layer,), signals, batches(batch, batch, steps))
    ends = {layer.name: {state: np.zeros((batch, UNITS), "f") for state in layer.cell.states}}

    def blocks() -> Iterator[Block]:
        for number, start in enumerate(range(0, steps, stretch)):
            last = start + stretch == steps
            taken = {layer.name: pool[number % len(pool)]}
            yield Block(what.batches[0], start, taken, {} if number else ends, ends if last else {})

    arrays = [pool[number % len(pool)][name] for number in range(steps // stretch) for name in names]
    total = sum(array.nbytes for array in arrays)
    print(f"{len(names)} signals, blocks of [{stretch}, {batch}, {UNITS}], {total / 1e9:.2f} GB")
    for sync in (False, True):
        ways = {
            "plain": lambda sync=sync: plain(folder / "plain", arrays, sync=sync),
            "HDF5": lambda sync=sync: into_hdf5(folder / "t.h5", what, blocks(), sync=sync),
        }
        found = fastest(ways, rounds)
        speeds = "  ".join(f"{name} {total / seconds / 1e9:.2f} GB/s" for name, seconds in found.items())
        print(
            f"{'with' if sync else 'without'} fsync: {speeds}  ratio {found['plain'] / found['HDF5']:.2f}", flush=True
        )


def compare_whole(folder: Path, rounds: int, count: int = 128, batch: int = 16, steps: int = 2000) -> float:
    """Prints what the whole takes against its parts; returns the share of the goal."""
    from rnnprobe import engine

    network = lstm(folder)
    x = np.random.default_rng(1).normal(size=(count, steps, FEATURES)).astype("f")
    given = inputs.read(x, stacks.entries(network), say=print, batch_size=batch)
    network = engine.extents(network, given).network
    signals = recorded(network.layers[0])
    what = Recording(network.layers, signals, given)
    few = replace(what, batches=given[:1])

    def begun() -> Iterator[Block]:
        blocks = engine.trace(network, given, signals)
        first = next(blocks)

        def rest() -> Iterator[Block]:
            yield first
            yield from blocks

        return rest()

    sample = [np.ascontiguousarray(array) for array in next(begun()).signals[few.layers[0].name].values()]
    total = count * steps * UNITS * 4 * len(sample)
    arrays = sample * (total // sum(array.nbytes for array in sample))

    def computing() -> float:
        blocks = begun()
        return timed(lambda: [None for _ in blocks])

    ways = {
        "computing": computing,
        "writing": lambda: plain(folder / "plain", arrays, sync=True),
        "whole": lambda: into_hdf5(folder / "t.h5", what, begun(), sync=True),
    }
    found = fastest(ways, rounds)
    share = max(found["computing"], found["writing"]) / found["whole"]
    print(f"LSTM of {UNITS} units, {count} sequences of {steps} steps, {total / 1e9:.2f} GB, fsync included")
    print("  ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items()))
    print(f"the slower of computing and writing, over the whole: {share:.2f}    goal: at least {GOAL}")
    return share


def main() -> int:
    """Measures, prints, and says by the status whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="shapes, writer, whole; all without")
    parser.add_argument("--folder", help="on the disk to write to")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    parts = given.parts or ["shapes", "writer", "whole"]
    share = GOAL
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        if "shapes" in parts:
            compare_shapes(folder, given.rounds)
        if "writer" in parts:
            compare_writers(folder, given.rounds)
        if "whole" in parts:
            share = compare_whole(folder, given.rounds)
    return int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
