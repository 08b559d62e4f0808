"""What the commands have in common: arguments and options as decorators, and what is said on stderr.

@click.command()
@model_argument
@layer_option
@describes_cell
@json_option
@verbosity
def command(model: Path, layer: tuple[str, ...], overrides: Overrides, as_json: bool, quiet: bool, verbose: bool):
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from rnnprobe.analysis import words
from rnnprobe.cells import CELLS
from rnnprobe.cells.options import BOUNDS, COUNTS, RESIDUAL, SPATIAL, WRAPPING
from rnnprobe.recover import Overrides
from rnnprobe.types import Network, Option, OptionValue
from rnnprobe.views.escape import plain

F = TypeVar("F", bound=Callable[..., Any])

model_argument = click.argument("model", type=click.Path(path_type=Path))
"""MODEL → `model: Path`. Whether there is one, and of which format, is for `rnnprobe.formats` to say."""

models_argument = click.argument("models", metavar="MODEL...", type=click.Path(path_type=Path), nargs=-1, required=True)
"""One MODEL or more → `models: tuple[Path, ...]`."""

layer_option = click.option(
    "--layer",
    multiple=True,
    metavar="PATTERN",
    help="Only the layers of this name: a name, a part of it, or a glob. May be repeated.",
)
"""--layer → `layer: tuple[str, ...]`, for `rnnprobe.analysis.select.select`."""

own_input_option = click.option(
    "--own-input", is_flag=True, help="The input is that of the layers chosen with --layer, not of what feeds them."
)
"""--own-input → `own_input: bool`, for `rnnprobe.recover.stacks.select`."""

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
"""--json → `as_json: bool`."""


quiet_option = click.option("-q", "--quiet", is_flag=True, help="No warnings on stderr.")
"""-q → `quiet: bool`."""


def _heard(ctx: click.Context, parameter: click.Parameter, verbose: bool) -> bool:
    """Tells `rnnprobe.cli.main`, which shows tracebacks, when the command is gone."""
    ctx.find_root().ensure_object(set).update({"verbose"} if verbose else ())
    return verbose


verbose_option = click.option(
    "-v", "--verbose", is_flag=True, callback=_heard, help="Say more; show the traceback of an error."
)
"""-v → `verbose: bool`."""


def verbosity(function: F) -> F:
    """-q, -v → `quiet: bool`, `verbose: bool`."""
    return quiet_option(verbose_option(function))


traceback_option = click.option(
    "-v", "--verbose", is_flag=True, callback=_heard, expose_value=False, help="Show the traceback of an error."
)
"""-v of the commands that have nothing more to say."""


def _number(text: str) -> float:
    """A finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise click.BadParameter(f"expected a number, found {text!r}")
    return number


def _bound(text: str) -> float | str:
    """A number above 0; or `none`, which is off."""
    if text == "none":
        return text
    number = _number(text)
    if number <= 0:
        raise click.BadParameter(f"expected a number above 0, or none; found {text!r}")
    return number


def _sizes(text: str) -> int | tuple[int, ...]:
    """A whole number above 0, or one for each axis."""
    words = text.replace(" ", "").split(",")
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"expected a whole number above 0, or several with commas; found {text!r}")
    return int(words[0]) if len(words) == 1 else tuple(map(int, words))


def _described() -> dict[str, Option]:
    """Every option of any cell by name, with the choices of all cells together."""
    found: dict[str, Option] = {}
    for option in (*(option for cell in CELLS for option in cell.options), *WRAPPING, RESIDUAL):
        known = found.get(option.name)
        if known is None or len(option.choices) > len(known.choices):
            found[option.name] = option
    return found


_DESCRIBED = _described()


def describes_cell(function: F) -> F:
    """The options that describe the cell, from the tables of `rnnprobe.cells` → `overrides: Overrides`.

    Every one of them is unset unless the user sets it, and then goes over what the file says.
    """

    decorated = _overriding(function, _DESCRIBED)
    for option in reversed(_DESCRIBED.values()):
        decorated = _flag(option)(decorated)
    return _named(decorated)


