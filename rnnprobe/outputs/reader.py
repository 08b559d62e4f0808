"""Arrays and attributes by path → a trace, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layout
from rnnprobe.outputs.lazy import Lazy
from rnnprobe.outputs.trace import LayerTrace, Trace


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
    extent = _check_inputs(path, inputs)
    return Trace(
        path,
        root,
        {name: Lazy(inputs[name]) for name in ("x", "ids", "lengths", "names", "tokens") if name in inputs},
        _layers(path, grids, attributes, extent),
        attributes.get(layout.VERIFICATION, {}),
    )


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
    if version != layout.FORMAT_VERSION:
        raise BadInput(
            f"is a trace of format version {version}, and this release reads {layout.FORMAT_VERSION}",
            path=path,
            hint="a newer rnnprobe may read it",
        )


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _check_inputs(path: Path, inputs: Mapping[str, Grid]) -> tuple[int, int]:
    """The number of sequences and of steps.

    Raises:
        BadInput: lengths or names are missing, or contradict the steps.
    """
    for name in ("lengths", "names"):
        if name not in inputs or len(inputs[name].shape) != 1:
            raise BadInput(f"is damaged: {layout.INPUTS}/{name} is missing, or no vector", path=path)
    steps = inputs.get("ids") or inputs.get("x")
    if steps is None or len(steps.shape) != (2 if "ids" in inputs else 3):
        raise BadInput(f"is damaged: neither {layout.INPUTS}/x nor ids, or of a wrong rank", path=path)
    for name, grid, kinds in (("lengths", inputs["lengths"], "iu"), ("ids", inputs.get("ids"), "iu")):
        if grid is not None and grid.dtype.kind not in kinds:
            raise BadInput(f"is damaged: {layout.INPUTS}/{name} is {grid.words}, expected integers", path=path)
    sequences = steps.shape[0]
    if inputs["lengths"].shape != (sequences,) or inputs["names"].shape != (sequences,):
        raise BadInput(f"is damaged: {sequences} sequences, and other numbers of lengths or names", path=path)
    lengths = inputs["lengths"].whole()
    if lengths.size and (lengths.min() < 0 or lengths.max() > steps.shape[1]):
        raise BadInput(f"is damaged: a length is outside of 0 … {steps.shape[1]}", path=path)
    return sequences, steps.shape[1]


def _layers(
    path: Path, grids: Mapping[str, Grid], attributes: Mapping[str, Mapping[str, Any]], extent: tuple[int, int]
) -> dict[str, LayerTrace]:
    """The layers by name, in the network's order.

    Raises:
        BadInput: there is none, or two of one name.
    """
    layers: dict[str, LayerTrace] = {}
    for group, own in attributes.items():
        if group.startswith(f"{layout.LAYERS}/") and "cell" in own:
            layer = _layer(path, group, own, _below(group, grids), extent)
            if layer.name in layers:
                raise BadInput(f"holds two layers named {layer.name}", path=path)
            layers[layer.name] = layer
    if not layers:
        raise BadInput("is damaged: it holds no layer", path=path)
    order = {name: number for number, name in enumerate(_texts(attributes[""].get("layers")))}
    return {name: layers[name] for name in sorted(layers, key=lambda name: order.get(name, len(order)))}


def _layer(
    path: Path, group: str, attributes: Mapping[str, Any], own: Mapping[str, Grid], extent: tuple[int, int]
) -> LayerTrace:
    signals: dict[str, Lazy] = {}
    ends: dict[str, dict[str, Lazy]] = {layout.INITIAL: {}, layout.FINAL: {}}
    for name, grid in own.items():
        prefix = next((prefix for prefix in ends if name.startswith(prefix)), None)
        if prefix is None and len(grid.shape) < 2:  # a dimension scale
            continue
        expected = extent[:1] if prefix else extent
        if len(grid.shape) != len(expected) + 1 or grid.shape[: len(expected)] != expected or grid.dtype.kind != "f":
            words = ", ".join(map(str, (*expected, "units")))
            raise BadInput(f"is damaged: {group}/{name} is {grid.words}, expected floats [{words}]", path=path)
        if prefix:
            ends[prefix][name.removeprefix(prefix)] = Lazy(grid)
        else:
            signals[name] = Lazy(grid)
    title = attributes.get("name")
    if not isinstance(title, str):
        raise BadInput(f"is damaged: {group} has no attribute `name`", path=path)
    return LayerTrace(title, attributes, signals, ends[layout.INITIAL], ends[layout.FINAL])
