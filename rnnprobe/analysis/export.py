"""Blocks of weights as a file: `rnnprobe weights -o`.

An array for each block, called `<layer>/<part>/<gate>`, or `<layer>/<part>` where the part has no gates:
`[rows, units]` or `[units]`, ready for `x · block`, of the dtype stored. Dtypes that NumPy's files don't know, such as
bfloat16, become float32, which holds their every value. A layer is called as in a trace (`rnnprobe.outputs.layout`).

`.npz` is a zip of `.npy` files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html); in HDF5 each
dataset has the attributes `tensor`, `rows` and `columns`, which say where the block was stored.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rnnprobe.cells.slices import GateSlice
from rnnprobe.errors import BadInput
from rnnprobe.outputs import atomic
from rnnprobe.types import Array, Layer, Recording


def check(path: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Refuses a file that can't be written, before any work.

    Raises:
        BadInput: an unknown suffix, or the file exists, without `force`.
        CannotWrite: the place can't be written.
    """
    if path.suffix.lower() not in _WRITERS:
        raise BadInput(
            f"the suffix {path.suffix!r} is no format for weights",
            path=path,
            hint=f"the formats: {', '.join(_WRITERS)}",
        )
    atomic.check(path, atomic.resolve(path), force=force, sources=sources)


def write(path: Path, layers: Sequence[Layer], blocks: Mapping[str, Sequence[GateSlice]], *, force: bool) -> int:
    """Writes blocks to a file that appears whole or not at all.

    Args:
        path: where `check` found nothing wrong.
        layers: the layers.
        blocks: layer → its blocks, as `rnnprobe.analysis.weights.blocks` gives them.
        force: whether a file that is there is replaced.

    Returns:
        How many blocks there were.

    Raises:
        BadInput: values can't be read.
        CannotWrite: the file can't be written; what was there before is as it was.
    """
    named = keys(layers, blocks)
    write_to = _WRITERS[path.suffix.lower()]
    staged = atomic.staged(path, atomic.resolve(path), force=force)
    with staged as descriptor, os.fdopen(os.dup(descriptor), "w+b") as file:
        write_to(file, named)
    return len(named)


def keys(layers: Sequence[Layer], blocks: Mapping[str, Sequence[GateSlice]]) -> dict[str, GateSlice]:
    """Name in the file → block."""
    from rnnprobe.outputs import layout

    groups = layout.paths(Recording(tuple(layers), {layer.name: () for layer in layers}, ()))
    return {
        "/".join(filter(None, (groups[layer].removeprefix(f"{layout.LAYERS}/"), block.part, block.gate))): block
        for layer, found in blocks.items()
        for block in found
    }


def _values(block: GateSlice) -> Array:
    values = block.load()
    # NumPy writes a dtype that is not its own as raw bytes.
    return values if values.dtype.isbuiltin == 1 else values.astype(np.float32)


def _write_npz(file: BinaryIO, blocks: Mapping[str, GateSlice]) -> None:
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, block in blocks.items():
            # A fixed date: the same weights make the same file.
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, _values(block), allow_pickle=False)


def _write_hdf5(file: BinaryIO, blocks: Mapping[str, GateSlice]) -> None:
    """The file is made in memory first: libhdf5 may end the process when a write to a full disk fails under it."""
    import h5py

    from rnnprobe.outputs.layout import storable

    image = io.BytesIO()
    with h5py.File(image, "w") as made:
        for name, block in blocks.items():
            dataset = made.create_dataset(name, data=_values(block))
            dataset.attrs["tensor"] = storable(block.tensor.name)
            dataset.attrs["rows"] = [block.rows.start, block.rows.stop]
            if len(block.tensor.shape) > 1:
                columns = range(block.tensor.shape[-1])[block.columns]
                dataset.attrs["columns"] = [columns.start, columns.stop]
    file.write(image.getbuffer())


_WRITERS: dict[str, Callable[[BinaryIO, Mapping[str, GateSlice]], None]] = {
    ".npz": _write_npz,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
