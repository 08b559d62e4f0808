"""What the recurrences of genuine graphs are taken for, held against the driver that built each.

`python -m tests.recover.test_loops DIR` counts how many of a folder of cases (DIR/<release>/<case>) are named rightly.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rnnprobe import formats, recover
from rnnprobe.recover.graph.loops import survey
from rnnprobe.types import Recurrence, Survey

DATA = Path(__file__).parent.parent / "data"
LOOPS = DATA / "loops"
FLOWS = ("v1", "v2")

_LOOPED = ("dyn", "dynseq", "dyn_tm", "dyn_scope", "conv", "embed", "phased", "opt", "attnwrap", "partitioned")
_UNROLLED = ("static", "pyloop", "manual", "manual_grid", "ntm")
# The generator's word for a driver → what its recurrences are, in any order.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LOOPED, ("dynamic_rnn",)),
    **dict.fromkeys(("bidyn", "reuse2", "twoscopes"), ("dynamic_rnn",) * 2),
    "attnwrap_encoded": ("dynamic_rnn",) * 3,
    "stackbidyn": ("dynamic_rnn",) * 4,
    **dict.fromkeys(_UNROLLED, ("unrolled",)),
    "bistatic": ("unrolled",) * 2,
    "stackbi": ("unrolled",) * 4,
    "raw": ("raw_rnn",),
    "scan": ("tf.scan",),
    **dict.fromkeys(("fused", "revfused"), ("BlockLSTM",)),
    "layernames": (),
    "keras": ("Keras K.rnn",),
    "keras2": ("Keras K.rnn",) * 2,
    "keras3": ("Keras K.rnn",) * 3,
}


def surveyed(path: Path) -> Survey:
    return survey(recover.network(formats.read(path)))


def expected(case: dict[str, str]) -> tuple[str, ...]:
    if case["kind"] == "fusedadapt":
        return ("dynamic_rnn" if case["case"].endswith("_dyn") else "unrolled",)
    return KINDS[case["kind"]]


def named_rightly(folder: Path) -> bool:
    """Whether the recurrences of a case are what its driver makes: one for each layer where steps are written out."""
    wanted = expected(json.loads((folder / "case.json").read_text()))
    found = [one.kind for one in surveyed(folder / "model.ckpt").recurrences]
    return set(found) == set(wanted) if wanted == ("unrolled",) else sorted(found) == sorted(wanted)


def cases() -> list[Path]:
    folders = [path.parent for part in ("graph", "conformance") for path in (DATA / part).glob("*/*/model.ckpt.meta")]
    # An op of cuDNN's is no loop.
    kept = [folder for folder in folders if (folder / "case.json").exists() and not folder.name.endswith("_opaque")]
    return sorted(kept)


@pytest.mark.parametrize("folder", cases(), ids=lambda path: f"{path.parts[-2]}-{path.parts[-1]}")
def test_every_driver_is_told_by_its_structure(folder):
    assert named_rightly(folder)


def only(flow: str, case: str) -> Recurrence:
    (found,) = surveyed(LOOPS / flow / case / "model.ckpt").recurrences
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_raw_rnn_and_what_its_loop_state_counts_from(flow):
    found = only(flow, "raw_states")
    assert found.kind == "raw_rnn"
    assert found.condition == "not all(finished)"
    roles = [variable.role for variable in found.variables if variable.role != "iteration counter"]
    assert roles == ["time", "finished flags", "current input", "output array", "state", "loop state"]
    assert found.inputs == ("x:0",)
    assert found.lengths == ("lengths:0",)
    assert found.reads == ("rnn/basic_rnn_cell/bias", "rnn/basic_rnn_cell/kernel")
    emitted, kept = found.emitted
    assert (emitted.index, emitted.tensor.shape, emitted.stacked.shape) == ("time", (2, 2), (None, 2, 2))
    assert (kept.index, kept.tensor.shape, kept.axes) == ("time + 1", (2, 4), "time, batch")
    assert any("element t + 1 goes with step t" in note for note in found.notes)
    # The same, in numbers: what was kept at t + 1 is what was emitted at t, and zeros are emitted past the end.
    data = np.load(LOOPS / flow / "raw_states" / "data.npz")
    np.testing.assert_array_equal(data["kept"][1:, 1, :2], data["emitted"][:, 1])
    assert not data["kept"][0].any()
    assert not data["emitted"][3:, 0].any()
    assert data["emitted"][:3, 0].all()


@pytest.mark.parametrize("flow", FLOWS)
def test_a_scan_from_the_end(flow):
    found = only(flow, "scan_reversed")
    assert (found.kind, found.direction) == ("tf.scan", "backward")
    assert found.condition == "counter < 5 and time ≥ 0"
    assert [v.role for v in found.variables] == ["iteration counter", "time", "state", "output array"]
    assert found.variables[1].start == "4"


@pytest.mark.parametrize("flow", FLOWS)
def test_a_loop_in_a_loop(flow):
    outer, inner = surveyed(LOOPS / flow / "nested" / "model.ckpt").recurrences
    assert {outer.kind, inner.kind} == {"while loop"}
    assert (outer.inside, inner.inside) == ("", outer.name)
    assert (outer.condition, inner.condition) == ("time < 5", "time < 2")
    assert "kernel" in inner.reads
    assert {tensor.op for tensor in inner.tensors} >= {"MatMul", "Tanh"}
    assert not {tensor.op for tensor in outer.tensors} & {"MatMul", "Tanh"}


@pytest.mark.parametrize("flow", FLOWS)
def test_a_loop_that_carries_no_state_is_no_driver(flow):
    found = only(flow, "squares")
    assert found.kind == "while loop"
    assert "state" not in [variable.role for variable in found.variables]


@pytest.mark.parametrize("flow", FLOWS)
def test_keras_own_loop(flow):
    found = only(flow, "keras_loop")
    assert (found.kind, found.direction) == ("Keras K.rnn", "backward")
    assert (found.emitted[0].axes, found.emitted[0].stacked.shape) == ("batch, time", (2, 5, 4))


def test_the_states_go_by_the_names_that_layers_have_for_them():
    (found,) = surveyed(DATA / "conformance" / "tf1.15" / "multi_named" / "model.ckpt").recurrences
    a, b = "rnn/multi_rnn_cell/cell_0/enc_a", "rnn/multi_rnn_cell/cell_1/enc_b"
    assert found.layers == (a, b)
    assert [v.meaning for v in found.variables if v.role == "state"] == [f"c of {a}", f"h of {a}", f"h of {b}"]


@pytest.mark.parametrize("release", ["tf1.15", "tf2.21-v2-control-flow"])
def test_loops_of_gradients_are_counted_and_what_they_need_is_not_listed(release):
    folder = DATA / ("graph" if release.startswith("tf2") else "conformance") / release / "drv_adam"
    found = surveyed(folder / "model.ckpt")
    (loop,) = found.recurrences
    assert found.gradients == 1
    roles = ["iteration counter", "time", "output array", "state", "state"]
    assert [variable.role for variable in loop.variables] == roles
    assert not any(tensor.name.startswith("gradients") for tensor in loop.tensors)


def test_steps_that_are_written_out():
    (found,) = surveyed(DATA / "conformance" / "tf1.0" / "drv_static_seq" / "model.ckpt").recurrences
    assert (found.kind, found.form, found.steps, len(found.emitted)) == ("unrolled", "steps", 5, 5)
    assert {emitted.tensor.shape for emitted in found.emitted} == {(2, 4)}


def test_an_op_that_computes_all_steps():
    (found,) = surveyed(DATA / "graph" / "tf0.12" / "lstm_fused" / "model.ckpt").recurrences
    assert (found.kind, found.form) == ("BlockLSTM", "op")
    assert found.reads


def test_a_condition_that_is_missing_is_not_spelled_out():
    checkpoint = formats.read(LOOPS / "v2" / "scan_reversed" / "model.ckpt")
    loop = next(node for node in checkpoint.graph.graph_def.node if node.op in ("While", "StatelessWhile"))
    loop.attr["cond"].func.name = "nowhere"
    (found,) = survey(recover.network(checkpoint)).recurrences
    assert (found.kind, found.condition) == ("tf.scan", "")


def test_a_body_that_is_missing_is_said():
    checkpoint = formats.read(LOOPS / "v2" / "scan_reversed" / "model.ckpt")
    loop = next(node for node in checkpoint.graph.graph_def.node if node.op in ("While", "StatelessWhile"))
    loop.attr["body"].func.name = "nowhere"
    found = survey(recover.network(checkpoint))
    assert (found.recurrences, found.unread) == ((), (loop.name,))


def test_a_frozen_graph_says_no_shapes():
    found = surveyed(DATA / "frozen" / "gru_v1.pbtxt")
    assert [one.kind for one in found.recurrences] == ["dynamic_rnn"]
    assert found.placeholders


# Published graphs -----------------------------------------------------------------------------------------------------

PUBLISHED = {
    "g2p-attention-no-data/g2p_en/logdir/model_epoch_14_gs_27956": (["dynamic_rnn"] * 3, 3),
    "htr-no-data/model/model/snapshot-38": (["dynamic_rnn"] * 2, 2),
    "thai-segmentation/saved_model": (["dynamic_rnn"] * 2, 2),
    "g2p-tf11/tests/models/decode/model.ckpt-0": (["dynamic_rnn"] * 2 + ["dynamic_decode"], 3),
    "shakespeare/pretrained_shakespeare/best_model/model-85340": (["unrolled"] * 4, 0),
    "mnist-rows/tests/models/lstm/frozen.pb": (["unrolled"], 0),
    "mnist-rows/tests/models/gru/frozen.pb": (["unrolled"], 0),
    **{f"kws/Pretrained_models/{name}": (["dynamic_rnn"], 0) for name in ("GRU/GRU_S.pb", "LSTM/LSTM_S.pb")},
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_graphs(corpus, model):
    found = surveyed(corpus / model)
    assert ([one.kind for one in found.recurrences], found.gradients) == PUBLISHED[model]


def test_an_attention_is_told_from_the_graph_alone(corpus):
    found = surveyed(corpus / "g2p-attention-no-data/g2p_en/logdir/model_epoch_14_gs_27956")
    decoder = next(one for one in found.recurrences if one.inputs == ("one_hot_1:0",))
    assert decoder.layers == ("rnn/attention_wrapper",)
    (note,) = decoder.notes
    assert "Bahdanau" in note
    assert "rnn/while/rnn/attention_wrapper/Softmax:0 weighs BahdanauAttention/mul:0" in note
    assert [(v.meaning, v.shape) for v in decoder.variables[2:]] == [
        ("h of rnn/attention_wrapper", (None, 128)),
        ("what was handed out before", (None, 128)),
        ("a count of steps", ()),
        ("weights of the attention", (None, 20)),
        ("written at #4", (None, 20)),
    ]
    handed, history = decoder.emitted
    assert (handed.tensor.shape, handed.stacked.shape, history.index) == ((None, 128), (None, 20, 128), "#4")


def test_a_cell_that_both_directions_share_is_told_from_the_graph_alone(corpus):
    network = recover.network(formats.read(corpus / "htr-no-data/model/model/snapshot-38"))
    found = survey(network)
    assert [one.direction for one in found.recurrences] == ["forward", "backward"]
    assert {one.reads for one in found.recurrences} == {found.recurrences[0].reads}
    for one in found.recurrences:
        assert [v.meaning.split()[0] for v in one.variables if v.role == "state"] == ["c", "h", "c", "h"]
        assert [network[name].units for name in one.layers] == [256, 256]
        assert [v.shape for v in one.variables if v.role == "state"] == [(None, 256)] * 4
    for layer in network.layers:
        bias, clip = layer.options["forget_bias"], layer.options["cell_clip"]
        assert (bias.value, bias.evidence, clip.value, clip.evidence) == (1.0, "graph", None, "graph")


def test_the_signatures_of_a_published_model(corpus):
    (signature,) = surveyed(corpus / "thai-segmentation" / "saved_model").signatures
    assert signature.name == "serving_default"
    assert [argument for argument, _ in signature.inputs] == ["inputs", "lengths", "training"]


def main(folder: Path) -> None:
    total, right = Counter[str](), Counter[str]()
    for path in sorted(folder.glob("*/*/model.ckpt.meta")):
        kind = json.loads((path.parent / "case.json").read_text())["kind"]
        total[kind] += 1
        good = named_rightly(path.parent)
        right[kind] += good
        if not good:
            print(
                path.parent.relative_to(folder), [one.kind for one in surveyed(path.parent / "model.ckpt").recurrences]
            )
    for kind in sorted(total):
        print(f"{kind:12} {right[kind]:4} of {total[kind]:4}")
    print(f"{'all':12} {right.total():4} of {total.total():4}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
