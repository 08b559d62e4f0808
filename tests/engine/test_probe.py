"""Probes of original graphs: recurrences that nothing rebuilds, single tensors, what the user feeds.

`python -m tests.engine.test_probe DIR` records every case of a folder (DIR/<release>/<case>/model.ckpt.*) from its own
graph, and prints a row for each: the largest difference from what the release itself computed, or why there is none.
"""

from __future__ import annotations

import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnprobe import engine, errors, formats, recover
from rnnprobe.analysis.comparison import compare
from rnnprobe.cells.layers import chosen, signal_shapes
from rnnprobe.engine import witness
from rnnprobe.engine.original import Probe, entering
from rnnprobe.recover import stacks
from rnnprobe.recover.graph.entries import entries
from rnnprobe.recover.graph.loops import survey
from rnnprobe.types import Block, Feed, Network

from .networks import batch
from .probed import (
    KERNEL,
    attending,
    choosing,
    choosing_steps,
    decoding,
    decoding_steps,
    remembering,
    remembering_steps,
    saved,
    sounding,
    windowed,
    windowed_steps,
)

RANDOM = np.random.default_rng(7)


BOTH = pytest.mark.parametrize("functional", [False, True], ids=["frames", "functions"])


@pytest.fixture(scope="module", params=[False, True], ids=["frames", "functions"])
def loop(request, tmp_path_factory) -> Network:
    """A loop that nothing rebuilds."""
    return saved(tmp_path_factory.mktemp("loop"), windowed, functional=request.param)


def recorded(probe: Probe) -> Block:
    """What a probe of one batch gives."""
    (block,) = probe.blocks()
    return block


def agrees(block: Block, x: np.ndarray, lengths, name: str = "loop") -> None:
    """Every state of `windowed` at every step, what they start from, and what the loop leaves."""
    names = {"state_1": "h", "state_2": "memory", "state_3": "decay", "state_4": "total"}
    for row, length in enumerate(lengths):
        if not length:
            assert all(np.isnan(array[:, row]).all() for array in block.signals[name].values())
            continue
        expected = windowed_steps(x[row, :length])
        for state, known in names.items():
            found = block.signals[name][state][:, row]
            np.testing.assert_allclose(found[:length], expected[known], atol=1e-6)
            assert np.isnan(found[length:]).all()
            np.testing.assert_allclose(block.final[name][state][row], expected[known][-1], atol=1e-6)
        np.testing.assert_allclose(block.signals[name]["h"][:length, row], 2 * expected["h"], atol=1e-6)


# What is recorded ----------------------------------------------------------------------------------------------------


def test_every_state_of_a_loop_that_nothing_rebuilds(loop):
    x, lengths = RANDOM.normal(size=(3, 6, 3)).astype("f"), [6, 2, 4]
    probe = Probe(loop, recurrences=None, batches=[batch(x, lengths)])
    (layer,) = probe.layers
    assert (layer.name, layer.cell.name, layer.cell.framework) == ("loop", "graph", "graph")
    assert signal_shapes(layer) == {
        "state_1": (4,), "state_2": (3, 4), "state_3": (5,), "state_4": (), "h": (4,)
    }  # fmt: skip
    assert [signal.kind for signal in layer.cell.signals] == ["state"] * 4 + ["output"]
    assert layer.cell.signals[0].tensor == "loop/cell/squashed:0"
    assert layer.sizes == {"input_size": 3, "units": 4, "output_size": 4}
    assert probe.lengths == {}
    assert probe.notes == ("x went into the graph as [batch, time, features]",)
    block = recorded(probe)
    agrees(block, x, lengths)
    assert np.all(block.initial["loop"]["state_2"] == 0.5)
    assert block.initial["loop"]["state_4"].shape == (3,)


def test_tensors_by_pattern(loop):
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    probe = Probe(loop, tensors=["loop/cell/*", "result"], batches=[batch(x)])
    assert {"cell.joined", "cell.squashed"} < set(probe.signals["loop"])
    assert {signal.kind for signal in probe.layers[0].cell.signals} == {"inner"}
    assert [(one.name, one.shape) for one in probe.outcomes] == [("result:0", (5, 4))]
    block = recorded(probe)
    expected = np.stack([windowed_steps(row)["h"] for row in x], axis=1)
    np.testing.assert_allclose(block.signals["loop"]["cell.squashed"], expected, atol=1e-6)
    np.testing.assert_allclose(block.signals["loop"]["cell.joined"][..., :3], x.swapaxes(0, 1), atol=1e-6)
    np.testing.assert_allclose(block.outcomes["result:0"], 2 * expected.swapaxes(0, 1), atol=1e-6)


