"""What a row of `rnnprobe.recover.keras.kinds` says, and the rules that rows choose among."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnnprobe.recover.keras.checks import Check

Config: TypeAlias = Mapping[str, Any]
Steps: TypeAlias = Callable[[Config, int | None], bool]
Size: TypeAlias = Callable[[Config, int | None], int | None]
Shape: TypeAlias = Callable[[Config], tuple[int | None, ...]]


def each_step(config: Config, rank: int | None) -> bool:
    """What looks at nothing but the features of a step; without them there may be no axis of time."""
    return rank is not None and rank >= 3


def looked_up(config: Config, rank: int | None) -> bool:
    """`Embedding`, whose steps have no features."""
    return rank is not None and rank >= 2


def activated(config: Config, rank: int | None) -> bool:
    """`Activation`; the linear one stands for its input, whatever that is."""
    return each_step(config, rank) or (rank is None and config.get("activation") == "linear")


def along_axis(config: Config, rank: int | None) -> bool:
    """What works along axes of which none is the batch's or that of time."""
    axis = config.get("axis", -1)
    if rank is None or rank < 3 or axis is None:
        return each_step(config, rank)
    return all(
        type(one) is int and one % rank not in (0, 1) for one in (axis if isinstance(axis, list | tuple) else [axis])
    )


def shared_slope(config: Config, rank: int | None) -> bool:
    """`PReLU`, where all steps have one slope."""
    shared = config.get("shared_axes")
    return each_step(config, rank) and 1 in (shared if isinstance(shared, list) else [shared])


def rescaled(config: Config, rank: int | None) -> bool:
    """`Rescaling`, where all steps have one scale and offset."""
    return each_step(config, rank) and not any(isinstance(config.get(key), list) for key in ("scale", "offset"))


def einsum(config: Config, rank: int | None) -> bool:
    """An equation, `abc,cd->abd`, that leaves the second axis as it is."""
    match = re.fullmatch(r"(\w)(\w)\w*,(\w*)->(\w)(\w)\w*", str(config.get("equation")))
    beside = f"{match[3]}{config.get('bias_axes')}" if match else ""
    return each_step(config, rank) and (
        match is not None and match[1] + match[2] == match[4] + match[5] and match[2] not in beside
    )


def same(config: Config, given: int | None) -> int | None:
    """As many as its input has."""
    return given


def unknown(config: Config, given: int | None) -> None:
    """What takes more than the arguments to say."""


def of(name: str) -> Size:
    """As many as an argument says."""
    return lambda config, given: int(config[name])


def pooled(config: Config, given: int | None) -> int | None:
    """The rank of a mean or maximum of all that is in a channel."""
    return given if config.get("keepdims") is True else 2


def sizes(*names: str) -> Shape:
    """A shape of arguments; an empty name leaves a size open."""
    return lambda config: tuple(config.get(name) for name in names)


def window(axes: int, last: str) -> Shape:
    """The shape of a kernel that moves over `axes` of space."""

    def shape(config: Config) -> tuple[int | None, ...]:
        size = config.get("kernel_size")
        return (*(size if isinstance(size, list) else [size] * axes), None, config.get(last))

    return shape


def pointwise(axes: int) -> Shape:
    """The shape of a kernel that joins channels at each point."""
    return lambda config: (*(1,) * axes, None, config.get("filters"))


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a class of Keras 3.

    Attributes:
        name: there.
        check: the value as Keras 3 takes it; raises `Unfit`.
        older: its names before.
    """

    name: str
    check: Check
    older: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of a class of Keras 3.

    Attributes:
        role: its name there.
        older: its names before.
        held: whether a layer with these arguments has it.
        shape: what the arguments tell of its shape, None for a size that they leave open.
    """

    role: str
    older: tuple[str, ...] = ()
    held: Callable[[Config], bool] = lambda config: True
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of Keras 3.

    Attributes:
        arguments: those that change the result.
        weights: what it stores, in the order in which it sets them.
        only: arguments of some release and the only values of theirs that Keras 3 has.
        ignored: arguments that change nothing at inference, besides those of every layer.
        parts: the layers in it that hold its weights, each by its names in the releases; none where it holds them.
        unread: variables that are stored and not needed.
        axes: those of space, over which its kernel or window moves.
        steps: whether each step of its output depends on that step of its inputs alone, for its arguments and the rank
            of its first input; False where that is not sure.
        rank: of its output, for its arguments and the greatest rank of its inputs; the batch's axis is counted.
        width: the features per step of its output, for its arguments and those of its first input.
        takes_mask: whether its result depends on the mask of its input.
        hands_on: the release since which it hands the mask of its input on, as Keras 1.2.2, 2.2.4, 3.15, tf.keras 1.15
            and tf_keras 2.21 do it; 0 for never. Before Keras 3, a layer that does not refuses masks, or ends them
            (tf.keras).
        recurrent: it recurs, is the cell of what does, or wraps it; its weights are those of the network's layers.
    """

    arguments: tuple[Argument, ...] = ()
    weights: tuple[Weight, ...] = ()
    only: Mapping[str, tuple[Any, ...]] | None = None
    ignored: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ((),)
    unread: frozenset[str] = frozenset()
    axes: int = 0
    steps: Steps = lambda config, rank: False
    rank: Size = same
    width: Size = unknown
    takes_mask: bool = False
    hands_on: int = 0
    recurrent: bool = False
