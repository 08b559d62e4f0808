"""Where everything lies in a trace, whatever the file: groups, their names and their attributes.

    /                    attributes: `root_attributes`
    /inputs/             x `[sequence, time, …]` or ids `[sequence, time]`; lengths, names; tokens where it was text
    /inputs/<name>/      x or ids of another input of the model, and its lengths; the attribute `name`
    /layers/<name>/      the signals `[sequence, time, …, unit]`; initial_h … final_h … `[sequence, …, unit]`; lengths
                         where its steps are not those of the input; attributes: `layer_attributes`
    /outputs/            the model's outputs, `[sequence, time, …]` or `[sequence, …]`, those with steps with
                         <array>_lengths; attributes `names` and `arrays`: output by output, its name and its array's
    /verification/       attributes

Axes are called (`rnnprobe.outputs.fields`):

    sequence, time       a layer whose steps are not those of the input has a `time` of its own in its group
    unit                 the last axis of a signal that is as wide as the layer; `output` where a projection makes it
                         another size, `<signal>_unit` where it is of a size of its own
    <signal>_axis_0 …    of a signal with more axes, those before the last one; `window` and `depth` where it has a unit
                         for each window of a grid, for each depth of a highway core
    position; row, column; depth, row, column
                         the extent of a convolutional layer, and of an input, in one, two and three dimensions
    feature              the last axis of an input and of an output; behind `time` where the model's convolutions have
                         channels first
    <name>_time, <name>_feature …
                         of another input and of an output, whose axes share a scope with those of the others

Format version 1 has signals of one axis a step, one input of numbers in a row, one timeline, and no outputs. Version 2
has the timelines, spaces, inputs and outputs above. Version 3 has what an original graph shows, too:

    signals              of any number of axes behind `time`, also none (`[sequence, time]`; a state `[sequence]`), each
                         of its own shape; of the kind `output`: what a cell emits, where that is no state
    names                of signals that can't be what an array is called: each layer has the attributes `signals` and
                         `arrays`, signal by signal its name and its array's, and `states` and `state_arrays`
                         likewise, behind `initial_` and `final_`
    tensors              the tensor of the graph that a signal is: the attribute `tensor` of an array in HDF5, and of
                         a layer the attribute `tensors`, signal by signal, empty for those that are none
    layers               of the cell `graph`, which an original graph computes and nothing rebuilds: without gates,
                         and with the sizes that are known
    /inputs/             neither x nor ids where nothing is known of what enters

Version 4 has less than all of it (`rnnprobe.types.Kept`), named as in version 3:

    stride               the root's attribute: every so many steps were kept, also of the inputs and outputs. Lengths
                         stay those of the input; in each group `time` holds the numbers of the steps
    kept_units           of a layer, the numbers of the units kept, in words; `unit` holds them as numbers. The
                         attribute `cut` lists the signals and states that they were cut from, which are those that had
                         the axis `unit`; initial and final states are cut alike. What is of another width is whole
    reduced              the root's attribute: what is stored in place of the signals and states, `reduced_over` what it
                         was taken over, `time` or `sequences`. `<signal>_count`, `_mean`, `_std`, `_min`, `_max`,
                         `_low`, `_high` are `[sequence, …, unit]` over time, `[time, …, unit]` over sequences,
                         `_histogram` has `<signal>_bin` behind that, `_edges` are `[<signal>_edge]`
                         (`rnnprobe.outputs.reductions`). There is neither x nor ids then

A trace is written as the first version that can hold it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from math import prod
from typing import TypeAlias
from urllib.parse import quote

from rnnprobe import __version__
from rnnprobe.cells.layers import signal_shapes, signals
from rnnprobe.types import Batch, Feed, Layer, Mask, OptionValue, Recording

FORMAT = "rnnprobe-trace"
FORMAT_VERSIONS = (1, 2, 3, 4)
NAMED_SINCE = 3
"""The version from which on a layer's attributes say what its arrays are called."""
LAYERS = "layers"
INPUTS = "inputs"
OUTPUTS = "outputs"
VERIFICATION = "verification"
INITIAL, FINAL = "initial_", "final_"
LENGTHS = "lengths"
FIRST_STEP = "first_step"
"""The attribute that holds the number, in the input, of the first step that was recorded."""
STRIDE = "stride"
REDUCED, OVER = "reduced", "reduced_over"
KEPT_UNITS, CUT = "kept_units", "cut"
NO_ID = -1
"""What stands in `ids` past a sequence's length."""

SPACE = {1: ("position",), 2: ("row", "column"), 3: ("depth", "row", "column")}
"""The names of the axes in space."""

CALLED = {"frequency_windows": "window", "depth": "depth"}
"""A size of a cell → the axis that is as long, where units are not the only axis of a step."""

