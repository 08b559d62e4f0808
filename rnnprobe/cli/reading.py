"""The options that say what the input is and how it is read, for the commands that run a network.

@click.command()
@model_argument
@reads_input
def command(model: Path, reading: Reading, …):
    batches = reading.read(stacks.entries(network), quiet=quiet)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rnnprobe.cli.options import say
from rnnprobe.errors import BadInput
from rnnprobe.inputs import AT_LEAST, BY

if TYPE_CHECKING:
    from rnnprobe.inputs.vocabulary import Vocabulary
    from rnnprobe.types import Batch, Entry

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Reading:
    """The user's input, and how it is read.

    Attributes:
        inputs: what --input gives: FILEs and globs, or NAME=FILE for each of the model's inputs.
        lengths, vocab: what --lengths and --vocab give, likewise.
        by, unknown, input_format, time_major, select, steps: the options of these names.
        feed: what --feed gives: NAME=FILE for placeholders of an original graph.
    """

    inputs: tuple[str, ...]
    lengths: tuple[str, ...] = ()
    vocab: tuple[str, ...] = ()
    by: str = "char"
    unknown: str | None = None
    input_format: str | None = None
    time_major: bool = False
    select: str | None = None
    steps: str | None = None
    feed: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every FILE of --input, globs expanded, and of --feed, in order."""
        from rnnprobe.inputs.files import expand

        given = _files(self.inputs) if self.inputs else ()
        each = [file for one in given for file in expand(one) or (one,)]
        return (*each, *(one.partition("=")[2] for one in self.feed))

    @property
    def read_from(self) -> tuple[str, ...]:
        """Everything that is read: the input, its lengths, the vocabulary."""
        beside: list[str] = []
        for given, flag in ((self.lengths, "--lengths"), (self.vocab, "--vocab")):
            named = _named(given, flag) if given else {}
            beside += [named] if isinstance(named, str) else named.values()
        return (*self.files, *beside)

    def read(
        self, entries: Mapping[str, Entry], *, quiet: bool, batch_size: int | None = None, at_least: int = AT_LEAST
    ) -> tuple[Batch, ...]:
        """The input, as a network takes it.

        Args:
            entries: of what runs (`rnnprobe.recover.stacks.entries`).
            quiet: say nothing on stderr of conversions.
            batch_size: sequences in a batch, at most; None: what fits their lengths.
            at_least: sequences in a batch where that is chosen so.

        Raises:
            BadInput: as `rnnprobe.inputs.read`; names that are none of the network's inputs.
        """
        from rnnprobe import inputs

        if not self.inputs:
            raise BadInput("nothing to run over: --input FILE gives the sequences")
        several = len(self.inputs) > 1 and not any(_is_named(one) for one in self.inputs)
        return inputs.read(
            list(self.inputs) if several else _for(self.inputs, "--input", list(entries)),
            entries,
            say=speaker(quiet),
            lengths=_for(self.lengths, "--lengths", list(entries)) if self.lengths else None,
            time_major=self.time_major,
            vocabulary=_tokens(_for(self.vocab, "--vocab", list(entries)) if self.vocab else {}) or None,
            by=self.by,
            unknown=self.unknown,
            select=self.select,
            steps=self.steps,
            batch_size=batch_size,
            at_least=at_least,
            input_format=self.input_format,
        )


def speaker(quiet: bool) -> Callable[[str], None]:
    """What `inputs.read` and its like say a line with."""
    return (lambda line: None) if quiet else (lambda line: say([line]))


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
    click.option("--by", type=click.Choice(BY), default="char", show_default=True, help="What a token of a text is."),
    click.option("--unknown", metavar="TOKEN", help="The token, or id, that stands for what the vocabulary lacks."),
    click.option("--input-format", metavar="NAME", help="The format of stdin, where it can't be told."),
    click.option(
        "--lengths", multiple=True, metavar="FILE", help="The valid steps of each sequence; NAME=FILE for one input."
    ),
    click.option("--time-major", is_flag=True, help="The input is [time, batch, …]."),
    click.option("--select", metavar="SEQUENCES", help="Only these: numbers, A:B or names, with commas."),
    click.option("--steps", metavar="A:B", help="Only these steps of each sequence."),
    click.option(
        "--feed",
        multiple=True,
        metavar="NAME=FILE",
        help="A placeholder of the original graph, which then computes what enters the layers; or NAME=NUMBER.",
    ),
)


def _tokens(given: str | Mapping[str, str]) -> Vocabulary | dict[str, Vocabulary]:
    """The vocabulary in a FILE, or in that of each input."""
    from rnnprobe.inputs import vocabulary

    return vocabulary.read(given) if isinstance(given, str) else {k: vocabulary.read(file) for k, file in given.items()}


def _is_named(one: str) -> bool:
    """Whether this is NAME=FILE, and not a FILE with such a name."""
    return "=" in one and not Path(one).exists()


def _files(inputs: Sequence[str]) -> tuple[str, ...]:
    """The FILEs of --input, as they stand."""
    if not any(_is_named(one) for one in inputs):
        return tuple(inputs)
    named = _named(inputs, "--input")
    return (named,) if isinstance(named, str) else tuple(named.values())


def _named(given: Sequence[str], flag: str) -> str | dict[str, str]:
    """One FILE, or input → FILE.

    Raises:
        BadInput: several without names, or a name twice.
    """
    if len(given) == 1 and not _is_named(given[0]):
        return given[0]
    pairs = [one.partition("=") for one in given]
    bare = [one for one, (_, equals, file) in zip(given, pairs, strict=True) if not equals or not file]
    if bare:
        raise BadInput(f"{flag} {bare[0]} has no name", hint=f"of several, each is NAME=FILE: {flag} question=q.npy")
    names = [name for name, _, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{flag} gives {twice!r} twice; expected one FILE for each input")
    return {name: file for name, _, file in pairs}


def _for(given: Sequence[str], flag: str, inputs: Sequence[str]) -> str | Mapping[str, str]:
    """`given` for a network of these inputs; the only input goes by any name.

    Raises:
        BadInput: as `_named`; several names for one input.
    """
    named = _named(given, flag)
    if isinstance(named, str) or len(inputs) > 1:
        return named
    if len(named) > 1:
        raise BadInput(
            f"{flag} names {', '.join(map(repr, named))}; the network has one input, {inputs[0]!r}",
            hint=f"{flag} FILE is enough",
        )
    return next(iter(named.values()))
