"""Object graphs and Keras metadata, genuine and made by hand: paths, groups, configurations, and what is damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto import trackable_object_graph_pb2

from rnnprobe import formats
from rnnprobe.errors import BadInput
from rnnprobe.formats import keras_metadata, object_graph
from rnnprobe.types import Checkpoint, Tensor

from ..conftest import DATA
from .forge import message

VALUE = object_graph.VALUE


def tensor(name: str, value: bytes | None = None) -> Tensor:
    """A float `[2]`, or a string."""
    array = np.array(value, object) if value is not None else np.zeros(2, "f")
    return Tensor(name, array.shape, "float32" if value is None else "string", lambda rows: array)


def checkpoint(
    children: list[dict[str, int]], keys: dict[int, str], config: dict[int, str] | None = None
) -> Checkpoint:
    """A checkpoint of objects.

    Args:
        children: of each object, attribute → number.
        keys: the number of a variable → the key of its tensor, without the ending.
        config: the number of an object → its configuration.
    """
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    tensors = []
    for number, attributes in enumerate(children):
        node = graph.nodes.add()
        for name, child in attributes.items():
            node.children.add(local_name=name, node_id=child)
        if number in keys:
            key = f"{keys[number]}{VALUE}"
            node.attributes.add(name="VARIABLE_VALUE", checkpoint_key=key, full_name=f"own/{number}")
            tensors.append(tensor(key))
        if config and number in config:
            key = f"{number}/.ATTRIBUTES/OBJECT_CONFIG_JSON"
            node.attributes.add(name="OBJECT_CONFIG_JSON", checkpoint_key=key)
            tensors.append(tensor(key, config[number].encode()))
    tensors.append(tensor(object_graph.GRAPH, graph.SerializeToString()))
    return Checkpoint(Path("made"), "made", {one.name: one for one in tensors})


def plain(groups: object) -> dict[str, tuple[str, ...]]:
    return {path: tuple(key.removesuffix(VALUE) for key in keys) for path, keys in dict(groups).items()}


def test_tensors_by_number_get_the_paths_of_their_attributes():
    read = formats.read(DATA / "conformance/tf_keras-2.21/nested/sm")
    cell = "layer_with_weights-0/layer_with_weights-0/cell"
    assert plain(read.groups) == {
        "layer_with_weights-0": (),
        "layer_with_weights-0/layer_with_weights-0": (),
        cell: ("variables/0", "variables/1", "variables/2"),
        "layer_with_weights-1": ("layer_with_weights-1/kernel", "layer_with_weights-1/bias"),
    }
    assert read.objects.paths[f"variables/1{VALUE}"] == (*cell.split("/"), "recurrent_kernel")
    assert read.objects.names[f"variables/1{VALUE}"] == "inner_lstm/lstm_cell/recurrent_kernel"
    assert read.config.model["class_name"] == "Sequential"
    assert read.objects.configs[cell]["class_name"] == "LSTMCell"
    assert read.set_apart == {object_graph.GRAPH: "object graph"}


def test_configurations_in_the_metadata_of_the_object_graph():
    read = formats.read(DATA / "conformance/tf.keras-1.15/nested/sm")
    assert read.writer == "TensorFlow 1.15.0"
    assert [layer["class_name"] for layer in read.config.model["config"]["layers"]] == ["Sequential", "Dense"]
    assert read.objects.configs["layer_with_weights-0/layer_with_weights-0"]["class_name"] == "LSTM"


def test_shards_of_another_checkpoint_are_told_apart(tmp_path):
    for file in (DATA / "conformance/tf.keras-1.15/nested").glob("tfw.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tfw.data-00000-of-00001").write_bytes(b"of an earlier save")
    read = formats.read(tmp_path / "tfw")
    assert any("not of this checkpoint" in n and "tfw.data-00000-of-00001" in n for n in read.notes)
    assert read.weights[f"layer_with_weights-1/bias{VALUE}"].load().shape == (2,)


def test_names_with_slashes_and_dots():
    assert object_graph.unescaped(f"cell/gates.Skernel{VALUE}") == ("cell", "gates/kernel")
    assert object_graph.unescaped(f"a..b/c..S{VALUE}") == ("a.b", "c.S")


def test_a_circle_of_objects_ends():
    made = checkpoint([{"a": 1}, {"back": 0, "a": 1, "w": 2}, {}], {2: "a/w"})
    read = object_graph.attach(made)
    assert plain(read.groups) == {"a": ("a/w",)}


def test_layers_come_in_their_order_and_once_for_each_model():
    made = checkpoint(
        [
            {"m": 1, "n": 2},
            {"layer-1": 3, "layer_with_weights-0": 3, "layer-0": 4},
            {"layer_with_weights-0": 3, "layer-0": 3},
            {"w": 5},
            {},
            {},
        ],
        {5: "m/layer_with_weights-0/w"},
    )
    read = object_graph.attach(made)
    assert list(read.groups) == ["m/layer-0", "m/layer_with_weights-0", "n/layer_with_weights-0"]
    assert len(read.groups["n/layer_with_weights-0"]) == 1
    assert read.objects.paths[f"m/layer_with_weights-0/w{VALUE}"] == ("m", "layer_with_weights-0", "w")


def test_shared_layers_do_not_multiply():
    """Each model holds the next one twice: 2^30 paths lead to the last."""
    children = [{"layer-0": k + 1, "layer-1": k + 1, "x": k + 1} for k in range(30)] + [{"w": 31}, {}]
    read = object_graph.attach(checkpoint(children, {31: "w"}))
    assert len(read.groups) < 1000


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (checkpoint([{"a": 7}, {}], {1: "a"}), "refers to object 7, of 2"),
        (checkpoint([{"a": k + 1} for k in range(90)] + [{}], {90: "a"}), "nest deeper than 64"),
        (checkpoint([{"a": 1}, {}], {1: "a"}, {0: "{"}), "OBJECT_CONFIG_JSON is no valid JSON"),
        (checkpoint([{"a": 1}, {}], {1: "a"}, {0: "[" * 9000}), "nests too deep"),
    ],
)
def test_damaged_graphs(made, words):
    with pytest.raises(BadInput, match=words) as error:
        object_graph.attach(made)
    assert error.value.path == Path("made")


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (tensor(object_graph.GRAPH, b"\xff\xff\xff"), "does not parse as a protocol buffer"),
        (tensor(object_graph.GRAPH, b""), "holds no objects"),
        (tensor(object_graph.GRAPH), "expected one string"),
    ],
)
def test_what_is_no_graph(graph, words):
    made = checkpoint([{"a": 1}, {}], {1: "a"})
    with pytest.raises(BadInput, match=words):
        object_graph.attach(replace(made, tensors={**made.tensors, object_graph.GRAPH: graph}))


def test_every_flipped_byte_of_a_graph_is_survived():
    made = checkpoint([{"layer-0": 1, "layer_with_weights-0": 1}, {"cell": 2}, {"w": 3}, {}], {3: "x"}, {1: "{}"})
    whole = made.tensors[object_graph.GRAPH].load().item()
    for k in range(len(whole)):
        for bit in range(8):
            data = whole[:k] + bytes([whole[k] ^ 1 << bit]) + whole[k + 1 :]
            tensors = {**made.tensors, object_graph.GRAPH: tensor(object_graph.GRAPH, data)}
            try:
                read = object_graph.attach(replace(made, tensors=tensors))
            except BadInput:
                continue
            assert read.objects is None or set(read.objects.paths) == {f"x{VALUE}"}


def test_keras_metadata(tmp_path):
    config = {"class_name": "LSTM", "config": {"shape": {"class_name": "__tuple__", "items": [None, 3]}}}
    stored = message("SavedMetadata")
    stored.nodes.add(node_id=4, identifier=b"_tf_keras_rnn_layer", metadata=json.dumps(config).encode())
    stored.nodes.add(node_id=5, identifier=b"_tf_keras_layer", metadata=b'{"name": "no configuration"}')
    stored.nodes.add(node_id=6, identifier=b"something else", metadata=b"{")
    file = tmp_path / keras_metadata.FILE
    file.write_bytes(stored.SerializeToString())
    assert keras_metadata.configurations(tmp_path, []) == {4: {"class_name": "LSTM", "config": {"shape": [None, 3]}}}
    stored.nodes.add(node_id=7, identifier=b"_tf_keras_layer", metadata=b"{")
    file.write_bytes(stored.SerializeToString())
    with pytest.raises(BadInput, match="the metadata of object 7 is no valid JSON") as error:
        keras_metadata.configurations(tmp_path, [])
    assert error.value.path == file
    file.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="does not parse"):
        keras_metadata.configurations(tmp_path, [])
