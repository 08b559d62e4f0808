"""Keras files: what is read from them, and what hostile and damaged ones meet."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnprobe.errors import BadInput, Refused, RnnprobeError
from rnnprobe.formats.keras_hdf5 import KERAS_HDF5
from rnnprobe.formats.keras_json import DEPTH, KERAS_JSON, parse, with_config
from rnnprobe.formats.keras_names import counted
from rnnprobe.formats.keras_zip import KERAS_ZIP
from rnnprobe.types import Checkpoint

DATA = Path(__file__).parent.parent / "data" / "keras"
MODEL = DATA / "keras1.2.2" / "lstm" / "model.h5"
ZIP = DATA / "keras3.15" / "gru_ra" / "m.keras"
FORMATS = (KERAS_ZIP, KERAS_HDF5, KERAS_JSON)


def read(path: Path) -> Checkpoint:
    return next(format for format in FORMATS if format.matches(path)).read(path)


def weights_only(path: Path, layers: dict[str, dict[str, np.ndarray[Any, Any]]], version: str = "2.2.4") -> Path:
    """A weights file as Keras 2 writes it."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        file.attrs["keras_version"] = version.encode()
        for name, tensors in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/{leaf}:0".encode() for leaf in tensors], dtype="S")
            for leaf, values in tensors.items():
                group[f"{name}/{leaf}:0"] = values
    return path


