"""Questions 7, 10, 11, 12, 14 and 18: the graph that came with the weights as witness, and looked into."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rnnprobe

from ..conftest import DATA, SAMPLES
from .genuine import saved, sequences, tf, v1

CLOSE = {"rtol": 0, "atol": 1e-6}
OTHER_RELEASE = {"rtol": 0, "atol": 1e-5}  # TensorFlow 1.15 made these, and rounds differently; c is up to 6


def test_7_a_replay_that_forgets_the_forget_bias(tmp_path, run):
    """verify names the first step, gate and unit that differ."""
    x = sequences(2, 5, 3)
    saved(
        tmp_path,
        lambda: v1.nn.dynamic_rnn(
            v1.nn.rnn_cell.BasicLSTMCell(4, forget_bias=0.25),
            v1.placeholder(tf.float32, x.shape, "x"),
            dtype=tf.float32,
        ),
        {"x": x},
    )
    np.save(tmp_path / "x.npy", x)
    assert rnnprobe.verify(tmp_path, x).agrees
    done = run("verify", tmp_path, "--input", tmp_path / "x.npy", "--forget-bias", 1, "--json", "-q")
    assert done.status == 1
    assert "basic_lstm_cell f_pre first at sequence 0, step 0" in done.err
    row = next(row for row in json.loads(done.out)["signals"] if row["signal"] == "f")
    assert not row["agrees"]
    assert isinstance(row["unit"], int)


def test_10_static_rnn(tmp_path):
    """Its tensors are scattered over names that count differently for each operation; the trace is as ever."""
    x = sequences(2, 4, 3)
    outputs, final = saved(
        tmp_path,
        lambda: v1.nn.static_rnn(
            v1.nn.rnn_cell.LSTMCell(4), tf.unstack(v1.placeholder(tf.float32, x.shape, "x"), axis=1), dtype=tf.float32
        ),
        {"x": x},
    )
    for engine in ("rebuilt", "original"):
        recorded = rnnprobe.trace(tmp_path, x, record="all", engine=engine).layers["rnn/lstm_cell"]
        np.testing.assert_allclose(recorded.signals["h"], np.stack(outputs, 1), **CLOSE)
        np.testing.assert_allclose(recorded.final["c"], final.c, **CLOSE)
        i, f, g, c = (np.asarray(recorded.signals[name]) for name in "ifgc")
        np.testing.assert_allclose(c[:, 1:], f[:, 1:] * c[:, :-1] + i[:, 1:] * g[:, 1:], **CLOSE)


def test_11_raw_rnn(run):
    """What is emitted is stacked in time first; an array in the loop state counts from the call before the steps."""
    folder = DATA / "loops" / "v1" / "raw_states"
    data = np.load(folder / "data.npz")
    listed = run("inspect", folder, "--loops", "--json")
    loops = json.loads(listed.out)
    assert loops["loops"][0]["kind"] == "raw_rnn"
    assert {(row["index"], tuple(row["shape"] or ())) for row in loops["emitted"]} == {
        ("time", (2, 2)),
        ("time + 1", (2, 4)),
    }
    trace = rnnprobe.trace(folder, data["x"], lengths=[3, 5], engine="original", layers=["rnn/while"])
    recurrence = trace.layers["rnn/while"]
    emitted, kept = data["emitted"].swapaxes(0, 1), data["kept"].swapaxes(0, 1)
    for row, length in enumerate([3, 5]):
        np.testing.assert_allclose(recurrence.signals["h"][row, :length], emitted[row, :length], **CLOSE)
        np.testing.assert_allclose(recurrence.signals["state_h"][row, :length], kept[row, 1 : length + 1], **CLOSE)


@pytest.mark.parametrize("flow", ["v1", "v2"])
def test_12_tf_scan(flow):
    folder = DATA / "loops" / flow / "scan_reversed"
    data = np.load(folder / "data.npz")
    (recurrence,) = rnnprobe.trace(folder, data["x"], engine="original").layers.values()
    assert recurrence.attributes["title"] == "tf.scan"
    (state,) = recurrence.final
    np.testing.assert_allclose(recurrence.signals[state], data["states"].swapaxes(0, 1), **CLOSE)


def test_12_a_cell_of_ones_own():
    """An LSTM with a window of attention over its last outputs, which nothing but its graph explains."""
    folder = SAMPLES / "window_lstm"
    expected = np.load(folder / "expected.npz")
    assert rnnprobe.layers(folder) == ()
    trace = rnnprobe.trace(folder, expected["ids"], tensors=["*/glimpse/attention", "*/reader/keep"])
    (recurrence,) = trace.layers.values()
    by_tensor = {name: np.asarray(array) for name, array in recurrence.signals.items()}
    for name in ("attention", "keep"):
        (found,) = (array for signal, array in by_tensor.items() if signal.endswith(name))
        np.testing.assert_allclose(found, expected[name], **OTHER_RELEASE)
    states = {array.shape[2:]: array for signal, array in by_tensor.items() if signal in recurrence.final}
    np.testing.assert_allclose(states[16, 24], expected["window"], **OTHER_RELEASE)
    assert any(
        np.allclose(array, expected["c"], **OTHER_RELEASE) for array in by_tensor.values() if array.shape[2:] == (24,)
    )
    np.testing.assert_allclose(recurrence.signals["h"], expected["h"], **OTHER_RELEASE)


def test_12_dynamic_decode():
    """Greedy decoding behind attention: its alignments are those that TensorFlow's own history holds."""
    folder = DATA / "decode" / "attention"
    data = np.load(folder / "data.npz")
    feeds = {"source": data["source"], "source_lengths": data["source_lengths"]}
    trace = rnnprobe.trace(
        folder,
        feeds=feeds,
        engine="original",
        layers=["decoder*"],
        tensors=["decoder/while/*attention_wrapper/Softmax"],
    )
    recurrence = next(layer for name, layer in trace.layers.items() if name.startswith("decoder/while"))
    (alignments,) = (array for name, array in recurrence.signals.items() if name.endswith("Softmax"))
    np.testing.assert_allclose(np.asarray(alignments).swapaxes(0, 1), data["alignments"], **OTHER_RELEASE)
    assert np.asarray(alignments).shape == (3, 6, 5)


