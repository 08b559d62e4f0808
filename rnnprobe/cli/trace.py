"""`rnnprobe trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    model_argument,
    own_input_option,
    say,
    say_assumptions,
    verbosity,
)
from rnnprobe.cli.reading import Reading, reads_input, speaker
from rnnprobe.recover import Overrides

if TYPE_CHECKING:
    from rnnprobe.types import Batch, Block, Layer, Network, Recording

_NOT_VERIFIED = "nothing was compared: `rnnprobe verify` runs the original beside the rebuilt layers"
_NO_ORIGINAL = "nothing was compared: the file holds neither a graph nor layers of Keras"


@click.command()
@model_argument
@reads_input
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the trace: .h5 or .npz.")
@layer_option
@click.option(
    "--record",
    default="states,gates",
    metavar="NAMES",
    show_default=True,
    help="Signals by name (h,c,f,f_pre …), or states, gates, pre, inner, all; output for the model's own output.",
)
@click.option("--initial-state", metavar="FILE", help="The states to start from; zeros without.")
@own_input_option
@click.option("--carry", is_flag=True, help="Each sequence starts in the states in which the one before it ended.")
@click.option("--dtype", default="float32", show_default=True, metavar="NAME", help="Of the values in the file.")
@click.option("--compress", metavar="NAME", help="gzip, or gzip-1 … gzip-9: smaller and much slower.")
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option("--dry-run", is_flag=True, help="Say what would be recorded, and run nothing.")
@describes_cell
@json_option
@verbosity
def command(
    model: Path,
    reading: Reading,
    output: Path | None,
    layer: tuple[str, ...],
    record: str,
    initial_state: str | None,
    own_input: bool,
    carry: bool,
    dtype: str,
    compress: str | None,
    force: bool,
    dry_run: bool,
    overrides: Overrides,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Record every step's states, gates and outputs of MODEL over the sequences of --input.

    States start at zero with each sequence, unless --carry or --initial-state says otherwise. Past the end of a
    sequence a trace holds NaN. Without -o a summary is printed.

    \b
    Example:
      rnnprobe trace model.ckpt-85340 --input text.txt --vocab vocab.json -o trace.h5
      rnnprobe trace model.h5 --input x.npy --record all --layer lstm_1
    """
    from rnnprobe import formats, outputs, recover
    from rnnprobe.analysis.select import recorded, select
    from rnnprobe.cells.layers import chosen
    from rnnprobe.cli.provenance import provenance
    from rnnprobe.inputs.file import path_of
    from rnnprobe.recover import stacks
    from rnnprobe.types import Recording

    checkpoint = formats.read(model)
    read = (*reading.read_from, *((initial_state,) if initial_state is not None else ()))
    sources = [*checkpoint.files, *(path for path in map(path_of, read) if path is not None)]
    place = outputs.check(output, force=force, sources=sources) if output is not None else None
    outputs.settings(dtype, compress)
    whole = recover.network(checkpoint, overrides)
    words, wants_output = recorded(record)
    named = select(whole, layer) if layer else ()
    network, layers = stacks.select(whole, named, own_input=own_input, outputs=wants_output)
    if not quiet:
        say(checkpoint.notes)
        say_assumptions(network)
        say(stacks.unwired(whole, network) if initial_state is None else ())
    batches = reading.read(network, quiet=quiet, batch_size=1 if carry else None)
    if not quiet:
        say(_unmasked(network, batches))
    network, lengths, outcomes = _extents(network, batches)
    layers = tuple(network[found.name] for found in layers)
    signals = chosen(layers, words) if words else {found.name: () for found in layers}
    attributes = provenance(checkpoint, reading)
    original = checkpoint.graph is not None or all(found.cell.framework == "keras" for found in network.layers)
    verification = {"status": "not verified", "reason": _NOT_VERIFIED if original else _NO_ORIGINAL}
    recording = Recording(layers, signals, batches, attributes, verification, lengths, outcomes)
    states = _states(initial_state, network.layers, recording.sequences, quiet)
    if dry_run:
        return _forecast(recording, dtype, as_json)

    from rnnprobe import engine

    blocks = engine.trace(network, batches, signals, initial=states, carry=carry, outcomes=outcomes)
    if not quiet:
        blocks = _progress(blocks, recording)
    if place is not None:
        with outputs.open(place, recording, dtype=dtype, compress=compress) as sink:
            for block in blocks:
                sink.write(block)
        if not quiet:
            say([_done(output, recording)])
    else:
        _summarise(blocks, recording, as_json)


def _extents(network: Network, batches: tuple[Batch, ...]) -> tuple[Network, Any, Any]:
    """The network with its extents in space, the layers' own lengths, and the outputs: whatever the input decides."""
    from rnnprobe.recover.stacks import plain

    if plain(network):
        return network, {}, ()
    from rnnprobe import engine

    found = engine.extents(network, batches)
    return found.network, found.lengths, found.outcomes


def _unmasked(network: Network, batches: tuple[Batch, ...]) -> list[str]:
    """What is not skipped, since a mask speaks of ids and floats were given."""
    tables = {embedding.name for embedding in network.embeddings}
    masked = [layer for layer in network.layers if layer.feed.mask is not None and layer.feed.mask.source in tables]
    if not masked or batches[0].shape is None:
        return []
    names = ", ".join(layer.name for layer in masked)
    return [f"in the model {names} skips padded ids; floats tell no ids, and nothing is skipped: --lengths says where"]


def _done(output: Path | None, recording: Recording) -> str:
    counts = f"layers: {len(recording.layers)}, sequences: {recording.sequences:,}, steps: up to {recording.steps:,}"
    verified = recording.verification
    return f"wrote {output} ({counts}); {verified['status']}: {verified['reason']}"


def _states(initial_state: str | None, layers: tuple[Layer, ...], sequences: int, quiet: bool) -> Any:
    from rnnprobe.inputs import states

    if initial_state is None:
        return None
    return states.read(initial_state, layers, sequences, say=speaker(quiet))


def _forecast(recording: Recording, dtype: str, as_json: bool) -> None:
    """What would be recorded: shapes and bytes."""
    from rnnprobe.analysis.forecast import forecast
    from rnnprobe.views import terminal

    terminal.show(forecast(recording, dtype), command="trace", as_json=as_json)


def _summarise(blocks: Iterable[Block], recording: Recording, as_json: bool) -> None:
    """Runs, and prints what was recorded in short."""
    from rnnprobe import outputs
    from rnnprobe.views import summary

    with outputs.summarise(recording) as sink:
        for block in blocks:
            sink.write(block)
    summary.show(sink.summaries, recording.verification, outcomes=sink.outcomes, as_json=as_json)


def _progress(blocks: Iterator[Block], recording: Recording) -> Iterator[Block]:
    """A bar on stderr where that is a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield from blocks
        return
    from rich.console import Console
    from rich.progress import Progress

    steps = sum(batch.steps for batch in recording.batches) * len(recording.layers)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("steps", total=steps)
        for block in blocks:
            yield block
            bar.advance(task, sum(len(next(iter(s.values()), ())) for s in block.signals.values()))