AttributeValue: TypeAlias = str | int | float | list[str] | list[int]
_LONGEST = 200
_MOST_AXES = 32
"""HDF5 has no more."""
_NUMBERED = tuple(f"axis_{number}" for number in range(_MOST_AXES))
_AXES = ("sequence", "time", "feature", "token", *SPACE[1], *SPACE[3], *_NUMBERED)
_TAKEN = frozenset(("x", "ids", LENGTHS, "names", "tokens", "attributes", *_AXES))
"""What else lies in the groups of inputs and outputs."""
_TAKEN_BY_LAYERS = frozenset((LENGTHS, "attributes", "unit", *CALLED.values(), *_AXES))


def storable(text: str) -> str:
    """`text` as UTF-8 can hold it: NUL and lone surrogates become `\\x00`, `\\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def paths(recording: Recording) -> dict[str, str]:
    """Layer → its group, `layers/<name>`; a `/` in a name nests, except below another layer, whose arrays are there.

    Components that could lead elsewhere, or that a terminal would obey, are written in percent form.
    """
    return groups(layer.name for layer in recording.layers)


def groups(names: Iterable[str]) -> dict[str, str]:
    """Name → its group, as `paths` has it."""
    components = {name: tuple(_component(part) for part in name.split("/")) for name in names}
    taken = set(components.values())
    found = {}
    for name, parts in components.items():
        above = next((depth for depth in range(1, len(parts)) if parts[:depth] in taken), len(parts))
        found[name] = "/".join((LAYERS, *parts[: above - 1], "%2F".join(parts[above - 1 :])))
    return found


def flat(names: Iterable[str]) -> dict[str, str]:
    """Name of an input or output → what it is called in its group, where nothing nests.

    One that is taken there, or that is what an axis or the lengths of another one are called, begins in percent form.
    """
    found = {name: "%2F".join(_component(part) for part in name.split("/")) for name in names}
    taken = _TAKEN | {f"{part}_{word}" for part in found.values() for word in _TAKEN}
    return {name: _begun(part) if part in taken else part for name, part in found.items()}


def arrays(layer: Layer) -> dict[str, str]:
    """Signal → what its array is called in the layer's group; none is called like another array or an axis there."""
    parts = parts_of(layer)
    taken = set(_TAKEN_BY_LAYERS) | {f"{part}_unit" for part in parts.values()}
    taken |= {f"{part}_{axis}" for part in parts.values() for axis in _NUMBERED}
    units = layer.sizes.get("units")
    taken |= {"output"} if layer.sizes.get("output_size", units) != units else set()
    return {name: _begun(part) if part in taken else part for name, part in parts.items()}


def parts_of(layer: Layer) -> dict[str, str]:
    """Signal → how the names of its own axes begin."""
    found = {signal.name: "%2F".join(_component(part) for part in signal.name.split("/")) for signal in signals(layer)}
    return {name: _begun(part) if part.startswith((INITIAL, FINAL)) else part for name, part in found.items()}


def _begun(part: str) -> str:
    """In percent form, the first letter."""
    return f"%{part}" if part[0] == "%" else "".join(f"%{byte:02X}" for byte in part[0].encode()) + part[1:]


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


def lengths_path(path: str) -> str:
    """Where the lengths of an array lie if it has lengths of its own."""
    group = path.rpartition("/")[0]
    return f"{path}_{LENGTHS}" if group == OUTPUTS else f"{group}/{LENGTHS}"


def root_attributes(recording: Recording) -> dict[str, AttributeValue]:
    """Where a trace comes from."""
    origin: dict[str, AttributeValue] = {key: storable(value) for key, value in recording.attributes.items()}
    if FIRST_STEP in recording.attributes:
        origin[FIRST_STEP] = int(recording.attributes[FIRST_STEP])
    kept = recording.kept
    if kept.stride > 1:
        origin[STRIDE] = kept.stride
    if kept.reduced:
        origin |= {REDUCED: list(kept.reduced), OVER: kept.over}
    return {
        **origin,
        "format": FORMAT,
        "layers": [storable(layer.name) for layer in recording.layers],
        "format_version": _format_version(recording),
        "rnnprobe_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": [f"{name} {number}" for name, number in _libraries().items()],
    }


def _format_version(recording: Recording) -> int:
    """The first version that can say all of it."""
    if not recording.kept.whole:
        return 4
    if not given(recording.batches) or any(_beyond_2(recording, layer) for layer in recording.layers):
        return 3
    beyond = (
        recording.lengths
        or recording.outcomes
        or any(layer.space for layer in recording.layers)
        or any(isinstance(value, tuple) for layer in recording.layers for value in layer.settings.values())
        or any(batch.beside or (batch.shape is not None and len(batch.shape) != 1) for batch in recording.batches)
    )
    return 2 if beyond else 1


def _beyond_2(recording: Recording, layer: Layer) -> bool:
    """Whether a layer, or one of the signals and states that are stored of it, needs version 3."""
    held = {*recording.signals[layer.name], *layer.cell.states}
    shapes, stored = signal_shapes(layer), arrays(layer)
    return layer.cell.framework == "graph" or any(
        signal.tensor
        or signal.kind == "output"
        or len(shapes[signal.name]) != len(layer.space) + 1
        or stored[signal.name] != signal.name
        for signal in signals(layer)
        if signal.name in held
    )


