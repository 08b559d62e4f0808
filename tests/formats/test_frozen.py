"""Frozen graphs: what their constants hold, and what is no frozen graph."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.compat.proto import graph_pb2, meta_graph_pb2

from rnnprobe import formats, recover
from rnnprobe.errors import BadInput
from rnnprobe.formats import constants, frozen, protos
from rnnprobe.formats.files import beside

DATA = Path(__file__).parent.parent / "data" / "frozen"
NAMED = sorted(path.name for path in DATA.glob("*.pb*") if "unnamed" not in path.name)
EVERY = sorted(path.name for path in DATA.glob("*.pb*"))


def whole(arrays: Any) -> dict[str, np.ndarray]:
    """The variables by name, parts joined."""
    found: dict[str, list[np.ndarray]] = {}
    for key in arrays.files:
        if key.startswith("var:"):
            found.setdefault(constants.variable(key[4:].replace("|", "/")), []).append(arrays[key])
    return {name: np.concatenate(parts) for name, parts in found.items()}


@pytest.mark.parametrize("name", NAMED)
def test_weights_are_the_variables(name: str) -> None:
    """Each under its own name, whatever freezing and folding made of it, and nothing besides."""
    checkpoint = formats.read(DATA / name)
    expected = whole(np.load(DATA / f"{name.partition('.')[0]}.npz"))
    assert checkpoint.format == frozen.NAME
    assert set(checkpoint.weights) == set(expected)
    for key, array in expected.items():
        tensor = checkpoint.tensors[key]
        assert (tensor.shape, tensor.dtype) == (array.shape, "float32")
        np.testing.assert_array_equal(tensor.load(), array)
        np.testing.assert_array_equal(tensor.load(slice(1, 3)), array[1:3])
        np.testing.assert_array_equal(tensor.load(slice(None, None, -2)), array[::-2])


@pytest.mark.parametrize("name", [name for name in EVERY if "unnamed" in name])
def test_weights_without_names(name: str) -> None:
    """All of them are there under some name."""
    held = [tensor.load() for tensor in formats.read(DATA / name).weights.values()]
    for key, array in whole(np.load(DATA / f"{name.partition('.')[0]}.npz")).items():
        assert any(np.array_equal(array, one) for one in held), key


def parsed(name: str = "lstm_v1.pb") -> Any:
    graph = graph_pb2.GraphDef()
    graph.ParseFromString((DATA / name).read_bytes())
    return graph


def test_text_binary_and_meta_graph_hold_the_same(tmp_path: Path) -> None:
    graph = parsed()
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph)
    meta.meta_info_def.tensorflow_version = "1.4.0"
    meta.meta_info_def.stripped_op_list.op.add().name = "MatMul"
    (tmp_path / "meta.pb").write_bytes(meta.SerializeToString())
    (tmp_path / "meta.pbtxt").write_text(text_format.MessageToString(meta))
    # What a file is called does not say which of the two it is.
    (tmp_path / "text.pb").write_text("# a comment\n" + text_format.MessageToString(graph))
    (tmp_path / "binary.pbtxt").write_bytes(graph.SerializeToString())
    expected = formats.read(DATA / "lstm_v1.pb")
    for name, writer in (
        ("meta.pb", "TensorFlow 1.4.0"),
        ("meta.pbtxt", "TensorFlow 1.4.0"),
        ("text.pb", ""),
        ("binary.pbtxt", ""),
    ):
        found = formats.read(tmp_path / name)
        assert (found.writer, list(found.tensors)) == (writer, list(expected.tensors)), name
        for key, tensor in expected.tensors.items():
            np.testing.assert_array_equal(found.tensors[key].load(), tensor.load())


def constant(name: str, shape: tuple[int, ...], dtype: int = 1, **values: Any) -> Any:
    """A Const node."""
    node = graph_pb2.GraphDef().node.add(name=name, op="Const")
    node.attr["dtype"].type = dtype
    node.attr["value"].tensor.dtype = dtype
    for size in shape:
        node.attr["value"].tensor.tensor_shape.dim.add().size = size
    for field, value in values.items():
        if field == "tensor_content":
            node.attr["value"].tensor.tensor_content = value
        else:
            getattr(node.attr["value"].tensor, field).extend(value)
    return node


def put(path: Path, *nodes: Any) -> Path:
    graph = graph_pb2.GraphDef()
    graph.node.extend(nodes)
    path.write_bytes(graph.SerializeToString())
    return path


def read_of(name: str) -> Any:
    return graph_pb2.GraphDef().node.add(name=f"{name}/read", op="Identity", input=[name])


@pytest.mark.parametrize(
    ("code", "dtype", "values", "expected"),
    [
        (1, "float32", {"float_val": [1, 2, 3, 4, 5, 6]}, [1, 2, 3, 4, 5, 6]),
        (1, "float32", {"float_val": [1, 2]}, [1, 2, 2, 2, 2, 2]),
        (1, "float32", {"float_val": [7]}, [7] * 6),
        (1, "float32", {}, [0] * 6),
        (2, "float64", {"double_val": [0.1, 3]}, [0.1, 3, 3, 3, 3, 3]),
        (2, "float64", {"tensor_content": np.arange(6.0).tobytes()}, [0, 1, 2, 3, 4, 5]),
        (19, "float16", {"half_val": [0x3C00, 0xC000]}, [1, -2, -2, -2, -2, -2]),
        (19, "float16", {"tensor_content": np.arange(6, dtype=np.float16).tobytes()}, [0, 1, 2, 3, 4, 5]),
        (14, "bfloat16", {"half_val": [0x3F80]}, [1] * 6),
        (14, "bfloat16", {"tensor_content": np.arange(6).astype(ml_dtypes.bfloat16).tobytes()}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_how_values_are_stored(tmp_path: Path, code: int, dtype: str, values: Any, expected: list[float]) -> None:
    path = put(tmp_path / "x.pb", constant("w", (3, 2), code, **values), read_of("w"))
    tensor = formats.read(path).tensors["w"]
    wanted = np.array(expected, np.dtype(dtype)).reshape(3, 2)
    assert (tensor.dtype, tensor.load().dtype) == (dtype, wanted.dtype)
    for rows in (slice(None), slice(1, 2), slice(2, 0, -1), slice(3, 3)):
        np.testing.assert_array_equal(tensor.load(rows), wanted[rows])


def test_what_is_no_weight(tmp_path: Path) -> None:
    node = graph_pb2.GraphDef().node.add
    path = put(
        tmp_path / "x.pb",
        constant("w", (3, 2), float_val=[1, 2]),
        constant("bias", (4,)),
        read_of("bias"),
        constant("folded", (4,)),
        node(name="add", op="BiasAdd", input=["x", "folded"]),
        constant("zeros", (2, 4)),
        constant("ones", (2, 4), float_val=[1]),
        constant("initial", (2,), float_val=[1, 2]),
        node(name="v/Assign", op="Assign", input=["v", "initial"]),
        node(name="v", op="VariableV2"),
        constant("scalar", (), float_val=[1]),
        constant("shape", (2,), 3, int_val=[1, 2]),
    )
    checkpoint = formats.read(path)
    assert list(checkpoint.weights) == ["w", "bias", "folded"]
    assert checkpoint.set_apart == {"ones": "constant", "initial": "initial value"}
    assert checkpoint.notes == ("1 variables of the graph have no value in the file",)


def test_parts_are_joined_along_their_axis(tmp_path: Path) -> None:
    """Whichever axis the graph joins them along; parts that nothing joins stay as they are."""
    left, right = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4, dtype=np.float32).reshape(2, 2)
    parts = [
        constant(f"{name}/part_{k}", array.shape, tensor_content=array.tobytes())
        for name in ("w", "alone")
        for k, array in enumerate((left, right))
    ]
    join = graph_pb2.GraphDef().node.add(name="w", op="ConcatV2", input=["w/part_0/read", "w/part_1", "axis"])
    path = put(tmp_path / "x.pb", *parts, read_of("w/part_0"), constant("axis", (), 3, int_val=[1]), join)
    tensors = formats.read(path).tensors
    assert set(tensors) == {"w", "alone/part_0", "alone/part_1"}
    np.testing.assert_array_equal(tensors["w"].load(), np.concatenate([left, right], 1))
    np.testing.assert_array_equal(tensors["w"].load(slice(1, 2)), np.concatenate([left, right], 1)[1:])


# What is damaged, or something else ----------------------------------------------------------------------------------


def saved_model() -> bytes:
    return bytes(
        protos._classes()["SavedModel"](
            schema_version=1, meta_graphs=[meta_graph_pb2.MetaGraphDef(graph_def=parsed()).SerializeToString()]
        ).SerializeToString()
    )


def twice() -> bytes:
    graph = parsed()
    graph.node.add().CopyFrom(graph.node[0])
    return bytes(graph.SerializeToString())


def unfrozen() -> bytes:
    graph = graph_pb2.GraphDef()
    graph.node.add(name="v", op="VariableV2")
    graph.node.add(name="w", op="VarHandleOp")
    return bytes(graph.SerializeToString())


def one(*arguments: Any, **values: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        graph = graph_pb2.GraphDef()
        graph.node.append(constant(*arguments, **values))
        return bytes(graph.SerializeToString())

    return make


HUGE = (1 << 62, 1 << 62)
DAMAGED: list[tuple[str, Callable[[], bytes], str]] = [
    ("x.pb", lambda: b"", "is empty"),
    ("x.pb", lambda: b"\x89PNG\r\n\x1a\n" + bytes(64), "is no TensorFlow graph"),
    ("x.pb", lambda: bytes(300), "does not parse as a protocol buffer"),
    ("x.pb", lambda: b"hello, this is no graph", "its text does not parse"),
    ("x.pbtxt", lambda: b"hello: 1", "its text does not parse"),
    ("x.pbtxt", lambda: b"versions { producer: 1 }", "not one operation"),
    ("x.pbtxt", lambda: b"node { name: 'x' op: 'a b' }", "not one operation"),
    ("x.pbtxt", lambda: b"node { attr { value { func {" + b"attr { value { func {" * 900, "is no TensorFlow graph"),
    ("x.pbtxt", lambda: b"meta_info_def { tags: 'a' }\ngraph_def { nodes {} }", 'no field named "nodes"'),
    ("x.pb", lambda: b"\n\x03\n\x01x" + b"\x1b", "is no field of a protocol buffer"),
    ("x.pbtxt", lambda: b"node { name: '\xff\xfe", "its text does not parse"),
    ("x.pb", saved_model, "is a SavedModel's graph under another name"),
    ("x.pb", twice, "two operations are called"),
    ("x.pb", unfrozen, "the values of its 2 variables are stored elsewhere"),
    ("x.pb", one("x", (), float_val=[1]), "holds a graph without weights"),
    ("x.pb", lambda: (DATA / "lstm_v1.pb").read_bytes()[:-1], "past the end"),
    ("x.pb", lambda: b"\n\xff\xff\xff\xff\x0f" + bytes(9), "past the end"),
    ("x.pb", lambda: b"\n\x00" * 1_000_001, "has over 1000000 operations"),
    ("x.pb", lambda: (lambda inner: b"\x12\x83\x89\x7a" + inner)(b"\n\x00" * 1_000_000 + b"\x12\x01\0"), "has over"),
    ("x.pb", one("w", (3, 2), tensor_content=bytes(23)), "stores 23 bytes where it takes 24"),
    ("x.pb", one("w", (3, 2), float_val=range(7)), "stores 7 values for its shape (3, 2)"),
    ("x.pb", one("w", (1 << 20, 1 << 20), float_val=[1]), "stores 1 values for its shape"),
    ("x.pb", one("w", HUGE, float_val=[1]), "which nothing can hold"),
    ("x.pb", one("w", (0, *HUGE)), "which nothing can hold"),
    ("x.pb", one("w", (1,) * 70, float_val=[1]), "which nothing can hold"),
    ("x.pb", one("w", (3, -1), float_val=[1]), "has no definite shape"),
]


@pytest.mark.parametrize(("name", "make", "said"), DAMAGED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_frozen_graph(tmp_path: Path, name: str, make: Callable[[], bytes], said: str) -> None:
    (tmp_path / name).write_bytes(make())
    with pytest.raises(BadInput) as caught:
        formats.read(tmp_path / name)
    assert said in caught.value.message
    assert caught.value.path == tmp_path / name


def test_a_bad_file_ends_a_command_in_status_2(run: Any, tmp_path: Path) -> None:
    (tmp_path / "x.pb").write_bytes((DATA / "lstm_v1.pb").read_bytes()[:5000])
    done = run("inspect", tmp_path / "x.pb")
    assert (done.status, "damaged" in done.err) == (2, True), done.err


def mutants(count: int) -> list[bytes]:
    """Graphs with bytes changed or cut off, and graphs that parse, with edges, shapes, ops and attributes changed."""
    chance = random.Random(0)
    found = []
    for _ in range(count):
        data = bytearray((DATA / chance.choice(["lstm_v1.pb", "gru_v2.pb"])).read_bytes())
        for _ in range(chance.choice([1, 1, 3])):
            data[chance.randrange(len(data))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        found.append(bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])]))
    for _ in range(count):
        graph = parsed(chance.choice(["lstm_v1.pb", "gru_v2.pb", "two_unnamed.pb", "partitioned.pb"]))
        for _ in range(chance.choice([1, 3, 9])):
            node, other = chance.choice(graph.node), chance.choice(graph.node)
            change = chance.randrange(4)
            if change == 0 and node.input:  # a circle, sooner or later
                port = chance.choice(["", ":1", ":²", ":99999999999", f":{'9' * 5000}"])
                node.input[chance.randrange(len(node.input))] = chance.choice([node.name, other.name]) + port
            elif change == 1:
                node.op = other.op
            elif change == 2 and node.op == "Const":
                size = chance.choice([-1, 0, 1, 1 << 40, (1 << 63) - 1])
                for _ in range(chance.choice([1, 2, 70])):
                    node.attr["value"].tensor.tensor_shape.dim.add().size = size
            elif node.attr:
                del node.attr[chance.choice(list(node.attr))]
        found.append(graph.SerializeToString())
    return found


def test_damage_anywhere_is_bad_input_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "x.pb"
    refused = 0
    for data in mutants(300):
        path.write_bytes(data)
        try:
            checkpoint = formats.read(path)
        except BadInput:
            refused += 1
            continue
        for tensor in checkpoint.tensors.values():
            tensor.load()
        recover.network(checkpoint)
    assert 100 < refused < 500


# Among other files ---------------------------------------------------------------------------------------------------


def test_the_graph_of_a_saved_model_alone(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(saved_model())
    with pytest.raises(BadInput, match=r"variables\.index, are not beside it"):
        formats.read(tmp_path / "saved_model.pb")


def test_in_a_directory(tmp_path: Path) -> None:
    """A graph is a checkpoint where it is the only one; beside a checkpoint it is none."""
    shutil.copy(DATA / "gru_v2.pb", tmp_path / "frozen.pb")
    assert formats.read(tmp_path).path == tmp_path / "frozen.pb"
    for file in (DATA.parent / "conformance" / "tf0.12" / "gru").iterdir():
        if file.name.startswith("model.ckpt."):
            shutil.copy(file, tmp_path)
    shutil.copy(DATA / "gru_v1.pbtxt", tmp_path / "graph.pbtxt")
    assert formats.read(tmp_path).path == tmp_path / "model.ckpt"
    assert [path for _, path in formats.series(tmp_path)] == [tmp_path / "model.ckpt"]
    assert beside(tmp_path / "model.ckpt", ".index").exists()
