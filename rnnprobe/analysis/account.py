"""Which stored tensors belong to what: each tensor of a file is counted once, wherever a report adds up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rnnprobe.types import Checkpoint, KerasLayer, Layer, Network, Tensor

_SHARD = re.compile(r"(.*_)0$")


@dataclass(frozen=True, slots=True)
class Account:
    """The tensors of a file by what they are for; every tensor of the file is in exactly one of these.

    Attributes:
        recurrent: those of the recurrent layers.
        embeddings: the tables in front of them.
        transforms: those of the layers around them that Keras computes.
        other: what is in neither and not set apart.
        set_apart: optimiser slots, averages, counters.
    """

    recurrent: tuple[Tensor, ...]
    embeddings: tuple[Tensor, ...]
    transforms: tuple[Tensor, ...]
    other: tuple[Tensor, ...]
    set_apart: tuple[Tensor, ...]


def account(network: Network) -> Account:
    """Every tensor of a network's file, once."""
    checkpoint = network.checkpoint
    recurrent = {name for layer in network.layers for name in stored(checkpoint, layer)}
    embeddings = {embedding.table.name for embedding in network.embeddings}
    transforms = {tensor.name for transform in network.transforms for tensor in held(transform.layer)}
    owners = {
        **dict.fromkeys(checkpoint.set_apart, "apart"),
        **dict.fromkeys(transforms, "transforms"),
        **dict.fromkeys(embeddings, "embeddings"),
        **dict.fromkeys(recurrent, "recurrent"),
    }
    kinds: dict[str, list[Tensor]] = {"recurrent": [], "embeddings": [], "transforms": [], "other": [], "apart": []}
    for name, tensor in checkpoint.tensors.items():
        kinds[owners.get(name, "other")].append(tensor)
    return Account(*(tuple(tensors) for tensors in kinds.values()))


def held(layer: KerasLayer) -> Iterator[Tensor]:
    """The tensors of a layer that Keras computes, and of the layers within it."""
    yield from layer.weights
    for inner in (*layer.inner, *(call.layer for call in layer.calls)):
        yield from held(inner)


def stored(checkpoint: Checkpoint, layer: Layer) -> tuple[str, ...]:
    """The names in the file of a layer's tensors; a matrix joined from row blocks `W_0 … W_k` has several."""
    names: list[str] = []
    for tensor in layer.weights.values():
        names += tensor.pieces or _shards(checkpoint, tensor)
    return tuple(dict.fromkeys(names))


def parameters(tensors: Iterable[Tensor]) -> int:
    """How many numbers; text is none."""
    return sum(tensor.size for tensor in tensors if tensor.dtype != "string")


def nbytes(tensors: Iterable[Tensor]) -> int:
    """How many bytes, of the dtypes that have a fixed width."""
    return sum(tensor.nbytes for tensor in tensors)


def _shards(checkpoint: Checkpoint, tensor: Tensor) -> list[str]:
    whole = checkpoint.tensors.get(tensor.name)
    first = _SHARD.match(tensor.name)
    if whole is None or whole.shape == tensor.shape or first is None:
        return [tensor.name]
    names, rows = [tensor.name], whole.shape[0]
    while rows < tensor.shape[0] and (shard := checkpoint.tensors.get(f"{first[1]}{len(names)}")) is not None:
        names.append(shard.name)
        rows += shard.shape[0]
    return names