@pytest.mark.parametrize("pattern", ["loop/cell/squashed", "loop/cell/squashed:0", "*/squash??", "loop/cell/s*:0"])
def test_with_or_without_the_number_of_the_output(loop, pattern):
    probe = Probe(loop, tensors=[pattern], batches=[batch(np.zeros((2, 5, 3), "f"))])
    assert probe.signals == {"loop": ("cell.squashed",)}


def test_a_pattern_that_nothing_matches_lists_near_names(loop):
    with pytest.raises(errors.BadInput, match=r"near it are .*loop/cell/squashed") as raised:
        Probe(loop, tensors=["loop/cell/squished"], batches=[batch(np.zeros((2, 5, 3), "f"))])
    assert "inspect" in raised.value.hint
    assert "--loops -v" in raised.value.hint


def test_a_name_that_no_recurrence_has(loop):
    with pytest.raises(errors.BadInput, match="'lop' is no recurrence of the graph") as raised:
        Probe(loop, recurrences=["lop"], batches=[batch(np.zeros((2, 5, 3), "f"))])
    assert "there are loop" in raised.value.hint


# Where sequences go in -----------------------------------------------------------------------------------------------


def test_several_batches(loop):
    x = RANDOM.normal(size=(5, 6, 3)).astype("f")
    batches = [batch(x[:3], [6, 0, 3]), batch(x[3:, :4], [4, 1], start=3)]
    probe = Probe(loop, recurrences=["lo*"], batches=batches)
    first, second = probe.blocks()
    agrees(first, x[:3], [6, 0, 3])
    agrees(second, x[3:], [4, 1])
    assert first.batch is batches[0]


@BOTH
@pytest.mark.parametrize("options", [{"time_major": True}, {"turned": True}, {"lengths": True}], ids=str)
def test_the_order_of_the_axes_and_of_time_is_found(tmp_path, functional, options):
    network = saved(tmp_path, lambda: windowed(**options), functional=functional)
    x = RANDOM.normal(size=(3, 6, 3)).astype("f")
    lengths = [6, 2, 4]
    assert list(entries(network, recurrences=None)) == ["x"]
    probe = Probe(network, recurrences=None, batches=[batch(x, lengths)])
    block = recorded(probe)
    order = "[time, batch, features]" if "time_major" in options else "[batch, time, features]"
    assert probe.notes[0] == f"x went into the graph as {order}"
    turned = "turned" in options
    assert probe.layers[0].direction == ("backward" if turned else "forward")
    for row, length in enumerate(lengths):
        steps = x[row, :length]
        expected = windowed_steps(steps[::-1])["h"][::-1] if turned else windowed_steps(steps)["h"]
        np.testing.assert_allclose(block.signals["loop"]["state_1"][:length, row], expected, atol=1e-6)
        last = expected[0] if turned else expected[-1]
        np.testing.assert_allclose(block.final["loop"]["state_1"][row], last, atol=1e-6)


@BOTH
@pytest.mark.parametrize("way", ["beside", "fed"])
def test_two_placeholders_of_sequences(tmp_path, functional, way):
    network = saved(tmp_path, remembering, functional=functional)
    x = RANDOM.normal(size=(3, 5, 3)).astype("f")
    memory = RANDOM.normal(size=(3, 7, 4)).astype("f")
    assert list(entries(network, recurrences=None)) == ["x", "memory"]
    assert list(entries(network, recurrences=None, feeds=["memory"])) == ["x"]
    main = batch(x, [5, 2, 5])
    if way == "beside":
        probe = Probe(network, recurrences=None, batches=[replace(main, beside={"memory": batch(memory)})])
    else:
        probe = Probe(network, recurrences=None, batches=[main], feeds={"memory": memory})
    assert signal_shapes(probe.layers[0]) == {"state_1": (4,), "state_2": (7,)}
    block = recorded(probe)
    for row, length in enumerate(main.lengths):
        expected = remembering_steps(x[row, :length], memory[row])
        for state, steps in expected.items():
            np.testing.assert_allclose(block.signals["loop"][state][:length, row], steps, atol=1e-6)
    with pytest.raises(errors.BadInput, match="the graph asks for memory too") as raised:
        Probe(network, recurrences=None, batches=[main])
    assert "--feed memory=FILE" in raised.value.hint


