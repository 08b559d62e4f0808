"""How a graph uses a cell, told by numbers: the graph's step and the cell's are computed on the same random values.

A use of a cell starts where a kernel of it meets what is no variable. Around that place are the tensors that could be
its input and its states; for these, and for options that the constants and ops there allow, the cell's own equations
give every signal. Where all new states and h are among the graph's values, on every draw, the graph computes this cell
with these options, and each signal is the tensor that has its value. No cell needs a pattern of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from rnnprobe.cells.shapes import formulas
from rnnprobe.recover.graph.around import Around, around, between, comes_from, reaches, sources
from rnnprobe.recover.graph.equations import Equations
from rnnprobe.recover.graph.frames import frames
from rnnprobe.recover.graph.numbers import SCALES, Numbers
from rnnprobe.recover.graph.settings import Settings, beginnings, choices, searched
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref
from rnnprobe.recover.graph.ways import MOST_TRIES, Old, Taken, Ways, is_tensor
from rnnprobe.types import Array, Cell, OptionValue, Tap, Tensor

_REACHES = (150, 900)  # nodes behind and ahead of a kernel's product that are looked at, and looked at next
_PATIENCE = 3  # places in vain before a cell is given up
_KEPT = 4  # of the ways to take input and states, those whose options are searched


@dataclass(frozen=True, slots=True)
class Step:
    """A use of a cell for one step: what a loop repeats, or one of those that are written out.

    Attributes:
        node: where a kernel meets its input.
        inputs: what enters, side by side.
        states: state → the tensor as the step reads it, or those that are stacked, and the new one.
        signals: signal → where it is, the states among them.
        options: those with which the cell computes what the graph does.
        turned: of inputs that are whole sequences, the last step comes first.
    """

    node: int
    inputs: tuple[Ref, ...]
    states: Mapping[str, tuple[Old, Tap]]
    signals: Mapping[str, Tap]
    options: Mapping[str, OptionValue]
    turned: bool = False


class Search:
    """The uses of one cell with one set of weights.

    Args:
        known: the graph in numbers.
        cell: the cell that is tried.
        weights: role → stored tensor.
        sizes: as `rnnprobe.cells.layers.fit` gives them.
        options: what is known of them already.

    Attributes:
        unread: how many of the places where a kernel is used are none of the steps found.
    """

    def __init__(
        self,
        known: Numbers,
        cell: Cell,
        weights: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        options: Settings,
    ) -> None:
        self.known = known
        self.cell = cell
        self.weights = weights
        self.unread = 0
        self._equations = Equations(known, cell, weights, sizes, options)
        self._ways = Ways(known, self._equations)
        self._steps: list[Step] = []
        self._done = not self._equations.usable
        self._absorbed: set[int] = set()
        self._sources: dict[Ref, set[Ref]] = {}
        self._last: tuple[object, list[dict[str, Array]]] = (None, [])

    def steps(self) -> list[Step]:
        """Every use that the graph makes of the cell, first to last.

        Raises:
            Exhausted: that is more work than the graph in numbers may take.
        """
        if self._done:
            return self._steps
        self._done = True
        apart = self._apart()
        if not apart:
            self._follow(self._places())
        for turned in (False, True) if apart else ():
            if not self._steps:
                self.unread = 0
                self._ways.turned = turned
                self._follow(apart)
        return self._steps

    def _follow(self, places: Sequence[int]) -> None:
        """Takes the steps at these places."""
        for place in places:
            if place not in self._absorbed:
                found = self._step(place)
                if found is not None:
                    self._add(found)
                else:
                    self.unread += 1
            if not self._steps and self.unread >= _PATIENCE:
                break

    def _apart(self) -> list[int]:
        """Where the input's share of the products is made before a loop, the places of the other kernel in the loop."""
        if not {"kernel", "recurrent_kernel"} <= self.weights.keys():
            return []
        inside, _ = frames(self.known.view)
        before = self.known.readers(self.weights["kernel"])
        places = [place for place in self.known.readers(self.weights["recurrent_kernel"]) if inside.get(place)]
        if not places or any(inside.get(place) for place in before):
            return []
        self._ways.wholes = self._ways.sequences(before)
        return places if self._ways.wholes else []

    def _places(self) -> list[int]:
        """Where the kernel that meets the input is used; where none is known to, any weight."""
        roles = [weight.role for weight in self.cell.weights if any(part.name == "kernel" for part in weight.parts)]
        for role in (*roles, *self.weights):
            places = self.known.readers(self.weights[role]) if role in self.weights else []
            if places:
                return places
        return []

    def _add(self, step: Step) -> None:
        """Takes a step; what lies between what enters it and what leaves it are other products of the same step."""
        self._steps.append(step)
        for name, (_, new) in step.states.items():
            self._ways.remember(name, new)
        first = {ref[0] for ref in (*step.inputs, *(ref for old, _ in step.states.values() for ref in old))}
        made = [piece.ref for tap in step.signals.values() for piece in tap.pieces]
        self._absorbed |= between(self.known, first, made)

    # One place ---------------------------------------------------------------------------------------------------

    def _step(self, place: int) -> Step | None:
        for reach in _REACHES:
            near = around(self.known, place, reach)
            tries = []
            for taken in self._tries(place, near):
                tries.append(taken)
                if taken.whole:
                    break
            for taken in sorted(tries, key=lambda one: (-one.whole, -one.score))[:_KEPT]:
                found = self._settle(place, near, taken)
                if found is not None:
                    return found
            if len(near.reached) < reach and len(near.behind) < reach:
                break
        return None

    def _tries(self, place: int, near: Around) -> Iterator[Taken]:
        """The ways to take input and states that give any signal at all, with the options to begin with."""
        states = self._ways.states(place, near)
        if not all(states):
            return
        entering = list(self._ways.entering(place, near))
        for options in beginnings(self._settings, self.cell.options, near):
            for inputs in entering:
                some = False
                for taken in self._with(options, near, inputs, states):
                    some = True
                    yield taken
                if some:
                    return

    def _with(
        self, options: Settings, near: Around, entering: Sequence[tuple[Ref, ...]], states: Sequence[Sequence[Old]]
    ) -> Iterator[Taken]:
        ways = ((inputs, chosen) for chosen in self._ways.arranged(states) for inputs in entering)
        for inputs, chosen in islice(ways, MOST_TRIES):
            taken = Taken(inputs, chosen, options)
            signals = self._computed(taken, options, 1)
            if signals is None or not any(self._find(near, signals, one.name) for one in self._equations.signals):
                continue
            signals = self._computed(taken, options)
            taken.score = 0 if signals is None else self._score(near, signals)
            if signals is not None and taken.score:
                taken.whole = self._held(near, taken, signals) is not None
                yield taken

    # The cell's own numbers --------------------------------------------------------------------------------------

    def _computed(self, taken: Taken, options: Settings, draws: int = len(SCALES)) -> list[dict[str, Array]] | None:
        """The cell's signals on the first draws; None where its equations do not take such values."""
        key = taken.inputs, self._ways.turned, taken.states, tuple(options.items())
        if self._last[0] != key:
            self._last = key, []
        known = self._last[1]
        if len(known) < draws:
            x = self._ways.joined(taken.inputs)
            states = {}
            for name, state in zip(self.cell.states, taken.states, strict=True):
                value = self._ways.old(state) if is_tensor(state) else x
                if name in self._equations.counters and x is not None:
                    value = tuple(np.full(one.shape[0], float(state[0][1])) for one in x)
                if value is not None:
                    states[name] = value
            more = None if x is None else self._equations.computed(x, states, options, range(len(known), draws))
            if more is None:
                return None
            known += more
        return known[:draws]

    def _score(self, near: Around, signals: Sequence[Mapping[str, Array]]) -> int:
        """How many signals are among the values around, counted on every draw."""
        names = [signal.name for signal in self._equations.signals]
        return sum(len(signals) for name in names if self._find(near, signals, name) is not None)

    def _find(
        self, near: Around, signals: Sequence[Mapping[str, Array]], name: str, wanted: Collection[Ref] = ()
    ) -> Tap | None:
        values = [np.asarray(one[name]) for one in signals if name in one]
        if len(values) != len(signals):
            return None
        found = near.pool.find(values, wanted)
        # Of a signal with windows, each may have a tensor of its own.
        if found is None and values[0].ndim > 2 and self.cell.space is None:
            pieces = [near.pool.find([one[..., k, :] for one in values], wanted) for k in range(values[0].shape[-2])]
            known = [piece for piece in pieces if piece is not None]
            if known and len(known) == len(pieces):
                found = replace(known[0], beside=tuple(known[1:]))
        return found

    # Options -----------------------------------------------------------------------------------------------------

    def _settle(self, place: int, near: Around, taken: Taken) -> Step | None:
        """The step, once options are found with which every new state and h come out."""
        if taken.whole and self._steps:
            signals = self._computed(taken, self._settings)
            held = None if signals is None else self._held(near, taken, signals)
            if held is not None:
                return self._made(place, taken, held, self._settings)

        def worth(options: Settings) -> int:
            signals = self._computed(taken, options)
            return -1 if signals is None else self._score(near, signals)

        allowed = {option.name: choices(option, near) for option in self.cell.options}
        last: tuple[int, Step] | None = None
        for options, first in searched(taken.options, allowed, worth):
            if last is not None and not first:
                break
            signals = self._computed(taken, options)
            held = None if signals is None else self._held(near, taken, signals)
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

    def _made(self, place: int, taken: Taken, held: Mapping[str, Tap], options: Settings) -> Step:
        old = dict(zip(self.cell.states, taken.states, strict=True))
        states = {name: (state, held[name]) for name, state in old.items() if is_tensor(state)}
        return Step(place, taken.inputs, states, held, {**options, **self._counted(states)}, self._ways.turned)

    @property
    def _settings(self) -> Settings:
        """The options to begin with: those of the step before."""
        return self._steps[-1].options if self._steps else self._equations.options

    def _held(self, near: Around, taken: Taken, signals: Sequence[Mapping[str, Array]]) -> dict[str, Tap] | None:
        """Where each signal is; None unless all new states and h are there, and are what goes on to the next step."""
        found = {}
        counters = self._equations.counters
        old = {name: one for name, one in zip(self.cell.states, taken.states, strict=True) if name not in counters}
        for signal in self._equations.signals:
            if signal.name in counters:
                continue
            wanted = self._all_made_of(old[signal.name]) if signal.kind == "state" else set()
            tap = self._find(near, signals, signal.name, wanted)
            if tap is not None:
                found[signal.name] = tap
            elif signal.kind == "state" or signal.name == self.cell.emits:
                return None
        # Behind a place lie the steps before it, which are as good a use of the cell, and another.
        if not any(piece.ref[0] in near.reached for tap in found.values() for piece in tap.pieces):
            return None
        # Several states may start from one tensor of zeros.
        ways = {state: [found[name] for name in old if old[name] == state] for state in old.values()}
        last = max((self._rank(new) for news in ways.values() for new in news), default=0)
        return found if all(any(self._goes_on(state, new, last) for new in ways[state]) for state in ways) else None

    def _rank(self, tap: Tap) -> int:
        """When all of it is computed."""
        return max(self.known.rank[piece.ref[0]] for piece in tap.pieces)

    def _goes_on(self, old: Old, new: Tap, last: int) -> bool:
        """Whether a new state is what comes back as the old one, each of what is stacked as its own."""
        if not is_tensor(old):
            return True
        if len(old) != len(new.pieces):
            return False
        # Behind a window come others of the same step: that ends with the last one.
        end = last if new.beside else self._rank(new)
        return all(self._comes_back(ref, piece, end) for ref, piece in zip(old, new.pieces, strict=True))

    def _comes_back(self, old: Ref, new: Tap, end: int) -> bool:
        """Likewise, of one tensor.

        Of steps that are written out, only a state that enters a product as it is says so: its new value does, too.
        """
        if comes_from(self.known, old, {LOOP_VARIABLE}):
            return new.ref in self._made_of(old)
        places = set(self._places())
        later = any(self.known.rank[place] > end for place in places)
        return not (later and reaches(self.known, old, places)) or reaches(self.known, new.ref, places)

    def _all_made_of(self, old: Old) -> set[Ref]:
        return {ref for piece in old for ref in self._made_of(piece)}

    def _made_of(self, old: Ref) -> set[Ref]:
        if old not in self._sources:
            self._sources[old] = sources(self.known, old)
        return self._sources[old]

    def _counted(self, states: Mapping[str, tuple[Old, Tap]]) -> dict[str, OptionValue]:
        """The options that are sizes of states, which no weight has."""
        found: dict[str, OptionValue] = {}
        for signal in self.cell.signals:
            value = self._ways.old(states[signal.name][0]) if signal.name in states else None
            if value is not None:
                names = formulas(signal.size)
                extent = value[0].shape[value[0].ndim - len(names) :]
                found |= {n: size for n, size in zip(names, extent, strict=True) if n in self._equations.options}
        return found
