"""Arrays that are in memory already: what a notebook hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.inputs.collection import choose
from rnnprobe.inputs.found import Found, Request, memory
from rnnprobe.inputs.rows import apart
from rnnprobe.types import Array


def read(source: object, request: Request) -> Found:
    """An array or what NumPy makes one of; a list of arrays, each a sequence; or a mapping as `.npz` would hold it.

    A list of plain numbers or of lists is taken as one array where NumPy can make one of it; where its rows differ in
    length, each row is a sequence.

    Raises:
        BadInput: there are no numbers in it.
    """
    if isinstance(source, Mapping):
        return choose(
            {str(name): memory(array(value, str(name)), str(name)) for name, value in source.items()}, "", request
        )
    if isinstance(source, list | tuple):
        if not source:
            raise BadInput("the input holds no sequence")
        if all(hasattr(item, "__array__") and np.ndim(item) > 0 for item in source):
            return _ragged(source, request.axes)
        try:
            return Found(memory(np.array(source)).check(), written=_written(source))
        except ValueError:  # rows of different lengths
            return _ragged(source, request.axes)
    return Found(memory(array(source, "the array")).check())


def array(value: Any, name: str) -> Array:
    """`value` as an array. Raises `BadInput` where its rows differ in length."""
    try:
        return np.asarray(value)
    except ValueError as exc:
        raise BadInput(f"{name} can't be made an array: {exc}") from exc


def _written(source: Sequence[Any]) -> bool:
    """Whether these are Python's numbers, so that 3 may stand for 3.0."""
    item: Any = source
    while isinstance(item, list | tuple):
        if not item:
            return False
        item = item[0]
    return not hasattr(item, "dtype")


def _ragged(items: Sequence[Any], axes: int) -> Found:
    arrays = [array(item, f"sequence {index}") for index, item in enumerate(items)]
    for index, each in enumerate(arrays):
        memory(each, f"sequence {index}").check()
        if each.ndim not in (1, axes + 1):
            steps = {0: "time", 1: "time, features"}.get(axes, f"time, … {axes} axes of a step")
            raise BadInput(
                f"sequence {index} is {each.dtype} {list(each.shape)}; expected ids [time] or floats [{steps}]"
            )
        if each.ndim != arrays[0].ndim or each.shape[1:] != arrays[0].shape[1:]:
            raise BadInput(
                f"sequence {index} is {each.dtype} {list(each.shape)}, but sequence 0 is {arrays[0].dtype} "
                f"{list(arrays[0].shape)}; expected one rank and one {'width' if axes < 2 else 'shape of a step'}"
            )
    kinds = {"f" if each.dtype.kind == "f" else "i" for each in arrays if each.size}
    if len(kinds) > 1 and not _written(items):
        raise BadInput("some sequences hold integers and some floats; expected one dtype")
    dtype = np.result_type(*(each.dtype for each in arrays if each.size or len(arrays) == 1))
    lengths = [len(each) for each in arrays]
    data = apart(lengths, arrays[0].shape[1:], dtype, lambda row, start, stop: arrays[row][start:stop])
    return Found(data, written=_written(items))
