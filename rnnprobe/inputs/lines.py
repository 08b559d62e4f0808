"""`.jsonl`: a line a sequence; its numbers are kept as they are stored.

A line is a list of ids (or of numbers, for a network whose steps are one number), a list of steps (each a list of
numbers, nested where a step has several axes), a list of tokens, a text, or an object with one of these under `ids`,
`x`, `tokens` or `text`, and with `length` and `name` where there is more to say. For a network of several inputs it is
an object with one of these under the name of each. All lines are of one kind. Blank lines count for nothing.
"""

from __future__ import annotations

import json
from array import array as integers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnprobe.errors import BadInput
from rnnprobe.inputs.file import File
from rnnprobe.inputs.found import Found, Reader, Request, within
from rnnprobe.inputs.named import Fields, inside
from rnnprobe.inputs.rows import Rows, joined
from rnnprobe.inputs.text import encode, tokens_to_ids
from rnnprobe.types import Array

KINDS = ("ids", "x", "tokens", "text")
_AXES = 8  # of a step


@dataclass(slots=True)
class _Lines:
    """What was read so far."""

    file: File
    request: Request
    values: Rows
    numbers: integers[int] = field(default_factory=lambda: integers("q"))
    steps: integers[int] = field(default_factory=lambda: integers("q"))
    lengths: integers[int] = field(default_factory=lambda: integers("q"))
    names: list[str] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    kind: str = ""


def read(file: File, request: Request) -> Found:
    """The sequences."""
    lines = _Lines(file, request, Rows(request.heap))
    for number, value in _values(file):
        _take(lines, value, number)
    return _found(lines)


def several(file: File, requests: Mapping[str, Request]) -> dict[str, Found]:
    """What the lines hold for each input, in fields of its name; `name` and `length` count for all."""
    lines = {name: _Lines(file, request, Rows(request.heap)) for name, request in requests.items()}
    for number, value in _values(file):
        if not isinstance(value, dict):
            raise file.bad(
                f"line {number} holds {_type(value)}; expected an object with a field for each of {', '.join(lines)}"
            )
        own = {key: item for key, item in value.items() if key not in ("name", "length") or key in requests}
        try:
            fields = Fields.of(own, requests)
        except BadInput as exc:
            raise file.bad(f"line {number} {exc.message}", hint=exc.hint) from exc
        for name, key in fields.keys.items():
            title = None if "name" in requests else value.get("name")
            common = None if "length" in requests or requests[name].fixed else value.get("length")
            length = value[fields.lengths[name]] if name in fields.lengths else common
            with inside(name):
                _add(lines[name], "", value[key], title, length, number)
    result = {}
    for name, each in lines.items():
        with inside(name):
            result[name] = _found(each)
    return result


def _values(file: File) -> Iterator[tuple[int, Any]]:
    """The lines that are not blank, counted from 1."""
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    with file.buffered() as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, _parse(file, decoder, line, number)


def _found(lines: _Lines) -> Found:
    """What all lines give."""
    file, request = lines.file, lines.request
    if not lines.numbers:
        raise file.bad("holds no line with a sequence")
    if lines.ignored:
        request.say(f"{file.path}: fields not read: {', '.join(sorted(lines.ignored))}")
    if len(set(lines.names)) < len(lines.names):
        name = next(name for index, name in enumerate(lines.names) if name in lines.names[:index])
        raise file.bad(f"two sequences are named {name!r}")

    def place(row: int, step: int, position: tuple[int, ...]) -> str:
        return f"line {lines.numbers[row]}, step {step}{within(position)}"

    values = lines.values
    return Found(
        joined(values.read, values.shape, values.dtype, np.array(lines.steps, np.int64)),
        tuple(lines.names) or None,
        np.array(lines.lengths, np.int64) if lines.lengths else None,
        written=lines.kind in ("numbers", "steps"),
        text=lines.kind == "tokens",
        place=place,
    )


class _Twice(ValueError):
    """An object gives a field twice."""


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise _Twice
    return found


def _parse(file: File, decoder: json.JSONDecoder, line: bytes, number: int) -> Any:
    try:
        return decoder.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except _Twice as exc:
        raise file.bad(f"line {number} gives a field twice") from exc
    except UnicodeDecodeError as exc:
        raise file.bad(f"line {number} is no UTF-8 text: {exc.reason} at byte {exc.start}") from exc
    except RecursionError as exc:
        raise file.bad(f"line {number} is nested too deeply") from exc
    except ValueError as exc:  # JSONDecodeError, and integers of thousands of digits
        raise file.bad(f"line {number} is no JSON: {exc}", hint="expected a sequence a line") from exc


def _take(lines: _Lines, value: Any, number: int) -> None:
    """One line of a file for one input."""
    given = ""
    name = length = None
    if isinstance(value, dict):
        keys = [key for key in KINDS if key in value]
        own = [key for key in lines.request.names if key in value and key not in ("name", "length")]
        if not keys and own:
            return _take_own(lines, value, own[0], number)
        if len(keys) != 1:
            what = f"holds {' and '.join(keys)}" if keys else f"has the fields {', '.join(list(value)[:12]) or 'none'}"
            raise lines.file.bad(f"line {number} {what}; expected one of {', '.join(KINDS)}")
        given = keys[0]
        name, length = value.get("name"), value.get("length")
        lines.ignored |= value.keys() - {given, "name", "length"}
        value = value[given]
    _add(lines, given, value, name, length, number)


def _take_own(lines: _Lines, value: dict[str, Any], key: str, number: int) -> None:
    """One object that holds the sequence under the name of the network's input."""
    lines.ignored |= value.keys() - {key, "name", "length"}
    _add(lines, "", value[key], value.get("name"), value.get("length"), number)


