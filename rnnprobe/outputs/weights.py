"""Weights as a file: `rnnprobe weights -o`.

An array for each block, called `<layer>/<part>/<gate>`, or `<layer>/<part>` where the part has no gates:
`[rows, units]` or `[units]`, ready for `x · block`, of the dtype stored. Dtypes that NumPy's files don't know, such as
bfloat16, become float32, which holds their every value. A layer is called as in a trace (`rnnprobe.outputs.layout`).
In HDF5 each array has the attributes `tensor`, `rows` and `columns`, which say where the block was stored.

Of a layout (`--layout`), an array for each of the target's, called `<module>/<name>`. In HDF5 each has the attributes
`gates`, in the target's order and letters, and `from`; a module `layers`, `call` and, in JSON, `arguments`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rnnprobe.cells.slices import GateSlice
from rnnprobe.errors import CannotWrite
from rnnprobe.outputs import atomic, layout
from rnnprobe.outputs.output import by_suffix
from rnnprobe.types import Array, Layer

if TYPE_CHECKING:
    import h5py

Attributes: TypeAlias = Mapping[str, str | list[str] | list[int]]


@dataclass(frozen=True, slots=True)
class Item:
    """An array to be written.

    Attributes:
        load: the values; called once, when it is its turn.
        attributes: in HDF5, of the array.
    """

    load: Callable[[], Array]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Group:
    """Arrays that belong together.

    Attributes:
        items: name in the group → array.
        attributes: in HDF5, of the group.
    """

    items: Mapping[str, Item]
    attributes: Attributes


Groups: TypeAlias = Mapping[str, Group]
"""Name in the file → arrays."""


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
    named = {layer.name: Group({_name(block): _item(block) for block in blocks[layer.name]}, {}) for layer in layers}
    write_groups(path, named, force=force)


def write_groups(path: Path, groups: Groups, *, force: bool) -> None:
    """Writes groups of arrays to a file that appears whole or not at all.

    Args:
        path: where `check` found nothing wrong.
        groups: name of a layer or module → its arrays.
        force: whether a file that is there is replaced.

    Raises:
        BadInput: values can't be read.
        CannotWrite: the file can't be written; what was there before is as it was.
    """
    way = by_suffix(path, _WAYS)
    places = layout.groups(groups)
    found = {places[name].removeprefix(f"{layout.LAYERS}/"): group for name, group in groups.items()}
    try:
        with atomic.staged(path, atomic.resolve(path), force=force) as descriptor:
            way.write(descriptor, found)
    except CannotWrite as exc:
        if exc.path is None:
            exc.path = path
        raise


def converted(values: Array, gates: Sequence[str], origin: str) -> Item:
    """An array of a layout.

    Args:
        values: as the target wants them.
        gates: in the target's order and letters.
        origin: what it was made of.
    """
    return Item(partial(np.asarray, values), {"gates": list(gates), "from": layout.storable(origin)})


def module(items: Mapping[str, Item], layers: Sequence[str], call: str, arguments: Mapping[str, Any]) -> Group:
    """A module of a layout.

    Args:
        items: the target's name → array.
        layers: of which layers it was made.
        call: with which the target is made, in its own words.
        arguments: of that call.
    """
    attributes: dict[str, str | list[str] | list[int]] = {
        "layers": [layout.storable(layer) for layer in layers],
        "call": call,
        "arguments": json.dumps(dict(arguments)),
    }
    return Group(items, attributes)


def _name(block: GateSlice) -> str:
    return "/".join(filter(None, (block.part, block.gate)))


def _item(block: GateSlice) -> Item:
    attributes: dict[str, str | list[str] | list[int]] = {"tensor": layout.storable(block.tensor.name)}
    if block.tensor.shape:
        attributes["rows"] = [block.rows.start, block.rows.stop]
    if len(block.tensor.shape) > 1:
        columns = range(block.tensor.shape[-1])[block.columns]
        attributes["columns"] = [columns.start, columns.stop]
    return Item(block.load, attributes)


def _values(item: Item) -> Array:
    values = item.load()
    # NumPy writes a dtype that is not its own as raw bytes.
    return values if values.dtype.isbuiltin == 1 else values.astype(np.float32)


def _write_npz(descriptor: int, groups: Groups) -> None:
    from rnnprobe.outputs.members import archive

    with archive(descriptor) as members:
        for place, group in groups.items():
            for name, item in group.items.items():
                members.add(f"{place}/{name}", _values(item))


def _write_hdf5(descriptor: int, groups: Groups) -> None:
    from rnnprobe.outputs.hdf5_file import filling

    with filling(descriptor, _fill) as worker:
        for place, group in groups.items():
            if group.attributes:
                worker.put((place, group.attributes, None))
            for name, item in group.items.items():
                worker.put((f"{place}/{name}", item.attributes, _values(item)))


def _fill(file: h5py.File, written: Iterator[tuple[str, Attributes, Array | None]]) -> None:
    for place, attributes, values in written:
        made = file.require_group(place) if values is None else file.create_dataset(place, data=values)
        made.attrs.update(attributes)


@dataclass(frozen=True, slots=True)
class _Way:
    """`write(descriptor, groups)` fills an empty file; the others as in `rnnprobe.outputs.output.Output`."""

    name: str
    suffixes: tuple[str, ...]
    write: Callable[[int, Groups], None]


_WAYS = (_Way("HDF5", (".h5", ".hdf5"), _write_hdf5), _Way("NumPy archive", (".npz",), _write_npz))
