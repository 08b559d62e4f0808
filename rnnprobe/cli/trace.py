"""`rnnprobe trace`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    model_argument,
    say,
    say_assumptions,
    verbosity,
)
from rnnprobe.inputs import BY
from rnnprobe.recover import Overrides

if TYPE_CHECKING:
    from rnnprobe.types import Batch, Block, Layer, Network, Recording

_NOT_VERIFIED = {"status": "not verified", "reason": "this version does not run the original beside the rebuilt graph"}


@click.command()
@model_argument
@click.option("--input", "source", required=True, metavar="FILE", help="The sequences; - for stdin.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the trace: .h5 or .npz.")
@layer_option
@click.option(
    "--record",
    default="states,gates",
    metavar="NAMES",
    show_default=True,
    help="Signals by name (h,c,f,f_pre …), or states, gates, pre, inner, all.",
)
@click.option("--vocab", type=click.Path(path_type=Path), metavar="FILE", help="Tokens of a text: .txt, .json, .pkl.")
@click.option(
    "--by",
    type=click.Choice(BY),
    default="char",
    show_default=True,
    help="What a token of a text is.",
)
@click.option("--unknown", metavar="TOKEN", help="The token, or id, that stands for what the vocabulary lacks.")
@click.option("--input-format", metavar="NAME", help="The format of stdin, where it can't be told.")
@click.option("--lengths", metavar="FILE", help="The valid steps of each sequence.")
@click.option("--time-major", is_flag=True, help="The input is [time, batch, …].")
@click.option("--select", metavar="SEQUENCES", help="Only these: numbers, A:B or names, with commas.")
@click.option("--steps", metavar="A:B", help="Only these steps of each sequence.")
@click.option("--initial-state", metavar="FILE", help="The states to start from; zeros without.")
@click.option(
    "--own-input", is_flag=True, help="The input is that of the layers chosen with --layer, not of what feeds them."
)
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
    source: str,
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
    **reading: Any,
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
    from rnnprobe.analysis.select import select
    from rnnprobe.cells.layers import chosen
    from rnnprobe.cli.provenance import provenance
    from rnnprobe.inputs.file import path_of
    from rnnprobe.recover import stacks
    from rnnprobe.types import Recording

    checkpoint = formats.read(model)
    given = (source, initial_state, reading["vocab"], reading["lengths"])
    sources = [*checkpoint.files, *(path for path in map(path_of, given) if path is not None)]
    place = outputs.check(output, force=force, sources=sources) if output is not None else None
    outputs.settings(dtype, compress)
    whole = recover.network(checkpoint, overrides)
    network, layers = stacks.select(whole, select(whole, layer) if layer else (), own_input=own_input)
    if not quiet:
        say(checkpoint.notes)
        say_assumptions(network)
    batches = _read(source, network, carry, quiet, reading)
    if not quiet:
        say(_unmasked(network, batches))
    signals = chosen(layers, record)
    recording = Recording(layers, signals, batches, provenance(checkpoint, source), _NOT_VERIFIED)
    states = _states(initial_state, network.layers, recording.sequences, quiet)
    if dry_run:
        return _forecast(recording, dtype, as_json)

    from rnnprobe import engine

    blocks = engine.trace(network, batches, signals, initial=states, carry=carry)
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


def _read(source: str, network: Any, carry: bool, quiet: bool, reading: dict[str, Any]) -> tuple[Batch, ...]:
    """The input, as this network takes it."""
    from rnnprobe import inputs
    from rnnprobe.inputs import vocabulary
    from rnnprobe.recover import stacks

    vocab = reading.pop("vocab")
    return inputs.read(
        source,
        stacks.entry(network),
        say=_speaker(quiet),
        vocabulary=vocabulary.read(vocab) if vocab is not None else None,
        batch_size=1 if carry else inputs.BATCH_SIZE,
        **reading,
    )


def _speaker(quiet: bool) -> Callable[[str], None]:
    return (lambda line: None) if quiet else (lambda line: say([line]))


def _unmasked(network: Network, batches: tuple[Batch, ...]) -> list[str]:
    """What is not skipped, since a mask speaks of ids and floats were given."""
    tables = {embedding.name for embedding in network.embeddings}
    masked = [layer for layer in network.layers if layer.feed.mask is not None and layer.feed.mask.source in tables]
    if not masked or batches[0].features is None:
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
    return states.read(initial_state, layers, sequences, say=_speaker(quiet))


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
    summary.show(sink.summaries, recording.verification, as_json=as_json)


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
