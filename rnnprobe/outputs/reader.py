"""Arrays and attributes by path → a trace, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout
from rnnprobe.outputs.lazy import Lazy
from rnnprobe.outputs.trace import LayerTrace, Trace

_ANY = 1 << 62
"""A number of steps that no length exceeds."""

_Arrays: TypeAlias = dict[str, Grid]


def build(path: Path, grids: Mapping[str, Grid], attributes: Mapping[str, Mapping[str, Any]]) -> Trace:
    """A trace from what a file holds.

    Args:
        path: the file.
        grids: `inputs/lengths`, `layers/<name>/h` … → the array.
        attributes: the group's path, empty for the root → its attributes.

    Raises:
        BadInput: it is no trace, one of a newer format, or its arrays contradict each other.
    """
    root = attributes.get("", {})
    _check_format(path, root)
    inputs = _below(layout.INPUTS, grids)
    for name in ("lengths", "names"):
        if name not in inputs or len(inputs[name].shape) != 1:
            raise BadInput(f"is damaged: {layout.INPUTS}/{name} is missing, or no vector", path=path)
    named = root["format_version"] >= layout.NAMED_SINCE
    lengths, steps = _check_inputs(path, layout.INPUTS, inputs, bare=named)
    if inputs["names"].shape != lengths.shape:
        raise BadInput(f"is damaged: {len(lengths)} sequences, and other numbers of lengths or names", path=path)
    layers = _layers(path, grids, attributes, lengths, steps, named=named)
    outputs, output_lengths = _outputs(path, grids, attributes, len(lengths))
    if not layers and not outputs:
        raise BadInput("is damaged: it holds no layer", path=path)
    return Trace(
        path,
        root,
        _given(inputs),
        layers,
        attributes.get(layout.VERIFICATION, {}),
        outputs,
        output_lengths,
        _beside(path, grids, attributes, len(lengths)),
    )


def _given(inputs: Mapping[str, Grid]) -> dict[str, Lazy]:
    return {name: Lazy(inputs[name]) for name in ("x", "ids", "lengths", "names", "tokens") if name in inputs}


def _beside(
    path: Path, grids: Mapping[str, Grid], attributes: Mapping[str, Mapping[str, Any]], sequences: int
) -> dict[str, dict[str, Lazy]]:
    """The other inputs by name."""
    found = {}
    for group, own in attributes.items():
        if group.startswith(f"{layout.INPUTS}/"):
            inputs = _below(group, grids)
            lengths, _ = _check_inputs(path, group, inputs)
            if len(lengths) != sequences:
                raise BadInput(f"is damaged: {group} has {len(lengths)} sequences, expected {sequences}", path=path)
            found[_name(path, group, own)] = _given(inputs)
    return found


def _outputs(
    path: Path, grids: Mapping[str, Grid], attributes: Mapping[str, Mapping[str, Any]], sequences: int
) -> tuple[dict[str, Lazy], dict[str, NDArray[np.int64]]]:
    """The model's outputs by name, and the lengths of those that have steps."""
    own = attributes.get(layout.OUTPUTS, {})
    inside = _below(layout.OUTPUTS, grids)
    names, arrays = _texts(own.get("names")), _texts(own.get("arrays"))
    found: dict[str, Lazy] = {}
    lengths: dict[str, NDArray[np.int64]] = {}
    if len(names) != len(arrays):
        raise BadInput(f"is damaged: {layout.OUTPUTS} has {len(names)} names of {len(arrays)} arrays", path=path)
    for name, array in zip(names, arrays, strict=True):
        grid = inside.get(array)
        if grid is None or grid.dtype.kind != "f" or grid.shape[:1] != (sequences,):
            words = "missing" if grid is None else f"{grid.words}, expected floats of {sequences} sequences"
            raise BadInput(f"is damaged: {layout.OUTPUTS}/{array} is {words}", path=path)
        if f"{array}_{layout.LENGTHS}" in inside:
            if len(grid.shape) < 2:
                raise BadInput(f"is damaged: {layout.OUTPUTS}/{array} has lengths and no steps", path=path)
            lengths[name] = _check_lengths(path, f"{layout.OUTPUTS}/{array}", inside, f"{array}_", grid.shape[:2])
        found[name] = Lazy(grid)
    return found, lengths


