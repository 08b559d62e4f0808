"""`rnnprobe trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnprobe.cli.keeping import keeps_less
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
    from rnnprobe.analysis.keeping import Less
    from rnnprobe.proof import Compared
    from rnnprobe.types import Batch, Block, Entry, Layer, Recording


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
@click.option(
    "--engine",
    type=click.Choice(("rebuilt", "original")),
    help="What runs: the rebuilt layers, or the graph that came with the weights, with recorders put into its loops. "
    "[default: rebuilt]",
)
@click.option(
    "--tensor",
    "tensors",
    multiple=True,
    metavar="PATTERN",
    help="A tensor of the original graph by its name or a glob, at every step; `inspect --loops -v` lists them. "
    "May be repeated; implies --engine original.",
)
@click.option(
    "--verify/--no-verify",
    "verify",
    default=None,
    help="Compare with the original in the same run. [default: where a graph came along and is cheap to run]",
)
@keeps_less
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
    engine: str | None,
    tensors: tuple[str, ...],
    verify: bool | None,
    less: Less,
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
    sequence a trace holds NaN. Without -o a summary is printed. Where the graph came with the weights, it is run
    beside the rebuilt layers and compared; the status is 1 where the two differ.

    \b
    Example:
      rnnprobe trace model.ckpt-85340 --input text.txt --vocab vocab.json -o trace.h5
      rnnprobe trace model.h5 --input x.npy --record all --layer lstm_1
      rnnprobe trace model.h5 --input corpus.txt --reduce mean,std,histogram -o figures.h5
      rnnprobe trace model.pb --feed wav_data=speech.wav -o trace.h5
      rnnprobe trace model.ckpt --engine original --input x.npy --tensor 'rnn/while/*/alignments*'
    """
    from rnnprobe import formats, outputs, proof, recover
    from rnnprobe import run as runs
    from rnnprobe.analysis.select import recorded
    from rnnprobe.cli.provenance import provenance
    from rnnprobe.inputs import feeds
    from rnnprobe.inputs.file import path_of
    from rnnprobe.types import Recording

    checkpoint = formats.read(model)
    read = (*reading.read_from, *((initial_state,) if initial_state is not None else ()))
    sources = [*checkpoint.files, *(path for path in map(path_of, read) if path is not None)]
    place = outputs.check(output, force=force, sources=sources) if output is not None else None
    outputs.settings(dtype, compress)
    words, wants_output = recorded(record)
    less.check(stored=output is not None or dry_run, outputs=wants_output)
    states = carry or initial_state is not None
    fed = feeds.read(reading.feed)
    ask = runs.Ask(engine, layer, own_input, wants_output, tensors, fed, bool(reading.inputs), states)
    whole = recover.network(checkpoint, overrides)
    if not quiet:
        say(checkpoint.notes)

    def batches(entries: Mapping[str, Entry]) -> tuple[Batch, ...]:
        return reading.read(entries, quiet=quiet, batch_size=1 if carry else None)

    run = runs.prepare(whole, ask, batches, _silent if quiet or initial_state is not None else say)
    if not quiet and run.probe is None:
        say_assumptions(run.network)
    signals = run.signals(words)
    attributes = provenance(checkpoint, reading) | ({} if run.probe is None else {"engine": "original"})
    kept, lines = less.of(run.layers, signals)
    if not quiet:
        say(lines)
    recording = Recording(run.layers, signals, run.batches, attributes, {}, run.lengths, run.outcomes, kept)
    given = _states(initial_state, run.network.layers, recording.sequences, quiet)
    if dry_run:
        run.close()
        return _forecast(recording, dtype, as_json)
    compared = proof.Compared(run, verify, signals)
    blocks = compared.over(run.blocks(signals, initial=given, carry=carry))
    if not quiet:
        blocks = _progress(blocks, recording)
    if place is not None:
        with outputs.open(place, recording, dtype=dtype, compress=compress) as sink:
            for block in blocks:
                sink.write(block)
            sink.verified(compared.verification)
        if not quiet:
            say([_done(output, recording, compared.verification)])
    else:
        _summarise(blocks, recording, compared, as_json)
    compared.settle(model)


def _silent(lines: Iterable[str]) -> None:
    """Says nothing."""


def _done(output: Path | None, recording: Recording, verified: Mapping[str, Any]) -> str:
    counts = f"layers: {len(recording.layers)}, sequences: {recording.sequences:,}, steps: up to {recording.steps:,}"
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


def _summarise(blocks: Iterable[Block], recording: Recording, compared: Compared, as_json: bool) -> None:
    """Runs, and prints what was recorded in short."""
    from rnnprobe import outputs
    from rnnprobe.views import summary

    with outputs.summarise(recording) as sink:
        for block in blocks:
            sink.write(block)
    summary.show(sink.summaries, compared.verification, outcomes=sink.outcomes, as_json=as_json)


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
