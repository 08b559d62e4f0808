"""The states to start from: `--initial-state`.

They are given by name, since no two frameworks agree on an order (TF1 keeps an LSTM's as (c, h), Keras as (h, c)):
`<layer>/c` and `<layer>/h`, or `c` and `h` where there is one layer; a layer with one state may leave out its name. A
trace written by rnnprobe is read as well, and starts from its `final_c` and `final_h`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from rnnprobe.cells.layers import signal_shapes
from rnnprobe.errors import BadInput, RnnprobeError
from rnnprobe.inputs import hdf5, npy, npz
from rnnprobe.inputs.collection import listed
from rnnprobe.inputs.file import File, locate
from rnnprobe.inputs.found import Grid, Request, Say, memory
from rnnprobe.inputs.named import below
from rnnprobe.recover.stacks import compute_dtype
from rnnprobe.types import Array, Layer

_WHOLE = ""  # the name of an array that has none
_SUFFIXES = (".npy", ".npz", *hdf5.HDF5.suffixes)


def _silent(line: str) -> None:
    """The default `say`."""


def read(
    source: object, layers: tuple[Layer, ...], sequences: int, *, say: Say = _silent
) -> dict[str, dict[str, Array]]:
    """Layer → state → `[sequences, *shape]`, in the dtype that the network computes with (float64 or float32).

    Args:
        source: a path (`.npz`, `.npy`, HDF5, with `:key` for a group in it, a trace), a mapping of arrays (by
            `layer/state`, or nested), or an array for a single layer that has one state.
        layers: those that run. A layer of which nothing is given starts from zeros, and that is said; one that
            the model itself starts from other states is left out.
        sequences: how many; an array `[*shape]` or `[1, *shape]` counts for each of them.

    Raises:
        BadInput: a name, a structure, a shape or a dtype is not what the cell wants: the error says what it wants.
        Refused: the file holds Python objects, or leads into other files.
    """
    path = None
    try:
        if isinstance(source, str | Path):
            file = locate(source)
            path = file.path
            arrays = _file(file, say)
        else:
            arrays = _memory(source)
        # a trace writes odd characters of a layer's name in percent form
        arrays = {unquote(name) if name.startswith("layers/") else name: grid for name, grid in arrays.items()}
        return _states(arrays, layers, sequences, say)
    except RnnprobeError as exc:
        if exc.path is None and path is not None:
            raise type(exc)(exc.message, path=path, hint=exc.hint) from exc
        raise


def _file(file: File, say: Say) -> dict[str, Grid]:
    """Every array of a file by its name, none loaded."""
    head = file.head(8)
    if file.suffix == ".npy" or npy.NPY.matches(head):
        return {_WHOLE: npy.read(file, Request(say)).data}  # type: ignore[dict-item]
    if file.suffix == ".npz" or npz.NPZ.matches(head):
        arrays = npz.arrays(file)
        if file.key:
            try:
                arrays = below(arrays, file.key)
            except BadInput as exc:
                raise file.bad(exc.message) from exc
    elif file.suffix in hdf5.HDF5.suffixes or hdf5.HDF5.matches(head):
        arrays = hdf5.tree(file)
    else:
        raise file.bad("is of no format that states are read from", hint=f"expected one of {', '.join(_SUFFIXES)}")
    if not arrays:
        raise file.bad(f"holds no array{f' at {file.key}' if file.key else ''}")
    return arrays


def _memory(source: object) -> dict[str, Grid]:
    """The arrays of a mapping, nested ones by their path; or one array without a name."""
    if not isinstance(source, Mapping):
        if isinstance(source, list | tuple):
            raise BadInput(
                f"a {type(source).__name__} of {len(source)} was given; expected states by name",
                hint="{'c': …, 'h': …}, or {layer: {'c': …, 'h': …}}: TF1 orders them (c, h), Keras (h, c)",
            )
        return {_WHOLE: memory(np.asarray(source))}
    arrays: dict[str, Grid] = {}
    for name, value in source.items():
        if isinstance(value, Mapping):
            arrays |= {f"{name}/{below}".rstrip("/"): grid for below, grid in _memory(value).items()}
        else:
            arrays[str(name)] = memory(np.asarray(value), str(name))
    return arrays


def _states(
    arrays: Mapping[str, Grid], layers: tuple[Layer, ...], sequences: int, say: Say
) -> dict[str, dict[str, Array]]:
    alone = len(layers) == 1
    dtype = np.dtype(compute_dtype(layers))
    result: dict[str, dict[str, Array]] = {}
    used: set[str] = set()
    absent: list[str] = []
    for layer in layers:
        shapes = _shapes(layer)
        found = {state: _name_of(layer.name, state, arrays, alone, len(shapes) == 1) for state in shapes}
        used |= {name for name in found.values() if name is not None}
        lacking = [state for state, name in found.items() if name is None]
        if lacking and (len(lacking) < len(shapes) or _looks_meant(layer.name, arrays, alone)):
            raise _structure(layer, shapes, lacking, arrays, sequences)
        if lacking and layer.initial:
            continue
        if lacking:
            absent.append(layer.name)
        elif layer.initial:
            say(f"in the model {layer.name} starts from {_wired(layer)}; here it starts from the states given")
        numbers = arrays.get(f"layers/{layer.name}/unit")
        if numbers is not None and numbers.dtype.kind in "iu":  # else the dimension of a trace of all units
            raise BadInput(
                f"holds the final states of {numbers.shape[0]} units of {layer.name}, and not of all",
                hint="record without --units what a run is to start from",
            )
        result[layer.name] = {
            state: np.zeros((sequences, *shape), dtype)
            if name is None
            else _fitted(layer, state, shape, arrays[name], sequences, dtype, say)
            for (state, shape), name in zip(shapes.items(), found.values(), strict=True)
        }
    _check_names(arrays, used, layers)
    if absent:
        say(f"no initial state is given for {', '.join(absent)}: zeros")
    return result


def _shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """State → its shape."""
    shapes = signal_shapes(layer)
    return {state: shapes[state] for state in layer.cell.states}


def _wired(layer: Layer) -> str:
    sources = dict.fromkeys(source for feed in layer.initial.values() for source in feed.sources)
    return f"the states of {' and '.join(sources)}"


def _name_of(layer: str, state: str, arrays: Mapping[str, Grid], alone: bool, single: bool) -> str | None:
    """The name under which a state is given, or None. What a trace ends with comes before its signal `h`."""
    names = [f"{prefix}{layer}/{kind}{state}" for kind in ("final_", "") for prefix in ("layers/", "")]
    if alone:
        names += [f"final_{state}", state]
    if single:
        names += [layer, *([_WHOLE] if alone else [])]
    found = next((name for name in names if name in arrays), None)
    if found is None and single and alone and len(arrays) == 1:
        only = next(iter(arrays))
        return only if "/" not in only else None
    return found


def _looks_meant(layer: str, arrays: Mapping[str, Grid], alone: bool) -> bool:
    """Whether some array is there for this layer, under whatever name."""
    return alone or any(name == layer or name.removeprefix("layers/").startswith(f"{layer}/") for name in arrays)


def _wants(layer: Layer, shapes: Mapping[str, tuple[int, ...]], sequences: int) -> str:
    """What a cell starts from, in words."""
    states = [f"{state} {[sequences, *shape]}" for state, shape in shapes.items()]
    if len(states) == 1:
        return f"the state of {layer.name}, a {layer.cell.title}, is one array: {states[0]}"
    kind = "a pair" if len(states) == 2 else f"{len(states)} arrays"
    return f"the state of {layer.name}, a {layer.cell.title}, is {kind}: {' and '.join(states)}"


def _structure(
    layer: Layer, shapes: Mapping[str, tuple[int, ...]], lacking: list[str], arrays: Mapping[str, Grid], sequences: int
) -> BadInput:
    """The error for states of another structure than the cell's."""
    only = next(iter(arrays.values()), None)
    given = f"one array {only.words}" if only and list(arrays) == [_WHOLE] else listed(arrays) or "nothing"
    message = f"{_wants(layer, shapes, sequences)}; given: {given}"
    call = ", ".join(f"{state}=…" for state in shapes)
    hint = f"np.savez(FILE, {call}); in a stack name them '{layer.name}/{next(iter(shapes))}' …"
    width = sum(shape[-1] for shape in shapes.values())
    if only and len(arrays) == 1 and len(shapes) > 1 and only.shape and only.shape[-1] == width:
        first, shape = next(iter(shapes.items()))
        rows = ":" if len(shape) == 1 else "..."
        hint = (
            f"a state of state_is_tuple=False is {' and '.join(shapes)} side by side: "
            f"np.savez(FILE, {first}=state[{rows}, :{shape[-1]}], {list(shapes)[1]}=state[{rows}, {shape[-1]}:])"
        )
    elif len(lacking) < len(shapes):
        message = f"{message}; {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"
    return BadInput(message, hint=hint)


