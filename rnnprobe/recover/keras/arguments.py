"""The arguments of Keras's layers in every release, told to the classes of Keras 3: tables, and checks of types.

An argument that is in no table might change the result; a layer that has one is not rebuilt. Regularizers, constraints
and initializers don't, and neither does what only training uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnprobe.recover.keras.config import Era, activation, mapped

Check = Callable[[Any, Era], Any]


class Unfit(Exception):
    """A value that no class of Keras's own takes; says what it is, as the rest of `its padding is …`."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a class of Keras 3.

    Attributes:
        name: there.
        check: the value as Keras 3 takes it; raises `Unfit`.
        older: its names before.
    """

    name: str
    check: Check
    older: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of Keras 3.

    Attributes:
        arguments: those that change the result.
        weights: what it stores, in the order in which it sets them, each with the argument that can do without it.
        only: arguments of some release and the only values of theirs that Keras 3 has.
        ignored: arguments that change nothing at inference, besides those of every layer.
    """

    arguments: tuple[Argument, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()
    only: Mapping[str, tuple[Any, ...]] | None = None
    ignored: tuple[str, ...] = ()


def plain(value: Any) -> Any:
    """A value without what some releases wrapped NumPy's numbers and tuples in."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__tuple__":
            return plain(value.get("items"))
        if value.get("class_name") == "__numpy__":
            return plain(mapped(value.get("config")).get("value"))
        return plain(value["value"]) if set(value) == {"type", "value"} else value
    return [plain(one) for one in value] if isinstance(value, list) else value


def whole(value: Any, meaning: Era) -> int:
    """A count; Keras 1 wrote some as floats."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Unfit(f"{value!r}, expected a whole number")
    return value


def number(value: Any, meaning: Era) -> float:
    """A number."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit(f"{value!r}, expected a number")
    return value


def flag(value: Any, meaning: Era) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise Unfit(f"{value!r}, expected true or false")
    return value


def numbers(value: Any, meaning: Era) -> Any:
    """A number, or lists of them."""
    return [numbers(one, meaning) for one in value] if isinstance(value, list) else number(value, meaning)


def wholes(value: Any, meaning: Era) -> Any:
    """A whole number, or lists of them."""
    return [wholes(one, meaning) for one in value] if isinstance(value, list) else whole(value, meaning)


def maybe(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value, meaning: None if value is None else check(value, meaning)


def word(*choices: str, **older: str) -> Check:
    """One of these words; `older` are others for them."""

    def check(value: Any, meaning: Era) -> str:
        found = older.get(value, value) if isinstance(value, str) else value
        if not isinstance(found, str) or found not in choices:
            raise Unfit(f"{value!r}, expected one of {', '.join(choices)}")
        return found

    return check


def _text(value: Any, meaning: Era) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{value!r}, expected a word")
    return value


def _axis(value: Any, meaning: Era) -> Any:
    """An axis, or several; tf.keras wrote a single one as a list."""
    value = wholes(value, meaning)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _sizes(value: Any, meaning: Era) -> Any:
    """A shape with sizes that are open."""
    return [maybe(whole)(one, meaning) for one in value] if isinstance(value, list) else maybe(whole)(value, meaning)


def _margins(value: Any, meaning: Era) -> Any:
    """What is cropped or padded on each side; Keras 1 had two more ways to say it."""
    if isinstance(value, Mapping):
        sides = [value.get(key, 0) for key in ("top_pad", "bottom_pad", "left_pad", "right_pad")]
        value = sides[2:] if set(value) <= {"left_pad", "right_pad"} else [sides[:2], sides[2:]]
    if isinstance(value, list) and len(value) == 4:
        value = [value[:2], value[2:]]
    return wholes(value, meaning)


_MORE = frozenset({"sparsemax"})
_ALIASES = {"softmax_v2": "softmax", "hard_swish": "hard_silu"}


def function(value: Any, meaning: Era) -> str:
    """An activation, by the name of `rnnprobe.cells.activations`, or one that only layers without recurrence use."""
    name = value
    if isinstance(value, Mapping) and value.get("class_name") in ("function", "builtin_function_or_method"):
        name = value.get("config")
    if isinstance(name, str):
        name = _ALIASES.get(name, name)
        if name in _MORE:
            return name
    found, problem = activation(name, meaning)
    if problem:
        raise Unfit(problem.removeprefix("its activation is "))
    return found


def _interpolation(value: Any, meaning: Era) -> str:
    """How pixels are filled in. Up to Keras 2.3 and TensorFlow 1.13 their corners were taken for their centres."""
    found: str = word("nearest", "bilinear", "bicubic")(value, meaning)
    if found != "nearest" and meaning.major < 3 and meaning.reset != "after":
        raise Unfit(f"{value!r}, which releases of that time computed in two ways")
    return found


_FORMAT = Argument(
    "data_format",
    maybe(word("channels_last", "channels_first", tf="channels_last", th="channels_first")),
    ("dim_ordering",),
)
_ACTIVATION = Argument("activation", function)
_BIAS = Argument("use_bias", flag, ("bias",))
_AXIS = Argument("axis", _axis)
_EPSILON = Argument("epsilon", number)
_PADDING = Argument("padding", word("valid", "same"), ("border_mode",))
_CAUSAL = Argument("padding", word("valid", "same", "causal"), ("border_mode",))
_KERNEL = (("kernel", ""), ("bias", "use_bias"))
_SHIFTED = (("gamma", "scale"), ("beta", "center"))
_SCALED = (Argument("center", flag), Argument("scale", flag))


def _convolution(padding: Argument, *more: Argument) -> tuple[Argument, ...]:
    return (
        Argument("kernel_size", wholes, ("filter_length",)),
        Argument("strides", wholes, ("subsample_length", "subsample")),
        padding,
        _FORMAT,
        Argument("dilation_rate", wholes, ("atrous_rate",)),
        _ACTIVATION,
        _BIAS,
        *more,
    )


_FILTERS = Argument("filters", whole, ("nb_filter",))
_MULTIPLIER = Argument("depth_multiplier", whole)
_OUTPUT_PADDING = Argument("output_padding", maybe(wholes))
_ONE_GROUP = {"groups": (1,)}
_POOL = (
    Argument("pool_size", wholes, ("pool_length",)),
    Argument("strides", maybe(wholes), ("stride",)),
    _PADDING,
    _FORMAT,
)
_NO_CAUSE = {"causal": (False,)}

KINDS: dict[str, Kind] = {
    "Embedding": Kind(
        (Argument("input_dim", whole), Argument("output_dim", whole), Argument("mask_zero", flag)),
        (("embeddings", ""),),
        ignored=("dropout",),
    ),
    "Masking": Kind((Argument("mask_value", number),)),
    "Dense": Kind((Argument("units", whole, ("output_dim",)), _ACTIVATION, _BIAS), _KERNEL),
    "EinsumDense": Kind(
        (
            Argument("equation", _text),
            Argument("output_shape", _sizes),
            _ACTIVATION,
            Argument("bias_axes", maybe(_text)),
        ),
        (("kernel", ""), ("bias", "bias_axes")),
    ),
    "Activation": Kind((_ACTIVATION,)),
    "Softmax": Kind((_AXIS,)),
    "LeakyReLU": Kind((Argument("negative_slope", number, ("alpha",)),)),
    "PReLU": Kind((Argument("shared_axes", maybe(wholes)),), (("alpha", ""),)),
    "ELU": Kind((Argument("alpha", number),)),
    "ReLU": Kind(
        (Argument("max_value", maybe(number)), Argument("negative_slope", number), Argument("threshold", number))
    ),
    "ThresholdedReLU": Kind((Argument("theta", number),)),
    "Conv1D": Kind((_FILTERS, *_convolution(_CAUSAL, Argument("groups", whole))), _KERNEL),
    **{f"Conv{n}D": Kind((_FILTERS, *_convolution(_PADDING, Argument("groups", whole))), _KERNEL) for n in (2, 3)},
    **{
        f"Conv{n}DTranspose": Kind((_FILTERS, *_convolution(_PADDING, _OUTPUT_PADDING)), _KERNEL, _ONE_GROUP)
        for n in (1, 2, 3)
    },
    **{
        f"SeparableConv{n}D": Kind(
            (_FILTERS, *_convolution(_CAUSAL if n == 1 else _PADDING, _MULTIPLIER)),
            (("depthwise_kernel", ""), ("pointwise_kernel", ""), ("bias", "use_bias")),
            _ONE_GROUP,
        )
        for n in (1, 2)
    },
    **{
        f"DepthwiseConv{n}D": Kind(
            _convolution(_PADDING, _MULTIPLIER), (("depthwise_kernel", ""), ("bias", "use_bias")), ignored=("groups",)
        )
        for n in (1, 2)
    },
    **{f"{kind}Pooling{n}D": Kind(_POOL) for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{n}D": Kind((_FORMAT, Argument("keepdims", flag)))
        for kind in ("Max", "Average")
        for n in (1, 2, 3)
    },
    "BatchNormalization": Kind(
        (_AXIS, _EPSILON, *_SCALED),
        (*_SHIFTED, ("moving_mean", ""), ("moving_variance", "")),
        {"mode": (0,), "renorm": (False,), "virtual_batch_size": (None,), "adjustment": (None,)},
        ("fused", "synchronized", "renorm_clipping", "renorm_momentum"),
    ),
    "LayerNormalization": Kind((_AXIS, _EPSILON, *_SCALED), _SHIFTED, {"rms_scaling": (False,)}),
    "GroupNormalization": Kind((Argument("groups", whole), _AXIS, _EPSILON, *_SCALED), _SHIFTED),
    "UnitNormalization": Kind((_AXIS,)),
    "RMSNormalization": Kind((_AXIS, _EPSILON), (("scale", ""),)),
    "Normalization": Kind(
        (
            Argument("axis", maybe(_axis)),
            Argument("mean", maybe(numbers)),
            Argument("variance", maybe(numbers)),
            Argument("invert", flag),
        ),
        (("mean", "mean"), ("variance", "variance")),
        ignored=("input_mean", "input_variance"),
    ),
    "Rescaling": Kind((Argument("scale", numbers), Argument("offset", numbers))),
    "Flatten": Kind((_FORMAT,)),
    "Reshape": Kind((Argument("target_shape", wholes),)),
    "Permute": Kind((Argument("dims", wholes),)),
    "RepeatVector": Kind((Argument("n", whole),)),
    "Cropping1D": Kind((Argument("cropping", _margins),)),
    **{f"Cropping{n}D": Kind((Argument("cropping", _margins), _FORMAT)) for n in (2, 3)},
    **{f"ZeroPadding{n}D": Kind((Argument("padding", _margins), _FORMAT)) for n in (1, 2, 3)},
    "UpSampling1D": Kind((Argument("size", wholes, ("length",)),)),
    "UpSampling2D": Kind((Argument("size", wholes), _FORMAT, Argument("interpolation", _interpolation))),
    "UpSampling3D": Kind((Argument("size", wholes), _FORMAT)),
    "Concatenate": Kind((_AXIS,)),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), Kind()),
    "Dot": Kind((Argument("axes", wholes), Argument("normalize", flag))),
    "Attention": Kind(
        (Argument("use_scale", flag), Argument("score_mode", word("dot", "concat"))),
        (("scale", "use_scale"), ("concat_score_weight", "score_mode")),
        _NO_CAUSE,
    ),
    "AdditiveAttention": Kind((Argument("use_scale", flag),), (("scale", "use_scale"),), _NO_CAUSE),
    "MultiHeadAttention": Kind(
        (
            Argument("num_heads", whole),
            Argument("key_dim", whole),
            Argument("value_dim", maybe(whole)),
            Argument("use_bias", flag),
            Argument("output_shape", _sizes),
            Argument("attention_axes", maybe(wholes)),
        ),
        only={"use_gate": (False,), "sliding_window": (None,)},
        ignored=("query_shape", "key_shape", "value_shape", "flash_attention", "softmax_robust_masking"),
    ),
}
"""The classes of Keras 3 that are rebuilt, without those that wrap others."""

_RENAMED = {
    "TimeDistributedDense": "Dense",
    **{f"{kind}Pool{n}D": f"{kind}Pooling{n}D" for kind in ("Max", "Avg") for n in (1, 2, 3)},
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": f"Conv{n}D" for n in (1, 2)},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    **{f"Convolution{n}DTranspose": f"Conv{n}DTranspose" for n in (2, 3)},
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}

_IGNORED = frozenset(
    {
        "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dtype", "build_config",
        "autocast", "sparse", "ragged", "lora_rank", "lora_alpha", "init", "input_dim", "input_length", "momentum",
        "seed", "dropout", "weights", "gptq_unpacked_column_size", "inbound_nodes",
    }
)  # fmt: skip
_TRAINING = re.compile(r".*_(?:initializer|regularizer|constraint|init)")
_ROWS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))


def renamed(class_name: str) -> str:
    """The name in Keras 3 of a class of an earlier release."""
    return _RENAMED.get(class_name, class_name)


def arguments(class_name: str, config: Mapping[str, Any], meaning: Era) -> dict[str, Any]:
    """The arguments of a class of `KINDS`, from the configuration of any release.

    Raises:
        Unfit: a value, or an argument, that Keras 3's class doesn't have; the text is a predicate of the layer.
    """
    kind = KINDS[class_name]
    given = {key: plain(value) for key, value in config.items()}
    for rows in _ROWS:
        if all(key in given for key in rows):
            given["kernel_size"] = [given.pop(key) for key in rows]
    found: dict[str, Any] = {}
    for argument in kind.arguments:
        key = next((key for key in (argument.name, *argument.older) if key in given), None)
        if key is None:
            continue
        try:
            found[argument.name] = argument.check(given.pop(key), meaning)
        except Unfit as exc:
            raise Unfit(f"can't be rebuilt: its {key} is {exc}") from exc
    _rest(kind, given)
    return found


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
