"""Keras configurations as JSON, and the weights that lie beside them.

`model.to_json()` writes `{"class_name": …, "config": …, "keras_version": …}`; weights saved by themselves know nothing
of activations or wiring. The two are brought together here, whichever of them the user names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.formats.format import Format
from rnnprobe.types import Checkpoint, KerasConfig

CONFIG_BYTES = 64 << 20
DEPTH = 150
_WEIGHTS = (".h5", ".hdf5", ".keras")


def parse(text: str | bytes, path: Path, what: str) -> Any:
    """JSON as plain values, bounded in depth; a key that stands twice is an error, NaN and infinity are numbers.

    Raises:
        BadInput: `what` (of `path`) is no such JSON.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError as exc:
        raise BadInput(f"{what} nests too deep", path=path) from exc
    except ValueError as exc:
        raise BadInput(f"{what} is no valid JSON: {exc}", path=path) from exc
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH + 1):
        if not level:
            return value
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    raise BadInput(f"{what} nests deeper than {DEPTH}", path=path)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return found


def keras_config(value: Any, version: str = "") -> KerasConfig | None:
    """The configuration that a JSON value is, or None where it is none.

    Args:
        value: what was parsed.
        version: the Keras release, where something else than the configuration told it.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str) or "config" not in value:
        return None
    if value["class_name"] == "Tokenizer":  # Keras's tokenizer writes itself in the same form, and is no model
        return None
    stored = value.get("keras_version")
    return KerasConfig(value, version or (stored if isinstance(stored, str) else ""))


def with_config(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """A checkpoint together with the configuration in a JSON file.

    Raises:
        BadInput: the file is not there, or holds no Keras configuration.
    """
    config = keras_config(parse(load(path), path, "the file"))
    if config is None:
        raise BadInput(
            "holds no Keras configuration (an object with class_name and config)",
            path=path,
            hint="model.to_json() writes one",
        )
    version = config.version or (checkpoint.config.version if checkpoint.config else "") or _version(checkpoint)
    return replace(
        checkpoint,
        config=replace(config, version=version),
        files=(*checkpoint.files, path),
        notes=(*checkpoint.notes, f"configuration from {path}"),
    )


def _version(checkpoint: Checkpoint) -> str:
    framework, _, release = checkpoint.writer.partition(" ")
    return release.partition(" ")[0] if framework == "Keras" else ""  # the backend may stand behind it


def load(path: Path) -> bytes:
    """The bytes of a file of bounded length.

    Raises:
        BadInput: it can't be read, or is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES + 1)
    except OSError as exc:
        raise BadInput(f"can't be read: {exc.strerror}", path=path) from exc
    if len(data) > CONFIG_BYTES:
        raise BadInput(f"is larger than {CONFIG_BYTES >> 20} MiB, and no Keras configuration is", path=path)
    return data


def beside(weights: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The Keras configurations (JSON) that may belong to a weights file: in its folder, else in the one above.

    Returns:
        The configurations; and a note for each file that is called as one would be and can't be read.
    """
    names = {"model.json", "config.json", f"{weights.name.split('.')[0]}.json"}
    notes: list[str] = []
    for folder in (weights.absolute().parent, weights.absolute().parent.parent):
        found = []
        for path in sorted(_listing(folder)):
            called = path.name in names or any(word in path.name for word in ("arch", "model", "config"))
            if path.suffix != ".json" or not called:
                continue
            try:
                if keras_config(parse(load(path), path, "the file")) is not None:
                    found.append(path)
            except BadInput as exc:
                where = "beside it" if folder == weights.absolute().parent else "one folder above"
                notes.append(f"{path.name} lies {where} and can't be read as a configuration: {exc.message}")
        if found:
            return tuple(found), tuple(notes)
    return (), tuple(notes)


def _listing(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:  # a folder that can't be listed holds nothing that could be offered
        return []


def _matches(path: Path) -> bool:
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        return keras_config(parse(load(path), path, "the file")) is not None
    except BadInput:  # another format may read it, or the error is that none does
        return False


def _read(path: Path) -> Checkpoint:
    """The weights that lie beside a configuration, or below it, with it."""
    from rnnprobe.formats.keras_hdf5 import read_weights

    folder = path.absolute().parent
    near = [found for found in _listing(folder) if found.suffix in _WEIGHTS]
    below = [found for inner in sorted(_folders(folder)) for found in _listing(inner) if found.suffix in _WEIGHTS]
    weights = sorted(near) or sorted(below)
    if not weights:
        raise BadInput(
            "is a Keras configuration, and no weights (.h5, .hdf5, .keras) lie beside it or one folder below",
            path=path,
            hint="name the weights file, and this one with --config",
        )
    if len(weights) > 1:
        named = [found for found in weights if found.name.split(".")[0] == path.stem]
        if len(named) != 1:
            listed = ", ".join(str(found.relative_to(folder)) for found in weights[:10])
            raise BadInput(
                f"is a Keras configuration beside several weights files: {listed}",
                path=path,
                hint="name the weights file, and this one with --config",
            )
        weights = named
    return with_config(read_weights(weights[0]), path)


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:  # as for _listing
        return []


KERAS_JSON = Format("Keras configuration with weights beside it", _matches, _read)
