"""`.npy`: one array, read in place.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 and 2.0 (3.0 differs for structured
arrays alone). The header is checked against the file's real length before a value is read, and nothing is unpickled.
"""

from __future__ import annotations

import io
import tokenize
import warnings
from math import prod
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from rnnprobe.errors import BadInput, RnnprobeError
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Grid, Reader, Request
from rnnprobe.types import Array

_HEADER = 1 << 14  # bytes; NumPy reads none beyond 10,000
_SPAN = 1 << 22  # bytes that are read in one piece rather than sought apart

_BROKEN = (
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    EOFError,
    SyntaxError,
    RecursionError,
    tokenize.TokenError,
    KeyError,
    IndexError,
    AttributeError,
)
"""What `numpy.lib.format` raises on a header that is none: it hands the text to `ast`, `tokenize` and `np.dtype`."""


def read(file: File, request: Request) -> Found:
    """The array of a `.npy` file, not loaded."""
    if file.key:
        raise file.bad(f"an .npy file holds one array without a name; found the key {file.key!r}")
    array = grid(file, 0, file.size)
    rest = file.size - array_end(file, 0, file.size)
    if rest:
        request.say(f"{file.path}: {rest} bytes behind the array are not read")
    return Found(array.check(file.path))


def grid(file: File, start: int, size: int, name: str = "the array") -> Grid:
    """The array that lies in `size` bytes from `start` on, in `.npy` form.

    Raises:
        BadInput: the header is damaged, or declares more than there is.
    """
    with file.open() as stream:
        stream.seek(start)
        head = read_exactly(stream, min(size, _HEADER))
    shape, fortran, dtype, offset = parse(head, name, file.path)
    fits(shape, dtype, size - offset, name, file.path)
    offset += start

    def load(slices: tuple[slice, ...]) -> Array:
        if dtype.hasobject:
            result.check(file.path)
        with file.open() as stream:
            try:
                if fortran:
                    return block(stream, offset, shape[::-1], dtype, slices[::-1]).T
                return block(stream, offset, shape, dtype, slices)
            except EOFError as exc:
                raise BadInput(f"{name} is cut off: the file has become shorter", path=file.path) from exc

    result = Grid(shape, dtype, load, name)
    return result


def array_end(file: File, start: int, size: int) -> int:
    """The offset of the first byte behind the array."""
    with file.open() as stream:
        stream.seek(start)
        head = read_exactly(stream, min(size, _HEADER))
    shape, _, dtype, offset = parse(head, "the array", file.path)
    return start + offset + prod(shape) * dtype.itemsize


def parse(head: bytes | bytearray, name: str, path: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, Fortran order, dtype and the offset of the values, from the first bytes.

    Raises:
        BadInput: it is no such header.
    """
    stream = io.BytesIO(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2, and what `ast` thinks of a broken one
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise BadInput(f"{name} is of version {version[0]}.{version[1]} of the format; expected 1.0 or 2.0")
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read_header(stream)
    except RnnprobeError as exc:
        raise BadInput(exc.message, path=path) from exc
    except _BROKEN as exc:
        reason = str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__
        raise BadInput(f"the .npy header of {name} is damaged: {reason}", path=path) from exc
    if any(type(size) is not int or size < 0 for size in shape):
        raise BadInput(f"the .npy header of {name} declares the shape {shape}", path=path)
    return shape, fortran, dtype, stream.tell()


def fits(shape: tuple[int, ...], dtype: np.dtype[Any], size: int, name: str, path: str) -> None:
    """Checks what the header declares against what is there."""
    if dtype.hasobject:
        return
    declared = prod(shape) * dtype.itemsize
    if declared > size:
        raise BadInput(
            f"{name} is cut off: its header declares {dtype} {list(shape)}, {declared} bytes; found {size}", path=path
        )


def block(
    stream: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], slices: tuple[slice, ...]
) -> Array:
    """A block of an array stored in C order at `offset`: read in one piece where that is nearly all of what lies
    between its ends or little anyway, else in the pieces along its first axis.

    Raises:
        EOFError: the stream ends before.
    """
    sizes = tuple(each.stop - each.start for each in slices)
    if not prod(sizes):
        return np.empty(sizes, dtype)
    strides = [prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape))]
    first = sum(each.start * stride for each, stride in zip(slices, strides, strict=True))
    last = sum((each.stop - 1) * stride for each, stride in zip(slices, strides, strict=True))
    span = last - first + dtype.itemsize
    wanted = prod(sizes) * dtype.itemsize
    if span == wanted or span <= _SPAN:
        stream.seek(offset + first)
        data = read_exactly(stream, span)
        if len(data) < span:
            raise EOFError
        return np.ndarray(sizes, dtype, data, strides=strides)
    out = np.empty(sizes, dtype)
    for index in range(sizes[0]):
        inner = offset + (slices[0].start + index) * strides[0]
        out[index] = block(stream, inner, shape[1:], dtype, slices[1:])
    return out


def read_exactly(stream: BinaryIO, size: int) -> bytearray:
    """`size` bytes, or fewer at the end: an unbuffered file may return less than it was asked for."""
    data = bytearray(size)
    view = memoryview(data)
    got = 0
    while got < size:
        count = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not count:
            break
        got += count
    view.release()
    del data[got:]
    return data


NPY = Reader("npy", (".npy",), lambda head: head.startswith(b"\x93NUMPY"), read)
