"""`rnnprobe inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    model_argument,
    say_assumptions,
    verbosity,
)
from rnnprobe.recover import Overrides

_ROWS = 12
"""Of the tensors that are no business of ours, without -v."""


@click.command()
@model_argument
@layer_option
@describes_cell
@click.option(
    "--loops",
    "by_loop",
    is_flag=True,
    help="The recurrences of the graph instead: what each carries, reads and hands out; -v lists the tensors inside.",
)
@json_option
@verbosity
def command(
    model: Path,
    layer: tuple[str, ...],
    overrides: Overrides,
    by_loop: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """What is in MODEL: its recurrent layers, their options, and the rest.

    MODEL is a checkpoint's prefix, any of its files, a directory with checkpoints, or a Keras file. Each option says
    where its value comes from; the options below go over what the file says.

    \b
    Example:
      rnnprobe inspect model.ckpt-85340
      rnnprobe inspect model.h5 --json | jq '.layers[] | [.layer, .cell, .units]'
      rnnprobe inspect model.ckpt-85340 --loops
    """
    from rnnprobe import formats, recover
    from rnnprobe.analysis.inspect import inspect
    from rnnprobe.analysis.loops import loops
    from rnnprobe.analysis.select import select
    from rnnprobe.views import terminal

    network = recover.network(formats.read(model), overrides)
    if by_loop:
        if layer:
            raise click.UsageError("--layer goes with the layers; --loops lists every recurrence of the graph")
        terminal.show(loops(network, tensors=verbose), command="inspect", as_json=as_json)
        return
    reports = inspect(network, select(network, layer))
    if not verbose and not as_json:
        reports = tuple(
            terminal.abridge(report, _ROWS, "-v lists them all") if report.name == "other" else report
            for report in reports
        )
    terminal.show(reports, command="inspect", as_json=as_json)
    if not quiet:
        say_assumptions(network)
