"""The original graph run beside the rebuilt layers: genuine checkpoints of each release, and graphs tampered with.

`python -m tests.engine.test_original DIR` runs every case of a folder (DIR/<release>/<case>/model.ckpt.*), and prints a
row for each, with the reason where it can't be verified.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnprobe import engine, errors, formats, recover
from rnnprobe.analysis import verification
from rnnprobe.analysis.comparison import compare
from rnnprobe.analysis.verification import first_beyond
from rnnprobe.cells.layers import chosen
from rnnprobe.engine.original import OriginalGraph
from rnnprobe.engine.original.arrange import Form, forms
from rnnprobe.recover import stacks
from rnnprobe.types import Batch, Network

from ..conftest import DATA
from .networks import batch

RANDOM = np.random.default_rng(5)
CASES = sorted(
    path.parent for folder in ("conformance", "graph") for path in (DATA / folder).glob("*/*/model.ckpt.meta")
)
FROZEN = sorted(path for path in (DATA / "frozen").glob("*.pb*"))

# What is not compared, and why: by the pattern of the case's name; of one layer where its name stands in front.
GATES = {"i", "f", "g", "o", "i_pre", "f_pre", "g_pre", "o_pre"}
MISSING = {
    r"drv_static_seq": GATES,  # in the branch of a conditional, that runs for some steps only
    r"lstm_(block|fused).*|drv_reversed_fused|cudnn_compat_lstm": {
        "i_pre",
        "f_pre",
        "g_pre",
        "o_pre",
    },  # inside of LSTMBlockCell and BlockLSTM
    r"gru_block(_v2)?": {"r_pre", "z_pre", "n_pre"},
    # Which step it is, as an integer of all sequences or written out.
    r"sonnet-1.36/batch_norm_lstm_(\w*steps|static|trainable)": {"count"},
    r"multi_ugrnn": {"gru_cell/r_pre", "gru_cell/z_pre", "gru_cell/n_pre"},
    # The original has several tensors for each head.
    r"ntm.*": {
        "reads",
        "addresses",
        "memory",
        "key",
        "strength",
        "interpolation",
        "shift",
        "sharpness",
        "erase",
        "add",
    },
}
# A convolution sums up to 135 products, in another order than the original. A norm divides by what is small: in float64
# the rebuilt norm is 3.7e-6 off and the original 1.4e-6.
TOLERANCES = {r"conv\dd.*": 1e-5, r"magenta-1.3.1/layer_norm_lstm": 1e-5}
REFUSED = {
    r"tf1.[24]/glstm_proj": "does not show how it runs these layers",  # up to TensorFlow 1.6 its input is slices of x
    # Ops that run on GPUs alone; memories that are not one.
    r"cudnn_.*opaque|cudnn_params|two_memories": "does not show how it runs these layers",
    r"keras_masked_otherwise": "nothing shows what that is",
    r"tf1.4/keras_(lstm|two|both)": "can't be recorded and held against the input",  # no step of it is in the loop
    r"attnwrap_encoded": "'x' has lengths of its own",
}


def opened(path: Path, graph=None, options=None) -> Network:
    """The network of a checkpoint, perhaps with another graph or other options than its own."""
    checkpoint = formats.read(path)
    if graph is not None:
        checkpoint = replace(checkpoint, graph=graph)
    return selected(recover.network(checkpoint, recover.Overrides(options=options or {})))


def selected(whole: Network) -> Network:
    """What of a network is run, which its graph shows."""
    network, _ = stacks.select(whole)
    verification.refuse_foreign(network)
    return network


def compared(network: Network, *batches: Batch, tolerance: float = 1e-6):
    """The rebuilt layers against the original graph, and the run of that."""
    network = engine.extents(network, batches).network
    run = OriginalGraph(network, batches)
    ours = engine.trace(network, batches, chosen(network.layers, "all"), ordered=True)
    return compare(ours, run.blocks(), network.layers, tolerance), run


def given(case: Path, network: Network) -> Batch:
    """The case's own input, ids where an embedding stands in front; its lengths where its kind takes them."""
    lengths = None
    if (case / "data.npz").exists():
        data = dict(np.load(case / "data.npz"))
        kind = json.loads((case / "case.json").read_text())["kind"]
        if kind.startswith("attnwrap"):
            return attending(network, data)
        if kind in ("dynseq", "raw") or case.name.endswith("_seq"):
            lengths = data["lens"]
        # A phased cell takes the times beside the features.
        x = np.concatenate([data["time"], data["x"]], axis=-1) if kind == "phased" else data["x"]
    else:
        x = RANDOM.normal(size=(2, 5, next(iter(stacks.entries(network).values())).features)).astype("f")
    if network.embeddings:
        x = RANDOM.integers(0, 7, x.shape[:2])
    return batch(x, lengths)


