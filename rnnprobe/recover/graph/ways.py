"""Which tensors around a place may be what enters a cell and its old states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import TypeAlias

import numpy as np

from rnnprobe.recover.graph.around import READS, Around, behind, comes_from, sources
from rnnprobe.recover.graph.equations import Equations
from rnnprobe.recover.graph.numbers import Numbers, matches, sampled
from rnnprobe.recover.graph.runs import GIVEN
from rnnprobe.recover.graph.settings import Settings
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref
from rnnprobe.types import Array, Signal, Tap

Old: TypeAlias = tuple[Ref, ...]
"""A state as a step reads it: a tensor, or several stacked along the last axis but one."""
NOWHERE: Old = ((0, 0),)
"""Stands for a state that the cell never reads; with another number in place of the second, for one that counts steps,
at that number."""

MOST_TRIES = 1000
_NEAR = 150


@dataclass(slots=True)
class Taken:
    """A way to take input and states, and how well it fits with these options."""

    inputs: tuple[Ref, ...]
    states: tuple[Old, ...]
    options: Settings = field(default_factory=dict)
    score: int = 0
    whole: bool = False


class Ways:
    """The ways to take input and states of one cell.

    Args:
        known: the graph in numbers.
        equations: the cell.
    """

    def __init__(self, known: Numbers, equations: Equations) -> None:
        self._known = known
        self._equations = equations
        self._width = equations.sizes["input_size"]
        self._made: dict[tuple[str, tuple[int, ...]], list[Array]] = {}
        self.wholes: list[Ref] = []
        """Sequences whose share of each product is made for all steps at once, before the loop: that takes the first of
        them, or, `turned`, the last."""
        self.turned = False

    # What enters -------------------------------------------------------------------------------------------------

    def entering(self, place: int, around: Around) -> Iterator[list[tuple[Ref, ...]]]:
        """What may enter: single tensors, then what lies side by side."""
        if self.wholes:
            yield [(ref,) for ref in self.wholes]
            return
        yield self._single(place, around)
        yield self._paired(around)

    def _single(self, place: int, around: Around) -> list[tuple[Ref, ...]]:
        """The tensors as wide as the input, those nearest to the product first, and parts of what is joined."""
        found: list[tuple[Ref, ...]] = []
        seen = set()
        for ref in (*behind(self._known, [place], _NEAR), *around.behind):
            parts = joins(self._known.view, ref)
            taken: list[tuple[Ref, ...]] = [(ref,), *(tuple(parts[:k]) for k in range(2, len(parts)))]
            for refs in taken:
                key = tuple(self._known.key(one) for one in refs)
                if key in seen:
                    continue
                seen.add(key)
                value = self.joined(refs)
                if value is not None and value[0].ndim > 1 and value[0].shape[-1] == self._width:
                    found.append(refs)
            if len(found) > 12:
                break
        return found

    def _paired(self, around: Around) -> list[tuple[Ref, ...]]:
        """Two sequences that enter side by side and are nowhere joined: times and features."""
        reads = [ref for ref in around.behind if self._known.view.node(ref).op in READS]
        pairs = [(a, b) for a in reads for b in reads if a != b]
        return [
            pair for pair in pairs if (value := self.joined(pair)) is not None and value[0].shape[-1] == self._width
        ]

    def sequences(self, places: Sequence[int]) -> list[Ref]:
        """The sequences `[batch, time, input_size]` that a kernel meets at some places, whatever they are shaped to."""
        found: dict[Ref, None] = {}
        for place in places:
            for ref in self._known.before[place]:
                node = self._known.view.node(ref)
                source = self._known.view.input(node, 0) if node.op == "Reshape" else ref
                value = self._known.values(source) if self._known.dynamic[source[0]] else None
                if value is not None and value[0].ndim == 3 and value[0].shape[-1] == self._width:
                    found[source] = None
        return list(found)

    def joined(self, refs: Sequence[Ref]) -> tuple[Array, ...] | None:
        """The values of tensors side by side, on every draw."""
        values = [self._known.values(ref) for ref in refs]
        held = [value for value in values if value is not None]
        if refs[0] in self.wholes:
            return tuple(one[:, -1 if self.turned else 0] for one in held[0])
        if len(held) != len(values) or len({value[0].shape[:-1] for value in held if value[0].ndim}) != 1:
            return None
        return tuple(np.concatenate(one, axis=-1) for one in zip(*held, strict=True)) if len(held) > 1 else held[0]

    # States ------------------------------------------------------------------------------------------------------

    def states(self, place: int, around: Around) -> list[list[Old]]:
        """For each state, the tensors that may be it."""
        signals = [signal for signal in self._equations.cell.signals if signal.kind == "state"]
        found = [self._whole(signal, around) for signal in signals]
        apart = [signal for signal, ways in zip(signals, found, strict=True) if not ways]
        pieces = iter(self._stacked(apart, place, around))
        return [ways or next(pieces, []) for ways in found]

    def arranged(self, states: Sequence[Sequence[Old]]) -> Iterator[tuple[Old, ...]]:
        """What each state is: in the order in which they were made, then in any order, then one for several."""
        held: list[tuple[Old, ...]] = []
        for chosen in islice(product(*states), MOST_TRIES):
            real = [old for old in chosen if is_tensor(old)]
            pieces = [ref for old in real if len(old) > 1 for ref in old]
            if len(pieces) > len(set(pieces)):
                continue
            if real == sorted(set(real)):
                yield chosen
            else:
                held.append(chosen)
        yield from sorted(held, key=lambda chosen: len(chosen) - len(set(chosen)))

    def old(self, state: Old) -> tuple[Array, ...] | None:
        """The values of a state as a step reads it, on every draw."""
        values = [self._known.values(ref) for ref in state]
        held = [value for value in values if value is not None]
        if len(held) != len(values):
            return None
        return tuple(np.stack(one, axis=-2) for one in zip(*held, strict=True)) if len(held) > 1 else held[0]

    def _whole(self, signal: Signal, around: Around) -> list[Old]:
        """The single tensors that a state may be, or what stands for one that is none."""
        if signal.name in self._equations.counters:
            return [((0, before),) for before in range(self._equations.counters[signal.name])]
        if signal.name in self._equations.idle:
            return [NOWHERE]
        return [(ref,) for ref in self._state(signal, around)]

    def _state(self, signal: Signal, around: Around) -> list[Ref]:
        """The tensors that could be a state: what an earlier step made, what a loop carries, else what is given."""
        return self._passed((signal.name,), self._equations.extent(signal), around)

    def _passed(self, names: Sequence[str], width: tuple[int | None, ...], around: Around) -> list[Ref]:
        fitting: dict[tuple[object, ...], Ref] = {}
        for ref in around.behind:
            value = around.pool.values.get(ref)
            if value is not None and _fits(value[0].shape, width):
                fitting.setdefault(self._known.key(ref), ref)
        found = list(fitting.values())
        passed = [ref for ref in found if any(self._was_made(name, around.pool.values[ref]) for name in names)]
        carried = [ref for ref in found if ref not in passed and comes_from(self._known, ref, {LOOP_VARIABLE})]
        return passed + carried or [ref for ref in found if comes_from(self._known, ref, GIVEN)] or found

    def _stacked(self, signals: Sequence[Signal], place: int, around: Around) -> list[list[Old]]:
        """For each state of which every window has a tensor of its own, those that may be it, first to last.

        They are the nearest that could be, as many as all states have, in the order in which they were made: of each
        window all states, of each state all windows, or something between, as where a second sweep follows a first.
        """
        extents = {self._equations.extent(signal) for signal in signals}
        count, *width = extents.pop() if len(extents) == 1 else (None,)
        if not width or count is None or count < 2:
            return []
        # What meets the kernel is a window of what enters beside the state.
        parts = [part for ref in self._known.before[place] for part in joins(self._known.view, ref)[:1]]
        entered = {ref for part in parts for ref in sources(self._known, part)}
        passed = self._passed([signal.name for signal in signals], tuple(width), around)
        near = [ref for ref in passed if entered.isdisjoint(sources(self._known, ref))][: len(signals) * count]
        if len(near) < len(signals) * count:
            return []
        refs = sorted(near, key=lambda ref: (self._known.rank[ref[0]], ref))
        found: list[list[Old]] = [[] for _ in signals]
        for group in (size for size in range(len(signals), 0, -1) if len(signals) % size == 0):
            for k, ways in enumerate(found):
                block = refs[k // group * group * count :][: group * count]
                ways.append(tuple(block[k % group :: group]))
        return found

    def remember(self, state: str, new: Tap) -> None:
        """Notes what a step that was found makes of a state."""
        for piece in new.pieces:
            self._remember(state, piece)

    def _remember(self, state: str, new: Tap) -> None:
        value = self._known.values(new.ref)
        if value is not None:
            width = value[0].shape[-1] // new.blocks if new.blocks > 1 else 0
            own = [one[..., new.block * width : (new.block + 1) * width] if width else one for one in value]
            rows = [sampled(one)[None] for one in own]
            before = self._made.get((state, own[0].shape))
            joined = rows if before is None else [np.concatenate(pair) for pair in zip(before, rows, strict=True)]
            self._made[state, own[0].shape] = joined

    def _was_made(self, state: str, value: Sequence[Array]) -> bool:
        """Whether a step that was found gives a state this value."""
        earlier = self._made.get((state, value[0].shape))
        return earlier is not None and bool(matches(earlier, value))


def is_tensor(old: Old) -> bool:
    """Whether a state is one of the graph's tensors, not one that is never read, nor a counter."""
    return old[0][0] > 0


def _fits(shape: tuple[int, ...], width: tuple[int | None, ...]) -> bool:
    """Whether a shape ends in this one, behind at least one axis."""
    ending = shape[len(shape) - len(width) :]
    return len(shape) > len(width) and all(size in (None, own) for size, own in zip(width, ending, strict=True))
