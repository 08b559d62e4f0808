"""V2 bundles: every value, every truncation, every flipped bit, and indexes that lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from rnnprobe import formats
from rnnprobe.errors import BadInput
from rnnprobe.formats import bundle, files
from rnnprobe.formats.ordered import signed, slice_key, string, unsigned
from rnnprobe.types import Checkpoint, Tensor
from tests.conftest import DATA
from tests.formats.forge import bundle as forged
from tests.formats.forge import entry, message, part

HERE = DATA / "formats"
CASES = (
    "tf0.12-drv_partitioned",
    "tf1.0-drv_ema",
    "tf1.4-drv_adam",
    "tf1.8-drv_rms",
    "tf1.15-drv_partitioned",
    "tf2.21-v2-control-flow-lstm",
)
FLOATS = np.arange(6, dtype="<f4").reshape(3, 2)
SHARD = "00000-of-00001"


def copy(name: str, folder: Path) -> Path:
    """A checkpoint's folder, to be damaged."""
    return Path(shutil.copytree(HERE / name, folder / name))


def load_all(checkpoint: Checkpoint) -> None:
    """Every value that can be loaded."""
    for tensor in checkpoint.tensors.values():
        if not tensor.problem:
            tensor.load()


def failure(tensor: Tensor) -> BadInput | None:
    """Why a tensor can't be loaded, or None."""
    try:
        tensor.load()
    except BadInput as error:
        return error
    return None


