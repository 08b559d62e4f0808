"""`rnnprobe verify`."""

from __future__ import annotations

from pathlib import Path

import click

from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    model_argument,
    say_assumptions,
    speaker,
    verbosity,
)
from rnnprobe.cli.reading import Reads, reads_input
from rnnprobe.recover import Overrides
from rnnprobe.runs.reading import Reading


@click.command(cls=Reads)
@model_argument
@reads_input
@layer_option
@click.option(
    "--own-input", is_flag=True, help="The input is that of the layers chosen with --layer, not of what feeds them."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0.0),
    metavar="NUMBER",
    help="How far a value may be off, relative to the largest of its signal where that is over 1. "
    "[default: 1e-5 in float32, 1e-10 in float64; beside a TensorFlow 1 graph, 1e-4 and 1e-9]",
)
@click.option(
    "--padding",
    "padded",
    is_flag=True,
    help="Give the original every sequence padded to the longest, and compare with each run by itself: "
    "is the padding masked everywhere?",
)
@describes_cell
@json_option
@verbosity
def command(
    model: Path,
    reading: Reading,
    layer: tuple[str, ...],
    own_input: bool,
    tolerance: float | None,
    padded: bool,
    overrides: Overrides,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Does the rebuilt graph compute what the original does?

    Runs both over the sequences of --input: the layers as rnnprobe rebuilds them, and the original on the same weights.
    Of a Keras model that is Keras's own layers; nothing that is in the file is executed. Of a TensorFlow 1 checkpoint
    or frozen graph it is the stored graph, as far as it leads to the recurrent layers, and only if every operation on
    the way there is one that merely computes. Every state and gate at every step is compared, and the model's outputs.
    Exits with 1 where they differ.

    \b
    Example:
      rnnprobe verify model.keras --input x.npy
      rnnprobe verify model.ckpt-1000 --input x.npy
      rnnprobe verify model.pb --feed wav_data=speech.wav
      rnnprobe verify model.h5 --input x.npy --lengths lengths.txt --padding
      rnnprobe verify model.h5 --input question=q.npy --input story=s.npy --tolerance 1e-6
    """
    from rnnprobe import runs
    from rnnprobe.analysis import verification
    from rnnprobe.errors import AnswerIsNo
    from rnnprobe.inputs import feeds
    from rnnprobe.views import terminal

    job = runs.Job(model, reading, overrides, layers=layer, own_input=own_input, feeds=feeds.read(reading.feed))
    tell = speaker(quiet)
    whole = runs.opened(job)
    tell(whole.checkpoint.notes)
    run = runs.comparable(job, whole, tell)
    if not quiet:
        say_assumptions(run.network)
    found, original = runs.prove(run, tolerance, padded=padded)
    verified = verification.verification(found, original.notes, original.name)
    terminal.show(verification.report(found, verified), command="verify", as_json=as_json)
    if not found.agrees:
        raise AnswerIsNo(f"{verified['status']}: {verification.first_beyond(found) or verified['reason']}", path=model)
