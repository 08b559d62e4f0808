"""Arrays as members of a zip file, which is what an `.npz` is.

Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from rnnprobe.outputs.atomic import written
from rnnprobe.types import Array

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip member can bear: the same arrays make the same file."""


class Members:
    """The members of an archive that is written.

    Args:
        archive: open for writing.
        compress: a level of gzip, 1 … 9, or None.
    """

    def __init__(self, archive: ZipFile, compress: int | None) -> None:
        self._archive = archive
        self._compress = compress

    @contextmanager
    def new(self, path: str, shape: tuple[int, ...], dtype: str) -> Iterator[Any]:
        """A member to write the values to, behind the header of a `.npy`."""
        info = ZipInfo(f"{path}.npy", _EPOCH)
        if self._compress is not None:
            info.compress_type = ZIP_DEFLATED
            info._compresslevel = self._compress  # type: ignore[attr-defined]
        with self._archive.open(info, "w", force_zip64=True) as member:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            yield member

    def add(self, path: str, values: Array) -> None:
        """An array as a whole."""
        with self.new(path, values.shape, values.dtype.str) as member:
            member.write(values.tobytes())

    def add_json(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Attributes as one text."""
        self.add(path, np.array(json.dumps(attributes, ensure_ascii=True)))


@contextmanager
def archive(descriptor: int, compress: int | None = None) -> Iterator[Members]:
    """The members of a new archive in an empty file, whole when the body ends.

    Raises:
        CannotWrite: the file takes no more.
    """
    with (
        written(),
        os.fdopen(os.dup(descriptor), "wb") as file,
        ZipFile(file, "w", ZIP_STORED, allowZip64=True) as opened,
    ):
        yield Members(opened, compress)