def attending(network: Network, data) -> Batch:
    """What enters a decoder, and what it attends to: given as it is, or made by an encoder, which is the main input."""
    memory = batch(data["mem"], data.get("mem_lens", np.array([4, 6])))
    x = batch(data["x"])
    main, beside = (memory, x) if len(network.layers) > 1 else (x, memory)
    name = list(stacks.entries(network))[1]
    return replace(main, beside={name: beside})


def expected(table, case: Path):
    """What a table says of a case: by its name, or by its release and its name."""
    names = case.name, f"{case.parent.name}/{case.name}"
    return next((value for pattern, value in table.items() if any(re.fullmatch(pattern, one) for one in names)), None)


def verified(case: Path, whole: Network) -> None:
    network = selected(whole)
    assert compared(network, given(case, network))[0].agrees


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_every_case_agrees_with_its_graph_in_every_signal(case):
    reason = expected(REFUSED, case)
    whole = recover.network(formats.read(case / "model.ckpt"))
    if whole.layers == ():
        pytest.skip("a cell that is not rebuilt")
    if reason:
        with pytest.raises(errors.BadInput, match=reason):
            verified(case, whole)
        return
    network = selected(whole)
    found, _ = compared(network, given(case, network), tolerance=expected(TOLERANCES, case) or 1e-6)
    assert found.agrees, first_beyond(found)
    missing = 0
    for layer in network.layers:
        listed = [name.rpartition("/") for name in expected(MISSING, case) or ()]
        gone = {name for scope, _, name in listed if layer.name.endswith(scope)}
        declared, states = set(chosen([layer], "all")[layer.name]), set(layer.cell.states)
        held = {one.signal for one in found.differences if one.layer == layer.name and one.compared}
        assert held == (declared - gone) | {f"final {state}" for state in states - gone}
        missing += len(declared & gone) + len(states & gone)
    assert len(found.missing) == missing


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_frozen_graphs(path):
    network = opened(path)
    found, _ = compared(network, batch(RANDOM.normal(size=(2, 5, 3)).astype("f")))
    assert found.agrees, first_beyond(found)
    assert not found.missing


def lstm(conformance: Path) -> Path:
    return conformance / "tf1.15" / "lstm_full" / "model.ckpt"


# Sequences -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "steps"),
    [
        ("tf1.15/lstm_full", 7),  # a batch of 2, any number of steps
        ("tf2.21-v2-control-flow/basic_lstm_fb", 7),
        ("tf1.2/drv_raw", 7),  # with lengths
        ("tf1.0/drv_static_seq", 5),  # 5 steps written out, with lengths
        ("tf2.21-v2-control-flow/drv_bidyn_multi_seq", 7),
    ],
)
def test_ragged_sequences_in_batches_of_a_fixed_size(conformance, case, steps):
    network = opened(conformance / case / "model.ckpt")
    width = network.layers[0].input_size
    lengths = [steps, 1, 4, 0, steps, 2, 4]
    x = RANDOM.normal(size=(7, steps, width)).astype("f")
    found, _ = compared(network, batch(x, lengths), batch(x[:3, :4], [4, 3, 1], start=7))
    assert found.agrees, first_beyond(found)
    states = sum(len(layer.cell.states) for layer in network.layers)
    assert sum(one.compared > 0 for one in found.differences) >= 2 * states


def test_no_sequences_and_empty_ones(conformance):
    network = opened(lstm(conformance))
    found, _ = compared(network, batch(np.zeros((2, 0, 3), "f")))
    assert not any(one.beyond for one in found.differences)


