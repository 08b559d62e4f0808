"""A session of an original graph: values in, recorded tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.engine.original.built import Built, Fetch
from rnnprobe.engine.original.joining import Found
from rnnprobe.errors import OutOfResources
from rnnprobe.types import Array


class Mismatch(Exception):
    """A run that did not come about with one arrangement of the input, or whose cells were given something else."""


class Session:
    """Runs a graph.

    Args:
        built: the graph.
    """

    def __init__(self, built: Built) -> None:
        self._built = built
        self._session = tf.compat.v1.Session(graph=built.graph)

    def close(self) -> None:
        """Ends it."""
        self._session.close()

    def run(self, feed: Mapping[str, Any], room: int) -> Found:
        """Runs it once.

        Args:
            feed: tensor → value; the variables' are added.
            room: for how many steps there is room.

        Raises:
            Mismatch: it does not take what is fed.
            OutOfResources: it needs too much memory.
        """
        built = self._built
        fed = dict(feed) | {f"{name}:0": array for name, array in built.variables.items()}
        if built.limit:
            fed[f"{built.limit}:0"] = room
        wanted = {name: {s: list(f.edges) for s, f in of.items()} for name, of in built.signals.items()}
        entering = {name: [list(one.edges) for one in of] for name, of in built.entering.items()}
        lengths = {name: list(one.edges) for name, one in built.lengths.items()}
        every = (wanted, entering, lengths, built.finals, built.initials, built.outcomes)
        try:
            got, entered, counted, left, begun, come = self._session.run(tuple(map(_named, every)), fed)
        except tf.errors.ResourceExhaustedError as exc:
            raise OutOfResources("the original graph asks for more memory than there is") from exc
        except (tf.errors.OpError, ValueError, TypeError) as exc:
            raise Mismatch(f"its graph does not take the sequences: {_first_line(exc)}") from exc
        signals = {
            name: {s: _steps(built.signals[name][s], arrays) for s, arrays in of.items()} for name, of in got.items()
        }
        return Found(
            signals,
            _ends(left),
            _ends(begun),
            {name: _floats(array) for name, array in come.items()},
            {
                name: [_steps(*one) for one in zip(built.entering[name], of, strict=True)]
                for name, of in entered.items()
            },
            {name: _steps(built.lengths[name], arrays) for name, arrays in counted.items()},
        )


def _first_line(exc: Exception) -> str:
    """What TensorFlow says, without what it says around it."""
    lines = [line.strip() for line in str(exc).splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(exc).__name__)


def _named(wanted: Any) -> Any:
    """Edges, in dicts and lists, as a session wants them."""
    if isinstance(wanted, Mapping):
        return {name: _named(of) for name, of in wanted.items()}
    if isinstance(wanted, list):
        return [_named(one) for one in wanted]
    return wanted if ":" in wanted else f"{wanted}:0"


def _steps(fetch: Fetch, arrays: list[Array]) -> Array:
    """`[step, rows, …]`, the columns that were asked for."""
    pieces = fetch.tap.pieces
    found = []
    for place, tap in enumerate(pieces):
        own = arrays[place :: len(pieces)]
        whole: Array = own[0] if fetch.whole else np.stack(own)
        found.append(np.split(whole, tap.blocks, axis=-1)[tap.block] if tap.blocks > 1 else whole)
    return _stacked(found)


def _ends(found: Mapping[str, Mapping[str, list[Array]]]) -> dict[str, dict[str, Array]]:
    return {name: {state: _stacked(arrays) for state, arrays in of.items()} for name, of in found.items()}


def _stacked(pieces: list[Array]) -> Array:
    """Several along the last axis but one; a single one as it is."""
    return np.stack(pieces, axis=-2) if len(pieces) > 1 else pieces[0]


def _floats(array: Array) -> Array:
    """Whole numbers and flags as floats."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)
