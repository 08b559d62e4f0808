"""Where everything lies in a trace, whatever the file: names, shapes, dimensions and attributes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from math import prod
from typing import TypeAlias
from urllib.parse import quote

import numpy as np

from rnnprobe import __version__
from rnnprobe.cells.layers import signal_sizes, signals
from rnnprobe.types import Array, Batch, Layer, Recording

FORMAT = "rnnprobe-trace"
FORMAT_VERSION = 1
LAYERS = "layers"
INPUTS = "inputs"
VERIFICATION = "verification"
INITIAL, FINAL = "initial_", "final_"
NO_ID = -1
"""What stands in `ids` past a sequence's length."""

AttributeValue: TypeAlias = str | int | float | list[str]
_LONGEST = 200
_PIECE = 8 << 20
"""Bytes of input that are held at a time."""


@dataclass(frozen=True, slots=True)
class Field:
    """An array of a trace.

    Attributes:
        name: below its group.
        dimensions: a name for each axis.
        shape: the sizes.
        dtype: NumPy's name, or `string`.
        kind: of a signal, as in `Signal.kind`; empty for the others.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""

    @property
    def nbytes(self) -> int:
        """The bytes of its values; 0 for strings."""
        return 0 if self.dtype == "string" else prod(self.shape) * np.dtype(self.dtype).itemsize


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: NUL and lone surrogates become `\\x00`, `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def paths(recording: Recording) -> dict[str, str]:
    """Layer → its group, `layers/<name>`; a `/` in a name nests, except below another layer, whose arrays are there.

    Components that could lead elsewhere, or that a terminal would obey, are written in percent form.
    """
    groups = {layer.name: tuple(_component(part) for part in layer.name.split("/")) for layer in recording.layers}
    taken = set(groups.values())
    found = {}
    for name, parts in groups.items():
        above = next((depth for depth in range(1, len(parts)) if parts[:depth] in taken), len(parts))
        found[name] = "/".join((LAYERS, *parts[: above - 1], "%2F".join(parts[above - 1 :])))
    return found


def _component(part: str) -> str:
    """A name that can't be mistaken for a path; two different ones never become the same."""
    if part in ("", ".", ".."):
        return "".join(f"%{ord(char):02X}" for char in part) or "%"
    safe = "".join(
        quote(char.encode("utf-8", "surrogatepass"), safe="")
        if char == "%" or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        else char
        for char in part
    )
    if len(safe.encode()) <= _LONGEST:
        return safe
    return f"{safe.encode()[: _LONGEST - 20].decode(errors='ignore')}%{sha256(safe.encode()).hexdigest()[:16]}"


def fields(recording: Recording, layer: Layer, dtype: str) -> tuple[Field, ...]:
    """The arrays of a layer: its signals, then its initial and final states.

    The last dimension is `unit`; `output` where a projection makes it another size.
    """
    sizes = signal_sizes(layer)
    kinds = {signal.name: signal.kind for signal in signals(layer)}
    dimension = {name: "unit" if size == layer.units else "output" for name, size in sizes.items()}
    recorded = tuple(
        Field(
            name,
            ("sequence", "time", dimension[name]),
            (recording.sequences, recording.steps, sizes[name]),
            dtype,
            kinds[name],
        )
        for name in recording.signals[layer.name]
    )
    ends = tuple(
        Field(prefix + name, ("sequence", dimension[name]), (recording.sequences, sizes[name]), dtype)
        for prefix in (INITIAL, FINAL)
        for name in layer.cell.states
    )
    return recorded + ends


def value_sizes(recording: Recording, dtype: str) -> dict[tuple[str, str], int]:
    """Layer and signal → the bytes of its values, padding left out."""
    steps = sum(int(batch.lengths.sum()) for batch in recording.batches)
    return {
        (layer.name, field.name): steps * field.shape[-1] * np.dtype(dtype).itemsize
        for layer in recording.layers
        for field in fields(recording, layer, dtype)
        if field.kind
    }


