"""How the user's sequences lie in the tensor that an original graph takes them from.

Nothing stored says whether that tensor is batch-major or time-major, flat, or one step alone. So every arrangement
that its static shape allows is tried, and the one is taken with which the steps that enter the cell are those that were
given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from rnnprobe.types import Array

_FLOATS = (
    ("b", "t", "d"),
    ("t", "b", "d"),
    ("b", "td"),
    ("bt", "d"),
    ("tb", "d"),
    ("b", "t", "d", ""),
    ("b", "d", "t"),
)
_IDS = (("b", "t"), ("t", "b"), ("b", "t", ""), ("t", "b", ""), ("bt",), ("tb",))
_STEP_FLOATS = (("b", "d"), ("b", "", "d"))
_SPACE = "xyz"
_STEP_IDS = (("b",), ("b", ""))


@dataclass(frozen=True, slots=True)
class Form:
    """Which axes of the sequences make up each axis of a tensor: b(atch), t(ime), d (features); none for an axis of 1.

    The steps of a convolutional cell have the axes x, y and z before d.

    Attributes:
        axes: of the tensor; of each tensor where every step has its own.
        turned: the steps' tensors are given the steps from the last to the first.
    """

    axes: tuple[str, ...]
    turned: bool = False

    def __call__(self, values: Array) -> Array:
        """The values `[batch, time, *space, features]` or ids `[batch, time]` in this arrangement."""
        order = [axis for axis in "".join(self.axes)]
        letters = f"bt{_SPACE[: max(values.ndim - 3, 0)]}d"
        sizes = dict(zip(letters, values.shape, strict=False))
        if values.ndim == 3 and "d" not in order:
            values = values[..., 0]
        if "t" not in order:
            values = values[:, 0]
        present = [axis for axis in letters if axis in order]
        moved = values.transpose([present.index(axis) for axis in order])
        return moved.reshape([prod(sizes[axis] for axis in group) for group in self.axes])

    def fixed(self, shape: Sequence[int | None] | None, axis: str) -> int | None:
        """The size that a tensor's static shape fixes for an axis."""
        if shape is None or axis not in self.axes:
            return None
        return shape[self.axes.index(axis)]

    def allows(self, shape: Sequence[int | None] | None, features: int) -> bool:
        """Whether a tensor of this static shape may be so arranged."""
        if shape is None:
            return True
        if len(shape) != len(self.axes):
            return False
        wanted = {"d": features, "": 1}
        return all(
            size is None or wanted.get(group, size) == size for size, group in zip(shape, self.axes, strict=True)
        )

    @property
    def words(self) -> str:
        """For the report: `[batch, time, features]`."""
        long = {"b": "batch", "t": "time", "d": "features"}
        return "[" + ", ".join("·".join(long.get(axis, axis) for axis in group) or "1" for group in self.axes) + "]"


def forms(
    shape: Sequence[int | None] | None, features: int, *, ids: bool, single: bool, space: int = 0
) -> Iterator[Form]:
    """The arrangements that a tensor's static shape allows, the usual ones first.

    Args:
        shape: of the tensor; None where it is not known.
        features: of a step.
        ids: whether steps are ids.
        single: whether every step has a tensor of its own.
        space: how many axes of space a step has.
    """
    known: tuple[tuple[str, ...], ...] = _IDS if ids else _FLOATS
    if single:
        known = _STEP_IDS if ids else _STEP_FLOATS
    if space:
        known = (("b", *_SPACE[:space], "d"),) if single else tuple((*a, *_SPACE[:space], "d") for a in ("bt", "tb"))
    for axes in known:
        if Form(axes).allows(shape, features):
            yield Form(axes)
    if single:
        yield from (Form(axes, turned=True) for axes in known if Form(axes).allows(shape, features))
