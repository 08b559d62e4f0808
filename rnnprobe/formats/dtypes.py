"""TensorFlow's dtypes (tensorflow/core/framework/types.proto) and NumPy's."""

from __future__ import annotations

from math import prod

import numpy as np

from rnnprobe.types import Array

STRING = 7
MAX_RANK = 32  # NumPy's own limit in its 1.x releases
MAX_BYTES = (1 << 63) - 1

_NUMPY = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64", 10: "bool",
    17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
_ML_DTYPES = {
    14: "bfloat16", 24: "float8_e5m2", 25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz", 29: "int4", 30: "uint4", 31: "int2", 32: "uint2", 33: "float4_e2m1fn",
}  # fmt: skip
_OTHER = {
    7: "string", 11: "qint8", 12: "quint8", 13: "qint32", 15: "qint16", 16: "quint16", 20: "resource", 21: "variant",
}  # fmt: skip


def name(code: int) -> str:
    """What a dtype is called, also one that no release until now has."""
    return _NUMPY.get(code) or _ML_DTYPES.get(code) or _OTHER.get(code) or f"dtype {code}"


def fixed(code: int) -> np.dtype[np.generic] | None:
    """NumPy's dtype of the same meaning, little-endian; None for strings and for what NumPy can't hold."""
    if code in _NUMPY:
        return np.dtype(_NUMPY[code]).newbyteorder("<")
    if code in _ML_DTYPES:
        import ml_dtypes  # also makes the name known to np.dtype, which Tensor.nbytes asks

        kind = getattr(ml_dtypes, _ML_DTYPES[code], None)  # older releases lack the smallest ones
        return None if kind is None else np.dtype(kind)
    return None


def overflows(code: int, shape: tuple[int, ...]) -> bool:
    """Whether NumPy would refuse the shape, as it does for `(0, 2**62)` though nothing is in it."""
    dtype = fixed(code)
    return prod(size for size in shape if size) * (dtype.itemsize if dtype else 8) > MAX_BYTES


def unreadable(code: int, shape: tuple[int, ...]) -> str:
    """Why values of this dtype and shape can't be loaded, or empty."""
    if code != STRING and fixed(code) is None:
        return f"{name(code)} values are not read"
    if len(shape) > MAX_RANK:
        return f"its {len(shape)} axes are more than the {MAX_RANK} of NumPy"
    return ""


def native(data: bytes | bytearray, code: int, shape: tuple[int, ...]) -> Array:
    """An array from the bytes of a fixed-width dtype, `shape` known to fit them."""
    dtype = fixed(code)
    if dtype is None:
        raise ValueError(f"{name(code)} has no fixed width")
    if dtype.kind == "b":  # a byte other than 0 and 1 must not become a bool that is neither
        return np.frombuffer(data, np.uint8).astype(np.bool_).reshape(shape)
    return np.frombuffer(data, dtype).reshape(shape)
