"""The object graph of TensorFlow 2 checkpoints: which attribute of which object each tensor is.

A checkpoint of objects stores its tensors under paths of attributes, `encoder/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE`,
and in the string tensor `_CHECKPOINTABLE_OBJECT_GRAPH` the objects themselves. The two differ where it matters: in a
SavedModel the variables of a Keras model are stored as `variables/0`, `variables/1` … The specification is tensorflow/
core/protobuf/trackable_object_graph.proto; names are escaped in tensorflow/python/trackable/trackable_utils.py.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats import protos
from rnnprobe.formats.keras_metadata import configuration, tells_layers
from rnnprobe.formats.natural import natural
from rnnprobe.types import Checkpoint, KerasConfig, Objects, Tensor

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
CONFIG = "OBJECT_CONFIG_JSON"
LAYER = re.compile(r"(?:.*/)?(?:layer(?:_with_weights)?-\d+|_operations/\d+)")
"""The path of a layer of a Keras model, in the order of the model's layers."""

DEPTH = 64  # attributes from the root to a variable
AGAIN = 4  # visits to one object, as a layer of several models, on average

_NUMBERED = re.compile(r"layer-(\d+)")
_WEIGHTED = re.compile(r"layer_with_weights-\d+")
# What Keras and SavedModels track beside the attributes that a program sets; looked through for what is nowhere else.
_RECORDS = frozenset(
    {
        "variables", "trainable_variables", "non_trainable_variables", "_trainable_variables",
        "_non_trainable_variables", "regularization_losses", "keras_api", "_callable_losses", "signatures", "__call__",
        "call_and_return_all_conditional_losses", "call_and_return_conditional_losses", "_default_save_signature",
        "state_spec", "_tracked", "_inbound_nodes", "_outbound_nodes", "_self_tracked_trackables", "root",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """An object and one path to it.

    Attributes:
        path: the attributes that lead to it from the root.
        node: its number in the graph.
        rank: sorts the objects as they are set, each followed by what is in it.
        first: whether no shorter path leads to it.
    """

    path: tuple[str, ...]
    node: int
    rank: tuple[int, ...] = ()
    first: bool = True


def attach(checkpoint: Checkpoint, configs: Mapping[str, Mapping[str, Any]] | None = None) -> Checkpoint:
    """A checkpoint with its objects, groups and Keras configuration, where it is one of objects; else as it is.

    Args:
        checkpoint: from a bundle.
        configs: the Keras configuration of each object, where another file holds them.

    Raises:
        BadInput: the object graph or a configuration is damaged.
    """
    values = [name for name in checkpoint.tensors if name.endswith(VALUE)]
    if not values:
        return checkpoint
    nodes = _nodes(checkpoint)
    if nodes is None:
        return _by_keys(checkpoint, values)
    found = walk(nodes, checkpoint)
    paths, groups = _paths(nodes, found, checkpoint)
    names = {
        key: attribute.full_name
        for node in nodes
        for attribute in node.attributes
        if attribute.full_name and (key := attribute.checkpoint_key) in checkpoint.tensors
    }
    stored = {**_configs(nodes, found, checkpoint), **(configs or {})}
    top = stored.get("")
    config = KerasConfig(top, str(top.get("keras_version") or "")) if top and tells_layers(top) else None
    return replace(checkpoint, groups=groups, objects=Objects(paths, names, stored), config=config)


def _nodes(checkpoint: Checkpoint) -> Sequence[Any] | None:
    """The objects of a checkpoint, or None where it holds none or they can't be had without the data."""
    stored = checkpoint.tensors.get(GRAPH)
    if stored is None or stored.problem:
        return None
    if stored.shape or stored.dtype != "string":
        raise BadInput(f"{GRAPH} is {stored.dtype} {list(stored.shape)}, expected one string", path=checkpoint.path)
    from tensorboard.compat.proto import trackable_object_graph_pb2

    data = stored.load().item()
    parsed = protos.decode(trackable_object_graph_pb2.TrackableObjectGraph(), data, GRAPH, checkpoint.path)
    if not parsed.nodes:
        raise BadInput(f"{GRAPH} holds no objects", path=checkpoint.path)
    nodes: Sequence[Any] = parsed.nodes
    return nodes


def walk(nodes: Sequence[Any], checkpoint: Checkpoint) -> list[Found]:
    """Every object that a program's attributes lead to, in their order; several times as a layer of several models.

    Raises:
        BadInput: an object refers to another that is not there, or they nest deeper than any model.
    """
    start = Found((), 0)
    found, waiting, seen = [start], deque([start]), {0}
    while waiting:
        here = waiting.popleft()
        if len(here.path) >= DEPTH:
            raise BadInput(f"objects nest deeper than {DEPTH}: {'/'.join(here.path[:6])} …", path=checkpoint.path)
        for k, (name, child) in enumerate(_attributes(nodes, here.node, checkpoint)):
            path = (*here.path, name)
            new = child not in seen
            if not new and not (not here.first or _is_layer(path)):
                continue
            if not new and len(found) > AGAIN * len(nodes):
                continue
            seen.add(child)
            found.append(Found(path, child, (*here.rank, k), new))
            waiting.append(found[-1])
    return sorted(found, key=lambda one: one.rank)


def _is_layer(path: tuple[str, ...]) -> bool:
    return LAYER.fullmatch("/".join(path[-2:])) is not None


def _attributes(nodes: Sequence[Any], node: int, checkpoint: Checkpoint) -> Iterator[tuple[str, int]]:
    """The attributes of an object that a program sets; the layers of a Keras model first, each once."""
    every = list(_children(nodes, node, checkpoint))
    weighted = {child: name for name, child in every if _WEIGHTED.fullmatch(name)}
    numbered = sorted((int(match[1]), child) for name, child in every if (match := _NUMBERED.fullmatch(name)))
    for number, child in numbered:
        yield weighted.get(child, f"layer-{number}"), child
    layers = {child for _, child in numbered}
    for name, child in sorted(every, key=lambda one: one[0] == "_layers"):  # a list of what has names elsewhere
        if name not in _RECORDS and child not in layers:
            yield name, child


def _children(nodes: Sequence[Any], node: int, checkpoint: Checkpoint) -> Iterator[tuple[str, int]]:
    for reference in nodes[node].children:
        if not 0 <= reference.node_id < len(nodes):
            raise BadInput(
                f"object {node} of the object graph refers to object {reference.node_id}, of {len(nodes)}",
                path=checkpoint.path,
            )
        yield reference.local_name, reference.node_id


def _keys(node: Any, checkpoint: Checkpoint) -> list[str]:
    """The tensors that hold the value of a variable."""
    keys = (attribute.checkpoint_key for attribute in node.attributes)
    return [key for key in keys if key.endswith(VALUE) and key in checkpoint.tensors]


def _paths(
    nodes: Sequence[Any], found: Sequence[Found], checkpoint: Checkpoint
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Tensor → attributes; and object → the tensors of its own variables, without those that are no weights."""
    paths: dict[str, tuple[str, ...]] = {}
    members: dict[str, list[str]] = {}
    for one in found:
        for key in _keys(nodes[one.node], checkpoint):
            if one.first:
                paths[key] = one.path
            if one.path and key not in checkpoint.set_apart:
                members.setdefault("/".join(one.path[:-1]), []).append(key)
        if _is_layer(one.path):
            members.setdefault("/".join(one.path), [])
    for key, path in _elsewhere(nodes, checkpoint):
        paths.setdefault(key, path)
    for key in checkpoint.tensors:
        if key.endswith(VALUE):
            paths.setdefault(key, unescaped(key))
    return paths, {path: tuple(dict.fromkeys(keys)) for path, keys in members.items()}


def _elsewhere(nodes: Sequence[Any], checkpoint: Checkpoint) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every variable by some path, through whatever tracks it."""
    waiting: deque[tuple[int, tuple[str, ...]]] = deque([(0, ())])
    seen = {0}
    while waiting:
        node, path = waiting.popleft()
        for key in _keys(nodes[node], checkpoint):
            yield key, path
        for name, child in _children(nodes, node, checkpoint):
            if child not in seen:
                seen.add(child)
                waiting.append((child, (*path, name)))


def _configs(nodes: Sequence[Any], found: Sequence[Found], checkpoint: Checkpoint) -> dict[str, Mapping[str, Any]]:
    """An object's path → the configuration that TensorFlow 1.10 to 1.13 stored with it."""
    stored: dict[str, Mapping[str, Any]] = {}
    for one in found:
        for attribute in nodes[one.node].attributes if one.first else ():
            tensor = checkpoint.tensors.get(attribute.checkpoint_key)
            if attribute.name != CONFIG or tensor is None or tensor.problem:
                continue
            config = configuration(_text(tensor, checkpoint), tensor.name, checkpoint.path)
            if config is not None:
                stored["/".join(one.path)] = config
    return stored


def _text(tensor: Tensor, checkpoint: Checkpoint) -> bytes:
    if tensor.shape or tensor.dtype != "string":
        raise BadInput(
            f"{tensor.name} is {tensor.dtype} {list(tensor.shape)}, expected one string", path=checkpoint.path
        )
    text: bytes = tensor.load().item()
    return text


def _by_keys(checkpoint: Checkpoint, values: Sequence[str]) -> Checkpoint:
    """What the keys alone tell."""
    paths = {key: unescaped(key) for key in sorted(values, key=natural)}
    groups: dict[str, list[str]] = {}
    for key, path in paths.items():
        if key not in checkpoint.set_apart:
            groups.setdefault("/".join(path[:-1]), []).append(key)
    note = "the graph of its objects is not there: objects are told by the keys of their tensors alone"
    return replace(
        checkpoint,
        groups={path: tuple(keys) for path, keys in groups.items()},
        objects=Objects(paths),
        notes=(*checkpoint.notes, note),
    )


def unescaped(key: str) -> tuple[str, ...]:
    """The attributes that a key spells: `gates.Skernel` is the one variable `gates/kernel`, `a..b` is `a.b`."""
    words = key.removesuffix(VALUE).split("/")
    return tuple(re.sub(r"\.([.S])", lambda mark: "/" if mark[1] == "S" else ".", word) for word in words)
