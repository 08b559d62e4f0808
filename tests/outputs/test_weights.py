"""Blocks of weights, written and read back."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from rnnprobe.analysis.weights import blocks
from rnnprobe.errors import BadInput, CannotWrite
from rnnprobe.outputs import weights

from ..analysis import models


def written(path):
    """Name → array, and the attributes where there are any."""
    if path.suffix == ".npz":
        with np.load(path) as held:
            return dict(held)
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
def test_written_blocks_read_back(suffix, tmp_path):
    layers = [
        models.layer("basic_lstm", "rnn/cell_0"),
        models.layer("keras_cudnn_gru", "gru"),
        models.layer("basic_rnn", "b"),
    ]
    chosen = blocks(layers)
    path = tmp_path / f"blocks{suffix}"
    weights.check(path, force=False)
    weights.write(path, layers, chosen, force=False)
    held = written(path)
    assert held.keys() == {
        "/".join(filter(None, (name, block.part, block.gate))) for name, found in chosen.items() for block in found
    }
    for name, found in chosen.items():
        for block in found:
            stored = held["/".join(filter(None, (name, block.part, block.gate)))]
            assert stored.dtype == np.float32
            np.testing.assert_array_equal(stored, block.load())


def test_hdf5_says_where_a_block_was_stored(tmp_path):
    layer = models.layer("basic_lstm", "rnn/cell")
    weights.write(tmp_path / "x.h5", [layer], blocks([layer]), force=False)
    with h5py.File(tmp_path / "x.h5") as file:
        attributes = dict(file["rnn/cell/recurrent_kernel/f"].attrs)
    assert attributes["tensor"] == "rnn/cell/kernel"
    assert list(attributes["rows"]) == [3, 7]
    assert list(attributes["columns"]) == [8, 12]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_dtypes_that_numpy_files_lack_become_float32(suffix, tmp_path):
    import ml_dtypes

    layer = models.layer("basic_rnn", "rnn", dtype=ml_dtypes.bfloat16)
    path = tmp_path / f"x{suffix}"
    weights.write(path, [layer], blocks([layer]), force=False)
    held = written(path)["rnn/kernel"]
    assert held.dtype == np.float32
    np.testing.assert_array_equal(held, layer.weights["kernel"].load()[:3].astype("f"))


def test_the_same_weights_make_the_same_file(tmp_path):
    layer = models.layer("basic_rnn", "rnn")
    for name in ("a.npz", "b.npz"):
        weights.write(tmp_path / name, [layer], blocks([layer]), force=False)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_exists_is_kept_unless_forced(tmp_path):
    layer = models.layer("basic_rnn", "rnn")
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")
    with pytest.raises(BadInput, match="exists"):
        weights.check(path, force=False)
    with pytest.raises(BadInput):
        weights.write(path, [layer], blocks([layer]), force=False)
    assert path.read_bytes() == b"before"
    weights.check(path, force=True)
    weights.write(path, [layer], blocks([layer]), force=True)
    assert written(path).keys() == {"rnn/kernel", "rnn/recurrent_kernel", "rnn/bias"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


def test_an_unknown_suffix_is_refused_before_any_work(tmp_path):
    with pytest.raises(BadInput) as caught:
        weights.check(tmp_path / "x.mat", force=False)
    assert ".npz" in caught.value.hint


def test_a_place_that_is_no_place(tmp_path):
    with pytest.raises(CannotWrite):
        weights.check(tmp_path / "absent" / "x.npz", force=False)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_failure_leaves_the_file_as_it_was(suffix, tmp_path):
    def damaged(rows):
        raise BadInput("the checksum does not fit")

    layer = models.layer("basic_rnn", "rnn")
    object.__setattr__(layer.weights["bias"], "read", damaged)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(BadInput, match="checksum"):
        weights.write(path, [layer], blocks([layer]), force=True)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["../../escape", "/absolute", "a//b", "a/./b", "nul\0", "esc\x1b]8;;x", "a" * 3000])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_hostile_layer_names_lead_nowhere(name, suffix, tmp_path):
    layer = models.layer("basic_rnn", name)
    path = tmp_path / f"x{suffix}"
    weights.write(path, [layer], blocks([layer]), force=False)
    for key in written(path):
        assert not key.startswith("/")
        assert not {"", ".", ".."} & set(key.split("/"))
        assert key.isprintable()
    assert len(list(tmp_path.iterdir())) == 1
