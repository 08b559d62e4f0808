"""The user's input, and how it is read, as data that can be sent to another machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from rnnprobe import inputs
from rnnprobe.errors import BadInput
from rnnprobe.inputs import AT_LEAST, vocabulary
from rnnprobe.inputs.files import expand
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Batch, Entry

Say: TypeAlias = Callable[[Sequence[str]], None]
"""Says lines to the user."""


class Source(Protocol):
    """Where the sequences of a run come from."""

    @property
    def given(self) -> bool:
        """Whether there are sequences; what is fed may be all."""

    @property
    def read_from(self) -> Sequence[Any]:
        """Everything that is read: paths, and what is none."""

    def read(
        self, entries: Mapping[str, Entry], *, say: Say, batch_size: int | None = None, at_least: int = AT_LEAST
    ) -> tuple[Batch, ...]:
        """The input, as a network takes it.

        Args:
            entries: of what runs (`rnnprobe.recover.stacks.entries`).
            say: takes what the user should know of conversions.
            batch_size: sequences in a batch, at most; None: what fits their lengths.
            at_least: sequences in a batch where that is chosen so.

        Raises:
            BadInput: as `rnnprobe.inputs.read`.
        """


@dataclass(frozen=True, slots=True)
class Given:
    """What Python hands over, and how it is read.

    Attributes:
        source: arrays, a path, or a mapping of these; None where there are no sequences.
        lengths, time_major, vocabulary, by, select, steps: as `rnnprobe.inputs.read` takes them.
    """

    source: Any
    lengths: Any = None
    time_major: bool = False
    vocabulary: Vocabulary | None = None
    by: str = "char"
    select: str | None = None
    steps: str | None = None

    @property
    def given(self) -> bool:
        """Whether there are sequences."""
        return self.source is not None

    @property
    def read_from(self) -> Sequence[Any]:
        """What was handed over."""
        return (self.source, self.lengths)

    def read(
        self, entries: Mapping[str, Entry], *, say: Say, batch_size: int | None = None, at_least: int = AT_LEAST
    ) -> tuple[Batch, ...]:
        """The input, as a network takes it; see `Source`."""
        return inputs.read(
            self.source,
            entries,
            say=lambda line: say([line]),
            lengths=self.lengths,
            time_major=self.time_major,
            vocabulary=self.vocabulary,
            by=self.by,
            select=self.select,
            steps=self.steps,
            batch_size=batch_size,
            at_least=at_least,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Files that the user names, and how they are read.

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

    @property
    def given(self) -> bool:
        """Whether there are sequences; what is fed may be all."""
        return bool(self.inputs)

    def read(
        self, entries: Mapping[str, Entry], *, say: Say, batch_size: int | None = None, at_least: int = AT_LEAST
    ) -> tuple[Batch, ...]:
        """The input, as a network takes it; see `Source`.

        Raises:
            BadInput: as `rnnprobe.inputs.read`; names that are none of the network's inputs.
        """
        if not self.inputs:
            raise BadInput("nothing to run over: --input FILE gives the sequences")
        several = len(self.inputs) > 1 and not any(_is_named(one) for one in self.inputs)
        return inputs.read(
            list(self.inputs) if several else _for(self.inputs, "--input", list(entries)),
            entries,
            say=lambda line: say([line]),
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


def _tokens(given: str | Mapping[str, str]) -> Vocabulary | dict[str, Vocabulary]:
    """The vocabulary in a FILE, or in that of each input."""
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
