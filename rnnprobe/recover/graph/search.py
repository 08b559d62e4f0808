"""How a graph uses a cell, told by numbers: the graph's step and the cell's are computed on the same random values.

A use of a cell starts where a kernel of it meets what is no variable. Around that place are the tensors that could be
its input and its states; for these, and for options that the constants and ops there allow, the cell's own equations
give every signal. Where all new states and h are among the graph's values, on every draw, the graph computes this cell
with these options, and each signal is the tensor that has its value. No cell needs a pattern of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.layers import defaults
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.shapes import evaluate
from rnnprobe.cells.slices import assemble
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.evaluate import MERGES
from rnnprobe.recover.graph.numbers import SCALES, Numbers, Pool, close
from rnnprobe.recover.graph.paths import SELECTS, without_dropout
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref, attribute
from rnnprobe.types import Array, Cell, Layer, Option, OptionValue, Signal, Tap, Tensor

_REACHES = (150, 900)  # nodes behind and ahead of a kernel's product that are looked at, and looked at next
_MOST_TRIES = 1000
_PATIENCE = 3  # places in vain before a cell is given up
_MOST_CHOICES = 1200
_KEPT = 4  # of the ways to take input and states, those whose options are searched
_MOVES = {"Split", "SplitV", "Slice", "StridedSlice", "Unpack", "Reshape", "Squeeze", "ExpandDims", "Transpose"}
_MOVES |= {"Cast", "Concat", "ConcatV2", "Gather", "GatherV2", "Tile", *SELECTS, *MERGES}
_READS = {"TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"}
_GIVEN = {
    "Const",
    "Fill",
    "ZerosLike",
    "Placeholder",
    "PlaceholderWithDefault",
    "Variable",
    "VariableV2",
    "VarHandleOp",
}
_ENDS = {LOOP_VARIABLE, "Exit", *_READS}
_NOWHERE = (0, 0)
_ATTRIBUTES = {"forget_bias": 1.0, "cell_clip": 3.0}  # of block ops, and what they are where the graph is silent
_ACTIVATED: Mapping[str, tuple[str, ...]] = {
    "tanh": ("Tanh", "LSTMBlockCell", "GRUBlockCell", "BlockLSTM"),
    "sigmoid": ("Sigmoid", "LSTMBlockCell", "GRUBlockCell", "BlockLSTM"),
    "relu": ("Relu",),
    "relu6": ("Relu6",),
    "hard_sigmoid": ("ClipByValue", "Minimum"),
    "hard_sigmoid_keras3": ("Relu6", "ClipByValue", "Minimum"),
    "softsign": ("Softsign",),
    "softplus": ("Softplus",),
    "elu": ("Elu",),
    "selu": ("Selu",),
    "exponential": ("Exp",),
    "swish": ("Sigmoid",),
    "gelu": ("Erf", "Erfc"),
    "gelu_approximate": ("Tanh",),
    "leaky_relu": ("LeakyRelu", "Maximum"),
    "softmax": ("Softmax",),
    "log_softmax": ("LogSoftmax",),
}
"""Activation → the ops of which one computes it; those not here are tried where none of these fits."""


@dataclass(frozen=True, slots=True)
class Step:
    """A use of a cell for one step: what a loop repeats, or one of those that are written out.

    Attributes:
        node: where a kernel meets its input.
        inputs: what enters, side by side.
        states: state → the tensor as the step reads it, and the new one.
        signals: signal → where it is, the states among them.
        options: those with which the cell computes what the graph does.
    """

    node: int
    inputs: tuple[Ref, ...]
    states: Mapping[str, tuple[Ref, Tap]]
    signals: Mapping[str, Tap]
    options: Mapping[str, OptionValue]


@dataclass(slots=True)
class _Taken:
    """A way to take input and states, and how well it fits."""

    inputs: tuple[Ref, ...]
    states: tuple[Ref, ...]
    score: int = 0
    whole: bool = False


@dataclass(slots=True)
class _Around:
    """What lies around a place where a kernel is used.

    Attributes:
        behind: tensors that lead there, the nearest first.
        reached: the nodes that follow.
        pool: all of these tensors by their values.
        ops: the kinds of these nodes.
        constants: the numbers among them.
    """

    behind: list[Ref]
    reached: set[int]
    pool: Pool
    ops: set[str] = field(default_factory=set)
    constants: list[float] = field(default_factory=list)


class Search:
    """The uses of one cell with one set of weights.

    Args:
        known: the graph in numbers.
        cell: the cell that is tried.
        weights: role → stored tensor.
        sizes: as `rnnprobe.cells.layers.fit` gives them.

    Attributes:
        unread: how many of the places where a kernel is used are none of the steps found.
    """

    def __init__(self, known: Numbers, cell: Cell, weights: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
        self.known = known
        self.cell = cell
        self.weights = weights
        self.sizes = sizes
        options = {name: value.value for name, value in defaults(cell).items() if name != "residual"}
        if cell.space is not None:
            options |= {name: "same" for name in options if name == "padding"}
        self._options: dict[str, OptionValue] = options
        self._steps: list[Step] = []
        self._done = False
        self.unread = 0
        self._w = self._assembled()
        self._signals = [signal for signal in cell.signals if not signal.needs or signal.needs in weights]
        self._absorbed: set[int] = set()
        self._known_sources: dict[Ref, set[Ref]] = {}
        self._idle = self._without_effect() if self._w else set()

    def _assembled(self) -> list[dict[str, Any]]:
        """The parts of the cell on every draw; none where they would be too many numbers."""
        found = []
        for draw in range(len(self.known.draws)):
            made = {role: self.known.tensor(tensor, draw) for role, tensor in self.weights.items()}
            held = {role: tensor for role, tensor in made.items() if tensor is not None}
            if len(held) != len(made):
                return []
            found.append(assemble(Layer("", "", self.cell, held, self.sizes, {})))
        return found

    def _without_effect(self) -> set[str]:
        """The states that the cell carries and never reads: of a grid's first dimension, which the input replaces."""
        rng = np.random.default_rng(0)
        sizes = {name: value for name, value in self._options.items() if isinstance(value, int)} | dict(self.sizes)
        try:
            with np.errstate(all="ignore"):
                return self._unread_states(rng, sizes)
        except (ValueError, KeyError, BadInput):
            # Of a convolution a step has more axes: it reads all of its states.
            return set()

    def _unread_states(self, rng: np.random.Generator, sizes: Mapping[str, int]) -> set[str]:
        state = {
            signal.name: rng.random((2, *(evaluate(part, sizes) for part in signal.size.split(",") if part.strip())))
            for signal in self.cell.signals
            if signal.kind == "state"
        }
        z = self.cell.project(NumPy, self._w[0], rng.random((2, sizes["input_size"])), self._options)
        first = self.cell.step(NumPy, self._w[0], z, state, self._options)

        def same(name: str) -> bool:
            after = self.cell.step(NumPy, self._w[0], z, state | {name: state[name] + 1.0}, self._options)
            return all(np.array_equal(first[made], value, equal_nan=True) for made, value in after.items())

        return {name for name in state if same(name)}

    def steps(self) -> list[Step]:
        """Every use that the graph makes of the cell, first to last."""
        if not self._w or self._done:
            return self._steps
        self._done = True
        for place in self._places():
            if place not in self._absorbed:
                found = self._step(place)
                if found is not None:
                    self._steps.append(found)
                    self._absorb(found)
                else:
                    self.unread += 1
            if not self._steps and self.unread >= _PATIENCE:
                break
        return self._steps

    def _places(self) -> list[int]:
        """Where the kernel that meets the input is used; where none is known to, any weight."""
        roles = [weight.role for weight in self.cell.weights if any(part.name == "kernel" for part in weight.parts)]
        for role in (*roles, *self.weights):
            places = self.known.readers(self.weights[role]) if role in self.weights else []
            if places:
                return places
        return []

    def _absorb(self, step: Step) -> None:
        """Marks what lies between what enters a step and what leaves it: other products of the same step."""
        first = {ref[0] for ref in (*step.inputs, *(old for old, _ in step.states.values()))}
        front = [tap.ref[0] for tap in step.signals.values()]
        seen = set(front)
        while front:
            at = front.pop()
            if at in first:
                continue
            self._absorbed.add(at)
            for source, _ in self.known.before[at]:
                if source not in seen and self.known.dynamic[source] and self.known.view.nodes[source].op not in _ENDS:
                    seen.add(source)
                    front.append(source)

    # One place ---------------------------------------------------------------------------------------------------

    def _step(self, place: int) -> Step | None:
        for reach in _REACHES:
            around = self._around(place, reach)
            tries = []
            for taken in self._tries(place, around):
                tries.append(taken)
                if taken.whole:
                    break
            for taken in sorted(tries, key=lambda one: (-one.whole, -one.score))[:_KEPT]:
                found = self._settle(place, around, taken)
                if found is not None:
                    return found
            if len(around.reached) < reach and len(around.behind) < reach:
                break
        return None

    def _around(self, place: int, reach: int) -> _Around:
        known = self.known
        ahead = self._ahead(place, reach)
        behind = self._behind([place, *ahead], reach)
        refs = {ref for node in ahead for ref in known.outputs(node)} | set(behind)
        pool = Pool(known, sorted(refs, key=lambda ref: known.rank[ref[0]]))
        around = _Around(behind, set(ahead), pool)
        for at in {*ahead, *(ref[0] for ref in behind)}:
            node = known.view.nodes[at]
            around.ops.add(node.op)
            if "Block" in node.op:
                for name, default in _ATTRIBUTES.items():
                    value = attribute(node, name)
                    around.constants.append(default if value is None else float(str(np.float32(value.f))))
            for source in known.before[at]:
                constant = None if known.dynamic[source[0]] else known.constant(source)
                if constant is not None and constant not in around.constants:
                    around.constants.append(constant)
        return around

    def _ahead(self, place: int, reach: int) -> list[int]:
        """The nodes that follow, the nearest first, as far as one step of a loop goes."""
        front, seen = [place], {place}
        for at in front:
            if len(front) >= reach:
                break
            for after in self.known.after[at]:
                if after not in seen and self.known.view.nodes[after].op not in _ENDS:
                    seen.add(after)
                    front.append(after)
        return front

    def _behind(self, nodes: Sequence[int], reach: int) -> list[Ref]:
        """The tensors that lead to nodes, the nearest first, back to what a loop carries or is given."""
        seen = {(node, 0) for node in nodes}
        front: list[Ref] = []
        waiting = [source for node in nodes for source in self.known.before[node]]
        for ref in waiting:
            if len(front) >= reach:
                break
            if ref in seen or not self.known.dynamic[ref[0]]:
                continue
            seen.add(ref)
            front.append(ref)
            if self.known.view.node(ref).op not in _ENDS:
                waiting += self.known.before[ref[0]]
        return front

    # Input and states --------------------------------------------------------------------------------------------

    def _tries(self, place: int, around: _Around) -> Iterator[_Taken]:
        """The ways to take input and states that give any signal at all, with the options' defaults."""
        states = [
            [_NOWHERE] if signal.name in self._idle else self._state(signal, around)
            for signal in self.cell.signals
            if signal.kind == "state"
        ]
        if not all(states):
            return
        settings = self._settings
        for entering in (self._single(place, around), self._paired(around)):
            some = False
            ways = ((inputs, chosen) for chosen in self._arranged(states) for inputs in entering)
            for inputs, chosen in islice(ways, _MOST_TRIES):
                taken = _Taken(inputs, chosen)
                signals = self._computed(taken, settings, 1)
                if signals is None or not any(self._find(around, signals, signal.name) for signal in self._signals):
                    continue
                signals = self._computed(taken, settings)
                taken.score = 0 if signals is None else self._score(around, signals)
                if signals is not None and taken.score:
                    some = True
                    taken.whole = self._held(around, taken, signals) is not None
                    yield taken
            if some:
                return

    def _arranged(self, states: Sequence[Sequence[Ref]]) -> Iterator[tuple[Ref, ...]]:
        """A tensor for each state: in the order in which they were made, then in any order, then one for several."""
        held: list[tuple[Ref, ...]] = []
        for chosen in islice(product(*states), _MOST_TRIES):
            real = [ref for ref in chosen if ref != _NOWHERE]
            if real == sorted(set(real)):
                yield chosen
            else:
                held.append(chosen)
        yield from sorted(held, key=lambda chosen: len(chosen) - len(set(chosen)))

    def _single(self, place: int, around: _Around) -> list[tuple[Ref, ...]]:
        """The tensors as wide as the input, those nearest to the product first, and parts of what is joined."""
        width = self.sizes["input_size"]
        found: list[tuple[Ref, ...]] = []
        seen = set()
        for ref in (*self._behind([place], _REACHES[0]), *around.behind):
            parts = joins(self.known.view, ref)
            taken: list[tuple[Ref, ...]] = [(ref,), *(tuple(parts[:k]) for k in range(2, len(parts)))]
            for refs in taken:
                key = tuple(self.known.key(one) for one in refs)
                if key in seen:
                    continue
                seen.add(key)
                value = self._joined(refs)
                if value is not None and value[0].ndim > 1 and value[0].shape[-1] == width:
                    found.append(refs)
            if len(found) > 12:
                break
        return found

    def _paired(self, around: _Around) -> list[tuple[Ref, ...]]:
        """Two sequences that enter side by side and are nowhere joined: times and features."""
        reads = [ref for ref in around.behind if self.known.view.node(ref).op in _READS]
        width = self.sizes["input_size"]
        pairs = [(a, b) for a in reads for b in reads if a != b]
        return [pair for pair in pairs if (value := self._joined(pair)) is not None and value[0].shape[-1] == width]

    def _joined(self, refs: Sequence[Ref]) -> tuple[Array, ...] | None:
        values = [self.known.values(ref) for ref in refs]
        held = [value for value in values if value is not None]
        if len(held) != len(values) or len({value[0].shape[:-1] for value in held if value[0].ndim}) != 1:
            return None
        return tuple(np.concatenate(one, axis=-1) for one in zip(*held, strict=True)) if len(held) > 1 else held[0]

    def _state(self, signal: Signal, around: _Around) -> list[Ref]:
        """The tensors that could be a state: what an earlier step made, what a loop carries, else what is given."""
        width = self._extent(signal)
        fitting: dict[tuple[object, ...], Ref] = {}
        for ref in around.behind:
            value = around.pool.values.get(ref)
            if value is not None and _fits(value[0].shape, width):
                fitting.setdefault(self.known.key(ref), ref)
        found = list(fitting.values())
        earlier = [one for step in self._steps if (one := self._tapped(step.states[signal.name][1])) is not None]
        passed = [ref for ref in found if any(_same(around.pool.values[ref], one) for one in earlier)]
        carried = [ref for ref in found if ref not in passed and self._comes_from(ref, {LOOP_VARIABLE})]
        return passed + carried or [ref for ref in found if self._comes_from(ref, _GIVEN)] or found

    def _extent(self, signal: Signal) -> tuple[int | None, ...]:
        """The shape of a signal at one step; None where nothing stored says a size."""
        return tuple(self._size(formula) for formula in signal.size.split(",") if formula.strip())

    def _size(self, formula: str) -> int | None:
        try:
            return evaluate(formula, self.sizes)
        except KeyError:
            return None

    def _tapped(self, tap: Tap) -> tuple[Array, ...] | None:
        value = self.known.values(tap.ref)
        if value is None or tap.blocks == 1:
            return value
        width = value[0].shape[-1] // tap.blocks
        return tuple(one[..., tap.block * width : (tap.block + 1) * width] for one in value)

    def _comes_from(self, ref: Ref, ops: set[str]) -> bool:
        """Whether a tensor is what one of these ops gives, moved about at most."""
        front, seen = [ref], {ref}
        while front and len(seen) < 60:
            at = front.pop()
            node = self.known.view.node(at)
            if node.op in ops:
                return True
            if node.op in _MOVES:
                for source in self.known.before[at[0]]:
                    if source not in seen and self.known.dynamic[source[0]]:
                        seen.add(source)
                        front.append(source)
        return False

    # The cell's own numbers --------------------------------------------------------------------------------------

    def _computed(
        self, taken: _Taken, options: Mapping[str, OptionValue], draws: int = len(SCALES)
    ) -> list[dict[str, Array]] | None:
        """The cell's signals on the first draws; None where its equations do not take such values."""
        x = self._joined(taken.inputs)
        if x is None:
            return None
        old = [x if ref == _NOWHERE else self.known.values(ref) for ref in taken.states]
        found = []
        for draw in range(draws):
            state = {name: value[draw] for name, value in zip(self.cell.states, old, strict=True) if value is not None}
            try:
                with np.errstate(all="ignore"):
                    z = self.cell.project(NumPy, self._w[draw], x[draw], options)
                    found.append(self.cell.step(NumPy, self._w[draw], z, state, options))
            except (ValueError, BadInput):
                return None
        return found

    def _score(self, around: _Around, signals: Sequence[Mapping[str, Array]]) -> int:
        """How many signals are among the values around, counted on every draw."""
        return sum(
            len(signals) if self._find(around, signals, signal.name) is not None else 0 for signal in self._signals
        )

    def _find(
        self, around: _Around, signals: Sequence[Mapping[str, Array]], name: str, wanted: Collection[Ref] = ()
    ) -> Tap | None:
        values = [np.asarray(one[name]) for one in signals if name in one]
        return around.pool.find(values, wanted) if len(values) == len(signals) else None

    # Options -----------------------------------------------------------------------------------------------------

    def _settle(self, place: int, around: _Around, taken: _Taken) -> Step | None:
        """The step, once options are found with which every new state and h come out."""
        if taken.whole and self._steps:
            signals = self._computed(taken, self._settings)
            held = None if signals is None else self._held(around, taken, signals)
            if held is not None:
                return self._made(place, taken, held, self._settings)
        choices = {option.name: self._choices(option, around) for option in self.cell.options}
        last: tuple[int, Step] | None = None
        for options, first in self._searched(around, taken, choices):
            if last is not None and not first:
                break
            signals = self._computed(taken, options)
            held = None if signals is None else self._held(around, taken, signals)
            if held is None:
                continue
            step = self._made(place, taken, held, options)
            if self.cell.emits in self.cell.states:
                return step
            # What is emitted comes back nowhere; of several things that it could be, it is the last.
            made = self.known.rank[held[self.cell.emits].ref[0]]
            if last is None or made > last[0]:
                last = made, step
        return None if last is None else last[1]

    def _made(self, place: int, taken: _Taken, held: Mapping[str, Tap], options: Mapping[str, OptionValue]) -> Step:
        old = dict(zip(self.cell.states, taken.states, strict=True))
        states = {name: (ref, held[name]) for name, ref in old.items() if ref != _NOWHERE}
        return Step(place, taken.inputs, states, held, {**options, **self._counted(states)})

    @property
    def _settings(self) -> Mapping[str, OptionValue]:
        """The options to begin with: those of the step before."""
        return self._steps[-1].options if self._steps else self._options

    def _held(self, around: _Around, taken: _Taken, signals: Sequence[Mapping[str, Array]]) -> dict[str, Tap] | None:
        """Where each signal is; None unless all new states and h are there, and are what goes on to the next step."""
        found = {}
        old = dict(zip(self.cell.states, taken.states, strict=True))
        for signal in self._signals:
            wanted = self._sources(old[signal.name]) if signal.kind == "state" else set()
            tap = self._find(around, signals, signal.name, wanted)
            if tap is not None:
                found[signal.name] = tap
            elif signal.kind == "state" or signal.name == self.cell.emits:
                return None
        # Behind a place lie the steps before it, which are as good a use of the cell, and another.
        if not any(tap.ref[0] in around.reached for tap in found.values()):
            return None
        return found if all(self._goes_on(ref, found[name]) for name, ref in old.items()) else None

    def _goes_on(self, old: Ref, new: Tap) -> bool:
        """Whether a new state is what comes back as the old one.

        Of steps that are written out, only a state that enters a product as it is says so: its new value does, too.
        """
        if old == _NOWHERE:
            return True
        if self._comes_from(old, {LOOP_VARIABLE}):
            return new.ref in self._sources(old)
        places = set(self._places())
        if self._reaches(old, places) and any(self.known.rank[place] > self.known.rank[new.ref[0]] for place in places):
            return self._reaches(new.ref, places)
        return True

    def _sources(self, old: Ref) -> set[Ref]:
        """The tensors that a state is made of by moving them about, here or at the step before."""
        if old not in self._known_sources:
            front, seen = [old], {old}
            while front and len(seen) < 400:
                at = front.pop()
                node = self.known.view.node(at)
                kept = without_dropout(self.known.view, at)
                sources = [kept] if kept != at else self.known.before[at[0]]
                if kept != at or node.op in _MOVES or node.op == LOOP_VARIABLE:
                    for source in sources:
                        if source not in seen:
                            seen.add(source)
                            front.append(source)
            self._known_sources[old] = seen
        return self._known_sources[old]

    def _reaches(self, ref: Ref, places: set[int]) -> bool:
        """Whether a tensor enters one of these nodes, moved about at most."""
        front, seen = [ref], {ref[0]}
        while front and len(seen) < 100:
            at = front.pop()
            for after, _ in self.known.view.consumers(at):
                if after in places:
                    return True
                if after not in seen and self.known.view.nodes[after].op in _MOVES:
                    seen.add(after)
                    front += self.known.outputs(after)
        return False

    def _counted(self, states: Mapping[str, tuple[Ref, Tap]]) -> dict[str, OptionValue]:
        """The options that are sizes of states, which no weight has."""
        found: dict[str, OptionValue] = {}
        for signal in self.cell.signals:
            if signal.name not in states:
                continue
            value = self.known.values(states[signal.name][0])
            formulas = [formula.strip() for formula in signal.size.split(",") if formula.strip()]
            if value is not None:
                sizes = value[0].shape[value[0].ndim - len(formulas) :]
                found |= {name: size for name, size in zip(formulas, sizes, strict=True) if name in self._options}
        return found

    def _searched(
        self, around: _Around, taken: _Taken, choices: Mapping[str, Sequence[OptionValue]]
    ) -> Iterator[tuple[dict[str, OptionValue], bool]]:
        """Options to hold against the graph: the best ones, those as good, and (False with them) all others."""
        best = dict(self._settings)
        score = self._worth(around, taken, best)
        better = True
        while better:
            better = False
            for name, values in choices.items():
                for value in values:
                    gained = self._worth(around, taken, best | {name: value}) if value != best[name] else -1
                    if gained > score:
                        best, score, better = best | {name: value}, gained, True
        yield best, True
        # A value without which everything is there as well: what is clipped stands in the graph unclipped, too.
        equal = {
            name: [value for value in values if self._worth(around, taken, best | {name: value}) >= score]
            for name, values in choices.items()
        }
        for wide in (equal, choices):
            for values in islice(product(*wide.values()), _MOST_CHOICES):
                yield best | dict(zip(wide, values, strict=True)), wide is equal

    def _worth(self, around: _Around, taken: _Taken, options: Mapping[str, OptionValue]) -> int:
        """How well options fit."""
        signals = self._computed(taken, options)
        return -1 if signals is None else self._score(around, signals)

    def _choices(self, option: Option, around: _Around) -> list[OptionValue]:
        """The values that what is around allows."""
        if len(option.choices) == 1:
            return [option.default]
        if option.choices and set(option.choices) <= ACTIVATIONS.keys():
            names = [name for name in option.choices if not around.ops.isdisjoint(_ACTIVATED.get(name, ()))]
            return [*names, *(["linear"] if "linear" in option.choices else [])]
        if option.choices:
            return list(option.choices)
        if isinstance(option.default, bool):
            return [False, True]
        found: list[OptionValue] = [option.default]
        if isinstance(option.default, int | float):
            found += [0.0] if option.default else []
            found += [value for value in around.constants if value not in found]
        elif option.default is None:
            found += [value for value in around.constants if value > 0]
        return found


def _same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return all(x.shape == y.shape and bool(close(x, y).all()) for x, y in zip(a, b, strict=True))


def _fits(shape: tuple[int, ...], width: tuple[int | None, ...]) -> bool:
    """Whether a shape ends in this one, behind at least one axis."""
    ending = shape[len(shape) - len(width) :]
    return len(shape) > len(width) and all(size in (None, own) for size, own in zip(width, ending, strict=True))
