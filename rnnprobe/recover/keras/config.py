"""Keras configurations as data: layers, calls between them, activations, and what a release took for granted.

Nothing in a configuration is executed, and nothing in it is trusted to have the right type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rnnprobe.cells.activations import ACTIVATIONS
from rnnprobe.errors import BadInput
from rnnprobe.types import KerasConfig

_ALIASES = {"silu": "swish", "hard_swish": "hard_silu", "softmax_v2": "softmax"}
# Operations with which Keras 3 spells out masks; a `.h5` has them without their module.
_OPERATIONS = frozenset({"Any", "Cast", "ExpandDims", "NotEqual", "Squeeze"})
# Others that are called as layers are.
_NAMESAKES = frozenset({"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply"})
_NAMESAKES |= {"Reshape", "Softmax", "Subtract"}
MODELS = frozenset({"Sequential", "Functional", "Model"})
_OWN = frozenset({"hard_sigmoid_keras3", "gelu_approximate"})  # words that no configuration has


@dataclass(frozen=True, slots=True)
class Era:
    """What a release of Keras took for granted (cells.md, section 9.4).

    Attributes:
        major: 1, 2 or 3.
        recurrent_activation: the default of LSTM and GRU.
        reset: the default of GRU.
        words: for messages.
        zeros_in_bidirectional: what `Bidirectional` wraps emits zeros at masked steps (section 9.5).
        masked: what a layer emits at masked steps otherwise: what it did last, or the state that it holds; they differ
            before the first step that counts, where a layer is told what to start from.
    """

    major: int
    recurrent_activation: str
    reset: str
    words: str
    zeros_in_bidirectional: bool = True
    masked: Literal["last", "state"] = "last"

    @property
    def hard_sigmoid(self) -> str:
        """What the word means."""
        return "hard_sigmoid_keras3" if self.major >= 3 else "hard_sigmoid"


def era(version: str, *, keras_3: bool = False) -> Era:
    """The era of a `keras_version`, or of what else is known where there is none.

    Args:
        version: `1.2.2`, `2.2.4-tf`, `3.15.1`, or empty.
        keras_3: the configuration or the layout is Keras 3's.
    """
    numbers = [int(n[:6]) for n in re.findall(r"\d+", version)[:2]]
    known = (*numbers, 0)[:2] if numbers else (3, 0) if keras_3 else None
    words = f"Keras {version}" if version else "Keras of an unknown release" if known is None else f"Keras {known[0]}"
    if known is None:
        return Era(2, "sigmoid", "after", words)
    if known[0] >= 3:
        return Era(3, "sigmoid", "after", words)
    # `2.2.4-tf` was written by TensorFlow 1.13 to 1.15 and by 2.0 and 2.1, whose defaults differ.
    if known >= (2, 4) or version == "2.3.0-tf":
        return Era(2, "sigmoid", "after", words)
    if known >= (2, 3):
        return Era(2, "sigmoid", "before", words, zeros_in_bidirectional=False)
    late = version == "2.2.4-tf"
    return Era(1 if known[0] < 2 else 2, "hard_sigmoid", "before", words, late, "last" if late else "state")


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        BadInput: it is something else.
    """
    if not isinstance(value, Mapping):
        raise BadInput(f"the Keras configuration is damaged: {what} is {_kind(value)}, expected an object")
    return value


def listing(value: Any, what: str) -> Sequence[Any]:
    """A JSON array.

    Raises:
        BadInput: it is something else.
    """
    if not isinstance(value, list):
        raise BadInput(f"the Keras configuration is damaged: {what} is {_kind(value)}, expected an array")
    return value


def text(value: Any, what: str) -> str:
    """A JSON string.

    Raises:
        BadInput: it is something else.
    """
    if not isinstance(value, str):
        raise BadInput(f"the Keras configuration is damaged: {what} is {_kind(value)}, expected a string")
    return value


