"""What a run refuses, whoever asks; and when a trace carries its proof."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import rnnprobe
from rnnprobe import formats
from rnnprobe.analysis.verification import refuse_foreign

from ..conftest import DATA, SAMPLES
from ..questions.genuine import saved, tf, v1

WINDOW = SAMPLES / "window_lstm"
CHARACTERS = SAMPLES / "char_lstm"
IDS = np.ones((1, 4), "i")


@pytest.mark.parametrize(
    ("model", "asked", "says"),
    [
        (WINDOW, {"engine": "best"}, "there is no engine 'best'"),
        (WINDOW, {"engine": "rebuilt", "tensors": "*"}, "no tensors of the original graph"),
        (WINDOW, {"engine": "original", "own_input": True}, "--own-input goes with the rebuilt layers"),
        (WINDOW, {"engine": "original", "carry": True}, "--initial-state or --carry goes with the rebuilt layers"),
        (WINDOW, {"engine": "original", "initial_state": {"h": IDS}}, "--initial-state or --carry goes with"),
        (WINDOW, {"engine": "original", "record": "h,output"}, "output in --record goes with the rebuilt layers"),
        (WINDOW, {"engine": "original", "tensors": "no/such"}, "no tensor of the graph is called 'no/such'"),
        (WINDOW, {"engine": "original", "layers": "no_such"}, "no layer is called 'no_such'"),
        (WINDOW, {"engine": "original", "feeds": {"nothing": 1}}, "the graph has no placeholder 'nothing'"),
        (SAMPLES / "gru_digits.keras", {"engine": "original"}, "came without a graph"),
        (CHARACTERS / "model.ckpt-100", {"verify": True}, "no graph that runs these layers came with the weights"),
        (CHARACTERS, {"verify": True, "carry": True}, "the original starts from its own states"),
    ],
)
def test_what_can_not_be_is_refused_in_words(model, asked, says):
    with pytest.raises(rnnprobe.BadInput) as refused:
        rnnprobe.trace(model, IDS, **asked)
    assert says in str(refused.value)


def test_nothing_to_run_over(run):
    done = run("trace", CHARACTERS)
    assert done.status == 2
    assert "--input FILE gives the sequences" in done.err


def test_a_trace_is_proved_where_the_graph_is_cheap_to_run(run, tmp_path):
    np.save(tmp_path / "ids.npy", IDS)
    for flag, status in (((), "verified"), (("--no-verify",), "not verified"), (("--carry",), "not verified")):
        done = run("trace", CHARACTERS, "--input", tmp_path / "ids.npy", "-o", tmp_path / "t.h5", "--force", *flag)
        assert done.status == 0, done.err
        found = rnnprobe.load_trace(tmp_path / "t.h5").verification
        assert found["status"] == status
        assert status in done.err


def test_a_trace_that_differs_is_written_and_ends_with_1(run, tmp_path):
    np.save(tmp_path / "ids.npy", IDS)
    done = run("trace", CHARACTERS, "--input", tmp_path / "ids.npy", "-o", tmp_path / "t.h5", "--forget-bias", 0)
    assert done.status == 1
    assert "differs: the operations of the original graph" in done.err
    assert rnnprobe.load_trace(tmp_path / "t.h5").verification["status"] == "differs"


def test_a_keras_trace_is_proved_when_asked(run, tmp_path):
    model, x = SAMPLES / "gru_digits.keras", SAMPLES / "gru_digits.npy"
    done = run("trace", model, "--input", x, "--select", "0:2", "--verify", "--json")
    assert json.loads(done.out)["verification"][0]["status"] == "verified"
    done = run("trace", model, "--input", x, "--select", "0:2", "--json")
    assert "--verify" in json.loads(done.out)["verification"][0]["reason"]


def test_feeds_are_read_as_what_they_are(tmp_path):
    from rnnprobe.inputs import feeds

    np.save(tmp_path / "x.npy", IDS)
    np.savez(tmp_path / "two.npz", a=IDS, b=2 * IDS)
    (tmp_path / "speech.wav").write_bytes(b"RIFF")
    found = feeds.read(
        [f"x={tmp_path / 'x.npy'}", f"b={tmp_path / 'two.npz'}:b", f"w={tmp_path / 'speech.wav'}", "k=0.5", "t=true"]
    )
    assert np.array_equal(found["x"], IDS)
    assert np.array_equal(found["b"], 2 * IDS)
    assert (found["w"], float(found["k"]), bool(found["t"])) == (b"RIFF", 0.5, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [("x", "expected NAME=FILE"), ("=1", "expected NAME=FILE"), ("x=no_such_file.npy", "no such file")],
)
def test_feeds_that_are_none(given, says):
    from rnnprobe.inputs import feeds

    with pytest.raises(rnnprobe.BadInput) as refused:
        feeds.read([given])
    assert says in str(refused.value)


def test_a_feed_twice():
    from rnnprobe.inputs import feeds

    with pytest.raises(rnnprobe.BadInput, match="twice"):
        feeds.read(["x=1", "x=2"])


def saved_model(tmp_path):
    """A SavedModel of Keras, with the file that newer TensorFlow puts beside it."""
    folder = tmp_path / "model"
    shutil.copytree(DATA / "functions" / "tf_keras-2.21-lstm" / "sm", folder)
    (folder / "fingerprint.pb").write_bytes(b"\x08\x01\x10\x02")
    return folder


def test_what_else_lies_in_a_saved_model_is_no_checkpoint(run, tmp_path):
    done = run("weights", saved_model(tmp_path))
    assert done.status == 0, done.err


def test_what_is_assumed_of_a_saved_model_is_no_proof(tmp_path):
    """Keras's layers would be made of the same assumptions; the graph beside them may say otherwise."""
    network = rnnprobe.open(saved_model(tmp_path))
    refuse_foreign(network)
    network = replace(network, checkpoint=replace(network.checkpoint, config=None))
    with pytest.raises(rnnprobe.BadInput, match="no configuration came with the weights"):
        refuse_foreign(network)


