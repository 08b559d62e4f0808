"""The rules that look at recurrent layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rnnprobe.analysis import words
from rnnprobe.analysis.account import nbytes, parameters
from rnnprobe.checks.missing import missing
from rnnprobe.checks.sizes import Claim, Sizes
from rnnprobe.checks.specification import Amount, LayerSpec, Level, OptionSpec, Specification
from rnnprobe.checks.verdict import Rule, Verdict
from rnnprobe.checks.weights import finite, values
from rnnprobe.types import Layer, Network, Value


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim about sizes, and the verdict that it becomes once the symbols are settled."""

    claim: Claim
    rule: Rule
    key: tuple[str | int, ...]
    tensor: str = ""
    what: str = ""


def matched(network: Network, one: LayerSpec) -> tuple[Layer, ...]:
    """The layers that a table of the specification speaks of."""
    return tuple(
        layer
        for layer in network.layers
        if (layer.name == one.name if one.name else fnmatchcase(layer.name, one.match))
    )


def claims(one: LayerSpec, layer: Layer) -> Iterator[Claimed]:
    """What is said of the sizes of a layer and of the shapes of its tensors, as far as there are such."""
    for name, formula in one.sizes.items():
        claim = Claim((formula,), (layer.sizes[name],), layer.sizes, f"{name} of {layer.name}")
        yield Claimed(claim, name, (*one.key, name))
    for role, formulas in one.shapes.items():
        tensor = layer.weights.get(role)
        if tensor is not None:
            claim = Claim(formulas, tensor.shape, layer.sizes, f"{role} of {layer.name}")
            yield Claimed(claim, "shape", (*one.key, "shapes", role), tensor.name, role)


def layers(network: Network, spec: Specification, sizes: Sizes) -> Iterator[Verdict]:
    """What the specification says of the recurrent layers, its symbols settled."""
    listed: set[str] = set()
    for one in spec.layers:
        found = matched(network, one)
        listed.update(layer.name for layer in found)
        yield _exists(one, found)
        if not found and one.name and not one.count.holds(0):
            yield from missing(network, one, sizes)
        for layer in found if one.count.max != 0 else ():
            yield from _layer(one, layer, sizes)
    yield from _unlisted(network, spec, listed)


def _unlisted(network: Network, spec: Specification, listed: set[str]) -> Iterator[Verdict]:
    attitude = spec.checkpoint.unlisted_layers
    if attitude == "ignore":
        return
    strange = [layer for layer in network.layers if layer.name not in listed]
    key = ("checkpoint", "unlisted_layers")
    expected = "only the layers of the specification"
    for layer in strange:
        found = f"a {layer.cell.title} of {layer.units} units"
        yield Verdict("unlisted", False, expected, found, attitude, key, layer.name)
    if not strange:
        yield Verdict("unlisted", True, expected, "nothing else", attitude, key)


def _exists(one: LayerSpec, found: Sequence[Layer]) -> Verdict:
    expected = "no such layer" if one.count.max == 0 else f"{one.count} such"
    if one.name and one.count.max != 0:
        expected = "a layer of this name"
    names = words.few([layer.name for layer in found]) if found else "none"
    name = one.name or one.match
    return Verdict("exists", one.count.holds(len(found)), expected, names, one.level, one.key, name)


def _layer(one: LayerSpec, layer: Layer, sizes: Sizes) -> Iterator[Verdict]:
    def verdict(rule: Rule, holds: bool, expected: str, found: str, *, what: str = "", tensor: str = "") -> Verdict:
        return Verdict(rule, holds, expected, found, one.level, (*one.key, rule), layer.name, tensor, what)

    if one.cell is not None:
        yield verdict("cell", layer.cell.name == one.cell, one.cell, layer.cell.name)
    yield from (settled(claimed, sizes, one.level, layer.name) for claimed in claims(one, layer))
    if one.direction is not None:
        yield verdict("direction", layer.direction == one.direction, one.direction, layer.direction)
    if one.dtype is not None:
        off = [tensor for tensor in layer.weights.values() if tensor.dtype != one.dtype]
        found = "/".join(dict.fromkeys(tensor.dtype for tensor in layer.weights.values()))
        yield verdict("dtype", not off, one.dtype, found, tensor=off[0].name if off else "")
    listed: dict[Rule, tuple[tuple[str, ...] | None, tuple[str, ...]]]
    listed = {"gates": (one.gates, layer.cell.gates), "fed_by": (one.fed_by, layer.feed.sources)}
    for rule, (expected, actual) in listed.items():
        if expected is not None:
            yield verdict(rule, expected == actual, _list(expected), _list(actual))
    if one.weights is not None:
        roles = [weight.role for weight in layer.cell.weights if weight.role in layer.weights]
        yield verdict("weights", set(one.weights) == set(roles), _list(one.weights), _list(roles))
    yield from _absent(one, layer)
    tensors = layer.weights.values()
    amounts: tuple[tuple[Rule, Amount | None, int], ...] = (
        ("parameters", one.parameters, parameters(tensors)),
        ("bytes", one.bytes, nbytes(tensors)),
    )
    for rule, amount, number in amounts:
        if amount is not None:
            yield verdict(rule, amount.holds(number), str(amount), words.count(number))
    for name, option in one.options.items():
        yield from _option(one, layer, name, option)
    if one.finite:
        yield from finite(layer, one)
    yield from values(layer, one)


def settled(claimed: Claimed, sizes: Sizes, level: Level, layer: str = "") -> Verdict:
    """The verdict on a claim, its symbols settled."""
    claim = claimed.claim
    expected = sizes.words(claim.formulas, claim.own)
    found = words.shape(claim.found)
    holds = sizes.holds(claim)
    return Verdict(claimed.rule, holds, expected, found, level, claimed.key, layer, claimed.tensor, claimed.what)


def _absent(one: LayerSpec, layer: Layer) -> Iterator[Verdict]:
    """Tensors whose shape is said and that the layer does not have, where `weights` does not say so already."""
    for role, formulas in one.shapes.items():
        if role not in layer.weights and one.weights is None:
            key = (*one.key, "shapes", role)
            yield Verdict("shape", False, " × ".join(formulas), "no such tensor", one.level, key, layer.name, what=role)


def _option(one: LayerSpec, layer: Layer, name: str, wanted: OptionSpec) -> Iterator[Verdict]:
    key = (*one.key, "options", name)
    value = layer.options.get(name)
    if value is None:
        there = f"its cell has no such option, but {_list(layer.options) or 'none'}"
        yield Verdict("option", False, _setting(wanted.value), there, one.level, key, layer.name, what=name)
        return
    if wanted.value is not None:
        found = f"{_setting(stored(value))} ({value.evidence})"
        holds = same(wanted.value, stored(value))
        yield Verdict("option", holds, _setting(wanted.value), found, one.level, key, layer.name, what=name)
    if wanted.evidence is not None:
        expected = " or ".join(wanted.evidence)
        holds = value.evidence in wanted.evidence
        yield Verdict("evidence", holds, expected, value.evidence, one.level, key, layer.name, what=name)


def stored(value: Value) -> float | bool | str | tuple[int, ...]:
    """The value of an option as a specification says it."""
    return "none" if value.value is None else value.value


def same(expected: object, found: object) -> bool:
    """Whether two values of an option are one; true is not 1."""
    return expected == found and isinstance(expected, bool) == isinstance(found, bool)


def _setting(value: float | bool | str | tuple[int, ...] | None) -> str:
    return "any value" if value is None else words.option(value)


def _list(names: Iterable[str] | Mapping[str, object]) -> str:
    return ", ".join(names)
