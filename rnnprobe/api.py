"""The stages as functions, for notebooks and programs: whatever the commands can do.

    import rnnprobe

    network = rnnprobe.open("model.ckpt-85340")        # what is in it: network.layers, network.candidates
    forget = rnnprobe.weights(network)["rnn/lstm_cell"]["kernel"]["f"]
    trace = rnnprobe.trace(network, x, record="all")   # every state and gate at every step
    trace.layers["rnn/lstm_cell"].signals["c"]         # [sequence, time, unit]

TensorFlow is imported by `trace` alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnprobe.types import Array, Layer, Network, OptionValue, Recording

if TYPE_CHECKING:
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
    x: Any,
    *,
    layers: str | Sequence[str] = (),
    record: str | Sequence[str] = ("states", "gates"),
    lengths: Any = None,
    time_major: bool = False,
    initial_state: Any = None,
    carry: bool = False,
    own_input: bool = False,
) -> Trace:
    """Runs the rebuilt layers over sequences and returns what they did at each step, in memory.

    Args:
        model: a network from `open`, or a path.
        x: floats `[batch, time, features]` or `[time, features]`, ids `[batch, time]`, a list of such sequences of
            different lengths, or the path of a file that `rnnprobe trace --input` takes; input → one of these, for a
            model with several inputs.
        layers: a name or pattern of layers to trace, or several; by default the only stack there is.
        record: signals by name, or `states`, `gates`, `pre`, `inner`, `all`; and `output`, the model's own output.
        lengths: `[batch]`; steps past them hold the states and are NaN in the trace.
        time_major: x is `[time, batch, …]`.
        initial_state: layer → state → `[batch, size]` or `[size]`, or state → array for a single layer, or the array
            alone where it has only one state; or the path of a file with these.
        own_input: x is what enters the layers chosen, not what enters those that feed them.
        carry: each sequence starts from the states in which the one before it ended.

    Raises:
        BadInput: x, the lengths or the states don't fit the network; the message says what it takes.
    """
    from rnnprobe import engine, inputs, outputs
    from rnnprobe.analysis.select import recorded, select
    from rnnprobe.cells.layers import chosen
    from rnnprobe.inputs import states as given_states
    from rnnprobe.recover import stacks

    whole = _network(model)
    words, output = recorded(record)
    named = select(whole, [layers] if isinstance(layers, str) else layers) if layers else ()
    network, wanted = stacks.select(whole, named, own_input=own_input, outputs=output)
    for line in stacks.unwired(whole, network) if initial_state is None else ():
        _warn(line)
    batches = inputs.read(
        x,
        stacks.entries(network),
        say=_warn,
        lengths=lengths,
        time_major=time_major,
        batch_size=1 if carry else inputs.BATCH_SIZE,
    )
    extents = engine.extents(network, batches)
    network = extents.network
    wanted = tuple(network[layer.name] for layer in wanted)
    signals = chosen(wanted, words) if words else {layer.name: () for layer in wanted}
    recording = Recording(wanted, signals, batches, lengths=extents.lengths, outcomes=extents.outcomes)
    states = (
        given_states.read(initial_state, network.layers, recording.sequences, say=_warn)
        if initial_state is not None
        else {}
    )
    with outputs.collect(recording) as sink:
        for block in engine.trace(network, batches, signals, initial=states, carry=carry, outcomes=extents.outcomes):
            sink.write(block)
    return sink.trace


def load_trace(path: str | Path) -> Trace:
    """A trace that `rnnprobe trace` wrote, its arrays read from the file as they are sliced.

    Raises:
        BadInput: the file is no trace, or is damaged.
    """
    from rnnprobe import outputs

    return outputs.load(path)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)


def _network(model: Network | str | Path) -> Network:
    return model if isinstance(model, Network) else open(model)
