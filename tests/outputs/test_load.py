"""Files that are no traces, or damaged, or lead elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from rnnprobe import outputs
from rnnprobe.errors import BadInput, OutOfResources, Refused
from rnnprobe.inputs import filters
from rnnprobe.types import Recording
from tests.conftest import DATA
from tests.outputs.recordings import foreign, layer, outcome, recording, unseen, whole
from tests.outputs.test_files import recorded, same, write

WHAT = recording([layer("rnn/a"), layer("b", "gru")], [[9, 4]], vocabulary=("a", "b"))


OLD = recording([layer("rnn/a"), layer("b", "gru")], [[9, 4]], vocabulary=("a", "b"), record=("h",))


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same trace in each output."""
    folder = tmp_path_factory.mktemp("traces")
    for output in outputs.OUTPUTS:
        write(folder / f"t{output.suffixes[0]}", WHAT, whole(WHAT))
    return folder


def use(path: Path) -> None:
    """What a reader does with a trace."""
    trace = outputs.load(path)
    trace.text(0, 0, int(trace.lengths[0]))
    for one in trace.layers.values():
        for values in (*one.signals.values(), *one.initial.values(), *one.final.values()):
            values[0]


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.h5: no such file"):
        outputs.load(tmp_path / "nothing.h5")
    with pytest.raises(BadInput, match="directory"):
        outputs.load(tmp_path)
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)):
        (tmp_path / "t.h5").write_bytes(content)
        with pytest.raises(BadInput, match=r"t\.h5: "):
            outputs.load(tmp_path / "t.h5")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["dense/kernel"] = np.zeros(3)
    with pytest.raises(BadInput, match="no trace") as caught:
        outputs.load(tmp_path / "weights.h5")
    assert "inspect" in caught.value.hint
    np.savez(tmp_path / "weights.npz", a=np.zeros(3))
    with pytest.raises(BadInput, match="no trace"):
        outputs.load(tmp_path / "weights.npz")


def test_traces_of_version_1() -> None:
    """Written by the release before: one timeline, one input, steps of one axis."""
    for suffix in (".h5", ".npz"):
        trace = outputs.load(DATA / "traces" / f"version_1{suffix}")
        assert trace.attributes["format_version"] == 1
        same(recorded(trace), whole(OLD))
        assert trace.lengths.tolist() == [9, 4]
        assert [one.own_time for one in trace.layers.values()] == [False, False]
        assert (trace.outputs, trace.output_lengths, trace.beside, trace.first_step) == ({}, {}, {}, 0)


EARLIER = recording(
    [layer("conv", "basic_rnn", 2, space=(2, 1)), layer("short", "gru", 2)],
    [[4, 2]],
    record=("h",),
    own={"short": [3, 1]},
    outcomes=[outcome("y", (2,)), outcome("z", (), [3, 1])],
    beside={"mask": [3, 1]},
)


def test_traces_of_version_2() -> None:
    """Written by a release that knew no signals of a graph."""
    for suffix in (".h5", ".npz"):
        trace = outputs.load(DATA / "traces" / f"version_2{suffix}")
        assert trace.attributes["format_version"] == 2
        same(recorded(trace), whole(EARLIER))
        assert [one.own_time for one in trace.layers.values()] == [False, True]
        assert (list(trace.outputs), list(trace.beside)) == (["y", "z"], ["mask"])


def structure(path: Path) -> list[object]:
    """Everything in an HDF5 file in the order of its creation, but for the time and the releases."""
    found: list[object] = []

    def plain(value: object) -> object:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    def attributes(node: h5py.HLObject) -> list[object]:
        changing = ("created", "rnnprobe_version", "libraries", "DIMENSION_LIST", "REFERENCE_LIST")
        return [
            (key, str(node.attrs.get_id(key).dtype), plain(value))
            for key, value in node.attrs.items()
            if key not in changing
        ]

    def walk(group: h5py.Group) -> None:
        found.append((group.name, attributes(group)))
        for node in group.values():
            if isinstance(node, h5py.Group):
                walk(node)
                continue
            is_scale = h5py.h5ds.is_scale(node.id)
            scales = [] if is_scale else [axis[0].name for axis in node.dims]
            values = str(node[()].tolist())
            found.append((node.name, str(node.dtype), node.chunks, scales, attributes(node), values))

    with h5py.File(path) as file:
        walk(file)
    return found