def _below(group: str, grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """The arrays of a group by their names in it, those of the groups in it left out."""
    found = {name.removeprefix(f"{group}/"): grid for name, grid in grids.items() if name.startswith(f"{group}/")}
    return {name: grid for name, grid in found.items() if "/" not in name}


def _check_format(path: Path, root: Mapping[str, Any]) -> None:
    """Refuses what is no trace, and traces of another version."""
    if root.get("format") != layout.FORMAT:
        raise BadInput(
            f"is no trace: the attribute `format` is {root.get('format', 'missing')}, expected {layout.FORMAT}",
            path=path,
            hint="`rnnprobe inspect` reads checkpoints; `rnnprobe trace MODEL -o FILE` writes a trace",
        )
    version = root.get("format_version")
    if version not in layout.FORMAT_VERSIONS:
        raise BadInput(
            f"is a trace of format version {version}, and this release reads 1 to {layout.FORMAT_VERSIONS[-1]}",
            path=path,
            hint="a newer rnnprobe may read it",
        )
    first = root.get(layout.FIRST_STEP, 0)
    if not isinstance(first, int) or first < 0:
        raise BadInput(f"is damaged: the attribute `{layout.FIRST_STEP}` is {first!r}, expected a number", path=path)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _check_inputs(
    path: Path, group: str, inputs: Mapping[str, Grid], *, bare: bool = False
) -> tuple[NDArray[np.int64], int]:
    """The lengths, and the number of steps.

    Args:
        bare: whether x and ids may both be missing.

    Raises:
        BadInput: the lengths are missing, or contradict the steps.
    """
    steps = inputs.get("ids") or inputs.get("x")
    if steps is None and bare:
        lengths = _check_lengths(path, group, inputs, "", (*inputs["names"].shape, _ANY))
        return lengths, int(lengths.max(initial=0))
    if steps is None or len(steps.shape) < 2 or ("ids" in inputs and len(steps.shape) > 2):
        raise BadInput(f"is damaged: neither {group}/x nor ids, or of a wrong rank", path=path)
    if "ids" in inputs and steps.dtype.kind not in "iu":
        raise BadInput(f"is damaged: {group}/ids is {steps.words}, expected integers", path=path)
    return _check_lengths(path, group, inputs, "", steps.shape[:2]), steps.shape[1]


def _check_lengths(
    path: Path, place: str, inside: Mapping[str, Grid], prefix: str, extent: tuple[int, ...]
) -> NDArray[np.int64]:
    """The lengths of an array of so many sequences and steps.

    Args:
        place: what they are the lengths of.
        inside: the arrays of their group; `<prefix>lengths` are the lengths.
    """
    found = inside.get(f"{prefix}{layout.LENGTHS}")
    where = f"{place}{'_' if prefix else '/'}{layout.LENGTHS}"
    if found is None or found.dtype.kind not in "iu":
        raise BadInput(f"is damaged: {where} is {found.words if found else 'missing'}, expected integers", path=path)
    if found.shape != extent[:1]:
        raise BadInput(f"is damaged: {extent[0]} sequences, and other numbers of lengths or names ({where})", path=path)
    lengths = found.whole()
    if lengths.size and (lengths.min() < 0 or lengths.max() > extent[1]):
        raise BadInput(f"is damaged: a length is outside of 0 … {extent[1]} ({where})", path=path)
    return lengths.astype(np.int64)


def _layers(
    path: Path,
    grids: Mapping[str, Grid],
    attributes: Mapping[str, Mapping[str, Any]],
    lengths: NDArray[np.int64],
    steps: int,
    *,
    named: bool,
) -> dict[str, LayerTrace]:
    """The layers by name, in the network's order.

    Raises:
        BadInput: two of one name, or arrays that contradict each other.
    """
    layers: dict[str, LayerTrace] = {}
    for group, own in attributes.items():
        if group.startswith(f"{layout.LAYERS}/") and "cell" in own:
            layer = _layer(path, group, own, _below(group, grids), lengths, steps, named=named)
            if layer.name in layers:
                raise BadInput(f"holds two layers named {layer.name}", path=path)
            layers[layer.name] = layer
    order = {name: number for number, name in enumerate(_texts(attributes[""].get("layers")))}
    return {name: layers[name] for name in sorted(layers, key=lambda name: order.get(name, len(order)))}


def _layer(
    path: Path,
    group: str,
    attributes: Mapping[str, Any],
    own: Mapping[str, Grid],
    lengths: NDArray[np.int64],
    steps: int,
    *,
    named: bool,
) -> LayerTrace:
    """A layer.

    Args:
        own: the arrays of its group.
        lengths: of the input.
        steps: likewise.
        named: its attributes say what the arrays are called.
    """
    space = attributes.get("space", [])
    if not isinstance(space, list) or not all(isinstance(size, int) for size in space):
        raise BadInput(f"is damaged: the attribute {group}@space is {space!r}, expected numbers", path=path)
    signals, initial, final = (_called if named else _plain)(path, group, attributes, own)
    own_time = layout.LENGTHS in own
    if own_time:
        longest = int(own[layout.LENGTHS].whole().max(initial=0))
        steps = max((grid.shape[1] for grid in signals.values() if len(grid.shape) > 1), default=longest)
        lengths = _check_lengths(path, group, own, "", (len(lengths), steps))
    for arrays, extent in ((signals, (len(lengths), steps)), (initial, (len(lengths),)), (final, (len(lengths),))):
        for grid in arrays.values():
            _check_array(path, grid, (*extent, *space), open_ended=named)
    return LayerTrace(
        _name(path, group, attributes),
        attributes,
        {name: Lazy(grid) for name, grid in signals.items()},
        {name: Lazy(grid) for name, grid in initial.items()},
        {name: Lazy(grid) for name, grid in final.items()},
        lengths,
        own_time,
    )


def _plain(
    path: Path, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid]
) -> tuple[_Arrays, _Arrays, _Arrays]:
    """The signals, initial and final states of a layer, where arrays are called like them."""
    ends: dict[str, _Arrays] = {layout.INITIAL: {}, layout.FINAL: {}}
    signals: _Arrays = {}
    for name, grid in own.items():
        prefix = next((prefix for prefix in ends if name.startswith(prefix)), None)
        if prefix is not None:
            ends[prefix][name.removeprefix(prefix)] = grid
        elif len(grid.shape) > 1:  # else lengths, or a dimension scale
            signals[name] = grid
    return signals, ends[layout.INITIAL], ends[layout.FINAL]


