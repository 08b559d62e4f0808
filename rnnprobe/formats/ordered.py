"""The keys under which the slices of a partitioned variable lie in a table.

tensorflow/core/util/saved_tensor_slice_util.cc, `EncodeTensorNameSlice`, in the encoding of
tensorflow/core/lib/strings/ordered_code.cc: keys sort by name, then by the numbers.
"""

from __future__ import annotations

import re
from typing import Any

FULL = -1  # the length of a slice that takes a whole axis


def slice_key(name: bytes, part: Any) -> bytes:
    """The key of the slice `part` (a `Slice` message) of the tensor `name`."""
    key = unsigned(0) + string(name) + unsigned(len(part.extent))
    for extent in part.extent:
        key += signed(extent.start) + signed(extent.length if extent.HasField("length") else FULL)
    return key


def string(value: bytes) -> bytes:
    """A string, closed by a mark that sorts below every byte that could go on."""
    return re.sub(rb"[\0\xff]", lambda byte: b"\0\xff" if byte[0] == b"\0" else b"\xff\0", value) + b"\0\1"


def unsigned(value: int) -> bytes:
    """A number that is not negative: how many bytes it takes, and they, highest first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def signed(value: int) -> bytes:
    """A number of up to 64 bits; how many bytes it takes is told by the leading bits of the first."""
    size = (value if value >= 0 else ~value).bit_length() // 7 + 1
    header = ((1 << size) - 1) << (8 * size - size)
    plain = int.from_bytes(value.to_bytes(size, "big", signed=True), "big")
    return (plain ^ header).to_bytes(size, "big")
