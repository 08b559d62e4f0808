"""The user's sequences → batches.

`READERS` is the registry: a way of storing sequences is one file here and one name in it. Standard input and suffixes
that none of them claims are told by their first bytes, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput, RnnprobeError
from rnnprobe.inputs import batching, choosing, memory, shaping, states, vocabulary
from rnnprobe.inputs.file import File, locate
from rnnprobe.inputs.found import Found, Reader, Request
from rnnprobe.inputs.hdf5 import HDF5
from rnnprobe.inputs.lines import JSONL
from rnnprobe.inputs.npy import NPY
from rnnprobe.inputs.npz import NPZ
from rnnprobe.inputs.table import CSV
from rnnprobe.inputs.text import BY, TXT
from rnnprobe.inputs.vocabulary import Vocabulary as Tokens  # `vocabulary` is the argument and the module
from rnnprobe.types import Batch, Entry

READERS: tuple[Reader, ...] = (NPY, NPZ, HDF5, JSONL, CSV, TXT)

BATCH_SIZE = 32
"""Sequences that run side by side, unless the caller says otherwise."""

_HEAD = 4096


def read(
    source: object,
    entry: Entry,
    *,
    say: Callable[[str], None],
    lengths: str | Path | Sequence[int] | Any = None,
    time_major: bool = False,
    vocabulary: Tokens | None = None,
    by: str = "char",
    unknown: str | int | None = None,
    select: str | int | Sequence[int | str] | None = None,
    steps: str | slice | None = None,
    batch_size: int = BATCH_SIZE,
    input_format: str | None = None,
) -> tuple[Batch, ...]:
    """The sequences of `source`, none loaded, in batches.

    Floats are `[batch, time, features]`, of rank 2 one sequence `[time, features]`; integers are ids `[batch, time]`,
    of rank 1 one sequence. In front of an embedding, floats of rank 1 or 2 that are all whole are ids too. Sequences
    may differ in length. Every id and every float is checked: before anything runs up to
    `rnnprobe.inputs.batching.CHECKED_AT_ONCE` bytes, and as it is loaded beyond.

    Args:
        source: a path, `file.npz:key`, `file.h5:/path`, `-` for standard input; or arrays, a list of arrays (each a
            sequence), or a mapping with `x` or `ids`, `lengths` and `names`.
        entry: what the network takes.
        say: takes a line for the user: conversions, what was left out, the first NaN.
        lengths: of the sequences, where the array is padded: numbers, or a file of them.
        time_major: arrays of several sequences are `[time, batch, …]`.
        vocabulary: turns text and tokens into ids, and names the ids of other input.
        by: what a token and what a sequence of text is (`rnnprobe.inputs.text`).
        unknown: the token or id for what the vocabulary lacks; without it, that is an error.
        select: the sequences to take: `3`, `0:10`, `1,5,7`, or names.
        steps: the steps of each to take, `A:B`.
        batch_size: sequences in a batch, at most.
        input_format: the name of a reader, where neither suffix nor content tells.

    Raises:
        BadInput: no such file; a damaged one; wrong rank or width; an id outside of the vocabulary; no sequence.
        Refused: the file holds Python objects, or leads into other files.
        OutOfResources: it would have to be kept in memory and is too large.
    """
    if batch_size < 1:
        raise BadInput(f"a batch of {batch_size} sequences; expected at least 1")
    limited = _limited(vocabulary, entry, say)
    request = Request(say, limited, by, _unknown(unknown, limited))
    given = choosing.lengths(lengths)
    found, path = _found(source, request, input_format)
    try:
        sequences = shaping.shape(found, entry, given, time_major, say)
        rows = choosing.rows(select, sequences.names)
        extent = choosing.steps(steps, int(sequences.lengths[rows].max()))
        tokens = limited.tokens if limited is not None and sequences.width is None else None
        made = batching.batches(sequences, rows, extent, batch_size, entry, tokens, say)
    except RnnprobeError as exc:
        if exc.path is None and path is not None:
            raise type(exc)(exc.message, path=path, hint=exc.hint) from exc
        raise
    if sequences.width is not None and sequences.dtype == "float64" != entry.dtype and not found.written:
        say(f"the input is float64; the network computes with {entry.dtype}, to which it is rounded")
    return made


def _found(source: object, request: Request, input_format: str | None) -> tuple[Found, str | None]:
    """What the reader of `source` found, and the path for the errors."""
    if not isinstance(source, str | Path):
        return memory.read(source, request.say), None
    file = locate(source)
    if not file.size:
        raise file.bad("is empty")
    return _reader(file, input_format).read(file, request), file.path


def _reader(file: File, name: str | None) -> Reader:
    """The reader that is named, or whose suffix the file has, or whose first bytes.

    Raises:
        BadInput: none.
    """
    if name is not None:
        for reader in READERS:
            if reader.name == name:
                return reader
        raise BadInput(f"--input-format {name!r} is not known; expected one of {', '.join(r.name for r in READERS)}")
    for reader in READERS:
        if file.suffix in reader.suffixes:
            return reader
    head = file.head(_HEAD)
    for reader in READERS:
        if reader.matches(head):
            return reader
    suffixes = ", ".join(suffix for reader in READERS for suffix in reader.suffixes)
    raise file.bad("is of no format that is read", hint=f"expected one of {suffixes}; --input-format names the format")


def _limited(vocabulary: Tokens | None, entry: Entry, say: Callable[[str], None]) -> Tokens | None:
    """The vocabulary up to the ids that the network takes."""
    if vocabulary is None or len(vocabulary.tokens) == entry.vocabulary:
        return vocabulary
    count = len(vocabulary.tokens)
    if count < entry.vocabulary:
        say(f"the vocabulary has ids 0…{count - 1}; the network takes 0…{entry.vocabulary - 1}")
        return vocabulary
    say(f"the vocabulary has ids 0…{count - 1}, the network takes 0…{entry.vocabulary - 1}: the rest counts as unknown")
    return vocabulary.up_to(entry.vocabulary)


def _unknown(unknown: str | int | None, vocabulary: Tokens | None) -> int | None:
    """The id for what the vocabulary lacks."""
    if unknown is None or vocabulary is None:
        return None
    if isinstance(unknown, str) and unknown in vocabulary.ids:
        return vocabulary.ids[unknown]
    if isinstance(unknown, int) or unknown.isdecimal():
        if 0 <= int(unknown) < len(vocabulary.tokens):
            return int(unknown)
        raise BadInput(f"--unknown {unknown} is no id of the vocabulary; it has 0…{len(vocabulary.tokens) - 1}")
    raise BadInput(f"--unknown {unknown!r} is no token of the vocabulary", hint="a token of it, or an id")


__all__ = ["BATCH_SIZE", "BY", "READERS", "read", "states", "vocabulary"]
