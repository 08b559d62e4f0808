"""`rnnprobe trace`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnprobe.cli.keeping import keeps_less
from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    model_argument,
    own_input_option,
    say_assumptions,
    speaker,
    verbosity,
)
from rnnprobe.cli.parted import Parted
from rnnprobe.cli.reading import Reads, reads_input
from rnnprobe.recover import Overrides
from rnnprobe.runs.job import ENGINES
from rnnprobe.runs.reading import Reading

if TYPE_CHECKING:
    from rnnprobe.analysis.keeping import Less
    from rnnprobe.analysis.verification import Verified
    from rnnprobe.runs import Ready
    from rnnprobe.types import Recording


@click.command(cls=Reads)
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
    type=click.Choice(ENGINES),
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
@click.option(
    "--compress", metavar="NAME", help="gzip, gzip-1 … gzip-9, lzf, or bitshuffle-lz4: smaller; gzip is much slower."
)
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option(
    "--resume",
    is_flag=True,
    help="Keep finished parts beside the output, a .h5 file, until it is there: where the trace is cut, the same "
    "command goes on.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Trace on a Dask cluster, tcp://HOST:PORT, or local:N for N processes here; -o then presents the parts, which "
    "stay beside it. Parts are kept as with --resume.",
)
@click.option("--merge", is_flag=True, help="With --scheduler: copy the parts into one file, and remove them.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be recorded, and how long computing takes, where the beginning of the run tells; with -o also "
    "how long writing takes, of which a sample is written and removed, and whether there is room, but not of what "
    "--compress leaves.",
)
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
    resume: bool,
    scheduler: str | None,
    merge: bool,
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
      rnnprobe trace model.ckpt --input corpus.jsonl -o corpus.h5 --resume
      rnnprobe trace model.ckpt --input corpus.jsonl -o corpus.h5 --scheduler tcp://head:8786
    """
    from rnnprobe import outputs, runs
    from rnnprobe.cli.dry_run import show
    from rnnprobe.inputs import feeds
    from rnnprobe.runs import leftovers, threads
    from rnnprobe.runs.proof import settle
    from rnnprobe.runs.provenance import identity, provenance, resumable

    job = runs.Job(
        model,
        reading,
        overrides,
        layers=layer,
        record=record,
        initial_state=initial_state,
        carry=carry,
        own_input=own_input,
        engine=engine,
        tensors=tensors,
        feeds=feeds.read(reading.feed),
        verify=verify,
        dtype=dtype,
        compress=compress,
        less=less,
    )
    job.check(stored=output is not None or dry_run)
    tell = speaker(quiet)
    whole = runs.opened(job)
    if not job.of_graph:
        threads.choose(whole.layers)
    sources = [*whole.checkpoint.files, *job.files]
    place = outputs.check(output, force=force, sources=sources) if output is not None else None
    how = outputs.settings(dtype, compress, place)
    parted = Parted(resume, scheduler, merge)
    parted.check(place)
    tell(whole.checkpoint.notes)
    attributes = provenance(whole.checkpoint, reading, sys.argv[1:])
    ready = runs.ready(job, whole, tell, attributes)
    parted.refuse(ready)
    if not quiet and ready.run.probe is None:
        say_assumptions(ready.run.network)
    if dry_run:
        stored = None
        if place is not None and parted:
            stored = parted.size_of(ready, place, identity(job, reading, attributes))
        elif place is not None:
            stored = outputs.size_of(place, ready.recording, how)
        return show(ready, how, place, stored, as_json=as_json)
    if place is None:
        verified = _summarise(ready, quiet, as_json)
    else:
        with _progress(ready.recording, quiet) as advance:
            if parted:
                verified = parted.trace(ready, place, identity(job, reading, attributes), advance, tell)
            else:
                with (
                    leftovers.outlived(place, lambda: resumable(job, reading, attributes), tell),
                    outputs.open(place, ready.recording, dtype=dtype, compress=compress) as sink,
                ):
                    verified = ready.record(sink, advance)
        tell([_done(place.path, ready.recording, verified)])
    settle(verified, model)


def _done(output: Path, recording: Recording, verified: Verified) -> str:
    counts = f"layers: {len(recording.layers)}, sequences: {recording.sequences:,}, steps: up to {recording.steps:,}"
    return f"wrote {output} ({counts}); {verified['status']}: {verified['reason']}"


def _summarise(ready: Ready, quiet: bool, as_json: bool) -> Verified:
    """Runs, and prints what was recorded in short."""
    from rnnprobe import outputs
    from rnnprobe.views import summary

    with _progress(ready.recording, quiet) as advance, outputs.summarise(ready.recording) as sink:
        verified = ready.record(sink, advance)
    summary.show(sink.summaries, verified, outcomes=sink.outcomes, as_json=as_json)
    return verified


@contextmanager
def _progress(recording: Recording, quiet: bool) -> Iterator[Callable[[int], None]]:
    """What is told what is done of `Recording.work`, and shows it: a bar on stderr where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("steps", total=recording.work())
        yield lambda done: bar.advance(task, done)
