"""HDF5: `file.h5:/path` names a dataset, read in place, or a group that holds `x` or `ids`, `lengths` and `names`.

What leads out of the file (external and user-defined links, external storage, virtual datasets) and filters for which
libhdf5 would load a library are refused before a value is read.
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, TypeAlias

import numpy as np

from rnnprobe.errors import BadInput, OutOfResources, Refused, RnnprobeError
from rnnprobe.formats.natural import natural
from rnnprobe.inputs import filters
from rnnprobe.inputs.collection import gather
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Grid, Reader, Request
from rnnprobe.inputs.named import gather_each
from rnnprobe.types import Array

Node: TypeAlias = Any
"""An `h5py.Group` or `h5py.Dataset`: h5py has no types, and is imported only when a file is opened."""

CHUNK_LIMIT = 1 << 30
"""Bytes of a chunk, which libhdf5 allocates whatever is read of it."""

_FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
_HOPS = 32
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError, IndexError)
"""What h5py raises on a damaged file, depending on where the damage lies."""


def read(file: File, request: Request) -> Found:
    """The dataset or group that the key names; without a key, the file's root group."""
    with opened(file) as root:
        node, path = resolve(file, root, file.key)
        if _is_group(node):
            found = members(file, node, path)
            arrays = {name: found[name] for name in sorted(found, key=natural) if "/" not in name}
        else:
            last = path.rpartition("/")[2]
            arrays = {last: _grid(file, node, path)}
    inner = File(file.path, file.size, file.suffix, "", file.opener)
    return gather(inner, arrays, request)


def several(file: File, requests: Mapping[str, Request]) -> dict[str, Found]:
    """The datasets or groups of each of several inputs."""
    return gather_each(tree(file), requests, file.path)


def tree(file: File) -> dict[str, Grid]:
    """Every dataset below the group that the key names, by its path from there; a dataset itself has an empty one."""
    with opened(file) as root:
        node, path = resolve(file, root, file.key)
        return members(file, node, path) if _is_group(node) else {"": _grid(file, node, path)}


@contextmanager
def opened(file: File) -> Iterator[Node]:
    """The file's root group. Whatever h5py raises on a damaged file becomes `BadInput`."""
    import h5py

    try:
        with file.opener() as stream, h5py.File(stream, "r") as root:
            yield root
    except _BROKEN as exc:
        raise file.bad(f"is damaged, or no HDF5 file: {exc}") from exc


def resolve(file: File, root: Node, key: str) -> tuple[Node, str]:
    """The node at `key` and its path, walked link by link within the file.

    Raises:
        BadInput: there is none; the error lists what is there.
        Refused: a link leads out of the file.
    """
    pieces = [piece for piece in key.split("/") if piece]
    node, path, hops = root, "", 0
    while pieces:
        piece = pieces.pop(0)
        kind, target = _link(node, piece) if _is_group(node) else ("", "")
        if not kind:
            there = ", ".join(list(node)[:12]) or "empty" if _is_group(node) else "no group"
            raise file.bad(f"holds no {path}/{piece}; {path or '/'} is {there}")
        if kind == "soft":
            hops += 1
            if hops > _HOPS:
                raise file.bad(f"the links at {path}/{piece} lead round in a circle")
            if target.startswith("/"):
                node, path = root, ""
            pieces = [part for part in target.split("/") if part] + pieces
            continue
        if kind != "hard":
            raise Refused(f"{path}/{piece} is a link that leads out of the file", path=file.path)
        node, path = node[piece], f"{path}/{piece}"
    return node, path or "/"


def _link(group: Node, name: str) -> tuple[str, str]:
    """What a link is (`hard`, `soft`, `outward`, or empty where there is none) and where a soft one leads.

    h5py's own `name in group` follows the link, into another file if need be.
    """
    from h5py import h5l

    links, key = group.id.links, name.encode("utf-8", "surrogateescape")
    if not links.exists(key):
        return "", ""
    kind = links.get_info(key).type
    if kind == h5l.TYPE_SOFT:
        return "soft", links.get_val(key).decode("utf-8", "surrogateescape")
    return ("hard" if kind == h5l.TYPE_HARD else "outward"), ""


def members(file: File, group: Node, path: str) -> dict[str, Grid]:
    """Every dataset below `group` by its path from there; soft links and repeated hard links are left out."""
    import h5py

    found: dict[str, Grid] = {}
    seen: set[Any] = set()
    waiting = [(group, "")]
    while waiting:
        here, prefix = waiting.pop(0)
        for name in here:
            kind, _ = _link(here, name)
            if kind == "soft":
                continue
            if kind != "hard":
                raise Refused(f"{path}/{prefix}{name} is a link that leads out of the file", path=file.path)
            node = here[name]
            where = h5py.h5o.get_info(node.id).addr
            if _is_group(node):
                if where not in seen:
                    waiting.append((node, f"{prefix}{name}/"))
            elif isinstance(node, h5py.Dataset):
                found[prefix + name] = _grid(file, node, f"{path.rstrip('/')}/{prefix}{name}")
            seen.add(where)
    return found


def _is_group(node: Node) -> bool:
    import h5py

    return isinstance(node, h5py.Group)


def _grid(file: File, dataset: Node, path: str) -> Grid:
    """A dataset, not loaded. It is checked when it is read: nobody need read what is refused."""
    shape = dataset.shape
    if shape is None:
        raise file.bad(f"{path} is empty: it has no shape")
    problem = _problem(file, dataset, path)

    def load(slices: tuple[slice, ...]) -> Array:
        if problem is not None:
            raise problem
        with opened(file) as root:
            node, _ = resolve(file, root, path)
            if node.shape != shape:
                raise file.bad(f"{path} has changed since it was opened")
            values = node.asstr()[slices] if node.dtype.kind == "O" else node[slices]
            return np.asarray(values)

    return Grid(shape, dataset.dtype, load, path)


def _problem(file: File, dataset: Node, path: str) -> RnnprobeError | None:
    """Why a dataset is not to be read, or None."""
    if dataset.is_virtual or dataset.external is not None:
        return Refused(f"{path} keeps its values in other files", path=file.path)
    creation = dataset.id.get_create_plist()
    for index in range(creation.get_nfilters()):
        code = creation.get_filter(index)[0]
        if code not in _FILTERS and not filters.available(code):
            known = f"filters that are read: {', '.join(_FILTERS.values())}; h5repack -f GZIP=4 rewrites the file"
            return Refused(
                f"{path} is compressed by filter {code}, for which a library would have to be loaded",
                path=file.path,
                hint=filters.HINT if code == filters.BITSHUFFLE else known,
            )
    size = prod(dataset.chunks or ()) * dataset.dtype.itemsize if dataset.chunks else 0
    if size > CHUNK_LIMIT:
        return OutOfResources(f"{path} has chunks of {size} bytes, over the limit of {CHUNK_LIMIT}", path=file.path)
    if (
        dataset.chunks is None
        and dataset.dtype.kind != "O"
        and prod(dataset.shape) * dataset.dtype.itemsize > file.size
    ):
        stored = dataset.id.get_storage_size()
        if stored:
            return BadInput(f"{path} declares more than the file's {file.size} bytes", path=file.path)
    return None


HDF5 = Reader("hdf5", (".h5", ".hdf5", ".hdf", ".he5", ".nc"), lambda head: head.startswith(b"\x89HDF"), read, several)