def test_input_that_no_placeholder_takes(loop):
    with pytest.raises(errors.BadInput, match=r"takes steps of shape \[2\]"):
        Probe(loop, recurrences=None, batches=[batch(np.zeros((2, 5, 2), "f"))])


# A clock of its own --------------------------------------------------------------------------------------------------


@BOTH
def test_a_loop_with_a_clock_of_its_own(tmp_path, functional):
    network = saved(tmp_path, decoding, functional=functional)
    x = RANDOM.normal(size=(3, 4, 3)).astype("f")
    probe = Probe(network, recurrences=["decode"], batches=[batch(x)], feeds={"limit": 7})
    assert {name: lengths.tolist() for name, lengths in probe.lengths.items()} == {"decode": [7, 7, 7]}
    block = recorded(probe)
    expected = np.stack([decoding_steps(row, 7) for row in x], axis=1)
    np.testing.assert_allclose(block.signals["decode"]["state"], expected, atol=1e-6)
    np.testing.assert_allclose(block.final["decode"]["state"], expected[-1], atol=1e-6)
    np.testing.assert_allclose(block.initial["decode"]["state"], x.mean(1) @ KERNEL[:3], atol=1e-6)


@BOTH
def test_what_a_loop_within_a_loop_computes_is_refused_by_name(tmp_path, functional):
    network = saved(tmp_path, decoding, functional=functional)
    inner = next(one.name for one in survey(network).recurrences if one.inside)
    given = {"batches": [batch(np.zeros((2, 4, 3), "f"))], "feeds": {"limit": 3}}
    with pytest.raises(errors.BadInput, match=f"{inner} lies inside of decode, where nothing can be recorded"):
        Probe(network, recurrences=[inner], **given)
    assert f"{inner} lies inside of decode" in " ".join(Probe(network, recurrences=None, **given).notes)


@BOTH
def test_a_placeholder_that_nothing_explains_is_asked_for(tmp_path, functional):
    network = saved(tmp_path, decoding, functional=functional)
    with pytest.raises(errors.BadInput, match=r"asks for 'limit' \(int32"):
        Probe(network, recurrences=["decode"], batches=[batch(np.zeros((2, 4, 3), "f"))])


# Feeds ---------------------------------------------------------------------------------------------------------------


def test_feeds_alone(loop):
    x = RANDOM.normal(size=(2, 5, 3)).astype("f")
    probe = Probe(loop, recurrences=None, feeds={"x:0": x})
    (made,) = probe.batches
    assert np.array_equal(made.load(0, 5), x)
    assert made.lengths.tolist() == [5, 5]
    agrees(recorded(probe), x, [5, 5])


@BOTH
def test_bytes_for_a_placeholder_of_strings(tmp_path, functional):
    samples = (RANDOM.normal(size=12) * 8000).astype("<i2")
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 60, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 24)
    network = saved(tmp_path, sounding, functional=functional)
    probe = Probe(network, recurrences=None, feeds={"wav": header + samples.tobytes()})
    steps = samples.astype("f").reshape(3, 4) / 32768
    assert np.allclose(probe.batches[0].load(0, 3)[0], steps, atol=1e-4)
    h = np.zeros(4)
    for step in steps:
        h = np.tanh(h + step @ KERNEL[:4])
    np.testing.assert_allclose(recorded(probe).signals["loop"]["state"][2, 0], h, atol=1e-4)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"y": 1}, "no placeholder 'y'"),
        ({"x": np.zeros((2, 5))}, r"'x' takes float32 \[any, any, 3\], and \[2, 5\] was given"),
        ({"x": "text"}, "'x' takes float32"),
    ],
)
def test_feeds_that_do_not_fit(loop, feeds, message):
    with pytest.raises(errors.BadInput, match=message) as raised:
        Probe(loop, recurrences=None, feeds=feeds)
    assert "x:0: float32 [any, any, 3]" in raised.value.hint or "takes" in message


