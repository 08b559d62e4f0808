"""The options that say what the input is and how it is read, for the commands that run a network.

@click.command(cls=Reads)
@model_argument
@reads_input
def command(model: Path, reading: Reading, …):
    batches = reading.read(stacks.entries(network), say=say)
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from functools import wraps
from glob import glob
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import click

from rnnprobe.analysis import words
from rnnprobe.errors import BadInput
from rnnprobe.inputs import BY
from rnnprobe.runs.reading import Reading

F = TypeVar("F", bound=Callable[..., Any])


class Reads(click.Command):
    """A command that reads --input, and knows what a shell makes of a glob that is not quoted."""

    allow_extra_args = True  # they are refused below

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        line = list(args)  # click takes them out
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            files = _expanded(line)
            if str(ctx.params["model"]) in files:  # taken for it: the real one stands behind
                files = [file for file in files if file != ctx.args[-1]]
            if len(files) > 1 and all(Path(word).exists() for word in ctx.args):
                raise BadInput(f"--input takes one FILE, and no option takes {words.few(ctx.args)}", hint=_hint(files))
            ctx.fail(
                f"no option takes {words.few(ctx.args)}: expected one MODEL, and any other value behind the name of "
                "its option, in quotes where it has spaces"
            )
        return rest


def _expanded(line: Sequence[str]) -> list[str]:
    """The longest run of files behind an --input: what a shell makes of a glob."""
    runs: list[list[str]] = [[]]
    for number, word in enumerate(line):
        if word == "--input" or word.startswith("--input="):
            behind = [word.removeprefix("--input=")] if "=" in word else []
            runs.append([*behind, *takewhile(lambda one: Path(one).exists(), line[number + 1 :])])
    return max(runs, key=len)


def _hint(files: Sequence[str]) -> str:
    """How to give several files: by a quoted glob where there is one for them and for nothing else."""
    suffix = Path(files[0]).suffix
    start = os.path.commonprefix([file.removesuffix(suffix) for file in files])  # noqa: RUF071 (letters are meant)
    pattern = f"{start}*{suffix}"
    if set(glob(pattern)) == set(files):
        return f"quote a glob, so that the shell leaves it alone: --input {shlex.quote(pattern)}; or repeat --input"
    return f"repeat --input: {' '.join(f'--input {shlex.quote(file)}' for file in files[:2])}{' …' * (len(files) > 2)}"


def reads_input(function: F) -> F:
    """The options that say what the input is and how it is read → `reading: Reading`."""

    @wraps(function)
    def collected(*args: Any, inputs: tuple[str, ...], **given: Any) -> Any:
        own = {name: given.pop(name) for name in _BESIDE}
        return function(*args, reading=Reading(inputs, **own), **given)

    decorated: Any = collected
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    named: F = decorated
    return named


_BESIDE = ("lengths", "vocab", "by", "unknown", "input_format", "time_major", "select", "steps", "feed")
_OPTIONS = (
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="FILE",
        help="The sequences; - for stdin. Repeated, or a quoted glob ('corpus/*.txt'): file after file. NAME=FILE, "
        "repeated, for a model with several inputs.",
    ),
    click.option(
        "--vocab", multiple=True, metavar="FILE", help="Tokens of a text: .txt, .json, .pkl; NAME=FILE for one input."
    ),
    click.option(
        "--by",
        type=click.Choice(BY),
        default="char",
        show_default=True,
        help="Of a text: its characters or its words, as one sequence; or each line as one, of characters (line) or of "
        "words (line-word).",
    ),
    click.option("--unknown", metavar="TOKEN", help="The token, or id, that stands for what the vocabulary lacks."),
    click.option("--input-format", metavar="NAME", help="The format of stdin, where it can't be told."),
    click.option(
        "--lengths", multiple=True, metavar="FILE", help="The valid steps of each sequence; NAME=FILE for one input."
    ),
    click.option("--time-major", is_flag=True, help="The input is [time, batch, …]."),
    click.option("--select", metavar="SEQUENCES", help="Only these: numbers, A:B, names or files' names, with commas."),
    click.option("--steps", metavar="A:B", help="Only these steps of each sequence."),
    click.option(
        "--feed",
        multiple=True,
        metavar="NAME=FILE",
        help="A placeholder of the original graph, which then computes what enters the layers; or NAME=NUMBER.",
    ),
)
