"""The options with which a cell may compute what lies around a place: what the constants and ops there allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TypeAlias

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.cells.options import COUNTS, SPATIAL
from rnnprobe.recover.graph.around import Around
from rnnprobe.types import Option, OptionValue

Settings: TypeAlias = Mapping[str, OptionValue]

_MOST_CHOICES = 1200
_MOST_BEGINNINGS = 40
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


def choices(option: Option, around: Around) -> list[OptionValue]:
    """The values of an option that what is around allows."""
    if len(option.choices) == 1 or option.name in COUNTS:
        return [option.default]
    if option.choices and set(option.choices) <= ACTIVATIONS.keys():
        names = [name for name in option.choices if not around.ops.isdisjoint(_ACTIVATED.get(name, ()))]
        return [*names, *(["linear"] if "linear" in option.choices else [])]
    if option.choices:
        return list(option.choices)
    if isinstance(option.default, bool):
        return [False, True]
    if option.name in SPATIAL:
        return [option.default, *(int(value) for value in around.constants if value > 1 and value.is_integer())]
    found: list[OptionValue] = [option.default]
    if isinstance(option.default, int | float):
        found += [0.0] if option.default else []
        found += [value for value in around.constants if value not in found]
    elif option.default is None:
        found += [value for value in around.constants if value > 0]
    return found


def beginnings(begin: Settings, options: Sequence[Option], around: Around) -> Iterator[dict[str, OptionValue]]:
    """Options to look for a first signal with: those to begin with, then with what may come before it all.

    These are clips, and how convolutions are laid.
    """
    yield dict(begin)
    first = {
        option.name: choices(option, around)
        for option in options
        if option.name in SPATIAL or (option.default is None and not option.choices and option.name not in COUNTS)
    }
    ways = islice(product(*first.values()), 1, _MOST_BEGINNINGS)
    yield from (dict(begin) | dict(zip(first, values, strict=True)) for values in ways)


def searched(
    begin: Settings, allowed: Mapping[str, Sequence[OptionValue]], worth: Callable[[Settings], int]
) -> Iterator[tuple[dict[str, OptionValue], bool]]:
    """Options to hold against the graph: the best ones, those as good, and (False with them) all others.

    Args:
        begin: where to begin.
        allowed: option → its values.
        worth: how well options fit.
    """
    best = dict(begin)
    score = worth(best)
    better = True
    while better:
        better = False
        for name, values in allowed.items():
            for value in values:
                gained = worth(best | {name: value}) if value != best[name] else -1
                if gained > score:
                    best, score, better = best | {name: value}, gained, True
    yield best, True
    # A value without which everything is there as well: what is clipped stands in the graph unclipped, too.
    equal = {
        name: [value for value in values if worth(best | {name: value}) >= score] for name, values in allowed.items()
    }
    for wide in (equal, allowed):
        for values in islice(product(*wide.values()), _MOST_CHOICES):
            yield best | dict(zip(wide, values, strict=True)), wide is equal
