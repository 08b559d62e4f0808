"""The graph beside a checkpoint, and SavedModels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rnnprobe import formats
from rnnprobe.errors import BadInput
from tests.conftest import DATA
from tests.formats.forge import message

HERE = DATA / "formats"


@pytest.mark.parametrize(
    ("name", "writer", "operation"),
    [
        ("tf0.12-drv_partitioned", "TensorFlow 0.12.1", "TensorArrayWriteV2"),
        ("tf2.21-v2-control-flow-lstm", "TensorFlow 2.21.0", "StatelessWhile"),
    ],
)
def test_graphs_of_old_and_new_releases(name: str, writer: str, operation: str) -> None:
    checkpoint = formats.read(HERE / name / "model.ckpt")
    operations = {node.op for node in checkpoint.graph.graph_def.node}
    assert checkpoint.writer == writer
    assert operation in operations | {operation.removeprefix("Stateless")} & operations


def test_no_graph_is_fine() -> None:
    checkpoint = formats.read(HERE / "shards")
    assert (checkpoint.graph, checkpoint.writer) == (None, "")


def test_a_damaged_graph(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(HERE / "tf0.12-drv_partitioned", tmp_path / "c"))
    graph = folder / "model.ckpt.meta"
    whole = graph.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        graph.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"model\.ckpt\.meta") as raised:
            formats.read(folder)
        assert "weights" in raised.value.hint
    nested = b""
    for _ in range(5000):  # a GraphDef's function library in a node in a …: deeper than any graph
        nested = b"\x0a" + bytes([0x80 | len(nested) & 0x7F, len(nested) >> 7]) + nested if nested else b"\x0a\x00"
        if len(nested) > 16000:
            break
    graph.write_bytes(b"\x12" + nested[1:])
    with pytest.raises(BadInput):
        formats.read(folder)


def saved_model(folder: Path, tags: list[list[str]]) -> Path:
    """A SavedModel around a checkpoint of the test data, its graph once for each set of tags."""
    from tensorboard.compat.proto import meta_graph_pb2

    graph = meta_graph_pb2.MetaGraphDef()
    graph.ParseFromString((HERE / "tf2.21-v2-control-flow-lstm" / "model.ckpt.meta").read_bytes())
    stored = message("SavedModel", schema_version=1)
    for named in tags:
        graph.meta_info_def.tags[:] = named
        stored.meta_graphs.append(graph.SerializeToString())
    (folder / "variables").mkdir(parents=True)
    for end in ("index", "data-00000-of-00001"):
        source = HERE / "tf2.21-v2-control-flow-lstm" / f"model.ckpt.{end}"
        shutil.copy(source, folder / "variables" / f"variables.{end}")
    (folder / "saved_model.pb").write_bytes(stored.SerializeToString())
    return folder


def test_a_saved_model(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", [["train"], ["serve"]])
    for path in (folder, folder / "saved_model.pb", tmp_path):
        checkpoint = formats.read(path)
        assert (checkpoint.format, checkpoint.path) == ("SavedModel", folder)
    assert list(checkpoint.graph.meta_info_def.tags) == ["serve"]
    assert checkpoint.writer == "TensorFlow 2.21.0"
    assert any("serve" in note and "train" in note for note in checkpoint.notes)
    assert set(checkpoint.tensors) == set(formats.read(HERE / "tf2.21-v2-control-flow-lstm").tensors)


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        ([["serve", "tpu"], ["serve"]], ["serve"]),
        ([["gpu", "serve"], ["train"]], ["gpu", "serve"]),
        ([["train"], ["other"]], ["train"]),
        ([["train"]], ["train"]),
    ],
)
def test_which_graph_of_a_saved_model_is_read(tmp_path: Path, tags: list[list[str]], chosen: list[str]) -> None:
    checkpoint = formats.read(saved_model(tmp_path / "m", tags))
    assert sorted(checkpoint.graph.meta_info_def.tags) == chosen
    assert any("graphs" in note for note in checkpoint.notes) == (len(tags) > 1)


def test_a_saved_model_of_functions_that_no_signature_calls(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", [["serve"]])
    stored = message("SavedModel")
    stored.ParseFromString((folder / "saved_model.pb").read_bytes())
    from tensorboard.compat.proto import meta_graph_pb2

    graph = meta_graph_pb2.MetaGraphDef.FromString(stored.meta_graphs[0])
    graph.object_graph_def.concrete_functions["forward"].canonicalized_input_signature.SetInParent()
    stored.meta_graphs[0] = graph.SerializeToString()
    (folder / "saved_model.pb").write_bytes(stored.SerializeToString())
    assert any("no signature" in note for note in formats.read(folder).notes)


def test_a_saved_model_without_variables_or_graph(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", [["serve"]])
    shutil.rmtree(folder / "variables")
    checkpoint = formats.read(folder)
    assert not checkpoint.tensors
    assert any("no variables" in note for note in checkpoint.notes)
    whole = (folder / "saved_model.pb").read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"\xff" * 20):
        (folder / "saved_model.pb").write_bytes(data)
        with pytest.raises(BadInput, match=r"saved_model\.pb"):
            formats.read(folder)


def test_every_published_graph_parses(corpus: Path) -> None:
    graphs = sorted(corpus.rglob("*.meta"))
    assert len(graphs) >= 6
    for graph in graphs:
        checkpoint = formats.read(graph)
        assert checkpoint.writer.startswith("TensorFlow "), graph
        assert checkpoint.graph.graph_def.node
    degas = formats.read(corpus / "degas-cnn/models/degas/1")
    assert degas.graph.graph_def.node
    assert len(degas.weights) == 9
