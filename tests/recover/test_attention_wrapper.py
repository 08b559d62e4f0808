"""AttentionWrappers in checkpoints that genuine releases wrote: what they attend to, with the graph and without it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnprobe
from rnnprobe import formats
from rnnprobe.cells.layers import signal_shapes
from rnnprobe.errors import BadInput
from rnnprobe.recover import names, stacks
from rnnprobe.recover.stacked import joined
from rnnprobe.types import Checkpoint, Value

from ..cells.made import tensor
from ..conftest import DATA

FOLDER = DATA / "conformance"
CASES = sorted(path.parent for path in FOLDER.glob("tf1.*/attnwrap_*/case.json"))
GIVEN = [case for case in CASES if case.name != "attnwrap_encoded"]
SEVERAL = [case for case in GIVEN if "several" in case.name]
NAMED = [case for case in GIVEN if case not in SEVERAL or case.name == "attnwrap_several"]
DECODE = DATA / "decode" / "attention"


def named(case: Path) -> str:
    return f"{case.parent.name}-{case.name}"


def without_graph(case: Path, to: Path) -> Path:
    for file in case.glob("model.ckpt.[di]*"):
        shutil.copyfile(file, to / file.name)
    return to / "model.ckpt"


def data_of(case: Path):
    data = dict(np.load(case / "data.npz"))
    return data["x"], data["mem"], data.get("mem_lens", np.array([4, 6])), data["out0"]


def traced(network, case: Path, **options):
    x, memory, lengths, _ = data_of(case)
    trace = rnnprobe.trace(network, {"input": x, "memory": memory}, lengths={"memory": lengths}, **options)
    (layer,) = trace.layers.values()
    return layer


@pytest.mark.parametrize("case", NAMED, ids=named)
def test_names_tell_the_wrapper_and_its_mechanism(case, tmp_path):
    network = rnnprobe.open(without_graph(case, tmp_path))
    (layer,) = network.layers
    assert ("DynamicAttentionWrapper" in layer.cell.title) == ("dynamic" in case.name)
    assert "dynamic" in case.name or layer.scope.endswith("rnn/attention_wrapper")
    assert (layer.context.sources, layer.context.evidence) == (("memory",), "assumed")
    assert network.candidates == ()
    if "cell_output" in case.name:  # which of the two is passed on is in the graph alone
        assert layer.cell.emits == "attention"
        return
    told = rnnprobe.open(tmp_path / "model.ckpt", **({"monotonic": "hard"} if "luong_monotonic" in case.name else {}))
    got = traced(told, case, record="all").signals
    assert np.abs(np.asarray(got[layer.cell.emits]) - data_of(case)[-1]).max() < 2e-6


@pytest.mark.parametrize("case", SEVERAL, ids=named)
def test_mechanisms_side_by_side_have_signals_and_weights_of_their_own(case):
    (layer,) = rnnprobe.open(case / "model.ckpt").layers
    signals = signal_shapes(layer)
    count = 3 if "kinds" in case.name else 2
    assert [name for name in sorted(signals) if name[:-1] in ("alignments_", "context_")] == [
        f"{name}_{k}" for name in ("alignments", "context") for k in range(count)
    ]
    assert not {"alignments", "context"} & signals.keys()
    memory = [layer.weights[f"memory_layer_{k}"].name.removeprefix("decoder/") for k in range(count)]
    numbered = ["memory_layer/kernel", *(f"memory_layer_{k}/kernel" for k in range(1, count))]
    assert memory == (numbered[::-1] if "turned" in case.name else numbered)
    got = traced(rnnprobe.open(case / "model.ckpt"), case, record="all").signals
    data = data_of(case)[1]
    for k in range(count):
        made = np.einsum("bts,bsm->btm", got[f"alignments_{k}"], np.where(reach_of(case), data, 0))
        np.testing.assert_allclose(got[f"context_{k}"], made, atol=2e-6)


def reach_of(case):
    _, memory, lengths, _ = data_of(case)
    return (np.arange(memory.shape[1]) < lengths[:, None])[..., None]


@pytest.mark.parametrize("case", [case for case in SEVERAL if case not in NAMED], ids=named)
def test_without_a_graph_no_order_of_mechanisms_is_claimed(case, tmp_path):
    network = rnnprobe.open(without_graph(case, tmp_path))
    (layer,) = network.layers
    if "turned" in case.name:
        assert any("the order of their memory layers, and one memory, is assumed" in note for note in network.notes)
        return
    assert layer.context is None
    assert layer.feed.sources == (f"input of {layer.name}",)
    assert any("which of its mechanisms comes first is in the graph alone" in note for note in network.notes)


def test_two_memories_are_not_taken_for_one():
    network = rnnprobe.open(DATA / "graph" / "tf1.15" / "two_memories" / "model.ckpt")
    (layer,) = network.layers
    assert (layer.context, layer.cell.name) == (None, "gru")
    assert any("attend to different memories" in note for note in network.notes)
    assert any("is not rebuilt" in note for note in network.notes)


@pytest.mark.parametrize("case", GIVEN, ids=named)
def test_the_graph_says_what_enters_and_what_is_passed_on(case):
    network = rnnprobe.open(case / "model.ckpt")
    (layer,) = network.layers
    assert network.notes == ()
    assert (layer.feed.sources, layer.feed.evidence) == (("input",), "graph")
    assert (layer.context.sources, layer.context.evidence) == (("memory",), "graph")
    assert layer.cell.emits == ("h" if "cell_output" in case.name else "attention")
    assert {value.evidence for value in layer.options.values()} <= {"graph", "cell"}
    if "monotonic" in layer.options:
        assert layer.options["monotonic"].value == ("hard" if "luong" in case.name else "parallel")


@pytest.mark.parametrize("case", GIVEN, ids=named)
def test_verify_agrees_with_the_graph(case, tmp_path, run):
    x, memory, lengths, _ = data_of(case)
    for name, array in (("x", x), ("memory", memory), ("lengths", lengths)):
        np.save(tmp_path / f"{name}.npy", array)
    given = ("--input", f"input={tmp_path / 'x.npy'}", "--input", f"memory={tmp_path / 'memory.npy'}")
    lens = ("--lengths", f"memory={tmp_path / 'lengths.npy'}")
    done = run("verify", case, *given, *lens, "--tolerance", "1e-5")
    assert done.status == 0, done.err
    marks = [f"_{k}" for k in range(3 if "kinds" in case.name else 2)] if case in SEVERAL else [""]
    for signal in (
        "attention",
        "final attention",
        *(f"{name}{m}" for name in ("alignments", "context") for m in marks),
    ):
        assert f" {signal} " in done.out


def test_verify_finds_a_graph_that_attends_to_something_else():
    case = FOLDER / "tf1.15" / "attnwrap_gru_norm"
    x, memory, lengths, _ = data_of(case)
    network = rnnprobe.open(case)
    shorter = {"input": x, "memory": memory}
    assert rnnprobe.verify(network, shorter, lengths={"memory": lengths}).agrees
    (layer,) = network.layers
    other = replace(layer.cell, attend=lambda xp, w, m, reached: layer.cell.attend(xp, w, -m, reached))
    wrong = replace(network, layers=(replace(layer, cell=other),))
    found = rnnprobe.verify(wrong, shorter, lengths={"memory": lengths})
    assert not found.agrees
    assert {one.signal for one in found.differences if one.beyond} >= {"alignments", "context", "attention"}


def test_an_encoder_is_what_a_decoder_attends_to():
    case = FOLDER / "tf1.15" / "attnwrap_encoded"
    network = rnnprobe.open(case)
    *encoder, decoder = network.layers
    assert decoder.context.sources == tuple(layer.name for layer in encoder)
    assert [layer.direction for layer in encoder] == ["forward", "backward"]
    assert network.notes == ()
    x, memory, lengths, out = data_of(case)
    given = {"x": x, "mem": memory}
    found = rnnprobe.verify(network, given, lengths={"mem": lengths}, tolerance=1e-5)
    assert found.agrees
    assert {one.layer for one in found.differences} == {layer.name for layer in network.layers}
    trace = rnnprobe.trace(network, given, lengths={"mem": lengths}, record="all")
    got = trace.layers[decoder.name].signals
    np.testing.assert_allclose(got["attention"], out, atol=1e-5)
    assert got["alignments"].shape == (3, 5, 6)
    for k, length in enumerate(lengths):
        assert not np.asarray(got["alignments"])[k, :, length:].any()
        # By itself, with a memory of its own length.
        alone = rnnprobe.trace(network, {"x": x[k : k + 1], "mem": memory[k : k + 1, :length]}, record="all")
        found = alone.layers[decoder.name].signals
        assert found["alignments"].shape == (1, 5, length)
        np.testing.assert_allclose(found["attention"][0], got["attention"][k], atol=1e-6)


def test_greedy_decoding_from_the_ids_alone():
    """The source and the words that it decoded, teacher-forced: TensorFlow's own alignments, from nothing but ids."""
    data = np.load(DECODE / "data.npz")
    network = rnnprobe.open(DECODE)
    encoder, decoder = network.layers
    assert decoder.context.sources == (encoder.name,)
    assert (decoder.initial["h"].sources, decoder.initial["h"].final) == ((encoder.name,), "h")
    source, target = stacks.entries(stacks.select(network)[0])
    words = np.concatenate([np.zeros((3, 1), "i"), data["words"][:, :-1]], 1)
    lengths = {source: data["source_lengths"], target: data["lengths"]}
    trace = rnnprobe.trace(network, {source: data["source"], target: words}, lengths=lengths, record="all")
    got = np.asarray(trace.layers[decoder.name].signals["alignments"])
    expected = data["alignments"].swapaxes(0, 1)
    for k, length in enumerate(data["lengths"]):
        np.testing.assert_allclose(got[k, :length], expected[k, :length], atol=1e-5)


