"""What the engine is measured against: each a function that is made once and then run again and again.

`python benchmarks/lanes.py NAME BATCH UNITS FEATURES STEPS CELL` runs one in a process of its own, with the threads
that suit it: a line on standard input is one run, whose seconds are the answer on standard output.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Case:
    """The sizes of what is run: `steps` of `batch` sequences through one layer."""

    batch: int
    units: int
    features: int
    steps: int
    cell: str

    @property
    def x(self) -> np.ndarray:
        """`[time, batch, features]`."""
        return np.random.default_rng(1).normal(size=(self.steps, self.batch, self.features)).astype("f")

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """As Keras has them."""
        random, wide = np.random.default_rng(0), GATES[self.cell] * self.units
        shapes = {"kernel": (self.features, wide), "recurrent_kernel": (self.units, wide), "bias": (wide,)}
        return {name: random.normal(0, 0.1, shape).astype("f") for name, shape in shapes.items()}


def stored(path: Path, case: Case) -> Path:
    """Weights of one Keras layer."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"layer_names": [b"layer"], "keras_version": b"2.2.4", "backend": b"tensorflow"})
        group = file.create_group("layer")
        group.attrs["weight_names"] = [f"layer/{name}:0".encode() for name in case.weights]
        for name, array in case.weights.items():
            group[f"layer/{name}:0"] = array
    return path


def rnnprobe(case: Case) -> Callable[[], Any]:
    """The engine: h, c and every gate at every step, in arrays of NumPy."""
    import rnnprobe
    from rnnprobe import engine, inputs
    from rnnprobe.cells.layers import wide
    from rnnprobe.engine import compilation
    from rnnprobe.engine.compilation import Compilation
    from rnnprobe.recover import stacks
    from rnnprobe.runs import threads

    with tempfile.TemporaryDirectory() as folder:
        network = rnnprobe.open(stored(Path(folder) / "weights.h5", case))
        threads.choose(network.layers)
        x = np.ascontiguousarray(case.x.swapaxes(0, 1))
        batches = inputs.read(
            x, stacks.entries(network), say=print, batch_size=min(64 if wide(network.layers) else ROWS, case.batch)
        )
        (layer,) = network.layers
        record = {layer.name: tuple(s.name for s in layer.cell.signals if s.kind in ("state", "gate"))}
        # As for a run of many such batches: compiled wherever that gains.
        compilation._WORTH = 0
        ready = engine.Engine(network, record, compilation=Compilation.of(network, batches))
    return lambda: [block.signals for block in ready.over(batches)]


ROWS = 16
"""Sequences of a batch."""


def dynamic_rnn(case: Case) -> Callable[[], Any]:
    """`tf.nn.dynamic_rnn`: the outputs, time-major."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, (case.steps, case.batch, case.features))
        cell = {"lstm": tf.nn.rnn_cell.LSTMCell, "gru": tf.nn.rnn_cell.GRUCell}[case.cell](case.units)
        outputs, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, time_major=True)
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())
    call = session.make_callable(outputs, [x])
    given = case.x
    return lambda: call(given)


def keras(case: Case) -> Callable[[], Any]:
    """Keras's layer in a `tf.function`: the outputs."""
    import keras as library
    import tensorflow as tf

    layer = {"lstm": library.layers.LSTM, "gru": library.layers.GRU}[case.cell](case.units, return_sequences=True)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1))
    layer.build(x.shape)
    call = tf.function(layer, autograph=False)
    return lambda: np.asarray(call(x))


