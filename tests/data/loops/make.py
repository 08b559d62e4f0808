"""Writes the graphs of this folder with genuine TensorFlow (2.x, its version 1 API): `python make.py`.

`v1` has Enter, Switch and Exit, `v2` While ops; each case is a checkpoint with its graph, and what it computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

HERE = Path(__file__).parent
BATCH, STEPS, FEATURES, UNITS = 2, 5, 3, 4


class Cell:
    """A basic RNN written by hand, as no recogniser of cells knows it."""

    def __init__(self) -> None:
        self.kernel = tf.get_variable("kernel", [FEATURES + UNITS, UNITS])
        self.bias = tf.get_variable("bias", [UNITS])

    def __call__(self, x: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        return tf.tanh(tf.nn.bias_add(tf.matmul(tf.concat([x, h], 1), self.kernel), self.bias))


def raw_states(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """raw_rnn that emits something smaller than its output, and keeps every state in an array of its loop state."""
    cell = tf.nn.rnn_cell.BasicRNNCell(UNITS)
    steps = tf.shape(x)[1]
    sequence = tf.TensorArray(tf.float32, steps).unstack(tf.transpose(x, [1, 0, 2]))
    lengths = tf.placeholder(tf.int32, [BATCH], "lengths")

    def loop_fn(time, output, state, kept):
        if output is None:
            state = cell.zero_state(BATCH, tf.float32)
            kept = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False)
            emit = tf.zeros([2])
        else:
            emit = output[:, :2]
        kept = kept.write(time, state)
        finished = time >= lengths
        following = tf.cond(tf.reduce_all(finished), lambda: tf.zeros([BATCH, FEATURES]), lambda: sequence.read(time))
        return finished, following, state, emit, kept

    emitted, _, kept = tf.nn.raw_rnn(cell, loop_fn)
    return {"emitted": emitted.stack(), "kept": kept.stack()}


def scan_reversed(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """tf.scan from the last step to the first."""
    cell = Cell()
    states = tf.scan(lambda h, step: cell(step, h), tf.transpose(x, [1, 0, 2]), tf.zeros([BATCH, UNITS]), reverse=True)
    return {"states": states}


def nested(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """A loop that steps a cell by hand, each step of which is itself a loop; it hands out nothing."""
    cell = Cell()

    def step(time, h):
        inner = tf.while_loop(lambda k, _: k < 2, lambda k, y: (k + 1, cell(x[:, time], y)), (tf.constant(0), h))
        return time + 1, inner[1]

    _, h = tf.while_loop(lambda time, _: time < STEPS, step, (tf.constant(0), tf.zeros([BATCH, UNITS])))
    return {"h": h}


def squares(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """tf.map_fn: a loop without a state."""
    cell = Cell()
    return {"squares": tf.map_fn(lambda row: tf.matmul(row, cell.kernel[:FEATURES]), x)}


def keras_loop(x: tf.Tensor) -> dict[str, tf.Tensor]:
    """Keras's own loop, around a step of one's own."""
    cell = Cell()

    def step(inputs, states):
        h = cell(inputs, states[0])
        return h, [h]

    last, outputs, _ = tf.keras.backend.rnn(step, x, [tf.zeros([BATCH, UNITS])], go_backwards=True)
    return {"last": last, "outputs": outputs}


CASES = (raw_states, scan_reversed, nested, squares, keras_loop)


def main() -> None:
    tf.disable_eager_execution()
    for flow in ("v1", "v2"):
        (tf.enable_control_flow_v2 if flow == "v2" else tf.disable_control_flow_v2)()
        for case in CASES:
            with tf.Graph().as_default(), tf.Session() as session:
                tf.set_random_seed(3)
                x = tf.placeholder(tf.float32, [BATCH, STEPS, FEATURES], "x")
                results = case(x)
                session.run(tf.global_variables_initializer())
                feed = {x: np.random.default_rng(1).normal(size=(BATCH, STEPS, FEATURES)).astype("f")}
                if case is raw_states:
                    feed["lengths:0"] = np.array([3, 5], "i")
                folder = HERE / flow / case.__name__
                folder.mkdir(parents=True, exist_ok=True)
                np.savez(folder / "data.npz", x=feed[x], **session.run(results, feed))
                tf.train.Saver().save(session, str(folder / "model.ckpt"))
                (folder / "checkpoint").unlink()


if __name__ == "__main__":
    sys.exit(main())