def test_14_padding_that_is_masked_and_padding_that_is_not(tmp_path, run):
    """`sequence_length` masks; without it a backward layer starts in the padding."""
    x = sequences(3, 6, 3)
    lengths = np.array([6, 2, 4], "i")

    def build(masked):
        given = v1.placeholder(tf.float32, [None, None, 3], "x")
        lens = v1.placeholder(tf.int32, [None], "lens") if masked else None
        cells = [v1.nn.rnn_cell.GRUCell(4) for _ in range(2)]
        return v1.nn.bidirectional_dynamic_rnn(*cells, given, sequence_length=lens, dtype=tf.float32)

    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "lengths.npy", lengths)
    for masked in (True, False):
        folder = tmp_path / f"{masked}"
        folder.mkdir()
        saved(folder, lambda masked=masked: build(masked), {"x": x} | ({"lens": lengths} if masked else {}))
        given = ("--input", tmp_path / "x.npy", "--lengths", tmp_path / "lengths.npy")
        assert run("verify", folder, *given).status == 0
        done = run("verify", folder, *given, "--padding", "--json", "-q")
        assert done.status == (0 if masked else 1)
        wrong = {row["layer"] for row in json.loads(done.out)["signals"] if row["signal"] == "h" and not row["agrees"]}
        assert wrong == (set() if masked else {"bidirectional_rnn/bw/gru_cell"})


def test_18_an_encoder_that_hands_its_state_to_a_decoder():
    folder = DATA / "decode" / "plain"
    data = np.load(folder / "data.npz")
    decoder = rnnprobe.open(folder)["decoder/basic_lstm_cell"]
    assert {state: (feed.sources, feed.final) for state, feed in decoder.initial.items()} == {
        "c": (("encoder/basic_lstm_cell",), "c"),
        "h": (("encoder/basic_lstm_cell",), "h"),
    }
    feeds = {"source": data["source"], "source_lengths": data["source_lengths"]}
    for engine in ("rebuilt", "original"):
        trace = rnnprobe.trace(folder, feeds=feeds, engine=engine)
        encoder, decoder = (trace.layers[f"{name}/basic_lstm_cell"] for name in ("encoder", "decoder"))
        np.testing.assert_allclose(encoder.final["c"], data["encoder_c"], **OTHER_RELEASE)
        np.testing.assert_allclose(decoder.initial["c"], data["encoder_c"], **OTHER_RELEASE)
        np.testing.assert_allclose(decoder.final["h"], data["final_h"], **OTHER_RELEASE)


def test_14_what_the_graph_makes_itself_is_not_padded(run):
    """Nothing is claimed of padding where no sequence was given that could be padded."""
    folder = DATA / "decode" / "plain"
    feeds = [f"--feed={name}={folder / 'data.npz'}:{name}" for name in ("source", "source_lengths")]
    assert run("verify", folder, *feeds).status == 0
    done = run("verify", folder, *feeds, "--padding")
    assert done.status == 2
    assert "can't be padded: the graph makes what enters the layers itself" in done.err


def test_14_sequences_of_one_length_need_no_padding(run, tmp_path):
    np.save(tmp_path / "x.npy", sequences(2, 3, 8))
    done = run("verify", SAMPLES / "gru_digits.keras", "--input", tmp_path / "x.npy", "--padding")
    assert done.status == 2
    assert "every sequence has 3 steps" in done.err
