"""Which tensors around a place may be what enters a cell and its old states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product

import numpy as np

from rnnprobe.recover.graph.around import READS, Around, behind, comes_from
from rnnprobe.recover.graph.equations import Equations
from rnnprobe.recover.graph.numbers import Numbers, matches, sampled
from rnnprobe.recover.graph.settings import Settings
from rnnprobe.recover.graph.values import joins
from rnnprobe.recover.graph.view import LOOP_VARIABLE, Ref
from rnnprobe.types import Array, Signal, Tap

NOWHERE = (0, 0)
"""Stands for a state that the cell never reads."""

MOST_TRIES = 1000
_NEAR = 150
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


@dataclass(slots=True)
class Taken:
    """A way to take input and states, and how well it fits with these options."""

    inputs: tuple[Ref, ...]
    states: tuple[Ref, ...]
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

    # What enters -------------------------------------------------------------------------------------------------

    def entering(self, place: int, around: Around) -> Iterator[list[tuple[Ref, ...]]]:
        """What may enter: single tensors, then what lies side by side."""
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

    def joined(self, refs: Sequence[Ref]) -> tuple[Array, ...] | None:
        """The values of tensors side by side, on every draw."""
        values = [self._known.values(ref) for ref in refs]
        held = [value for value in values if value is not None]
        if len(held) != len(values) or len({value[0].shape[:-1] for value in held if value[0].ndim}) != 1:
            return None
        return tuple(np.concatenate(one, axis=-1) for one in zip(*held, strict=True)) if len(held) > 1 else held[0]

    # States ------------------------------------------------------------------------------------------------------

    def states(self, around: Around) -> list[list[Ref]]:
        """For each state, the tensors that may be it."""
        return [
            [NOWHERE] if signal.name in self._equations.idle else self._state(signal, around)
            for signal in self._equations.cell.signals
            if signal.kind == "state"
        ]

    def arranged(self, states: Sequence[Sequence[Ref]]) -> Iterator[tuple[Ref, ...]]:
        """A tensor for each state: in the order in which they were made, then in any order, then one for several."""
        held: list[tuple[Ref, ...]] = []
        for chosen in islice(product(*states), MOST_TRIES):
            real = [ref for ref in chosen if ref != NOWHERE]
            if real == sorted(set(real)):
                yield chosen
            else:
                held.append(chosen)
        yield from sorted(held, key=lambda chosen: len(chosen) - len(set(chosen)))

    def _state(self, signal: Signal, around: Around) -> list[Ref]:
        """The tensors that could be a state: what an earlier step made, what a loop carries, else what is given."""
        width = self._equations.extent(signal)
        fitting: dict[tuple[object, ...], Ref] = {}
        for ref in around.behind:
            value = around.pool.values.get(ref)
            if value is not None and _fits(value[0].shape, width):
                fitting.setdefault(self._known.key(ref), ref)
        found = list(fitting.values())
        passed = [ref for ref in found if self._was_made(signal.name, around.pool.values[ref])]
        carried = [ref for ref in found if ref not in passed and comes_from(self._known, ref, {LOOP_VARIABLE})]
        return passed + carried or [ref for ref in found if comes_from(self._known, ref, _GIVEN)] or found

    def remember(self, state: str, new: Tap) -> None:
        """Notes what a step that was found makes of a state."""
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


def _fits(shape: tuple[int, ...], width: tuple[int | None, ...]) -> bool:
    """Whether a shape ends in this one, behind at least one axis."""
    ending = shape[len(shape) - len(width) :]
    return len(shape) > len(width) and all(size in (None, own) for size, own in zip(width, ending, strict=True))