# What enters rebuilt layers ------------------------------------------------------------------------------------------


@BOTH
def test_layers_are_verified_on_what_their_loop_makes(tmp_path, functional):
    network = saved(tmp_path, attending, functional=functional)
    assert [layer.cell.name for layer in network.layers] == ["lstm"]
    network, layers = stacks.select(network, network.layers)
    x = RANDOM.normal(size=(3, 6, 3)).astype("f")
    found = witness.call(network, [batch(x, [6, 2, 4])])
    assert found.entered is not None
    assert found.notes == (
        "x went into the graph as [batch, time, features]",
        f"what enters {layers[0].name} is computed in the graph, and was taken from there",
    )
    ours = engine.trace(found.entered.network, found.entered.batches, chosen(layers, "all"), ordered=True)
    compared = compare(ours, found.blocks, layers, 1e-5)
    assert compared.agrees
    assert {one.signal for one in compared.differences} >= {"c", "h", "f_pre", "final c"}
    assert found.entered.batches[0].shape == (5,)
    assert found.entered.network.layers[0].feed == Feed(("input",), evidence="graph")


def test_layers_start_where_the_original_does(tmp_path):
    """The states that it starts from are fed."""
    network = saved(tmp_path, lambda: attending(started=True), functional=False)
    network, layers = stacks.select(network, network.layers)
    x, begin = RANDOM.normal(size=(3, 6, 3)).astype("f"), RANDOM.normal(size=(3, 4)).astype("f")
    found = entering(network, [batch(x)], feeds={"begin": begin})
    assert np.array_equal(found.initial[layers[0].name]["h"], begin)
    ours = engine.trace(found.network, found.batches, chosen(layers, "all"), initial=found.initial, ordered=True)
    assert compare(ours, found.blocks, layers, 1e-5).agrees


def test_operations_are_checked_before_a_session_exists(loop, monkeypatch):
    graph = loop.checkpoint.graph
    changed = type(graph)()
    changed.CopyFrom(graph)
    mischief = changed.graph_def.node.add(name="mischief", op="ReadFile")
    for node in changed.graph_def.node:
        if node.op in ("While", "StatelessWhile", "LoopCond"):
            node.input.append("^mischief")
    mischief.input.append("nothing")
    monkeypatch.delattr(tf.compat.v1, "Session")
    network = replace(loop, checkpoint=replace(loop.checkpoint, graph=changed))
    given = [batch(np.zeros((2, 5, 3), "f"))]
    with pytest.raises(errors.RnnprobeError, match=r"ReadFile|no node 'nothing'"):
        Probe(network, recurrences=["loop"], batches=given)


# Real checkpoints ----------------------------------------------------------------------------------------------------

KWS = {
    "basiclstm": "Basic_LSTM/Basic_LSTM_S",
    "lstm": "LSTM/LSTM_S",
    "gru": "GRU/GRU_S",
    "crnn": "CRNN/CRNN_S",
}


@pytest.mark.parametrize("name", KWS)
def test_keywords_from_the_bytes_of_a_wav_file(corpus, name):
    expected = np.load(corpus / "expected" / f"kws-{name}-s.npz")
    network = recover.network(formats.read(corpus / "kws" / "Pretrained_models" / f"{KWS[name]}.pb"))
    names = [layer.name for layer in network.layers]
    for row in range(3):
        feeds = {"wav_data": expected[f"feed_wav_{row}"].tobytes()}
        probe = Probe(network, layers=names, tensors=["labels_softmax"], feeds=feeds)
        block = recorded(probe)
        np.testing.assert_allclose(probe.batches[0].load(0, 99)[0], expected["input"][row], atol=1e-4)
        np.testing.assert_allclose(block.outcomes["labels_softmax:0"][0], expected["softmax"][row], atol=1e-5)
        for layer in names:
            np.testing.assert_allclose(block.signals[layer]["h"][:, 0], expected[f"h/{layer}"][row], atol=1e-5)
    found = entering(network, feeds=feeds)
    ours = engine.trace(found.network, found.batches, chosen(found.network.layers, "all"), ordered=True)
    assert compare(ours, found.blocks, found.network.layers, 1e-4).agrees


