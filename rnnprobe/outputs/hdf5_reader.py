"""A trace in HDF5, read. What leads out of the file is refused by `rnnprobe.inputs.hdf5`, which does the reading; of
virtual datasets all but those of a trace's own parts (`rnnprobe.outputs.virtual_reader`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.inputs import hdf5
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout, reader, virtual_reader
from rnnprobe.outputs.trace import Trace
from rnnprobe.outputs.virtual_reader import Piece

_REFERENCE = 16
"""Bytes in the file for each string of an array, besides the text."""
_RATIO = 1032  # deflate can't do better


@dataclass(frozen=True, slots=True)
class _Contents:
    """What is in a file.

    Attributes:
        grids: its arrays.
        attributes: by group.
        made: of the virtual arrays, what they are made of.
        capacity: of the others that may have steps, the bytes of values that they can hold at most.
    """

    grids: dict[str, Grid]
    attributes: dict[str, dict[str, Any]]
    made: dict[str, tuple[Piece, ...]]
    capacity: dict[str, int]

    def check(self, file: File, trace: Trace) -> None:
        """Refuses arrays that hold less than their lengths and what was kept say."""
        totals: dict[str, int] = {}
        for name, held in self.capacity.items():
            where = _lengths_of(name, self.grids)
            if where:
                if where not in totals:
                    totals[where] = sum(map(trace.kept_steps, self.grids[where].whole().tolist()))
                check = _check_filled if trace.reduced_over else _check_held
                check(file, self.grids[name], totals[where], held)


def load(file: File) -> Trace:
    """Opens a trace; see `rnnprobe.outputs.load`."""
    found = _contents(file)
    parts = virtual_reader.joined(file, found.grids, found.made, _shard) if found.made else {}
    trace = reader.build(Path(file.path), {**found.grids, **parts}, found.attributes)
    found.check(file, trace)
    return trace


def _shard(file: File) -> dict[str, Grid]:
    found = _contents(file)
    found.check(file, reader.build(Path(file.path), found.grids, found.attributes))
    return found.grids


def _contents(file: File) -> _Contents:
    made: dict[str, tuple[Piece, ...]] = {}
    with hdf5.opened(file) as root:
        grids = hdf5.members(file, root, "/")
        for name, grid in grids.items():
            if root[name].is_virtual:
                made[name] = virtual_reader.pieces(file, root[name], name)
            else:
                _check_size(file, root[name], grid)
        timed = (name for name, grid in grids.items() if len(grid.shape) > 1 and name not in made)
        capacity = {name: _capacity(root[name]) for name in timed}
        groups = {""} | {name.rpartition("/")[0] for name in grids}
        if isinstance(root.get(layout.VERIFICATION, getlink=True), _hard_link()):
            groups.add(layout.VERIFICATION)
        attributes = {group: _attributes(file, root[group] if group else root, group) for group in sorted(groups)}
    return _Contents(grids, attributes, made, capacity)


def _lengths_of(name: str, grids: Mapping[str, Grid]) -> str:
    """Where the lengths of an array of steps lie; of what has no steps, and of what is no part of a trace, empty."""
    if name.rpartition("/")[2].startswith((layout.INITIAL, layout.FINAL)):
        return ""
    own, main = layout.lengths_path(name), f"{layout.INPUTS}/{layout.LENGTHS}"
    found = own if own in grids else main if name.startswith(f"{layout.LAYERS}/") else ""
    return found if found and grids[found].dtype.kind in "iu" else ""


def _check_held(file: File, grid: Grid, steps: int, held: int) -> None:
    """Refuses an array that holds fewer steps than its lengths say: libhdf5 makes up what was never written."""
    needed = steps * prod(grid.shape[2:]) * grid.dtype.itemsize
    if needed > held:
        grid.read(tuple(slice(0, 0) for _ in grid.shape))  # values kept elsewhere are refused, not missing
        raise file.bad(f"is damaged: {grid.name} should hold {steps} steps, {needed} bytes; found {held}")


def _check_filled(file: File, grid: Grid, steps: int, held: int) -> None:
    """Refuses reductions that hold less than they declare, where there were steps to reduce."""
    if steps and grid.nbytes > held:
        raise file.bad(f"is damaged: {grid.name} should hold {grid.nbytes} bytes; found {held}")


def _capacity(dataset: Any) -> int:
    """The bytes of values that an array can hold at most, as much as was stored of it."""
    stored = int(dataset.id.get_storage_size())
    return stored * (_RATIO if dataset.id.get_create_plist().get_nfilters() else 1)


def _hard_link() -> Any:
    import h5py

    return h5py.HardLink


def _check_size(file: File, dataset: Any, grid: Grid) -> None:
    """Refuses an array that declares more than the file can hold: libhdf5 makes up what was never written.

    An array of steps may, past its sequences' lengths; what is within them is checked once they are known.
    """
    if grid.dtype.kind == "O":
        declared, held = prod(grid.shape) * _REFERENCE, file.size
    elif len(grid.shape) < 2 and not _is_scale(dataset):
        declared, held = grid.nbytes, file.size
    else:
        return
    if declared > held:
        raise file.bad(f"is damaged: {grid.name} declares {grid.words}, more than the file's {file.size} bytes")


def _is_scale(dataset: Any) -> bool:
    import h5py

    return bool(h5py.h5ds.is_scale(dataset.id))


def _attributes(file: File, node: Any, group: str) -> dict[str, Any]:
    return {str(key): _plain(file, value, f"{group}@{key}") for key, value in node.attrs.items()}


def _plain(file: File, value: Any, where: str) -> Any:
    """An attribute as str, int, float or a list of str or int."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "iufb":
        return value.item()
    if isinstance(value, np.ndarray) and value.ndim == 1 and all(isinstance(text, str) for text in value):
        return [str(text) for text in value]
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu":
        return [int(number) for number in value]
    raise BadInput(f"is damaged: the attribute {where} is {type(value).__name__}", path=file.path)
