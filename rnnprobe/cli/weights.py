"""`rnnprobe weights`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from rnnprobe.analysis.layouts import LAYOUTS
from rnnprobe.cells.options import COUNTS, RESIDUAL
from rnnprobe.cli.options import (
    describes_cell,
    json_option,
    layer_option,
    models_argument,
    say,
    say_assumptions,
    verbosity,
)
from rnnprobe.errors import BadInput
from rnnprobe.recover import Overrides
from rnnprobe.types import Checkpoint, Layer, Network, Report

if TYPE_CHECKING:
    from rnnprobe.analysis.layouts.module import Module
    from rnnprobe.outputs.weights import Group

Shown: TypeAlias = tuple[Sequence[Report], Sequence[Report]]
"""All reports, as JSON has them, and those that the terminal shows."""


@click.command()
@models_argument
@layer_option
@click.option("--gate", multiple=True, metavar="LETTER", help="Only this gate (i f g o; r z n). May be repeated.")
@click.option("--part", multiple=True, metavar="NAME", help="Only kernel, recurrent_kernel, bias … May be repeated.")
@click.option(
    "--layout",
    type=click.Choice([layout.name for layout in LAYOUTS]),
    help="In the gate order, shapes and names of another framework.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the blocks: .npz or .h5.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@describes_cell
@json_option
@verbosity
def command(
    models: tuple[Path, ...],
    layer: tuple[str, ...],
    gate: tuple[str, ...],
    part: tuple[str, ...],
    layout: str | None,
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

    With --layout, the weights as TensorFlow 1, Keras, PyTorch, cuDNN or ONNX takes them: gates in its order, biases
    folded or split, forget_bias included. The directions of a pair and the layers of a stack become one module where
    the target has such. A layer that the target can't compute exactly is refused. -o writes arrays named MODULE/NAME.

    \b
    Example:
      rnnprobe weights model.ckpt-85340
      rnnprobe weights model.h5 --gate f --part bias
      rnnprobe weights model.h5 -o gates.npz
      rnnprobe weights model.ckpt-85340 --layout torch -o lstm.npz
      rnnprobe weights training/ --json | jq '.change[] | [.part, .gate, .moved]'
    """
    from rnnprobe import formats, recover
    from rnnprobe.analysis.weights import nonfinite
    from rnnprobe.views import terminal

    found = [pair for model in models for pair in formats.series(model)]
    checkpoints = [formats.read(path) for _, path in found]
    _refuse(checkpoints, layout, bool(gate or part), output, force, overrides)
    networks = [recover.network(checkpoint, overrides) for checkpoint in checkpoints]
    if layout is not None:
        reports, shown = _converted(networks[0], layer, layout, output, force, quiet)
    elif len(networks) == 1:
        reports, shown = _single(networks[0], layer, gate, part, output, force)
    else:
        reports, shown = _trained(networks, found, layer, gate, part, verbose)
    if not quiet:
        say((*nonfinite(reports), *(note for model in models for note in formats.lacking(model))))
    terminal.show(reports if as_json else shown, command="weights", as_json=as_json)


def _refuse(
    checkpoints: Sequence[Checkpoint],
    layout: str | None,
    blocks: bool,
    output: Path | None,
    force: bool,
    overrides: Overrides,
) -> None:
    """Holds the options against each other and against what is read, before any work.

    Raises:
        UsageError: options that exclude each other.
        BadInput, CannotWrite: several checkpoints where there can be one alone; or as `outputs.weights.check`.
    """
    if layout is not None and blocks:
        raise click.UsageError("--layout writes whole layers; --gate and --part choose blocks as they are stored")
    if layout is None and overrides.options.keys() - COUNTS:
        raise click.UsageError(
            "what a cell does with its weights changes nothing in them; it matters to --layout alone"
        )
    if len(checkpoints) > 1 and (layout is not None or output is not None):
        what = "--layout is for" if layout is not None else "-o writes the blocks of"
        raise BadInput(
            f"{what} one checkpoint, and there are {len(checkpoints)}",
            path=checkpoints[0].path.parent,
            hint="name one of them",
        )
    if output is not None:
        from rnnprobe.outputs import weights as file

        file.check(output, force=force, sources=checkpoints[0].files)


def _single(
    network: Network,
    patterns: Sequence[str],
    gates: Sequence[str],
    parts: Sequence[str],
    output: Path | None,
    force: bool,
) -> Shown:
    """The blocks of one checkpoint."""
    from rnnprobe.analysis.select import select
    from rnnprobe.analysis.weights import blocks, weights

    layers = select(network, patterns)
    reports = weights(network, layers, gates, parts)
    if output is not None:
        from rnnprobe.outputs import weights as file

        file.write(output, layers, blocks(layers, gates, parts, network.checkpoint.path), force=force)
    return reports, reports


def _trained(
    networks: Sequence[Network],
    found: Sequence[tuple[int | None, Path]],
    patterns: Sequence[str],
    gates: Sequence[str],
    parts: Sequence[str],
    verbose: bool,
) -> Shown:
    """How the blocks of several checkpoints move."""
    from rnnprobe.analysis.training import labels, training

    reports = training(networks, labels(found), patterns, gates, parts)
    return reports, reports if verbose else reports[1:]


def _converted(
    network: Network, patterns: Sequence[str], name: str, output: Path | None, force: bool, quiet: bool
) -> Shown:
    """The layers as another framework has them."""
    from rnnprobe.analysis.layouts import convert, reported
    from rnnprobe.analysis.select import select

    layers = select(network, patterns)
    if not quiet:
        say_assumptions(replace(network, layers=tuple(map(_bare, layers)), embeddings=()))
    modules = convert(network, layers, name)
    if output is not None:
        from rnnprobe.outputs import weights as file

        file.write_groups(output, {module.name: _group(module) for module in modules}, force=force)
    reports = reported(modules)
    return reports, reports[:-1]


def _bare(layer: Layer) -> Layer:
    """A layer without the option that is no matter of weights."""
    return replace(layer, options={name: value for name, value in layer.options.items() if name != RESIDUAL.name})


def _group(module: Module) -> Group:
    """A module as a file holds it."""
    from rnnprobe.outputs import weights as file

    items = {entry.name: file.converted(entry.values, entry.spelled, entry.origin) for entry in module.written.entries}
    return file.module(items, module.layers, module.call, module.written.arguments)
