"""The classes of Keras 3 that are rebuilt: the one allow-list. A row is a class and says all that is known of it.

An argument that is in no row might change the result; a layer that has one is not rebuilt. Regularizers, constraints
and initializers don't, and neither does what only training uses.
"""

from __future__ import annotations

from collections.abc import Callable

from rnnprobe.recover.keras import rules
from rnnprobe.recover.keras.checks import (
    axis,
    flag,
    function,
    interpolation,
    margins,
    maybe,
    number,
    numbers,
    sizes,
    text,
    whole,
    wholes,
    word,
)
from rnnprobe.recover.keras.rules import Argument, Kind, Weight


def _unless(name: str, default: bool = True) -> Callable[[rules.Config], bool]:
    """Whether an argument is not false."""
    return lambda config: bool(config.get(name, default))


MERGES = {"concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average"}
"""How several inputs become one, and the class that does it."""

NOTHING = frozenset(
    {
        "ActivityRegularization", "ActivityRegularizer", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
        "Identity", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    }
)  # fmt: skip
"""What passes on its input at inference, so that `Identity` takes its place."""

_FORMAT = Argument(
    "data_format",
    maybe(word("channels_last", "channels_first", tf="channels_last", th="channels_first")),
    ("dim_ordering",),
)
_ACTIVATION = Argument("activation", function)
_BIAS = Argument("use_bias", flag, ("bias",))
_AXIS = Argument("axis", axis)
_EPSILON = Argument("epsilon", number)
_SCALED = (Argument("center", flag), Argument("scale", flag))
_FILTERS = Argument("filters", whole, ("nb_filter",))
_UNITS = Argument("units", whole, ("output_dim",))
_GROUPS = Argument("groups", whole)
_MULTIPLIER = Argument("depth_multiplier", whole)
_PADDING = Argument("padding", word("valid", "same"), ("border_mode",))
_CAUSAL = Argument("padding", word("valid", "same", "causal"), ("border_mode",))
_ONE_GROUP = {"groups": (1,)}
_NO_CAUSE = {"causal": (False,)}


def _convolution(*more: Argument, causal: bool = False) -> tuple[Argument, ...]:
    return (
        Argument("kernel_size", wholes, ("filter_length",)),
        Argument("strides", wholes, ("subsample_length", "subsample")),
        _CAUSAL if causal else _PADDING,
        _FORMAT,
        Argument("dilation_rate", wholes, ("atrous_rate",)),
        _ACTIVATION,
        _BIAS,
        *more,
    )


_STRIDES = Argument("strides", maybe(wholes), ("stride",))
_POOL = (Argument("pool_size", wholes, ("pool_length",)), _STRIDES, _PADDING, _FORMAT)


def _kernel(shape: rules.Shape | None = None, bias: rules.Shape | None = None) -> tuple[Weight, Weight]:
    return Weight("kernel", ("W",), shape=shape), Weight("bias", ("b",), _unless("use_bias"), bias)


def _depthwise(axes: int) -> Weight:
    return Weight("depthwise_kernel", ("kernel",), shape=rules.window(axes, "depth_multiplier"))


def _shifted(shape: rules.Shape | None = None) -> tuple[Weight, Weight]:
    return Weight("gamma", held=_unless("scale"), shape=shape), Weight("beta", held=_unless("center"), shape=shape)


def _elementwise(*arguments: Argument) -> Kind:
    return Kind(arguments, steps=rules.each_step, hands_on=1)


_FILTER_BIAS = Weight("bias", ("b",), _unless("use_bias"), rules.sizes("filters"))
_VECTOR = rules.sizes("")
_RUN = tuple(
    Argument(name, maybe(flag)) for name in ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
)
_INNER_ACTIVATION = Argument("recurrent_activation", function, ("inner_activation",))
_CELLS = {
    "SimpleRNN": (_UNITS, _ACTIVATION, _BIAS),
    "LSTM": (_UNITS, _ACTIVATION, _BIAS, _INNER_ACTIVATION),
    "GRU": (_UNITS, _ACTIVATION, _BIAS, _INNER_ACTIVATION, Argument("reset_after", maybe(flag))),
}

