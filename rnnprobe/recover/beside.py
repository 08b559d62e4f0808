"""Tensors that lie beside a cell's scope and not in it, as Sonnet 1 has them.

The norms of a BatchNormLSTM are modules of their own, made where the core was: `batch_norm_h/batch_norm/moving_mean`
beside `core/gamma_h`, with `batch_norm_1`, `batch_norm_2` … for the steps after the first that have their own. Those of
another core are below `batch_norm_h_1`, and so on, in the order in which the cores were made. What a core's states
start from, where that is trained, is `core_initial_state_0/w`, and so on, or `core_initial_state_hidden/w`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rnnprobe.formats.natural import natural
from rnnprobe.recover.numbered import joined
from rnnprobe.types import Tensor

_STATISTICS = re.compile(
    r"(?P<above>(?:.*/)?)batch_norm_(?P<norm>[hxc])(?:_(?P<core>\d+))?"
    r"/batch_norm(?:_(?P<step>\d+))?/(?P<kind>moving_mean|moving_variance)"
)
_KINDS = ("moving_mean", "moving_variance")
_GAIN = re.compile(r"(?P<core>(?P<above>(?:.*/)?)[^/]+)/gamma_(?P<norm>[hxc])")
_START = re.compile(r"(?P<core>.+)_(?P<leaf>initial_state_(?:\d+|hidden|cell)/w)")
_CORE = re.compile(r"(?P<core>.+)/(?:b_gates|wz|in_to_hidden/w|wt|conv_1/w)")
_COUNTER = re.compile(r"_\d+$")


def beside(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What lies beside cores, under the scope of each.

    Args:
        tensors: all that is stored.

    Returns:
        `core/batch_norm_h/batch_norm#/moving_mean` → `[statistics, 1, width]`, `core/initial_state_0/w` → `[1, 1, …]`.
    """
    return _statistics(tensors) | _starts(tensors)


def bereft(tensors: Mapping[str, Tensor]) -> list[str]:
    """The scopes of cores without the statistics of one of their norms.

    Args:
        tensors: all that is stored, with what `beside` gives.
    """
    found = {
        gain["core"]
        for name in tensors
        if (gain := _GAIN.fullmatch(name)) and f"{gain['core']}/b_gates" in tensors
        if any(f"{gain['core']}/batch_norm_{gain['norm']}/batch_norm#/{kind}" not in tensors for kind in _KINDS)
    }
    return sorted(found, key=natural)


def _starts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What states start from."""
    cores = {found["core"] for name in tensors if (found := _CORE.fullmatch(name))}
    made = {}
    for name, tensor in tensors.items():
        found = _START.fullmatch(name)
        # A core's whole scope is part of the name, below the scope that its states were made in.
        paths = found["core"].split("/") if found else []
        own = next((path for k in range(len(paths)) if (path := "/".join(paths[k:])) in cores), None)
        if found and own is not None:
            alias = f"{own}/{found['leaf']}"
            made[alias] = joined(alias, [tensor])
    return made


def _statistics(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The statistics of each norm that has a core, those of all steps as one.

    Of several cores in one place whose names are not one name with a number, nothing says whose statistics these are,
    and none are given.
    """
    stored: dict[tuple[str, str], dict[int, dict[str, dict[int, Tensor]]]] = {}
    cores: dict[tuple[str, str], list[str]] = {}
    for name, tensor in tensors.items():
        if found := _STATISTICS.fullmatch(name):
            groups = stored.setdefault((found["above"], found["norm"]), {})
            kinds = groups.setdefault(int(found["core"] or 0), {})
            kinds.setdefault(found["kind"], {})[int(found["step"] or 0)] = tensor
        elif (found := _GAIN.fullmatch(name)) and f"{found['core']}/b_gates" in tensors:
            cores.setdefault((found["above"], found["norm"]), []).append(found["core"])
    made = {}
    for (above, norm), groups in stored.items():
        owners = sorted(cores.get((above, norm), ()), key=natural)
        if len(owners) != len(groups) or len({_COUNTER.sub("", owner) for owner in owners}) > 1:
            continue
        for owner, number in zip(owners, sorted(groups), strict=True):
            for kind, steps in groups[number].items():
                parts = [steps[step] for step in sorted(steps)]
                if sorted(steps) == list(range(len(steps))) and len({(one.shape, one.dtype) for one in parts}) == 1:
                    name = f"{owner}/batch_norm_{norm}/batch_norm#/{kind}"
                    made[name] = joined(name, parts)
    return made
