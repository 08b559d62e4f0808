"""The data files of a tensor bundle, and the bytes that its index claims of them.

A tensor's CRC32C covers all its bytes, so it can't be told of a slice alone. The first read of a tensor, be it of a few
rows, therefore runs over all its bytes, in small chunks; from then on, as long as the file is not written again, a
slice reads its own bytes alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.formats import dtypes, files
from rnnprobe.formats.table import varint
from rnnprobe.types import Array

INDEX = ".index"
SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
LITTLE = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Values that lie together in a shard: a `pieces.Piece`.

    Attributes:
        what: the tensor, for messages.
        path: the shard.
        crc: of all its bytes, masked.
        verified: the shard's fingerprint when all the bytes last matched the CRC.
    """

    what: str
    path: Path
    offset: int
    size: int
    crc: int
    code: int
    shape: tuple[int, ...]
    verified: set[tuple[int, int, int]] = field(default_factory=set, compare=False)

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop`; a scalar has one. Raises `BadInput` where bytes are damaged."""
        if self.code == dtypes.STRING:
            strings = self._strings().reshape(self.shape)
            return strings[start:stop] if self.shape else strings
        shape = (stop - start, *self.shape[1:]) if self.shape else ()
        row = self.size // max(self.shape[0], 1) if self.shape else self.size
        return dtypes.native(self._bytes(start * row, stop * row), self.code, shape)

    def _bytes(self, start: int, stop: int) -> bytearray:
        """The bytes `start … stop` of the tensor, after all of them matched its CRC."""
        mark = files.fingerprint(self.path)
        wanted = bytearray(stop - start)
        if mark in self.verified:
            at = 0
            for chunk in files.chunks(self.path, self.offset + start, stop - start):
                wanted[at : at + len(chunk)] = chunk
                at += len(chunk)
            return wanted
        at = crc = 0
        for chunk in files.chunks(self.path, self.offset, self.size):
            crc = files.crc32c(chunk, crc)
            low, high = max(start, at), min(stop, at + len(chunk))
            if low < high:
                wanted[low - start : high - start] = memoryview(chunk)[low - at : high - at]
            at += len(chunk)
        self._check(crc, mark)
        return wanted

    def _check(self, crc: int, mark: tuple[int, int, int]) -> None:
        if files.mask(crc) != self.crc:
            raise BadInput(
                f"tensor {self.what} is damaged: the CRC32C of its {self.size} bytes at byte {self.offset} is not "
                "the one in the index",
                path=self.path,
                hint="the file was changed or copied badly, or the shard belongs to another checkpoint: copy it again",
            )
        self.verified.add(mark)

    def _strings(self) -> Array:
        """Strings: their lengths as varints, a CRC of the lengths, their bytes. The CRCs see a length as an integer."""
        mark = files.fingerprint(self.path)
        stored = files.read(self.path, self.offset, self.size)
        count, at, crc = prod(self.shape), 0, 0
        lengths = []
        try:
            for _ in range(count):
                size, at = varint(stored, at)
                lengths.append(size)
        except ValueError as exc:
            raise BadInput(f"tensor {self.what} is damaged: {exc}", path=self.path) from exc
        crc = files.crc32c(b"".join(n.to_bytes(4 if n < 1 << 32 else 8, "little") for n in lengths))
        crc = files.crc32c(stored[at : at + 4], crc)
        if at + 4 + sum(lengths) != self.size:
            raise BadInput(
                f"tensor {self.what} is damaged: its strings don't fill its {self.size} bytes", path=self.path
            )
        at += 4
        self._check(files.crc32c(stored[at:], crc), mark)
        strings = np.empty(count, object)
        for k, size in enumerate(lengths):
            strings[k] = stored[at : at + size]
            at += size
        return strings


class Shards:
    """The data files of a bundle: their lengths, and what its entries claim of them."""

    def __init__(self, prefix: Path, header: Any) -> None:
        self.prefix = prefix
        self.count: int = header.num_shards
        self.big_endian = header.endianness != LITTLE
        self.lengths: dict[int, int | None] = {}
        self.claims: list[tuple[int, int, int, str]] = []

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return files.beside(self.prefix, f".data-{shard:05}-of-{self.count:05}")

    def length(self, shard: int) -> int | None:
        """A shard's bytes, or None where it is missing."""
        if shard not in self.lengths:
            path = self.path(shard)
            missing = not path.exists()
            self.lengths[shard] = None if missing else files.length(path)
        return self.lengths[shard]

    def claim(self, name: str, entry: Any, shape: tuple[int, ...], index: Path) -> Stored:
        """An entry's bytes, checked against its shape and its shard's real length."""
        shard, offset, size, code = entry.shard_id, entry.offset, entry.size, entry.dtype
        if not 0 <= shard < self.count:
            raise BadInput(f"tensor {name} is said to lie in shard {shard} of {self.count}", path=index)
        count, dtype = prod(shape), dtypes.fixed(code)
        if offset < 0 or size < 0:
            raise BadInput(f"tensor {name} is said to lie at byte {offset}, {size} bytes long", path=index)
        if (dtype and size != count * dtype.itemsize) or (code == dtypes.STRING and size < count + 4):
            raise BadInput(
                f"tensor {name} of shape {shape} and dtype {dtypes.name(code)} can't take {size} bytes", path=index
            )
        if code == 0:
            raise BadInput(f"tensor {name} has no dtype", path=index)
        length = self.length(shard)
        if length is not None and offset + size > length:
            raise BadInput(
                f"tensor {name} takes the bytes {offset} … {offset + size}, and the file has {length}: it is truncated "
                "or belongs to another checkpoint",
                path=self.path(shard),
            )
        if size:
            self.claims.append((shard, offset, offset + size, name))
        return Stored(name, self.path(shard), offset, size, entry.crc32c, code, shape)

    def check_overlaps(self) -> None:
        """Raises `BadInput` where two tensors claim the same bytes."""
        self.claims.sort()
        for (shard, _, stop, name), (other, start, _, later) in pairwise(self.claims):
            if shard == other and start < stop:
                raise BadInput(
                    f"tensors {name} and {later} overlap in shard {shard}", path=files.beside(self.prefix, INDEX)
                )

    def problem(self, stored: Iterable[Stored]) -> str:
        """Why these bytes can't be had, or empty."""
        missing = sorted({piece.path.name for piece in stored if not self._there(piece)})
        if missing:
            return f"the data file {', '.join(missing)} is missing; copy it beside the index"
        return "big-endian values are not read" if self.big_endian else ""

    def _there(self, piece: Stored) -> bool:
        found = SHARD.search(piece.path.name)
        return found is None or self.lengths[int(found[1])] is not None

    def notes(self) -> tuple[str, ...]:
        """What a report should say of the files."""
        missing = [self.path(shard).name for shard, length in sorted(self.lengths.items()) if length is None]
        surplus = [name for name in self._others() if name.rpartition("-of-")[2] != f"{self.count:05}"]
        notes = []
        if missing:
            notes.append(f"shapes can be reported, values cannot: the data file {', '.join(missing)} is missing")
        if surplus:
            notes.append(f"not of this checkpoint, whose index names {self.count} shards: {', '.join(surplus)}")
        return tuple(notes)

    def _others(self) -> list[str]:
        stem = self.prefix.name
        try:
            names = [path.name for path in self.prefix.parent.iterdir()]
        except OSError as exc:
            raise BadInput(f"can't be listed: {exc.strerror}", path=self.prefix.parent) from exc
        return sorted(name for name in names if name.startswith(stem) and SHARD.fullmatch(name[len(stem) :]))
