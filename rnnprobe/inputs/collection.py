"""Several named arrays (`.npz`, an HDF5 group, a mapping in memory): which of them are the input?"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Grid, Request
from rnnprobe.inputs.rows import apart

MAIN = ("x", "ids")
ASIDE = ("lengths", "names")
_LISTED = 12


def gather(file: File, arrays: Mapping[str, Grid], request: Request) -> Found:
    """`choose` for a file: its key, its path in the errors."""
    try:
        return choose(arrays, file.key.strip("/"), request, f"{file.path}:", file.path)
    except BadInput as exc:
        if exc.path is not None:
            raise
        raise BadInput(exc.message, path=file.path, hint=exc.hint) from exc


def choose(arrays: Mapping[str, Grid], key: str, request: Request, prefix: str = "", path: str | None = None) -> Found:
    """The input among named arrays.

    The array that `key` names; or the only one; or `x` or `ids`, with `lengths` and `names` where they are there; or
    every one, where each can be a sequence: all integers of rank 1, or all floats of the rank of a sequence and of one
    shape of a step, or all named `arr_0`, `arr_1` … by `np.savez(FILE, *sequences)`; or the one that has the name of
    the network's input.

    Raises:
        BadInput: there is none, or it could be several: the error lists them.
        Refused: the array holds Python objects.
    """
    if key:
        if key not in arrays:
            raise BadInput(f"holds no array named {key!r}; there is {listed(arrays)}")
        return Found(arrays[key].check(path))
    data = {name: grid for name, grid in arrays.items() if name not in ASIDE}
    main = [name for name in MAIN if name in data] or (list(data) if len(data) == 1 else [])
    each = len(data) == len(arrays) and _sequences(data, request.axes)
    if not main and not each:
        main = [name for name in request.names if name in data][:1]
    if len(main) == 1:
        given = _lengths_of(main[0], arrays)
        rest = [name for name in data if name not in (*main, "tokens", given)]
        if rest:
            request.say(f"arrays not read beside {main[0]!r}: {', '.join(rest[:_LISTED])}")
        grid = data[main[0]].check(path)
        lengths = arrays[given].check(path) if given else None
        names = _names(arrays["names"], grid.shape[0] if grid.shape else 0) if "names" in arrays else None
        return Found(grid, names, None if lengths is None else whole_numbers(lengths.whole(), given))
    if not data:
        raise BadInput("holds no array")
    if main or not each:
        raise BadInput(
            f"holds several arrays, and it does not say which is the input: {listed(data)}",
            hint=f"name one, as in {prefix}{main[0] if main else next(iter(data))}" if prefix else "",
        )
    return _each(data)


def _lengths_of(main: str, arrays: Mapping[str, Grid]) -> str:
    """The name under which an array's lengths lie beside it, or empty."""
    names = [f"{main}_lengths", f"lengths_{main}"] if main not in MAIN else []
    return next((name for name in (*names, "lengths") if name in arrays), "")


def listed(arrays: Mapping[str, Grid]) -> str:
    """Names, dtypes and shapes, for an error."""
    words = [f"{name} {grid.words}" for name, grid in list(arrays.items())[:_LISTED]]
    more = len(arrays) - len(words)
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def whole_numbers(values: NDArray[np.generic], name: str) -> NDArray[np.int64]:
    """`values` as int64, `[n]`.

    Raises:
        BadInput: they are not whole numbers, or not of rank 1.
    """
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise BadInput(f"{name} are {values.dtype} {list(values.shape)}; expected integers of rank 1")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    for index in np.flatnonzero(whole != values)[:1]:
        raise BadInput(f"{name} hold {values[index]} for sequence {index}; expected whole numbers")
    return whole


def _names(grid: Grid, count: int) -> tuple[str, ...]:
    if grid.dtype.kind not in "SUO" or grid.shape != (count,):
        raise BadInput(f"{grid.name} is {grid.words}; expected the {count} names of the sequences")
    values = np.ascontiguousarray(grid.whole())
    if values.dtype.kind == "U" and values.nbytes:
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max() > sys.maxunicode:  # NumPy itself does not look
            raise BadInput(f"{grid.name} holds numbers that are no characters")
    try:
        return tuple(value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values.tolist())
    except ValueError as exc:
        raise BadInput(f"{grid.name} holds bytes that are no text: {exc}") from exc


def _sequences(data: Mapping[str, Grid], axes: int) -> bool:
    """Whether each array can be one sequence, of steps of so many axes or of one number a step."""
    grids = list(data.values())
    kinds = {grid.dtype.kind for grid in grids}
    ranks = {len(grid.shape) for grid in grids}
    if kinds <= {"i", "u"} and ranks == {1}:
        return True
    if kinds != {"f"} or ranks not in ({1}, {axes + 1}):
        return False
    return len({grid.shape[1:] for grid in grids}) == 1 and (
        ranks == {axes + 1} or all(re.fullmatch(r"arr_\d+", name) for name in data)
    )


def _each(data: Mapping[str, Grid]) -> Found:
    grids = list(data.values())
    tail = grids[0].shape[1:]
    every = tuple(slice(0, size) for size in tail)
    ragged = apart(
        [grid.shape[0] for grid in grids],
        tail,
        np.result_type(*(grid.dtype for grid in grids)),
        lambda row, start, stop: grids[row].read((slice(start, stop), *every)),
    )
    if ragged.dtype.kind == "f" and grids[0].dtype.kind != "f":  # int64 beside uint64 promotes to float64
        raise BadInput("its arrays are of signed and of unsigned integers of 64 bits; expected one dtype")
    return Found(ragged, tuple(data))