def lstm(inputs: int = 3, units: int = 4) -> dict[str, np.ndarray[Any, Any]]:
    made = np.random.default_rng(0)
    shapes = {"kernel": (inputs, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
    return {leaf: made.normal(size=shape).astype("f") for leaf, shape in shapes.items()}


def test_reads_names_in_the_order_of_the_writer() -> None:
    checkpoint = read(MODEL)
    names = [name.rpartition("_")[0][-1] + name[-3] for name in checkpoint.groups["lstm_1"]]
    assert names == ["Wi", "Ui", "bi", "Wc", "Uc", "bc", "Wf", "Uf", "bf", "Wo", "Uo", "bo"]
    assert checkpoint.writer == "Keras 1.2.2"
    assert checkpoint.config is not None
    assert checkpoint.config.version == "1.2.2"


@pytest.mark.parametrize("path", [MODEL, ZIP], ids=["h5", "keras"])
def test_slices_hold_what_libhdf5_reads(path: Path) -> None:
    checkpoint = read(path)
    data = members()["model.weights.h5"] if path == ZIP else path.read_bytes()
    with h5py.File(io.BytesIO(data), "r") as file:
        for name, tensor in checkpoint.tensors.items():
            np.testing.assert_array_equal(tensor.load(), file[name][()])
            np.testing.assert_array_equal(tensor.load(slice(1, 3)), file[name][1:3])
            assert tensor.dtype == "float32"


def test_layers_are_called_by_the_names_that_keras_3_stores() -> None:
    checkpoint = read(DATA / "tf_keras-2.21" / "bilstm" / "model.weights.h5")
    assert list(checkpoint.groups) == [f"layers/bidirectional/{half}_layer/cell" for half in ("backward", "forward")]
    checkpoint = read(DATA / "keras3.15" / "concat" / "m.keras")
    assert checkpoint.groups["layers/one/cell"] == tuple(f"layers/lstm/cell/vars/{k}" for k in range(3))


def test_optimizers_and_random_states_are_set_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        for name in ("layers/lstm/cell/vars/0", "optimizer/vars/0", "layers/lstm/cell/seed_generator/vars/0"):
            file[name] = np.zeros((3, 4), "f")
    checkpoint = read(path)
    assert list(checkpoint.weights) == ["layers/lstm/cell/vars/0"]
    assert set(checkpoint.set_apart.values()) == {"optimizer state", "state of a random generator"}


def test_every_kind_of_storage_and_dtype(tmp_path: Path) -> None:
    path, values = tmp_path / "x.h5", np.arange(24.0).reshape(6, 4)
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("chunked", data=values, chunks=(2, 2), compression="gzip")
        file.create_dataset("big", data=values, dtype=">f8")
        file.create_dataset("half", data=values, dtype="f2")
        file.create_dataset("text", data=np.array(["a", "b"], dtype=h5py.string_dtype()))
        file["bfloat"] = np.array([0x3F80, 0x4000], "u2").view("V2")
        file["bfloat"].attrs["dtype"] = "bfloat16"
        file["scalar"], file["none"] = np.float32(2.5), h5py.Empty("f")
    tensors = KERAS_HDF5.read(_without_userblock(path)).tensors
    for name in ("chunked", "big", "half"):
        np.testing.assert_array_equal(tensors[name].load(), values)
        np.testing.assert_array_equal(tensors[name].load(slice(2, 5)), values[2:5])
    assert tensors["bfloat"].dtype == "bfloat16"
    assert tensors["bfloat"].load().astype("f").tolist() == [1.0, 2.0]
    assert tensors["scalar"].load() == np.float32(2.5)
    for name in ("text", "none"):
        assert tensors[name].problem
        with pytest.raises(BadInput, match=name):
            tensors[name].load()


def _without_userblock(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[512:])
    return path


def test_a_list_of_names_too_long_for_one_attribute(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "x.h5", {"a": lstm(), "b": lstm(4)})
    with h5py.File(path, "r+") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a"], [b"b"]
    assert list(read(path).groups) == ["a", "b"]


def external_link(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    file["a/a/bias:0"] = h5py.ExternalLink(str(canary), "/canary")


def external_link_on_the_way(file: h5py.File, canary: Path) -> None:
    del file["a"]
    file["a"] = h5py.ExternalLink(str(canary), "/")


def soft_link(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    file["a/a/bias:0"] = h5py.SoftLink(f"/{canary}")


def external_storage(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    file.create_dataset("a/a/bias:0", (16,), "f", external=[(str(canary), 0, 64)])


def virtual_dataset(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    layout = h5py.VirtualLayout((16,), "f")
    layout[:] = h5py.VirtualSource(str(canary), "canary", (16,))
    file.create_virtual_dataset("a/a/bias:0", layout)


def unlimited_virtual_dataset(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    layout = h5py.VirtualLayout((16, 2), "f", maxshape=(None, 2))
    source = h5py.VirtualSource(str(canary), "canary", (16, 2), maxshape=(None, 2))
    layout[: h5py.h5s.UNLIMITED, :] = source[: h5py.h5s.UNLIMITED, :]
    file.create_virtual_dataset("a/a/bias:0", layout)


def unknown_filter(file: h5py.File, canary: Path) -> None:
    del file["a/a/bias:0"]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((16,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((16,))
    h5py.h5d.create(file["a/a"].id, b"bias:0", h5py.h5t.NATIVE_FLOAT, space, plan)


LEADS_OUT = [
    external_link,
    external_link_on_the_way,
    soft_link,
    external_storage,
    virtual_dataset,
    unlimited_virtual_dataset,
    unknown_filter,
]


@pytest.mark.parametrize("lead", LEADS_OUT)
def test_what_leads_out_of_the_file_is_refused(lead: Callable[[h5py.File, Path], None], tmp_path: Path) -> None:
    canary = tmp_path / "canary.h5"
    path = weights_only(tmp_path / "x.h5", {"a": lstm()})
    with h5py.File(path, "r+") as file:
        lead(file, canary)
    # Whoever opened a pipe without a writer would wait, and be ended for it with another error.
    os.mkfifo(canary)
    with pytest.raises(Refused) as caught:
        KERAS_HDF5.read(path)
    assert caught.value.status == 3
    assert caught.value.message.split()[0] in ("a", "a/a/bias:0")


def test_groups_that_contain_each_other(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "x.h5", {"a": lstm()})
    with h5py.File(path, "r+") as file:
        file["a/again"] = file["/"]
    with pytest.raises(BadInput, match="contain each other"):
        read(path)
    with h5py.File(path, "w") as file:  # 2 ** 40 paths through 40 groups
        for k in range(40):
            file.create_group(f"g{k}")
        for k in range(39):
            file[f"g{k}/l"] = file[f"g{k}/r"] = file[f"g{k + 1}"]
    with pytest.raises(BadInput, match="objects"):
        read(path)


def test_datasets_larger_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1 << 40,), "f", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(BadInput, match="declares 4398046511104 bytes"):
        read(path)


def rezip(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(ZIP) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_compressed_zip_reads_the_same(tmp_path: Path) -> None:
    path = rezip(tmp_path / "x.keras", list(members().items()), zipfile.ZIP_DEFLATED)
    again, first = read(path), read(ZIP)
    assert again.groups == first.groups
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(again.tensors[name].load(slice(1, 2)), tensor.load(slice(1, 2)))


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = rezip(tmp_path / "x.keras", [*members().items(), ("config.json", b"{}")])
    with pytest.raises(BadInput, match=r"two members called 'config\.json'"):
        read(path)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:x", "a\\..\\..\\x"])
def test_members_that_lead_out_of_the_zip(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="leads out"):
        read(rezip(tmp_path / "x.keras", [*members().items(), (name, b"")]))


def test_a_member_larger_than_it_can_be(tmp_path: Path) -> None:
    path = rezip(tmp_path / "x.keras", list(members().items()))
    data = path.read_bytes()
    size = len(members()["model.weights.h5"]).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (1 << 31).to_bytes(4, "little")))
    with pytest.raises(BadInput, match="declares 2147483648 bytes"):
        read(path)


def test_a_flipped_bit_in_a_zip_is_found(tmp_path: Path) -> None:
    data = bytearray(ZIP.read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "x.keras"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged"):
        read(path)


def test_a_zip_that_is_no_keras_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no config\.json \(it holds x\)"):
        read(rezip(tmp_path / "x.keras", [("x", b"")]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("[" * 100_000, "nests too deep"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "nests deeper"),
        ("{", "no valid JSON"),
        ("9" * 5000, "no valid JSON"),
    ],
)
def test_json_is_bounded(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse(text, Path("x"), "the file")


def test_json_of_allowed_depth_and_numbers() -> None:
    assert parse("[" * DEPTH + "]" * DEPTH, Path("x"), "it") != []
    assert np.isnan(parse('{"mask_value": NaN}', Path("x"), "it")["mask_value"])


def config_of(case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / case / "case.json").read_text())["config"]
    return found


def test_a_configuration_beside_the_weights_is_found(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = weights_only(tmp_path / "checkpoints" / "best.hdf5", {"lstm_1": lstm(), "lstm_2": lstm(4, 5)})
    (tmp_path / "config.json").write_text('{"learning_rate": 1}')
    assert read(path).config is None
    (tmp_path / "model_arch.json").write_text(json.dumps(config_of("keras2.2.4/lstm_back")))
    assert read(path).config is None, "a configuration of other layers must not be taken"
    config = config_of("keras2.2.4/lstm_back")
    layer = config["config"]["layers"][0]
    second = json.loads(json.dumps(layer))
    second["config"] |= {"name": "lstm_2", "units": 5}
    config["config"]["layers"] = [layer, second]
    (tmp_path / "model_arch.json").write_text(json.dumps(config))
    found = read(path)
    assert found.config is not None
    assert found.notes == (f"configuration from {tmp_path / 'model_arch.json'}",)
    assert read(tmp_path / "model_arch.json").tensors.keys() == found.tensors.keys()
    (tmp_path / "model.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"model\.json, model_arch\.json"):
        read(path)
    assert with_config(found, tmp_path / "model.json").config == found.config
    weights_only(tmp_path / "checkpoints" / "last.hdf5", {"lstm_1": lstm()})
    with pytest.raises(BadInput, match=r"best\.hdf5.*last\.hdf5"):
        read(tmp_path / "model.json")


def test_a_damaged_configuration_beside_the_weights_is_said(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "weights.h5", {"lstm_1": lstm()})
    (tmp_path / "notes.json").write_text("{")
    (tmp_path / "config.json").write_text('{"learning_rate": 1}')
    assert read(path).notes == ()
    whole = json.dumps(config_of("keras2.2.4/lstm_back"))
    (tmp_path / "model.json").write_text(whole[:-20])
    found = read(path)
    assert found.config is None
    assert len(found.notes) == 1
    assert "model.json lies beside it and can't be read as a configuration: the file is no valid JSON" in found.notes[0]
    (tmp_path / "inner").mkdir()
    inner = weights_only(tmp_path / "inner" / "weights.h5", {"lstm_1": lstm()})
    assert "model.json lies one folder above and can't be read" in read(inner).notes[0]
    (tmp_path / "model_arch.json").write_text(whole)
    found = read(path)
    assert found.config is not None, "the one that can be read is taken all the same"
    assert [note.split()[0] for note in found.notes] == ["model.json", "configuration"]
    assert found.files == (path, tmp_path / "model_arch.json")


def test_a_tokenizer_is_no_configuration(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "weights.h5", {})
    (tmp_path / "model.json").write_text('{"class_name": "Tokenizer", "config": {"num_words": 9}}')
    assert read(path).config is None
    assert not KERAS_JSON.matches(tmp_path / "model.json")


@pytest.mark.parametrize(
    ("version", "backend", "writer"),
    [("2.2.4", "tensorflow", "Keras 2.2.4"), ("2.2.4", "theano", "Keras 2.2.4 (theano)"), ("", "theano", "")],
)
def test_the_writer_is_told_with_its_backend(tmp_path: Path, version: str, backend: str, writer: str) -> None:
    path = weights_only(tmp_path / "weights.h5", {"lstm_1": lstm()}, version)
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = backend.encode()
    found = read(path)
    assert found.writer == writer
    (tmp_path / "model.json").write_text(json.dumps({**config_of("keras2.2.4/lstm_back"), "keras_version": ""}))
    config = read(path).config
    assert config is not None
    assert config.version == version


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"units": 3}')
    with pytest.raises(BadInput, match="no Keras configuration"):
        with_config(read(MODEL), path)
    with pytest.raises(BadInput, match="can't be read"):
        with_config(read(MODEL), tmp_path / "absent.json")


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"PK\3\4 no", "is no HDF5 file: it begins with")])
def test_files_of_another_kind(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=said):
        KERAS_HDF5.read(path)


def test_a_trace_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "rnnprobe-trace"
    with pytest.raises(BadInput, match="is a trace"):
        read(path)


@pytest.mark.parametrize("path", [MODEL, ZIP], ids=["h5", "keras"])
def test_truncated_files(tmp_path: Path, path: Path) -> None:
    data = path.read_bytes()
    for stop in [*range(1, len(data), 509), len(data) - 1]:
        cut = tmp_path / f"x{path.suffix}"
        cut.write_bytes(data[:stop])
        with pytest.raises(BadInput):
            (KERAS_HDF5 if path == MODEL else KERAS_ZIP).read(cut)


@pytest.mark.parametrize("path", [MODEL, ZIP], ids=["h5", "keras"])
def test_flipped_bits_are_an_error_or_do_no_harm(tmp_path: Path, path: Path) -> None:
    chance, errors = random.Random(0), 0
    for _ in range(150):
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        flipped = tmp_path / f"x{path.suffix}"
        flipped.write_bytes(data)
        try:
            for tensor in (KERAS_HDF5 if path == MODEL else KERAS_ZIP).read(flipped).tensors.values():
                tensor.load()
        except RnnprobeError:
            errors += 1
    assert errors


def test_a_file_that_crashes_the_reader_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rnnprobe.formats import keras_tree

    script = tmp_path / "probe.py"
    script.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    monkeypatch.setattr(keras_tree, "_SCRIPT", script)
    monkeypatch.setattr(keras_tree, "_PROBER", keras_tree._Prober())
    with pytest.raises(BadInput, match="crashed or hung"):
        read(MODEL)
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(keras_tree, "SECONDS", 0.2)
    with pytest.raises(BadInput, match="crashed or hung"):
        read(MODEL)
    keras_tree._PROBER.close()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from pathlib import Path; from rnnprobe.formats.keras_hdf5 import KERAS_HDF5;"
        "from rnnprobe.recover.keras import recover;"
        f"recover(KERAS_HDF5.read(Path({str(MODEL)!r})));"
        "print(sorted({'h5py', 'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_names_of_objects_are_counted_by_class() -> None:
    classes = ["LSTM", "Dense", "LSTM", "CuDNNLSTM", "SimpleRNN", "my>ConvLSTM2D", "LSTM"]
    assert counted(classes) == ["lstm", "dense", "lstm_1", "cu_dnnlstm", "simple_rnn", "conv_lstm2d", "lstm_2"]
