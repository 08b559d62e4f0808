"""`.txt`: text, turned into ids by a vocabulary, which are kept at one to four bytes a token.

`by` says what a token and what a sequence is:

    char        each character is a token, line breaks too; the whole file is one sequence, as char-rnns read it
    word        each word (what white space parts) is a token; the whole file is one sequence. A line break is a token
                where the vocabulary has one for it: a line break itself, or `<eos>` where the text has none written
    line        each line is a sequence of characters, its line break left out
    line-word   each line is a sequence of words

Blank lines are left out, and that is said; a line's sequence is named by its number, `line 3`. The text is UTF-8. Where
the vocabulary has no carriage return, `\\r\\n` is read as `\\n`.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Reader, Request
from rnnprobe.inputs.names import Counted
from rnnprobe.inputs.rows import Rows, joined
from rnnprobe.inputs.vocabulary import Vocabulary
from rnnprobe.types import Array

BY = ("char", "word", "line", "line-word")
_CHUNK = 1 << 20  # bytes
_WORD_LIMIT = 1 << 20  # characters of one word
_UNKNOWN = ("<unk>", "<UNK>", "[UNK]", "UNK", "unk", "_UNK", "<oov>", "<OOV>", "<unknown>")
_SHOWN = 8
_NOWHERE = np.empty(0, np.intp)
LINE = "line "
"""What stands before the number of a line in the name of its sequence."""

Ids = NDArray[np.int32]


def read(file: File, request: Request) -> Found:
    """The text as ids."""
    vocabulary = _vocabulary(request, file)
    encoder = _Encoder(file, request, vocabulary)
    by_line = request.by.startswith("line")
    if encoder.words and not by_line:
        encoder.eol = _end_of_line(file, request, vocabulary)
    values = Rows(request.heap)
    lengths: list[NDArray[np.int64]] = []
    begun = 0  # tokens of the line that has not ended
    dtype = np.min_scalar_type(max(len(vocabulary.tokens) - 1, 0))
    for text in _chunks(file, encoder, keep_cr="\r" in vocabulary.ids and not by_line):
        ids, breaks = encoder.encode(text)
        values.add(ids.astype(dtype))
        if len(breaks):
            counts = np.diff(breaks, prepend=0)
            counts[0] += begun
            lengths.append(counts)
        begun = len(ids) - int(breaks[-1]) if len(breaks) else begun + len(ids)
    encoder.finish()
    if not len(values):
        raise file.bad("holds no token")
    if not by_line:
        lengths = [np.array([len(values)], np.int64)]
        return Found(joined(values.read, (), values.dtype, lengths[0]), text=True)
    if begun:  # what follows the last line break is no line where there is nothing
        lengths.append(np.array([begun], np.int64))
    return _lines(file, request, values, np.concatenate(lengths))


def _lines(file: File, request: Request, values: Rows, lengths: NDArray[np.int64]) -> Found:
    """A sequence a line, the blank ones left out."""
    numbers = np.flatnonzero(lengths) + 1
    blank = len(lengths) - len(numbers)
    if blank:
        first = int(np.argmin(lengths)) + 1
        request.say(f"{file.path}: blank lines are left out: {blank}, the first is line {first}")
        lengths = lengths[lengths > 0]
    return Found(joined(values.read, (), values.dtype, lengths), Counted(numbers, LINE), text=True)


def _end_of_line(file: File, request: Request, vocabulary: Vocabulary) -> str:
    """The token for a line break, or empty."""
    token = next((token for token in ("\n", "<eos>") if token in vocabulary.ids), "")
    if token == "<eos>" and b"<eos>" in file.head(_CHUNK):
        return ""
    if token:
        request.say(f"{file.path}: the vocabulary has {token!r}: each line break is that token")
    return token


def encode(text: str, request: Request, file: File, where: str) -> Array:
    """One text as ids, `[tokens]`: characters or words, as `request.by` says."""
    vocabulary = _vocabulary(request, file)
    encoder = _Encoder(file, request, vocabulary, where)
    encoder.by_line = False
    ids, _ = encoder.encode(text)
    encoder.finish()
    return ids


def tokens_to_ids(tokens: Sequence[str], request: Request, file: File, where: str) -> Array:
    """Tokens as ids, `[tokens]`."""
    vocabulary = _vocabulary(request, file)
    encoder = _Encoder(file, request, vocabulary, where)
    ids = np.array([vocabulary.ids.get(token, -1) for token in tokens], np.int32)
    for step in np.flatnonzero(ids < 0).tolist():
        encoder.note(tokens[step], f"{where}, step {step}")
    encoder.finish()
    return encoder.fill(ids)


def _vocabulary(request: Request, file: File) -> Vocabulary:
    if request.by not in BY:
        raise BadInput(f"--by {request.by} is not known; expected one of {', '.join(BY)}")
    if not request.ids:
        raise file.bad("is text, which becomes ids; the network takes floats there")
    if request.vocabulary is None:
        raise file.bad(
            "is text, which needs a vocabulary to become ids",
            hint="--vocab FILE gives one; a text file of numbers is read with --input-format csv",
        )
    return request.vocabulary


@lru_cache(maxsize=4)
def _table(vocabulary: Vocabulary) -> Ids:
    """Code point → id, −1 where the vocabulary has no such character."""
    table = np.full(0x110000, -1, np.int32)
    for token, number in vocabulary.ids.items():
        if len(token) == 1:
            table[ord(token)] = number
    return table


class _Encoder:
    """Text → ids, keeping account of lines, columns and what the vocabulary lacks."""

    def __init__(self, file: File, request: Request, vocabulary: Vocabulary, where: str = "") -> None:
        self.file = file
        self.request = request
        self.vocabulary = vocabulary
        self.where = where
        self.words = request.by.endswith("word")
        self.by_line = request.by.startswith("line")
        self.missing: Counter[str] = Counter()
        self.first = ""
        self.line, self.column = 1, 1
        self.eol = ""

    def encode(self, text: str) -> tuple[Ids, NDArray[np.intp]]:
        """The ids of a stretch of text, and before which of them a line ends, where lines are sequences."""
        ids, breaks = self._words(text) if self.words else self._chars(text)
        end = text.rfind("\n")
        self.line += text.count("\n")
        self.column = len(text) - end if end >= 0 else self.column + len(text)
        return self.fill(ids), breaks

    def fill(self, ids: Ids) -> Ids:
        """`ids` with what is missing made the unknown token."""
        if self.missing and self.request.unknown is not None:
            ids = np.where(ids < 0, np.int32(self.request.unknown), ids)
        return ids

    def note(self, token: str, place: str, count: int = 1) -> None:
        """Takes down a token that the vocabulary lacks; where another stands for it, that there was one."""
        self.first = self.first or place
        self.missing[token if self.request.unknown is None else ""] += count

    def _chars(self, text: str) -> tuple[Ids, NDArray[np.intp]]:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        ids = _table(self.vocabulary)[codes]
        ends = np.flatnonzero(codes == 10) if self.by_line else _NOWHERE
        ids[ends] = 0
        if (ids < 0).any():
            bad = np.flatnonzero(ids < 0)
            values, counts = np.unique(codes[bad], return_counts=True)
            first = int(bad[0])
            self.note(text[first], self._place(text, first), 0)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                self.note(chr(value), "", count)
        return _without(ids, ends)

    def _words(self, text: str) -> tuple[Ids, NDArray[np.intp]]:
        ids_of = self.vocabulary.ids
        words = re.findall(r"\S+|\n" if self.by_line or self.eol else r"\S+", text)
        if self.eol:
            words = [self.eol if word == "\n" else word for word in words]
        ids = np.array([ids_of.get(word, -1) for word in words], np.int32)
        ends = np.array([index for index, word in enumerate(words) if word == "\n"] if self.by_line else [], np.intp)
        ids[ends] = 0
        bad = np.flatnonzero(ids < 0)
        if len(bad):
            word = words[bad[0]]
            found = re.search(rf"(?<!\S){re.escape(word)}(?!\S)", text)
            self.note(word, self._place(text, found.start() if found else 0), 0)
            if self.request.unknown is None:
                self.missing.update(words[index] for index in bad.tolist())
            else:
                self.note("", "", len(bad))
        return _without(ids, ends)

    def _place(self, text: str, index: int) -> str:
        if self.where:
            return f"{self.where}, character {index}"
        before = text.rfind("\n", 0, index)
        line = self.line + text.count("\n", 0, index)
        column = index - before if before >= 0 else self.column + index
        return f"line {line}, column {column}"

    def finish(self) -> None:
        """Raises `BadInput` for what the vocabulary lacks, or says what became of it."""
        if not self.missing:
            return
        total = self.missing.total()
        if self.request.unknown is None:
            self._refuse(total)
        token = self.vocabulary.tokens[self.request.unknown]
        self.request.say(
            f"{self.file.path}: {total} token{'s' * (total != 1)} that the vocabulary lacks became {token!r}, "
            f"the first at {self.first}"
        )

    def _refuse(self, total: int) -> NoReturn:
        tokens = list(self.missing)
        others = ", ".join(repr(token[:40]) for token in tokens[1:_SHOWN])
        more = f", nor {len(tokens) - 1} more: {others}{', …' * (len(tokens) > _SHOWN)}" if len(tokens) > 1 else ""
        places = f"; {total} places in all" if total > 1 else ""
        hints = []
        if all(token.lower() in self.vocabulary.ids for token in tokens):
            hints.append("in lower case, the vocabulary has them all")
        if self.words and max(map(len, self.vocabulary.ids)) == 1:
            hints.append("the vocabulary holds characters: --by char")
        known = [token for token in _UNKNOWN if token in self.vocabulary.ids]
        lengths = sorted(map(len, self.vocabulary.ids))
        if not self.words and lengths[len(lengths) // 2] > 1:
            hints.append("the vocabulary holds words: --by word, or --by line-word")
        hints.append(f"--unknown {shlex.quote(known[0]) if known else 'TOKEN'} reads such tokens as that one")
        raise self.file.bad(
            f"the vocabulary has no {tokens[0][:40]!r} ({self.first}){more}{places}", hint="; ".join(hints)
        )


def _without(ids: Ids, ends: NDArray[np.intp]) -> tuple[Ids, NDArray[np.intp]]:
    """The ids that are no line breaks, and before which of them a line ends."""
    return (np.delete(ids, ends), ends - np.arange(len(ends))) if len(ends) else (ids, ends)


def _chunks(file: File, encoder: _Encoder, keep_cr: bool) -> Iterator[str]:
    """The text in pieces, `\\r\\n` made `\\n`; a piece ends behind white space where tokens are words."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    held = ""
    translated = begun = False
    with file.open() as stream:
        while True:
            data = stream.read(_CHUNK)
            waiting = len(decoder.getstate()[0])
            try:
                text = held + decoder.decode(data, not data)
            except UnicodeDecodeError as exc:
                raise file.bad(
                    f"is no UTF-8 text: {exc.reason} at byte {done - waiting + exc.start}",
                    hint="iconv -t UTF-8 rewrites it",
                ) from exc
            if text and not begun:
                begun = True
                text = text.removeprefix("\ufeff")
            done += len(data)
            held = ""
            if data and not keep_cr and text.endswith("\r"):
                text, held = text[:-1], "\r"
            if not keep_cr and "\r\n" in text:
                translated = True
                text = text.replace("\r\n", "\n")
            if data and encoder.words:
                cut = max(map(text.rfind, " \n\t")) + 1
                text, held = text[:cut], text[cut:] + held
                if len(held) > _WORD_LIMIT:
                    raise file.bad(f"line {encoder.line} holds a word of more than {_WORD_LIMIT} characters")
            if text:
                yield text
            if not data:
                break
    if translated and not (encoder.by_line or encoder.words):
        encoder.request.say(f"{file.path}: \\r\\n is read as \\n, since the vocabulary has no \\r")


TXT = Reader("txt", (".txt", ".text"), lambda head: b"\0" not in head, read)
