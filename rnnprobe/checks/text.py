"""A `Specification` → TOML, for people to edit.

Written by hand: tables, arrays, strings and numbers are all that there is, and `tomllib`, which reads them back, has no
counterpart that writes; a library for these few lines would be one more thing to install in every CI job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnnprobe.checks.specification import Amount, CheckpointSpec, LayerSpec, OptionSpec, Specification, TensorSpec
from rnnprobe.errors import BadInput

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_HEAD = """\
# What this model must hold: `rnnprobe check MODEL THIS_FILE`.
# A size may be a number, a formula ("4 * units"), a symbol of [sizes], or "?" for any. A bound is written
# {min = 1, max = 2}. Lines that must not be checked can be taken out. `rnnprobe check --schema` prints what may stand
# here, for editors: `#:schema FILE` in the first line.
"""


def toml(spec: Specification) -> str:
    """The text of a specification without goldens.

    Raises:
        BadInput: a name that TOML can't hold.
    """
    said = spec.checkpoint
    lines = [_HEAD, "version = 1"]
    if spec.sizes:
        lines += ["", "[sizes]", *_pairs(spec.sizes)]
    whole = {
        "layers": said.layers,
        "parameters": said.parameters,
        "bytes": said.bytes,
        "complete": said.complete,
        "unlisted_layers": said.unlisted_layers,
        "unlisted_tensors": said.unlisted_tensors,
    }
    if said != CheckpointSpec():
        lines += ["", "[checkpoint]", *_pairs(whole)]
    for layer in spec.layers:
        lines += ["", *_layer(layer)]
    for tensor in spec.tensors:
        lines += ["", *_tensor(tensor)]
    return "\n".join(lines) + "\n"


def _layer(one: LayerSpec) -> Iterator[str]:
    yield "[[layer]]"
    yield from _pairs(
        {
            "name": one.name,
            "cell": one.cell,
            **{name: _size(size) for name, size in one.sizes.items()},
            "direction": one.direction,
            "dtype": one.dtype,
            "gates": one.gates,
            "fed_by": one.fed_by,
            "parameters": one.parameters,
            "bytes": one.bytes,
            "weights": one.weights,
        }
    )
    if one.finite:
        yield "finite = true"
    if one.values:
        yield "values = ["
        yield from (f"    {_value(compared.text)}," for compared in one.values)
        yield "]"
    if one.shapes:
        yield "[layer.shapes]"
        yield from _pairs({role: [_size(size) for size in shape] for role, shape in one.shapes.items()})
    if one.options:
        yield "[layer.options]"
        yield from _pairs(one.options)


def _tensor(one: TensorSpec) -> Iterator[str]:
    yield "[[tensor]]"
    shape = None if one.shape is None else [_size(size) for size in one.shape]
    yield from _pairs({"name": one.name, "shape": shape, "dtype": one.dtype, "finite": one.finite or None})


def _size(formula: str) -> int | str:
    return int(formula) if formula.isdecimal() else formula


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if value is not None:
            yield f"{name if _BARE.fullmatch(name) else _string(name)} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Amount):
        bounds = {"min": value.min, "max": value.max}
        return str(value.min) if value.min == value.max else _table(bounds)
    if isinstance(value, OptionSpec):
        return (
            _value(value.value)
            if value.evidence is None
            else _table({"value": value.value, "evidence": value.evidence})
        )
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _table(pairs: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{name} = {_value(value)}' for name, value in pairs.items() if value is not None)}}}"


def _string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for characters beyond the first plane and DEL."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise BadInput(
            f"{text!r} is no text that TOML can hold", hint="--layer saves what is said of the other layers alone"
        ) from exc
    body = "".join(json.dumps(char)[1:-1] if ord(char) < 0x7F else _beyond(char) for char in text)
    return f'"{body}"'


def _beyond(char: str) -> str:
    """Letters as they are; what does not print, as an escape."""
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
