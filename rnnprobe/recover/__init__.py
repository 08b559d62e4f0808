"""Checkpoint → Network: which tensors are which cell's, with which options, and what feeds what.

Three sources, the stronger over the weaker: names and shapes (`names`, `wiring`; for the objects of TensorFlow 2
`objects`), a Keras configuration (`keras`), the graph (`graph`). What the user says overrides them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnnprobe.cells import CELLS
from rnnprobe.errors import BadInput
from rnnprobe.recover import bilm
from rnnprobe.recover.counts import counted, told
from rnnprobe.recover.stacked import joined
from rnnprobe.types import Checkpoint, Layer, Network, OptionValue, Value


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user says of a model, over what its file says.

    Attributes:
        cell: the name of the cell that unclaimed candidates are.
        options: option → value, for every layer that has the option.
        config: a Keras configuration (JSON) to read beside the weights; of a bilm-tf model its options.
    """

    cell: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    config: Path | None = None


def network(checkpoint: Checkpoint, overrides: Overrides = Overrides()) -> Network:
    """The recurrent layers of a checkpoint and how they feed each other.

    Raises:
        BadInput: an override that no layer takes, or a configuration that contradicts the weights.
    """
    if overrides.cell is not None and overrides.cell not in {cell.name for cell in CELLS}:
        known = ", ".join(cell.name for cell in CELLS)
        raise BadInput(f"there is no cell called {overrides.cell!r}", hint=f"the cells are: {known}")
    dump = bilm.is_dump(checkpoint)
    if overrides.config is not None and not dump:
        from rnnprobe.formats.keras_json import with_config

        checkpoint = with_config(checkpoint, overrides.config)
    if checkpoint.objects is not None and checkpoint.config is None:
        from rnnprobe.recover import objects

        found = objects.recover(checkpoint, overrides.cell)
    elif checkpoint.config is not None or checkpoint.groups:
        from rnnprobe.recover import keras

        found = keras.recover(checkpoint, overrides.cell)
    else:
        from rnnprobe.recover import names

        found = told(names.recover(checkpoint, overrides.cell), overrides.options)
        found = bilm.refine(found, overrides.config) if dump else found
        if checkpoint.graph is not None:
            from rnnprobe.recover import graph

            found = graph.refine(found)
        found = joined(found)
    if overrides.cell is not None and overrides.cell not in {layer.cell.name for layer in found.layers}:
        raise BadInput(
            f"nothing in it is a {overrides.cell}, as far as names and shapes go",
            path=checkpoint.path,
            hint=f"`rnnprobe inspect {checkpoint.path}` lists what could be which cell",
        )
    return counted(_override(_trim(found), overrides.options))


def _trim(found: Network) -> Network:
    """Without the options that mean nothing for want of a weight: a clip of a projection that is not there."""
    layers = []
    for layer in found.layers:
        idle = {option.name for option in layer.cell.options if option.needs and option.needs not in layer.weights}
        kept = {name: value for name, value in layer.options.items() if name not in idle}
        layers.append(replace(layer, options=kept))
    return replace(found, layers=tuple(layers))


def _override(found: Network, options: Mapping[str, OptionValue]) -> Network:
    """Sets what the user said on every layer that has the option."""
    for name in options:
        takers = [layer for layer in found.layers if name in layer.options and _open(layer, name)]
        if not takers:
            cells = ", ".join(sorted({layer.cell.title for layer in found.layers})) or "nothing recurrent"
            raise BadInput(
                f"no layer takes {name} (the file holds {cells})",
                path=found.checkpoint.path,
                hint=f"leave --{name.replace('_', '-')} out",
            )
    layers = tuple(
        replace(
            layer,
            options={
                **layer.options,
                **{name: Value(value, "flag") for name, value in options.items() if _open(layer, name)},
            },
        )
        for layer in found.layers
    )
    return replace(found, layers=layers)


def _open(layer: Layer, name: str) -> bool:
    """Whether the layer has the option and its cell leaves a choice."""
    return name in layer.options and layer.options[name].evidence != "cell"
