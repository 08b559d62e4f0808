"""The user's sequences → batches.

`READERS` is the registry: a way of storing sequences is one file here and one name in it. Standard input and suffixes
that none of them claims are told by their first bytes, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.inputs import choosing, files, memory, states, together, vocabulary
from rnnprobe.inputs.batching import AT_LEAST, AT_LEAST_WIDE
from rnnprobe.inputs.collection import ASIDE
from rnnprobe.inputs.file import File, locate
from rnnprobe.inputs.files import Part
from rnnprobe.inputs.found import Reader, Request
from rnnprobe.inputs.hdf5 import HDF5
from rnnprobe.inputs.heap import Heap
from rnnprobe.inputs.lines import JSONL
from rnnprobe.inputs.named import Fields, inside, located, quoted
from rnnprobe.inputs.npy import NPY
from rnnprobe.inputs.npz import NPZ
from rnnprobe.inputs.table import CSV
from rnnprobe.inputs.text import BY, TXT
from rnnprobe.inputs.vocabulary import Vocabulary as Tokens  # `vocabulary` is the argument and the module
from rnnprobe.types import Batch, Entry

READERS: tuple[Reader, ...] = (NPY, NPZ, HDF5, JSONL, CSV, TXT)

_HEAD = 4096


def read(
    source: object,
    entries: Mapping[str, Entry],
    *,
    say: Callable[[str], None],
    lengths: str | Path | Sequence[int] | Mapping[str, Any] | Any = None,
    time_major: bool = False,
    vocabulary: Tokens | Mapping[str, Tokens] | None = None,
    by: str = "char",
    unknown: str | int | None = None,
    select: str | int | Sequence[int | str] | None = None,
    steps: str | slice | None = None,
    batch_size: int | None = None,
    at_least: int = AT_LEAST,
    input_format: str | None = None,
) -> tuple[Batch, ...]:
    """The sequences of `source`, none loaded, in batches.

    Floats are `[batch, time, *shape]`, without the first axis one sequence; where ids mean something, integers are ids
    `[batch, time]`, of rank 1 one sequence. In front of an embedding, floats of rank 1 or 2 that are all whole are ids
    too. Sequences may differ in length. Every id and every float is checked: before anything runs up to
    `rnnprobe.inputs.batching.CHECKED_AT_ONCE` bytes, and as it is loaded beyond.

    A network of several inputs takes a sequence of each, number by number. The batches are those of the first, the
    others stand in their `beside`.

    Args:
        source: a path, `file.npz:key`, `file.h5:/path`, `-` for standard input; a glob or a list of paths and globs,
            whose files are read one after another; or arrays, a list of arrays (each a sequence), or a mapping with
            `x` or `ids`, `lengths` and `names`. For several inputs: a mapping of an
            input's name to such a source, or a `.npz`, HDF5 or `.jsonl` whose arrays or fields are named so; with
            `NAME_lengths`, or `lengths` and `names` for all. A name may be an input's last component, or in another
            case, where that leaves no choice.
        entries: what the network takes as each of its inputs, the main one first.
        say: takes a line for the user: conversions, what was left out, the first NaN.
        lengths: of the sequences, where the array is padded: numbers, or a file of them; for every input whose steps
            are not fixed, or a mapping of an input's name to its own.
        time_major: arrays of several sequences are `[time, batch, …]`.
        vocabulary: turns text and tokens into ids, and names the ids of other input; one for all, or a mapping of an
            input's name to its own.
        by: what a token and what a sequence of text is (`rnnprobe.inputs.text`).
        unknown: the token or id for what the vocabulary lacks; without it, that is an error.
        select: the sequences to take: `3`, `0:10`, `1,5,7`, or names.
        steps: the steps of each to take, `A:B`.
        batch_size: sequences in a batch, at most; None: what fits their lengths.
        at_least: sequences in a batch where that is chosen here; wide layers want more.
        input_format: the name of a reader, where neither suffix nor content tells.

    Raises:
        BadInput: no such file; a damaged one; wrong rank, shape or number of steps; an id outside of the vocabulary; no
            sequence; an input that is missing, or has another number of sequences.
        Refused: the file holds Python objects, or leads into other files.
        OutOfResources: it would have to be kept in memory and is too large.
    """
    if batch_size is not None and batch_size < 1:
        raise BadInput(f"a batch of {batch_size} sequences; expected at least 1")
    vocabularies = _vocabularies(vocabulary, entries)
    requests, heap = {}, Heap()
    for name, entry in entries.items():
        speaker = together.speaker(say, name, len(entries))
        tokens = together.limited(vocabularies.get(name), entry, speaker, len(entries))
        axes, ids, fixed = len(entry.shape), bool(entry.vocabulary), len(entries) > 1 and entry.steps is not None
        requests[name] = Request(speaker, tokens, by, _unknown(unknown, tokens), name, axes, ids, fixed, heap)
    given = together.lengths(lengths, entries)
    inputs = [
        together.fit(name, parts, entries[name], given.get(name), time_major, requests[name], len(entries))
        for name, parts in _each(source, requests, input_format).items()
    ]
    together.check(inputs)
    with located(inputs[0].path):
        rows = choosing.rows(select, together.names(inputs))
    return together.batches(inputs, rows, steps, batch_size, at_least)


def _vocabularies(given: Tokens | Mapping[str, Tokens] | None, names: Mapping[str, Entry]) -> dict[str, Tokens]:
    """Input → its vocabulary."""
    if given is None:
        return {}
    return together.by_name(given, names, "vocabularies") if isinstance(given, Mapping) else dict.fromkeys(names, given)


def _each(source: object, requests: Mapping[str, Request], input_format: str | None) -> dict[str, list[Part]]:
    """What is there for each input."""
    if isinstance(source, Mapping) and (len(requests) > 1 or _sources(source)):
        return _mapping({str(name): value for name, value in source.items()}, requests, input_format)
    if len(requests) == 1:
        name, request = next(iter(requests.items()))
        return {name: _found(source, request, input_format)}
    many = files.expand(source)
    if many is not None:
        return _of_all(many, requests, input_format)
    if not isinstance(source, str | Path):
        raise BadInput(
            f"one {type(source).__name__} was given; the network takes {quoted(requests)}",
            hint="{" + ", ".join(f"{name!r}: …" for name in requests) + "}",
        )
    return {name: [part] for name, part in _several(source, requests, input_format).items()}


def _of_all(many: Sequence[str], requests: Mapping[str, Request], input_format: str | None) -> dict[str, list[Part]]:
    """What several files hold for each of several inputs."""
    result: dict[str, list[Part]] = {name: [] for name in requests}
    with ExitStack() as stack:
        voices = {name: stack.enter_context(files.chorus(request.say)) for name, request in requests.items()}
        for source, label in zip(many, files.labels(many), strict=True):
            asked = {name: replace(request, say=voices[name].of(source)) for name, request in requests.items()}
            for name, part in _several(source, asked, input_format).items():
                result[name].append(replace(part, label=label))
    return result


def _several(source: str | Path, requests: Mapping[str, Request], input_format: str | None) -> dict[str, Part]:
    """What one file holds for each of several inputs."""
    file, reader = _opened(source, input_format)
    if reader.several is None:
        raise file.bad(
            f"holds one input; the network takes {quoted(requests)}",
            hint="give a file for each under its name, or one .npz, HDF5 or .jsonl with all of them",
        )
    with located(file.path):
        return {name: Part(found, file.path) for name, found in reader.several(file, requests).items()}


def _sources(source: Mapping[Any, object]) -> bool:
    """Whether a mapping holds sources by the names of inputs, and not the arrays of one input."""
    values = [value for name, value in source.items() if name not in ASIDE]
    return any(isinstance(value, str | Path | Mapping) or files.listed(value) for value in values)


def _mapping(
    source: Mapping[str, object], requests: Mapping[str, Request], input_format: str | None
) -> dict[str, list[Part]]:
    shared = {name: value for name, value in source.items() if name in ASIDE and name not in requests}
    try:
        fields = Fields.of([name for name in source if name not in shared], requests)
    except BadInput as exc:
        raise BadInput(f"the mapping {exc.message}", hint=exc.hint) from exc
    result = {}
    for name, request in requests.items():
        with inside(name, len(requests)):
            parts = _found(source[fields.keys[name]], request, input_format)
            common = None if request.fixed else shared.get("lengths")
            lengths = source[fields.lengths[name]] if name in fields.lengths else common
            names: Any = shared.get("names")
            if parts[0].label and (lengths is not None or names is not None):
                raise BadInput(
                    "lengths or names stand beside several files; each file holds its own",
                    hint="the lengths of all are given apart: lengths=…, --lengths FILE",
                )
            found = parts[0].found
            if lengths is not None and (name in fields.lengths or found.lengths is None):
                found = replace(found, lengths=choosing.lengths(lengths))
            if names is not None and found.names is None:
                found = replace(found, names=tuple(map(str, names)))
        result[name] = [replace(parts[0], found=found), *parts[1:]]
    return result


def _found(source: object, request: Request, input_format: str | None) -> list[Part]:
    """What the readers of `source` found."""
    many = files.expand(source)
    if many is None:
        return [_one(source, request, input_format)]
    with files.chorus(request.say) as voices:
        return [
            replace(_one(file, replace(request, say=voices.of(file)), input_format), label=label)
            for file, label in zip(many, files.labels(many), strict=True)
        ]


def _one(source: object, request: Request, input_format: str | None) -> Part:
    """What the reader of one file, or of what is in memory, found."""
    if not isinstance(source, str | Path):
        return Part(memory.read(source, request), None)
    file, reader = _opened(source, input_format)
    with located(file.path):
        return Part(reader.read(file, request), file.path)


def _opened(source: str | Path, input_format: str | None) -> tuple[File, Reader]:
    """The file and who reads it."""
    file = locate(source)
    if not file.size:
        raise file.bad("is empty")
    return file, _reader(file, input_format)


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


__all__ = ["AT_LEAST", "AT_LEAST_WIDE", "BY", "READERS", "read", "states", "vocabulary"]
