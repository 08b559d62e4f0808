"""Looks into HDF5 files in a process of its own, so that a hostile one can end no more than that process.

libhdf5 was not written for hostile files: some crash it and some make it run for ever. `rnnprobe.formats.keras_tree`
starts this file as a script, with limits on memory and time, and asks it what a file holds; the values of contiguous
datasets are then read without libhdf5. Nothing of rnnprobe is imported here.

A request is a line of JSON: `path`, the `start` and `size` of the HDF5 file in it, `deflated` (a compressed zip
member) and, to read values, `name`, `first` and `stop` (rows). An answer is a line of JSON, with `payload` bytes
behind it.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

DEPTH = 64
OBJECTS = 50_000
ATTRIBUTE_BYTES = 64 << 20
MEMORY = 2 << 30
CPU_SECONDS = 4

# Deflate at its best, and the slack below which a wrong size does no harm.
_RATIO, _SLACK = 1032, 1 << 20
_ATTRIBUTES = ("keras_version", "backend", "model_config", "format", "name", "dtype")
_LISTS = ("layer_names", "weight_names")
# deflate, shuffle, fletcher32, szip, nbit, scale-offset, and h5py's own lzf.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
# What h5py and numpy raise on damaged files.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, zlib.error)


class Refuse(Exception):
    """The file asks for something that lies outside of it."""


class Bad(Exception):
    """The file is damaged, or claims more than it can hold."""


class Window(io.RawIOBase):
    """The bytes `start … start + size` of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        count = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(count)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def limit() -> None:
    """Bounds this process: memory, no core dump, no file written."""
    try:
        import resource
    except ImportError:  # no such limits on this system
        return
    for what, bound in (("RLIMIT_AS", MEMORY), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0)):
        kind = getattr(resource, what)
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, hard))


