"""A recurrent cell as a table and pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Xp: TypeAlias = Any
"""A NumPy-like namespace: `rnnprobe.cells.namespace` says which functions a cell may call on it."""


OptionValue: TypeAlias = float | str | bool | tuple[int, ...] | None


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
        parts: the blocks in it, stacked along the last axis but one; along that of a vector. None where it takes no
            part in the equations.
        optional: the cell works without it.
        joint: the role of another optional weight: either both are there, or neither is; empty where it stands alone.
    """

    role: str
    names: tuple[str, ...]
    shape: tuple[str, ...]
    parts: tuple[Part, ...]
    optional: bool = False
    joint: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a cell computes at each step and that can be recorded.

    Attributes:
        name: `h`, `c`, `f`, `f_pre` …
        kind: `state` (goes on to the next step), `output` (what the cell emits, where that is no state), `gate` (after
            its activation), `pre` (before it), `inner` (none of these).
        size: a formula of the layer's sizes; several with commas where it has more axes; empty where it is one number.
        needs: the role of the weight without which there is no such signal, or empty.
        activation: of a gate, the option that names the activation it went through.
        tensor: of an original graph, the tensor that it is; empty for what a cell of ours computes.
    """

    name: str
    kind: Literal["state", "output", "gate", "pre", "inner"]
    size: str = "units"
    needs: str = ""
    activation: str = ""
    tensor: str = ""


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
    """A recurrent cell as a table and pure functions.

    Attributes:
        name: unique among `rnnprobe.cells.CELLS`.
        title: for the reports.
        framework: whose storage the weights follow; `published`: a class for Keras that somebody published; `graph`:
            none is rebuilt, an original graph computes it.
        scopes: the variable scopes that TensorFlow 1 gave it, in each era (without a `_1` suffix).
        classes: the class names that a Keras config or a name scope knows it by.
        weights: what it stores.
        gates: in stored order.
        spelled: the writer's own letters for `gates`.
        order: the gates in the order in which the equations split a part; each group is an array of its own.
        signals: what `step` returns, states first; `h`, what the cell emits, is among them.
        options: what the weights can't say.
        project: `project(xp, w, x, options)`: what needs no recurrence, for many steps at once or for one.
            `x` is `[..., input_size]`; returns `[..., k]`.
        space: of a convolutional cell, `space(shape, sizes, options)`: the extent of its states in space for input
            steps of this shape; else None.
        relations: pairs of formulas that are equal besides those of the shapes: `("units", "groups * group_units")`.
        prepare: `prepare(w)`: of the parts as stored, those that the equations take (a mask applied, a norm), where
            that needs the weights alone; else None.
        emits: the signal that a layer passes on: `h`, but for a wrapped cell whose wrapper makes something else of it,
            `y`.
        wraps: of a wrapped cell (`rnnprobe.cells.wrappers`), the cell inside, whose name it bears; else None.
        start: of a cell whose states do not start from zeros, `start(w, shapes)`: state → `[*shape]`; zeros where it
            says nothing. `shapes` maps each signal to its shape.
        attend: of a cell that attends to a memory (`Layer.context`), `attend(xp, w, memory, reached)`: what `step`
            finds in `w` besides. `memory` is `[batch, memory_steps, memory_size]`, zeros past a length; `reached`
            `[batch, memory_steps]` bool, False there.
        step: `step(xp, w, z, state, options)`: one step. `z` is `[batch, k]`, one step of what `project` returned;
            `state` maps each state to `[batch, size]`; returns every signal by name, the new states among them.
            `w` is what `rnnprobe.cells.slices.assemble` returns.
    """

    name: str
    title: str
    framework: Literal["tf1", "keras", "sonnet", "addons", "magenta", "published", "graph"]
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
    relations: tuple[tuple[str, str], ...] = ()
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    emits: str = "h"
    wraps: Cell | None = None
    start: Callable[[Mapping[str, Any], Mapping[str, tuple[int, ...]]], dict[str, Any]] | None = None
    attend: Callable[[Xp, Mapping[str, Any], Any, Any], dict[str, Any]] | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states."""
        return tuple(signal.name for signal in self.signals if signal.kind == "state")
