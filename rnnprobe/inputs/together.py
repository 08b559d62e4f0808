"""The inputs of a network, side by side: each shaped, all of one number of sequences, chosen alike and batched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs import batching, choosing, files, joining, shaping
from rnnprobe.inputs.files import Part
from rnnprobe.inputs.found import Request, Say, Sequences
from rnnprobe.inputs.named import Fields, inside, located, quoted
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Batch, Entry

One = TypeVar("One")

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Input:
    """One of the inputs, as it was found.

    Attributes:
        name: of the input.
        entry: what the network takes there.
        sequences: what it is given.
        say: takes a line for the user.
        path: the file, for the errors, or None.
        tokens: by id, where it is text or its ids have a vocabulary.
        written: the numbers were decimals in a text.
    """

    name: str
    entry: Entry
    sequences: Sequences
    say: Say
    path: str | None
    tokens: tuple[str, ...] | None
    written: bool


def speaker(say: Say, name: str, count: int) -> Say:
    """`say`, with the name of the input in front where there are several."""
    return say if count == 1 else lambda line: say(f"input {name!r}: {line}")


def by_name(given: Mapping[Any, One], inputs: Iterable[str], what: str) -> dict[str, One]:
    """What a mapping gives for the inputs, by their whole names.

    Raises:
        BadInput: it gives something for an input that there is not.
    """
    values = {str(name): value for name, value in given.items()}
    wanted = list(inputs)
    try:
        keys = Fields.of(values, wanted, partly=True).keys
    except BadInput as exc:
        raise BadInput(f"the mapping of {what} {exc.message}") from exc
    for name in values.keys() - keys.values():
        raise BadInput(f"the mapping of {what} holds {name!r}; the network takes {quoted(wanted)}")
    return {name: values[key] for name, key in keys.items()}


def limited(vocabulary: Vocabulary | None, entry: Entry, say: Say, count: int) -> Vocabulary | None:
    """The vocabulary up to the ids that one of `count` inputs takes; None where it takes none."""
    if vocabulary is None or not entry.vocabulary:
        return None
    size = len(vocabulary.tokens)
    if size == entry.vocabulary:
        return vocabulary
    if count > 1 and not entry.embedded:  # floats, most likely: the vocabulary is that of another input
        return vocabulary if size < entry.vocabulary else None
    if size < entry.vocabulary:
        say(f"the vocabulary has ids 0…{size - 1}; the network takes 0…{entry.vocabulary - 1}")
        return vocabulary
    say(f"the vocabulary has ids 0…{size - 1}, the network takes 0…{entry.vocabulary - 1}: the rest counts as unknown")
    return vocabulary.up_to(entry.vocabulary)


def lengths(
    given: str | Path | Sequence[int] | Mapping[str, Any] | Any, entries: Mapping[str, Entry]
) -> dict[str, NDArray[np.int64]]:
    """The lengths that the user gave for each input; those that are no mapping count for all whose steps are not fixed.

    Raises:
        BadInput: they are no whole numbers, or for an input that there is not.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        values = choosing.lengths(given)
        meant = [name for name, entry in entries.items() if entry.steps is None or len(entries) == 1]
        return {name: values for name in meant} if values is not None else {}
    read = {name: choosing.lengths(value) for name, value in by_name(given, entries, "lengths").items()}
    return {name: values for name, values in read.items() if values is not None}


def fit(
    name: str,
    parts: Sequence[Part],
    entry: Entry,
    given: NDArray[np.int64] | None,
    time_major: bool,
    request: Request,
    count: int,
) -> Input:
    """What was found for one of `count` inputs, as the network takes it.

    Raises:
        BadInput: it does not fit.
    """
    several = bool(parts[0].label)
    path = None if several else parts[0].path
    with located(path), inside(name, count):
        if several:
            sequences = shaping.with_lengths(_joined(parts, entry, given, time_major, request.say), given)
        else:
            sequences = shaping.shape(parts[0].found, entry, given, time_major, request.say)
    if count > 1:
        place = sequences.place
        sequences = replace(
            sequences, place=lambda row, step, position: f"{place(row, step, position)} of input {name!r}"
        )
    tokens = request.vocabulary.tokens if request.vocabulary is not None and sequences.shape is None else None
    return Input(name, entry, sequences, request.say, path, tokens, all(part.found.written for part in parts))


def _joined(
    parts: Sequence[Part], entry: Entry, given: NDArray[np.int64] | None, time_major: bool, say: Say
) -> Sequences:
    """The sequences of several files; lengths that were given for all are not those of any."""
    shaped = []
    with files.chorus(say) as voices:
        for part in parts:
            assert part.path is not None
            found = part.found if given is None else replace(part.found, lengths=None)
            with located(part.path):
                sequences = shaping.shape(found, entry, None, time_major, voices.of(part.path))
            shaped.append(joining.Shaped(part.path, part.label, sequences))
    return joining.join(shaped)


