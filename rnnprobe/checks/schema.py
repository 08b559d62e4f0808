"""What a specification may say: the JSON Schema that the package publishes, and what a document breaks of it.

`specification.schema.json` is the one place where the keys and their kinds are written down; editors read it, and the
reader validates with it. Of JSON Schema 2020-12 it uses, and `broken` knows, exactly `_KEYWORDS`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from rnnprobe.checks.positions import Key

Schema: TypeAlias = Mapping[str, Any]
Broken: TypeAlias = tuple[Key, str]
"""Where, and what is wrong there."""

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "default", "examples"})
_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_WORDS = {
    "object": "a table",
    "array": "an array",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def text() -> str:
    """The schema as it is published."""
    return (files("rnnprobe.checks") / "specification.schema.json").read_text(encoding="utf-8")


@cache
def schema() -> Schema:
    """The schema."""
    found: Schema = json.loads(text())
    return found


def broken(document: Any) -> Iterator[Broken]:
    """What of a document the schema does not allow."""
    return _broken(document, schema(), ())


def _broken(value: Any, rules: Schema, key: Key) -> Iterator[Broken]:
    if "$ref" in rules:
        rules = {
            **schema()["$defs"][rules["$ref"].rpartition("/")[2]],
            **{k: v for k, v in rules.items() if k[0] != "$"},
        }
    for keyword, rule in rules.items():
        if keyword not in _ANNOTATIONS:
            found = list(_KEYWORDS[keyword](value, rule, key, rules))
            yield from found
            if found and keyword == "type":
                return


def _type(value: Any, rule: str, key: Key, rules: Schema) -> Iterator[Broken]:
    fits = isinstance(value, _KINDS[rule]) and (rule == "boolean" or not isinstance(value, bool))
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        yield key, f"expected {rules.get('title', _WORDS[rule])}, found {_shown(value)}"


def _enum(value: Any, rule: list[Any], key: Key, rules: Schema) -> Iterator[Broken]:
    if value not in rule:
        yield key, f"expected {' or '.join(map(str, rule))}, found {_shown(value)}"


def _pattern(value: Any, rule: str, key: Key, rules: Schema) -> Iterator[Broken]:
    if isinstance(value, str) and re.search(rule, value) is None:
        yield key, f"expected {rules.get('title', f'a text like {rule}')}, found {_shown(value)}"


def _minimum(value: Any, rule: float, key: Key, rules: Schema) -> Iterator[Broken]:
    if isinstance(value, int | float) and value < rule:
        yield key, f"expected {rules.get('title', 'a number')} of at least {rule}, found {_shown(value)}"


def _required(value: Any, rule: list[str], key: Key, rules: Schema) -> Iterator[Broken]:
    for name in rule:
        if isinstance(value, dict) and name not in value:
            yield key, f"{name} is missing"


def _properties(value: Any, rule: Mapping[str, Schema], key: Key, rules: Schema) -> Iterator[Broken]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in rule:
            yield from _broken(inner, rule[name], (*key, name))


def _additional(value: Any, rule: bool | Schema, key: Key, rules: Schema) -> Iterator[Broken]:
    known = rules.get("properties", {})
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in known:
            continue
        if not isinstance(rule, bool):
            yield from _broken(inner, rule, (*key, name))
            continue
        near = get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        yield (*key, name), f"{name!r} means nothing here; {advice}"


def _items(value: Any, rule: Schema, key: Key, rules: Schema) -> Iterator[Broken]:
    for number, inner in enumerate(value if isinstance(value, list) else ()):
        yield from _broken(inner, rule, (*key, number))


def _least(value: Any, rule: int, key: Key, rules: Schema) -> Iterator[Broken]:
    if isinstance(value, list | dict) and len(value) < rule:
        yield key, f"expected {rules.get('title', 'something')}, found nothing"


def _any(value: Any, rule: list[Schema], key: Key, rules: Schema) -> Iterator[Broken]:
    tried = [list(_broken(value, one, key)) for one in rule]
    if not all(tried):
        return
    # Where the kind is right, what is wrong lies deeper, and says more.
    deeper = next((one for one in tried if len(one[0][0]) > len(key)), None)
    if deeper is not None:
        yield from deeper
    else:
        yield key, f"expected {rules.get('title', 'something else')}, found {_shown(value)}"


def _one(value: Any, rule: list[Schema], key: Key, rules: Schema) -> Iterator[Broken]:
    if sum(not list(_broken(value, one, key)) for one in rule) != 1:
        yield key, f"expected {' or '.join(str(one.get('title')) for one in rule)}, and not both"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


_KEYWORDS: Mapping[str, Callable[[Any, Any, Key, Schema], Iterator[Broken]]] = {
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "minItems": _least,
    "minProperties": _least,
    "anyOf": _any,
    "oneOf": _one,
}