def renew(size: int) -> None:
    """Gives the next request its share of processor time, for a file of `size` bytes."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    bound = int(used.ru_utime + used.ru_stime) + CPU_SECONDS + (size >> 24)
    resource.setrlimit(resource.RLIMIT_CPU, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def open_file(request: dict[str, Any]) -> Any:
    """The HDF5 file that a request speaks of."""
    import h5py

    path, start, size = request["path"], request["start"], request["size"]
    if request["deflated"]:
        with open(path, "rb") as file:
            file.seek(start)
            data = zlib.decompressobj(-15).decompress(file.read(request["stored"]), size + 1)
        if len(data) != size:
            raise Bad(f"holds compressed weights that come to {len(data)} bytes, not to the {size} declared")
        return h5py.File(io.BytesIO(data), "r")
    if start == 0 and size == os.path.getsize(path):
        return h5py.File(path, "r", locking="best-effort")
    return h5py.File(Window(open(path, "rb"), start, size), "r")


def walk(file: Any) -> Iterator[tuple[str, Any]]:
    """Every group and dataset by its path, the root first, `""`. Links that lead elsewhere are never followed."""
    import h5py

    yield "", file.id
    stack = [("", file.id, 0)]
    count = 0
    while stack:
        path, group, depth = stack.pop()
        below = []
        for raw in group:
            name = raw.decode("utf-8", "surrogateescape")
            here = f"{path}/{name}" if path else name
            count += 1
            if count > OBJECTS:
                raise Bad(f"holds more than {OBJECTS} objects, or groups that contain each other")
            if "/" in name or name in ("", ".", ".."):
                raise Bad(f"a link in {path or '/'} is called {name!r}")
            link = group.links.get_info(raw).type
            if link != h5py.h5l.TYPE_HARD:
                kind = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}
                raise Refuse(f"{here} is {kind.get(link, 'a link of an unknown kind')}")
            found = h5py.h5o.open(group, raw)
            if isinstance(found, h5py.h5g.GroupID):
                if depth >= DEPTH:
                    raise Bad(f"groups nest deeper than {DEPTH}, or contain each other ({here[:80]} …)")
                below.append((here, found, depth + 1))
            yield here, found
        stack += reversed(below)


def attributes(oid: Any, path: str) -> dict[str, Any]:
    """The attributes that Keras writes and rnnprobe reads: strings, and lists of strings."""
    import h5py

    found = h5py.AttributeManager(h5py.Group(oid) if isinstance(oid, h5py.h5g.GroupID) else h5py.Dataset(oid))
    values: dict[str, Any] = {}
    for name in found:
        stem = name.rstrip("0123456789")
        if name not in _ATTRIBUTES and stem not in _LISTS:
            continue
        declared = found.get_id(name)
        if math.prod(declared.shape) * declared.dtype.itemsize > ATTRIBUTE_BYTES:
            raise Bad(f"the attribute {name} of {path or '/'} is larger than {ATTRIBUTE_BYTES} bytes")
        value = found[name]
        if name in _ATTRIBUTES:
            text = _text(value)
            if text is not None:
                values[name] = text
        else:
            # Keras cuts a list that is too long for one attribute into name0, name1 …
            values.setdefault(f"{stem}?", {})[int(name[len(stem) :] or 0)] = _texts(value)
    for stem in _LISTS:
        if f"{stem}?" in values:
            parts = values.pop(f"{stem}?")
            values[stem] = [text for k in sorted(parts) for text in parts[k]]
    return values


def _text(value: Any) -> str | None:
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    texts = [_text(item) for item in value] if getattr(value, "shape", None) else []
    if any(text is None for text in texts):
        raise Bad("a list of names holds something that is no string")
    return [text for text in texts if text is not None]


def dataset(oid: Any, path: str, size: int) -> dict[str, Any]:
    """What a dataset declares: shape, dtype, and where its bytes lie (None where libhdf5 must fetch them)."""
    import h5py

    plan = oid.get_create_plist()
    layout = plan.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise Refuse(f"{path} is a virtual dataset, made of other files")
    if plan.get_external_count():
        raise Refuse(f"{path} keeps its values in another file")
    for k in range(plan.get_nfilters()):
        code = plan.get_filter(k)[0]
        if code not in _FILTERS:
            raise Refuse(f"{path} needs the HDF5 filter {code}, which would have to be loaded")
    if oid.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return {"shape": [], "dtype": "empty", "offset": None, "problem": "it holds no value"}
    shape = list(oid.shape)
    try:
        dtype = oid.dtype
    except (TypeError, ValueError, NotImplementedError) as exc:
        return {"shape": shape, "dtype": "unknown", "offset": None, "problem": f"its HDF5 type is unsupported: {exc}"}
    if dtype.kind == "O":
        kind = "string" if h5py.check_string_dtype(dtype) else "object"
        return {"shape": shape, "dtype": kind, "offset": None, "problem": f"values of dtype {kind} are not read"}
    nbytes = dtype.itemsize * math.prod(shape)
    stored = oid.get_storage_size()
    if nbytes > stored and nbytes > stored * _RATIO + _SLACK:
        raise Bad(f"{path} declares {nbytes} bytes, of which the file holds {stored}")
    offset = oid.get_offset() if layout == h5py.h5d.CONTIGUOUS else None
    if offset is not None and (offset + nbytes > size or stored < nbytes):
        raise Bad(f"{path} declares {nbytes} bytes at {offset}, beyond the end of the file ({size} bytes)")
    bfloat = attributes(oid, path).get("dtype") == "bfloat16" and dtype.str in ("|V2", "<u2", "<i2")
    readable = bfloat or dtype.kind in "biufc"
    return {
        "shape": shape,
        "dtype": "bfloat16" if bfloat else dtype.str if readable else dtype.name,
        "offset": offset if nbytes else None,
        "problem": "" if readable else f"values of dtype {dtype.name} are not read",
    }


def describe(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Everything in a file, without values."""
    import h5py

    nodes: list[Any] = []
    with open_file(request) as file:
        shifted = file.userblock_size > 0
        for path, oid in walk(file):
            if isinstance(oid, h5py.h5g.GroupID | h5py.h5f.FileID):
                group = oid if isinstance(oid, h5py.h5g.GroupID) else h5py.h5g.open(oid, b"/")
                nodes.append([path, attributes(group, path), None])
            elif isinstance(oid, h5py.h5d.DatasetID):
                found = dataset(oid, path, request["size"])
                if shifted or request["deflated"]:
                    found["offset"] = None
                nodes.append([path, {}, found])
    return {"nodes": nodes}, b""


def read(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The rows `first … stop` of a dataset, as bytes in its own dtype."""
    with open_file(request) as file:
        found = file[request["name"]]
        values = found[request["first"] : request["stop"]] if found.shape else found[()]
        payload = values.tobytes()
    return {}, payload


def answer(line: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to one request."""
    request = json.loads(line)
    renew(request["size"])
    try:
        return read(request) if "name" in request else describe(request)
    except Refuse as exc:
        return {"refused": str(exc)}, b""
    except Bad as exc:
        return {"bad": str(exc)}, b""
    except MemoryError:
        return {"memory": f"more than {MEMORY >> 20} MiB were needed"}, b""
    except _DAMAGE as exc:
        return {"bad": f"is no HDF5 file that can be read: {' '.join(str(exc).split())[:300]}"}, b""


def main() -> None:
    """Answers requests until there are no more."""
    limit()
    for line in sys.stdin.buffer:
        head, payload = answer(line)
        head["payload"] = len(payload)
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
