"""The protocol buffers of TensorFlow's checkpoint files that `tensorboard.compat.proto` does not have.

Field numbers follow tensorflow/core/protobuf/tensor_bundle.proto and saved_model.proto, tensorflow/core/util/
saved_tensor_slice.proto, and tensorflow/core/framework/{tensor,tensor_shape,tensor_slice}.proto. They live in a pool of
their own, so that TensorFlow can be imported beside them. An enum is declared as an int32, and a packed array of floats
as bytes: the same on the wire, and NumPy reads it where it lies.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput

# message → its fields: number, name, type; `*` marks a repeated field, a capital a message.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "Dim": ((1, "size", "int64"),),
    "Shape": ((2, "dim", "*Dim"), (3, "unknown_rank", "bool")),
    "Extent": ((1, "start", "int64"), (2, "length", "?int64")),
    "Slice": ((1, "extent", "*Extent"),),
    "Version": ((1, "producer", "int32"), (2, "min_consumer", "int32")),
    "BundleHeader": ((1, "num_shards", "int32"), (2, "endianness", "int32"), (3, "version", "Version")),
    "BundleEntry": (
        (1, "dtype", "int32"),
        (2, "shape", "Shape"),
        (3, "shard_id", "int32"),
        (4, "offset", "int64"),
        (5, "size", "int64"),
        (6, "crc32c", "fixed32"),
        (7, "slices", "*Slice"),
    ),
    "SavedSliceMeta": ((1, "name", "bytes"), (2, "shape", "Shape"), (3, "type", "int32"), (4, "slice", "*Slice")),
    "SavedTensorSliceMeta": ((1, "tensor", "*SavedSliceMeta"),),
    "TensorData": (
        (4, "tensor_content", "bytes"),
        (5, "float_val", "bytes"),
        (6, "double_val", "bytes"),
        (7, "int_val", "*int32"),
        (8, "string_val", "*bytes"),
        (9, "scomplex_val", "bytes"),
        (10, "int64_val", "*int64"),
        (11, "bool_val", "*bool"),
        (12, "dcomplex_val", "bytes"),
        (13, "half_val", "*int32"),
        (16, "uint32_val", "*uint32"),
        (17, "uint64_val", "*uint64"),
    ),
    "SavedSlice": ((1, "name", "bytes"), (2, "slice", "Slice"), (3, "data", "TensorData")),
    "SavedTensorSlices": ((1, "meta", "SavedTensorSliceMeta"), (2, "data", "SavedSlice")),
    "SavedModel": ((1, "schema_version", "int64"), (2, "meta_graphs", "*bytes")),
    "SavedMetadata": ((1, "nodes", "*SavedObject"),),
    "SavedObject": ((2, "node_id", "int32"), (4, "identifier", "bytes"), (5, "metadata", "bytes")),
}


@cache
def _classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="rnnprobe.proto", package="rnnprobe", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for number, name, kind in fields:
            field = described.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if kind[0] == "*" else kinds.LABEL_OPTIONAL
            if kind[0] == "?":
                field.proto3_optional = True
                field.oneof_index = len(described.oneof_decl)
                described.oneof_decl.add(name=f"_{name}")
            kind = kind.lstrip("*?")
            if kind in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".rnnprobe.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"rnnprobe.{name}")) for name in _MESSAGES}


def decode(message: Any, data: bytes, what: str, path: Path) -> Any:
    """`message`, filled from `data`.

    Raises:
        BadInput: it is not one; `what` names it.
    """
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(data)
    except DecodeError as exc:
        raise BadInput(f"{what} is damaged: it does not parse as a protocol buffer", path=path) from exc
    return message


def parse(kind: str, data: bytes, what: str, path: Path) -> Any:
    """The message `kind` that `data` holds. Raises `BadInput`."""
    return decode(_classes()[kind](), data, what, path)


def shape(message: Any, what: str, path: Path) -> tuple[int, ...]:
    """A `Shape` as a tuple.

    Raises:
        BadInput: a dimension or the rank is unknown, or a dimension is negative.
    """
    sizes = tuple(dim.size for dim in message.dim)
    if message.unknown_rank or any(size < 0 for size in sizes):
        raise BadInput(f"{what} has no definite shape: {'unknown rank' if message.unknown_rank else sizes}", path=path)
    return sizes


def extents(message: Any, full: tuple[int, ...], what: str, path: Path) -> tuple[tuple[int, int], ...]:
    """A `Slice` of a tensor of shape `full` as (start, length) for each axis.

    Raises:
        BadInput: its rank differs, or it reaches outside of `full`.
    """
    if len(message.extent) != len(full):
        raise BadInput(f"a slice of {what} has {len(message.extent)} axes, its tensor {len(full)}", path=path)
    pairs = tuple(
        (extent.start, extent.length if extent.HasField("length") else size)
        for extent, size in zip(message.extent, full, strict=True)
    )
    for (start, count), size in zip(pairs, full, strict=True):
        if start < 0 or count < 0 or start + count > size:
            raise BadInput(f"a slice of {what} reaches outside of its tensor's shape {full}", path=path)
    return pairs
