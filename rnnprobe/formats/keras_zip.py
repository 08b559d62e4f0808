"""Keras 3's `.keras`: a zip of `metadata.json`, `config.json` and `model.weights.h5`.

https://github.com/keras-team/keras, `saving_lib.py`. The zip's own directory is checked against the file before
anything is read: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rnnprobe.errors import BadInput, OutOfResources, Refused
from rnnprobe.formats.format import Format
from rnnprobe.formats.keras_hdf5 import decode
from rnnprobe.formats.keras_json import CONFIG_BYTES, keras_config, parse
from rnnprobe.formats.keras_tree import Source, open_tree
from rnnprobe.types import Checkpoint

MAGIC = b"PK\x03\x04"
MEMBERS = 10_000
_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
# Deflate at its best, and the slack below which a wrong size does no harm.
_RATIO, _SLACK = 1032, 1 << 20
_BLOCK = 1 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, struct.error, OverflowError)


def _matches(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_LOCAL.size + 64)
    except OSError:
        return False
    first = head[_LOCAL.size :]
    known = any(first.startswith(name.encode()) for name in (_CONFIG, _WEIGHTS, _METADATA))
    return head.startswith(MAGIC) and (path.suffix == ".keras" or known)


def _read(path: Path) -> Checkpoint:
    """The configuration and the weights of a `.keras` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            config = keras_config(parse(_content(archive, members, _CONFIG, path), path, _CONFIG))
            if config is None:
                raise BadInput(f"{_CONFIG} holds no Keras configuration", path=path)
            version = config.version or _version(archive, members, path)
            source = _source(archive, members[_WEIGHTS], path)
    except _DAMAGE as exc:
        raise BadInput(f"the zip archive is damaged: {exc}", path=path) from exc
    except MemoryError as exc:
        raise OutOfResources("the zip archive claims more than there is memory for", path=path) from exc
    tree = open_tree(source)
    return decode(tree, path, keras_config(config.model, version), version, "Keras model (.keras)")


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by name, each of them possible."""
    size = path.stat().st_size
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if len(members) >= MEMBERS:
            raise BadInput(f"the zip archive holds more than {MEMBERS} members", path=path)
        if name in members:
            raise BadInput(f"the zip archive holds two members called {name!r}", path=path)
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or ":" in name:
            raise Refused(f"the zip archive holds {name!r}, a path that leads out of it", path=path)
        if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(f"{name!r} is encrypted, or compressed in a way that Keras never uses", path=path)
        stored = info.compress_type == zipfile.ZIP_STORED
        bound = info.compress_size if stored else info.compress_size * _RATIO + _SLACK
        if info.header_offset + info.compress_size > size or info.file_size > bound:
            raise BadInput(f"{name!r} declares {info.file_size} bytes, more than the archive can hold", path=path)
        members[name] = info
    missing = [name for name in (_CONFIG, _WEIGHTS) if name not in members]
    if missing:
        held = ", ".join(sorted(members)[:8]) or "nothing"
        raise BadInput(f"the zip archive holds no {missing[0]} (it holds {held}), and is no .keras file", path=path)
    return members


def _content(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, path: Path) -> bytes:
    if members[name].file_size > CONFIG_BYTES:
        raise BadInput(f"{name} is larger than {CONFIG_BYTES >> 20} MiB", path=path)
    return archive.read(members[name])


def _version(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> str:
    if _METADATA not in members:
        return ""
    metadata = parse(_content(archive, members, _METADATA, path), path, _METADATA)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _source(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Source:
    """Where the weights lie in the file, their checksum having been verified."""
    with archive.open(info) as member:
        while member.read(_BLOCK):
            pass  # the end of the member is where zipfile compares the checksum
    with path.open("rb") as file:
        file.seek(info.header_offset)
        head = _LOCAL.unpack(file.read(_LOCAL.size))
    start = info.header_offset + _LOCAL.size + head[-2] + head[-1]
    if head[0] != MAGIC or start + info.compress_size > path.stat().st_size:
        raise BadInput(f"{info.filename} reaches beyond the end of the archive", path=path)
    return Source(path, start, info.file_size, info.compress_size, info.compress_type == zipfile.ZIP_DEFLATED)


KERAS_ZIP = Format("Keras zip (.keras)", _matches, _read)
