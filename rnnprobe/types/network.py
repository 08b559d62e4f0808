"""The layers of a checkpoint, and how they feed each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from rnnprobe.types.cell import Cell, OptionValue
from rnnprobe.types.checkpoint import Checkpoint, Tensor
from rnnprobe.types.place import Use

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
        emits: what the layer passes on at a skipped step: what it did last (`last`, zeros before the first), its state,
            or zeros.
        turned: its steps count from the end of a sequence: Keras hands a mask on as it was beside steps that
            `go_backwards` put in the opposite order.
    """

    source: str
    value: float
    emits: Literal["last", "state", "zeros"] = "last"
    turned: bool = False


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
        context: of a cell that attends to a memory, that memory: sequences with steps and lengths of their own, there
            as a whole before the first step; else None. `sizes["memory_steps"]` is 0 until its longest is known.
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
    context: Feed | None = None

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """All that it reads: what enters, what it starts from, what it attends to."""
        return (self.feed, *self.initial.values(), *([self.context] if self.context is not None else []))

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
        class_name: on the allow-list `rnnprobe.recover.keras.kinds.KINDS`; `Model` for a model.
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
        places: layer → the passes over time that the stored graph makes through it, where it was read off one.
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
    places: Mapping[str, tuple[Use, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Network of {self.checkpoint.path}: {', '.join(layer.name for layer in self.layers) or 'no layer'}>"

    @property
    def foreign(self) -> bool:
        """Whether a stored graph is the original, and not Keras: layers are none of Keras's, or read off a graph."""
        return any(layer.cell.framework != "keras" or self.places.get(layer.name) for layer in self.layers)

    def __getitem__(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)
