"""Tables: what is written is read, and what no writer writes is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnprobe.errors import BadInput
from rnnprobe.formats import files
from rnnprobe.formats.table import MAGIC, Table, is_table, open_table, varint
from tests.formats import forge

CONTENTS = st.dictionaries(st.binary(max_size=40), st.binary(max_size=300), min_size=1, max_size=60)


def opened(path: Path, data: bytes) -> Table:
    path.write_bytes(data)
    return open_table(path)


@given(contents=CONTENTS, cuts=st.sets(st.integers(1, 59)), snappy=st.booleans())
def test_what_is_written_is_read(
    contents: dict[bytes, bytes], cuts: set[int], snappy: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    items = sorted(contents.items())
    ends = [0, *sorted(cut for cut in cuts if cut < len(items)), len(items)]
    blocks = [items[start:stop] for start, stop in pairwise(ends)]
    table = opened(tmp_path_factory.getbasetemp() / "table", forge.table(blocks, snappy))
    assert list(table.items()) == items
    for key, value in items:
        assert table.get(key) == value
        assert contents.get(key + b"\0") == table.get(key + b"\0")
    assert table.get(b"\xff" * 41) is None


def test_an_empty_table(tmp_path: Path) -> None:
    table = opened(tmp_path / "t", forge.table([]))
    assert list(table.items()) == []
    assert table.get(b"") is None


@given(number=st.integers(0, 2**64 - 1), more=st.binary(max_size=3))
def test_varints(number: int, more: bytes) -> None:
    data = forge.varint(number)
    assert varint(data + more, 0) == (number, len(data))
    for size in range(len(data)):
        with pytest.raises(ValueError, match="past the end"):
            varint(data[:size], 0)


@pytest.mark.parametrize("data", [b"\x81\x00", b"\x80\x80\x00", b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x01"])
def test_varints_that_no_writer_writes(data: bytes) -> None:
    with pytest.raises(ValueError, match="as it should"):
        varint(data, 0)


KEYS = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]


def test_keys_out_of_order(tmp_path: Path) -> None:
    for blocks in ([KEYS[::-1]], [[KEYS[0], KEYS[0]]], [KEYS[1:], KEYS[:1]], [KEYS, KEYS[1:]]):
        with pytest.raises(BadInput, match="out of order"):
            list(opened(tmp_path / "t", forge.table(blocks)).items())


def test_unknown_compression(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="compression 4"):
        opened(tmp_path / "t", forge.table([KEYS], compression=4))


def test_a_snappy_block_that_claims_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compress = forge.cramjam.snappy.compress_raw
    bomb = forge.varint(2**32 - 1) + bytes(compress(b"x" * 100))[1:]
    monkeypatch.setattr(forge.cramjam, "snappy", _Snappy(bomb))
    data = forge.table([KEYS], snappy=True)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="more than snappy can"):
        list(opened(tmp_path / "t", data).items())


class _Snappy:
    def __init__(self, stored: bytes) -> None:
        self.stored = stored

    def compress_raw(self, content: bytes) -> bytes:
        return self.stored


def test_a_block_whose_entries_reach_past_it(tmp_path: Path) -> None:
    restarts = (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    for content in (b"\0\1\x05a1", b"\0\x09\0a", b"\1\1\1a1", b"\0\1", b"\x80"):
        path = tmp_path / "t"
        stored = content + restarts + b"\0"
        block = stored + files.mask(files.crc32c(stored)).to_bytes(4, "little")
        whole = forge.table([])
        meta, index = whole[:13], forge.block([(b"z", b"\0" + forge.varint(len(stored) - 1))]) + b"\0"
        index += files.mask(files.crc32c(index)).to_bytes(4, "little")
        footer = forge.varint(len(block)) + forge.varint(8)
        footer += forge.varint(len(block) + len(meta)) + forge.varint(len(index) - 5)
        path.write_bytes(block + meta + index + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little"))
        with pytest.raises(BadInput, match="damaged"):
            list(open_table(path).items())


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    for whole in (data, data + MAGIC.to_bytes(8, "little")):
        with pytest.raises(BadInput):
            list(opened(path, whole).items())


def test_what_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"x" * 100)
    assert not is_table(path)
    assert not is_table(tmp_path)
    assert not is_table(tmp_path / "missing")
    path.write_bytes(forge.table([KEYS]))
    assert is_table(path)
