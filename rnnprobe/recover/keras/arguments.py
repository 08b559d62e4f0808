"""The arguments of Keras's layers in every release, told to the classes of Keras 3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rnnprobe.recover.keras.checks import Unfit, plain
from rnnprobe.recover.keras.config import Era, mapped
from rnnprobe.recover.keras.kinds import KINDS
from rnnprobe.recover.keras.rules import Kind

_IGNORED = frozenset(
    {
        "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dtype", "build_config",
        "autocast", "sparse", "ragged", "lora_rank", "lora_alpha", "init", "input_dim", "input_length", "momentum",
        "seed", "dropout", "weights", "gptq_unpacked_column_size", "inbound_nodes",
    }
)  # fmt: skip
_TRAINING = re.compile(r".*_(?:initializer|regularizer|constraint|init)")
_ROWS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))


def arguments(class_name: str, config: Mapping[str, Any], meaning: Era) -> dict[str, Any]:
    """The arguments of a class of `KINDS`, from the configuration of any release.

    Raises:
        Unfit: a value, or an argument, that Keras 3's class doesn't have; the text is a predicate of the layer.
    """
    found, left = taken(class_name, config, meaning)
    _rest(KINDS[class_name], left)
    return found


def taken(class_name: str, config: Mapping[str, Any], meaning: Era) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of a class of `KINDS`, and what else the configuration has.

    Raises:
        Unfit: a value that Keras 3's class doesn't take.
    """
    left = {key: plain(value) for key, value in config.items()}
    for rows in _ROWS:
        if all(key in left for key in rows):
            left["kernel_size"] = [left.pop(key) for key in rows]
    found: dict[str, Any] = {}
    for argument in KINDS[class_name].arguments:
        key = next((key for key in (argument.name, *argument.older) if key in left), None)
        if key is None:
            continue
        try:
            found[argument.name] = argument.check(left.pop(key), meaning)
        except Unfit as exc:
            raise Unfit(f"can't be rebuilt: its {key} is {exc}") from exc
    return found, left


def _rest(kind: Kind, given: Mapping[str, Any]) -> None:
    """Refuses what is left and might change the result."""
    quantized = mapped(given.get("dtype")).get("class_name", "DTypePolicy")
    if given.get("quantization_config") is not None or quantized not in ("DTypePolicy", "Policy", "FloatDTypePolicy"):
        raise Unfit("is quantized, which is not rebuilt")
    only = kind.only or {}
    for key, value in given.items():
        if key in only and value not in only[key]:
            raise Unfit(f"can't be rebuilt: Keras 3's class has no {key} = {value!r}")
        known = key in only or key in kind.ignored or key in _IGNORED or key == "quantization_config"
        if not known and value is not None and not _TRAINING.fullmatch(key):
            raise Unfit(f"can't be rebuilt: it has the argument {key!r}, whose meaning is not known here")
