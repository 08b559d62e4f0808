"""The options that say how much of a run is stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from rnnprobe.outputs.reductions import MARGIN

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--stride", type=int, default=1, metavar="N", help="Keep every N-th step."),
    click.option(
        "--units",
        multiple=True,
        metavar="LIST",
        help="Keep these units: 0:16 or 3,17,200; LAYER=LIST of one layer. May be repeated.",
    ),
    click.option(
        "--reduce",
        metavar="NAMES",
        default="",
        help="Keep figures in place of the signals: mean, std, min, max, histogram; saturation: of gates, the shares "
        f"of values near a bound (sigmoid: below {MARGIN}, above {1 - MARGIN}; tanh: beyond ±{1 - MARGIN}).",
    ),
    click.option(
        "--over", metavar="AXIS", help="What --reduce goes over: time (default), for each sequence; or sequences."
    ),
)


def keeps_less(function: F) -> F:
    """The options that say how much of a run is stored → `less: Less` (`rnnprobe.analysis.keeping`)."""

    @wraps(function)
    def collected(*args: Any, stride: int, units: tuple[str, ...], reduce: str, over: str | None, **given: Any) -> Any:
        from rnnprobe.analysis.keeping import Less

        return function(*args, less=Less(stride, units or None, reduce, over), **given)

    decorated: Any = collected
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    named: F = decorated
    return named
