"""The stages as functions, for notebooks and programs: whatever the commands can do.

    import rnnprobe

    network = rnnprobe.open("model.ckpt-85340")        # what is in it: network.layers, network.candidates
    forget = rnnprobe.weights(network)["rnn/lstm_cell"]["kernel"]["f"]
    trace = rnnprobe.trace(network, x, record="all")   # every state and gate at every step
    trace.layers["rnn/lstm_cell"].signals["c"]         # [sequence, time, unit]

TensorFlow is imported by `trace` and `verify` alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnprobe.types import Array, Layer, Network, OptionValue

if TYPE_CHECKING:
    from rnnprobe.analysis.comparison import Comparison
    from rnnprobe.analysis.keeping import Units
    from rnnprobe.outputs import Trace


def open(
    path: str | Path, *, cell: str | None = None, config: str | Path | None = None, **options: OptionValue
) -> Network:
    """Reads a checkpoint and finds its recurrent layers. No tensor is loaded; TensorFlow and Keras are not imported.

    Args:
        path: a checkpoint's prefix, any of its files, a directory, or a Keras file.
        cell: the name of the cell that unclaimed candidates are.
        config: a Keras configuration (JSON) beside weights that came without one.
        **options: `forget_bias=0.0`, `activation="relu"` …, over what the file says.

    Raises:
        BadInput: there is no such checkpoint, it is damaged, or an option does not fit.
        Refused: the file asks for something that rnnprobe does not do for a file.
    """
    from rnnprobe import formats, recover

    overrides = recover.Overrides(cell, options, Path(config) if config is not None else None)
    return recover.network(formats.read(path), overrides)


def layers(model: Network | str | Path) -> tuple[Layer, ...]:
    """The recurrent layers of a model, each after those that feed it."""
    return _network(model).layers


def weights(model: Network | str | Path) -> dict[str, dict[str, dict[str, Array]]]:
    """Every layer's weights, gate by gate.

    Returns:
        Layer → part (`kernel`, `recurrent_kernel`, `bias` …) → gate (`i`, `f` …; empty where the part has no gates) →
        the block, `[rows, units]` or `[units]`, ready for `x · block`.
    """
    from rnnprobe.cells.slices import slices

    found: dict[str, dict[str, dict[str, Array]]] = {}
    for layer in _network(model).layers:
        parts = found.setdefault(layer.name, {})
        for block in slices(layer):
            parts.setdefault(block.part, {})[block.gate] = block.load()
    return found


def trace(
    model: Network | str | Path,
    x: Any = None,
    *,
    layers: str | Sequence[str] = (),
    record: str | Sequence[str] = ("states", "gates"),
    lengths: Any = None,
    time_major: bool = False,
    initial_state: Any = None,
    carry: bool = False,
    own_input: bool = False,
    engine: str | None = None,
    tensors: str | Sequence[str] = (),
    feeds: Mapping[str, Any] | None = None,
    verify: bool = False,
    stride: int = 1,
    units: Units | None = None,
    reduce: str | Sequence[str] = (),
    over: str | None = None,
) -> Trace:
    """Runs the rebuilt layers, or the original graph, over sequences and returns what they did at each step, in memory.

    Args:
        model: a network from `open`, or a path.
        x: floats `[batch, time, features]` or `[time, features]`, ids `[batch, time]`, a list of such sequences of
            different lengths, or the path of a file that `rnnprobe trace --input` takes; input → one of these, for a
            model with several inputs. None where `feeds` is all.
        layers: a name or pattern of layers to trace, or several; by default the only stack there is.
        record: signals by name, or `states`, `gates`, `pre`, `inner`, `all`; and `output`, the model's own output.
        lengths: `[batch]`; steps past them hold the states and are NaN in the trace.
        time_major: x is `[time, batch, …]`.
        initial_state: layer → state → `[batch, size]` or `[size]`, or state → array for a single layer, or the array
            alone where it has only one state; or the path of a file with these.
        own_input: x is what enters the layers chosen, not what enters those that feed them.
        carry: each sequence starts from the states in which the one before it ended.
        engine: `rebuilt`, or `original`: the graph that came with the weights is run, and its recurrences recorded;
            by default rebuilt, unless tensors of the original are named.
        tensors: names or patterns of the original graph's tensors to record at each step.
        feeds: placeholder of the original graph → what it is fed: an array, a number, or bytes.
        verify: compare with the original in the same run: `Trace.verification`.
        stride: keep every so many steps.
        units: keep these units: `"0:16"`, `[3, 17]`, or layer → these.
        reduce: in place of the signals, these figures of them: `mean`, `std`, `min`, `max`, `histogram`, `saturation`:
            `LayerTrace.reduced`.
        over: what `reduce` goes over: `time` (by default), for each sequence; or `sequences`, for each step.

    Raises:
        BadInput: x, the lengths or the states don't fit the network; the message says what it takes.
        Refused: the original graph would have to run an operation that is not on the list.
    """
    from rnnprobe import outputs, runs
    from rnnprobe.analysis.keeping import Less

    whole = _network(model)
    job = runs.Job(
        whole.checkpoint.path,
        runs.Given(x, lengths, time_major),
        layers=_listed(layers),
        record=record,
        initial_state=initial_state,
        carry=carry,
        own_input=own_input,
        engine=engine,
        tensors=_listed(tensors),
        feeds=feeds or {},
        verify=verify,
        less=Less(stride, units, reduce, over),
    )
    job.check()
    ready = runs.ready(job, whole, _warn)
    with outputs.collect(ready.recording) as sink:
        ready.record(sink)
    return sink.trace


def verify(
    model: Network | str | Path,
    x: Any = None,
    *,
    layers: str | Sequence[str] = (),
    lengths: Any = None,
    time_major: bool = False,
    own_input: bool = False,
    feeds: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    padding: bool = False,
) -> Comparison:
    """Does the rebuilt network compute what the original does? Runs both, and compares every state and gate.

    Args:
        model, x, layers, lengths, time_major, own_input, feeds: as `trace` takes them.
        tolerance: relative; None: 1e-5 in float32 beside Keras, 1e-4 beside a graph.
        padding: the original is given every sequence padded to the longest, and compared with each run by itself.

    Returns:
        What was found: `agrees`, and `differences` for each signal of each layer.

    Raises:
        BadInput: there is no original, or it can't be run on x.
        Refused: the original graph would have to run an operation that is not on the list.
    """
    from rnnprobe import runs

    whole = _network(model)
    job = runs.Job(
        whole.checkpoint.path,
        runs.Given(x, lengths, time_major),
        layers=_listed(layers),
        own_input=own_input,
        feeds=feeds or {},
    )
    return runs.prove(runs.comparable(job, whole, _warn), tolerance, padded=padding)[0]


def load_trace(path: str | Path) -> Trace:
    """A trace that `rnnprobe trace` wrote, its arrays read from the file as they are sliced.

    Raises:
        BadInput: the file is no trace, or is damaged.
    """
    from rnnprobe import outputs

    return outputs.load(path)


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        warnings.warn(line, stacklevel=4)


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _network(model: Network | str | Path) -> Network:
    return model if isinstance(model, Network) else open(model)
