"""A TOML file → a `Specification`, or what is wrong with it, with line and column."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rnnprobe.checks import schema, sizes
from rnnprobe.checks.positions import Key, nearest, positions
from rnnprobe.checks.specification import (
    Amount,
    CheckpointSpec,
    GoldenSpec,
    LayerSpec,
    OptionSpec,
    SizeName,
    Specification,
    TensorSpec,
)
from rnnprobe.checks.values import Bound, bound
from rnnprobe.errors import BadInput
from rnnprobe.formats import files

T = TypeVar("T")

_LARGEST = 1 << 24
"""Bytes of a specification."""
_PLACE = re.compile(r"^(?P<what>.*) \(at (?P<where>line \d+, column \d+|end of document)\)$", re.DOTALL)
_SIZES: tuple[SizeName, ...] = ("input_size", "units", "output_size")
_HINT = "`rnnprobe shapes MODEL --save FILE` writes one; `rnnprobe check --schema` prints what may stand in it"


def read(path: Path) -> Specification:
    """The specification in a file.

    Raises:
        BadInput: it can't be read, or is no specification; the message says at which line and column.
    """
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _syntax(str(exc), path) from exc
    except RecursionError as exc:
        raise BadInput("is nested too deeply for a specification", path=path) from exc
    spots = positions(text)
    problem = next(schema.broken(document), None) or next(_broken(document), None)
    if problem is not None:
        key, what = problem
        line, column = nearest(spots, key) or (1, 1)
        raise BadInput(f"line {line}, column {column}: {_named(key)}{what}", path=path, hint=_HINT)
    return Specification(
        path=path,
        sizes=document.get("sizes", {}),
        checkpoint=_checkpoint(document.get("checkpoint", {})),
        layers=tuple(_layer(("layer", n), one) for n, one in enumerate(document.get("layer", []))),
        tensors=tuple(_tensor(("tensor", n), one) for n, one in enumerate(document.get("tensor", []))),
        goldens=tuple(_golden(("golden", n), one) for n, one in enumerate(document.get("golden", []))),
        spots=spots,
    )


def _text(path: Path) -> str:
    size = files.length(path)
    if size > _LARGEST:
        raise BadInput(f"has {size:,} bytes, and a specification at most {_LARGEST:,}", path=path, hint=_HINT)
    try:
        return files.read(path, 0, size).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadInput(f"is no TOML: byte {exc.start} is no UTF-8", path=path, hint=_HINT) from exc


def _syntax(message: str, path: Path) -> BadInput:
    found = _PLACE.match(message)
    if found is None:
        return BadInput(f"is no valid TOML: {message}", path=path)
    return BadInput(f"{found['where']}: {found['what']}", path=path, hint="a specification is written in TOML 1.0")


def _named(key: Key) -> str:
    """`layer 2, units: `, counted from 1."""
    words: list[str] = []
    for step in key:
        if isinstance(step, int):
            words[-1] += f" {step + 1}"
        else:
            words.append(step)
    return f"{', '.join(words)}: " if words else ""


def _broken(document: Mapping[str, Any]) -> Iterator[schema.Broken]:
    """What the schema can't say: formulas, comparisons, names that stand twice, bounds the wrong way round."""
    declared = document.get("sizes", {})
    for name in declared:
        if name in sizes.OWN:
            yield ("sizes", name), "means the layer's own size in every formula, and can't be declared"
        elif sizes.problem(name, [name]):
            yield ("sizes", name), f"{name!r} is no name for a size: letters, digits and _ alone"
    known = {*declared, *sizes.OWN}
    for kind in ("layer", "tensor"):
        seen: set[tuple[Any, Any]] = set()
        for number, one in enumerate(document.get(kind, [])):
            key: Key = (kind, number)
            which = (one.get("name"), one.get("match"))
            if which in seen:
                yield (*key, "name" if one.get("name") else "match"), f"{which[0] or which[1]!r} stands here twice"
            seen.add(which)
            yield from _formulas(one, key, known if kind == "layer" else set(declared))
            yield from _comparisons(one, key)
    yield from _bounds(document, ())


def _formulas(one: Mapping[str, Any], key: Key, known: set[str]) -> Iterator[schema.Broken]:
    shapes: dict[Key, Any] = {("shapes", role): shape for role, shape in one.get("shapes", {}).items()}
    if "shape" in one:
        shapes[("shape",)] = one["shape"]
    written: dict[Key, Any] = {(name,): one[name] for name in _SIZES if name in one}
    written |= {(*where, axis): size for where, shape in shapes.items() for axis, size in enumerate(shape)}
    for where, formula in written.items():
        what = sizes.problem(str(formula), known)
        if what:
            yield (*key, *where), what
        elif where[0] in sizes.symbols(str(formula)):
            yield (*key, *where), f"speaks of {where[0]} itself"


def _comparisons(one: Mapping[str, Any], key: Key) -> Iterator[schema.Broken]:
    for number, written in enumerate(one.get("values", [])):
        try:
            bound(written)
        except ValueError as exc:
            yield (*key, "values", number), str(exc)


def _bounds(value: Any, key: Key) -> Iterator[schema.Broken]:
    if isinstance(value, dict):
        low, high = value.get("min"), value.get("max")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield key, f"min {low} is over max {high}"
        for name, inner in value.items():
            yield from _bounds(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _bounds(inner, (*key, number))


def _checkpoint(table: Mapping[str, Any]) -> CheckpointSpec:
    given = _converted(table, {name: _amount for name in ("parameters", "bytes", "layers")})
    return CheckpointSpec(**given)


def _layer(key: Key, table: Mapping[str, Any]) -> LayerSpec:
    given = _converted(
        table,
        {
            **dict.fromkeys(("count", "parameters", "bytes"), _amount),
            **dict.fromkeys(("gates", "fed_by", "weights"), _texts),
            "shapes": lambda shapes: {role: _texts(shape) for role, shape in shapes.items()},
            "options": lambda options: {name: _option(value) for name, value in options.items()},
            "values": _bound_list,
        },
    )
    own = {name: str(given.pop(name)) for name in _SIZES if name in given}
    return LayerSpec(key, sizes=own, **given)


def _tensor(key: Key, table: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(key, **_converted(table, {"count": _amount, "shape": _texts}))


def _golden(key: Key, table: Mapping[str, Any]) -> GoldenSpec:
    name = table.get("name", f"golden {int(key[1]) + 1}")
    return GoldenSpec(key, **{**table, "name": name})


def _converted(table: Mapping[str, Any], ways: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: ways[name](value) if name in ways else value for name, value in table.items()}


def _amount(value: int | Mapping[str, int]) -> Amount:
    return Amount(value, value) if isinstance(value, int) else Amount(**value)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))


def _bound_list(values: Sequence[str]) -> tuple[Bound, ...]:
    return tuple(map(bound, values))


def _option(value: Any) -> OptionSpec:
    if not isinstance(value, dict):
        return OptionSpec(_setting(value))
    evidence = value.get("evidence")
    return OptionSpec(_setting(value.get("value")), None if evidence is None else tuple(evidence))


def _setting(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