def _fitted(
    layer: Layer,
    state: str,
    shape: tuple[int, ...],
    grid: Grid,
    sequences: int,
    target: np.dtype[Any],
    say: Say,
) -> Array:
    """A state as `[sequences, *shape]` of the dtype `target`."""
    what = f"{layer.name}/{state}"
    wanted = (sequences, *shape)
    grid.check()
    if grid.dtype.kind == "b":
        raise BadInput(f"{what} is {grid.words}; expected floats {list(wanted)}")
    if grid.shape not in (shape, (1, *shape), wanted):
        raise BadInput(
            f"{what} is {grid.words}; expected {list(wanted)}, a row for each sequence, or {list(shape)} for all",
            hint=_axes_hint(layer, state, grid.shape, shape),
        )
    values = grid.whole()
    if grid.shape == (1, *shape) and sequences > 1:
        say(f"{what} is {list(grid.shape)}: each of the {sequences} sequences starts from it")
    if values.dtype.kind != "f" or values.dtype.itemsize > target.itemsize:
        say(f"{what} is {grid.dtype}: it is converted to {target}")
    with np.errstate(over="ignore"):
        converted = values.astype(target)
    bad = np.argwhere(~np.isfinite(converted))
    if len(bad):
        say(f"{what} holds {converted[tuple(bad[0])]} at {bad[0].tolist()}")
    return np.array(np.broadcast_to(converted, wanted))


def _axes_hint(layer: Layer, state: str, found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if len(found) == len(shape) + 2:
        return "states have no time axis: give those of one step"
    for name, other in _shapes(layer).items():
        if name != state and found[-len(other) :] == other != shape:
            return f"{name} has that width: the two may be swapped"
    return ""


def _check_names(arrays: Mapping[str, Grid], used: set[str], layers: tuple[Layer, ...]) -> None:
    """Refuses names that belong to no layer; a trace may hold what it likes besides its final states."""
    rest = [name for name in arrays if name not in used]
    if not rest or any(name.rpartition("/")[2].startswith("final_") for name in used):
        return
    names = ", ".join(f"{layer.name}/{state}" for layer in layers for state in layer.cell.states)
    raise BadInput(f"{rest[0] or 'an array without a name'!r} is the state of no layer; expected {names}")