def test_states_are_handed_on_where_the_graph_writes_out_fewer_steps():
    """The states start from zeros there, so that what they start from can be given."""
    network = opened(DATA / "frozen" / "two_folded.pb")
    assert all(len(use.inputs) == 5 for uses in network.places.values() for use in uses)
    x = RANDOM.normal(size=(2, 13, 3)).astype("f")
    found, _ = compared(network, batch(x, [13, 4]))
    assert found.agrees, first_beyond(found)
    assert all(one.compared for one in found.differences)


def test_longer_sequences_than_a_graph_with_lengths_writes_out(conformance):
    network = opened(conformance / "tf1.0" / "drv_static_seq" / "model.ckpt")
    x = RANDOM.normal(size=(2, 11, 3)).astype("f")
    found, _ = compared(network, batch(x, [11, 6]))
    assert found.agrees, first_beyond(found)


# Differences ---------------------------------------------------------------------------------------------------------


def test_a_wrong_option_is_found_with_its_first_step(run, conformance, tmp_path):
    np.save(tmp_path / "x.npy", np.load(lstm(conformance).parent / "data.npz")["x"])
    done = run("verify", lstm(conformance), "--input", tmp_path / "x.npy")
    assert done.status == 0, done.err
    assert "verified" in done.out
    assert "the operations of the original graph" in " ".join(done.out.split())
    done = run("verify", lstm(conformance), "--input", tmp_path / "x.npy", "--forget-bias", "1", "--json", "-q")
    assert done.status == 1
    assert "f_pre first at sequence 0, step 0" in done.err
    rows = {row["signal"]: row for row in json.loads(done.out)["signals"]}
    assert rows["f_pre"]["largest"] == pytest.approx(0.5, abs=0.3)
    assert not rows["c"]["agrees"]
    assert rows["f"]["first_step"] == 0


def test_a_clip_shows_at_the_step_at_which_it_first_matters(conformance):
    """The graph clips c at 0.3."""
    network = opened(lstm(conformance), options={"cell_clip": None})
    layer = network.layers[0]
    x = 0.01 * RANDOM.normal(size=(2, 9, 3)).astype("f")
    x[:, 5:] *= 400
    found, _ = compared(network, batch(x))
    assert not found.agrees
    c = next(one for one in found.differences if one.signal == "c")
    assert c.layer == layer.name
    assert c.first is not None
    right, _ = compared(opened(lstm(conformance)), batch(x))
    assert right.agrees


# What is on the path -------------------------------------------------------------------------------------------------


def tampered(path: Path, op: str, *, reader: str | None = None, **attributes):
    """The graph of a checkpoint with a node `mischief`; `reader` waits for it."""
    graph = formats.read(path).graph
    node = graph.graph_def.node.add(name="mischief", op=op)
    for key, value in attributes.items():
        if isinstance(value, bytes):
            node.attr[key].s = value
        else:
            node.attr[key].type = value
    if reader is not None:
        (found,) = (node for node in graph.graph_def.node if node.name == reader)
        found.input.append("^mischief")
    return graph


@pytest.mark.parametrize(
    "op", ["ReadFile", "WriteFile", "PyFunc", "PrintV2", "RestoreV2", "Assign", "LookupTableFindV2"]
)
def test_operations_that_do_more_than_compute_are_refused_before_a_session_exists(conformance, monkeypatch, op):
    monkeypatch.delattr(tf.compat.v1, "Session")
    network = opened(lstm(conformance), tampered(lstm(conformance), op, reader="rnn/transpose"))
    with pytest.raises(errors.Refused, match=rf"run {op} \('mischief'\)") as refused:
        OriginalGraph(network, [batch(np.zeros((2, 3, 3), "f"))])
    assert refused.value.status == 3


@pytest.mark.parametrize("op", ["ReadFile", "WriteFile", "PyFunc"])
def test_off_the_path_they_do_no_harm(conformance, op):
    network = opened(lstm(conformance), tampered(lstm(conformance), op))
    found, _ = compared(network, batch(RANDOM.normal(size=(2, 3, 3)).astype("f")))
    assert found.agrees