def test_ids_in_the_place_of_what_an_iterator_gives(corpus):
    expected = np.load(corpus / "expected" / "thai-segmentation.npz")
    network = recover.network(formats.read(corpus / "thai-segmentation" / "saved_model"))
    names = [layer.name for layer in network.layers]
    (place,) = entries(network, layers=names)
    ids = batch(expected["ids"].astype(np.int64), expected["lengths"])
    probe = Probe(network, layers=names, batches=[ids], loose=True)
    assert probe.notes[0] == f"{place} went into the graph as [batch, time]"
    block = recorded(probe)
    for layer in names:
        found = block.signals[layer]["h"].swapaxes(0, 1)
        valid = ~np.isnan(found)
        assert valid.any(axis=2).sum() == expected["lengths"].sum()
        np.testing.assert_allclose(found[valid], expected[f"h/{layer}"][valid], atol=1e-5)


def test_a_decoder_that_reads_what_it_attends_to(corpus):
    """g2p: ids in the place of what tables make of words, each with its own lengths."""
    network = recover.network(formats.read(corpus / "g2p-tf11" / "tests" / "models" / "decode" / "model.ckpt-0"))
    network, layers = stacks.select(network, [one for one in network.layers if "decoder" in one.name])
    source, target = entries(network, layers=[layers[0].name])
    words = batch(RANDOM.integers(0, 6, (3, 5)), [5, 3, 4])
    words = replace(words, beside={target: batch(RANDOM.integers(0, 6, (3, 4)), [4, 4, 2])})
    found = entering(network, [words])
    assert found.notes[0] == f"{source} went into the graph as [batch, time]"
    assert found.batches[0].lengths.tolist() == [3, 3, 3]
    ours = engine.trace(found.network, found.batches, chosen(layers, "all"), initial=found.initial, ordered=True)
    assert compare(ours, found.blocks, layers, 1e-5).agrees


# Every case ----------------------------------------------------------------------------------------------------------


ROUNDED = 1e-5
"""How far another release of TensorFlow may round; a row says so."""
HAND_WRITTEN = ("manual", "manual_grid", "ntm", "pyloop", "static", "bistatic", "stackbi", "layernames")
"""The kinds of cases whose steps the graph writes out: what no layer covers there is recorded tensor by tensor."""


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("time_major", [False, True])
def test_the_order_of_the_axes_is_told_by_what_a_change_to_one_sequence_leaves_alone(tmp_path, functional, time_major):
    """The loop reads rows of a table, so that what it reads is not what was given."""
    network = saved(tmp_path, lambda: choosing(time_major=time_major), functional=functional)
    ids = RANDOM.integers(0, 7, (3, 3))
    probe = Probe(network, recurrences=None, batches=[batch(ids)])
    assert not any("nothing shows" in note for note in probe.notes)
    (block,) = probe.blocks()
    (signals,) = block.signals.values()
    np.testing.assert_allclose(signals["state"].swapaxes(0, 1), [choosing_steps(row) for row in ids], rtol=0, atol=1e-6)


def probed(case: Path, *, whole: bool = False) -> tuple[Probe, dict[str, np.ndarray]]:
    """Every layer and every other recurrence of a case, recorded on its own input."""
    data = dict(np.load(case / "data.npz"))
    network = recover.network(formats.read(case / "model.ckpt"))
    nodes = network.checkpoint.graph.graph_def.node
    kind = json.loads((case / "case.json").read_text())["kind"]
    ragged = kind in ("dynseq", "raw", "revfused") or case.name.endswith("_seq")
    x = data["x"][..., 0] if data["x"].dtype.kind == "i" else data["x"]
    named = {node.name for node in nodes}
    feeds = {name: data[key] for name, key in (("mem", "mem"), ("time_in", "time")) if name in named and key in data}
    if kind == "layernames":  # reads zeros of its own
        x = np.zeros((2, 1, 3), "f")
    layers = [layer.name for layer in network.layers if network.places.get(layer.name)]
    tops = dict.fromkeys(node.name.partition("/")[0] for node in nodes if "/" in node.name and node.op == "MatMul")
    tensors = [f"{top}/*" for top in tops] if whole and kind in HAND_WRITTEN else []
    probe = Probe(
        network,
        layers=layers,
        recurrences=None,
        tensors=tensors,
        batches=[batch(x, data["lens"] if ragged else None)],
        feeds=feeds,
    )
    return probe, data


