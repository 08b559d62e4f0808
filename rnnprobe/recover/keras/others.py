"""Recurrent classes that come in Keras's files and are none of its own, and whose equations are known.

Those of TensorFlow Addons (`tensorflow_addons/rnn`, 0.20), and some that were published for Keras 2:
https://github.com/titu1994/Keras-just-another-network-JANET (`janet.py`, `chrono_lstm.py`) and
https://github.com/titu1994/Keras-IndRNN (`ind_rnn.py`). A class is told by its name in a configuration, or by that of a
layer or a scope where there is none; never by the shapes of its weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rnnprobe.cells.addons import ADDONS_LAYER_NORM_LSTM, ADDONS_PEEPHOLE_LSTM
from rnnprobe.cells.janet import JANET
from rnnprobe.cells.lstm import KERAS_LSTM
from rnnprobe.cells.nas import NAS
from rnnprobe.cells.rnn import ADDONS_ESN, ADDONS_LAYER_NORM_SIMPLE_RNN, KERAS_IND_RNN
from rnnprobe.formats.keras_names import snake_case
from rnnprobe.recover.keras.config import Era, LayerConfig, activation
from rnnprobe.types import Cell, OptionValue, Value

Config: TypeAlias = Mapping[str, Any]

_COUNTER = re.compile(r"_\d+$")
STORED = ("kernel", "recurrent_kernel", "bias")
"""What Keras's own cells store, in their order."""


@dataclass(frozen=True, slots=True)
class Other:
    """A class, or a cell and the layer that runs it.

    Attributes:
        cell: what computes it.
        classes: its names.
        package: under which it is registered, or empty.
        leaves: its variables in the order in which it makes them, which is that of `.weights.h5`.
        telling: those of them that no other class has.
        arguments: option → the argument that sets it, where they are called differently.
        defaults: option → its own default, where that is not the cell's.
        marks: arguments without which a class of this name is somebody else's.
        held: whether it makes a variable, by its arguments.
        read: its arguments, with what it makes of some of them when it is built.
        origin: where it was published, in words.
        remark: what a report should say of it, or empty.
    """

    cell: Cell
    classes: tuple[str, ...]
    package: str = ""
    leaves: tuple[str, ...] = STORED
    telling: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    held: Callable[[Config, str], bool] = lambda config, leaf: leaf != "bias" or config.get("use_bias") is not False
    read: Callable[[Config], Config] = lambda config: config
    origin: str = "TensorFlow Addons"
    remark: str = ""

    @property
    def words(self) -> frozenset[str]:
        """The names that Keras gives its layers and scopes."""
        return frozenset(map(snake_case, self.classes))

    def stored(self, config: Config) -> list[str]:
        """The variables of one, in their order."""
        return [leaf for leaf in self.leaves if self.held(config, leaf)]

    def assumed(self, meaning: Era) -> dict[str, Value]:
        """Its options without a configuration: its own defaults."""
        return {
            option.name: Value(self._default(option.name, option.default, meaning), "assumed")
            for option in self.cell.options
            if len(option.choices) != 1
        }

    def options(self, config: Config, meaning: Era) -> tuple[dict[str, Value], str]:
        """Its options as a configuration says them, and what stands against rebuilding it."""
        config, known = self.read(config), self.assumed(meaning)
        for option in self.cell.options:
            key = self.arguments.get(option.name, option.name)
            if key not in config or len(option.choices) == 1:
                continue
            value: OptionValue = config[key]
            if option.choices:
                value, problem = activation(value, meaning)
                if problem:
                    return {}, problem
            elif isinstance(value, bool) or not isinstance(value, int | float | None):
                return {}, f"its {key} is {value!r}, expected a number"
            known[option.name] = Value(value if isinstance(value, str | None) else float(str(value)), "config")
        return known, ""

    def _default(self, name: str, default: OptionValue, meaning: Era) -> OptionValue:
        value = self.defaults.get(name, default)
        return meaning.hard_sigmoid if value == "hard_sigmoid" else value


def _with_projection(config: Config, leaf: str) -> bool:
    """NASCell, whose bias and projection are off by default."""
    needed = {"bias": config.get("use_bias") is True, "projection_weights": config.get("projection") is not None}
    return needed.get(leaf, True)


