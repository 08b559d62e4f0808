"""cuDNN's own buffers of all weights (`cudnn_lstm/opaque_kernel`), cut into the tensors that are saved beside them.

TensorFlow 1's cuDNN layers save their weights twice: as one flat buffer, laid out as cuDNN wants it, and as canonical
tensors. A Saver with a var_list of its own saves the buffer alone. It holds, layer after layer, forward before
backward, each gate's matrix for the input `[units, inputs]`, then each gate's for h `[units, units]`, row after row;
then, in the same order, each gate's bias beside the input, then each gate's beside h. The gates are i f g o, or r z n.

NVIDIA fixes nothing but how cuDNN is asked where a matrix lies (`cudnnGetRNNLinLayerMatrixParams`). That they lie so is
what MXNet takes for granted, whose `FusedRNNCell` (`python/mxnet/rnn/rnn_cell.py`) cuts the buffers that it hands to
cuDNN 5 to 8, and, of one layer, TensorFlow's Keras (`recurrent_v2.py`, `_canonical_to_params`). There are no gaps, so
that a buffer whose length is another is none of these. The canonical tensors are those that TensorFlow makes of it
(`contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py`): the two biases of a gate as their sum, but for a GRU's n.

How many layers, units and inputs there are, and whether there are two directions, is in the graph alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from rnnprobe.types import Array, Candidate, Tensor

LEAF = "opaque_kernel"
_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_BIDIRECTIONAL = "bidirectional"
_MOST_LAYERS = 4
_SHOWN = 6
_Cut = Callable[["Sizes", Tensor, int], Array]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a buffer holds.

    Attributes:
        mode: `lstm`, `gru`, `rnn_tanh` or `rnn_relu`.
        layers, units, inputs: how many; `inputs` are those of the first layer.
        directions: 1 or 2.
    """

    mode: str
    layers: int
    units: int
    inputs: int
    directions: int

    @property
    def gates(self) -> int:
        """How many gates a cell has."""
        return _GATES[self.mode]

    @property
    def passes(self) -> int:
        """How many cells there are: one for each layer and direction."""
        return self.layers * self.directions

    def width(self, number: int) -> int:
        """The inputs of one of the cells."""
        return self.inputs if number < self.directions else self.units * self.directions

    def matrices(self, number: int) -> int:
        """Where the matrices of a cell begin."""
        return sum(self.gates * self.units * (self.width(k) + self.units) for k in range(number))

    def biases(self, number: int) -> int:
        """Where the biases of a cell begin."""
        return self.matrices(self.passes) + 2 * self.gates * self.units * number

    @property
    def length(self) -> int:
        """The numbers in all."""
        return self.biases(self.passes)

    def __str__(self) -> str:
        layers = f"{self.layers} {'layers' if self.layers > 1 else 'layer'}"
        both = ", both ways" if self.directions > 1 else ""
        return f"{layers} of {self.units} units for {self.inputs} inputs{both}"


def cut(tensors: Mapping[str, Tensor], graph: Any) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors, those buffers that the graph tells the sizes of as the canonical ones in their place; and notes.

    Args:
        tensors: those stored.
        graph: the graph that came with them, or None.
    """
    found, notes = dict(tensors), []
    for name, sizes in _told(tensors, graph).items():
        if _is_canonical(name, tensors):
            continue
        made = {one.name: one for one in _canonical(tensors[name], sizes)}
        del found[name]
        found |= made
        notes.append(f"{name} is cut as cuDNN lays its weights out, by the sizes that the graph tells: {sizes}")
    return found, notes


def left(tensors: Mapping[str, Tensor]) -> tuple[list[str], list[Candidate]]:
    """A note for each buffer beside its canonical tensors, and a candidate for each that could not be cut."""
    notes, candidates = [], []
    for name, tensor in tensors.items():
        scope, _, leaf = name.rpartition("/")
        if leaf != LEAF:
            continue
        if _is_canonical(name, tensors):
            notes.append(f"{name} holds the same weights as cuDNN lays them out; it is not read")
        else:
            candidates.append(Candidate(scope, (), _reason(name, tensor)))
    return notes, candidates


def _is_canonical(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the weights of a buffer are stored apart as well."""
    scope = name.rpartition("/")[0]
    around = f"{scope}/" if scope else ""
    return any(other.startswith((f"{around}rnn/", f"{around}stack_bidirectional_rnn/")) for other in tensors)


def _reason(name: str, tensor: Tensor) -> str:
    """Why a buffer is no layer, and what it could be."""
    mode = next((mode for mode in _GATES if f"cudnn_{mode}" in name), "lstm")
    known = "its cells' kind, " if f"cudnn_{mode}" not in name else ""
    fits = [sizes for sizes in _fitting(mode, tensor.size) if sizes.inputs <= 8 * sizes.units]
    shown = "; ".join(map(str, fits[:_SHOWN])) + (f" and {len(fits) - _SHOWN} more" if len(fits) > _SHOWN else "")
    could = f"; as {mode.removeprefix('rnn_')} its {tensor.size} numbers could be {shown}" if fits else ""
    return (
        f"{LEAF} is cuDNN's own buffer of all weights of its layers; {known}how many layers, units and inputs there "
        f"are is in the graph alone{could}. A Saver without a var_list also saves them apart"
    )