def held(probe: Probe, data: dict[str, np.ndarray]) -> tuple[list[str], float]:
    """The expected arrays that are found in the trace, the others marked with `!`, and the largest difference."""
    (block,) = probe.blocks()
    every = [a for of in block.signals.values() for a in of.values()]
    ends = [a for of in block.final.values() for a in of.values()]
    every += [*joined(block.signals), *windows(every, 4)]
    ends += [*joined(block.final), *windows(ends, 3)]
    found, largest = [], 0.0
    for name, expected in data.items():
        if not name.startswith(("out", "st")) or expected.dtype.kind != "f":
            continue
        options = [*block.outcomes.values()]
        if name.startswith("step"):
            step = int(name[4 : name.index("_")])
            options += [a[step] for a in every if len(a) > step]
        else:
            options += [*ends, *every, *(a.swapaxes(0, 1) for a in every if a.ndim > 1)]
            options += [a[k] for a in every for k in range(len(a))]
        near = nearest(expected, options)
        found.append(name if near < ROUNDED else f"!{name}")
        largest = max(largest, near) if near < 1e-3 else largest
    return found, largest


def joined(signals) -> Iterator[np.ndarray]:
    """What frameworks put side by side: c and h of each layer, of all layers, and h of one layer after another."""
    both = [np.concatenate([of["c"], of["h"]], axis=-1) for of in signals.values() if {"c", "h"} <= of.keys()]
    yield from both
    yield from (a.reshape(*a.shape[:-2], -1) for a in both if a.ndim > 2)  # of window after window
    lasting = [of["h"] for of in signals.values() if "h" in of]
    for parts in (both, lasting, *pairwise(lasting)):
        if len(parts) > 1 and len({part.shape[:-1] for part in parts}) == 1:
            yield np.concatenate(parts, axis=-1)


def windows(arrays: list[np.ndarray], rank: int) -> Iterator[np.ndarray]:
    """Each window of features by itself, as the graph has it."""
    yield from (a[..., k, :] for a in arrays if a.ndim == rank for k in range(a.shape[-2]))


def nearest(expected: np.ndarray, options: list[np.ndarray]) -> float:
    """The smallest of the largest differences, past a length left out; infinite where nothing has the shape."""
    best = np.inf
    for option in options:
        if option.shape == expected.shape and not np.isnan(option).all():
            best = min(best, float(np.nanmax(np.abs(option - expected), initial=0.0)))
    return best


def tried(case: Path) -> tuple[list[str], float, Probe]:
    """What was held against what the case computed; where that is not all, every tensor of steps that are written out
    is recorded too."""
    try:
        probe, data = probed(case)
        found, largest = held(probe, data)
        if not any(one.startswith("!") for one in found):
            return found, largest, probe
    except errors.BadInput:
        if json.loads((case / "case.json").read_text())["kind"] not in HAND_WRITTEN:
            raise
    probe, data = probed(case, whole=True)
    return *held(probe, data), probe


def main(folder: Path, *patterns: str) -> None:
    """Prints a row for each case, and the shares."""
    counts: Counter[str] = Counter()
    for meta in sorted(folder.glob("tf[012]*/*/model.ckpt.meta")):
        case = meta.parent
        if patterns and not any(case.match(pattern) for pattern in patterns):
            continue
        name = f"{case.parent.name:24s} {case.name:24s}"
        try:
            found, largest, probe = tried(case)
            lost = [one[1:] for one in found if one.startswith("!")]
            result = (
                "rounds"
                if found and not lost and largest > 1e-6
                else "ok"
                if found and not lost
                else "no data"
                if not found
                else "LOST"
            )
            reason = f"{len(found)} arrays, largest difference {largest:.1e}"
            if lost:
                reason += f"; not found: {' '.join(lost[:8])}; recorded: " + ", ".join(
                    f"{layer.name}({layer.cell.name}) {' '.join(probe.signals[layer.name])}" for layer in probe.layers
                )
        except errors.RnnprobeError as exc:
            result, reason = "not run", exc.message
        counts[result] += 1
        print(f"{result:8s} {name} {reason}", flush=True)
    print(", ".join(f"{result}: {count}" for result, count in counts.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