def test_a_refused_file_ends_in_status_3_and_touches_nothing(run, conformance, tmp_path):
    """The graph would write a marker file, on the path to the states."""
    for part in lstm(conformance).parent.glob("model.ckpt*"):
        shutil.copy(part, tmp_path)
    graph = formats.read(lstm(conformance)).graph
    marker = tmp_path / "marker"
    for name, value in (("where", str(marker)), ("what", "x")):
        node = graph.graph_def.node.add(name=name, op="Const")
        node.attr["dtype"].type = node.attr["value"].tensor.dtype = tf.string.as_datatype_enum
        node.attr["value"].tensor.string_val.append(value.encode())
    graph.graph_def.node.add(name="mischief", op="WriteFile", input=["where", "what"])
    next(node for node in graph.graph_def.node if node.name == "rnn/transpose").input.append("^mischief")
    (tmp_path / "model.ckpt.meta").write_bytes(graph.SerializeToString())
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 3), "f"))
    done = run("verify", tmp_path / "model.ckpt", "--input", tmp_path / "x.npy")
    assert done.status == 3
    assert "WriteFile" in done.err
    assert not marker.exists()


def test_inside_of_a_function_they_are_refused_too(conformance):
    path = conformance / "tf2.21-v2-control-flow" / "gru" / "model.ckpt"
    graph = formats.read(path).graph
    body = next(f for f in graph.graph_def.library.function if "body" in f.signature.name)
    body.node_def.add(name="mischief", op="PyFunc")
    with pytest.raises(errors.Refused, match="PyFunc"):
        OriginalGraph(opened(path, graph), [batch(np.zeros((2, 3, 3), "f"))])


def test_a_placeholder_that_nothing_explains_is_named(conformance):
    graph = tampered(lstm(conformance), "Placeholder", reader="rnn/transpose", dtype=tf.float64.as_datatype_enum)
    with pytest.raises(errors.BadInput, match=r"asks for 'mischief' \(float64"):
        OriginalGraph(opened(lstm(conformance), graph), [batch(np.zeros((2, 3, 3), "f"))])


def test_a_variable_without_a_value_is_named(conformance):
    network = opened(lstm(conformance))
    checkpoint = network.checkpoint
    gone = next(name for name in checkpoint.tensors if name.endswith("w_f_diag"))
    kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name != gone}
    network = replace(network, checkpoint=replace(checkpoint, tensors=kept))
    with pytest.raises(errors.BadInput, match=r"reads the variable .*w_f_diag', and the file has no value"):
        OriginalGraph(network, [batch(np.zeros((2, 3, 3), "f"))])


def test_ids_are_asked_for_where_the_graph_takes_them():
    network = opened(DATA / "graph" / "tf1.15" / "embed" / "model.ckpt")
    with pytest.raises(errors.BadInput, match=r"takes ids as .*, and floats were given"):
        OriginalGraph(network, [batch(np.zeros((2, 3, network.layers[0].input_size), "f"))])


def test_a_loop_without_an_end_ends(conformance):
    """The recorders have room for the steps that are given, and no more."""
    graph = formats.read(lstm(conformance)).graph
    nodes = {node.name: node for node in graph.graph_def.node}
    condition = nodes["rnn/while/LoopCond"]
    del condition.input[:]
    condition.input.append("always")
    always = graph.graph_def.node.add(name="always", op="Const", input=["^rnn/while/Merge"])
    always.attr["dtype"].type = always.attr["value"].tensor.dtype = tf.bool.as_datatype_enum
    always.attr["value"].tensor.bool_val.append(True)
    with pytest.raises(errors.BadInput, match="does not take the sequences"):
        OriginalGraph(opened(lstm(conformance), graph), [batch(np.zeros((2, 3, 3), "f"))])


def test_an_input_of_its_own_is_not_the_graphs(conformance, run, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 3), "f"))
    done = run("verify", lstm(conformance), "--input", tmp_path / "x.npy", "--layer", "*", "--own-input")
    assert done.status == 2
    assert "the graph computes what enters them" in done.err


# Arrangements --------------------------------------------------------------------------------------------------------


def test_arrangements():
    x = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    assert np.array_equal(Form(("b", "t", "d"))(x), x)
    assert np.array_equal(Form(("t", "b", "d"))(x), x.swapaxes(0, 1))
    assert np.array_equal(Form(("b", "td"))(x), x.reshape(2, 15))
    assert np.array_equal(Form(("tb", "d"))(x), x.swapaxes(0, 1).reshape(10, 3))
    assert Form(("b", "t", "d", ""))(x).shape == (2, 5, 3, 1)
    assert np.array_equal(Form(("b", "d"))(x[:, 2:3]), x[:, 2])
    assert np.array_equal(Form(("t", "b"))(x[..., 0]), x[..., 0].T)
    assert Form(("b", "td")).words == "[batch, time·features]"
    assert Form(("b", "t", "")).words == "[batch, time, 1]"


