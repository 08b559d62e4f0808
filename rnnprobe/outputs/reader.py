"""Arrays and attributes by path → a trace, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout
from rnnprobe.outputs.lazy import Lazy
from rnnprobe.outputs.trace import LayerTrace, Trace

_ANY = 1 << 62
"""A number of steps that no length exceeds."""


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
    lengths, steps = _check_inputs(path, layout.INPUTS, inputs)
    if inputs["names"].shape != lengths.shape:
        raise BadInput(f"is damaged: {len(lengths)} sequences, and other numbers of lengths or names", path=path)
    layers = _layers(path, grids, attributes, lengths, steps)
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
        known = " and ".join(map(str, layout.FORMAT_VERSIONS))
        raise BadInput(
            f"is a trace of format version {version}, and this release reads {known}",
            path=path,
            hint="a newer rnnprobe may read it",
        )
    first = root.get(layout.FIRST_STEP, 0)
    if not isinstance(first, int) or first < 0:
        raise BadInput(f"is damaged: the attribute `{layout.FIRST_STEP}` is {first!r}, expected a number", path=path)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _check_inputs(path: Path, group: str, inputs: Mapping[str, Grid]) -> tuple[NDArray[np.int64], int]:
    """The lengths, and the number of steps.

    Raises:
        BadInput: the lengths are missing, or contradict the steps.
    """
    steps = inputs.get("ids") or inputs.get("x")
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
) -> dict[str, LayerTrace]:
    """The layers by name, in the network's order.

    Raises:
        BadInput: two of one name, or arrays that contradict each other.
    """
    layers: dict[str, LayerTrace] = {}
    for group, own in attributes.items():
        if group.startswith(f"{layout.LAYERS}/") and "cell" in own:
            layer = _layer(path, group, own, _below(group, grids), lengths, steps)
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
) -> LayerTrace:
    space = attributes.get("space", [])
    if not isinstance(space, list) or not all(isinstance(size, int) for size in space):
        raise BadInput(f"is damaged: the attribute {group}@space is {space!r}, expected numbers", path=path)
    own_time = layout.LENGTHS in own
    ends: dict[str, dict[str, Grid]] = {layout.INITIAL: {}, layout.FINAL: {}}
    signals: dict[str, Grid] = {}
    for name, grid in own.items():
        prefix = next((prefix for prefix in ends if name.startswith(prefix)), None)
        if prefix is not None:
            ends[prefix][name.removeprefix(prefix)] = grid
        elif len(grid.shape) > 1:  # else lengths, or a dimension scale
            signals[name] = grid
    if own_time:
        steps = max(
            (grid.shape[1] for grid in signals.values()), default=int(own[layout.LENGTHS].whole().max(initial=0))
        )
        lengths = _check_lengths(path, group, own, "", (len(lengths), steps))
    for prefix, extent in (("", (len(lengths), steps)), *((prefix, (len(lengths),)) for prefix in ends)):
        for name, grid in (ends[prefix] if prefix else signals).items():
            if grid.shape[:-1] != (*extent, *space) or grid.dtype.kind != "f":
                words = ", ".join(map(str, (*extent, *space, "units")))
                raise BadInput(
                    f"is damaged: {group}/{prefix}{name} is {grid.words}, expected floats [{words}]", path=path
                )
    return LayerTrace(
        _name(path, group, attributes),
        attributes,
        {name: Lazy(grid) for name, grid in signals.items()},
        {name: Lazy(grid) for name, grid in ends[layout.INITIAL].items()},
        {name: Lazy(grid) for name, grid in ends[layout.FINAL].items()},
        lengths,
        own_time,
    )


def _name(path: Path, group: str, attributes: Mapping[str, Any]) -> str:
    name = attributes.get("name")
    if not isinstance(name, str):
        raise BadInput(f"is damaged: {group} has no attribute `name`", path=path)
    return name
