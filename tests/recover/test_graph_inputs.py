"""Layers that do not feed each other: what the graph says of what each of them reads. Graphs of TensorFlow itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnprobe import errors, formats, recover
from rnnprobe.recover import stacks
from rnnprobe.types import Network

v1 = tf.compat.v1
N = 4


def lstm(x: tf.Tensor, scope: str) -> tf.Tensor:
    """A BasicLSTM over x `[batch, time, features]`, in a loop, from zeros."""
    with v1.variable_scope(f"{scope}/basic_lstm_cell"):
        width = int(x.shape[-1])
        kernel = v1.get_variable("kernel", [width + N, 4 * N])
        bias = v1.get_variable("bias", [4 * N])
    steps = tf.TensorArray(tf.float32, tf.shape(x)[1]).unstack(tf.transpose(x, [1, 0, 2]))
    out = tf.TensorArray(tf.float32, tf.shape(x)[1])
    zeros = tf.zeros([tf.shape(x)[0], N])

    def step(k, out, c, h):
        total = tf.nn.bias_add(tf.matmul(tf.concat([steps.read(k), h], 1), kernel), bias)
        i, j, f, o = tf.split(total, 4, axis=1)
        c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return k + 1, out.write(k, h), c, h

    shapes = (tf.TensorShape([]), None, tf.TensorShape([None, N]), tf.TensorShape([None, N]))
    invariants = (shapes[0], tf.TensorShape(None), *shapes[2:])
    found = tf.while_loop(lambda k, *_: k < tf.shape(x)[1], step, (0, out, zeros, zeros), shape_invariants=invariants)
    return tf.transpose(found[1].stack(), [1, 0, 2])


def given(name: str, width: int = 3) -> tf.Tensor:
    return v1.placeholder(tf.float32, [None, None, width], name=name)


def ids(name: str) -> tf.Tensor:
    return v1.placeholder(tf.int32, [None, None], name=name)


def table(name: str) -> tf.Tensor:
    return v1.get_variable(name, [7, 3])


def saved(folder: Path, build: Callable[[], object]) -> Path:
    with tf.Graph().as_default(), v1.variable_scope(v1.get_variable_scope(), use_resource=False):
        build()
        v1.set_random_seed(4)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(folder / "model.ckpt"))
    return folder / "model.ckpt"


def selected(path: Path) -> Network:
    return stacks.select(recover.network(formats.read(path)))[0]


def numbers(folder: Path, name: str, width: int = 3) -> Path:
    np.save(folder / name, np.random.default_rng(2).normal(size=(2, 5, width)).astype("f"))
    return folder / f"{name}.npy"


def test_stacks_that_read_the_same_are_run_together_from_one_input(tmp_path, run):
    def build():
        x = given("x")
        lstm(x, "one")
        lstm(x, "two")

    path = saved(tmp_path, build)
    network = selected(path)
    assert [layer.name for layer in network.layers] == ["one/basic_lstm_cell", "two/basic_lstm_cell"]
    assert stacks.outside(network) == ("input",)
    done = run("verify", path, "--input", numbers(tmp_path, "x"))
    assert done.status == 0, done.err


def test_stacks_that_read_others_have_inputs_by_the_names_of_the_graph(tmp_path, run):
    path = saved(tmp_path, lambda: (lstm(given("speech"), "one"), lstm(given("pitch", 2), "two")))
    assert stacks.outside(selected(path)) == ("speech", "pitch")
    speech, pitch = numbers(tmp_path, "speech"), numbers(tmp_path, "pitch", 2)
    done = run("verify", path, "--input", f"speech={speech}", "--input", f"pitch={pitch}")
    assert done.status == 0, done.err
    done = run("verify", path, "--input", speech)
    assert done.status == 2
    assert "takes 'speech' and 'pitch'" in done.err
    done = run("verify", path, "--input", pitch, "--layer", "two/basic_lstm_cell")
    assert done.status == 0, done.err


def test_one_table_read_by_two_kinds_of_ids_stands_in_front_twice(tmp_path, run):
    def build():
        words = table("embedding")
        lstm(tf.gather(words, ids("question")), "one")
        lstm(tf.gather(words, ids("answer")), "two")

    path = saved(tmp_path, build)
    network = selected(path)
    assert [layer.feed.sources for layer in network.layers] == [
        ("embedding",),
        ("embedding of two/basic_lstm_cell",),
    ]
    assert {embedding.table.name for embedding in network.embeddings} == {"embedding"}
    assert len(stacks.outside(network)) == 2
    inputs = []
    for name in stacks.outside(network):
        np.save(tmp_path / f"{len(inputs) // 2}.npy", np.random.default_rng(len(inputs)).integers(0, 7, (2, 5)))
        inputs += ["--input", f"{name}={tmp_path}/{len(inputs) // 2}.npy"]
    done = run("verify", path, *inputs)
    assert done.status == 0, done.err


def test_tables_that_are_read_by_the_same_ids_have_one_input(tmp_path, run):
    def build():
        both = ids("both")
        lstm(tf.gather(table("letters"), both), "one")
        lstm(tf.gather(table("sounds"), both), "two")

    path = saved(tmp_path, build)
    assert stacks.outside(selected(path)) == ("letters",)
    np.save(tmp_path / "ids.npy", np.random.default_rng(2).integers(0, 7, (2, 5)))
    done = run("verify", path, "--input", tmp_path / "ids.npy")
    assert done.status == 0, done.err


def test_without_a_graph_a_choice_is_asked_for(tmp_path):
    path = saved(tmp_path, lambda: (lstm(given("speech"), "one"), lstm(given("pitch"), "two")))
    (tmp_path / "model.ckpt.meta").unlink()
    with pytest.raises(errors.BadInput, match="2 independent stacks"):
        selected(path)