def test_verify_of_greedy_decoding(tmp_path, run):
    data = np.load(DECODE / "data.npz")
    np.save(tmp_path / "source.npy", data["source"])
    np.save(tmp_path / "lengths.npy", data["source_lengths"])
    given = ("--input", f"source={tmp_path / 'source.npy'}", "--lengths", f"source={tmp_path / 'lengths.npy'}")
    done = run("verify", DECODE, *given)
    assert done.status == 0, done.err
    assert "alignments" in done.out


def test_what_lies_beyond_the_memory_does_not_count():
    case = FOLDER / "tf1.15" / "attnwrap_monotonic_norm"
    x, memory, lengths, _ = data_of(case)
    one = traced(rnnprobe.open(case), case, record="all")
    strange = memory.copy()
    strange[np.arange(6)[None, :] >= lengths[:, None]] = 1e6
    trace = rnnprobe.trace(case, {"input": x, "memory": strange}, lengths={"memory": lengths}, record="all")
    (other,) = trace.layers.values()
    for name, array in one.signals.items():
        np.testing.assert_array_equal(array, other.signals[name], err_msg=name)


def test_the_original_is_recorded_with_its_alignments():
    case = FOLDER / "tf1.15" / "attnwrap_multi_mixed"
    x, memory, lengths, _ = data_of(case)
    ours = traced(rnnprobe.open(case), case, record="all")
    feeds = {"x": x, "mem": memory, "mem_lens": lengths}
    trace = rnnprobe.trace(case, feeds=feeds, engine="original", record="all")
    theirs = trace.layers["decoder/rnn/attention_wrapper"]
    assert {"alignments", "context", "attention", "h_0", "c", "h"} <= theirs.signals.keys()
    for name, array in theirs.signals.items():
        np.testing.assert_allclose(array, ours.signals[name], atol=1e-5, err_msg=name)


