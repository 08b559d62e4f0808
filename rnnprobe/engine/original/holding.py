"""What entered the cells of a graph, held against what was given for them."""

from __future__ import annotations

import numpy as np

from rnnprobe.engine.original.copies import Copy
from rnnprobe.engine.original.given import Chunk, Given
from rnnprobe.engine.original.joining import Found, in_time
from rnnprobe.engine.original.session import Mismatch
from rnnprobe.types import Network

_CLOSE = 1e-5


def hold(network: Network, copy: Copy, given: Given, chunk: Chunk, found: Found) -> None:
    """Holds it for every layer that reads nothing but what the user gives.

    Args:
        network: the layers.
        copy: the passes through them.
        given: the inputs.
        chunk: what was run.
        found: what the graph gave.

    Raises:
        Mismatch: something else entered, or it was not seen.
    """
    known = {layer.name for layer in network.layers}
    for layer in network.layers:
        if known & set(layer.feed.sources):
            continue
        parts = [part[:, : len(chunk.rows)] for part in found.entering[layer.name]]
        if len(parts) != len(copy.uses[layer.name].inputs[0]):
            raise Mismatch(f"what enters {layer.name} in its graph can't be recorded and held against the input")
        expected = given.entering(layer, chunk).swapaxes(0, 1)
        timed = in_time(np.concatenate(parts, axis=-1), chunk.lengths, layer.direction == "backward")
        valid = np.arange(chunk.steps)[:, None] < chunk.lengths[None, :]
        room = np.full((chunk.steps, *timed.shape[1:]), np.nan)
        room[: len(timed)] = timed[: chunk.steps]
        if room.shape != expected.shape or not np.allclose(room[valid], expected[valid], _CLOSE, _CLOSE):
            raise Mismatch(f"what enters {layer.name} in its graph is not what was given for it")
