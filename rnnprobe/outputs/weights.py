"""Blocks of weights as a file: `rnnprobe weights -o`.

An array for each block, called `<layer>/<part>/<gate>`, or `<layer>/<part>` where the part has no gates:
`[rows, units]` or `[units]`, ready for `x · block`, of the dtype stored. Dtypes that NumPy's files don't know, such as
bfloat16, become float32, which holds their every value. A layer is called as in a trace (`rnnprobe.outputs.layout`).
In HDF5 each array has the attributes `tensor`, `rows` and `columns`, which say where the block was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rnnprobe.cells.slices import GateSlice
from rnnprobe.errors import CannotWrite
from rnnprobe.outputs import atomic, layout
from rnnprobe.outputs.output import by_suffix
from rnnprobe.types import Array, Layer, Recording

if TYPE_CHECKING:
    import h5py

Blocks: TypeAlias = Mapping[str, GateSlice]
"""Name in the file → block."""


def check(path: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Refuses a file that can't be written, before any work.

    Raises:
        BadInput: an unknown suffix, or the file exists, without `force`.
        CannotWrite: the place can't be written, or is one of `sources`.
    """
    by_suffix(path, _WAYS)
    atomic.check(path, atomic.resolve(path), force=force, sources=sources)


def write(path: Path, layers: Sequence[Layer], blocks: Mapping[str, Sequence[GateSlice]], *, force: bool) -> None:
    """Writes blocks to a file that appears whole or not at all.

    Args:
        path: where `check` found nothing wrong.
        layers: the layers.
        blocks: layer → its blocks, as `rnnprobe.analysis.weights.blocks` gives them.
        force: whether a file that is there is replaced.

    Raises:
        BadInput: values can't be read.
        CannotWrite: the file can't be written; what was there before is as it was.
    """
    way = by_suffix(path, _WAYS)
    try:
        with atomic.staged(path, atomic.resolve(path), force=force) as descriptor:
            way.write(descriptor, _named(layers, blocks))
    except CannotWrite as exc:
        if exc.path is None:
            exc.path = path
        raise


def _named(layers: Sequence[Layer], blocks: Mapping[str, Sequence[GateSlice]]) -> dict[str, GateSlice]:
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


def _write_npz(descriptor: int, blocks: Blocks) -> None:
    from rnnprobe.outputs.members import archive

    with archive(descriptor) as members:
        for name, block in blocks.items():
            members.add(name, _values(block))


def _write_hdf5(descriptor: int, blocks: Blocks) -> None:
    from rnnprobe.outputs.hdf5_file import filling

    with filling(descriptor, _fill) as worker:
        for name, block in blocks.items():
            worker.put((name, block, _values(block)))


def _fill(file: h5py.File, items: Iterator[tuple[str, GateSlice, Array]]) -> None:
    for name, block, values in items:
        dataset = file.create_dataset(name, data=values)
        dataset.attrs["tensor"] = layout.storable(block.tensor.name)
        dataset.attrs["rows"] = [block.rows.start, block.rows.stop]
        if len(block.tensor.shape) > 1:
            columns = range(block.tensor.shape[-1])[block.columns]
            dataset.attrs["columns"] = [columns.start, columns.stop]


@dataclass(frozen=True, slots=True)
class _Way:
    """`write(descriptor, blocks)` fills an empty file; the others as in `rnnprobe.outputs.output.Output`."""

    name: str
    suffixes: tuple[str, ...]
    write: Callable[[int, Blocks], None]


_WAYS = (_Way("HDF5", (".h5", ".hdf5"), _write_hdf5), _Way("NumPy archive", (".npz",), _write_npz))
