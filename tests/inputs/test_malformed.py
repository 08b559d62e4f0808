"""Input that can't be used: each row with its exact status and what the message must name."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rnnprobe.errors import RnnprobeError
from rnnprobe.inputs import npz
from rnnprobe.types import Entry
from tests.inputs.forms import FLOATS, IDS, LETTERS, read, sequences_of

ONE = Entry((1,), 1, False)
ONE_HOT = Entry((4,), 4, False)


@dataclass
class Case:
    """A file (a name and its bytes) or an array, and the error it must give."""

    name: str
    source: tuple[str, bytes | Callable[[Path], None]] | Any
    message: tuple[str, ...]
    entry: Entry = FLOATS
    status: int = 2
    more: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    hint: str = ""


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def header(text: str, version: bytes = b"\x01\x00", data: bytes = b"") -> bytes:
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + size + text.encode("latin-1") + data


def describe(shape: str, descr: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def twice() -> bytes:
    """Two members of one name."""
    data = zipped(("x.npy", npy(X)), ("y.npy", npy(X)))
    return data.replace(b"y.npy", b"x.npy")


def swollen() -> bytes:
    """A member whose directory entry declares more than deflate could pack into it."""
    data = bytearray(zipped(("x.npy", npy(X)), method=zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 0x7FFFFFFF)
    return bytes(data)


def flipped(data: bytes, mark: bytes, offset: int) -> bytes:
    changed = bytearray(data)
    changed[data.index(mark) + offset] ^= 0x10
    return bytes(changed)


def hdf5(build: Callable[[Any], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            build(file)

    return write


def external(file: Any) -> None:
    file["x"] = h5py.ExternalLink("other.h5", "/x")


def external_on_the_way(file: Any) -> None:
    file["g"] = h5py.ExternalLink("other.h5", "/g")


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(2, 4, 3), dtype="f4")
    layout[...] = h5py.VirtualSource("other.h5", "x", shape=(2, 4, 3))
    file.create_virtual_dataset("x", layout)


def elsewhere(file: Any) -> None:
    file.create_dataset("x", (2, 4, 3), "f4", external=[("other.raw", 0, h5py.h5f.UNLIMITED)])


def circle(file: Any) -> None:
    file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


def huge_chunks(file: Any) -> None:
    file.create_dataset("x", (1, 1 << 28, 3), "f4", chunks=(1, 1 << 27, 3))


X = np.arange(24, dtype="f4").reshape(2, 4, 3)
NESTED = b"[" * 100_000

CASES = [
    # arrays: rank, width, values
    Case("width", X[..., :2], ("2 features a step", "takes 3 features a step", "[batch, time, 3]")),
    Case("width behind an embedding", X, ("3 features", "an embedding of 5 rows", "0…4", "[batch, time, 4]"), IDS),
    Case("width of one sequence", X[0, :, :2], ("2 features a step", "one sequence [time, features]")),
    Case("one number a step", X[0, :, 0], ("float32 [4], a number a step", "3 features a step")),
    Case("time series", X[..., 0], ("[batch, time, 1]",), ONE, hint="x[..., None]"),
    Case("rank 0", np.float32(3), ("of rank 0",)),
    Case("rank 4", X[None], ("[1, 2, 4, 3], of rank 4",)),
    Case("truth values", X[..., 0] > 3, ("bool [2, 4]",)),
    Case("complex", X.astype("c8"), ("complex64 [2, 4, 3]; expected integers or floats",)),
    Case("text", np.array(["a", "b"]), ("expected integers or floats",)),
    Case("dates", np.array(["2020-01-01"], "M8[D]"), ("datetime64",)),
    Case("objects", np.array([None, 1], object), ("holds Python objects",), status=3),
    Case("no sequence", X[:0], ("holds no sequence",)),
    Case("no step", X[:, :0], ("sequence 0 has no step",)),
    Case("no feature", X[..., :0], ("0 features a step",)),
    Case("empty list", [], ("holds no sequence",)),
    Case("an empty sequence", [X[0], X[0, :0]], ("sequence 1 has no step",)),
    Case("id -1", np.array([[1, 2], [0, -1]]), ("id -1 at sequence 1, step 1", "0…4", "5 rows"), IDS, hint="--lengths"),
    Case("id V", np.array([[1, 5]]), ("id 5 at sequence 0, step 1 is outside of 0…4",), IDS),
    Case("id 2^63", np.array([[1, 2**63]], "u8"), ("id 9223372036854775808 at sequence 0, step 1",), IDS),
    Case("id -2^63", np.array([[1, -(2**63)]]), ("id -9223372036854775808",), IDS),
    Case("one-hot id", np.array([[1, 4]]), ("id 4", "0…3", "one-hot step of 4 features"), ONE_HOT, hint="as floats"),
    Case("float id", np.array([[1.0, 9.0]]), ("id 9 at sequence 0, step 1",), IDS),
    Case("fraction", np.array([1.0, 2.5]), ("a number a step", "0…4"), IDS, hint="astype"),
    Case("mixed dtypes", [X[0, :, 0], np.array([1, 2])], ("some sequences hold integers and some floats",), ONE),
    Case("mixed widths", [X[0], X[0, :, :2]], ("sequence 1 is float32 [4, 2]", "sequence 0 is float32 [4, 3]")),
    Case("mixed ranks", [X[0], X[0, 0]], ("sequence 1 is float32 [3]",)),
    Case("rank 3 in a list", [X], ("sequence 0 is float32 [2, 4, 3]",)),
    Case("ragged within", [[[1.0, 2.0, 3.0], [1.0]]], ("sequence 0 can't be made an array",)),
    Case("an empty mapping", {}, ("holds no array",)),
    # lengths, selections
    Case("length 0", X, ("length 0 of sequence 1; expected at least 1",), more={"lengths": [2, 0]}),
    Case("negative length", X, ("length -1 of sequence 0",), more={"lengths": [-1, 2]}),
    Case("length beyond", X, ("length 5 of sequence 1 is more than its 4 steps",), more={"lengths": "4,5"}),
    Case("count of lengths", X, ("3 lengths for 2 sequences",), more={"lengths": [1, 1, 1]}),
    Case("fractional lengths", X, ("lengths hold 1.5 for sequence 1",), more={"lengths": [1, 1.5]}),
    Case("lengths of rank 2", X, ("expected integers of rank 1",), more={"lengths": [[1, 1]]}),
    Case("no such lengths file", X, ("no/such: no such file",), more={"lengths": "no/such"}),
    Case("select beyond", X, ("--select '2' names no sequence; there are 2: 0, 1",), more={"select": "2"}),
    Case("select a word", X, ("--select 'abc'",), more={"select": "0,abc"}, hint="0:10"),
    Case("select backwards", X, ("--select '1:1'",), more={"select": "1:1"}),
    Case("steps beyond", X, ("--steps 4:9 holds no step", "the longest sequence has 4"), more={"steps": "4:9"}),
    Case("steps a word", X, ("--steps '3' is no range; expected A:B",), more={"steps": "3"}),
    Case("batch size", X, ("a batch of 0 sequences",), more={"batch_size": 0}),
    Case("format", ("x.npy", npy(X)), ("--input-format 'pt'", "npy, npz, hdf5"), more={"input_format": "pt"}),
    # .npy
    Case("empty file", ("x.npy", b""), ("is empty",)),
    Case("no .npy", ("x.npy", b"PK\x03\x04 something else"), (".npy header", "magic string")),
    Case("magic alone", ("x.npy", b"\x93NUMPY"), (".npy header",)),
    Case("version 3", ("x.npy", npy(X, (3, 0))), ("of version 3.0", "expected 1.0 or 2.0")),
    Case("cut header", ("x.npy", npy(X)[:40]), (".npy header", "expected 118 bytes")),
    Case("cut values", ("x.npy", npy(X)[:-1]), ("cut off", "float32 [2, 4, 3], 96 bytes; found 95")),
    Case("huge shape", ("x.npy", header(describe("(1, 1000000000000, 3)"))), ("cut off", "found 0")),
    Case("overflowing shape", ("x.npy", header(describe(f"({2**62}, {2**62}, 3)"))), ("cut off",)),
    Case("negative shape", ("x.npy", header(describe("(-1, 3)"), data=bytes(64))), ("declares the shape (-1, 3)",)),
    Case("truth as a size", ("x.npy", header(describe("(True, 3)"), data=bytes(64))), ("declares the shape",)),
    Case("no dict", ("x.npy", header("[1]\n")), ("not a dictionary",)),
    Case("no literal", ("x.npy", header("{'descr': __import__('os')}\n")), ("damaged",)),
    Case("unclosed", ("x.npy", header("{'descr': (((\n")), ("damaged",)),
    Case("deep header", ("x.npy", header("(" * 5000 + "\n")), ("damaged",)),
    Case("long header", ("x.npy", header(" " * 12000, b"\x02\x00")), ("damaged",)),
    Case("false header length", ("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), ("damaged",)),
    Case("unknown dtype", ("x.npy", header(describe("(1,)", "'<q9'"), data=bytes(64))), ("damaged",)),
    Case("structure", ("x.npy", npy(np.zeros(2, [("a", "f4")]))), ("expected integers or floats",)),
    Case("object array", ("x.npy", npy(np.array([None, 1], object))), ("Python objects",), status=3),
    Case("bfloat16", ("x.npy", npy(np.zeros((2, 3), "V2"))), ("expected integers or floats",), hint="float32"),
    Case("key of an .npy", ("x.npy", npy(X)), ("one array without a name",), key=":x"),
    # .npz
    Case("no zip", ("x.npz", b"hello, world, this is no zip"), ("zip structure is damaged",)),
    Case("no array", ("x.npz", zipped()), ("holds no array",)),
    Case("another member", ("x.npz", zipped(("readme.txt", b"hi"))), ("'readme.txt', which is no .npy array",)),
    Case("two of a name", ("x.npz", twice()), ("two arrays named 'x'",)),
    Case("cut member", ("x.npz", zipped(("x.npy", npy(X)[:-4]))), ("'x' is cut off",)),
    Case("a key too much", ("x.npz", zipped(("x.npy", npy(X)))), ("no array named 'z'", "x float32"), key=":z"),
    Case("x and ids", {"x": X, "ids": X[:, :, 0].astype(int)}, ("several arrays",)),
    Case("names too few", {"x": X, "names": np.array(["a"])}, ("expected the 2 names",)),
    Case("object names", ("x.npz", zipped(("x.npy", npy(X)), ("names.npy", npy(np.array(["a", 2], object))))),
         ("holds Python objects",), status=3),
    Case("declared beyond deflate", ("x.npz", swollen()), ("does not fit into the file",)),
    Case("flipped deflate",
         ("x.npz", flipped(zipped(("x.npy", npy(X)), method=zipfile.ZIP_DEFLATED), b"x.npy", 80)), ("damaged",)),
    Case("bzip2", ("x.npz", zipped(("x.npy", npy(X)), method=zipfile.ZIP_BZIP2)), ("compressed by method 12",)),
    # HDF5
    Case("no HDF5", ("x.h5", b"hello" * 100), ("is damaged, or no HDF5 file",)),
    Case("no dataset", ("x.h5", hdf5(lambda file: None)), ("holds no array",)),
    Case("no such path", ("x.h5", hdf5(lambda file: file.create_dataset("g/x", data=X))), ("holds no /g/y", "x"),
         key=":/g/y"),
    Case("path through a dataset", ("x.h5", hdf5(lambda file: file.create_dataset("x", data=X))), ("no /x/y",),
         key=":x/y"),
    Case("several datasets", ("x.h5", hdf5(lambda file: [file.create_dataset(n, data=X) for n in "ab"])),
         ("several arrays", "a float32 [2, 4, 3], b float32")),
    Case("strings", ("x.h5", hdf5(lambda file: file.create_dataset("x", data=["a", "b"]))), ("expected integers",)),
    Case("no shape", ("x.h5", hdf5(lambda file: file.create_dataset("x", data=h5py.Empty("f4")))), ("has no shape",)),
    Case("external link", ("x.h5", hdf5(external)), ("/x is a link that leads out of the file",), status=3, key=":x"),
    Case("external link in a group", ("x.h5", hdf5(external)), ("leads out of the file",), status=3),
    Case("external link on the way", ("x.h5", hdf5(external_on_the_way)), ("/g is a link",), status=3, key=":/g/x"),
    Case("virtual dataset", ("x.h5", hdf5(virtual)), ("/x keeps its values in other files",), status=3),
    Case("external storage", ("x.h5", hdf5(elsewhere)), ("/x keeps its values in other files",), status=3),
    Case("links in a circle", ("x.h5", hdf5(circle)), ("lead round in a circle",), key=":/a"),
    Case("huge chunks", ("x.h5", hdf5(huge_chunks)), ("chunks of 1610612736 bytes",), status=4),
    # .csv
    Case("ragged rows", ("x.csv", b"a,b,c\n1,2,3\n4,5\n"), ("line 3 has 2 columns; expected 3",)),
    Case("a word in it", ("x.csv", b"a,b,c\n1,2,3\n4,x,6\n"), ("line 3, column 2 ('b') holds 'x'",)),
    Case("an empty cell", ("x.csv", b"a,b,c\n1,,3\n"), ("line 2, column 2 ('b') is empty",)),
    Case("underscores", ("x.csv", b"1,2,3\n1,2_0,3\n"), ("line 2, column 2 holds '2_0'",)),
    Case("wrong width", ("x.csv", b"1,2\n3,4\n"), ("1 sequence of float64 [time, 2], 2 features a step",)),
    Case("header alone", ("x.csv", b"a,b,c\n"), ("no row of numbers",)),
    Case("blank lines alone", ("x.csv", b"\n\n\n"), ("no row of numbers",)),
    Case("index of pandas", ("x.csv", b",a,b,c\n0,1,2,3\n"), ("no name; pandas",), hint="index=False"),
    Case("rows apart", ("x.csv", b"sequence,a,b,c\np,1,2,3\nq,1,2,3\np,1,2,3\n"), ("sequence 'p' do not stand",)),
    Case("two sequence columns", ("x.csv", b"sequence,sequence\n1,2\n"), ("two columns 'sequence'",)),
    Case("open quote", ("x.csv", b'a,b,c\n1,2,"3\n'), ("no row of cells",)),
    Case("latin-1", ("x.csv", b"a,b,\xfc\n1,2,3\n"), ("no UTF-8 text",)),
    Case("id in a csv", ("x.csv", b"id\n1\n2\n7\n"), ("id 7 at line 4, column 1 ('id')",), IDS),
    Case("fraction in a csv", ("x.csv", b"id\n1\n2.5\n"), ("2.5 at line 3, column 1 ('id')",), IDS),
    # .jsonl
    Case("no JSON", ("x.jsonl", b"[1, 2]\n[1, 2\n"), ("line 2 is no JSON",), IDS),
    Case("deep JSON", ("x.jsonl", NESTED), ("line 1 is nested too deeply",), IDS),
    Case("ragged steps", ("x.jsonl", b"[[1,2,3],[4,5]]"), ("line 1, step 1 has 2 numbers; expected 3",)),
    Case("null", ("x.jsonl", b"[[1,2,3],[4,null,6]]"), ("line 1, step 1, feature 1 holds null",)),
    Case("true", ("x.jsonl", b"[1, true]"), ("line 1, step 1 holds true; expected a number",), IDS),
    Case("mixed types", ("x.jsonl", b"[1, [2]]"), ("line 1, step 0 holds a number; expected a list",), IDS),
    Case("mixed lines", ("x.jsonl", b"[[1,2,3]]\n[1,2,3]"), ("line 2 holds numbers; expected steps of 3 numbers",)),
    Case("mixed line widths", ("x.jsonl", b"[[1,2,3]]\n[[1,2]]"), ("line 2 holds steps of 2 numbers",)),
    Case("no field", ("x.jsonl", b'{"data": [1]}'), ("fields data; expected one of ids, x, tokens, text",), IDS),
    Case("two fields", ("x.jsonl", b'{"x": [[1]], "ids": [1]}'), ("holds ids and x",), IDS),
    Case("a field twice", ("x.jsonl", b'{"ids": [1], "ids": [2]}'), ("line 1 gives a field twice",), IDS),
    Case("float id in a line", ("x.jsonl", b'{"ids": [1, 2.0]}'), ("line 1, step 1", "expected an id"), IDS),
    Case("long id", ("x.jsonl", b"[1, 9223372036854775808]"), ("line 1, step 1 holds 9223372036854775808",), IDS),
    Case("longer id", ("x.jsonl", b"[1, " + b"9" * 5000 + b"]"), ("line 1 is no JSON",), IDS),
    Case("huge number", ("x.jsonl", b"[[1,2," + b"9" * 400 + b"]]"), ("too large for a float",)),
    Case("id beyond", ("x.jsonl", b"[1]\n\n[1, 8]"), ("id 8 at line 3, step 1",), IDS),
    Case("empty line list", ("x.jsonl", b"[1]\n[]"), ("line 2 holds no step",), IDS),
    Case("length in a line", ("x.jsonl", b'{"ids": [1], "length": 2}'), ("the length 2; expected at most its 1",), IDS),
    Case("lacks a name", ("x.jsonl", b'{"ids": [1], "name": "a"}\n[1]'), ("line 2",), IDS),
    Case("a name twice", ("x.jsonl", b'{"ids": [1], "name": "a"}\n{"ids": [1], "name": "a"}'), ("named 'a'",), IDS),
    Case("tokens without vocabulary", ("x.jsonl", b'["a"]'), ("needs a vocabulary",), IDS),
    Case("unknown token", ("x.jsonl", b'["a", "z"]'), ("no 'z' (line 1, step 1)",), IDS, more={"vocabulary": LETTERS}),
    Case("an object", ("x.jsonl", b"3"), ("line 1 holds a number; expected a list",), IDS),
    # .txt
    Case("no vocabulary", ("x.txt", b"abc"), ("needs a vocabulary",), IDS, hint="--vocab"),
    Case("unknown character", ("x.txt", b"ab\ncz"), ("has no '\\n' (line 1, column 3)", "nor 1 more: 'z'", "2 places"),
         IDS, more={"vocabulary": LETTERS}, hint="--unknown"),
    Case("upper case", ("x.txt", b"abA"), ("has no 'A' (line 1, column 3)",), IDS, more={"vocabulary": LETTERS},
         hint="in lower case"),
    Case("unknown word", ("x.txt", b"a b\nb  zz a\n"), ("no 'zz' (line 2, column 4)",), IDS,
         more={"vocabulary": LETTERS, "by": "word"}, hint="--by char"),
    Case("no UTF-8", ("x.txt", b"abc\xff"), ("no UTF-8 text: invalid start byte at byte 3",), IDS,
         more={"vocabulary": LETTERS}),
    Case("half a character", ("x.txt", b"abc\xc3"), ("unexpected end of data at byte 3",), IDS,
         more={"vocabulary": LETTERS}),
    Case("white space by words", ("x.txt", b" \n "), ("holds no token",), IDS,
         more={"vocabulary": LETTERS, "by": "word"}),
    Case("by what", ("x.txt", b"abc"), ("--by page", "char, word, line"), IDS,
         more={"vocabulary": LETTERS, "by": "page"}),
    Case("unknown --unknown", ("x.txt", b"abc"), ("--unknown 'zz'",), IDS,
         more={"vocabulary": LETTERS, "unknown": "zz"}),
    Case("--unknown beyond", ("x.txt", b"abc"), ("--unknown 5 is no id", "0…4"), IDS,
         more={"vocabulary": LETTERS, "unknown": "5"}),
    # paths
    Case("binary of no format", ("x.bin", b"\0\1\2\3"), ("of no format that is read",), hint=".npy, .npz"),
    Case("a pickle", ("x.pkl", pickle.dumps([1, 2])), ("of no format that is read",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_malformed(case: Case, tmp_path: Path) -> None:
    source, path = case.source, None
    if isinstance(source, tuple):
        path = tmp_path / source[0]
        source[1](path) if callable(source[1]) else path.write_bytes(source[1])
        source = f"{path}{case.key}"
    with pytest.raises(RnnprobeError) as error:
        sequences_of(read(source, case.entry, **case.more))
    assert error.value.status == case.status
    for fragment in case.message:
        assert fragment in str(error.value)
    assert "\n" not in str(error.value)
    assert case.hint in error.value.hint
    if path is not None and "--" not in str(error.value):
        assert str(error.value).startswith(str(path))


def test_count() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


def test_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "train.npy").write_bytes(npy(X))
    with pytest.raises(RnnprobeError, match="no such file") as error:
        read(tmp_path / "trian.npy", FLOATS)
    assert (error.value.status, error.value.hint) == (2, f"did you mean {tmp_path}/train.npy?")
    with pytest.raises(RnnprobeError, match="no such file") as error:
        read(tmp_path / "nowhere" / "a.npy", FLOATS)
    assert error.value.hint == f"there is no directory {tmp_path}/nowhere"
    with pytest.raises(RnnprobeError, match="no such file"):
        read("a\0b.npy", FLOATS)
    with pytest.raises(RnnprobeError, match="is a directory"):
        read(tmp_path, FLOATS)


def test_a_compressed_npz_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1, 4000, 3)))
    monkeypatch.setattr(npz, "UNPACKED_LIMIT", 1000)
    with pytest.raises(RnnprobeError, match="compressed arrays come to over") as error:
        read(tmp_path / "x.npz", FLOATS)
    assert error.value.status == 4


def test_a_wrong_checksum(tmp_path: Path) -> None:
    data = zipped(("x.npy", npy(X)), method=zipfile.ZIP_DEFLATED)
    at = data.index(b"PK\x01\x02")
    (tmp_path / "x.npz").write_bytes(data[: at + 16] + bytes([data[at + 16] ^ 1]) + data[at + 17 :])
    with pytest.raises(RnnprobeError, match="checksum is wrong"):
        read(tmp_path / "x.npz", FLOATS)


def test_flipped_bits_of_an_npy(tmp_path: Path) -> None:
    """Every bit of the header: an error, or an array that lies within the file."""
    good = npy(X)
    path = tmp_path / "x.npy"
    statuses = []
    for bit in range(0, 128 * 8, 3):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            read(path, FLOATS)
        except RnnprobeError as error:
            statuses.append(error.status)
    assert len(statuses) > 150
    assert set(statuses) <= {2, 3}


def test_what_leads_out_is_refused_though_it_is_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = X
        file["g/x"] = X
    for build, key in ((external, "x"), (external_on_the_way, "g/x"), (virtual, "x"), (elsewhere, "x")):
        hdf5(build)(tmp_path / "x.h5")
        with pytest.raises(RnnprobeError) as error:
            read(f"{tmp_path}/x.h5:{key}", FLOATS)
        assert error.value.status == 3


def test_names_that_are_no_characters(tmp_path: Path) -> None:
    names = np.array(["a", "b"])
    names.view("u4")[1] = 0x110000
    np.savez(tmp_path / "x.npz", x=X, names=names)
    with pytest.raises(RnnprobeError, match="'names' holds numbers that are no characters"):
        read(tmp_path / "x.npz", FLOATS)


def test_the_import_is_light() -> None:
    code = "import sys, rnnprobe.inputs; print({'h5py', 'tensorflow', 'matplotlib', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
