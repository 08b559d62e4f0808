"""Sorted tables of keys and values, as TensorFlow stores the index of a V2 bundle and a whole V1 checkpoint.

The layout is LevelDB's, https://github.com/google/leveldb/blob/main/doc/table_format.md, with CRC32C under every block:
data blocks, a metaindex block (empty here), an index block, and a footer of 48 bytes. TensorFlow's writer leaves no gap
between them, so none is allowed: every byte of the file but the footer's padding is then under a CRC or compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.formats import files

FOOTER = 48
TRAILER = 5  # a byte for the compression, four for the CRC
MAGIC = 0xDB4775248B80FB57
MAX_ENTRIES = 500_000  # a checkpoint has a few thousand; a hostile table of tiny entries must not fill the memory
MAX_KEYS = 1 << 28  # bytes of all keys: they are stored as differences and unfold to far more than the file
SNAPPY_RATIO = 22  # what snappy can unfold at most: 3 bytes stand for 64


@dataclass(frozen=True, slots=True)
class Handle:
    """Where a block lies: `size` bytes at `offset`, its trailer not counted."""

    offset: int
    size: int

    @property
    def stop(self) -> int:
        """The first byte behind its trailer."""
        return self.offset + self.size + TRAILER


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table: its blocks fill the file without a gap, and none of the data blocks was read.

    Attributes:
        path: the file.
        blocks: the data blocks in order.
        bounds: for each block a key that no key in it is above and every key of the next is above.
    """

    path: Path
    blocks: tuple[Handle, ...]
    bounds: tuple[bytes, ...]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value, by rising key. Raises `BadInput` where a block is damaged."""
        above: bytes | None = None
        entries = unfolded = 0
        for handle, bound in zip(self.blocks, self.bounds, strict=True):
            for key, value in self._block(handle, above, bound):
                entries += 1
                unfolded += len(key)
                if entries > MAX_ENTRIES or unfolded > MAX_KEYS:
                    raise BadInput(
                        f"the table has over {MAX_ENTRIES} entries or {MAX_KEYS} bytes of keys; no checkpoint has",
                        path=self.path,
                    )
                yield key, value
            above = bound

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. Reads one block. Raises `BadInput` where it is damaged."""
        k = bisect_left(self.bounds, key)
        if k == len(self.blocks):
            return None
        above = self.bounds[k - 1] if k else None
        return next(
            (value for found, value in self._block(self.blocks[k], above, self.bounds[k]) if found == key), None
        )

    def _block(self, handle: Handle, above: bytes | None, bound: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in _entries(_content(self.path, handle), self.path, handle):
            if (above is not None and key <= above) or key > bound:
                raise BadInput(f"the keys of the block at byte {handle.offset} are out of order", path=self.path)
            above = key
            yield key, value


def is_table(path: Path) -> bool:
    """Whether a regular file ends like a table. Never raises."""
    try:
        size = files.length(path)
        return size >= FOOTER and int.from_bytes(files.read(path, size - 8, 8), "little") == MAGIC
    except BadInput:
        return False


def open_table(path: Path) -> Table:
    """Reads the footer and the index of a table.

    Raises:
        BadInput: it is no table, is truncated, or its blocks don't fill it.
    """
    size = files.length(path)
    if size < FOOTER:
        raise BadInput(f"the table's footer takes {FOOTER} bytes, the file has {size}", path=path)
    footer = files.read(path, size - FOOTER, FOOTER)
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise BadInput("the table's footer does not end with its magic number: truncated, or not a table", path=path)
    try:
        meta, at = _handle(footer[:-8], 0)
        index, _ = _handle(footer[:-8], at)
    except ValueError as exc:
        raise BadInput(f"the table's footer is damaged: {exc}", path=path) from exc
    if index.stop != size - FOOTER or meta.stop != index.offset:
        raise BadInput("the table's footer is damaged: its metaindex and index blocks don't end the file", path=path)
    blocks, bounds = _index(path, index)
    for block, following in pairwise([*blocks, meta]):
        if block.stop != following.offset:
            raise BadInput(f"the table has a gap or an overlap behind byte {block.offset}", path=path)
    if (blocks[0] if blocks else meta).offset:
        raise BadInput("the table's first block does not begin the file", path=path)
    for _ in _entries(_content(path, meta), path, meta):
        raise BadInput("the table has a metaindex, which TensorFlow never writes", path=path)
    return Table(path, tuple(blocks), tuple(bounds))


def _index(path: Path, handle: Handle) -> tuple[list[Handle], list[bytes]]:
    """The data blocks that the index block lists, and their bounds, which rise."""
    blocks: list[Handle] = []
    bounds: list[bytes] = []
    for bound, value in _entries(_content(path, handle), path, handle):
        try:
            block, _ = _handle(value, 0)
        except ValueError as exc:
            raise BadInput(f"the table's index is damaged: {exc}", path=path) from exc
        if (bounds and bound <= bounds[-1]) or len(blocks) >= MAX_ENTRIES:
            raise BadInput("the table's index is out of order, or far longer than any checkpoint's", path=path)
        blocks.append(block)
        bounds.append(bound)
    return blocks, bounds


def _content(path: Path, handle: Handle) -> bytes:
    """What a block holds, after its CRC and its compression."""
    if handle.stop > files.length(path):
        raise BadInput(f"the block at byte {handle.offset} reaches past the end of the file", path=path)
    stored = files.read(path, handle.offset, handle.size + TRAILER)
    if files.mask(files.crc32c(stored[:-4])) != int.from_bytes(stored[-4:], "little"):
        raise BadInput(f"the block at byte {handle.offset} is damaged: its CRC32C does not match", path=path)
    content, compression = stored[:-TRAILER], stored[-TRAILER]
    if compression == 0:
        return content
    if compression == 1:
        return _unsnap(content, path, handle)
    raise BadInput(
        f"the block at byte {handle.offset} has compression {compression}; known are 0 (none) and 1 (snappy)", path=path
    )


def _unsnap(content: bytes, path: Path, handle: Handle) -> bytes:
    import cramjam

    try:
        size = cramjam.snappy.decompress_raw_len(content)
        if size > SNAPPY_RATIO * len(content):
            raise BadInput(
                f"the block at byte {handle.offset} claims to unfold from {len(content)} to {size} bytes, "
                "more than snappy can",
                path=path,
            )
        return bytes(cramjam.snappy.decompress_raw(content))
    except cramjam.DecompressionError as exc:
        raise BadInput(f"the block at byte {handle.offset} is not snappy data: {exc}", path=path) from exc


def _entries(block: bytes, path: Path, handle: Handle) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; each key is stored as what differs from the one before."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if len(block) < 4 or end < 0:
        raise BadInput(f"the block at byte {handle.offset} is too short for its restart points", path=path)
    key, at = b"", 0
    while at < end:
        try:
            shared, at = varint(block, at)
            unshared, at = varint(block, at)
            size, at = varint(block, at)
        except ValueError as exc:
            raise BadInput(f"the block at byte {handle.offset} is damaged: {exc}", path=path) from exc
        middle, stop = at + unshared, at + unshared + size
        if shared > len(key) or stop > end:
            raise BadInput(f"the block at byte {handle.offset} is damaged: an entry reaches past its end", path=path)
        key = key[:shared] + block[at:middle]
        yield key, block[middle:stop]
        at = stop


def _handle(data: bytes, at: int) -> tuple[Handle, int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return Handle(offset, size), at


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, lowest first, and where it ends.

    Raises:
        ValueError: it does not end, is over 64 bits, or is written longer than it need be.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number runs past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (shift and not byte) or value >> 64:
                break
            return value, at
    raise ValueError("a number is not written as it should be")