KINDS: dict[str, Kind] = {
    "Model": Kind(rank=rules.unknown),
    "TimeDistributed": Kind(steps=lambda config, rank: True, hands_on=1),
    "Identity": _elementwise(),
    "Embedding": Kind(
        (Argument("input_dim", whole), Argument("output_dim", whole), Argument("mask_zero", flag)),
        (Weight("embeddings", ("W",), shape=rules.sizes("input_dim", "output_dim")),),
        ignored=("dropout",),
        steps=rules.looked_up,
        rank=lambda config, given: None if given is None else given + 1,
    ),
    "Masking": Kind((Argument("mask_value", number),), steps=lambda config, rank: True, width=rules.same, hands_on=1),
    "Dense": Kind(
        (_UNITS, _ACTIVATION, _BIAS),
        _kernel(rules.sizes("", "units"), rules.sizes("units")),
        steps=rules.each_step,
        width=rules.of("units"),
        hands_on=1,
    ),
    "EinsumDense": Kind(
        (Argument("equation", text), Argument("output_shape", sizes), _ACTIVATION, Argument("bias_axes", maybe(text))),
        (Weight("kernel", ("W",)), Weight("bias", ("b",), lambda config: config.get("bias_axes") is not None)),
        steps=rules.einsum,
        rank=rules.unknown,
    ),
    "Activation": Kind((_ACTIVATION,), steps=rules.activated, width=rules.same, hands_on=1),
    # It takes a mask of the shape of its input, which no mask of steps is.
    "Softmax": Kind((_AXIS,), steps=rules.along_axis, hands_on=1),
    "LeakyReLU": _elementwise(Argument("negative_slope", number, ("alpha",))),
    "PReLU": Kind(
        (Argument("shared_axes", maybe(wholes)),), (Weight("alpha", ("alphas",)),), steps=rules.shared_slope, hands_on=1
    ),
    "ELU": _elementwise(Argument("alpha", number)),
    "ReLU": _elementwise(
        Argument("max_value", maybe(number)), Argument("negative_slope", number), Argument("threshold", number)
    ),
    "ThresholdedReLU": _elementwise(Argument("theta", number)),
    **{
        f"Conv{n}D": Kind(
            (_FILTERS, *_convolution(_GROUPS, causal=n == 1)),
            _kernel(rules.window(n, "filters"), rules.sizes("filters")),
            axes=n,
            width=rules.of("filters") if n == 1 else rules.unknown,
        )
        for n in (1, 2, 3)
    },
    **{
        f"Conv{n}DTranspose": Kind(
            (_FILTERS, *_convolution(Argument("output_padding", maybe(wholes)))), _kernel(), _ONE_GROUP, axes=n
        )
        for n in (1, 2, 3)
    },
    **{
        f"SeparableConv{n}D": Kind(
            (_FILTERS, *_convolution(_MULTIPLIER, causal=n == 1)),
            (_depthwise(n), Weight("pointwise_kernel", shape=rules.pointwise(n)), _FILTER_BIAS),
            _ONE_GROUP,
            axes=n,
            width=rules.of("filters") if n == 1 else rules.unknown,
        )
        for n in (1, 2)
    },
    **{
        f"DepthwiseConv{n}D": Kind(
            _convolution(_MULTIPLIER),
            (_depthwise(n), Weight("bias", ("b",), _unless("use_bias"), _VECTOR)),
            ignored=("groups",),
            axes=n,
        )
        for n in (1, 2)
    },
    **{f"{kind}Pooling{n}D": Kind(_POOL, axes=n) for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{n}D": Kind(
            (_FORMAT, Argument("keepdims", flag)), rank=rules.pooled, takes_mask=(kind, n) == ("Average", 1)
        )
        for kind in ("Max", "Average")
        for n in (1, 2, 3)
    },
    "BatchNormalization": Kind(
        (_AXIS, _EPSILON, *_SCALED),
        (
            *_shifted(_VECTOR),
            Weight("moving_mean", ("running_mean",), shape=_VECTOR),
            Weight("moving_variance", ("running_std",), shape=_VECTOR),  # Keras 1 called the variance so
        ),
        {"mode": (0,), "renorm": (False,), "virtual_batch_size": (None,), "adjustment": (None,)},
        ("fused", "synchronized", "renorm_clipping", "renorm_momentum"),
        steps=rules.along_axis,
        width=rules.same,
        hands_on=1,
    ),
    "LayerNormalization": Kind(
        (_AXIS, _EPSILON, *_SCALED),
        _shifted(),
        {"rms_scaling": (False,)},
        steps=rules.along_axis,
        width=rules.same,
        hands_on=1,
    ),
    "GroupNormalization": Kind((_GROUPS, _AXIS, _EPSILON, *_SCALED), _shifted(), hands_on=3),
    "UnitNormalization": Kind((_AXIS,), steps=rules.along_axis, hands_on=1),
    "RMSNormalization": Kind((_AXIS, _EPSILON), (Weight("scale"),), steps=rules.along_axis),
    "Normalization": Kind(
        (
            Argument("axis", maybe(axis)),
            Argument("mean", maybe(numbers)),
            Argument("variance", maybe(numbers)),
            Argument("invert", flag),
        ),
        tuple(
            Weight(role, (f"adapt_{role}",), lambda config: config.get("mean") is None) for role in ("mean", "variance")
        ),
        ignored=("input_mean", "input_variance"),
        unread=frozenset({"count", "2"}),
        steps=rules.along_axis,
        hands_on=3,
    ),
    "Rescaling": Kind((Argument("scale", numbers), Argument("offset", numbers)), steps=rules.rescaled, hands_on=3),
    "Flatten": Kind((_FORMAT,), rank=lambda config, given: 2),
    "Reshape": Kind((Argument("target_shape", wholes),), rank=lambda config, given: len(config["target_shape"]) + 1),
    "Permute": Kind((Argument("dims", wholes),)),
    "RepeatVector": Kind((Argument("n", whole),), rank=lambda config, given: 3, width=rules.same),
    "Cropping1D": Kind((Argument("cropping", margins),)),
    **{f"Cropping{n}D": Kind((Argument("cropping", margins), _FORMAT)) for n in (2, 3)},
    **{f"ZeroPadding{n}D": Kind((Argument("padding", margins), _FORMAT)) for n in (1, 2, 3)},
    "UpSampling1D": Kind((Argument("size", wholes, ("length",)),)),
    "UpSampling2D": Kind((Argument("size", wholes), _FORMAT, Argument("interpolation", interpolation))),
    "UpSampling3D": Kind((Argument("size", wholes), _FORMAT)),
    "Concatenate": Kind((_AXIS,), steps=rules.along_axis, hands_on=1),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), _elementwise()),
    "Dot": Kind((Argument("axes", wholes), Argument("normalize", flag)), rank=rules.unknown),
    "Attention": Kind(
        (Argument("use_scale", flag), Argument("score_mode", word("dot", "concat"))),
        (
            Weight("scale", held=_unless("use_scale", False)),
            Weight("concat_score_weight", held=lambda config: config.get("score_mode") == "concat"),
        ),
        _NO_CAUSE,
        takes_mask=True,
        hands_on=1,
    ),
    "AdditiveAttention": Kind(
        (Argument("use_scale", flag),),
        (Weight("scale", held=_unless("use_scale")),),
        _NO_CAUSE,
        takes_mask=True,
        hands_on=1,
    ),
    "MultiHeadAttention": Kind(
        (
            Argument("num_heads", whole),
            Argument("key_dim", whole),
            Argument("value_dim", maybe(whole)),
            Argument("use_bias", flag),
            Argument("output_shape", sizes),
            Argument("attention_axes", maybe(wholes)),
        ),
        _kernel(),
        only={"use_gate": (False,), "sliding_window": (None,)},
        ignored=("query_shape", "key_shape", "value_shape", "flash_attention", "softmax_robust_masking"),
        parts=(
            ("query", "query_dense", "_query_dense"),
            ("key", "key_dense", "_key_dense"),
            ("value", "value_dense", "_value_dense"),
            ("attention_output", "output_dense", "_output_dense"),
        ),
        rank=rules.unknown,
        takes_mask=True,
        hands_on=1,
    ),
    **{name: Kind((*own, *_RUN), recurrent=True) for name, own in _CELLS.items()},
    **{f"{name}Cell": Kind(own, recurrent=True) for name, own in _CELLS.items()},
    **{f"ConvLSTM{n}D": Kind((_FILTERS, *_convolution(_INNER_ACTIVATION), *_RUN), recurrent=True) for n in (1, 2, 3)},
    "RNN": Kind(_RUN, recurrent=True),
    "StackedRNNCells": Kind(recurrent=True),
    "Bidirectional": Kind((Argument("merge_mode", maybe(word(*MERGES))),), recurrent=True),
}

_RENAMED = {
    **dict.fromkeys(NOTHING, "Identity"),
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


def renamed(class_name: str) -> str:
    """The name in Keras 3 of a class of an earlier release."""
    return _RENAMED.get(class_name, class_name)
