"""The rules that look at the file as a whole, and at tensors that are of no recurrent layer."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from rnnprobe.analysis import words
from rnnprobe.analysis.account import Account, nbytes, parameters
from rnnprobe.checks.layers import Claimed, settled
from rnnprobe.checks.sizes import Claim, Sizes
from rnnprobe.checks.specification import Amount, Specification, TensorSpec
from rnnprobe.checks.verdict import Rule, Verdict
from rnnprobe.checks.weights import finite_tensor
from rnnprobe.types import Network, Tensor


def own(held: Account) -> tuple[Tensor, ...]:
    """The tensors that are of no recurrent layer and not set apart."""
    return (*held.embeddings, *held.transforms, *held.other)


def matched(network: Network, one: TensorSpec) -> tuple[Tensor, ...]:
    """The tensors that a table of the specification speaks of."""
    stored = network.checkpoint.tensors
    if one.name:
        return (stored[one.name],) if one.name in stored else ()
    return tuple(tensor for name, tensor in stored.items() if fnmatchcase(name, one.match))


def claims(one: TensorSpec, tensor: Tensor) -> Iterator[Claimed]:
    """What is said of the shape of a tensor."""
    if one.shape is not None:
        yield Claimed(Claim(one.shape, tensor.shape, {}, tensor.name), "shape", (*one.key, "shape"), tensor.name)


def tensors(network: Network, spec: Specification, held: Account, sizes: Sizes) -> Iterator[Verdict]:
    """What the specification says of tensors, its symbols settled."""
    listed: set[str] = set()
    for one in spec.tensors:
        found = matched(network, one)
        listed.update(tensor.name for tensor in found)
        yield _exists(one, found)
        for tensor in found if one.count.max != 0 else ():
            yield from (settled(claimed, sizes, one.level) for claimed in claims(one, tensor))
            if one.dtype is not None:
                key = (*one.key, "dtype")
                holds = tensor.dtype == one.dtype
                yield Verdict("dtype", holds, one.dtype, tensor.dtype, one.level, key, tensor=tensor.name)
            if one.finite:
                yield finite_tensor(tensor, one)
    yield from _unlisted(network, spec, held, listed)


def _exists(one: TensorSpec, found: tuple[Tensor, ...]) -> Verdict:
    expected = "no such tensor" if one.count.max == 0 else f"{one.count} such"
    if one.name and one.count.max != 0:
        expected = "a tensor of this name"
    names = words.few([tensor.name for tensor in found]) if found else "none"
    return Verdict(
        "exists", one.count.holds(len(found)), expected, names, one.level, one.key, tensor=one.name or one.match
    )


def _unlisted(network: Network, spec: Specification, held: Account, listed: set[str]) -> Iterator[Verdict]:
    attitude = spec.checkpoint.unlisted_tensors
    if attitude == "ignore":
        return
    # What lies where a layer is missing is spoken of there.
    lost = {one.name for one in spec.layers if one.name} - {layer.name for layer in network.layers}
    below = tuple(f"{name}/" for name in lost)
    strange = [tensor for tensor in own(held) if tensor.name not in listed and not tensor.name.startswith(below)]
    key = ("checkpoint", "unlisted_tensors")
    expected = "only the tensors of the specification"
    for tensor in strange:
        found = f"{words.shape(tensor.shape)} {tensor.dtype}"
        yield Verdict("unlisted", False, expected, found, attitude, key, tensor=tensor.name)
    if not strange:
        yield Verdict("unlisted", True, expected, "nothing else", attitude, key)


def checkpoint(network: Network, spec: Specification, held: Account) -> Iterator[Verdict]:
    """What the specification says of the file as a whole."""
    said = spec.checkpoint
    weights = (*held.recurrent, *own(held))
    amounts: tuple[tuple[Rule, Amount | None, int], ...] = (
        ("layers", said.layers, len(network.layers)),
        ("parameters", said.parameters, parameters(weights)),
        ("bytes", said.bytes, nbytes(weights)),
    )
    for rule, amount, number in amounts:
        if amount is not None:
            found = words.count(number)
            yield Verdict(rule, amount.holds(number), str(amount), found, said.level, ("checkpoint", rule))
    if said.complete:
        yield from _complete(network, spec)


def _complete(network: Network, spec: Specification) -> Iterator[Verdict]:
    """A verdict for each reason why values can't be read."""
    reasons: dict[str, list[str]] = {}
    for tensor in network.checkpoint.tensors.values():
        if tensor.problem:
            reasons.setdefault(tensor.problem, []).append(tensor.name)
    expected, level, key = "values for every tensor", spec.checkpoint.level, ("checkpoint", "complete")
    for reason, names in reasons.items():
        found = f"{reason} ({words.counted(len(names), 'tensor')}: {words.few(names)})"
        yield Verdict("complete", False, expected, found, level, key, tensor=names[0])
    if not reasons:
        yield Verdict("complete", True, expected, expected, level, key)
