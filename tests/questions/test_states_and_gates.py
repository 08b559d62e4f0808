"""Questions 1 to 7, 13, 16 and 17: what is in a file, and what happens at each step; with the genuine API."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rnnprobe

from ..conftest import DATA
from .genuine import saved, sequences, tf, v1

NAME = "rnn/lstm_cell"
CLOSE = {"rtol": 0, "atol": 1e-5}


def lstm(units=4, **options):
    return v1.nn.rnn_cell.LSTMCell(units, **options)


def stepped(cell, x):
    """Outputs and states of every step, by stepping the genuine cell by hand in dynamic_rnn's scope."""
    state = cell.zero_state(x.shape[0], tf.float32)
    steps = []
    with v1.variable_scope("rnn", reuse=v1.AUTO_REUSE):
        for t in range(x.shape[1]):
            _, state = cell(x[:, t], state)
            steps.append(state)
    return steps


def test_1_c_at_every_step(tmp_path):
    """`outputs` of dynamic_rnn is h of every step, `state` is c and h of the last one; c is asked for at every step."""
    x = sequences(2, 6, 3)
    (outputs, final), steps = saved(
        tmp_path,
        lambda: (v1.nn.dynamic_rnn(cell := lstm(), tf.constant(x), dtype=tf.float32), stepped(cell, tf.constant(x))),
    )
    trace = rnnprobe.trace(tmp_path / "model.ckpt", x)
    recorded = trace.layers[NAME]
    np.testing.assert_allclose(recorded.signals["h"], outputs, **CLOSE)
    for t, state in enumerate(steps):
        np.testing.assert_allclose(np.asarray(recorded.signals["c"])[:, t], state.c, **CLOSE)
    np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)


def test_2_gates_obey_the_equations_of_the_cell(tmp_path):
    """c = f·c₋₁ + i·g and h = o·tanh(c), at every step; f holds the forget_bias of the graph."""
    x = sequences(2, 6, 3)
    saved(tmp_path, lambda: v1.nn.dynamic_rnn(lstm(forget_bias=0.25), tf.constant(x), dtype=tf.float32))
    network = rnnprobe.open(tmp_path)
    assert network.layers[0].options["forget_bias"] == rnnprobe.types.Value(0.25, "graph")
    signals = rnnprobe.trace(network, x, record="all").layers[NAME].signals
    c, h, i, f, g, o = (np.asarray(signals[name]) for name in ("c", "h", "i", "f", "g", "o"))
    before = np.concatenate([np.zeros_like(c[:, :1]), c[:, :-1]], axis=1)
    np.testing.assert_allclose(c, f * before + i * g, rtol=0, atol=1e-6)
    np.testing.assert_allclose(h, o * np.tanh(c), rtol=0, atol=1e-6)
    np.testing.assert_allclose(f, 1 / (1 + np.exp(-np.asarray(signals["f_pre"]))), rtol=0, atol=1e-6)


def test_3_the_forget_gates_columns(tmp_path):
    """With the columns of one gate set apart by their value, `weights` finds them: i, j, f, o in TensorFlow."""
    x = sequences(2, 3, 3)
    saved(tmp_path, lambda: v1.nn.dynamic_rnn(lstm(), tf.constant(x), dtype=tf.float32))
    kernel = tf.train.load_checkpoint(str(tmp_path / "model.ckpt")).get_tensor("rnn/lstm_cell/kernel")
    parts = rnnprobe.weights(tmp_path)[NAME]
    np.testing.assert_array_equal(parts["kernel"]["f"], kernel[:3, 8:12])
    np.testing.assert_array_equal(parts["recurrent_kernel"]["f"], kernel[3:, 8:12])
    np.testing.assert_array_equal(parts["kernel"]["g"], kernel[:3, 4:8])


def test_5_past_the_end_of_a_short_sequence(tmp_path):
    """TensorFlow emits zeros past a length and keeps the state of the last valid step; a trace has NaN there."""
    x, lengths = sequences(3, 6, 3), np.array([2, 6, 4], "i")
    outputs, final = saved(
        tmp_path,
        lambda: v1.nn.dynamic_rnn(lstm(), tf.constant(x), sequence_length=tf.constant(lengths), dtype=tf.float32),
    )
    recorded = rnnprobe.trace(tmp_path, x, lengths=lengths).layers[NAME]
    h = np.asarray(recorded.signals["h"])
    for sequence, length in enumerate(lengths):
        np.testing.assert_allclose(h[sequence, :length], outputs[sequence, :length], **CLOSE)
        assert np.isnan(h[sequence, length:]).all()
        np.testing.assert_allclose(recorded.final["h"][sequence], h[sequence, length - 1], rtol=0, atol=0)
    np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)