def _called(
    path: Path, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid]
) -> tuple[_Arrays, _Arrays, _Arrays]:
    """The signals, initial and final states of a layer, where its attributes say what their arrays are called."""

    def listed(names_key: str, arrays_key: str, prefix: str = "") -> _Arrays:
        names, arrays = _texts(attributes.get(names_key)), _texts(attributes.get(arrays_key))
        if len(names) != len(arrays):
            raise BadInput(
                f"is damaged: {group} has {len(names)} {names_key} and {len(arrays)} {arrays_key}", path=path
            )
        missing = [prefix + array for array in arrays if prefix + array not in own]
        if missing:
            raise BadInput(f"is damaged: {group}/{missing[0]} is missing", path=path)
        return {name: own[prefix + array] for name, array in zip(names, arrays, strict=True)}

    states = ("states", "state_arrays")
    return listed("signals", "arrays"), listed(*states, layout.INITIAL), listed(*states, layout.FINAL)


def _check_array(path: Path, grid: Grid, extent: tuple[int, ...], *, open_ended: bool) -> None:
    """Holds an array against what is known of its shape.

    Args:
        extent: its first axes.
        open_ended: any axes may follow, and not just one.
    """
    behind = grid.shape[len(extent) :]
    if grid.shape[: len(extent)] != extent or (len(behind) != 1 and not open_ended) or grid.dtype.kind != "f":
        words = ", ".join(map(str, (*extent, "…" if open_ended else "units")))
        raise BadInput(f"is damaged: {grid.name} is {grid.words}, expected floats [{words}]", path=path)


def _name(path: Path, group: str, attributes: Mapping[str, Any]) -> str:
    name = attributes.get("name")
    if not isinstance(name, str):
        raise BadInput(f"is damaged: {group} has no attribute `name`", path=path)
    return name