def check(inputs: Sequence[Input]) -> None:
    """Refuses inputs of different numbers of sequences, or whose own names differ."""
    main = inputs[0]
    counts = {each.name: len(each.sequences.names) for each in inputs}
    if len(set(counts.values())) > 1:
        words = [f"{name!r} has {count}" for name, count in counts.items()]
        raise BadInput(f"every input has as many sequences as the others; {', '.join(words)}")
    for each in inputs[1:]:
        if not (main.sequences.named and each.sequences.named):
            continue
        for row, (one, other) in enumerate(zip(main.sequences.names, each.sequences.names, strict=True)):
            if one != other:
                raise BadInput(
                    f"sequence {row} is {one!r} in {main.name!r} and {other!r} in {each.name!r}; "
                    "expected the same sequences in the same order"
                )


def names(inputs: Sequence[Input]) -> Sequence[str]:
    """The names of the sequences: those that some input gives, else their numbers."""
    return next((each.sequences.names for each in inputs if each.sequences.named), inputs[0].sequences.names)


def batches(
    inputs: Sequence[Input],
    rows: NDArray[np.int64],
    steps: str | slice | None,
    size: int | None,
    at_least: int,
) -> tuple[Batch, ...]:
    """The chosen sequences of the first input in batches, those of the others beside them.

    Args:
        rows: `[chosen]`, the numbers of the sequences.
        steps: as `choosing.steps` takes them.
        size: of a batch, at most; None: what fits the lengths, as `batching.fitting` says.
        at_least: for that.

    Raises:
        BadInput: an input has not the steps that the network wants of it, or an id is outside of the vocabulary.
    """
    main = inputs[0]
    if steps is not None:
        _check_alike(inputs, rows)
    made: dict[str, tuple[Batch, ...]] = {}
    groups: list[NDArray[np.int64]] = []
    for each in inputs:
        with located(each.path):
            extent = choosing.steps(steps, int(each.sequences.lengths[rows].max()))
            with inside(each.name, len(inputs)):
                _check_steps(each, rows, extent)
            sequences = replace(each.sequences, names=names(inputs))
            if each is main:
                lengths = batching.kept(sequences.lengths[rows], extent)
                groups = batching.alike(lengths, size or batching.fitting(lengths, at_least))
            made[each.name] = batching.batches(sequences, rows, extent, groups, each.entry, each.tokens, each.say)
        floats = sequences.shape is not None and sequences.dtype == "float64"
        if floats and each.entry.dtype != "float64" and not each.written:
            each.say(f"the input is float64; the network computes with {each.entry.dtype}, to which it is rounded")
    others = [each.name for each in inputs[1:]]
    return tuple(
        replace(batch, beside={name: made[name][number] for name in others})
        for number, batch in enumerate(made[main.name])
    )


def _check_alike(inputs: Sequence[Input], rows: NDArray[np.int64]) -> None:
    """Refuses `--steps` where the inputs have steps of their own."""
    main = inputs[0]
    for each in inputs[1:]:
        differ = np.flatnonzero(each.sequences.lengths[rows] != main.sequences.lengths[rows])
        for row in rows[differ[:1]]:
            raise BadInput(
                f"--steps takes the same steps of every input, but sequence {main.sequences.names[row]} has "
                f"{main.sequences.lengths[row]} steps in {main.name!r}, {each.sequences.lengths[row]} in {each.name!r}"
            )


def _check_steps(given: Input, rows: NDArray[np.int64], extent: tuple[int, int]) -> None:
    """Refuses sequences that have not the steps that the network wants."""
    wanted = given.entry.steps
    if wanted is None:
        return
    found = batching.kept(given.sequences.lengths[rows], extent)
    wrong = rows[found != wanted]
    if not len(wrong):
        return
    sizes = found[found != wanted]
    if len(sizes) == len(found) and sizes.min() == sizes.max():
        message = f"the sequences have {_count(int(sizes[0]))} each"
    else:
        pairs = zip(wrong[:_SHOWN].tolist(), sizes.tolist(), strict=False)
        listed = [f"sequence {given.sequences.names[row]} has {size}" for row, size in pairs]
        message = f"{', '.join(listed)}{', …' * (len(wrong) > _SHOWN)} of the steps"
    hint = ""
    if sizes.min() > wanted:
        hint = f"--steps 0:{wanted} takes the first"
    elif sizes.max() < wanted:
        hint = "what lies beyond a sequence's length is no step: without lengths, padding is part of the input"
    raise BadInput(f"{message}; the network takes exactly {_count(wanted)}, {shaping.axes_of(given.entry)}", hint=hint)


def _count(steps: int) -> str:
    return f"{steps} step{'s' * (steps != 1)}"
