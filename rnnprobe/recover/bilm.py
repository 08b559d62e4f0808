"""ELMo's language model, dumped by bilm-tf: what its options file and its names tell beyond the shapes of its LSTMs.

`RNN_0` reads a sentence forward, `RNN_1` backward, both the same tokens (https://github.com/allenai/bilm-tf,
`bilm/model.py`; cells.md, section 10.4).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rnnprobe.errors import BadInput
from rnnprobe.formats.bilm import BilmOptions, beside, read_options
from rnnprobe.types import Checkpoint, Feed, Layer, Network, Value

_SCOPE = re.compile(r"RNN_(?P<way>[01])/RNN/MultiRNNCell/Cell(?P<level>\d+)/LSTMCell")
_TOKENS = ("char_embed", "CNN/", "CNN_high_", "CNN_proj/")


def is_dump(checkpoint: Checkpoint) -> bool:
    """Whether an HDF5 file without Keras's attributes has its names."""
    bare = checkpoint.format == "HDF5 tensors"
    return bare and any(_SCOPE.match(name) for name in checkpoint.tensors)


def refine(network: Network, config: Path | None) -> Network:
    """The network with the directions of its stacks, and the options that a file gives.

    Args:
        network: from the names of a dump.
        config: the options file that the user names, or None for the one that lies beside.

    Raises:
        BadInput: the options can't be read, or, where the user names them, are those of another model.
    """
    path, options = config or beside(network.checkpoint.path), None
    note = "bilm-tf keeps the clips and skip connections in an options file, which is not there (--config)"
    if path is not None:
        try:
            options, note = _fitting(network, read_options(path)), f"options from {path}"
        except BadInput as exc:
            if config is not None:
                raise
            note = f"{path.name} beside it is left out: it {exc.message}"
    notes, checkpoint = [*network.notes, note], network.checkpoint
    if any(name.startswith(_TOKENS) for name in checkpoint.tensors):
        notes.append("its input is what the convolutions over characters make of each token; they are not rebuilt")
    if options is not None:
        checkpoint = replace(checkpoint, files=(*checkpoint.files, options.path))
    layers = tuple(_layer(layer, options) for layer in network.layers)
    return replace(network, checkpoint=checkpoint, layers=layers, notes=tuple(notes))


def _fitting(network: Network, options: BilmOptions) -> BilmOptions:
    """The options.

    Raises:
        BadInput: the weights contradict them.
    """
    for layer in network.layers:
        if _SCOPE.fullmatch(layer.scope) and (layer.units, layer.output_size) != (options.dim, options.projection_dim):
            raise BadInput(
                f"says dim {options.dim} and projection_dim {options.projection_dim}, "
                f"the weights of {layer.name!r} are of {layer.units} and {layer.output_size}",
                path=options.path,
            )
    return options


def _layer(layer: Layer, options: BilmOptions | None) -> Layer:
    place = _SCOPE.fullmatch(layer.scope)
    if place is None:
        return layer
    first = place["level"] == "0"
    layer = replace(
        layer,
        direction="backward" if place["way"] == "1" else "forward",
        feed=Feed(evidence="weights") if first else layer.feed,
    )
    if options is None:
        return layer
    known = {
        "cell_clip": Value(options.cell_clip, "config"),
        "proj_clip": Value(options.proj_clip, "config"),
        "residual": Value(options.residual and not first, "config"),
    }
    return replace(layer, options={**layer.options, **known})
