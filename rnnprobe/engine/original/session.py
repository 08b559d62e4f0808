"""A session of an original graph: values in, recorded tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rnnprobe.engine.original.build import Built, Fetch
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
        outcomes = {name: _edge(edge) for name, edge in built.outcomes.items()}
        fetches = (_named(wanted), _named(built.finals), _named(built.initials), outcomes)
        try:
            got, left, begun, come = self._session.run(fetches, fed)
        except tf.errors.ResourceExhaustedError as exc:
            raise OutOfResources("the original graph asks for more memory than there is") from exc
        except (tf.errors.OpError, ValueError, TypeError) as exc:
            raise Mismatch(f"its graph does not take the sequences: {_first_line(exc)}") from exc
        signals = {
            name: {s: _steps(built.signals[name][s], arrays) for s, arrays in of.items()} for name, of in got.items()
        }
        return Found(signals, left, begun, {name: _floats(array) for name, array in come.items()})


def _first_line(exc: Exception) -> str:
    """What TensorFlow says, without what it says around it."""
    lines = [line.strip() for line in str(exc).splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(exc).__name__)


def _named(wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Edges as a session wants them."""
    return {name: {s: _edge(edges) for s, edges in of.items()} for name, of in wanted.items()}


def _edge(edge: Any) -> Any:
    if isinstance(edge, list):
        return [_edge(one) for one in edge]
    return edge if ":" in edge else f"{edge}:0"


def _steps(fetch: Fetch, arrays: list[Array]) -> Array:
    """`[step, rows, …]`, the columns that were asked for."""
    whole: Array = arrays[0] if fetch.whole else np.stack(arrays)
    if fetch.tap.blocks > 1:
        whole = np.split(whole, fetch.tap.blocks, axis=-1)[fetch.tap.block]
    return whole


def _floats(array: Array) -> Array:
    """Whole numbers and flags as floats."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)
