"""`rnnprobe shapes`."""

from __future__ import annotations

from pathlib import Path

import click

from rnnprobe.cli.options import json_option, layer_option, model_argument, names_cell, traceback_option
from rnnprobe.recover import Overrides


@click.command()
@model_argument
@layer_option
@names_cell
@json_option
@traceback_option
def command(model: Path, layer: tuple[str, ...], overrides: Overrides, as_json: bool) -> None:
    """Every recurrent tensor of MODEL, its dimensions in words and numbers.

    \b
    Example:
      rnnprobe shapes model.ckpt-85340
      rnnprobe shapes model.h5 --json | jq '.shapes[] | [.tensor, .formulas, .shape]'
    """
    from rnnprobe import formats, recover
    from rnnprobe.analysis.select import select
    from rnnprobe.analysis.shapes import shapes
    from rnnprobe.views import terminal

    network = recover.network(formats.read(model), overrides)
    terminal.show(shapes(network, select(network, layer)), command="shapes", as_json=as_json)