def test_a_static_shape_leaves_some_arrangements_out():
    assert next(forms((2, None, 3), 3, ids=False, single=False)).axes == ("b", "t", "d")
    assert ("b", "t", "d") not in [form.axes for form in forms((None, 784), 28, ids=False, single=False)]
    assert [form.axes for form in forms((None, None, 1), 1, ids=True, single=False)] == [("b", "t", ""), ("t", "b", "")]
    assert {form.turned for form in forms((4, 3), 3, ids=False, single=True)} == {False, True}
    assert Form(("t", "b", "d")).fixed((None, 50, 3), "b") == 50
    assert Form(("b", "td")).fixed((None, 50), "t") is None


# Real checkpoints ----------------------------------------------------------------------------------------------------

CORPUS = {
    "shakespeare": "shakespeare/pretrained_shakespeare/best_model/model-85340",
    "char-rnn-tf10": "char-rnn-tf10/save/model.ckpt-67949",
    "char-rnn-tf012": "char-rnn-tf012/save/model.ckpt-22299",
    "thai-segmentation": "thai-segmentation/saved_model",
    "mnist-rows-lstm": "mnist-rows/tests/models/lstm/frozen.pb",
    "mnist-rows-gru": "mnist-rows/tests/models/gru/frozen.pb",
    "kws-basiclstm-s": "kws/Pretrained_models/Basic_LSTM/Basic_LSTM_S.pb",
    "kws-lstm-s": "kws/Pretrained_models/LSTM/LSTM_S.pb",
    "kws-gru-s": "kws/Pretrained_models/GRU/GRU_S.pb",
    "kws-crnn-s": "kws/Pretrained_models/CRNN/CRNN_S.pb",
}
IDS = ("ids", "feed_validation_inputs", "feed_Placeholder")


@pytest.mark.parametrize("name", CORPUS)
def test_published_checkpoints(corpus, name):
    data = np.load(corpus / "expected" / f"{name}.npz")
    x = next((data[key].astype("int64") for key in IDS if key in data), data["input"])
    network = opened(corpus / CORPUS[name])
    lengths = data["lengths"] if len(data["lengths"]) == len(x) else None
    found, _ = compared(network, batch(x, lengths), tolerance=verification.GRAPH_TOLERANCE["float32"])
    assert found.agrees, first_beyond(found)
    assert not found.missing


def test_a_graph_of_ten_steps_runs_longer_sequences_by_handing_its_states_on(corpus):
    network = opened(corpus / CORPUS["shakespeare"])
    ids = RANDOM.integers(0, 65, (23, 34))
    lengths = RANDOM.integers(1, 35, 23)
    found, _ = compared(network, batch(ids, lengths), tolerance=verification.GRAPH_TOLERANCE["float32"])
    assert found.agrees, first_beyond(found)


def main(folder: Path) -> None:
    """Prints a row for each case, and the shares."""
    counts: Counter[str] = Counter()
    for meta in sorted(folder.glob("*/*/model.ckpt.meta")):
        case = meta.parent
        name = f"{case.parent.name:24s} {case.name:24s}"
        try:
            if not recover.network(formats.read(case / "model.ckpt")).layers:
                result, reason = "left out", "a cell that is not rebuilt"
            else:
                network = opened(case / "model.ckpt")
                found, _ = compared(network, given(case, network), tolerance=expected(TOLERANCES, case) or 1e-6)
                result = "ok" if found.agrees else "DIFFERS"
                largest = max(one.largest for one in found.differences)
                reason = f"{len(found.differences)} signals, largest difference {largest:.1e} {first_beyond(found)}"
        except errors.RnnprobeError as exc:
            result, reason = "not run", exc.message
        counts[result] += 1
        print(f"{result:8s} {name} {reason}", flush=True)
    print(", ".join(f"{result}: {count}" for result, count in counts.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