def _add(lines: _Lines, given: str, value: Any, name: Any, length: Any, number: int) -> None:
    """One sequence."""
    file = lines.file
    kind, array = _array(lines, value, given, number)
    lines.kind = lines.kind or kind
    if kind != lines.kind or (lines.numbers and array.shape[1:] != lines.values.shape):
        raise file.bad(
            f"line {number} holds {_words(kind, array.shape[1:])}; expected {_words(lines.kind, lines.values.shape)}, "
            f"as in line {lines.numbers[0]}"
        )
    if not len(array):  # a text of white space, by words
        raise file.bad(f"line {number} holds no step")
    for word, item, before in (("name", name, lines.names), ("length", length, lines.lengths)):
        if lines.numbers and (item is None) == bool(before):
            raise file.bad(f"line {number} {'lacks' if item is None else 'has'} a {word}, unlike those before")
    if name is not None:
        lines.names.append(_name(file, name, number))
    if length is not None:
        if type(length) is not int or not 0 <= length <= len(array):
            raise file.bad(f"line {number} has the length {length!r}; expected at most its {len(array)} steps")
        lines.lengths.append(length)
    lines.values.add(array)
    lines.steps.append(len(array))
    lines.numbers.append(number)


def _name(file: File, name: Any, number: int) -> str:
    if type(name) not in (str, int):
        raise file.bad(f"line {number} has the name {name!r}; expected a text")
    return str(name)


def _words(kind: str, shape: tuple[int, ...]) -> str:
    if kind != "steps":
        return kind
    return f"steps of {shape[0]} numbers" if len(shape) == 1 else f"steps {list(shape)}"


def _array(lines: _Lines, value: Any, given: str, number: int) -> tuple[str, Array]:
    """The kind (`ids`, `numbers`, `steps`, `tokens`) and the array of a line."""
    file, where = lines.file, f"line {number}"
    if value == [] or value == "":
        raise file.bad(f"{where} holds no step")
    if isinstance(value, str) and given in ("", "text"):
        return "tokens", encode(value, lines.request, file, where)
    if not isinstance(value, list) or given == "text":
        raise file.bad(f"{where} holds {_type(value)}; expected {'a text' if given == 'text' else 'a list'}")
    types = set(map(type, value))
    if types == {str} and given in ("", "tokens"):
        return "tokens", tokens_to_ids(value, lines.request, file, where)
    if types == {list} and given in ("", "x"):
        return "steps", _steps(file, value, where)
    if given == "tokens" or not types <= {int, float} or (given == "ids" and float in types):
        kinds: dict[str, set[type]] = {"tokens": {str}, "ids": {int}}
        wanted = kinds.get(given, {list} if list in types else {int, float})
        step, item = next((step, item) for step, item in enumerate(value) if type(item) not in wanted)
        raise file.bad(f"{where}, step {step} holds {_type(item)}; expected {_expected(given, types)}")
    return ("ids" if given == "ids" else "numbers"), _numbers(file, value, where)


def _expected(given: str, types: set[type]) -> str:
    if given == "tokens":
        return "a token"
    if given == "ids":
        return "an id, a whole number"
    return "a list of numbers, as in the other steps" if list in types else "a number"


def _steps(file: File, rows: list[list[Any]], where: str) -> Array:
    """Steps of the shape of the first."""
    shape: list[int] = []
    item: Any = rows[0]
    while isinstance(item, list):
        shape.append(len(item))
        item = item[0] if item else None
    if len(shape) > _AXES:
        raise file.bad(f"{where} holds steps of {len(shape)} axes; expected at most {_AXES}")
    for step, row in enumerate(rows):
        _check_step(file, row, shape, f"{where}, step {step}", ())
    try:
        return np.array(rows, np.float64)
    except OverflowError as exc:
        raise file.bad(f"{where} holds an integer that is too large for a float") from exc


def _check_step(file: File, items: list[Any], shape: list[int], where: str, position: tuple[int, ...]) -> None:
    """Refuses a step, or what lies at `position` in it, that is not of the shape of the first."""
    if len(items) != shape[0]:
        at = f" at {list(position)}" if position else ""
        what = "lists" if len(shape) > 1 else "numbers"
        raise file.bad(f"{where} has {len(items)} {what}{at}; expected {shape[0]}, as in step 0")
    kinds = {list} if len(shape) > 1 else {int, float}
    if not set(map(type, items)) <= kinds:
        index, item = next((index, item) for index, item in enumerate(items) if type(item) not in kinds)
        expected = f"a list of {shape[1]}, as in step 0" if len(shape) > 1 else "a number"
        raise file.bad(f"{where}{within((*position, index))} holds {_type(item)}; expected {expected}")
    for index, item in enumerate(items if len(shape) > 1 else ()):
        _check_step(file, item, shape[1:], where, (*position, index))


def _numbers(file: File, values: list[Any], where: str) -> Array:
    """Integers where all are, else floats."""
    floats = float in set(map(type, values))
    try:
        return np.array(values, np.float64 if floats else np.int64)
    except OverflowError as exc:
        step = next(step for step, item in enumerate(values) if not -(2**63) <= item < 2**63)
        raise file.bad(f"{where}, step {step} holds {values[step]}, which is too large a number") from exc


def _type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}
    return names[type(value)] + (f" ({value[:20]!r})" if isinstance(value, str) else "")


JSONL = Reader("jsonl", (".jsonl", ".ndjson"), lambda head: head.lstrip()[:1] in (b"[", b"{"), read, several)
