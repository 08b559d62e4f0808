"""Tensors that lie in pieces: which pieces make the rows asked for, and whether the pieces make a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.types import Array

Extents = tuple[tuple[int, int], ...]  # (start, length) for each axis

MAX_GRID = 10_000  # pieces cut along several axes, where each is compared with each


class Piece(Protocol):
    """Values that lie together."""

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop` along the first axis; a scalar has one. Raises `BadInput`."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A tensor made of pieces that fill it: a `Piece` itself.

    Attributes:
        shape: of the whole, at least one axis.
        dtype: of the whole.
        pieces: each with its place.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    pieces: tuple[tuple[Extents, Piece], ...]

    def load(self, start: int, stop: int) -> Array:
        """The rows `start … stop`, from those pieces alone that have some of them. Raises `BadInput`."""
        whole = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for extents, piece in self.pieces:
            first, count = extents[0]
            low, high = max(start, first), min(stop, first + count)
            if low < high:
                columns = tuple(slice(at, at + size) for at, size in extents[1:])
                whole[(slice(low - start, high - start), *columns)] = piece.load(low - first, high - first)
        return whole


def reader(piece: Piece, shape: tuple[int, ...]) -> Callable[[slice], Array]:
    """`Tensor.read` for a piece that is a whole tensor: any slice, read as the stretch of rows that it spans."""

    def read(rows: slice) -> Array:
        if not shape:
            return piece.load(0, 1)
        wanted = range(shape[0])[rows]
        if not wanted:
            return piece.load(0, 0)
        low = min(wanted[0], wanted[-1])
        stretch = piece.load(low, max(wanted[0], wanted[-1]) + 1)
        return stretch if wanted.step == 1 else stretch[wanted[0] - low :: wanted.step]

    return read


def unreadable(problem: str, path: Path, hint: str = "") -> Callable[[slice], Array]:
    """`Tensor.read` for a tensor whose values can't be had."""

    def read(rows: slice) -> Array:
        raise BadInput(problem, path=path, hint=hint)

    return read


def check_cover(what: str, shape: tuple[int, ...], extents: Sequence[Extents], path: Path) -> None:
    """Whether pieces, each inside of `shape`, fill it, no two of them overlapping.

    Raises:
        BadInput: they don't.
    """
    filled = [piece for piece in extents if all(count for _, count in piece)]
    covered = sum(prod(count for _, count in piece) for piece in filled)
    if covered != prod(shape):
        raise BadInput(f"the slices of {what} hold {covered} of its {prod(shape)} elements", path=path)
    cut = [axis for axis, size in enumerate(shape) if any(piece[axis] != (0, size) for piece in filled)]
    if len(cut) > 1 and len(filled) > MAX_GRID:
        raise BadInput(f"{what} is cut into {len(filled)} slices along several axes; {MAX_GRID} are read", path=path)
    if len(cut) <= 1:
        along = sorted(piece[cut[0]] for piece in filled) if cut else [(0, 1)] * len(filled)
        overlap = any(start + count > later for (start, count), (later, _) in pairwise(along))
    else:
        starts = np.array([[start for start, _ in piece] for piece in filled])
        stops = starts + np.array([[count for _, count in piece] for piece in filled])
        overlap = any(
            bool(np.any(np.all((starts[k] < stops[k + 1 :]) & (starts[k + 1 :] < stops[k]), axis=1)))
            for k in range(len(filled))
        )
    if overlap:
        raise BadInput(f"the slices of {what} overlap", path=path)