def test_6_the_backward_direction_lies_at_the_time_of_its_input(tmp_path):
    """`bidirectional_dynamic_rnn` re-reverses the backward outputs, length-aware; so do the rows of a trace."""
    x, lengths = sequences(2, 6, 3), np.array([4, 6], "i")
    (_, backward), (_, final) = saved(
        tmp_path,
        lambda: v1.nn.bidirectional_dynamic_rnn(
            lstm(), lstm(), tf.constant(x), sequence_length=tf.constant(lengths), dtype=tf.float32
        ),
    )
    trace = rnnprobe.trace(tmp_path, x, lengths=lengths)
    recorded = trace.layers["bidirectional_rnn/bw/lstm_cell"]
    assert recorded.attributes["direction"] == "backward"
    h = np.asarray(recorded.signals["h"])
    for sequence, length in enumerate(lengths):
        np.testing.assert_allclose(h[sequence, :length], backward[sequence, :length], **CLOSE)
    np.testing.assert_allclose(recorded.final["h"], final.h, **CLOSE)
    np.testing.assert_allclose(recorded.final["h"], h[:, 0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"forget_bias": 0.0},
        {"use_peepholes": True},
        {"num_proj": 3},
        {"cell_clip": 0.2},
        {"num_proj": 3, "proj_clip": 0.1},
        {"activation": tf.nn.relu},
        {"activation": tf.nn.softsign, "use_peepholes": True, "cell_clip": 0.3, "num_proj": 2, "forget_bias": 2.0},
    ],
    ids=lambda options: "-".join(options),
)
def test_7_a_replay_that_matches(tmp_path, options):
    """Each option that a NumPy replay forgets is read off the graph, and the outputs agree."""
    x = sequences(2, 6, 3)
    outputs, final = saved(tmp_path, lambda: v1.nn.dynamic_rnn(lstm(**options), tf.constant(x), dtype=tf.float32))
    network = rnnprobe.open(tmp_path)
    for name in ("forget_bias", "cell_clip", "proj_clip"):
        if name in options:
            assert network.layers[0].options[name].value == pytest.approx(options[name])
            assert network.layers[0].options[name].evidence == "graph"
    recorded = rnnprobe.trace(network, x).layers[NAME]
    np.testing.assert_allclose(recorded.signals["h"], outputs, **CLOSE)
    np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)


def test_13_float64_input_into_a_float32_cell(tmp_path):
    """TensorFlow complains of two dtypes; rnnprobe converts and says so."""
    x = sequences(2, 6, 3)
    outputs, _ = saved(tmp_path, lambda: v1.nn.dynamic_rnn(lstm(), tf.constant(x), dtype=tf.float32))
    with pytest.warns(UserWarning, match="float64"):
        recorded = rnnprobe.trace(tmp_path, x.astype("float64")).layers[NAME]
    np.testing.assert_allclose(recorded.signals["h"], outputs, **CLOSE)


def test_4_a_checkpoint_that_nothing_opens_any_more(run):
    """Names of 0.12, 1.0 and 1.4, a class that Keras 3 lacks, Keras 1's separate arrays: told without the old code."""
    conformance = DATA / "conformance"
    for model, cell, writer in (
        (conformance / "tf0.12" / "lstm_full", "lstm", "TensorFlow 0.12.1"),
        (conformance / "tf1.0" / "basic_lstm_fb", "basic_lstm", "TensorFlow 1.0.1"),
        (conformance / "tf1.4" / "lstm_concat_proj", "lstm", "TensorFlow 1.4.1"),
        (DATA / "keras" / "keras1.2.2" / "lstm" / "model.h5", "keras1_lstm", "Keras 1.2.2"),
    ):
        done = run("inspect", model, "--json")
        assert done.status == 0, done.err
        report = json.loads(done.out)
        assert report["layers"][0]["cell"] == cell
        assert writer in done.out


def test_16_how_the_weights_moved_over_training(tmp_path, run):
    """Each gate's norms at each step of training, from several checkpoints of one run."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 5, 3], "x")
        outputs, _ = v1.nn.dynamic_rnn(lstm(), x, dtype=tf.float32)
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(0.05).minimize(tf.reduce_mean(tf.square(outputs - 0.3)), global_step=step)
        session.run(v1.global_variables_initializer())
        kernels = [variable for variable in v1.trainable_variables() if variable.op.name == f"{NAME}/kernel"]
        saver, norms = v1.train.Saver(max_to_keep=None), {}
        for number in range(1, 31):
            session.run(train, {x: sequences(8, 5, 3, number)})
            if number % 10 == 0:
                saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
                kernel = session.run(kernels[0])
                norms[number] = float(np.linalg.norm(kernel[:3, 8:12]))
    done = run("weights", tmp_path, "--json", "--part", "kernel", "--gate", "f")
    assert done.status == 0, done.err
    assert {row["step"]: row["norm"] for row in json.loads(done.out)["steps"]} == pytest.approx(norms, rel=1e-6)


def test_17_what_a_unit_responds_to(tmp_path, run):
    """A unit's value over the text's own tokens: every token of the text, and a value a token."""
    x = "hello, hello"
    letters = sorted(set(x))
    (tmp_path / "text.txt").write_text(x)
    (tmp_path / "vocab.json").write_text(json.dumps({letter: k for k, letter in enumerate(letters)}))

    def build():
        table = v1.get_variable("embedding", [len(letters), 3])
        ids = tf.constant([[letters.index(letter) for letter in x]])
        return v1.nn.dynamic_rnn(lstm(), tf.nn.embedding_lookup(table, ids), dtype=tf.float32)[0]

    outputs = saved(tmp_path, build)
    words = ["--input", tmp_path / "text.txt", "--vocab", tmp_path / "vocab.json", "-o", tmp_path / "trace.h5"]
    assert run("trace", tmp_path / "model.ckpt", *words).status == 0
    shown = run("show", tmp_path / "trace.h5", "--unit", "2")
    assert x in shown.out
    trace = rnnprobe.load_trace(tmp_path / "trace.h5")
    assert "".join(trace.text(0, 0, len(x))) == x
    np.testing.assert_allclose(trace.layers[NAME].signals["h"][0, :, 2], outputs[0, :, 2], **CLOSE)
