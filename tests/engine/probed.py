"""Small graphs of recurrences that nothing rebuilds, in either control flow, and what they compute."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from rnnprobe import formats, recover
from rnnprobe.types import Network

v1 = tf.compat.v1
KERNEL = (np.random.default_rng(3).normal(size=(7, 4)) / 2).astype("f")


@contextmanager
def control_flow(functional: bool):
    """While ops with functions, or frames."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def saved(folder: Path, make: Callable[[], object], *, functional: bool) -> Network:
    """The network of a checkpoint of the graph that `make` builds; its only variable holds `KERNEL`."""
    with control_flow(functional), tf.Graph().as_default():
        make()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver(v1.global_variables()).save(session, str(folder / "model"))
    return recover.network(formats.read(folder / "model"))


def kernel():
    """The variable."""
    return v1.get_variable("kernel", initializer=KERNEL, use_resource=True)


def windowed(*, time_major: bool = False, turned: bool = False, lengths: bool = False) -> None:
    """h of the input and of the mean of the three last ones, a memory of these, and two states without a batch.

    Hands out 2 h; `x` is a placeholder, `[batch, time, 3]`.
    """
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    steps = x if time_major else tf.transpose(x, [1, 0, 2])
    steps = tf.reverse(steps, [0]) if turned else steps
    count = tf.shape(steps)[0]
    size = tf.shape(steps)[1]
    ends = v1.placeholder(tf.int32, [None], "lens") if lengths else None
    given = tf.TensorArray(tf.float32, count).unstack(steps)
    made = tf.TensorArray(tf.float32, count)
    weight = kernel()

    def body(time, out, h, memory, decay, total):
        with v1.name_scope("cell"):
            joined = tf.concat([given.read(time), h], 1, name="joined")
            new = tf.tanh(joined @ weight + tf.reduce_mean(memory, 1), name="squashed")
        if ends is not None:
            new = tf.where(tf.tile((time >= ends)[:, None], [1, 4]), h, new)
        memory = tf.concat([memory[:, 1:], new[:, None]], 1)
        return time + 1, out.write(time, 2.0 * new), new, memory, decay * 0.9, total + tf.reduce_sum(decay)

    begin = (tf.zeros([size, 4]), tf.fill([size, 3, 4], 0.5), tf.ones([5]), 0.0)
    found = v1.while_loop(lambda time, *_: time < count, body, (0, made, *begin), name="loop")
    tf.transpose(found[1].stack(), [1, 0, 2], name="result")


def windowed_steps(x: np.ndarray) -> dict[str, np.ndarray]:
    """What `windowed` computes of `[time, 3]`, at each step."""
    h, memory, decay, total = np.zeros(4, "f"), np.full((3, 4), 0.5, "f"), np.ones(5, "f"), np.float32(0)
    rows = []
    for step in x:
        h = np.tanh(np.concatenate([step, h]) @ KERNEL + memory.mean(0))
        memory = np.concatenate([memory[1:], h[None]])
        total = total + decay.sum()
        decay = decay * np.float32(0.9)
        rows.append((h, memory, decay, total))
    names = ("h", "memory", "decay", "total")
    return {name: np.array([row[place] for row in rows]) for place, name in enumerate(names)}


def decoding() -> None:
    """A loop of a clock of its own: as many steps as `limit` says, from the mean of `x`; some end sooner.

    In each step another loop runs, and a conditional.
    """
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    limit = v1.placeholder(tf.int32, [], "limit")
    weight = kernel()
    begin = tf.reduce_mean(x, 1) @ weight[:3]

    def body(time, h):
        new = tf.tanh(h @ weight[3:])
        halved = v1.while_loop(
            lambda k, _: k < 2,
            lambda k, a: (
                k + 1,
                a / 2,
            ),
            (0, new),
            name="inner",
        )[1]
        new = v1.cond(time > 1, lambda: tf.identity(halved + 1.0, name="late"), lambda: new - halved, name="choice")
        return time + 1, new

    found = v1.while_loop(lambda time, _: time < limit, body, (0, begin), name="decode")
    tf.identity(found[1], name="last")


def decoding_steps(x: np.ndarray, steps: int) -> np.ndarray:
    """What `decoding` computes of `[time, 3]`."""
    h, rows = x.mean(0) @ KERNEL[:3], []
    for time in range(steps):
        new = np.tanh(h @ KERNEL[3:])
        h = new / 4 + 1 if time > 1 else new - new / 4
        rows.append(h)
    return np.stack(rows)