def expected(name: str) -> dict[str, np.ndarray]:
    """What the genuine framework says was saved; its graph variables `x/part_0` … are `x` in the file."""
    with np.load(HERE / name / "data.npz") as stored:
        arrays = {key[4:].replace("|", "/"): stored[key] for key in stored.files if key.startswith("var:")}
    parts: dict[str, list[np.ndarray]] = {}
    for key in sorted(arrays):
        base, found, _ = key.partition("/part_")
        if found:
            parts.setdefault(base, []).append(arrays.pop(key))
    return arrays | {base: np.concatenate(pieces) for base, pieces in parts.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_value_is_the_frameworks_own(name: str) -> None:
    checkpoint = formats.read(HERE / name / "model.ckpt")
    arrays = expected(name)
    assert set(arrays) == set(checkpoint.tensors)
    for key, array in arrays.items():
        tensor = checkpoint.tensors[key]
        loaded = tensor.load()
        assert (tensor.shape, tensor.dtype) == (array.shape, array.dtype.name)
        np.testing.assert_array_equal(loaded, array)
        if array.ndim:
            for rows in (slice(1, 3), slice(-2, None), slice(0, 0), slice(None, None, -2), slice(1, 99, 2)):
                np.testing.assert_array_equal(tensor.load(rows), array[rows])


def test_partitions_are_joined() -> None:
    tensors = formats.read(HERE / "tf0.12-drv_partitioned").tensors
    assert not [name for name in tensors if "part_" in name]
    assert any(len(tensor.shape) == 2 for tensor in tensors.values())


def test_several_shards() -> None:
    checkpoint = formats.read(HERE / "shards")
    with np.load(HERE / "shards" / "values.npz") as stored:
        assert {key.replace("|", "/") for key in stored.files} == set(checkpoint.tensors)
        for key in stored.files:
            tensor = checkpoint.tensors[key.replace("|", "/")]
            np.testing.assert_array_equal(tensor.load(), stored[key])
            if tensor.shape:
                np.testing.assert_array_equal(tensor.load(slice(50, 250, 7)), stored[key][50:250:7])
    assert checkpoint.set_apart == {"global_step": "counter"}


def test_every_dtype_is_read_or_named() -> None:
    tensors = formats.read(HERE / "every-dtype" / "all").tensors
    with np.load(HERE / "every-dtype" / "values.npz") as stored:
        for key in stored.files:
            tensor = tensors[key.replace("|", "/")]
            wanted = np.dtype(getattr(ml_dtypes, tensor.dtype, tensor.dtype))
            loaded = tensor.load()
            assert loaded.dtype == wanted
            assert loaded.tobytes() == stored[key].tobytes()
            assert tensor.nbytes == stored[key].nbytes
    assert tensors["t/string"].load().tolist() == [[b"", b"one"], [b"two" * 50, b"\0\xff"]]
    assert tensors["t/string"].load(slice(1, 2)).tolist() == [[b"two" * 50, b"\0\xff"]]
    assert (tensors["t/qint8"].dtype, tensors["t/qint8"].shape) == ("qint8", (2,))
    assert "qint8" in tensors["t/qint8"].problem
    with pytest.raises(BadInput, match="qint8"):
        tensors["t/qint8"].load()


def test_object_checkpoint_lists_strings_too() -> None:
    checkpoint = formats.read(HERE / "tf_keras-2.21-lstm")
    record = checkpoint.tensors["_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert (record.dtype, record.shape) == ("string", ())
    assert b"kernel" in record.load().item()
    with np.load(HERE / "tf_keras-2.21-lstm" / "data.npz") as stored:
        loaded = [tensor.load() for tensor in checkpoint.weights.values() if tensor.dtype == "float32"]
        for key in (key for key in stored.files if key.startswith("w")):
            assert any(np.array_equal(stored[key], array) for array in loaded), key


def test_crc_is_checked_over_the_whole_then_a_slice_reads_its_own_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.arange(4000, dtype="<f4").reshape(1000, 4)
    prefix = forged(tmp_path, {b"w": entry(data.tobytes(), data.shape)}, {SHARD: data.tobytes()})
    tensor = formats.read(prefix).tensors["w"]
    reads: list[int] = []
    chunks = files.chunks
    monkeypatch.setattr(files, "chunks", lambda path, offset, size: (reads.append(size), chunks(path, offset, size))[1])
    for rows in (slice(1, 3), slice(5, 6)):
        np.testing.assert_array_equal(tensor.load(rows), data[rows])
    assert reads == [16000, 16]
    changed = data.copy()
    changed[999, 3] += 1
    (tmp_path / f"m.data-{SHARD}").write_bytes(changed.tobytes())
    with pytest.raises(BadInput, match="CRC32C"):
        tensor.load(slice(0, 1))


@pytest.mark.parametrize("name", ["shards", "tf1.15-drv_partitioned", "tf_keras-2.21-lstm"])
def test_every_byte_of_the_index_counts(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    (index,) = folder.glob("*.index")
    whole = index.read_bytes()
    footer = len(whole) - 48
    padding = range(len(whole[: len(whole) - 8].rstrip(b"\0")), len(whole) - 8)
    assert len(padding) > 20
    assert padding[0] > footer
    for k in set(range(len(whole))) - set(padding):
        index.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
        with pytest.raises(BadInput) as raised:
            load_all(bundle.read(folder / index.stem))
        assert str(folder) in str(raised.value)


@pytest.mark.parametrize("name", ["shards", "tf1.15-drv_partitioned", "tf_keras-2.21-lstm"])
def test_an_index_cut_anywhere(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    (index,) = folder.glob("*.index")
    whole = index.read_bytes()
    for size in range(len(whole)):
        index.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"table|block"):
            bundle.read(folder / index.stem)


@pytest.mark.parametrize("name", ["shards", "tf1.15-drv_partitioned", "tf_keras-2.21-lstm"])
def test_every_flipped_byte_of_the_data_is_found(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    (index,) = folder.glob("*.index")
    for shard in sorted(folder.glob("*.data-*")):
        whole = shard.read_bytes()
        for k in range(0, len(whole), 1 + len(whole) // 300):
            shard.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
            tensors, _ = bundle.contents(folder / index.stem)
            failed = {key: error for key, tensor in tensors.items() if (error := failure(tensor))}
            assert len(failed) == 1, k
            for key, error in failed.items():
                assert f"tensor {key} is damaged" in str(error)
                assert error.path == shard
        shard.write_bytes(whole)


@pytest.mark.parametrize("name", ["shards", "tf1.15-drv_partitioned", "tf_keras-2.21-lstm"])
def test_data_cut_anywhere(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    (index,) = folder.glob("*.index")
    for shard in sorted(folder.glob("*.data-*")):
        whole = shard.read_bytes()
        for size in {*range(0, len(whole), 1 + len(whole) // 200), *range(max(0, len(whole) - 9), len(whole))}:
            shard.write_bytes(whole[:size])
            with pytest.raises(BadInput, match=rf"{shard.name}.*truncated"):
                bundle.read(folder / index.stem)
        shard.write_bytes(whole)


def test_missing_data_is_said_and_shapes_are_kept(tmp_path: Path) -> None:
    folder = copy("shards", tmp_path)
    gone = folder / "model.ckpt-12.data-00002-of-00003"
    gone.unlink()
    checkpoint = formats.read(folder)
    problems = {name: tensor.problem for name, tensor in checkpoint.tensors.items() if tensor.problem}
    assert problems
    assert len(problems) < len(checkpoint.tensors)
    assert any(gone.name in note for note in checkpoint.notes)
    for name, problem in problems.items():
        assert gone.name in problem
        with pytest.raises(BadInput, match=gone.name):
            checkpoint.tensors[name].load()
    load_all(checkpoint)


def test_swapped_and_surplus_shards(tmp_path: Path) -> None:
    folder = copy("shards", tmp_path)
    shards = sorted(folder.glob("*.data-*"))
    contents = [shard.read_bytes() for shard in shards]
    (folder / "model.ckpt-12.data-00000-of-00001").write_bytes(b"old")
    checkpoint = formats.read(folder)
    load_all(checkpoint)
    assert any("data-00000-of-00001" in note for note in checkpoint.notes)
    for shard, content in zip(shards, contents[1:] + contents[:1], strict=True):
        shard.write_bytes(content)
    with pytest.raises(BadInput):
        load_all(formats.read(folder))


DATA_BYTES = FLOATS.tobytes()
BIG = 2**63 - 1
LIES = {
    "shard beyond": {"shard_id": 1},
    "shard negative": {"shard_id": -1},
    "offset negative": {"offset": -1},
    "offset beyond": {"offset": 1},
    "offset overflowing": {"offset": BIG},
    "size negative": {"size": -24},
    "size short": {"size": 20},
    "size overflowing": {"size": BIG},
    "no dtype": {"dtype": 0},
    "other dtype": {"dtype": 2},
    "too few bytes for strings": {"dtype": 7, "size": 9},
    "dimension negative": {"shape": message("Shape", dim=[message("Dim", size=-3), message("Dim", size=-2)])},
    "rank unknown": {"shape": message("Shape", unknown_rank=True)},
    "shape overflowing": {"shape": message("Shape", dim=[message("Dim", size=BIG)] * 3)},
    "empty and huge": {"size": 0, "shape": message("Shape", dim=[message("Dim", size=n) for n in (0, BIG, BIG)])},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_entries_that_lie(lie: dict[str, object], tmp_path: Path) -> None:
    honest = forged(tmp_path, {b"w": entry(DATA_BYTES, (3, 2))}, {SHARD: DATA_BYTES})
    np.testing.assert_array_equal(bundle.read(honest).tensors["w"].load(), FLOATS)
    prefix = forged(tmp_path, {b"w": entry(DATA_BYTES, (3, 2), **lie)}, {SHARD: DATA_BYTES})
    with pytest.raises(BadInput, match="tensor w"):
        bundle.read(prefix)


@pytest.mark.parametrize(
    "header",
    [
        {"num_shards": 0},
        {"num_shards": -1},
        {"num_shards": 2**31 - 1},
        {"num_shards": 1, "version": {"min_consumer": 2}},
    ],
    ids=str,
)
def test_headers_that_lie(header: dict[str, object], tmp_path: Path) -> None:
    told = message("BundleHeader", **header)
    prefix = forged(tmp_path, {b"w": entry(DATA_BYTES, (3, 2))}, {SHARD: DATA_BYTES}, told)
    with pytest.raises(BadInput):
        bundle.read(prefix)


def test_what_can_be_listed_and_not_loaded(tmp_path: Path) -> None:
    many = message("Shape", dim=[message("Dim", size=1)] * 40)
    entries = {b"axes": entry(b"abcd", (), shape=many), b"new": entry(b"efgh", (2,), 99, offset=4)}
    tensors = bundle.read(forged(tmp_path, entries, {SHARD: b"abcdefgh"})).tensors
    assert len(tensors["axes"].shape) == 40
    assert tensors["new"].dtype == "dtype 99"
    for tensor in tensors.values():
        assert tensor.problem
        with pytest.raises(BadInput, match="can't be loaded"):
            tensor.load()
    header = message("BundleHeader", num_shards=1, endianness=1)
    prefix = forged(tmp_path, {b"w": entry(DATA_BYTES, (3, 2))}, {SHARD: DATA_BYTES}, header)
    assert "big-endian" in bundle.read(prefix).tensors["w"].problem


def test_overlapping_tensors(tmp_path: Path) -> None:
    entries = {b"a": entry(DATA_BYTES, (3, 2)), b"b": entry(DATA_BYTES[20:], (1,), offset=20)}
    with pytest.raises(BadInput, match="a and b overlap"):
        bundle.read(forged(tmp_path, entries, {SHARD: DATA_BYTES}))


def sliced(folder: Path, *parts: tuple[tuple[int, int] | None, tuple[int, int] | None], full: tuple[int, int]) -> Path:
    """A bundle with one tensor `w` in the given slices, each filled with its number."""
    entries, data = {}, b""
    for number, pair in enumerate(parts):
        rows, columns = (whole[1] if whole else size for whole, size in zip(pair, full, strict=True))
        stored = np.full((rows, columns), number, "<f4").tobytes()
        entries[slice_key(b"w", part(*pair))] = entry(stored, (rows, columns), offset=len(data))
        data += stored
    entries[b"w"] = entry(b"", full, slices=[part(*pair) for pair in parts], crc32c=0)
    return forged(folder, entries, {SHARD: data})


def test_slices_along_both_axes(tmp_path: Path) -> None:
    prefix = sliced(tmp_path, ((2, 1), None), ((0, 2), (1, 3)), ((0, 2), (0, 1)), full=(3, 4))
    wanted = np.array([[2, 1, 1, 1], [2, 1, 1, 1], [0, 0, 0, 0]], np.float32)
    tensor = bundle.read(prefix).tensors["w"]
    np.testing.assert_array_equal(tensor.load(), wanted)
    np.testing.assert_array_equal(tensor.load(slice(1, 3)), wanted[1:])


@pytest.mark.parametrize(
    "parts",
    [
        [((0, 2), None)],
        [((0, 2), None), ((1, 2), None)],
        [((0, 2), (0, 2)), ((1, 2), (1, 2)), ((0, 1), (2, 2)), ((2, 1), (0, 1)), ((2, 1), (3, 1))],
        [((2, 2), None), ((0, 1), None)],
        [((-1, 3), None)],
    ],
    ids=["hole", "overlap", "overlap in a grid", "outside", "negative"],
)
def test_slices_that_make_no_whole(parts: list, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="slice"):
        bundle.read(sliced(tmp_path, *parts, full=(3, 4)))


def test_slices_without_a_tensor_and_the_reverse(tmp_path: Path) -> None:
    key = slice_key(b"w", part((0, 3), None))
    with pytest.raises(BadInput, match="belong to no tensor"):
        bundle.read(forged(tmp_path, {key: entry(DATA_BYTES, (3, 2))}, {SHARD: DATA_BYTES}))
    lone = entry(b"", (3, 2), slices=[part((0, 3), None)])
    with pytest.raises(BadInput, match="no entry for its slice"):
        bundle.read(forged(tmp_path, {b"w": lone}, {SHARD: b""}))


def test_ordered_codes() -> None:
    """The examples of ordered_code_test.cc, and that the codes sort as what they stand for."""
    assert string(b"a\0b\xffc") == b"a\0\xffb\xff\0c\0\1"
    assert unsigned(0) == b"\0"
    assert unsigned(256) == b"\2\1\0"
    assert [signed(n) for n in (0, 1, 63, 64, -1, -64, -65)] == [
        b"\x80", b"\x81", b"\xbf", b"\xc0\x40", b"\x7f", b"\x40", b"\x3f\xbf",
    ]  # fmt: skip
    numbers = sorted({sign * (2**k + d) for k in range(63) for d in (-1, 0, 1) for sign in (1, -1)} - {2**63})
    codes = [signed(n) for n in numbers]
    assert codes == sorted(codes)
    assert len(set(codes)) == len(numbers)
    assert signed(-(2**63)) == b"\0\x3f\x80" + b"\0" * 7


def test_names_from_a_file_stay_apart(tmp_path: Path) -> None:
    entries = {b"a\xff": entry(DATA_BYTES, (3, 2)), b"a\\xff": entry(DATA_BYTES, (3, 2), offset=24)}
    with pytest.raises(BadInput, match="two tensors"):
        bundle.read(forged(tmp_path, entries, {SHARD: DATA_BYTES * 2}))
