"""The data that flows from stage to stage. Classes here hold data; what is done with it lives in the stages.

Shapes are written `[time, batch, units]`. Sizes are counts of elements, never bytes, unless a name says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
ALL = slice(None)

Direction: TypeAlias = Literal["forward", "backward"]

# Where the value of an option comes from, strongest last:
#   assumed  nothing in the file says it; the framework's own default
#   cell     the cell leaves no choice
#   weights  the names and shapes of the stored tensors imply it
#   config   the Keras configuration stored with the weights
#   graph    the graph stored with the weights
#   flag     the user said so
Evidence: TypeAlias = Literal["assumed", "cell", "weights", "config", "graph", "flag"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array in a file. Its byte range was validated when the file was opened; nothing is read until `load`.

    Attributes:
        name: as stored.
        shape: `()` for a scalar.
        dtype: NumPy's name of the dtype (`float32`, `bfloat16`, `string` …), also of those that can't be loaded.
        read: `read(rows)` returns the array, or the rows of it along its first axis. Called through `load` alone.
        problem: why the values can't be loaded (an unsupported dtype, a data file that is missing), or empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[slice], Array]
    problem: str = ""

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


Xp: TypeAlias = Any
"""A NumPy-like namespace: `rnnprobe.cells.namespace` says which functions a cell may call on it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A block of a stored tensor that plays one part in the equations.

    Attributes:
        name: `kernel` (meets the input), `recurrent_kernel` (meets h), `bias`, `recurrent_bias`, `peephole`,
            `projection`.
        rows: its extent along the last axis but one, as a formula of the layer's sizes; along that of a vector.
        gates: the gates side by side along the last axis, in stored order; empty where the part has no gates.
        cudnn: each gate's block is stored as cuDNN wants it, transposed (cells.md, section 3).
    """

    name: str
    rows: str
    gates: tuple[str, ...] = ()
    cudnn: bool = False


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that a cell stores.

    Attributes:
        role: its name in reports and in `Layer.weights`.
        names: the names below the cell's scope, one for each naming era.
        shape: a formula of `input_size`, `units` and `output_size` for each axis.
        parts: the blocks in it, stacked along the last axis but one; along that of a vector.
        optional: the cell works without it.
    """

    role: str
    names: tuple[str, ...]
    shape: tuple[str, ...]
    parts: tuple[Part, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a cell computes at each step and that can be recorded.

    Attributes:
        name: `h`, `c`, `f`, `f_pre` …
        kind: `state` (goes on to the next step), `gate` (after its activation), `pre` (before it), `inner` (neither).
        size: a formula of the layer's sizes.
        needs: the role of the weight without which there is no such signal, or empty.
        activation: of a gate, the option that names the activation it went through.
    """

    name: str
    kind: Literal["state", "gate", "pre", "inner"]
    size: str = "units"
    needs: str = ""
    activation: str = ""


OptionValue: TypeAlias = float | str | bool | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Option:
    """A number or choice that changes what a cell computes and that its weights don't hold.

    Attributes:
        name: as in the reports; the flag is the same word with dashes.
        default: the framework's own.
        choices: the valid words, or empty for a number; a single one where the cell leaves no choice.
        help: for `--help`.
        needs: the role of the weight without which it means nothing, or empty.
    """

    name: str
    default: OptionValue
    choices: tuple[str, ...] = ()
    help: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A recurrent cell as a table and two pure functions.

    Attributes:
        name: unique among `rnnprobe.cells.CELLS`.
        title: for the reports.
        framework: `tf1`, `keras` or `sonnet`: whose storage the weights follow.
        scopes: the variable scopes that TensorFlow 1 gave it, in each era (without a `_1` suffix).
        classes: the class names that a Keras config or a name scope knows it by.
        weights: what it stores.
        gates: in stored order.
        spelled: the writer's own letters for `gates`.
        order: the gates in the order in which the equations split a part; each group is an array of its own.
        signals: what `step` returns, states first.
        options: what the weights can't say.
        project: `project(xp, w, x, options)`: what needs no recurrence, for all steps at once. `x` is
            `[..., input_size]`; returns `[..., k]`.
        space: of a convolutional cell, `space(shape, sizes, options)`: the extent of its states in space for input
            steps of this shape; else None.
        step: `step(xp, w, z, state, options)`: one step. `z` is `[batch, k]`, one step of what `project` returned;
            `state` maps each state to `[batch, size]`; returns every signal by name, the new states among them.
            `w` is what `rnnprobe.cells.slices.assemble` returns.
    """

    name: str
    title: str
    framework: Literal["tf1", "keras", "sonnet"]
    scopes: tuple[str, ...]
    classes: tuple[str, ...]
    weights: tuple[Weight, ...]
    gates: tuple[str, ...]
    spelled: tuple[str, ...]
    order: tuple[tuple[str, ...], ...]
    signals: tuple[Signal, ...]
    options: tuple[Option, ...]
    project: Callable[[Xp, Mapping[str, Any], Any, Mapping[str, OptionValue]], Any]
    step: Callable[[Xp, Mapping[str, Any], Any, Mapping[str, Any], Mapping[str, OptionValue]], dict[str, Any]]
    space: Callable[[tuple[int, ...], Mapping[str, int], Mapping[str, OptionValue]], tuple[int, ...]] | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(signal.name for signal in self.signals if signal.kind == "state")


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an option, and where it comes from."""

    value: OptionValue
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Mask:
    """Steps that a layer skips, holding its states (Keras `Masking`, an `Embedding` with `mask_zero`).

    Attributes:
        source: the embedding whose ids count, or the name outside of the network, or the transform, whose features
            count.
        value: a step is skipped where its id, or every one of its features, equals this.
        zeros: at a skipped step the layer passes on zeros, else what it passed on last.
    """

    source: str
    value: float
    zeros: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """What enters a layer or a transform, or what a layer starts from.

    Attributes:
        sources: names of layers, transforms or embeddings of the network; any other name is outside of it, and the
            user gives what it computes (`input` is the model's own input).
        merge: how several sources become one: `concat` along the features, `sum`, `mul`, `ave`.
        mask: the steps to skip, or None.
        evidence: where the wiring comes from.
        final: the state of the sources that is meant, as it is after their last step (`h`, `c`); empty: their
            sequence.
        turned: a transform is given the steps from the last to the first.
    """

    sources: tuple[str, ...] = ("input",)
    merge: str = "concat"
    mask: Mask | None = None
    evidence: Evidence = "assumed"
    final: str = ""
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A cell with its weights and its place. Every weight's shape satisfies the cell's formula for `sizes`.

    Attributes:
        name: unique in the network; what `--layer` takes.
        scope: where its weights lie in the checkpoint; two layers with one scope share their weights.
        cell: the cell.
        weights: role → stored tensor.
        sizes: `input_size`, `units`, `output_size`.
        direction: whether time runs forward or backward through it.
        options: every option of the cell, and `residual` (its input is added to what it passes on).
        feed: what enters it.
        initial: state → what it starts from; zeros where there is none.
        space: of a convolutional cell, the extent of its states in space (`[rows, columns]`); known once its input is.
    """

    name: str
    scope: str
    cell: Cell
    weights: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    options: Mapping[str, Value]
    direction: Direction = "forward"
    feed: Feed = Feed()
    initial: Mapping[str, Feed] = field(default_factory=dict)
    space: tuple[int, ...] = ()

    @property
    def input_size(self) -> int:
        """Features per step that enter."""
        return self.sizes["input_size"]

    @property
    def units(self) -> int:
        """The width of the gates."""
        return self.sizes["units"]

    @property
    def output_size(self) -> int:
        """The width of h: `units`, or the projection's."""
        return self.sizes["output_size"]

    @property
    def settings(self) -> dict[str, OptionValue]:
        """The options' bare values, as `Cell.step` takes them."""
        return {name: value.value for name, value in self.options.items()}


@dataclass(frozen=True, slots=True)
class Embedding:
    """A table that turns ids into vectors, in front of a layer.

    Attributes:
        name: unique among layers and embeddings.
        table: `[vocabulary, size]`.
        evidence: where it comes from that this table stands there.
        source: the input that gives the ids; empty: one of the embedding's own, called as it is.
    """

    name: str
    table: Tensor
    evidence: Evidence
    source: str = ""

    @property
    def ids(self) -> str:
        """The name of the input that gives the ids."""
        return self.source or self.name


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer that one of Keras 3's own classes computes, as data.

    Attributes:
        class_name: on the allow-list of `rnnprobe.recover.keras.builtin`; `Model` for a model.
        config: the arguments of its constructor: numbers, words and lists of them. Activations go by the names of
            `rnnprobe.cells.activations`.
        weights: in the order in which the class sets them.
        layers: of a recurrent one, the layers of the network that hold its weights; of `Bidirectional`, the forward
            ones first.
        inner: what it wraps.
        calls: of a model, what is called in it; the last of `results` is what it gives.
        results: of a model, its outputs: a call and the number of its output.
        inputs: of a model, the names by which its calls know its inputs.
    """

    class_name: str
    config: Mapping[str, Any]
    weights: tuple[Tensor, ...] = ()
    layers: tuple[str, ...] = ()
    inner: tuple[KerasLayer, ...] = ()
    calls: tuple[KerasCall, ...] = ()
    results: tuple[tuple[str, int], ...] = ()
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KerasCall:
    """A call of a Keras layer in the original model.

    Attributes:
        name: unique in the model.
        layer: a layer that is shared is the same object in each of its calls.
        inputs: what it is called with: the name of a call or of an input of the model, and the number of its output.
        initial: the states that it is told to start from, likewise, in Keras's order.
    """

    name: str
    layer: KerasLayer
    inputs: tuple[tuple[str, int], ...]
    initial: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Transform:
    """A layer without recurrence that stands before, between or after recurrent ones, computed by Keras's own class.

    Attributes:
        name: unique among layers, embeddings and transforms.
        layer: what computes it.
        feeds: its inputs, in order.
        stepwise: each step of what it gives depends on that step of its inputs alone; they have one length.
    """

    name: str
    layer: KerasLayer
    feeds: tuple[Feed, ...]
    stepwise: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """Tensors that look like a recurrent cell and are not claimed to be one.

    Attributes:
        scope: where they lie.
        cells: names of the cells that their names and shapes would allow; may be empty.
        reason: why nothing is claimed, and what would settle it.
    """

    scope: str
    cells: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Network:
    """The layers of a checkpoint and how they feed each other: acyclic, in an order in which each can be computed.

    Attributes:
        checkpoint: where it comes from.
        layers: every recurrent layer.
        embeddings: those that stand in front of a layer or a transform.
        candidates: what looks recurrent and was not claimed.
        notes: what a report should say of the recovery as a whole.
        transforms: what stands between, each after those that feed it.
        outputs: the model's own outputs by name, where all of it can be computed; else empty.
        original: the calls of the original Keras model, each after those that feed it, where all of it can be built of
            Keras's own classes; else empty.
        results: the model's outputs by name → the call of the original that gives it, and the number of its output.
        shapes: the inputs of a model whose configuration tells them → the shape of one sequence, None for a size that
            is open; None where the configuration is silent.
    """

    checkpoint: Checkpoint
    layers: tuple[Layer, ...]
    embeddings: tuple[Embedding, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    outputs: Mapping[str, Feed] = field(default_factory=dict)
    original: tuple[KerasCall, ...] = ()
    results: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int | None, ...] | None] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a network takes from the user as one of its inputs.

    Attributes:
        shape: of a float step: `(features,)`; `(rows, columns, channels)`; `()` where a step is one number and has no
            axis of its own. None where any size will do.
        vocabulary: how many ids there are: the embedding's rows; without an embedding, the features, since an id then
            stands for a one-hot step; 0 where ids mean nothing.
        embedded: whether an embedding stands in front.
        dtype: the floats that the network computes with, `float32` or `float64`.
        steps: how many steps a sequence must have, or None.
    """

    shape: tuple[int | None, ...]
    vocabulary: int
    embedded: bool
    dtype: str = "float32"
    steps: int | None = None

    @property
    def features(self) -> int | None:
        """The width of a step, where that is all its shape."""
        return self.shape[0] if len(self.shape) == 1 else None


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that run side by side, none of them loaded.

    Attributes:
        start: the number of its first sequence in the whole input.
        names: one for each sequence.
        lengths: `[batch]`, int64; each at least 0 and at most `steps`.
        steps: the longest length.
        shape: of a step of floats, or None where the steps are ids.
        load: `load(start, stop)` returns the steps `start … stop`, `[batch, stop - start, *shape]` floats or
            `[batch, stop - start]` int64 ids; past a sequence's length it is filled with 0.
        dtype: of what `load` returns.
        vocabulary: the tokens by id, where the input was text.
        beside: the same sequences of the network's other inputs, by the input's name.
    """

    start: int
    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    steps: int
    shape: tuple[int, ...] | None
    load: Callable[[int, int], Array]
    dtype: str
    vocabulary: tuple[str, ...] | None = None
    beside: Mapping[str, Batch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of time of one batch, recorded.

    Attributes:
        batch: whose steps these are.
        start: the step of its first row. The blocks of a forward layer come in the order of time, those of a
            backward layer from the end; every step of every layer comes once.
        signals: layer → signal → `[time, batch, *shape]`, at the time of the input that was read; NaN past a
            sequence's length.
        initial: layer → state → `[batch, *shape]`, in a layer's first block of a batch, empty in the others.
        final: layer → state → `[batch, *shape]` after the last valid step, in a layer's last block of a batch.
        outcomes: outcome → `[batch, time, *shape]`, NaN past its length, or `[batch, *shape]` where it has no steps;
            once for a batch.
    """

    batch: Batch
    start: int
    signals: Mapping[str, Mapping[str, Array]]
    initial: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    final: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    outcomes: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model gives in the end.

    Attributes:
        name: of the model's output.
        shape: of a step, or of the whole where there are no steps.
        lengths: `[sequences]`, its steps for each sequence; None where it has no steps.
    """

    name: str
    shape: tuple[int, ...]
    lengths: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """What a trace is going to hold, known before anything is computed.

    Attributes:
        layers: the layers traced.
        signals: layer → the signals recorded, in the cell's order.
        batches: the whole input, in the order of its sequences.
        attributes: where it comes from (`command`, `model`, `model_sha256`, `input`, `input_sha256` …), plain strings.
        verification: what was compared with the original, or why nothing was: plain strings and numbers.
        lengths: layer → `[sequences]`, int64: its valid steps, for a layer whose steps are not those of the input
            (behind a pooling, a convolution, a `RepeatVector`, another input).
        outcomes: the model's outputs that are recorded.
    """

    layers: tuple[Layer, ...]
    signals: Mapping[str, tuple[str, ...]]
    batches: tuple[Batch, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, str | float | int] = field(default_factory=dict)
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()

    def lengths_of(self, layer: str) -> NDArray[np.int64]:
        """The valid steps of a layer, `[sequences]`."""
        if layer in self.lengths:
            return self.lengths[layer]
        return np.concatenate([np.zeros(0, np.int64), *(batch.lengths for batch in self.batches)])

    def steps_of(self, layer: str) -> int:
        """The longest of a layer's lengths."""
        return int(self.lengths_of(layer).max(initial=0))

    @property
    def sequences(self) -> int:
        """The number of sequences."""
        return sum(len(batch.names) for batch in self.batches)

    @property
    def steps(self) -> int:
        """The longest length."""
        return max((batch.steps for batch in self.batches), default=0)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report: its key in JSON, its header in the terminal, and how a cell of it is written there."""

    key: str
    header: str
    text: Callable[[Any], str] = str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report as data: every view renders these rows.

    Attributes:
        name: its key in JSON.
        title: above the table in the terminal.
        columns: in order.
        rows: plain values by column key: str, int, float, bool, None, or lists of these; JSON holds the whole row, the
            terminal the columns. Reports of one name become one list in JSON.
        notes: lines below the table.
        upright: the terminal prints a line for each column, for the one row that there is.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    upright: bool = False
