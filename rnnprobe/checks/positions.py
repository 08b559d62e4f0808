"""Where the keys of a TOML text stand: the standard library reads the values and forgets their places.

The text was read by `tomllib` before, so that only valid TOML comes here (https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Key: TypeAlias = tuple[str | int, ...]
"""The way to a value: `("layer", 0, "units")`."""
Spot: TypeAlias = tuple[int, int]
"""A line and a column, both from 1 on."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}\n#]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_LETTERS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def positions(text: str) -> dict[Key, Spot]:
    """Every key and array element of a valid TOML text → where it stands; a table's is that of its header."""
    scan = _Scan(text.replace("\r\n", "\n"))
    return {key: scan.spot(at) for key, at in scan.statements()}


def nearest(spots: Mapping[Key, Spot], key: Key) -> Spot | None:
    """Where a key stands, or else what holds it; None where there is no text."""
    while key and key not in spots:
        key = key[:-1]
    return spots.get(key)


class _Scan:
    """A walk over a text, from its start to its end."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.counts: dict[Key, int] = {}

    def spot(self, at: int) -> Spot:
        line = bisect_right(self.starts, at)
        return line, at - self.starts[line - 1] + 1

    def statements(self) -> Iterator[tuple[Key, int]]:
        table: Key = ()
        while self._skip(_BLANK) < len(self.text):
            start = self.at
            if self.text[start] == "[":
                table = self._header()
                yield table, start
            else:
                key = (*table, *self._key())
                self._take("=")
                yield from ((key[:end], start) for end in range(len(table) + 1, len(key) + 1))
                yield from self._value(key)

    def _header(self) -> Key:
        """`[a.b]`, or `[[a.b]]`, which is the next element of an array."""
        repeated = self.text.startswith("[[", self.at)
        self.at += 2 if repeated else 1
        words = self._key()
        self._skip(_SPACE)
        self.at += 2 if repeated else 1
        path: Key = ()
        for number, word in enumerate(words):
            path = (*path, word)
            if repeated and number == len(words) - 1:
                self.counts[path] = self.counts.get(path, 0) + 1
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def _key(self) -> list[str]:
        words = []
        while True:
            self._skip(_SPACE)
            quoted = self.text[self.at] in "\"'"
            found = (_STRING if quoted else _BARE).match(self.text, self.at)
            if found is None:
                raise ValueError(f"no key at {self.spot(self.at)}")
            self.at = found.end()
            words.append(_plain(found[0]) if quoted else found[0])
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return words
            self.at += 1

    def _value(self, key: Key) -> Iterator[tuple[Key, int]]:
        """The places of what is in a value, which `at` is moved behind."""
        self._skip(_SPACE)
        first = self.text[self.at]
        if first == "[":
            yield from self._array(key)
        elif first == "{":
            yield from self._table(key)
        else:
            found = (_STRING if first in "\"'" else _SCALAR).match(self.text, self.at)
            self.at = found.end() if found else self.at + 1

    def _array(self, key: Key) -> Iterator[tuple[Key, int]]:
        self._take("[")
        number = 0
        while self.text[self._skip(_BLANK)] != "]":
            yield (*key, number), self.at
            yield from self._value((*key, number))
            number += 1
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self._take("]")

    def _table(self, key: Key) -> Iterator[tuple[Key, int]]:
        self._take("{")
        while self.text[self._skip(_BLANK)] != "}":
            start = self.at
            inner = (*key, *self._key())
            self._take("=")
            yield from ((inner[:end], start) for end in range(len(key) + 1, len(inner) + 1))
            yield from self._value(inner)
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self._take("}")

    def _skip(self, what: re.Pattern[str]) -> int:
        found = what.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _take(self, char: str) -> None:
        self._skip(_SPACE)
        if not self.text.startswith(char, self.at):
            raise ValueError(f"no {char!r} at {self.spot(self.at)}")
        self.at += len(char)


def _plain(quoted: str) -> str:
    """What a quoted key says."""
    if quoted[0] == "'":
        return quoted[1:-1]
    return _ESCAPE.sub(
        lambda found: chr(int(found[1] or found[2], 16)) if found[1] or found[2] else _LETTERS.get(found[3], found[3]),
        quoted[1:-1],
    )
