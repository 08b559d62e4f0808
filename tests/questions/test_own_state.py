"""Questions 8, 9 and 10: starting from a state, carrying it on, and the steps of static_rnn."""

from __future__ import annotations

import numpy as np
import pytest

import rnnprobe

from .genuine import saved, sequences, tf, v1

CLOSE = {"rtol": 0, "atol": 1e-5}
C, H = (np.full((2, 4), value, "f") for value in (0.5, -0.25))


def test_8_a_pair_for_an_lstm(tmp_path):
    """LSTMStateTuple is (c, h), Keras has (h, c); here states go by name, and a bare pair is refused in these words."""
    x = sequences(2, 5, 3)
    outputs, final = saved(
        tmp_path,
        lambda: v1.nn.dynamic_rnn(
            v1.nn.rnn_cell.BasicLSTMCell(4), tf.constant(x), initial_state=v1.nn.rnn_cell.LSTMStateTuple(C, H)
        ),
    )
    with pytest.raises(rnnprobe.BadInput) as caught:
        rnnprobe.trace(tmp_path, x, initial_state=(C, H))
    assert "TF1 orders them (c, h), Keras (h, c)" in caught.value.hint
    for state in ({"c": C, "h": H}, {"rnn/basic_lstm_cell": {"c": C, "h": H}}):
        recorded = rnnprobe.trace(tmp_path, x, initial_state=state).layers["rnn/basic_lstm_cell"]
        np.testing.assert_allclose(recorded.signals["h"], outputs, **CLOSE)
        np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)
        np.testing.assert_array_equal(recorded.initial["c"], C)


def test_8_an_array_for_a_gru(tmp_path):
    x = sequences(2, 5, 3)
    outputs, _ = saved(
        tmp_path,
        lambda: v1.nn.dynamic_rnn(v1.nn.rnn_cell.GRUCell(4), tf.constant(x), initial_state=tf.constant(H)),
    )
    recorded = rnnprobe.trace(tmp_path, x, initial_state=H).layers["rnn/gru_cell"]
    np.testing.assert_allclose(recorded.signals["h"], outputs, **CLOSE)


def test_8_a_stack_takes_states_by_layer(tmp_path):
    x = sequences(2, 5, 3)
    cell = v1.nn.rnn_cell
    outputs, _ = saved(
        tmp_path,
        lambda: v1.nn.dynamic_rnn(
            cell.MultiRNNCell([cell.BasicLSTMCell(4), cell.GRUCell(4)]),
            tf.constant(x),
            initial_state=(cell.LSTMStateTuple(C, H), tf.constant(H)),
        ),
    )
    below, above = "rnn/multi_rnn_cell/cell_0/basic_lstm_cell", "rnn/multi_rnn_cell/cell_1/gru_cell"
    trace = rnnprobe.trace(tmp_path, x, initial_state={below: {"c": C, "h": H}, above: {"h": H}})
    np.testing.assert_allclose(trace.layers[above].signals["h"], outputs, **CLOSE)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (H, ["c", "h", "[2, 4]"]),
        ({"c": C}, ["h"]),
        ({"c": C, "h": np.zeros((2, 5), "f")}, ["[2, 5]", "[2, 4]"]),
        ({"c": C, "h": H, "m": H}, ["m"]),
        ({"c": C, "h": np.zeros((3, 4), "f")}, ["[3, 4]", "[2, 4]"]),
    ],
    ids=["one array", "no h", "too wide", "unknown", "too many"],
)
def test_8_what_is_missing_or_misshapen_is_said(tmp_path, state, words):
    x = sequences(2, 5, 3)
    saved(tmp_path, lambda: v1.nn.dynamic_rnn(v1.nn.rnn_cell.BasicLSTMCell(4), tf.constant(x), dtype=tf.float32))
    with pytest.raises(rnnprobe.BadInput) as caught:
        rnnprobe.trace(tmp_path, x, initial_state=state)
    for word in words:
        assert word in f"{caught.value} {caught.value.hint}"


def test_9_states_are_reset_between_sequences_unless_carried(tmp_path):
    """One sequence of six steps, or two of three: the same with `carry`, not without."""
    x = sequences(1, 6, 3)
    outputs, _ = saved(
        tmp_path, lambda: v1.nn.dynamic_rnn(v1.nn.rnn_cell.BasicLSTMCell(4), tf.constant(x), dtype=tf.float32)
    )
    halves = x.reshape(2, 3, 3)
    reset = rnnprobe.trace(tmp_path, halves).layers["rnn/basic_lstm_cell"]
    carried = rnnprobe.trace(tmp_path, halves, carry=True).layers["rnn/basic_lstm_cell"]
    np.testing.assert_allclose(np.asarray(carried.signals["h"]).reshape(1, 6, 4), outputs, **CLOSE)
    np.testing.assert_allclose(np.asarray(reset.signals["h"])[0], outputs[0, :3], **CLOSE)
    assert np.abs(np.asarray(reset.signals["h"])[1] - outputs[0, 3:]).max() > 0.01


def test_10_the_steps_of_static_rnn(tmp_path):
    """`static_rnn` scatters its tensors over the graph; the trace is that of dynamic_rnn."""
    x = sequences(2, 5, 3)
    outputs, final = saved(
        tmp_path,
        lambda: v1.nn.static_rnn(
            v1.nn.rnn_cell.BasicLSTMCell(4, forget_bias=0.5), tf.unstack(tf.constant(x), axis=1), dtype=tf.float32
        ),
    )
    recorded = rnnprobe.trace(tmp_path, x).layers["rnn/basic_lstm_cell"]
    for t, output in enumerate(outputs):
        np.testing.assert_allclose(np.asarray(recorded.signals["h"])[:, t], output, **CLOSE)
    np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)
