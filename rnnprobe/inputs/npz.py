"""`.npz`: a zip file of `.npy` files. Members stored as they are (`np.savez`) are read in place; compressed ones
(`np.savez_compressed`) are unpacked one by one, up to a limit."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from threading import Lock

from rnnprobe.errors import OutOfResources
from rnnprobe.inputs import npy
from rnnprobe.inputs.collection import gather
from rnnprobe.inputs.file import File, spooled
from rnnprobe.inputs.found import Found, Grid, Reader, Request
from rnnprobe.inputs.heap import Heap
from rnnprobe.inputs.named import below, gather_each
from rnnprobe.types import Array

UNPACKED_LIMIT = 1 << 30
"""Bytes that the compressed members of one file may come to."""

_RATIO = 1032  # deflate can't do better
_LOCAL = 30  # bytes of a local header before the name
_BROKEN = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError, EOFError)
"""What `zipfile` raises on a directory that is none. OSError is turned into `BadInput` by `File.open`."""


def read(file: File, request: Request) -> Found:
    """The array that the key names; else `x` or `ids` with `lengths` and `names`; else an array for each sequence."""
    return gather(file, arrays(file, request.heap), request)


def several(file: File, requests: Mapping[str, Request]) -> dict[str, Found]:
    """The arrays of each of several inputs."""
    heap = next(iter(requests.values())).heap
    return gather_each(below(arrays(file, heap), file.key), requests, file.path)


def arrays(file: File, heap: Heap | None = None) -> dict[str, Grid]:
    """Every array by name, none loaded (compressed ones when they are first asked for).

    Args:
        file: the archive.
        heap: what keeps what was unpacked.

    Raises:
        BadInput: the zip file or a header in it is damaged, or two members have one name.
        OutOfResources: the compressed members come to more than `UNPACKED_LIMIT`.
    """
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except _BROKEN as exc:
        raise file.bad(f"the zip structure is damaged: {exc}") from exc
    found: dict[str, Grid] = {}
    packed = 0
    for member in members:
        if not member.filename.endswith(".npy"):
            raise file.bad(f"holds {member.filename!r}, which is no .npy array")
        name = member.filename[: -len(".npy")]
        if name in found:
            raise file.bad(f"holds two arrays named {name!r}")
        if member.flag_bits & 1:
            raise file.bad(f"{name!r} is encrypted")
        start = _start(file, member)
        if member.compress_type == zipfile.ZIP_STORED:
            found[name] = npy.grid(file, start, member.file_size, repr(name))
        elif member.compress_type == zipfile.ZIP_DEFLATED:
            packed += member.file_size
            if packed > UNPACKED_LIMIT:
                raise OutOfResources(
                    f"its compressed arrays come to over {UNPACKED_LIMIT >> 20} MiB, the most that is unpacked",
                    path=file.path,
                    hint="np.savez without compression, and .npy, are read in place",
                )
            found[name] = _unpacked(file, member, start, repr(name), heap or Heap())
        else:
            raise file.bad(f"{name!r} is compressed by method {member.compress_type}; expected none or deflate")
    return found


def _start(file: File, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin. Raises `BadInput` where they don't lie within the file, or can't be so many."""
    with file.open() as stream:
        stream.seek(member.header_offset)
        head = npy.read_exactly(stream, _LOCAL)
    if len(head) < _LOCAL or not head.startswith(b"PK\x03\x04"):
        raise file.bad(f"the zip structure is damaged: no member begins at byte {member.header_offset}")
    start = (
        member.header_offset + _LOCAL + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    )
    most = member.compress_size
    if member.compress_type != zipfile.ZIP_STORED:
        most = most * _RATIO + 64
    if start + member.compress_size > file.size or member.file_size > most:
        raise file.bad(f"the zip structure is damaged: {member.filename!r} does not fit into the file")
    return start


def _unpacked(file: File, member: zipfile.ZipInfo, start: int, name: str, heap: Heap) -> Grid:
    """An array that is unpacked when it is first read."""
    shape, _, dtype, offset = npy.parse(_inflate(file, member, start, 1 << 14, name), name, file.path)
    npy.fits(shape, dtype, member.file_size - offset, name, file.path)
    cache: list[Grid] = []
    lock = Lock()

    def unpack() -> None:
        with lock:  # threads may ask for it at once
            if cache:
                return
            data = _inflate(file, member, start, member.file_size, name)
            if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
                raise file.bad(f"{name} is damaged: its checksum is wrong")
            inner = spooled(file.path, ".npy", "", [(heap.keep(data), len(data))])
            cache.append(npy.grid(inner, 0, len(data), name))

    def load(slices: tuple[slice, ...]) -> Array:
        unpack()
        return cache[0].read(slices)

    return Grid(shape, dtype, load, name)


def _inflate(file: File, member: zipfile.ZipInfo, start: int, size: int, name: str) -> bytes:
    """The first `size` bytes of a compressed member, or fewer where there are no more."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    left = member.compress_size
    try:
        with file.open() as stream:
            stream.seek(start)
            while left and len(out) < size and not engine.eof:
                chunk = npy.read_exactly(stream, min(left, 1 << 16))
                left -= len(chunk)
                out += engine.decompress(bytes(chunk), size - len(out))
                while engine.unconsumed_tail and len(out) < size:
                    out += engine.decompress(engine.unconsumed_tail, size - len(out))
    except zlib.error as exc:
        raise file.bad(f"{name} is damaged: {exc}") from exc
    return bytes(out)


NPZ = Reader("npz", (".npz",), lambda head: head.startswith(b"PK"), read, several)
