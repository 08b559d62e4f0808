"""The reports of `rnnprobe inspect --loops`, over small genuine graphs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from rnnprobe import formats, recover
from rnnprobe.analysis.loops import loops
from rnnprobe.errors import BadInput
from rnnprobe.views.screen import Screen
from rnnprobe.views.terminal import render

from ..conftest import DATA

RAW = DATA / "loops" / "v1" / "raw_states" / "model.ckpt"
WIDTH = 100
GOLDENS = {
    "raw": RAW,
    "raw_functional": DATA / "loops" / "v2" / "raw_states" / "model.ckpt",
    "scan": DATA / "loops" / "v1" / "scan_reversed" / "model.ckpt",
    "nested": DATA / "loops" / "v2" / "nested" / "model.ckpt",
    "bidirectional": DATA / "conformance" / "tf0.12" / "drv_bidyn_seq" / "model.ckpt",
    "static": DATA / "conformance" / "tf1.0" / "drv_static_seq" / "model.ckpt",
    "fused": DATA / "graph" / "tf0.12" / "lstm_fused" / "model.ckpt",
}


def network(path):
    return replace(
        found := recover.network(formats.read(path)), checkpoint=replace(found.checkpoint, path="model.ckpt")
    )


@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name):
    """`RNNPROBE_WRITE_GOLDENS=1 pytest tests/analysis` writes them anew: look at what changed."""
    text = render(loops(network(GOLDENS[name]), tensors=False), Screen(WIDTH))
    assert max(map(len, text.splitlines())) <= WIDTH
    golden = DATA / "loops" / "reports" / f"{name}.txt"
    if os.environ.get("RNNPROBE_WRITE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_tensors_inside_are_listed_when_asked_for():
    reports = {report.name: report for report in loops(network(RAW), tensors=True)}
    rows = {row["tensor"]: row for row in reports["loop_tensors"].rows}
    assert rows["rnn/while/basic_rnn_cell/Tanh:0"] == {
        "loop": 1,
        "tensor": "rnn/while/basic_rnn_cell/Tanh:0",
        "op": "Tanh",
        "dtype": "float32",
        "shape": [2, 4],
    }
    assert not {row["op"] for row in rows.values()} & {"Switch", "NextIteration", "Enter", "Const"}
    assert "loop_tensors" not in {report.name for report in loops(network(RAW), tensors=False)}


def test_json_has_one_list_for_each_report(run):
    done = run("inspect", GOLDENS["nested"], "--loops", "-v", "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert [row["name"] for row in found["loops"]] == ["while", "while/while_0"]
    assert {row["loop"] for row in found["loop_variables"]} == {1, 2}
    assert {row["loop"] for row in found["loop_tensors"]} == {1, 2}
    assert found["placeholders"][0] == {"tensor": "x:0", "op": "Placeholder", "dtype": "float32", "shape": [2, 5, 3]}
    assert found["signatures"] == []


def test_a_graph_without_recurrences_has_empty_lists(run):
    model = DATA / "graph" / "tf2.21-v2-control-flow" / "drv_layer_names" / "model.ckpt"
    found = json.loads(run("inspect", model, "--loops", "--json").out)
    assert (found["loops"], found["loop_variables"], found["emitted"]) == ([], [], [])
    assert any("no loop" in note for note in found["notes"])


def test_no_graph_is_said_with_what_is_expected():
    bare = network(RAW)
    with pytest.raises(BadInput, match="without a graph"):
        loops(replace(bare, checkpoint=replace(bare.checkpoint, graph=None)), tensors=False)


def test_layers_are_not_chosen_among_loops(run):
    done = run("inspect", RAW, "--loops", "--layer", "rnn")
    assert done.status == 2
    assert "--layer" in done.err


def test_no_tensorflow_is_imported():
    code = f"""
import sys
from rnnprobe.cli import main
sys.argv = ["rnnprobe", "inspect", {str(RAW)!r}, "--loops"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
assert not {{name.partition(".")[0] for name in sys.modules}} & {{"tensorflow", "keras", "tf_keras"}}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
