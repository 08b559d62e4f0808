"""The recurrences of a graph, as `rnnprobe inspect --loops` lists them. Tensors go by their names in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Extent: TypeAlias = tuple[int | None, ...] | None
"""A shape as a graph says it: None for a size that is open; None as a whole where even the rank is."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """A tensor of the graph.

    Attributes:
        name: `node:output`.
        op: what computes it.
        dtype: NumPy's name, `resource` or `variant`; empty where the graph does not say.
        shape: as the graph says it.
    """

    name: str
    op: str
    dtype: str
    shape: Extent


@dataclass(frozen=True, slots=True)
class LoopVariable:
    """Something that a recurrence carries from step to step.

    Attributes:
        number: its place among the loop's variables.
        role: `iteration counter`, `time`, `output array`, `state`, `current input`, `finished flags`, `lengths`,
            `loop state`, `array`, `counter`, `carried`, or `unchanged`.
        meaning: for a state of a layer that was recovered, `c of LAYER`; of an array, what its index is; or empty.
        dtype: its own, or that of an array's elements.
        shape: likewise.
        start: in words, what it starts from.
        name: its tensor inside the loop; empty where the recurrence is no loop.
    """

    number: int
    role: str
    meaning: str
    dtype: str
    shape: Extent
    start: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Emitted:
    """What a recurrence hands out at each step.

    Attributes:
        tensor: what is written at each step.
        index: at which place of the array, in words: `time`, `time + 1`.
        stacked: the tensor that all steps make together, or None where nothing puts them together.
        axes: `time, batch`, or `batch, time` where it is turned round; empty where it is not put together.
        variable: the number of the array among the loop variables; None for an op.
    """

    tensor: GraphTensor
    index: str = ""
    stacked: GraphTensor | None = None
    axes: str = ""
    variable: int | None = None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence of the graph.

    Attributes:
        name: of the frame, the node, or the layer that is unrolled.
        kind: in words: `dynamic_rnn`, `raw_rnn`, `tf.scan`, `dynamic_decode`, `Keras K.rnn`, `while loop`, `unrolled`,
            or the op.
        form: how the graph writes it: `frame` (version 1), `function` (While), `steps` (unrolled), `op`.
        variables: in order; of a functional loop, those that it merely captures are left out.
        captured: how many these are.
        condition: in words, what must hold for one more step; empty where the recurrence is no loop.
        emitted: what it hands out.
        inputs: the sequences that it reads a step of, in the graph's own names.
        lengths: the tensors that hold the sequences' lengths.
        reads: the checkpoint's variables that take part.
        direction: `forward`, `backward`, or empty where nothing tells.
        layers: the layers that were recovered in it.
        inside: the recurrence around it, or empty.
        steps: how many steps are written out, or 0.
        tensors: every tensor that is computed inside.
        notes: what a report should say of it.
    """

    name: str
    kind: str
    form: str
    variables: tuple[LoopVariable, ...] = ()
    captured: int = 0
    condition: str = ""
    emitted: tuple[Emitted, ...] = ()
    inputs: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    direction: str = ""
    layers: tuple[str, ...] = ()
    inside: str = ""
    steps: int = 0
    tensors: tuple[GraphTensor, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a SavedModel offers under a name: argument → tensor, result → tensor."""

    name: str
    method: str
    inputs: tuple[tuple[str, GraphTensor], ...]
    outputs: tuple[tuple[str, GraphTensor], ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """The recurrences of a graph, and where values enter it.

    Attributes:
        recurrences: in the order of the graph.
        gradients: how many loops of gradients are left out.
        placeholders: what must or may be fed.
        signatures: of a SavedModel.
        unread: functions that were not looked into.
    """

    recurrences: tuple[Recurrence, ...]
    gradients: int
    placeholders: tuple[GraphTensor, ...]
    signatures: tuple[Signature, ...]
    unread: tuple[str, ...] = ()