def _clipped(config: Config) -> Config:
    """IndRNN: -1 stands for 0 and 2^(1/steps), or 1 where the steps are not known; one null is two."""
    low, high = (config.get(f"recurrent_clip_{end}", 0) for end in ("min", "max"))
    if low is None or high is None:
        return {**config, "recurrent_clip_min": 0.0, "recurrent_clip_max": None}
    if -1 not in (low, high):
        return config
    shape = config.get("batch_input_shape")
    steps = shape[1] if isinstance(shape, list) and len(shape) > 1 else None
    return {
        **{key: value for key, value in config.items() if key != "recurrent_clip_max"},
        "recurrent_clip_min": 0.0,
        **({"recurrent_clip_max": 2.0 ** (1 / steps)} if type(steps) is int and steps > 0 else {}),
    }


_PEEPHOLES = tuple(f"{word}_gate_peephole_weights" for word in ("input", "forget", "output"))
_NORMS = tuple(f"{name}_norm/{what}" for name in ("kernel", "recurrent", "state") for what in ("gamma", "beta"))
_JANET = "https://github.com/titu1994/Keras-just-another-network-JANET"
_IND_RNN = "https://github.com/titu1994/Keras-IndRNN"

OTHERS: tuple[Other, ...] = (
    Other(ADDONS_PEEPHOLE_LSTM, ("PeepholeLSTMCell",), "Addons", (*STORED, *_PEEPHOLES), _PEEPHOLES),
    Other(
        ADDONS_LAYER_NORM_LSTM,
        ("LayerNormLSTMCell",),
        "Addons",
        (*STORED, *_NORMS),
        _NORMS,
        {"epsilon": "norm_epsilon"},
    ),
    Other(
        ADDONS_LAYER_NORM_SIMPLE_RNN,
        ("LayerNormSimpleRNN", "LayerNormSimpleRNNCell"),
        "Addons",
        (*STORED, "layernorm/gamma"),
        arguments={"epsilon": "layernorm_epsilon"},
    ),
    Other(ADDONS_ESN, ("ESN", "ESNCell"), "Addons", ("recurrent_kernel", "kernel", "bias")),
    Other(
        NAS,
        ("NASCell",),
        "Addons",
        ("recurrent_kernel", "kernel", "bias", "projection_weights"),
        held=_with_projection,
    ),
    Other(JANET, ("JANET", "JANETCell"), marks=("beta",), origin=_JANET),
    Other(
        KERAS_LSTM,
        ("ChronoLSTM", "ChronoLSTMCell"),
        defaults={"recurrent_activation": "hard_sigmoid"},
        marks=("max_timesteps",),
        origin=_JANET,
        remark="an LSTM whose biases were drawn otherwise before training",
    ),
    Other(
        KERAS_IND_RNN,
        ("IndRNN", "IndRNNCell"),
        leaves=("input_kernel", "recurrent_kernel", "bias"),
        telling=("input_kernel",),
        marks=("recurrent_clip_min", "recurrent_clip_max"),
        read=_clipped,
        origin=_IND_RNN,
        remark="which clips its recurrent weights as it runs, a layer that knows its steps to 2^(1/steps)",
    ),
)

LEAVES = frozenset(leaf for other in OTHERS for leaf in other.leaves) | {"gamma"}
"""Every name below the scope of one; HDF5 files have the norm of LayerNormSimpleRNN beside its kernels."""
CELLS = tuple(dict.fromkeys(other.cell for other in OTHERS if other.cell.framework != "keras"))


def of_class(layer: LayerConfig) -> Other | None:
    """The class that a configuration names, where it is one of these."""
    for other in OTHERS:
        if layer.class_name in other.classes and other.package == layer.package:
            return other if all(mark in layer.config for mark in other.marks) else None
    return None


def of_names(words: Iterable[str], leaves: Collection[str]) -> Other | None:
    """The class that the names tell: of a layer or its scopes, or of variables that no other class has."""
    plain = {_COUNTER.sub("", word) for word in words}
    for other in OTHERS:
        if plain & other.words or set(other.telling) & set(leaves):
            return other
    return None
