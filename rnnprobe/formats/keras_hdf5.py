"""Keras models and weights in HDF5: `.h5`, `.hdf5`, `.weights.h5`, and what older Keras wrote as `.keras`.

Two layouts (cells.md, section 9.2). In the first, a group's attribute `layer_names` lists the layers, and each layer's
`weight_names` its tensors, in the order that counts. In the second (`.weights.h5`, Keras 3 and TensorFlow 2.12), the
path of a tensor is that of the object that holds it: `layers/lstm/cell/vars/0`, where `lstm` is the layer's class with
a counter, not its name. https://github.com/keras-team/keras, `legacy_h5_format.py` and `saving_lib.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats.format import Format
from rnnprobe.formats.keras_json import beside, keras_config, parse, with_config
from rnnprobe.formats.keras_names import counted
from rnnprobe.formats.keras_tree import Source, Tree, open_tree
from rnnprobe.types import Checkpoint, KerasConfig, Tensor

MAGIC = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".h5", ".hdf5")
_STATE = {
    "optimizer": "optimizer state",
    "_optimizer": "optimizer state",
    "optimizer_weights": "optimizer state",
    "metrics": "metric",
    "_metrics": "metric",
    "_compile_metrics": "metric",
    "_loss_tracker": "metric",
    "seed_generator": "state of a random generator",
    "_random_generator": "state of a random generator",
}
_LAYERS = ("layers", "_layer_checkpoint_dependencies")


def read_weights(path: Path) -> Checkpoint:
    """Everything in an HDF5 file, with the configuration that the file itself holds, if it holds one.

    Raises:
        BadInput, Refused, OutOfResources: as the file deserves.
    """
    try:
        with path.open("rb") as file:
            first = file.read(len(MAGIC))
        size = path.stat().st_size
    except OSError as exc:
        raise BadInput(f"can't be read: {exc.strerror}", path=path) from exc
    if first != MAGIC:
        if not first:
            raise BadInput("is empty", path=path)
        raise BadInput(f"is no HDF5 file: it begins with {first!r}, not with {MAGIC!r}", path=path)
    tree = open_tree(Source(path, 0, size, size))
    root = tree.groups[""]
    if root.get("format") == "rnnprobe-trace":
        raise BadInput("is a trace, not a model", path=path, hint="rnnprobe show reads traces")
    version = root.get("keras_version") or tree.groups.get("model_weights", {}).get("keras_version", "")
    config = None
    if "model_config" in root:
        what = "the attribute model_config"
        config = keras_config(parse(root["model_config"], path, what), version)
        if config is None:
            raise BadInput(f"{what} holds no Keras configuration (an object with class_name and config)", path=path)
    return decode(tree, path, config, version)


def decode(tree: Tree, path: Path, config: KerasConfig | None, version: str, container: str = "") -> Checkpoint:
    """A checkpoint from the groups and tensors of an HDF5 file.

    Args:
        tree: the HDF5 file.
        path: for messages.
        config: what came along.
        version: the Keras release, or empty.
        container: the format in words where the HDF5 file was part of something else.
    """
    base = next((g for g in ("model_weights", "") if "layer_names" in tree.groups.get(g, {})), None)
    if base is not None:
        groups = _listed(tree, path, base)
        words = "Keras HDF5 model" if config is not None else "Keras HDF5 weights"
    else:
        groups = _nested(tree)
        words = "Keras weights (.weights.h5)" if groups else "HDF5 tensors"
    ordered = [name for names in groups.values() for name in names]
    tensors = {name: tree.tensors[name] for name in dict.fromkeys([*ordered, *tree.tensors])}
    if base is not None and not version and _looks_like_keras_1(tensors):
        version = "1"
    return Checkpoint(
        path=path,
        format=container or words,
        tensors=tensors,
        set_apart=_set_apart(tensors, keras=bool(groups)),
        groups=groups,
        config=config,
        files=(path,),
        writer=_writer(tree, base or "", version),
    )


def _writer(tree: Tree, base: str, version: str) -> str:
    """The release, and the backend where it is not TensorFlow: `Keras 2.2.4 (theano)`."""
    backend = tree.groups[""].get("backend") or tree.groups.get(base, {}).get("backend", "")
    told = f" ({backend})" if backend not in ("", "tensorflow") else ""
    return f"Keras {version}{told}" if version else ""


def _join(*parts: str) -> str:
    """A path in HDF5, with `.` and empty components left out, as libhdf5 reads it."""
    return "/".join(piece for part in parts for piece in part.split("/") if piece not in ("", "."))


def _listed(tree: Tree, path: Path, base: str) -> dict[str, tuple[str, ...]]:
    """Layer → its tensors, by the attributes `layer_names` and `weight_names`."""
    groups: dict[str, tuple[str, ...]] = {}
    for layer in tree.groups[base]["layer_names"]:
        group = _join(base, layer)
        names = tree.groups.get(group, {}).get("weight_names")
        if names is None:
            raise BadInput(f"layer_names lists {layer!r}, for which there is no group with weight_names", path=path)
        stored = tuple(_join(group, name) for name in names)
        missing = [name for name in stored if name not in tree.tensors]
        if missing:
            raise BadInput(f"weight_names of {layer!r} lists {missing[0]!r}, which is not there", path=path)
        groups[layer] = stored
    return groups


def _nested(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Object → its tensors, by the paths `<object>/vars/<number>`, layers by their own names where those are stored."""
    found: dict[str, list[Tensor]] = {}
    for name, tensor in tree.tensors.items():
        stem, _, number = name.rpartition("/")
        holder, _, leaf = stem.rpartition("/")
        if leaf == "vars" and number.isdecimal() and not any(part in _STATE for part in holder.split("/")):
            found.setdefault(holder, []).append(tensor)
    if not any(component in _LAYERS for holder in found for component in holder.split("/")):
        return {}
    named = {holder: _named(tree, holder) for holder in found}
    if len(set(named.values())) != len(named):
        named = {holder: holder for holder in found}
    return {
        named[holder]: tuple(sorted((t.name for t in tensors), key=lambda name: int(name.rpartition("/")[2])))
        for holder, tensors in found.items()
    }