def given(batches: Iterable[Batch]) -> bool:
    """Whether the steps that enter are known: those of an input of which nothing is known hold no numbers."""
    return not any(batch.shape is not None and not prod(batch.shape) for batch in batches)


def _libraries() -> Mapping[str, str]:
    found = {}
    for name in ("h5py", "numpy", "tensorflow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # tensorflow is absent where nothing needs it
            continue
    return found


def group_attributes(recording: Recording) -> dict[str, dict[str, AttributeValue]]:
    """Layer → the attributes of its group: `layer_attributes`, and in version 3 what its arrays are called."""
    found = {layer.name: layer_attributes(layer) for layer in recording.layers}
    if _format_version(recording) < NAMED_SINCE:
        return found
    return {layer.name: found[layer.name] | _called(recording, layer) for layer in recording.layers}


def per_unit(layer: Layer) -> tuple[str, ...]:
    """The signals that have the axis `unit`: the last one of a step, as long as the layer has units."""
    units, space = layer.sizes.get("units"), len(layer.space)
    return tuple(name for name, shape in signal_shapes(layer).items() if shape[space:][-1:] == (units,))


def kept_shape(recording: Recording, layer: Layer, signal: str) -> tuple[int, ...]:
    """A step of a signal as it is stored."""
    shape, units = signal_shapes(layer)[signal], recording.kept.units.get(layer.name)
    return shape if units is None or signal not in per_unit(layer) else (*shape[:-1], len(units))


def _called(recording: Recording, layer: Layer) -> dict[str, AttributeValue]:
    """What the arrays of a layer are called, and which of its units are in them."""
    recorded = recording.signals[layer.name]
    states = () if recording.kept.reduced else layer.cell.states
    stored = arrays(layer)
    tensors = {signal.name: signal.tensor for signal in signals(layer)}
    attributes: dict[str, AttributeValue] = {
        "signals": [storable(name) for name in recorded],
        "arrays": [stored[name] for name in recorded],
        "states": [storable(name) for name in states],
        "state_arrays": [stored[name] for name in states],
    }
    if layer.name in recording.kept.units:
        cut = [name for name in per_unit(layer) if name in (*recorded, *states)]
        attributes |= {KEPT_UNITS: spans(recording.kept.units[layer.name]), CUT: [storable(name) for name in cut]}
    if any(tensors[name] for name in recorded):
        attributes["tensors"] = [storable(tensors[name]) for name in recorded]
    return attributes


def spans(numbers: Iterable[int]) -> str:
    """Ascending numbers in words: `0:16,20`."""
    found: list[list[int]] = []
    for number in map(int, numbers):
        if found and number == found[-1][1]:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return ",".join(str(first) if after == first + 1 else f"{first}:{after}" for first, after in found)


def layer_attributes(layer: Layer) -> dict[str, AttributeValue]:
    """What a reader needs to make sense of a layer's numbers; each option with its evidence.

    The keys are those of the rows of `rnnprobe.analysis.inspect`.
    """
    cell = layer.cell
    gates: dict[str, AttributeValue] = {"gate_order": list(cell.gates), "spelled": list(cell.spelled)}
    attributes: dict[str, AttributeValue] = {
        "name": storable(layer.name),
        "cell": cell.name,
        "title": storable(cell.title),
        **{size: layer.sizes[size] for size in ("units", "input_size", "output_size") if size in layer.sizes},
        "direction": layer.direction,
        "scope": storable(layer.scope),
        **({} if cell.framework == "graph" else gates),
        **_feed("fed_by", layer.feed),
        "feed_evidence": layer.feed.evidence,
    }
    if layer.space:
        attributes["space"] = list(layer.space)
    if layer.feed.mask is not None:
        attributes |= _mask(layer.feed.mask)
    for state, feed in layer.initial.items():
        attributes |= _feed(f"{INITIAL}{state}_from", feed)
    if layer.context is not None:
        attributes |= _feed("attends_to", layer.context)
    for name, option in layer.options.items():
        attributes[name] = _option(option.value)
        attributes[f"{name}_evidence"] = option.evidence
    return attributes


def _feed(key: str, feed: Feed) -> dict[str, AttributeValue]:
    """The sources, and which of their states is meant where it is not their sequence."""
    sources: AttributeValue = [storable(source) for source in feed.sources]
    return {key: sources} | ({f"{key}_final": feed.final} if feed.final else {})


def _mask(mask: Mask) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {"mask_source": storable(mask.source), "mask_value": mask.value}
    return found | ({} if mask.emits == "last" else {"mask_emits": mask.emits})


def _option(value: OptionValue) -> AttributeValue:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, tuple):
        return list(value)
    return "none" if value is None else storable(value) if isinstance(value, str) else value
