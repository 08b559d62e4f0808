"""Tables and bundles made by hand, so that what no writer would store can be read in a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cramjam

from rnnprobe.formats import files, protos
from rnnprobe.formats.table import MAGIC


def message(kind: str, **fields: Any) -> Any:
    """One of the messages of `rnnprobe.formats.protos`."""
    return protos._classes()[kind](**fields)


def varint(value: int) -> bytes:
    """A number as LevelDB and protocol buffers write it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def block(items: Iterable[tuple[bytes, bytes]], restart: int = 16) -> bytes:
    """The content of a block: each key as what differs from the one before, anew at each restart point."""
    out, before, restarts = bytearray(), b"", []
    for k, (key, value) in enumerate(items):
        shared = 0
        if k % restart:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return bytes(out) + b"".join(at.to_bytes(4, "little") for at in [*restarts, len(restarts)])


def table(blocks: list[list[tuple[bytes, bytes]]], snappy: bool = False, compression: int | None = None) -> bytes:
    """A whole table; the bound of a block is its last key."""
    out, index = bytearray(), []

    def add(content: bytes, kind: int) -> bytes:
        stored = bytes(cramjam.snappy.compress_raw(content)) if kind == 1 else content
        handle = varint(len(out)) + varint(len(stored))
        stored += bytes([kind if compression is None else compression])
        out.extend(stored + files.mask(files.crc32c(stored)).to_bytes(4, "little"))
        return handle

    for items in blocks:
        index.append((items[-1][0], add(block(items), int(snappy))))
    footer = add(block([]), 0) + add(block(index), 0)
    return bytes(out) + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")


def bundle(
    folder: Path, entries: Mapping[bytes, Any], shards: Mapping[str, bytes], header: Any = None, name: str = "m"
) -> Path:
    """A bundle's files in `folder`, its prefix returned; `shards` by the end of their names."""
    header = header or message("BundleHeader", num_shards=len(shards))
    items = sorted([(b"", header), *entries.items()])
    (folder / f"{name}.index").write_bytes(table([[(key, value.SerializeToString()) for key, value in items]]))
    for end, data in shards.items():
        (folder / f"{name}.data-{end}").write_bytes(data)
    return folder / name


def entry(data: bytes, sizes: tuple[int, ...], code: int = 1, /, **fields: Any) -> Any:
    """A tensor's entry in a bundle, right unless `fields` says otherwise."""
    given = {
        "dtype": code,
        "shape": message("Shape", dim=[message("Dim", size=size) for size in sizes]),
        "size": len(data),
        "crc32c": files.mask(files.crc32c(data)),
    }
    return message("BundleEntry", **(given | fields))


def part(*pairs: tuple[int, int] | None) -> Any:
    """A slice of a tensor: (start, length) for each axis, None for a whole one."""
    extents = [
        message("Extent") if pair is None else message("Extent", start=pair[0], length=pair[1]) for pair in pairs
    ]
    return message("Slice", extent=extents)
