"""What a path held: tensors, and what came with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array in a file. Its byte range was validated when the file was opened; nothing is read until `load`.

    Attributes:
        name: as stored.
        shape: `()` for a scalar.
        dtype: NumPy's name of the dtype (`float32`, `bfloat16`, `string` …), also of those that can't be loaded.
        read: `read(rows)` returns the array, or the rows of it along its first axis. Called through `load` alone.
        problem: why the values can't be loaded (an unsupported dtype, a data file that is missing), or empty.
        pieces: of one made of several stored tensors, their names; else empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[slice], Array]
    problem: str = ""
    pieces: tuple[str, ...] = ()

    def load(self, rows: slice = ALL) -> Array:
        """The values, or those of `rows` along the first axis, reading these rows' own bytes alone.

        Raises:
            BadInput: the bytes are damaged, or `problem` says why there are none.
        """
        return self.read(rows)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the values as stored; 0 where the dtype has no fixed width."""
        try:
            return self.size * np.dtype(self.dtype).itemsize
        except TypeError:
            return 0


@dataclass(frozen=True, slots=True)
class KerasConfig:
    """A Keras model's configuration, as data: nothing in it is ever executed.

    Attributes:
        model: the object with `class_name` and `config`.
        version: the `keras_version` that wrote it, or empty.
    """

    model: Mapping[str, Any]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a TensorFlow 2 checkpoint: models, layers, cells, each an attribute of another.

    Attributes:
        paths: tensor → the attributes that lead to its variable (`("encoder", "cell", "kernel")`), whatever the tensor
            is stored as.
        names: tensor → the variable's own name (`lstm/lstm_cell/kernel`), where the file tells it.
        configs: an object's path, joined by slashes → its Keras configuration, where one came along.
    """

    paths: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a path held. Tensor names are unique; a dtype that can't be loaded is listed all the same.

    Attributes:
        path: the path as it was resolved: a bundle's prefix, or the file.
        format: in words, for the reports: `TensorFlow V2 bundle`, `Keras HDF5 weights` …
        tensors: everything stored, by name, in the file's own order.
        set_apart: names of tensors that are no weights, and what they are (`Adam slot of x`, `moving average of x`,
            `counter`).
        groups: for Keras files, the stored layer → names of its tensors, in the order that the writer gave them; for
            object checkpoints, each object with variables of its own, and each layer of a Keras model in its order.
        config: the Keras configuration, where one came along.
        graph: the `MetaGraphDef` or `GraphDef` that came along, as a parsed protobuf message.
        objects: what the tensors are attributes of, where the checkpoint is one of objects.
        files: every file that was read or that holds its tensors.
        writer: the framework release that wrote the file (`TensorFlow 1.4.0`, `Keras 2.2.4`), or empty.
        notes: what the reader noticed and a report should say.
    """

    path: Path
    format: str
    tensors: Mapping[str, Tensor]
    set_apart: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    config: KerasConfig | None = None
    graph: Any = None
    objects: Objects | None = None
    files: tuple[Path, ...] = ()
    writer: str = ""
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, Tensor]:
        """The tensors that are not set apart."""
        return {name: tensor for name, tensor in self.tensors.items() if name not in self.set_apart}