def test_a_memory_of_another_width_is_refused():
    case = FOLDER / "tf1.15" / "attnwrap_gru_norm"
    x, memory, _, _ = data_of(case)
    with pytest.raises(BadInput, match=r"'memory'.*4 features a step; the network takes 5"):
        rnnprobe.trace(case, {"input": x, "memory": memory[..., :4]})
    with pytest.raises(BadInput, match="memory"):
        rnnprobe.trace(case, x)


def test_a_wrapper_that_holds_something_else_is_not_rebuilt():
    """A mechanism of somebody's own has weights that no mechanism of TensorFlow has: the cell inside is told alone."""
    shapes = {
        "rnn/attention_wrapper/lstm_cell/kernel": (14, 16),
        "rnn/attention_wrapper/lstm_cell/bias": (16,),
        "rnn/attention_wrapper/attention_layer/kernel": (9, 7),
        "memory_layer/kernel": (5, 4),
    }
    known = {name: tensor(name, np.zeros(shape, "f")) for name, shape in shapes.items()}
    (layer,) = names.recover(Checkpoint(Path("made"), "made", known)).layers
    assert layer.cell.attend is not None
    for name in ("rnn/attention_wrapper/location_attention/kernel", "other/memory_layer/kernel"):
        more = {**known, name: tensor(name, np.zeros((5, 4), "f"))}
        (layer,) = names.recover(Checkpoint(Path("made"), "made", more)).layers
        assert (layer.cell.attend, layer.input_size) == (None, 10)


