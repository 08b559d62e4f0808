"""A cell's own equations on the random weights of a graph in numbers, held against what is among the graph's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnprobe.cells.batch_norm_lstm import FURTHER_STATISTICS
from rnnprobe.cells.layers import defaults
from rnnprobe.cells.namespace import NumPy
from rnnprobe.cells.options import COUNTS
from rnnprobe.cells.shapes import evaluate, formulas
from rnnprobe.cells.slices import assemble
from rnnprobe.errors import BadInput
from rnnprobe.recover.graph.numbers import Numbers
from rnnprobe.recover.graph.settings import Settings
from rnnprobe.types import Array, Cell, Layer, OptionValue, Signal, Tensor

_PER_STEP = 200_000
_PER_WEIGHT = 3  # large weights come from memory each time


class Equations:
    """A cell with the random weights of every draw.

    Args:
        known: the graph in numbers.
        cell: the cell.
        weights: role → stored tensor.
        sizes: as `rnnprobe.cells.layers.fit` gives them.
        options: what is known of them already.

    Attributes:
        options: those that are known, else the framework's defaults.
        signals: those that the weights allow.
        idle: the states that the cell carries and never reads: of a grid's first dimension, which the input replaces.
        counters: the states that are one number, how many steps went before → as many numbers as make a difference.
            In a graph it is an integer, or nothing at all where the steps are written out.
    """

    def __init__(
        self,
        known: Numbers,
        cell: Cell,
        weights: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        options: Settings,
    ) -> None:
        self.cell = cell
        counts = {name: value for name, value in options.items() if name in COUNTS and isinstance(value, int)}
        self.sizes = {**counts, **sizes}
        self.options: dict[str, OptionValue] = {
            name: value.value for name, value in defaults(cell).items() if name != "residual"
        }
        self.options |= {name: value for name, value in options.items() if name in self.options}
        if cell.space is not None:
            self.options |= {name: "same" for name in self.options if name == "padding"}
        self.signals = [signal for signal in cell.signals if not signal.needs or signal.needs in weights]
        self._known = known
        self._cost = _PER_WEIGHT * sum(tensor.size for tensor in weights.values())
        self._w = self._assembled(weights)
        self.idle = self._without_effect() if self._w else set()
        count = 1 + self.sizes.get(FURTHER_STATISTICS, 0)
        self.counters = {signal.name: count for signal in cell.signals if signal.kind == "state" and not signal.size}

    @property
    def usable(self) -> bool:
        """Whether the weights are no more numbers than can be drawn."""
        return bool(self._w)

    def _assembled(self, weights: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """The parts of the cell on every draw; none where they would be too many numbers."""
        found = []
        for draw in range(len(self._known.draws)):
            made = {role: self._known.tensor(tensor, draw) for role, tensor in weights.items()}
            held = {role: tensor for role, tensor in made.items() if tensor is not None}
            if len(held) != len(made):
                return []
            found.append(assemble(Layer("", "", self.cell, held, self.sizes, {})))
        return found

    def _without_effect(self) -> set[str]:
        rng = np.random.default_rng(0)
        sizes = {name: value for name, value in self.options.items() if isinstance(value, int)} | dict(self.sizes)
        try:
            with np.errstate(all="ignore"):
                return self._unread_states(rng, sizes)
        except (ValueError, KeyError, TypeError, BadInput):
            # Of a convolution a step has more axes, of others a size is told by no weight: they read all their states.
            return set()

    def _unread_states(self, rng: np.random.Generator, sizes: Mapping[str, int]) -> set[str]:
        state = {
            signal.name: rng.random((2, *(evaluate(formula, sizes) for formula in formulas(signal.size))))
            for signal in self.cell.signals
            if signal.kind == "state"
        }
        self._known.budget.take(self._cost * (1 + len(state)))
        z = self.cell.project(NumPy, self._w[0], rng.random((2, sizes["input_size"])), self.options)
        first = self.cell.step(NumPy, self._w[0], z, state, self.options)

        def same(name: str) -> bool:
            after = self.cell.step(NumPy, self._w[0], z, state | {name: state[name] + 1.0}, self.options)
            return all(np.array_equal(first[made], value, equal_nan=True) for made, value in after.items())

        return {name for name in state if same(name)}

    def extent(self, signal: Signal) -> tuple[int | None, ...]:
        """The shape of a signal at one step; None where nothing stored says a size."""
        return tuple(self._size(formula) for formula in formulas(signal.size))

    def _size(self, formula: str) -> int | None:
        try:
            return evaluate(formula, self.sizes)
        except KeyError:
            return None

    def computed(
        self, x: Sequence[Array], states: Mapping[str, Sequence[Array]], options: Settings, draws: range
    ) -> list[dict[str, Array]] | None:
        """The signals on some of the draws; None where the equations do not take such values.

        Args:
            x: what enters, on each draw.
            states: state → the same.
            options: the cell's.
            draws: which.
        """
        self._known.budget.take(len(draws) * (self._cost + _PER_STEP))
        found = []
        for draw in draws:
            state = {name: value[draw] for name, value in states.items()}
            try:
                with np.errstate(all="ignore"):
                    z = self.cell.project(NumPy, self._w[draw], x[draw], options)
                    found.append(self.cell.step(NumPy, self._w[draw], z, state, options))
            except (ValueError, TypeError, BadInput):
                return None
        return found
