"""How a run is cut and compiled: decided once, of the whole input, so that a part of it gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnprobe.cells.layers import wide
from rnnprobe.types import Array, Batch, Layer, Network

_WORTH = 20_000
"""Steps of loops that have to come before compiling pays: it takes 0.2 to 1 s, and saves 20 to 50 µs a step."""

_MANY = 16
"""Sequences from which on, in wide layers, TensorFlow's own products are faster than XLA's."""

_FEW = 8
"""Rows below which the input's share of the products is computed for all steps of a block at once, whatever its size:
as many rows make a product of matrices that is as fast as the large one."""

_NARROW = 2
"""Units for each feature of the input from which on, with enough rows, that share is computed in the loop: the sums of
the gates need not pass through memory, and the bias is added where the gates are computed."""

_SHRINK = 4
"""A block that is not full is filled up to the whole, a quarter or a sixteenth … of the steps of a full one: each of
them is compiled by itself."""


@dataclass(frozen=True, slots=True)
class Compilation:
    """How a run is cut and compiled.

    Attributes:
        fused: XLA compiles the loops, for blocks of fixed shapes.
        rows: of a block that is compiled: shorter batches are filled up.
        longest: steps of the longest batch, which its blocks share alike; 0: each batch's own.
    """

    fused: bool = False
    rows: int = 0
    longest: int = 0

    @classmethod
    def of(cls, network: Network, batches: Sequence[Batch]) -> Compilation:
        """What suits a network and its whole input.

        Args:
            network: what runs.
            batches: all of them, whichever are run here.
        """
        loops = sum(batch.steps for batch in batches) * len(network.layers)
        flat = all(layer.cell.space is None for layer in network.layers)
        rows = max((len(batch.rows) for batch in batches), default=0)
        gains = flat and not (wide(network.layers) and rows >= _MANY)
        longest = max((batch.steps for batch in batches), default=0)
        return cls(loops >= _WORTH and gains, rows, longest)


def projects_in_loop(layer: Layer, rows: int) -> bool:
    """Whether a compiled loop computes the input's share of the products step by step."""
    return rows >= _FEW and _NARROW * layer.input_size <= layer.units


def filled_steps(count: int, stretch: int) -> int:
    """The steps of the compiled block that holds `count` steps, at most `stretch`."""
    size = stretch
    while size > 1 and -(-size // _SHRINK) >= count:
        size = -(-size // _SHRINK)
    return size


def filled(array: Array, steps: int, rows: int) -> Array:
    """`[time, batch, …]` with zeros behind both axes."""
    if array.shape[:2] == (steps, rows):
        return np.ascontiguousarray(array)
    whole = np.zeros((steps, rows, *array.shape[2:]), array.dtype)
    whole[: array.shape[0], : array.shape[1]] = array
    return whole


def filled_rows(states: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """State → `[rows, …]`, zeros behind."""
    return {name: filled(array[None], 1, rows)[0] for name, array in states.items()}