def test_a_published_model(corpus):
    """Kyubyong/g2p: an index and a graph without values."""
    index = next(corpus.glob("g2p-attention-no-data/**/*.index"))
    *encoder, decoder = rnnprobe.open(index.with_suffix("")).layers
    assert (decoder.cell.title, decoder.input_size) == ("GRU in AttentionWrapper (BahdanauAttention)", 72)
    assert decoder.context.sources == tuple(layer.name for layer in encoder)


def test_a_stack_whose_cells_do_not_just_feed_each_other_stays_cells():
    """A ResidualWrapper in the stack, say: the cells are told, with what enters the lowest."""
    checkpoint = replace(formats.read(FOLDER / "tf1.4" / "attnwrap_multi" / "model.ckpt"), graph=None)
    found = names.recover(checkpoint)
    lowest, top = found.layers
    assert (lowest.cell.attend is not None, top.cell.attend) == (True, None)
    (whole,) = joined(found).layers
    assert whole.scope == "rnn/attention_wrapper"
    added = replace(top, options={**top.options, "residual": Value(True, "graph")})
    apart = joined(replace(found, layers=(lowest, added)))
    assert [(layer.cell.title, layer.input_size) for layer in apart.layers] == [("BasicLSTM", 10), ("BasicLSTM", 4)]
    assert all(layer.context is None for layer in apart.layers)
    assert "what enters it is [x, attention]" in apart.notes[-1]
    other = replace(top, options={**top.options, "forget_bias": Value(0.0, "graph")})
    apart = joined(replace(found, layers=(lowest, other)))
    assert "forget_bias is not the same in all of its cells" in apart.notes[-1]


def test_a_wrapper_may_be_called_otherwise():
    """`AttentionWrapper(…, name="attention")`, as in many a translator."""
    shapes = {
        "decoder/attention/lstm_cell/kernel": (14, 16),
        "decoder/attention/lstm_cell/bias": (16,),
        "decoder/attention/attention_layer/kernel": (9, 7),
        "decoder/memory_layer/kernel": (5, 4),
        "memory_layer/kernel": (5, 4),
    }
    known = {name: tensor(name, np.zeros(shape, "f")) for name, shape in shapes.items()}
    (layer,) = names.recover(Checkpoint(Path("made"), "made", known)).layers
    assert (layer.scope, layer.input_size) == ("decoder/attention", 3)
    assert layer.weights["memory_layer"].name == "decoder/memory_layer/kernel"
    # Without anything of its own in it, it is any scope.
    del known["decoder/attention/attention_layer/kernel"]
    (layer,) = names.recover(Checkpoint(Path("made"), "made", known)).layers
    assert (layer.scope, layer.cell.attend) == ("decoder/attention/lstm_cell", None)