@pytest.mark.parametrize(("version", "what"), [(1, OLD), (2, EARLIER)])
def test_what_needs_no_more_is_written_as_it_was(version: int, what: Recording, tmp_path: Path) -> None:
    write(tmp_path / "t.h5", what, whole(what))
    assert structure(tmp_path / "t.h5") == structure(DATA / "traces" / f"version_{version}.h5")
    write(tmp_path / "t.npz", what, whole(what))
    with np.load(tmp_path / "t.npz") as new, np.load(DATA / "traces" / f"version_{version}.npz") as old:
        assert sorted(new) == sorted(old)
        for name in set(old) - {"attributes"}:
            assert new[name].dtype == old[name].dtype
            np.testing.assert_array_equal(new[name], old[name])


def _virtual(file: h5py.File) -> None:
    del file["layers/b/h"]
    layout = h5py.VirtualLayout((2, 9, 3), "f4")
    layout[:] = h5py.VirtualSource("canary.h5", "h", (2, 9, 3))
    file.create_virtual_dataset("layers/b/h", layout)


def _external(file: h5py.File) -> None:
    del file["layers/b/h"]
    file.create_dataset("layers/b/h", (2, 9, 3), "f4", external=[("canary.h5", 0, 216)])


def _link(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = h5py.ExternalLink("canary.h5", "/h")

    return change


def _filter(file: h5py.File) -> None:
    del file["layers/b/h"]
    file.create_dataset("layers/b/h", (2, 9, 3), "f4", chunks=(2, 9, 3), compression=32015, allow_unknown_filter=True)


@pytest.mark.parametrize(
    "change", [_virtual, _external, _link("layers/b/h"), _link("layers/b"), _link("inputs"), _filter]
)
def test_what_leads_elsewhere_is_refused(
    change: Callable[[h5py.File], None], traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("canary.h5", "w") as file:
        file["h"] = np.full((2, 9, 3), 7, "f4")
    path = Path(shutil.copy(traces / "t.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(Refused, match=r"t\.h5"):
        use(path)


def test_bitshuffle_without_its_package(traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(traces / "t.h5", tmp_path))
    options = {"chunks": (2, 9, 3), "compression": filters.BITSHUFFLE, "allow_unknown_filter": True}
    with h5py.File(path, "r+") as file:
        del file["layers/b/h"]
        file.create_dataset("layers/b/h", (2, 9, 3), "f4", **options)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(Refused, match=r"t\.h5: .*filter 32008") as caught:
        use(path)
    assert "rnnprobe[compress]" in caught.value.hint


def _without(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _instead(name: str, values: object, **options: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, data=values, **options) if values is not None else file.create_dataset(
            name, **options
        )

    return change


def _attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        group, _, key = name.rpartition("@")
        file[group or "/"].attrs[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("inputs/lengths"), "inputs/lengths is missing"),
        (_without("inputs/ids"), "neither inputs/x nor ids"),
        (_without("layers"), "holds no layer"),
        (_instead("inputs/lengths", np.array([9, 4, 1])), "other numbers of lengths"),
        (_instead("inputs/lengths", np.array([10, 4])), "outside of 0 … 9"),
        (_instead("inputs/lengths", np.array([-1, 4])), "outside of 0 … 9"),
        (_instead("inputs/lengths", np.array([9.0, 4.0])), "expected integers"),
        (_instead("inputs/lengths", None, shape=(1 << 40,), dtype="i8"), "more than the file's"),
        (_instead("inputs/names", None, shape=(1 << 40,), dtype=h5py.string_dtype()), "more than the file's"),
        (_instead("inputs/ids", np.full((2, 9), 2)), "outside of the 2 tokens"),
        (
            _instead("layers/b/h", np.zeros((2, 8, 3), "f4")),
            r"layers/b/h is float32 \[2, 8, 3\], expected",
        ),
        (_instead("layers/b/h", np.zeros((2, 9, 3), "i4")), "layers/b/h is int32"),
        (_instead("layers/b/final_h", np.zeros((3, 3), "f4")), "layers/b/final_h"),
        (_attribute("@format", "else"), "is no trace"),
        (_attribute("@format_version", 5), "format version 5, and this release reads 1 to 4"),
        (_attribute("@first_step", -1), "attribute `first_step` is -1"),
        (_attribute("layers/b@name", 3), "no attribute `name`"),
        (_attribute("layers/b@name", "rnn/a"), "two layers named rnn/a"),
        (_attribute("layers/b@units", np.zeros((2, 2))), "the attribute layers/b@units is ndarray"),
    ],
)
def test_damage_is_named(change: Callable[[h5py.File], None], message: str, traces: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(traces / "t.h5", tmp_path))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=rf"t\.h5: .*{message}"):
        use(path)


RICH = recording(
    [layer("conv", "basic_rnn", 2, space=(3, 4)), layer("short", "gru")],
    [[9, 4]],
    own={"short": [5, 2]},
    outcomes=[outcome("y", (2,)), outcome("z", (), [5, 2])],
    beside={"mask": [3, 1]},
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_instead("layers/short/lengths", np.array([6, 2])), "outside of 0 … 5 .layers/short/lengths"),
        (_instead("layers/short/lengths", np.array([5.0, 2.0])), "layers/short/lengths is float64"),
        (_instead("layers/short/lengths", np.array([5])), "2 sequences, and other numbers"),
        (_without("layers/short/lengths"), r"layers/short/\w+ is float32 \[2, 5, 3\], expected floats \[2, 9, units\]"),
        (_instead("layers/conv/h", np.zeros((2, 9, 3, 2), "f4")), r"layers/conv/h .* \[2, 9, 3, 4, units\]"),
        (_instead("layers/conv/final_h", np.zeros((2, 2), "f4")), r"layers/conv/final_h .* \[2, 3, 4, units\]"),
        (_attribute("layers/conv@space", "3"), "layers/conv@space is '3'"),
        (_without("outputs/y"), "outputs/y is missing"),
        (_instead("outputs/y", np.zeros((3, 2), "f4")), r"outputs/y is float32 \[3, 2\], expected floats of 2"),
        (_instead("outputs/z_lengths", np.array([6, 2])), "outside of 0 … 5 .outputs/z_lengths"),
        (_instead("outputs/z", np.zeros(2, "f4")), "outputs/z has lengths and no steps"),
        (_attribute("outputs@names", ["y"]), "1 names of 2 arrays"),
        (_without("inputs/mask/lengths"), "inputs/mask/lengths is missing"),
        (_without("inputs/mask/x"), "neither inputs/mask/x nor ids"),
        (_attribute("inputs/mask@name", 1), "inputs/mask has no attribute `name`"),
    ],
)
def test_damage_of_what_version_2_holds(change: Callable[[h5py.File], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    write(path, RICH, whole(RICH))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=rf"t\.h5: .*{message}"):
        outputs.load(path)


GENERAL = unseen(
    recording(
        [foreign("loop", {"h": (3,), "unit": (2, 4), "n": ()}, {"h": "state", "n": "state"}), layer("lstm")], [[9, 4]]
    )
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("layers/loop/%75nit"), "layers/loop/%75nit is missing"),
        (_without("layers/loop/initial_n"), "layers/loop/initial_n is missing"),
        (_instead("layers/loop/n", np.zeros(2, "f4")), r"layers/loop/n is float32 \[2\], expected floats \[2, 9, …\]"),
        (_instead("layers/loop/final_n", np.zeros(3, "f4")), r"layers/loop/final_n .* \[2, …\]"),
        (_instead("layers/loop/h", np.zeros((2, 9, 3), "i4")), "layers/loop/h is int32"),
        (_attribute("layers/loop@arrays", ["h"]), "layers/loop has 3 signals and 1 arrays"),
        (_attribute("layers/loop@states", ["h"]), "layers/loop has 1 states and 2 state_arrays"),
        (_instead("inputs/lengths", np.array([8, 4])), r"expected floats \[2, 8, …\]"),
        (_instead("inputs/lengths", np.array([9, -4])), "a length is outside of 0"),
        (_instead("inputs/lengths", np.array([9])), "2 sequences, and other numbers"),
        (_attribute("@format_version", 2), "neither inputs/x nor ids"),
    ],
)
def test_damage_of_what_version_3_holds(change: Callable[[h5py.File], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    write(path, GENERAL, whole(GENERAL))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BadInput, match=rf"t\.h5: .*{message}"):
        outputs.load(path)


@pytest.mark.parametrize(
    ("array", "lengths"),
    [
        ("layers/short/h", "layers/short/lengths"),
        ("outputs/z", "outputs/z_lengths"),
        ("inputs/mask/x", "inputs/mask/lengths"),
    ],
)
def test_steps_of_their_own_that_were_never_written(array: str, lengths: str, tmp_path: Path) -> None:
    what = replace(RICH, signals={name: ("h",) for name in RICH.signals})
    write(tmp_path / "t.h5", what, whole(what))
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        width, steps = file[array].shape[2:], 1 << 40
        del file[array]
        file.create_dataset(array, (2, steps, *width), "f4", chunks=(1, 1024, *width))
        file[lengths][:] = steps
    with pytest.raises(BadInput, match=rf"{array} should hold 2199023255552 steps, \d+ bytes; found 0"):
        outputs.load(tmp_path / "t.h5")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_steps_that_were_never_written(compression: str | None, tmp_path: Path) -> None:
    """libhdf5 makes them up: 2**40 of them would keep a reader busy for ever."""
    what = recording([layer("b", "gru")], [[9, 4]], vocabulary=("a", "b"), record=("h",))
    write(tmp_path / "t.h5", what, whole(what))
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        steps = 1 << 40
        for name, width in (("layers/b/h", (3,)), ("inputs/ids", ())):
            dtype = file[name].dtype
            del file[name]
            shape, chunks = (2, steps, *width), (1, 1024, *width)
            file.create_dataset(name, shape, dtype, chunks=chunks, compression=compression)
        file["inputs/lengths"][:] = steps
    with pytest.raises(BadInput, match=r"should hold 2199023255552 steps, \d+ bytes; found 0"):
        outputs.load(tmp_path / "t.h5")


@pytest.mark.parametrize("output", outputs.OUTPUTS, ids=lambda output: output.name)
def test_truncated(output: outputs.Output, traces: Path, tmp_path: Path) -> None:
    whole_file = (traces / f"t{output.suffixes[0]}").read_bytes()
    path = tmp_path / "t"
    for size in range(0, len(whole_file) - 1, max(1, len(whole_file) // 60)):
        path.write_bytes(whole_file[:size])
        with pytest.raises(BadInput):
            use(path)


def test_archives_with_odd_members(traces: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(traces / "t.npz") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}

    def rewrite(**changes: object) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                key = name.removesuffix(".npy").replace("/", "_")
                if key not in changes:
                    archive.writestr(name, content)
                elif changes[key] is not None:
                    with archive.open(name, "w") as member:
                        np.lib.format.write_array(member, np.asarray(changes[key]))

    rewrite()
    use(path)
    for changes in (
        {"attributes": "{"},
        {"attributes": "[]"},
        {"attributes": "[" * 100_000},
        {"attributes": 3},
        {"attributes": json.dumps({"format": "rnnprobe-trace", "format_version": "1"})},
        {"inputs_lengths": None},
        {"inputs_names": None},
        {"layers_b_h": np.zeros((2, 9))},
        {"layers_b_attributes": "null"},
        {"layers_b_attributes": None, "layers_rnn_a_attributes": None},
    ):
        rewrite(**changes)
        with pytest.raises((BadInput, OutOfResources), match=r"t\.npz: "):
            use(path)
