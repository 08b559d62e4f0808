"""`rnnprobe weights`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rnnprobe.cli.options import json_option, layer_option, models_argument, names_cell, say, verbosity
from rnnprobe.errors import BadInput
from rnnprobe.recover import Overrides
from rnnprobe.types import Network, Report


@click.command()
@models_argument
@layer_option
@click.option("--gate", multiple=True, metavar="LETTER", help="Only this gate (i f g o; r z n). May be repeated.")
@click.option("--part", multiple=True, metavar="NAME", help="Only kernel, recurrent_kernel, bias … May be repeated.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the blocks: .npz or .h5.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@names_cell
@json_option
@verbosity
def command(
    models: tuple[Path, ...],
    layer: tuple[str, ...],
    gate: tuple[str, ...],
    part: tuple[str, ...],
    output: Path | None,
    force: bool,
    overrides: Overrides,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """The weights of MODEL, gate by gate: where they lie, and what is in them.

    Norms are Frobenius norms; radius is the spectral radius of a gate's square recurrent block. With a directory of
    several checkpoints, or several MODELs, how the norms move over training. -o writes the blocks as arrays named
    LAYER/PART/GATE.

    \b
    Example:
      rnnprobe weights model.ckpt-85340
      rnnprobe weights model.h5 --gate f --part bias
      rnnprobe weights model.h5 -o gates.npz
      rnnprobe weights training/ --json | jq '.change[] | [.part, .gate, .moved]'
    """
    from rnnprobe import formats, recover
    from rnnprobe.analysis.weights import nonfinite
    from rnnprobe.views import terminal

    found = [pair for model in models for pair in formats.series(model)]
    networks = [recover.network(formats.read(path), overrides) for _, path in found]
    if len(networks) == 1:
        reports = shown = _single(networks[0], layer, gate, part, output, force)
    elif output is not None:
        raise BadInput(
            f"-o writes the blocks of one checkpoint, and there are {len(networks)}",
            path=found[0][1].parent,
            hint="name one of them",
        )
    else:
        from rnnprobe.analysis.training import labels, training

        reports = training(networks, labels(found), layer, gate, part)
        shown = reports if verbose else reports[1:]
    if not quiet:
        say((*nonfinite(reports), *(note for model in models for note in formats.lacking(model))))
    terminal.show(reports if as_json else shown, command="weights", as_json=as_json)


def _single(
    network: Network,
    patterns: Sequence[str],
    gates: Sequence[str],
    parts: Sequence[str],
    output: Path | None,
    force: bool,
) -> Sequence[Report]:
    from rnnprobe.analysis.select import select
    from rnnprobe.analysis.weights import blocks, weights

    layers = select(network, patterns)
    if output is None:
        return weights(network, layers, gates, parts)
    from rnnprobe.outputs import weights as file

    file.check(output, force=force, sources=network.checkpoint.files)
    reports = weights(network, layers, gates, parts)
    file.write(output, layers, blocks(layers, gates, parts, network.checkpoint.path), force=force)
    return reports
