"""A vocabulary: which token has which id.

    .txt    a token a line, the first is id 0, as TensorFlow and Keras write it. A line that is exactly `\\n`, `\\t`,
            `\\r`, `\\s` or `\\\\` stands for a line break, a tab, a carriage return, a space or a backslash. A line
            break written as it is makes two empty lines, and is read as such; a single empty line is the empty token,
            which no text holds (Keras keeps id 0 for padding so); an empty line at the end is none.
    .json   `{token: id}`, `{id: token}`, a list of tokens, a Keras tokenizer (`to_json`), or several that agree.
    .pkl    the same, read without running anything (`rnnprobe.inputs.pickles`).

Ids need not start at 0 (Keras' `word_index` starts at 1): an id without a token shows as `<id 0>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput, OutOfResources, Refused
from rnnprobe.inputs import pickles
from rnnprobe.inputs.file import locate

SIZE_LIMIT = 1 << 28
"""Bytes of a vocabulary file, which is read whole."""

_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\s": " ", "\\\\": "\\"}
_SHOWN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Tokens and ids.

    Attributes:
        tokens: by id; `<id 7>` where id 7 has no token.
        ids: by token.
    """

    tokens: tuple[str, ...]
    ids: Mapping[str, int]

    def up_to(self, count: int) -> Vocabulary:
        """Only the ids below `count`."""
        return Vocabulary(self.tokens[:count], {token: number for token, number in self.ids.items() if number < count})


def read(path: str | Path) -> Vocabulary:
    """The vocabulary in a file.

    Raises:
        BadInput: there is none in it.
        Refused: a pickle that would have to run something.
        OutOfResources: the file is larger than `SIZE_LIMIT`.
    """
    file = locate(path)
    if file.size > SIZE_LIMIT:
        raise OutOfResources(f"has {file.size} bytes; the limit for a vocabulary is {SIZE_LIMIT}", path=file.path)
    data = file.head(file.size)
    try:
        if file.suffix == ".json":
            vocabulary = _found(_json(data), "the JSON")
        elif file.suffix in (".pkl", ".pickle", ".p") or data.startswith(b"\x80"):
            vocabulary = _found(pickles.loads(data), "the pickle")
        else:
            vocabulary = _lines(_decode(data))
    except BadInput as exc:
        raise BadInput(exc.message, path=file.path, hint=exc.hint) from exc
    except Refused as exc:
        raise Refused(exc.message, path=file.path, hint=exc.hint) from exc
    if not vocabulary.ids:
        raise BadInput("holds no token", path=file.path)
    return vocabulary


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadInput(
            f"is no UTF-8 text: {exc.reason} at byte {exc.start}", hint="iconv -t UTF-8 rewrites it"
        ) from exc


def _lines(text: str) -> Vocabulary:
    if text and "\0" in text:
        raise BadInput("holds NUL; expected a token a line")
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if lines and all(line.endswith("\r") for line in lines):
        lines = [line[:-1] for line in lines]
    empty = [index for index, line in enumerate(lines) if not line]
    if len(empty) == 2 and empty[1] == empty[0] + 1:
        lines[empty[0] : empty[1] + 1] = ["\n"]
    elif len(empty) == 1 and empty[0] == len(lines) - 1:
        lines.pop()
    elif len(empty) > 1:
        raise BadInput(
            f"lines {', '.join(str(index + 1) for index in empty[:_SHOWN])} are empty; expected a token a line",
            hint="\\n, \\t, \\r and \\s stand for a line break, a tab, a carriage return and a space",
        )
    return _listed([_ESCAPES.get(line, line) for line in lines])


def _json(data: bytes) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(items)
        if len(seen) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for index, key in enumerate(keys) if key in keys[:index])
            raise BadInput(f"the JSON object holds {twice!r} twice")
        return seen

    try:
        return json.loads(_decode(data), object_pairs_hook=pairs)
    except RecursionError as exc:
        raise BadInput("the JSON is nested too deeply") from exc
    except ValueError as exc:
        raise BadInput(f"is no JSON: {exc}") from exc


def _found(value: Any, what: str) -> Vocabulary:
    """The vocabulary in plain containers: itself one, or a container of several that agree (`(chars, {char: id})`)."""
    tokenizer = value.get("config") if isinstance(value, dict) else None
    if isinstance(tokenizer, dict) and isinstance(tokenizer.get("word_index"), str):
        return _found(_json(tokenizer["word_index"].encode()), "the tokenizer's word_index")
    direct = _direct(value)
    if direct is not None:
        return direct
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    found = [vocabulary for part in parts if (vocabulary := _direct(part)) is not None]
    if not found:
        raise BadInput(
            f"{what} holds {_words(value)}; expected tokens and ids",
            hint="{token: id}, {id: token} or a list of tokens",
        )
    if any(other.ids != found[0].ids for other in found[1:]):
        raise BadInput(f"{what} holds {len(found)} vocabularies that differ: {_words(value)}")
    return found[0]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(repr(key)[:40] for key in list(value)[:_SHOWN])
        return f"an object with {len(value)} keys ({keys}{', …' * (len(value) > _SHOWN)})"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" + (f", the first {type(value[0]).__name__}" if value else "")
    return type(value).__name__


def _direct(value: Any) -> Vocabulary | None:
    """The vocabulary that a dict or a list is, or None where it is something else.

    Raises:
        BadInput: it is one, and can't be right.
    """
    if isinstance(value, list | tuple) and value and all(isinstance(item, str | bytes) for item in value):
        return _listed([_text(item) for item in value])
    if not isinstance(value, dict) or not value:
        return None
    if all(isinstance(key, str | bytes) and type(item) is int for key, item in value.items()):
        return _mapped([(_text(key), item) for key, item in value.items()])
    if all(_is_id(key) and isinstance(item, str | bytes) for key, item in value.items()):
        return _mapped([(_text(item), int(key)) for key, item in value.items()])
    return None


def _is_id(key: Any) -> bool:
    return type(key) is int or (isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 19)


def _text(token: str | bytes) -> str:
    """A token as text; Python 2 kept bytes, mostly UTF-8."""
    if isinstance(token, str):
        return token
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return token.decode("latin-1")


def _listed(tokens: list[str]) -> Vocabulary:
    ids: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token in ids:
            raise BadInput(f"the token {token!r} comes twice: it would be id {ids[token]} and id {number}")
        ids[token] = number
    return Vocabulary(tuple(tokens), ids)


def _mapped(pairs: list[tuple[str, int]]) -> Vocabulary:
    tokens: dict[int, str] = {}
    ids: dict[str, int] = {}
    limit = 100 * len(pairs) + 1000
    for token, number in pairs:
        if not 0 <= number < limit:
            raise BadInput(
                f"{token!r} has the id {number}; expected ids from 0, or not far above the {len(pairs)} tokens"
            )
        if number in tokens:
            raise BadInput(
                f"the tokens {tokens[number]!r} and {token!r} both have the id {number}",
                hint="if these are counts: a list of the tokens in the order of their ids is a vocabulary",
            )
        if token in ids:
            raise BadInput(f"the token {token!r} has the ids {ids[token]} and {number}")
        tokens[number] = token
        ids[token] = number
    return Vocabulary(tuple(tokens.get(number, f"<id {number}>") for number in range(max(tokens) + 1)), ids)