def names_cell(function: F) -> F:
    """--cell, --config and the options that are sizes → `overrides: Overrides`: what tells which cell the weights are,
    for the commands in which the cell's other options change nothing."""
    counts = [option for option in _DESCRIBED.values() if option.name in COUNTS]
    decorated = _overriding(function, [option.name for option in counts])
    for option in reversed(counts):
        decorated = _flag(option)(decorated)
    return _named(decorated)


def _overriding(function: F, names: Iterable[str]) -> F:
    """`function`, which takes `overrides`, as one that takes `cell`, `config` and the options of these names."""

    @wraps(function)
    def collected(*args: Any, cell: str | None, config: Path | None, **given: Any) -> Any:
        options: dict[str, OptionValue] = {}
        for name in names:
            value = given.pop(name)
            if value is not None:
                options[name] = None if value == "none" else value
        return function(*args, overrides=Overrides(cell, options, config), **given)

    decorated: Any = collected
    named: F = decorated
    return named


def _named(function: F) -> F:
    """--cell and --config."""
    decorated = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A Keras configuration (JSON) beside weights that came without one.",
    )(function)
    return click.option(
        "--cell",
        type=click.Choice([cell.name for cell in CELLS]),
        metavar="NAME",
        help=f"What tensors are that are not claimed: {', '.join(cell.name for cell in CELLS)}.",
    )(decorated)


def _flag(option: Option) -> Callable[[F], F]:
    flag = words.flag(option.name)
    if option.choices:
        choice = click.Choice(option.choices)
        text = option.help if len(option.choices) < 3 else f"{option.help} One of {', '.join(option.choices)}."
        return click.option(flag, option.name, type=choice, metavar="NAME", help=text)
    if isinstance(option.default, bool):
        return click.option(f"{flag}/--no-{flag[2:]}", option.name, default=None, help=option.help)
    if option.name in SPATIAL:
        return click.option(flag, option.name, type=_sizes, metavar="NUMBER[,…]", help=option.help)
    if option.name in COUNTS:
        return click.option(flag, option.name, type=click.IntRange(1), metavar="NUMBER", help=option.help)
    # An option without a number of its own is a bound, which is off by default.
    bound = option.default is None or option.name in BOUNDS
    kind, metavar = (_bound, "NUMBER|none") if bound else (_number, "NUMBER")
    return click.option(flag, option.name, type=kind, metavar=metavar, help=option.help)


def say(lines: Iterable[str]) -> None:
    """Lines on stderr, made harmless for a terminal; above a bar of progress, which has put itself in `sys.stderr`'s
    place and which click would write past."""
    for line in lines:
        print(f"rnnprobe: {plain(line)}", file=sys.stderr, flush=True)


def speaker(quiet: bool) -> Callable[[Iterable[str]], None]:
    """`say`, or what says nothing."""
    return (lambda lines: None) if quiet else say


def say_assumptions(network: Network) -> None:
    """What nothing in the file says and was assumed, once on stderr, with the flags that settle it."""
    say(assumptions(network))


def assumptions(network: Network) -> list[str]:
    """Two lines at most: the options assumed, and the embeddings assumed in front."""
    holders: dict[tuple[str, str], int] = {}
    for layer in network.layers:
        for name, value in layer.options.items():
            if value.evidence == "assumed":
                key = (name, words.option(value.value))
                holders[key] = holders.get(key, 0) + 1
    total = len(network.layers)
    found = [
        f"{name} = {value}" + ("" if number == total else f" in {number} of {total} layers")
        for (name, value), number in holders.items()
    ]
    flags = list(dict.fromkeys(words.flag(name) for name, _ in holders))
    lines = []
    if found:
        settle = "settles it" if len(flags) == 1 else "settle it"
        lines.append(f"assumed, since nothing in the file says it: {', '.join(found)}; {', '.join(flags)} {settle}")
    fed = [embedding.name for embedding in network.embeddings if embedding.evidence == "assumed"]
    if fed:
        lines.append(f"assumed from names and widths: {', '.join(fed)} stands in front")
    return lines