def _named(tree: Tree, holder: str) -> str:
    """The path of an object, with `lstm_1` below `layers` replaced by that layer's own name (Keras 3.15 stores it)."""
    parts = holder.split("/")
    return "/".join(
        str(tree.groups.get("/".join((*parts[: k + 1], "vars")), {}).get("name", part))
        if k and parts[k - 1] in _LAYERS
        else part
        for k, part in enumerate(parts)
    )


def _set_apart(names: Iterable[str], keras: bool) -> dict[str, str]:
    if not keras:
        return {}
    return {
        name: next(_STATE[part] for part in name.split("/") if part in _STATE)
        for name in names
        if any(part in _STATE for part in name.split("/"))
    }


def _looks_like_keras_1(names: Iterable[str]) -> bool:
    leaves = [name.split(":")[0] for name in names]
    return any(leaf.endswith(("_W", "_W_i", "_W_z", "_W_1", "_U")) for leaf in leaves)


def _matches(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix in _SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _read(path: Path) -> Checkpoint:
    """A file and, where it holds weights alone, the configuration that lies beside it."""
    checkpoint = read_weights(path)
    if checkpoint.config is not None or not checkpoint.groups:
        return checkpoint
    near, notes = beside(path)
    checkpoint = replace(checkpoint, notes=(*checkpoint.notes, *notes))
    configs = [found for found in near if _describes(with_config(checkpoint, found))]
    if len(configs) > 1:
        listed = ", ".join(found.name for found in configs)
        raise BadInput(
            f"several configurations lie beside these weights: {listed}",
            path=path,
            hint="choose one with --config FILE",
        )
    return with_config(checkpoint, configs[0]) if configs else checkpoint


def _describes(checkpoint: Checkpoint) -> bool:
    """Whether the configuration names the layers that are stored, so that it can be taken without being asked for."""
    if checkpoint.config is None:
        return False
    inner = checkpoint.config.model.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    layers = [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    named = {str(layer.get("name") or _inner_name(layer)) for layer in layers}
    if not any(name.split("/")[0] in _LAYERS for name in checkpoint.groups):
        return all(layer in named for layer, tensors in checkpoint.groups.items() if tensors)
    stored = {name.split("/")[1] for name in checkpoint.groups if name.split("/")[0] in _LAYERS}
    return stored <= named or stored <= set(counted(str(layer.get("class_name")) for layer in layers))


def _inner_name(layer: dict[str, Any]) -> Any:
    config = layer.get("config")
    return config.get("name") if isinstance(config, dict) else None


KERAS_HDF5 = Format("Keras HDF5", _matches, _read)
