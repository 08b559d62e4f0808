"""A recorded trace, in a file or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnprobe.errors import BadInput
from rnnprobe.inputs import file
from rnnprobe.outputs import layout
from rnnprobe.outputs.lazy import Stored


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What was recorded of a layer.

    Attributes:
        name: of the layer.
        attributes: cell, units, direction, gate order, every option and its evidence …, as in the file.
        signals: name → `[sequence, time, unit]`, of a convolutional layer `[sequence, time, row, column, unit]` and the
            like, of one number a step `[sequence, time]`; NaN past a sequence's length.
        initial: state → `[sequence, unit]`, or whatever a step of it has behind `[sequence`.
        final: likewise, after the last valid step.
        lengths: `[sequence]`: its valid steps.
        own_time: its steps are not those of the input.
        units: the numbers of the units that were kept, or None where all were.
        cut: the signals and states that have no other units.
        reduced: what was recorded in place of the signals: signal → part (`rnnprobe.outputs.reductions.PARTS`) → the
            array, `[sequence, unit]` or `[time, unit]`, as `Trace.reduced_over` says.
    """

    name: str
    attributes: Mapping[str, Any]
    signals: Mapping[str, Stored]
    initial: Mapping[str, Stored]
    final: Mapping[str, Stored]
    lengths: NDArray[np.int64]
    own_time: bool = False
    units: NDArray[np.int64] | None = None
    cut: frozenset[str] = frozenset()
    reduced: Mapping[str, Mapping[str, Stored]] = field(default_factory=dict)

    def numbers(self, signal: str, width: int) -> NDArray[np.int64]:
        """The numbers of the units of a signal or state that is `width` wide as it is stored."""
        return self.units if self.units is not None and signal in self.cut else np.arange(width)


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace; nothing of its arrays is read before it is sliced.

    Attributes:
        path: the file, or None.
        attributes: where it comes from.
        inputs: `x` `[sequence, time, feature]` (or another number of axes behind time) or `ids` `[sequence, time]`;
            `lengths`, `names`, and `tokens` by id where the input was text. Neither x nor ids where nothing is known of
            what entered.
        layers: by name, in the network's order.
        verification: `status` (`verified`, `not verified`, `differs`), `reason`, and the figures of the comparison.
        outputs: what the model gave in the end, by the output's name, `[sequence, time, …]`, NaN past a sequence's
            length, or `[sequence, …]`; empty where it was not recorded.
        output_lengths: `[sequence]`, the valid steps of those outputs that have steps.
        beside: the model's other inputs by name, each as `inputs`.
    """

    path: Path | None
    attributes: Mapping[str, Any]
    inputs: Mapping[str, Stored]
    layers: Mapping[str, LayerTrace]
    verification: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Stored] = field(default_factory=dict)
    output_lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Stored]] = field(default_factory=dict)

    def __repr__(self) -> str:
        layers = "; ".join(
            f"{name}: {', '.join(layer.reduced or layer.signals)}" for name, layer in self.layers.items()
        )
        where = "in memory" if self.path is None else f"in {self.path}"
        steps = f"up to {int(self.lengths.max(initial=0))} steps"
        steps += f", one in {self.stride} kept" if self.stride > 1 else ""
        steps += f", reduced over {self.reduced_over}" if self.reduced_over else ""
        return f"<Trace {where}: {len(self.lengths)} sequences, {steps}; {layers}>"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`[sequence]`."""
        return np.asarray(self.inputs["lengths"])

    @property
    def steps(self) -> int:
        """The time axis: the longest length, or how many steps of it were kept."""
        given = self.inputs.get("ids", self.inputs.get("x"))
        return self.kept_steps(int(self.lengths.max(initial=0))) if given is None else given.shape[1]

    @property
    def stride(self) -> int:
        """Every so many steps were kept."""
        return int(self.attributes.get(layout.STRIDE, 1))

    def kept_steps(self, count: int) -> int:
        """How many of so many steps were kept."""
        return -(-count // self.stride)

    @property
    def reduced_over(self) -> str:
        """`time` or `sequences` where reductions were recorded in place of the signals, else empty."""
        return str(self.attributes.get(layout.OVER, ""))

    @property
    def first_step(self) -> int:
        """The number, in the input, of the first step recorded: 100 of a trace of its steps 100 to 200."""
        return int(self.attributes.get(layout.FIRST_STEP, 0))

    @property
    def names(self) -> tuple[str, ...]:
        """One for each sequence."""
        return tuple(str(name) for name in np.asarray(self.inputs["names"]))

    def text(self, sequence: int, start: int, stop: int) -> tuple[str, ...] | None:
        """The tokens of a sequence's steps `start … stop`, counting those kept; None where the input was no text."""
        if "tokens" not in self.inputs or "ids" not in self.inputs:
            return None
        tokens = np.asarray(self.inputs["tokens"])
        ids = self.inputs["ids"][sequence, start:stop]
        if ids.size and (ids.min() < 0 or ids.max() >= len(tokens)):
            raise BadInput(
                f"inputs/ids: steps {start} to {stop} of sequence {sequence} hold ids outside of the "
                f"{len(tokens)} tokens",
                path=self.path,
            )
        return tuple(str(token) for token in tokens[ids])


_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def load(path: str | Path) -> Trace:
    """Opens a trace that `rnnprobe trace` wrote.

    Raises:
        BadInput: no such file, no trace, a newer version of the format, or damaged.
        Refused: an HDF5 file that leads to other files or asks for a filter of its own.
    """
    found = file.locate(path)
    head = found.head(8)
    if head == _HDF5:
        from rnnprobe.outputs import hdf5_reader

        return hdf5_reader.load(found)
    if head[:4] in _ZIP:
        from rnnprobe.outputs import npz_reader

        return npz_reader.load(found)
    raise BadInput("is no trace: neither HDF5 nor .npz", path=path, hint="`rnnprobe trace MODEL -o FILE` writes one")