def naive(case: Case) -> Callable[[], Any]:
    """The loop of many answers: x, h side by side in one product, a TensorArray for each signal that is stacked."""
    import tensorflow as tf

    own, units = case.weights, case.units
    kernel = tf.constant(np.concatenate([own["kernel"], own["recurrent_kernel"]]))
    bias, shape = tf.constant(own["bias"]), (case.batch, units)

    def lstm(x: Any, h: Any, c: Any) -> tuple[Any, ...]:
        i, f, g, o = tf.split(tf.matmul(tf.concat([x, h], 1), kernel) + bias, 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        return o * tf.tanh(c), c, i, f, g, o

    @tf.function
    def run(x: Any) -> Any:
        arrays = [tf.TensorArray(tf.float32, size=0, dynamic_size=True) for _ in range(6)]
        h, c = tf.zeros(shape), tf.zeros(shape)

        def body(t: Any, h: Any, c: Any, *arrays: Any) -> tuple[Any, ...]:
            signals = lstm(x[t], h, c)
            return t + 1, *signals[:2], *[one.write(t, s) for one, s in zip(arrays, signals, strict=True)]

        found = tf.while_loop(lambda t, *_: t < tf.shape(x)[0], body, (0, h, c, *arrays))
        return [one.stack() for one in found[3:]]

    x = case.x
    return lambda: [one.numpy() for one in run(x)]


def block_lstm(case: Case) -> Callable[[], Any]:
    """The fused BlockLSTM operation, which gives every gate."""
    import tensorflow as tf

    own, units = case.weights, case.units
    w = tf.constant(np.concatenate([own["kernel"], own["recurrent_kernel"]]))
    zeros, none = tf.zeros((case.batch, units)), tf.zeros(units)

    @tf.function(autograph=False)
    def run(x: Any) -> Any:
        return tf.raw_ops.BlockLSTMV2(
            seq_len_max=tf.constant(case.steps, tf.int64),
            x=x,
            cs_prev=zeros,
            h_prev=zeros,
            w=w,
            wci=none,
            wcf=none,
            wco=none,
            b=own["bias"],
            cell_clip=0.0,
            use_peephole=False,
        )

    x = case.x
    return lambda: [np.asarray(one) for one in run(x)]


def torch(case: Case) -> Callable[[], Any]:
    """PyTorch's layer: the outputs."""
    import torch as library

    layer = {"lstm": library.nn.LSTM, "gru": library.nn.GRU}[case.cell](case.features, case.units)
    x = library.from_numpy(case.x)

    def run() -> Any:
        with library.inference_mode():
            return layer(x)[0].numpy()

    return run


def products(case: Case, *, fused: bool) -> Callable[[], Any]:
    """A loop of the recurrent products alone."""
    import tensorflow as tf

    kernel, units = tf.constant(case.weights["recurrent_kernel"]), case.units

    @tf.function(autograph=False, jit_compile=fused)
    def run(h: Any) -> Any:
        def body(t: Any, h: Any, whole: Any) -> tuple[Any, ...]:
            whole = tf.matmul(h, kernel)
            return t + 1, whole[:, :units] * 0.1, whole

        wide = tf.zeros((case.batch, kernel.shape[1]))
        return tf.while_loop(lambda t, *_: t < case.steps, body, (0, h, wide))[2]

    h = np.ones((case.batch, units), "f")
    return lambda: np.asarray(run(h))


LANES: Mapping[str, tuple[str, Callable[[Case], Callable[[], Any]]]] = {
    "rnnprobe": ("rnnprobe, every gate and state", rnnprobe),
    "a": ("dynamic_rnn, outputs alone", dynamic_rnn),
    "b": ("Keras, outputs alone", keras),
    "c": ("the recorded while_loop of many answers", naive),
    "d": ("BlockLSTM, every gate", block_lstm),
    "e": ("PyTorch, outputs alone", torch),
    "f": ("the recurrent products alone", lambda case: products(case, fused=False)),
    "f, XLA": ("the recurrent products alone, compiled by XLA", lambda case: products(case, fused=True)),
}


def offered(cell: str) -> list[str]:
    """The lanes that there are for a cell."""
    left = {"c", "d"} if cell != "lstm" else set()
    return [name for name in LANES if name not in left and (name != "e" or find_spec("torch"))]


def main() -> None:
    name, batch, units, features, steps, cell = sys.argv[1:]
    run = LANES[name][1](Case(int(batch), int(units), int(features), int(steps), cell))
    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
