"""V1 checkpoints: every value, whole, partitioned and sharded; every truncation and flipped bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnprobe import formats
from rnnprobe.errors import BadInput
from rnnprobe.formats import v1
from rnnprobe.formats.ordered import slice_key
from tests.conftest import DATA
from tests.formats import forge
from tests.formats.forge import message, part

HERE = DATA / "formats"


@pytest.mark.parametrize("name", ["v1", "v1-shards"])
def test_every_value_is_what_was_saved(name: str) -> None:
    checkpoint = formats.read(HERE / name)
    assert checkpoint.format == "TensorFlow V1 checkpoint"
    with np.load(HERE / name / "values.npz") as stored:
        assert {key.replace("|", "/") for key in stored.files} == set(checkpoint.tensors)
        for key in stored.files:
            tensor = checkpoint.tensors[key.replace("|", "/")]
            loaded = tensor.load()
            assert loaded.dtype == stored[key].dtype
            np.testing.assert_array_equal(loaded, stored[key])
            if tensor.shape:
                np.testing.assert_array_equal(tensor.load(slice(50, 250, 7)), stored[key][50:250:7])
                np.testing.assert_array_equal(tensor.load(slice(0, 0)), stored[key][:0])
    assert checkpoint.set_apart == {"global_step": "counter"}
    assert bool(checkpoint.graph) == (name == "v1")


def test_any_file_of_it_and_the_sharded_name() -> None:
    whole, sharded = HERE / "v1" / "model.ckpt-12", HERE / "v1-shards" / "model.ckpt-12"
    for path in (whole, whole.with_name("model.ckpt-12.meta")):
        assert formats.read(path).path == whole
    for path in (sharded, sharded.with_name("model.ckpt-12-00001-of-00003"), sharded.with_name("checkpoint")):
        assert formats.read(path).path == sharded


def test_cut_anywhere(tmp_path: Path) -> None:
    whole = (HERE / "v1" / "model.ckpt-12").read_bytes()
    path = tmp_path / "model"
    for size in {*range(0, len(whole), 61), *range(len(whole) - 100, len(whole))}:
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput):
            v1.read(path)


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    whole = (HERE / "v1-shards" / "model.ckpt-12-00001-of-00003").read_bytes()
    path = tmp_path / "model"
    used = len(whole[:-8].rstrip(b"\0"))
    for k in {*range(used), *range(len(whole) - 8, len(whole))}:
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
        with pytest.raises(BadInput):
            read_all(path)


def read_all(path: Path) -> None:
    for tensor in v1.read(path).tensors.values():
        tensor.load()


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(HERE / "v1-shards", tmp_path / "v1"))
    (folder / "model.ckpt-12-00001-of-00003").unlink()
    with pytest.raises(BadInput, match="not complete"):
        formats.read(folder)


def told(shape: tuple[int, ...], parts: list[Any], values: list[Any], code: int = 1) -> bytes:
    """A table with one tensor `w`: what is said of it, and what is stored."""
    sizes = message("Shape", dim=[message("Dim", size=size) for size in shape])
    meta = message("SavedSliceMeta", name=b"w", shape=sizes, type=code, slice=parts)
    items = [(b"", message("SavedTensorSlices", meta=message("SavedTensorSliceMeta", tensor=[meta])))]
    items += [
        (slice_key(b"w", piece), message("SavedTensorSlices", data=message("SavedSlice", name=b"w", data=data)))
        for piece, data in zip(parts, values, strict=False)
    ]
    return forge.table([[(key, value.SerializeToString()) for key, value in sorted(items, key=lambda item: item[0])]])


def floats(*numbers: float) -> Any:
    return message("TensorData", float_val=np.array(numbers, "<f4").tobytes())


def ints(*numbers: int) -> Any:
    return message("TensorData", int_val=numbers)


def test_what_a_v1_file_may_say(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(told((3,), [part(None)], [floats(1, 2, 3)]))
    np.testing.assert_array_equal(v1.read(path).tensors["w"].load(), [1, 2, 3])
    path.write_bytes(told((3,), [part((1, 2)), part((0, 1))], [floats(2, 3), floats(1)]))
    np.testing.assert_array_equal(v1.read(path).tensors["w"].load(), [1, 2, 3])
    path.write_bytes(told((2,), [part(None)], [message("TensorData", string_val=[b"a", b"b"])], 7))
    assert v1.read(path).tensors["w"].load().tolist() == [b"a", b"b"]
    path.write_bytes(told((2,), [part(None)], [message("TensorData")], 11))
    assert "qint8" in v1.read(path).tensors["w"].problem


@pytest.mark.parametrize(
    ("shape", "parts", "values", "code"),
    [
        ((3,), [part(None)], [floats(1, 2)], 1),
        ((3,), [part(None)], [floats(1, 2, 3, 4)], 1),
        ((3,), [part(None)], [], 1),
        ((3,), [part((0, 2))], [floats(1, 2)], 1),
        ((3,), [part((0, 2)), part((1, 1))], [floats(1, 2), floats(3)], 1),
        ((3,), [part((0, 4))], [floats(1, 2, 3, 4)], 1),
        ((3,), [part(None, None)], [floats(1, 2, 3)], 1),
        ((3,), [part(None)], [ints(1, 2, 300)], 4),
        ((2**40,), [part(None)], [floats(1)], 1),
        ((2**62, 2**62), [part(None, None)], [floats(1)], 1),
        ((0, 2**62, 2**62), [part(None, None, None)], [floats()], 1),
        ((-3,), [part(None)], [floats(1, 2, 3)], 1),
    ],
)
def test_v1_files_that_lie(
    shape: tuple[int, ...], parts: list[Any], values: list[Any], code: int, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(told(shape, parts, values, code))
    with pytest.raises(BadInput, match="w"):
        read_all(path)


def test_the_index_of_a_bundle_under_another_name(tmp_path: Path) -> None:
    shutil.copy(HERE / "shards" / "model.ckpt-12.index", tmp_path / "model")
    with pytest.raises(BadInput, match="no V1 checkpoint"):
        formats.read(tmp_path / "model")


def test_published_checkpoints(corpus: Path) -> None:
    tuner = formats.read(corpus / "rl-tuner/magenta/models/rl_tuner/testdata/model.ckpt-1994")
    assert tuner.tensors["rnn_model/RNN/MultiRNNCell/Cell0/LSTMCell/W_0"].load().shape == (138, 400)
    assert len(tuner.weights) == 4
    g2p = formats.read(corpus / "g2p-v1/tests/models/decode")
    read_all(g2p.path)
    assert len(g2p.tensors) == 22
