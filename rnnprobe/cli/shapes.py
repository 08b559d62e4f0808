"""`rnnprobe shapes`."""

from __future__ import annotations

from pathlib import Path

import click

from rnnprobe.cli.options import json_option, layer_option, model_argument, names_cell, traceback_option
from rnnprobe.errors import BadInput
from rnnprobe.recover import Overrides
from rnnprobe.types import Network


@click.command()
@model_argument
@layer_option
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Write them as a specification (.toml) for `check`."
)
@click.option("--values", is_flag=True, help="Into it also the norms and means of each gate; reads the weights.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@names_cell
@json_option
@traceback_option
def command(
    model: Path,
    layer: tuple[str, ...],
    save: Path | None,
    values: bool,
    force: bool,
    overrides: Overrides,
    as_json: bool,
) -> None:
    """Every recurrent tensor of MODEL, its dimensions in words and numbers.

    \b
    Example:
      rnnprobe shapes model.ckpt-85340
      rnnprobe shapes model.keras --save spec.toml
      rnnprobe shapes model.h5 --json | jq '.shapes[] | [.tensor, .formulas, .shape]'
    """
    from rnnprobe import formats, recover
    from rnnprobe.analysis.select import select
    from rnnprobe.analysis.shapes import shapes
    from rnnprobe.views import terminal

    if values and save is None:
        raise BadInput("--values says what --save writes, and there is no --save", hint="rnnprobe weights prints them")
    checkpoint = formats.read(model)
    if save is not None:
        _check(save, force, checkpoint.files)
    network = recover.network(checkpoint, overrides)
    if save is not None:
        _save(save, force, network, layer, values)
    terminal.show(shapes(network, select(network, layer)), command="shapes", as_json=as_json)


def _check(path: Path, force: bool, sources: tuple[Path, ...]) -> None:
    """Refuses, before any work, what can't be written."""
    from rnnprobe.outputs import text

    if path.suffix != ".toml":
        raise BadInput(f"the suffix {path.suffix!r} is unknown", path=path, hint="a specification is a .toml")
    text.check(path, force=force, sources=sources)


def _save(path: Path, force: bool, network: Network, patterns: tuple[str, ...], values: bool) -> None:
    """Writes the network, or the layers that patterns name, as a specification."""
    from rnnprobe import checks
    from rnnprobe.analysis.select import select
    from rnnprobe.outputs import text

    drafted = checks.draft(network, select(network, patterns) if patterns else None, values=values)
    text.write(path, checks.toml(drafted), force=force)