def values_size(recording: Recording, dtype: str) -> int:
    """The bytes of every signal's values, padding left out."""
    return sum(value_sizes(recording, dtype).values())


def input_fields(recording: Recording) -> tuple[Field, ...]:
    """The arrays of `/inputs`: x or ids, lengths, names, and the tokens by id where the input was text."""
    steps = (recording.sequences, recording.steps)
    features = next((batch.features for batch in recording.batches if batch.features is not None), None)
    vocabulary = tokens(recording)
    return (
        Field("ids", ("sequence", "time"), steps, "int64")
        if features is None
        else Field("x", ("sequence", "time", "feature"), (*steps, features), _float(recording.batches)),
        Field("lengths", ("sequence",), (recording.sequences,), "int64"),
        Field("names", ("sequence",), (recording.sequences,), "string"),
        *((Field("tokens", ("token",), (len(vocabulary),), "string"),) if vocabulary else ()),
    )


def _float(batches: Sequence[Batch]) -> str:
    dtype = np.result_type(*(np.dtype(batch.dtype) for batch in batches))
    return dtype.name if dtype in (np.float16, np.float32, np.float64) else "float32"


def tokens(recording: Recording) -> tuple[str, ...]:
    """The tokens by id, or none."""
    return next((batch.vocabulary for batch in recording.batches if batch.vocabulary), ())


def input_pieces(batch: Batch) -> Iterator[tuple[int, Array]]:
    """The batch's steps, a bounded stretch at a time: where it starts, `[batch, time, …]`, filled past the lengths."""
    width = 1 if batch.features is None else batch.features
    stretch = max(1, _PIECE // (8 * max(1, width * len(batch.names))))
    for start in range(0, batch.steps, stretch):
        stop = min(start + stretch, batch.steps)
        piece = batch.load(start, stop)
        past = np.arange(start, stop)[None, :] >= batch.lengths[:, None]
        if past.any():
            piece = piece.copy()
            piece[past] = NO_ID if batch.features is None else np.nan
        yield start, piece


def root_attributes(recording: Recording) -> dict[str, AttributeValue]:
    """Where a trace comes from."""
    return {
        **{key: storable(value) for key, value in recording.attributes.items()},
        "format": FORMAT,
        "layers": [storable(layer.name) for layer in recording.layers],
        "format_version": FORMAT_VERSION,
        "rnnprobe_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": [f"{name} {number}" for name, number in _libraries().items()],
    }


def _libraries() -> Mapping[str, str]:
    found = {}
    for name in ("h5py", "numpy", "tensorflow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # tensorflow is absent where nothing needs it
            continue
    return found


def layer_attributes(layer: Layer) -> dict[str, AttributeValue]:
    """What a reader needs to make sense of a layer's numbers; each option with its evidence.

    The keys are those of the rows of `rnnprobe.analysis.inspect`.
    """
    attributes: dict[str, AttributeValue] = {
        "name": storable(layer.name),
        "cell": layer.cell.name,
        "title": layer.cell.title,
        "units": layer.units,
        "input_size": layer.input_size,
        "output_size": layer.output_size,
        "direction": layer.direction,
        "scope": storable(layer.scope),
        "gate_order": list(layer.cell.gates),
        "spelled": list(layer.cell.spelled),
        "fed_by": [storable(source) for source in layer.feed.sources],
        "feed_evidence": layer.feed.evidence,
    }
    if layer.feed.mask is not None:
        attributes["mask_source"] = storable(layer.feed.mask.source)
        attributes["mask_value"] = layer.feed.mask.value
    for name, option in layer.options.items():
        value = option.value
        if isinstance(value, bool):
            attributes[name] = int(value)
        else:
            attributes[name] = "none" if value is None else storable(value) if isinstance(value, str) else value
        attributes[f"{name}_evidence"] = option.evidence
    return attributes