def _fitting(mode: str, length: int) -> Iterator[Sizes]:
    """All sizes that a buffer of this length may have, those of the fewest layers first."""
    for layers in range(1, _MOST_LAYERS + 1):
        for directions in (1, 2):
            most = length // (directions * _GATES[mode])
            for units in range(1, int(most**0.5) + 1):
                rest = length - Sizes(mode, layers, units, 0, directions).length
                inputs, odd = divmod(rest, directions * _GATES[mode] * units)
                if not odd and inputs > 0:
                    yield Sizes(mode, layers, units, inputs, directions)


# The graph -----------------------------------------------------------------------------------------------------------


def _told(tensors: Mapping[str, Tensor], graph: Any) -> dict[str, Sizes]:
    """Buffer → its sizes, of those that an op of cuDNN's reads in the graph and whose length is these sizes'."""
    flat = {name for name, tensor in tensors.items() if len(tensor.shape) == 1 and tensor.dtype == "float32"}
    if graph is None or not flat:
        return {}
    from rnnprobe.recover.graph.cudnn import buffers

    found: dict[str, set[Sizes]] = {}
    for name, (mode, layers, units, inputs, directions) in buffers(graph, tensors):
        sizes = Sizes(mode, layers, units, inputs, directions)
        if name in flat and mode in _GATES and sizes.length == tensors[name].size:
            found.setdefault(name, set()).add(sizes)
    return {name: sizes.pop() for name, sizes in found.items() if len(sizes) == 1}


# The canonical tensors -----------------------------------------------------------------------------------------------


def _canonical(buffer: Tensor, sizes: Sizes) -> Iterator[Tensor]:
    """The tensors that TensorFlow saves of a buffer."""
    scope = buffer.name.removesuffix(f"/{LEAF}") if buffer.name != LEAF else ""
    mode = f"cudnn_{sizes.mode}"
    scope = scope if mode in scope or not sizes.mode.startswith("rnn") else f"{scope}/{mode}".removeprefix("/")
    for number in range(sizes.passes):
        layer, way = divmod(number, sizes.directions)
        around = f"rnn/multi_rnn_cell/cell_{layer}"
        if sizes.directions > 1:
            around = f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{('fw', 'bw')[way]}"
        for leaf, shape, made in _leaves(sizes, sizes.width(number)):
            yield _tensor(f"{scope}/{around}/{leaf}".removeprefix("/"), shape, buffer, sizes, number, made)


def _leaves(sizes: Sizes, width: int) -> Iterable[tuple[str, tuple[int, ...], _Cut]]:
    """The tensors of a cell: the name below its scope, the shape, and what cuts it out."""
    n = sizes.units
    if sizes.mode == "gru":
        cell = "cudnn_compatible_gru_cell"
        return (
            (f"{cell}/gates/kernel", (width + n, 2 * n), _kernel((0, 1))),
            (f"{cell}/gates/bias", (2 * n,), _bias((0, 1))),
            (f"{cell}/candidate/input_projection/kernel", (width, n), _kernel((2,), below=False)),
            (f"{cell}/candidate/input_projection/bias", (n,), _bias((2,), sides=(0,))),
            (f"{cell}/candidate/hidden_projection/kernel", (n, n), _kernel((2,), above=False)),
            (f"{cell}/candidate/hidden_projection/bias", (n,), _bias((2,), sides=(1,))),
        )
    # TensorFlow's own order is i g f o.
    cell, order = ("cudnn_compatible_lstm_cell", (0, 2, 1, 3)) if sizes.mode == "lstm" else ("basic_rnn_cell", (0,))
    return (
        (f"{cell}/kernel", (width + n, sizes.gates * n), _kernel(order)),
        (f"{cell}/bias", (sizes.gates * n,), _bias(order)),
    )


def _kernel(gates: tuple[int, ...], *, above: bool = True, below: bool = True) -> _Cut:
    """The matrices of gates side by side: those that meet the input above those that meet h."""

    def made(sizes: Sizes, buffer: Tensor, number: int) -> Array:
        n, width, start = sizes.units, sizes.width(number), sizes.matrices(number)
        middle = start + sizes.gates * n * width
        places = [*([(start, width)] if above else []), *([(middle, n)] if below else [])]
        parts = [_load(buffer, first, (sizes.gates, n, columns)) for first, columns in places]
        return np.concatenate([np.concatenate([part[gate].T for gate in gates], axis=1) for part in parts])

    return made


def _bias(gates: tuple[int, ...], sides: tuple[int, ...] = (0, 1)) -> _Cut:
    """The biases of gates side by side, summed over those beside the input and beside h."""

    def made(sizes: Sizes, buffer: Tensor, number: int) -> Array:
        biases = _load(buffer, sizes.biases(number), (2, sizes.gates, sizes.units))
        return np.concatenate(
            [sum((biases[side, gate] for side in sides[1:]), biases[sides[0], gate]) for gate in gates]
        )

    return made


def _load(buffer: Tensor, start: int, shape: tuple[int, ...]) -> Array:
    """The numbers of a buffer from `start` on, as an array of this shape; nothing else of it is read."""
    return buffer.load(slice(start, start + prod(shape))).reshape(shape)


def _tensor(name: str, shape: tuple[int, ...], buffer: Tensor, sizes: Sizes, number: int, made: _Cut) -> Tensor:
    def read(rows: slice) -> Array:
        return np.asarray(made(sizes, buffer, number)[rows])

    return Tensor(name, shape, buffer.dtype, read, buffer.problem, (buffer.name,))