def test_ids_go_into_a_table_that_is_a_resource(tmp_path):
    ids = np.array([[1, 4, 2], [0, 3, 3]], "i")

    def build():
        table = v1.get_variable("table", [5, 3], use_resource=True)
        given = v1.placeholder(tf.int32, [None, None], "ids")
        x = v1.nn.embedding_lookup(table, given)
        return v1.nn.dynamic_rnn(v1.nn.rnn_cell.GRUCell(4), x, dtype=tf.float32)[0]

    expected = saved(tmp_path, build, {"ids": ids})
    (layer,) = rnnprobe.trace(tmp_path, ids, engine="original").layers.values()
    np.testing.assert_allclose(layer.signals["h"], expected, rtol=0, atol=1e-6)
    with pytest.raises(rnnprobe.BadInput, match="outside of 0…4"):
        rnnprobe.trace(tmp_path, ids + 1, engine="original")


@pytest.mark.parametrize("op", ["ReadFile", "WriteFile", "PyFunc"])
def test_a_graph_that_would_do_more_than_compute_is_refused_before_a_session_exists(run, tmp_path, monkeypatch, op):
    """On the path to what is asked for; off it, it does no harm."""
    shutil.copytree(WINDOW, tmp_path / "model")
    meta = tmp_path / "model" / "model.ckpt.meta"
    np.save(tmp_path / "ids.npy", IDS)
    asked = ("trace", tmp_path / "model", "--input", tmp_path / "ids.npy", "--engine", "original", "-q")
    graph = formats.read(meta).graph
    graph.graph_def.node.add(name="mischief", op=op)
    meta.write_bytes(graph.SerializeToString())
    assert run(*asked).status == 0
    next(node for node in graph.graph_def.node if node.name == "embedding_lookup").input.append("^mischief")
    meta.write_bytes(graph.SerializeToString())
    monkeypatch.delattr(tf.compat.v1, "Session")
    done = run(*asked)
    assert done.status == 3, done.err
    assert f"run {op} ('mischief')" in done.err


class Stop(Exception):
    """What ends a run."""


class Full:
    """A sink that takes nothing."""

    def write(self, block) -> None:
        raise Stop

    def verified(self, verification) -> None:
        raise AssertionError


@pytest.mark.parametrize("where", ["engine", "sink"])
def test_the_original_is_closed_where_the_run_fails(where, monkeypatch):
    from rnnprobe.engine.original import OriginalGraph
    from rnnprobe.runs import Given, Job, Run, opened, ready

    closed: list[object] = []
    end = OriginalGraph.close
    monkeypatch.setattr(OriginalGraph, "close", lambda self: (closed.append(self), end(self)))
    job = Job(CHARACTERS, Given(IDS), verify=True)
    what = ready(job, opened(job), lambda lines: None)
    blocks: list[object] = []
    if where == "engine":
        monkeypatch.setattr(Run, "engine", lambda self, record: (_ for _ in ()).throw(Stop))
    else:
        made = Run.blocks
        monkeypatch.setattr(Run, "blocks", lambda self, *a, **k: blocks.append(made(self, *a, **k)) or blocks[-1])
    with pytest.raises(Stop) as stopped:
        what.record(Full())
    assert stopped.value
    assert closed
    assert all(one.gi_frame is None for one in blocks)
    assert bool(blocks) == (where == "sink")


def test_the_original_is_closed_where_what_is_asked_for_can_not_be(monkeypatch):
    from rnnprobe.engine.original import Probe

    closed: list[object] = []
    end = Probe.close
    monkeypatch.setattr(Probe, "close", lambda self: (closed.append(self), end(self)))
    with pytest.raises(rnnprobe.BadInput, match="nonsense"):
        rnnprobe.trace(CHARACTERS, IDS, engine="original", record="nonsense")
    assert closed
