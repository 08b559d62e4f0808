"""Which tensors of a checkpoint are no weights: optimiser slots, moving averages, counters, TensorFlow's own records.

A slot is told by its name and shape together: `[prefix/]variable/slot`, where `variable` is in the same checkpoint and
has the same shape. The prefix is the scope that the optimiser was built in. An optimiser with a name of its own needs
no entry here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

from rnnprobe.types import Tensor

AVERAGE = "moving average of "

_OPTIMISERS = (
    "Adadelta", "Adafactor", "Adagrad", "AdagradDA", "Adam", "AdaMax", "Adamax", "AdamW", "Ftrl", "LAMB", "LARS",
    "LazyAdam", "Momentum", "Nadam", "NadamOptimizer", "RMSProp", "RMSprop", "SGD",
)  # fmt: skip
_SLOT = re.compile(rf"(?:{'|'.join(_OPTIMISERS)})(?:_\d+)?")
_AVERAGE = re.compile(r"ExponentialMovingAverage(?:_\d+)?")
_COUNTER = re.compile(r"(?:global_step|save_counter|iterations?|epoch)(?:_\d+)?")
_SETTING = re.compile(r"(?:beta[12]_power|beta_[12]|learning_rate|lr|decay|rho|epsilon|momentum|loss_scale)(?:_\d+)?")
_STATISTICS = re.compile(r"(?:moving_(?:mean|variance|var)|running_(?:mean|var))(?:_\d+)?")
_DEBIASING = ("biased", "local_step")  # what ExponentialMovingAverage(zero_debias=True) keeps beside an average
_KERAS_STATE = re.compile(r"(?:Variable|m|v|vhat)(?:_\d+)?")  # below the optimiser's own name, by number alone

# A layer's own tensors, which may well lie below another variable's name and have its shape.
_LEAVES = frozenset((
    "kernel", "recurrent_kernel", "bias", "biases", "weight", "weights", "Matrix", "Bias", "gamma", "beta", "scale",
    "embedding", "embeddings", "w", "b", "W", "B",
))  # fmt: skip

_DEPTH = 64  # scopes put before a variable's name that are looked through

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOTS = "/.OPTIMIZER_SLOT/"
_OWN = ("/_variables/", "/_iterations/", "/_learning_rate/", "/_current_learning_rate/", "/iter/")


def apart(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The tensors that are no weights, and what each of them is: `Adam slot of x`, `moving average of x`, `counter` …

    An average whose variable is not in the checkpoint is all that there is of it, and stays among the weights.
    """
    optimisers = set(_optimisers(tensors))
    kinds = {
        name: _object(name, tensors, optimisers) if "/.ATTRIBUTES/" in name else _plain(name, tensors)
        for name in tensors
    }
    return {name: kind for name, kind in kinds.items() if kind}


def notes_on(set_apart: Mapping[str, str]) -> tuple[str, ...]:
    """What a report should say of the tensors set apart."""
    averages = sum(kind.startswith(AVERAGE) and kind[len(AVERAGE) :] not in set_apart for kind in set_apart.values())
    if not averages:
        return ()
    what = "weight has" if averages == 1 else "weights have"
    return (f"{averages} {what} a moving average in the file, which may be the better choice",)


def _plain(name: str, tensors: Mapping[str, Tensor]) -> str:
    """What a tensor of a name-based checkpoint is, or empty for a weight."""
    if name == "_CHECKPOINTABLE_OBJECT_GRAPH":
        return "object graph"
    base, _, last = name.rpartition("/")
    shape = tensors[name].shape
    for variable in _suffixes(base):
        if variable not in tensors:
            continue
        if last in _DEBIASING:
            return f"counter of {variable}"
        if _AVERAGE.fullmatch(last) and tensors[variable].shape == shape:
            return f"{AVERAGE}{variable}"
        if _SLOT.fullmatch(last) or (tensors[variable].shape == shape and last not in _LEAVES):
            return f"{last} slot of {variable}"
    if _SLOT.fullmatch(last) or (_SLOT.fullmatch(base.rpartition("/")[2]) and _KERAS_STATE.fullmatch(last)):
        return "optimiser state"
    if _STATISTICS.fullmatch(last):
        return "statistics of a normalisation"
    return _scalar(last, tensors[name])


def _suffixes(path: str) -> Iterator[str]:
    """`a/b/c`, `b/c`, `c`: a variable's name without each scope that may have been put before it."""
    for _ in range(_DEPTH):
        if path:
            yield path
            path = path.partition("/")[2]


def _optimisers(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """The paths of the optimisers of an object-based checkpoint, by what only an optimiser keeps."""
    for name in tensors:
        _, slot, rest = name.partition(_SLOTS)
        if slot and rest.endswith(_VALUE):
            yield rest[: -len(_VALUE)].rpartition("/")[0]
        for own in _OWN:
            path, found, _ = name.partition(own)
            if found:
                yield path


def _object(name: str, tensors: Mapping[str, Tensor], optimisers: Set[str]) -> str:
    """What a tensor of an object-based checkpoint is, or empty for a weight."""
    if not name.endswith(_VALUE):
        return "configuration" if name.endswith("CONFIG_JSON") else "object record"
    variable, slot, rest = name.partition(_SLOTS)
    if slot:
        return f"{rest[: -len(_VALUE)].rpartition('/')[2]} slot of {variable}{_VALUE}"
    path, _, last = name[: -len(_VALUE)].rpartition("/")
    if path in optimisers or any(own in name and name.partition(own)[0] in optimisers for own in _OWN):
        return "optimiser state"
    if "/keras_api/metrics/" in f"/{name}":
        return "metric"
    return _scalar(last, tensors[name])


def _scalar(last: str, tensor: Tensor) -> str:
    """What a scalar is by the last part of its name and its dtype, or empty."""
    if tensor.shape:
        return ""
    if _SETTING.fullmatch(last):
        return "optimiser state"
    return "counter" if _COUNTER.fullmatch(last) or "int" in tensor.dtype else ""
