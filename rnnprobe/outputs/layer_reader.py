"""The arrays and attributes of a layer's group → what was recorded of the layer, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout, reductions
from rnnprobe.outputs.lazy import Lazy
from rnnprobe.outputs.source import Source, texts
from rnnprobe.outputs.trace import LayerTrace

_Arrays: TypeAlias = dict[str, Grid]


@dataclass(frozen=True, slots=True)
class _Held:
    """The arrays of a layer by what they are of.

    Attributes:
        signals, initial, final: by signal or state.
        reduced: by signal and part.
    """

    signals: _Arrays
    initial: _Arrays
    final: _Arrays
    reduced: dict[str, _Arrays]


def layer(source: Source, group: str, lengths: NDArray[np.int64], steps: int) -> LayerTrace:
    """A layer.

    Args:
        source: the file.
        group: where it lies.
        lengths: of the input.
        steps: how many of the input are stored.

    Raises:
        BadInput: arrays or attributes that are missing, or contradict each other.
    """
    attributes, own = source.attributes[group], source.below(group)
    space = attributes.get("space", [])
    if not isinstance(space, list) or not all(isinstance(size, int) for size in space):
        raise source.damaged(f"the attribute {group}@space is {space!r}, expected numbers")
    held = (_called if source.named else _plain)(source, group, attributes, own)
    own_time = layout.LENGTHS in own
    if own_time:
        longest = source.kept_steps(int(own[layout.LENGTHS].whole().max(initial=0)))
        steps = max((grid.shape[1] for grid in held.signals.values() if len(grid.shape) > 1), default=longest)
        lengths = source.lengths(group, own, "", (len(lengths), steps))
    ends = (len(lengths),)
    for arrays, extent in ((held.signals, (*ends, steps)), (held.initial, ends), (held.final, ends)):
        for grid in arrays.values():
            _check_array(source, grid, (*extent, *space))
    along = len(lengths) if source.root.get(layout.OVER) == "time" else steps
    for parts in held.reduced.values():
        _check_reduced(source, parts, (along, *space))
    units, cut = _units(source, group, attributes, own)
    for name, grid in (*held.signals.items(), *held.initial.items(), *held.final.items()):
        if units is not None and name in cut and grid.shape[-1:] != units.shape:
            raise source.damaged(f"{grid.name} is {grid.words}, expected {len(units)} at the end, as {group}/unit says")
    return LayerTrace(
        source.name(group),
        attributes,
        {name: Lazy(grid) for name, grid in held.signals.items()},
        {name: Lazy(grid) for name, grid in held.initial.items()},
        {name: Lazy(grid) for name, grid in held.final.items()},
        lengths,
        own_time,
        units,
        cut,
        {name: {part: Lazy(grid) for part, grid in parts.items()} for name, parts in held.reduced.items()},
    )


def _plain(source: Source, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid]) -> _Held:
    """Where arrays are called like their signals and states."""
    ends: dict[str, _Arrays] = {layout.INITIAL: {}, layout.FINAL: {}}
    signals: _Arrays = {}
    for name, grid in own.items():
        prefix = next((prefix for prefix in ends if name.startswith(prefix)), None)
        if prefix is not None:
            ends[prefix][name.removeprefix(prefix)] = grid
        elif len(grid.shape) > 1:  # else lengths, or a dimension scale
            signals[name] = grid
    return _Held(signals, ends[layout.INITIAL], ends[layout.FINAL], {})


def _called(source: Source, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid]) -> _Held:
    """Where the attributes of the layer say what its arrays are called."""

    def listed(names_key: str, arrays_key: str) -> dict[str, str]:
        names, arrays = texts(attributes.get(names_key)), texts(attributes.get(arrays_key))
        if len(names) != len(arrays):
            raise source.damaged(f"{group} has {len(names)} {names_key} and {len(arrays)} {arrays_key}")
        return dict(zip(names, arrays, strict=True))

    def held(called: Mapping[str, str], prefix: str = "") -> _Arrays:
        missing = [prefix + array for array in called.values() if prefix + array not in own]
        if missing:
            raise source.damaged(f"{group}/{missing[0]} is missing")
        return {name: own[prefix + array] for name, array in called.items()}

    signals, states = listed("signals", "arrays"), listed("states", "state_arrays")
    if source.root.get(layout.REDUCED):
        return _Held({}, {}, {}, {name: reductions.parts_in(own, array) for name, array in signals.items()})
    return _Held(held(signals), held(states, layout.INITIAL), held(states, layout.FINAL), {})


def _check_array(source: Source, grid: Grid, extent: tuple[int, ...]) -> None:
    """Holds an array against what is known of its shape: its first axes.

    From version 3 on any axes may follow, and not just one.
    """
    behind = grid.shape[len(extent) :]
    if grid.shape[: len(extent)] != extent or (len(behind) != 1 and not source.named) or grid.dtype.kind != "f":
        words = ", ".join(map(str, (*extent, "…" if source.named else "units")))
        raise source.damaged(f"{grid.name} is {grid.words}, expected floats [{words}]")


def _check_reduced(source: Source, parts: Mapping[str, Grid], extent: tuple[int, ...]) -> None:
    """Holds the reductions of a signal against each other: all are of one shape, but for the bins of a histogram."""
    count = parts.get(reductions.COUNT)
    bins = parts[reductions.EDGES].shape[0] - 1 if reductions.EDGES in parts else 0
    for name, grid in parts.items():
        if name == reductions.EDGES:
            continue
        kind, shape = "iu" if name in (reductions.COUNT, reductions.HISTOGRAM) else "f", grid.shape
        if name == reductions.HISTOGRAM:
            shape = shape[:-1] if shape[-1:] == (bins,) else ()
        whole = extent if count is None else count.shape
        if shape != whole or shape[: len(extent)] != extent or grid.dtype.kind not in kind:
            kind = "integers" if kind == "iu" else "floats"
            raise source.damaged(f"{grid.name} is {grid.words}, expected {kind} [{', '.join(map(str, whole))}]")


def _units(
    source: Source, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid]
) -> tuple[NDArray[np.int64] | None, frozenset[str]]:
    """The numbers of the units that were kept, where not all were, and of what."""
    if layout.KEPT_UNITS not in attributes:
        return None, frozenset()
    grid = own.get("unit")
    if grid is None or len(grid.shape) != 1 or grid.dtype.kind not in "iu":
        raise source.damaged(f"{group}/unit is {grid.words if grid else 'missing'}, expected the numbers of the units")
    numbers = grid.whole().astype(np.int64)
    size = attributes.get("units")
    if not isinstance(size, int) or (np.diff(numbers, prepend=-1, append=size) < 1).any():
        raise source.damaged(f"{group}/unit is not ascending, or beyond the layer's {size} units")
    return numbers, frozenset(texts(attributes.get(layout.CUT)))