def sounding() -> None:
    """A loop over the samples of a WAV file, four in a step."""
    contents = v1.placeholder(tf.string, [], "wav")
    samples = tf.audio.decode_wav(contents, name="decoded").audio
    steps = tf.reshape(samples, [1, -1, 4])
    weight = kernel()
    read = tf.TensorArray(tf.float32, tf.shape(steps)[1]).unstack(tf.transpose(steps, [1, 0, 2]))

    def body(time, h):
        return time + 1, tf.tanh(h + read.read(time) @ weight[:4])

    v1.while_loop(lambda time, _: time < tf.shape(steps)[1], body, (0, tf.zeros([1, 4])), name="loop")


def attending(*, started: bool = False) -> None:
    """An LSTM that reads a step of `x` beside half of what it emitted before."""
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    size, count = tf.shape(x)[0], tf.shape(x)[1]
    given = tf.TensorArray(tf.float32, count).unstack(tf.transpose(x, [1, 0, 2]))
    made = tf.TensorArray(tf.float32, count)
    with v1.variable_scope("rnn/lstm_cell"):
        weight = v1.get_variable("kernel", initializer=np.tile(KERNEL[:, :1], (2, 16))[:9], use_resource=True)
        bias = v1.get_variable("bias", initializer=np.linspace(-1, 1, 16, dtype="f"), use_resource=True)

    def body(time, out, c, h):
        with v1.name_scope("rnn/lstm_cell"):
            joined = tf.concat([given.read(time), h[:, :2] / 2, h], 1)
            i, g, f, o = tf.split(tf.nn.bias_add(joined @ weight, bias), 4, 1)
            c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
        return time + 1, out.write(time, h), c, h

    zeros = tf.zeros([size, 4])
    begin = v1.placeholder(tf.float32, [None, 4], "begin") if started else zeros
    found = v1.while_loop(lambda time, *_: time < count, body, (0, made, zeros, begin), name="rnn/while")
    tf.transpose(found[1].stack(), [1, 0, 2], name="result")


def remembering() -> None:
    """A loop over `x` that looks, at each step, at all of `memory`: `[batch, anything, 4]`."""
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    memory = v1.placeholder(tf.float32, [None, None, 4], "memory")
    given = tf.TensorArray(tf.float32, tf.shape(x)[1]).unstack(tf.transpose(x, [1, 0, 2]))
    weight = kernel()

    def body(time, h, _):
        looks = tf.nn.softmax(tf.reduce_sum(memory * h[:, None], 2), name="looks")
        context = tf.reduce_sum(memory * looks[..., None], 1)
        return time + 1, tf.tanh(tf.concat([given.read(time), context], 1) @ weight), looks

    begin = (0, tf.zeros([tf.shape(x)[0], 4]), tf.zeros(tf.shape(memory)[:2]))
    v1.while_loop(lambda time, *_: time < tf.shape(x)[1], body, begin, name="loop")


def remembering_steps(x: np.ndarray, memory: np.ndarray) -> dict[str, np.ndarray]:
    """What `remembering` computes of `[time, 3]` and `[anything, 4]`."""
    h, rows = np.zeros(4), []
    for step in x:
        weights = np.exp(memory @ h)
        weights /= weights.sum()
        h = np.tanh(np.concatenate([step, weights @ memory]) @ KERNEL)
        rows.append((h, weights))
    return {"state_1": np.array([row[0] for row in rows]), "state_2": np.array([row[1] for row in rows])}


def choosing(*, time_major: bool) -> None:
    """A loop over rows of a table that `ids` choose."""
    ids = v1.placeholder(tf.int32, [None, None], "ids")
    weight = kernel()
    rows = tf.gather(tf.identity(weight), ids if time_major else tf.transpose(ids))
    read = tf.TensorArray(tf.float32, tf.shape(rows)[0]).unstack(rows)

    def body(time, h):
        return time + 1, tf.tanh(h + read.read(time))

    v1.while_loop(lambda time, _: time < tf.shape(rows)[0], body, (0, tf.zeros([tf.shape(rows)[1], 4])), name="loop")


def choosing_steps(ids: np.ndarray) -> np.ndarray:
    """What `choosing` computes of `[time]`."""
    h, rows = np.zeros(4, "f"), []
    for one in ids:
        h = np.tanh(h + KERNEL[one])
        rows.append(h)
    return np.stack(rows)