def mapped(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one where it is something else."""
    return value if isinstance(value, Mapping) else {}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """A layer as a configuration describes it.

    Attributes:
        class_name: without the package that registered it.
        name: its own, or empty (Keras 1 gave nested models none).
        config: its arguments; of an old Sequential model, `{"layers": […]}`.
        foreign: it is registered by somebody else than Keras, whatever its class is called.
        package: under which it is registered, or empty.
        operation: a bare operation of Keras 3, no layer.
        calls: how it is called in a functional model.
    """

    class_name: str
    name: str
    config: Mapping[str, Any]
    foreign: bool = False
    operation: bool = False
    calls: tuple[Call, ...] = ()
    package: str = ""


@dataclass(frozen=True, slots=True)
class Ref:
    """An output of a call: layer, number of the call, number of the output."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True, slots=True)
class Call:
    """A layer's inputs in one call.

    Attributes:
        inputs: the positional ones.
        named: those by keyword; None where null was given.
        constant: a number given beside them (Keras 3 operations).
        switches: the keywords for which true was given.
    """

    inputs: tuple[Ref, ...] = ()
    named: Mapping[str, tuple[Ref, ...] | None] = field(default_factory=dict)
    constant: float | None = None
    switches: frozenset[str] = frozenset()


def layer_config(value: Any, what: str) -> LayerConfig:
    """A layer from its JSON."""
    stored = mapping(value, what)
    class_name = text(stored.get("class_name"), f"class_name of {what}")
    config = stored.get("config")
    if isinstance(config, list):
        config = {"layers": config}
    config = mapping(config, f"config of {class_name}")
    name = config.get("name", stored.get("name", ""))
    module, registered = stored.get("module"), stored.get("registered_name")
    package = _package(class_name) or _package(registered)
    foreign = bool(package)
    if isinstance(module, str):
        foreign = foreign or module.split(".")[0] not in ("keras", "tf_keras", "tensorflow", "builtins")
    nodes = listing(stored.get("inbound_nodes") or [], f"inbound_nodes of {name}")
    # In a `.h5` of Keras 3 `x * 2` is a Multiply without its module; every layer says whether it can be trained.
    bare = class_name in _NAMESAKES and any(isinstance(node, Mapping) for node in nodes) and "trainable" not in config
    return LayerConfig(
        class_name=class_name.rpartition(">")[2],
        name=text(name, f"name of {class_name}") if name is not None else "",
        config=config,
        foreign=foreign,
        operation=(isinstance(module, str) and ".ops" in module) or class_name in _OPERATIONS or bare,
        calls=tuple(_call(node) for node in nodes),
        package=package,
    )


def _package(name: Any) -> str:
    """The package under which a class is registered (`Addons>ESN`), or empty."""
    return name.partition(">")[0] if isinstance(name, str) and ">" in name else ""


def _call(node: Any) -> Call:
    """One of `inbound_nodes`, in the spelling of Keras 1 and 2 (lists) or 3 (an object)."""
    if isinstance(node, Mapping):
        named = mapping(node.get("kwargs") or {}, "kwargs of a call")
        args = node.get("args")
        numbers = [value for value in args if type(value) in (int, float)] if isinstance(args, list) else []
        return Call(
            tuple(_tensors(args)),
            {name: None if value is None else tuple(_tensors(value)) for name, value in named.items()},
            float(numbers[0]) if len(numbers) == 1 else None,
            frozenset(name for name, value in named.items() if value is True),
        )
    entries = listing(node, "a call in inbound_nodes")
    if entries and isinstance(entries[0], str):
        entries = [entries]
    inputs: list[Ref] = []
    switches: set[str] = set()
    keywords: dict[str, tuple[Ref, ...] | None] = {}
    for entry in entries:
        inputs += [ref for ref in _refs(entry) if ref.layer != "_CONSTANT_VALUE"]
        if isinstance(entry, list) and len(entry) > 3 and isinstance(entry[3], Mapping):
            for name, value in entry[3].items():
                keywords[name] = None if value is None else tuple(_refs(value))
                switches |= {name} if value is True else set()
    return Call(tuple(inputs), keywords, switches=frozenset(switches))


def _tensors(value: Any) -> Iterator[Ref]:
    """The Keras 3 tensors in nested arguments."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            history = mapping(value.get("config"), "a tensor").get("keras_history")
            yield from _refs(history)
        else:
            for inner in value.values():
                yield from _tensors(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _tensors(inner)


def _refs(value: Any) -> Iterator[Ref]:
    """The `[layer, call, output]` triples in nested lists."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _refs(inner)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int:
            yield Ref(value[0], value[1], value[2])
        else:
            for inner in value:
                yield from _refs(inner)


def references(value: Any) -> list[Ref]:
    """The inputs or outputs of a functional model, in either spelling."""
    return list(_refs(value))


def first_calls(model: LayerConfig, layers: Sequence[LayerConfig], meaning: Era) -> dict[str, int]:
    """Layer → the number of its first call, as the calls of others count.

    Keras 1 and 2 count a model's own making as call 0.
    """
    refs = [ref for layer in layers for call in layer.calls for ref in call.inputs]
    refs += [ref for layer in layers for call in layer.calls for named in call.named.values() for ref in named or ()]
    refs += references(model.config.get("output_layers"))
    counted = {layer.name for layer in layers if layer.class_name in MODELS and meaning.major < 3}
    counted -= {ref.layer for ref in refs if ref.call < 1}
    return {layer.name: int(layer.name in counted) for layer in layers}


def results(model: LayerConfig, layers: Sequence[LayerConfig], meaning: Era) -> list[Ref]:
    """The outputs of a functional model, numbered as the calls of its layers are.

    Keras 3 counts a functional model's own making here, and nowhere else.
    """
    models = {layer.name for layer in layers if layer.class_name in MODELS - {"Sequential"} and meaning.major >= 3}
    refs = references(model.config.get("output_layers"))
    return [Ref(ref.layer, ref.call - 1, ref.output) if ref.layer in models and ref.call else ref for ref in refs]


def layers_of(model: LayerConfig) -> list[LayerConfig]:
    """The layers of a Sequential or functional model."""
    found = []
    for k, value in enumerate(listing(model.config.get("layers"), f"layers of {model.name or model.class_name}")):
        layer = layer_config(value, f"layer {k} of {model.name or model.class_name}")
        if not layer.name and isinstance(value, Mapping) and isinstance(value.get("name"), str):
            layer = replace(layer, name=value["name"])
        found.append(layer)
    return found


def input_shape(layer: LayerConfig) -> tuple[int | None, ...] | None:
    """The shape of one sequence of what enters a layer or a model, None for a size that is open; None where it is not
    said."""
    config = layer.config
    for key in ("batch_input_shape", "batch_shape", "build_input_shape"):
        shape = config.get(key)
        if isinstance(shape, list) and shape and all(size is None or type(size) is int for size in shape):
            return tuple(shape[1:])
    if layer.class_name == "Embedding":
        length = config.get("input_length")
        return (length if type(length) is int else None,)
    stored = config.get("layers")
    within = stored[0] if isinstance(stored, list) and stored else config.get("layer")
    return input_shape(layer_config(within, f"what stands first in {layer.name}")) if within is not None else None


def activation(value: Any, meaning: Era) -> tuple[str, str]:
    """An activation by the name that the cells know it by.

    Returns:
        The name and an empty string; or an empty name and why there is none.
    """
    if value is None:
        return "linear", ""
    if isinstance(value, Mapping):
        inner = value.get("config")
        is_function = value.get("class_name") in ("function", "builtin_function_or_method") and isinstance(inner, str)
        if not is_function:
            return "", f"its activation is {value.get('class_name')!r}, a layer or class of its own"
        value = inner
    if not isinstance(value, str):
        return "", f"its activation is {_kind(value)}"
    name = _ALIASES.get(value, value)
    if name == "hard_sigmoid":
        name = meaning.hard_sigmoid
    if name not in ACTIVATIONS or value in _OWN:
        known = ", ".join(name for name in ACTIVATIONS if name not in _OWN)
        return "", f"its activation is {value!r}, which is none of {known}"
    return name, ""


def looks_like_keras_3(config: KerasConfig) -> bool:
    """Whether a configuration has the marks of Keras 3: dtype policies, or inputs with `batch_shape`."""
    inner = mapped(config.model.get("config"))
    layers = inner.get("layers")
    found = [inner, *(mapped(mapped(layer).get("config")) for layer in (layers if isinstance(layers, list) else ()))]
    return any("batch_shape" in c or (mapped(c.get("dtype")).get("class_name") == "DTypePolicy") for c in found)
