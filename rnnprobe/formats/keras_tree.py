"""An HDF5 file as plain data: groups with their attributes, and datasets as tensors that read their own bytes alone.

The structure comes from `rnnprobe.formats.keras_probe` in a process of its own. A contiguous dataset, and Keras writes
no others, is then read here as bytes of the file, its range having been checked; libhdf5 takes no part in it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput, OutOfResources, Refused
from rnnprobe.types import Array, Tensor

_SCRIPT = Path(__file__).with_name("keras_probe.py")
SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where an HDF5 file lies: a file, or a stretch of one (a zip member).

    Attributes:
        path: the file.
        start: its first byte.
        size: its bytes, decompressed.
        stored: its bytes as stored.
        deflated: compressed as a zip member.
    """

    path: Path
    start: int
    size: int
    stored: int
    deflated: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """What an HDF5 file holds.

    Attributes:
        groups: path → attributes (strings and lists of strings); the root is `""`.
        tensors: path → dataset, in the file's order.
    """

    groups: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Tensor]


@dataclass(slots=True)
class _Prober:
    """The process that looks into HDF5 files: one for all of them, and a new one where a file ended it."""

    process: subprocess.Popen[bytes] | None = None
    owner: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, source: Source, **more: Any) -> tuple[dict[str, Any], bytes]:
        """The answer to a request.

        Raises:
            BadInput: the file is damaged, or ended the process, or took too long.
            Refused: it asks for what lies outside of it.
            OutOfResources: it needs more memory than a checkpoint may.
        """
        request = {
            "path": str(source.path.absolute()),
            "start": source.start,
            "size": source.size,
            "stored": source.stored,
            "deflated": source.deflated,
            **more,
        }
        with self.lock:
            process = self._running()
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            try:
                head, payload = _exchange(process, json.dumps(request).encode())
            except (OSError, ValueError, KeyError) as exc:
                self.close()
                raise BadInput(
                    "the HDF5 structure is damaged: reading it crashed or hung libhdf5 (in a process of its own)",
                    path=source.path,
                ) from exc
            finally:
                timer.cancel()
        if "refused" in head:
            raise Refused(
                f"{head['refused']}; rnnprobe reads nothing but the file itself",
                path=source.path,
                hint="copy the weights into a plain file (h5repack, or save them again)",
            )
        if "bad" in head:
            raise BadInput(head["bad"], path=source.path)
        if "memory" in head:
            raise OutOfResources(f"reading the HDF5 structure: {head['memory']}", path=source.path)
        return head, payload

    def _running(self) -> subprocess.Popen[bytes]:
        # A fork must not share its parent's pipes.
        if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
            self.close()
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", str(_SCRIPT)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"},
                    start_new_session=True,
                )
            except OSError as exc:
                raise OutOfResources(f"no process could be started to read HDF5 in: {exc.strerror}") from exc
            self.owner = os.getpid()
        return self.process

    def close(self) -> None:
        """Ends the process, if it is ours."""
        process, self.process = self.process, None
        if process is None or self.owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written has no reader any more
                    pipe.close()


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> tuple[dict[str, Any], bytes]:
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    process.stdin.write(request + b"\n")
    process.stdin.flush()
    head = json.loads(process.stdout.readline())
    payload = process.stdout.read(head["payload"])
    if len(payload) != head["payload"]:
        raise OSError("the answer broke off")
    return head, payload


_PROBER = _Prober()
atexit.register(_PROBER.close)


def open_tree(source: Source) -> Tree:
    """Everything that an HDF5 file holds, validated, with no value read.

    Raises:
        BadInput, Refused, OutOfResources: as the file deserves.
    """
    head, _ = _PROBER.ask(source)
    groups: dict[str, Mapping[str, Any]] = {}
    tensors: dict[str, Tensor] = {}
    for path, attributes, dataset in head["nodes"]:
        if dataset is None:
            groups[path] = attributes
        else:
            tensors[path] = _tensor(source, path, dataset)
    return Tree(groups, tensors)


def _tensor(source: Source, name: str, found: Mapping[str, Any]) -> Tensor:
    shape = tuple(found["shape"])
    if found["problem"]:

        def fail(rows: slice) -> Array:
            raise BadInput(f"{name} can't be read: {found['problem']}", path=source.path)

        return Tensor(name, shape, found["dtype"], fail, found["problem"])
    dtype = _dtype(found["dtype"])
    row = prod(shape[1:])

    def read(rows: slice) -> Array:
        first, stop, _ = rows.indices(shape[0]) if shape else (0, 1, 1)
        count = max(0, stop - first)
        if not count or not row:
            data = b""
        elif found["offset"] is None:
            data = _PROBER.ask(source, name=name, first=first, stop=stop)[1]
        else:
            data = _stretch(source, found["offset"] + first * row * dtype.itemsize, count * row * dtype.itemsize)
        if len(data) != count * row * dtype.itemsize:
            raise BadInput(f"the bytes of {name} are not all there", path=source.path)
        values = np.frombuffer(data, dtype).reshape((count, *shape[1:]) if shape else ())
        return values.astype(dtype.newbyteorder("="), copy=True)

    return Tensor(name, shape, dtype.name, read)


def _dtype(name: str) -> np.dtype[Any]:
    if name != "bfloat16":
        return np.dtype(name)
    from ml_dtypes import bfloat16

    found: np.dtype[Any] = np.dtype(bfloat16)
    return found


def _stretch(source: Source, offset: int, count: int) -> bytes:
    try:
        with source.path.open("rb") as file:
            file.seek(source.start + offset)
            return file.read(count)
    except OSError as exc:
        raise BadInput(f"can no longer be read: {exc.strerror}", path=source.path) from exc
