"""Arrays and attributes by path → a trace, checked against the layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs.found import Grid
from rnnprobe.outputs import layer_reader, layout, reductions
from rnnprobe.outputs.lazy import Lazy
from rnnprobe.outputs.source import Source, texts
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
    source = Source(path, grids, attributes)
    _check_format(source)
    inputs = source.below(layout.INPUTS)
    for name in ("lengths", "names"):
        if name not in inputs or len(inputs[name].shape) != 1:
            raise source.damaged(f"{layout.INPUTS}/{name} is missing, or no vector")
    lengths, steps = _check_inputs(source, layout.INPUTS, inputs, bare=source.named)
    if inputs["names"].shape != lengths.shape:
        raise source.damaged(f"{len(lengths)} sequences, and other numbers of lengths or names")
    layers = _layers(source, lengths, steps)
    outputs, output_lengths = _outputs(source, len(lengths))
    if not layers and not outputs:
        raise source.damaged("it holds no layer")
    return Trace(
        path,
        source.root,
        _given(inputs),
        layers,
        attributes.get(layout.VERIFICATION, {}),
        outputs,
        output_lengths,
        _beside(source, len(lengths)),
    )


def _given(inputs: Mapping[str, Grid]) -> dict[str, Lazy]:
    return {name: Lazy(inputs[name]) for name in ("x", "ids", "lengths", "names", "tokens") if name in inputs}


def _beside(source: Source, sequences: int) -> dict[str, dict[str, Lazy]]:
    """The other inputs by name."""
    found = {}
    for group in source.attributes:
        if group.startswith(f"{layout.INPUTS}/"):
            inputs = source.below(group)
            lengths, _ = _check_inputs(source, group, inputs)
            if len(lengths) != sequences:
                raise source.damaged(f"{group} has {len(lengths)} sequences, expected {sequences}")
            found[source.name(group)] = _given(inputs)
    return found


def _outputs(source: Source, sequences: int) -> tuple[dict[str, Lazy], dict[str, NDArray[np.int64]]]:
    """The model's outputs by name, and the lengths of those that have steps."""
    own = source.attributes.get(layout.OUTPUTS, {})
    inside = source.below(layout.OUTPUTS)
    names, arrays = texts(own.get("names")), texts(own.get("arrays"))
    found: dict[str, Lazy] = {}
    lengths: dict[str, NDArray[np.int64]] = {}
    if len(names) != len(arrays):
        raise source.damaged(f"{layout.OUTPUTS} has {len(names)} names of {len(arrays)} arrays")
    for name, array in zip(names, arrays, strict=True):
        grid = inside.get(array)
        if grid is None or grid.dtype.kind != "f" or grid.shape[:1] != (sequences,):
            words = "missing" if grid is None else f"{grid.words}, expected floats of {sequences} sequences"
            raise source.damaged(f"{layout.OUTPUTS}/{array} is {words}")
        if f"{array}_{layout.LENGTHS}" in inside:
            if len(grid.shape) < 2:
                raise source.damaged(f"{layout.OUTPUTS}/{array} has lengths and no steps")
            lengths[name] = source.lengths(f"{layout.OUTPUTS}/{array}", inside, f"{array}_", grid.shape[:2])
        found[name] = Lazy(grid)
    return found, lengths


def _check_format(source: Source) -> None:
    """Refuses what is no trace, and traces of another version."""
    root, path = source.root, source.path
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
    for key, least in ((layout.FIRST_STEP, 0), (layout.STRIDE, 1)):
        found = root.get(key, least)
        if not isinstance(found, int) or found < least:
            raise source.damaged(f"the attribute `{key}` is {found!r}, expected a number")
    over = root.get(layout.OVER, "")
    if (over in reductions.OVER) != bool(texts(root.get(layout.REDUCED))):
        raise source.damaged(f"the attribute `{layout.OVER}` is {over!r}, expected {' or '.join(reductions.OVER)}")


def _check_inputs(
    source: Source, group: str, inputs: Mapping[str, Grid], *, bare: bool = False
) -> tuple[NDArray[np.int64], int]:
    """The lengths, and the number of steps that are stored.

    Args:
        bare: whether x and ids may both be missing.

    Raises:
        BadInput: the lengths are missing, or contradict the steps.
    """
    steps = inputs.get("ids") or inputs.get("x")
    if steps is None and bare:
        lengths = source.lengths(group, inputs, "", inputs["names"].shape)
        return lengths, source.kept_steps(int(lengths.max(initial=0)))
    if steps is None or len(steps.shape) < 2 or ("ids" in inputs and len(steps.shape) > 2):
        raise source.damaged(f"neither {group}/x nor ids, or of a wrong rank")
    if "ids" in inputs and steps.dtype.kind not in "iu":
        raise source.damaged(f"{group}/ids is {steps.words}, expected integers")
    return source.lengths(group, inputs, "", steps.shape[:2]), steps.shape[1]


def _layers(source: Source, lengths: NDArray[np.int64], steps: int) -> dict[str, LayerTrace]:
    """The layers by name, in the network's order.

    Raises:
        BadInput: two of one name, or arrays that contradict each other.
    """
    layers: dict[str, LayerTrace] = {}
    for group, own in source.attributes.items():
        if group.startswith(f"{layout.LAYERS}/") and "cell" in own:
            layer = layer_reader.layer(source, group, lengths, steps)
            if layer.name in layers:
                raise BadInput(f"holds two layers named {layer.name}", path=source.path)
            layers[layer.name] = layer
    order = {name: number for number, name in enumerate(texts(source.root.get("layers")))}
    return {name: layers[name] for name in sorted(layers, key=lambda name: order.get(name, len(order)))}
