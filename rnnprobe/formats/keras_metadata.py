"""Keras configurations of the objects of TensorFlow checkpoints, as data.

SavedModels of tf.keras 1.15 to 2.4 hold them in the object graph of `saved_model.pb`, later ones in
`keras_metadata.pb` beside it (keras/protobuf/saved_metadata.proto); each is JSON, with tuples and shapes as objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnprobe.formats import files, protos
from rnnprobe.formats.keras_json import parse

FILE = "keras_metadata.pb"
_KERAS = "_tf_keras_"
_LISTS = ("__tuple__", "TensorShape")


def configurations(folder: Path, nodes: Any) -> dict[int, Mapping[str, Any]]:
    """The number of an object → its configuration.

    Args:
        folder: of the SavedModel.
        nodes: of the object graph in its `saved_model.pb`.

    Raises:
        BadInput: a configuration is damaged.
    """
    found: dict[int, tuple[bytes, str, Path]] = {}
    for number, node in enumerate(nodes):
        if node.WhichOneof("kind") == "user_object" and node.user_object.identifier.startswith(_KERAS):
            text = node.user_object.metadata.encode()
            found[number] = text, f"the metadata of object {number}", folder / "saved_model.pb"
    path = folder / FILE
    if files.is_file(path):
        stored = protos.parse("SavedMetadata", files.read(path, 0, files.length(path)), "the Keras metadata", path)
        for node in stored.nodes:
            if node.identifier.startswith(_KERAS.encode()):
                found[node.node_id] = node.metadata, f"the metadata of object {node.node_id}", path
    configs = {number: configuration(*where) for number, where in found.items() if where[0]}
    return {number: config for number, config in configs.items() if config is not None}


def configuration(text: bytes, what: str, path: Path) -> Mapping[str, Any] | None:
    """An object with `class_name` and `config` from its JSON, or None where it is none.

    Raises:
        BadInput: it is no JSON.
    """
    value = _plain(parse(text, path, what))
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        return None
    return value if isinstance(value.get("config"), Mapping | list) else None


def _plain(value: Any) -> Any:
    """JSON with Keras's tuples and shapes as arrays. The depth was bounded when it was parsed."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") in _LISTS and isinstance(value.get("items"), list):
        return _plain(value["items"])
    return {name: _plain(item) for name, item in value.items()}


def tells_layers(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a model and lists its layers."""
    inner = config["config"]
    return isinstance(inner, list) or isinstance(inner.get("layers"), list)
