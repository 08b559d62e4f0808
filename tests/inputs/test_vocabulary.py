"""Vocabularies, and pickles that must not run."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnprobe.errors import BadInput, Refused, RnnprobeError
from rnnprobe.inputs import pickles, vocabulary
from tests.conftest import DATA

FILES = DATA / "inputs"


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        ("a\nb\nc\n", ["a", "b", "c"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("\ufeffa\nb", ["a", "b"]),
        ("a\n\\n\n\\t\n\\s\n\\\\\n\\r\n\\x\n", ["a", "\n", "\t", " ", "\\", "\r", "\\x"]),
        ("a\n \n\t\n", ["a", " ", "\t"]),
        ("a\n\n\nb\n", ["a", "\n", "b"]),
        ("a\nb\n\n\n", ["a", "b", "\n"]),
        ("\n[UNK]\nthe\n", ["", "[UNK]", "the"]),
        ("a\nb\n\n", ["a", "b"]),
        ("日本\nö\n😀\n", ["日本", "ö", "😀"]),
    ],
)
def test_txt(tmp_path: Path, data: str, tokens: list[str]) -> None:
    found = vocabulary.read(write(tmp_path, "vocab.txt", data))
    assert list(found.tokens) == tokens
    assert found.ids == {token: number for number, token in enumerate(tokens)}


@pytest.mark.parametrize(
    "value",
    [
        ["a", "b", "\n"],
        {"a": 0, "b": 1, "\n": 2},
        {"0": "a", "1": "b", "2": "\n"},
        {"char2idx": {"a": 0, "b": 1, "\n": 2}, "idx2char": ["a", "b", "\n"], "size": 3},
    ],
)
def test_json(tmp_path: Path, value: object) -> None:
    found = vocabulary.read(write(tmp_path, "vocab.json", json.dumps(value)))
    assert found.tokens == ("a", "b", "\n")


def test_ids_that_start_at_1(tmp_path: Path) -> None:
    found = vocabulary.read(write(tmp_path, "vocab.json", '{"b": 3, "a": 1}'))
    assert found.tokens == ("<id 0>", "a", "<id 2>", "b")
    assert found.ids == {"a": 1, "b": 3}
    assert found.up_to(2).tokens == ("<id 0>", "a")
    assert found.up_to(2).ids == {"a": 1}


def test_genuine_files() -> None:
    keras = vocabulary.read(FILES / "keras_tokenizer.json")
    assert keras.tokens == ("<id 0>", "<OOV>", "the", "sat", "cat", "on", "mat", "dog")
    words = {"hello": 0, "wörld": 1, "\n": 2}
    assert vocabulary.read(FILES / "py2_ordered.pkl").ids == words
    assert vocabulary.read(FILES / "py2_default.pkl").ids == words
    assert vocabulary.read(FILES / "py2_str.pkl").tokens[:10] == tuple("\n ,dehlorw")
    assert vocabulary.read(FILES / "py3_bytes_protocol2.pkl").tokens == ("a", "ö", "\n")
    with pytest.raises(Refused, match=r"asks for tf_keras\.src\.preprocessing\.text\.Tokenizer") as error:
        vocabulary.read(FILES / "keras_tokenizer.pickle")
    assert "tokenizer.to_json()" in error.value.hint


def test_published_vocabularies(corpus: Path) -> None:
    for name, count in (
        ("char-rnn-tf10/save/chars_vocab.pkl", 148),
        ("char-rnn-tf012/save/chars_vocab.pkl", 65),
        ("shakespeare/pretrained_shakespeare/vocab.json", 65),
        ("textgenrnn/textgenrnn/textgenrnn_vocab.json", 464),
    ):
        path = corpus / name
        found = vocabulary.read(path)
        assert len(found.ids) == count
        if path.suffix == ".pkl":
            with path.open("rb") as file:  # the folder is trusted here, and only here
                chars, ids = pickle.load(file)
            assert (found.tokens, found.ids) == (chars, ids)
        else:
            assert found.ids == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("v.txt", "", "holds no token"),
        ("v.txt", "a\nb\na\n", "the token 'a' comes twice: it would be id 0 and id 2"),
        ("v.txt", "a\n\nb\n\nc\n", "lines 2, 4 are empty"),
        ("v.txt", b"a\n\xff\n", "no UTF-8 text: invalid start byte at byte 2"),
        ("v.txt", b"a\0b\n", "holds NUL"),
        ("v.json", "{", "is no JSON"),
        ("v.json", "[" * 100_000, "nested too deeply"),
        ("v.json", '{"a": 0, "a": 1}', "holds 'a' twice"),
        ("v.json", '{"a": 0, "b": 0}', "the tokens 'a' and 'b' both have the id 0"),
        ("v.json", '{"0": "a", "1": "a"}', "the token 'a' has the ids 0 and 1"),
        ("v.json", '{"a": -1}', "'a' has the id -1"),
        ("v.json", '{"a": 99999999999}', "'a' has the id 99999999999"),
        ("v.json", '{"a": 0.5}', "an object with 1 keys ('a')"),
        ("v.json", '{"a": true}', "expected tokens and ids"),
        ("v.json", '{"a": 0, "b": "c"}', "expected tokens and ids"),
        ("v.json", "[1, 2]", "a list of 2, the first int"),
        ("v.json", "3", "holds int"),
        ("v.json", "{}", "expected tokens and ids"),
        ("v.json", '[["a", "b"], {"a": 1, "b": 0}]', "2 vocabularies that differ"),
        ("v.json", '{"config": {"word_index": "{"}}', "is no JSON"),
        ("v.pkl", b"", "cut off"),
        ("v.pkl", b"hello", "damaged at byte 2"),
        ("v.pkl", b"\xfe", "no opcode"),
    ],
)
def test_malformed(tmp_path: Path, name: str, data: bytes | str, message: str) -> None:
    with pytest.raises(RnnprobeError) as error:
        vocabulary.read(write(tmp_path, name, data))
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / name))


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "SIZE_LIMIT", 3)
    with pytest.raises(RnnprobeError, match="has 4 bytes; the limit for a vocabulary is 3") as error:
        vocabulary.read(write(tmp_path, "v.txt", "a\nb\n"))
    assert error.value.status == 4


TOKENS = st.text(max_size=8)
INTEGERS = st.integers(-(2**100), 2**100)
NUMBERS = st.booleans() | INTEGERS | st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | NUMBERS | TOKENS | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TOKENS | INTEGERS, inner),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=300, deadline=None)
def test_plain_pickles_come_back(value: object, protocol: int) -> None:
    assert pickles.loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_become_plain(protocol: int) -> None:
    value = (
        collections.OrderedDict(b=0, a=1),
        collections.Counter("aab"),
        collections.defaultdict(int, a=3),
        {"x"},
        frozenset("y"),
        bytearray(b"z"),
    )
    dumped = pickle.dumps(value[:5], protocol)
    assert pickles.loads(dumped) == ({"b": 0, "a": 1}, {"a": 2, "b": 1}, {"a": 3}, ["x"], ["y"])
    shared = ["a"]
    assert pickles.loads(pickle.dumps([shared, shared, {"k": shared}], protocol)) == [["a"], ["a"], {"k": ["a"]}]


class _Gadget:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


GADGETS = {
    "system": (_Gadget(os.system, "touch MARK"), f"{os.name}.system"),
    "eval": (_Gadget(eval, "open('MARK', 'w')"), "builtins.eval"),
    "exec": (_Gadget(exec, "open('MARK', 'w')"), "builtins.exec"),
    "getattr": (_Gadget(getattr, "", "join"), "builtins.getattr"),
    "open": (_Gadget(open, "MARK", "w"), "io.open"),
    "import": (_Gadget(__import__, "os"), "builtins.__import__"),
    "path": (Path("MARK"), "pathlib.PosixPath"),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", GADGETS)
def test_gadgets_are_refused_by_name(name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gadget, refused = GADGETS[name]
    path = write(tmp_path, "v.pkl", pickle.dumps({"a": gadget}, protocol))
    with pytest.raises(Refused) as error:
        vocabulary.read(path)
    asked = str(error.value).replace("__builtin__", "builtins").replace("pathlib._local", "pathlib")
    assert refused in asked
    assert error.value.status == 3
    assert os.listdir(tmp_path) == ["v.pkl"]


MACHINE = {
    "inst": (b"(ios\nsystem\n.", Refused, "os.system"),
    "inst of a container": (b"(icollections\nCounter\n.", Refused, "instance of a class"),
    "obj": (b"(cbuiltins\ndict\no.", Refused, "OBJ"),
    "newobj": (b"cbuiltins\ndict\n)\x81.", Refused, "NEWOBJ"),
    "build": (b"}}b.", Refused, "BUILD"),
    "persistent": (b"Pthing\n.", Refused, "PERSID"),
    "binary persistent": (b"U\x01aQ.", Refused, "BINPERSID"),
    "extension": (b"\x82\x01.", Refused, "EXT1"),
    "buffer": (b"\x97.", Refused, "NEXT_BUFFER"),
    "call of text": (b"U\x01a)R.", Refused, "calls what it has built"),
    "a type called": (b"cbuiltins\nint\n(U\x01atR.", Refused, "calls int"),
    "dotted name": (b"\x8c\x08builtins\x8c\x0ddict.fromkeys\x93.", Refused, "builtins.dict.fromkeys"),
    "encode to a file": (b"c_codecs\nencode\n(X\x01\0\0\0aX\x05\0\0\0rot13tR.", Refused, "calls encode"),
    "no stop": (b"K\x01", BadInput, "cut off"),
    "stop on nothing": (b".", BadInput, "damaged"),
    "no mark": (b"K\x01t.", BadInput, "damaged"),
    "no memo": (b"h\x07.", BadInput, "damaged"),
    "append to text": (b"U\x01aK\x01a.", BadInput, "no list"),
    "items of a list": (b"]K\x01K\x02s.", BadInput, "no dict"),
    "odd items": (b"}(K\x01u.", BadInput, "no dict"),
    "list as a key": (b"}]K\x01s.", BadInput, "list as a key"),
    "tuple as a key": (b"})K\x01s.", BadInput, "tuple as a key"),
    "long text": (b"\x8d" + struct.pack("<Q", 2**62) + b"a.", BadInput, "cut off"),
    "negative size": (b"T" + struct.pack("<i", -5) + b"a.", BadInput, "cut off"),
    "long integer": (b"\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b".", BadInput, "5000 bytes"),
    "long decimal": (b"L" + b"9" * 5000 + b"L\n.", BadInput, "40 digits"),
    "no number": (b"Iabc\n.", BadInput, "damaged"),
    "no quotes": (b"Sabc\n.", BadInput, "without quotes"),
    "protocol 9": (b"\x80\x09.", BadInput, "protocol 9"),
    "copies": (b"](" + b"K\x01" * 2000 + b"eq\0" + b"cbuiltins\nlist\nq\x010" + b"h\x01h\0\x85R0" * 500 + b"h\0.",
               BadInput, "over and over"),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINE)
def test_the_machine(name: str) -> None:
    data, error, message = MACHINE[name]
    with pytest.raises(error, match=message):
        pickles.loads(data)


def test_every_cut_is_an_error() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps({"tokens": ["a", "b", b"c"], "n": 3.5, "big": 2**70}, protocol)
        for size in range(len(data)):
            with pytest.raises(BadInput):
                pickles.loads(data[:size])


@given(st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BadInput, Refused):
        pickles.loads(data)
